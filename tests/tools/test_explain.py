"""mr-eval --explain, and what mr-report says of it, against PyTorch, scikit-learn and SciPy."""
import base64
import csv
import hashlib
import json
import subprocess
import time

import numpy as np
import pytest
from scipy import stats

import images
from conftest import BIN
from test_mr_eval import pixels, plain_batch_norm_network, read, scores_of

FEW = ["rician:3", "bias:5"]
MANY = ["rician:3", "rician:5", "bias:3", "bias:5", "recipe:restless-patient", "recipe:clinic-mix"]
PROBES = [(0.5, 0), (2, 0), (1, 0.1), (1, -0.1)]


def named(conditions):
    return [word for condition in conditions for word in ("--explain", condition)]


def name_of(condition):
    if condition["kind"] == "artifact":
        return f"{condition['artifact']}:{condition['severity']:g}"
    return "clean" if condition["kind"] == "clean" else f"recipe:{condition['artifact']}"


def explanations(text):
    lines = [json.loads(line) for line in text.decode().splitlines()]
    found = {(e["model"], name_of(e["condition"])): e
             for e in (line["explanation"] for line in lines if "explanation" in line)}
    assert lines[-1]["end"]["explanations"] == len(found)
    return lines[0], found


@pytest.fixture(scope="module")
def study(run, tmp_path_factory):
    """600 test samples, so that 512 are drawn, and 96 of them; two runs of batch norm, one of group."""
    folder = tmp_path_factory.mktemp("why")
    m = images.manifest(folder, images=120, labels=("left", "right"),
                        splits=["train", "val"] + ["test"] * 10)
    entries = json.loads(m.read_text())["images"]
    test = [e for e in entries if e["split"] == "test"]
    images.write(folder / "few.json", ("left", "right"),
                 [e for e in entries if e["split"] != "test"] + test[:16])
    for model, norm, seed in (("batch-1", "batch", 1), ("batch-2", "batch", 2), ("group-1", "group", 1)):
        run(["mr-train", "--norm", norm, "--groups", "4", "--width", "4", "--size", "24x20", "--seed",
             seed, "--epochs", "4", "--lr", "3e-3", "-t", "1", m, "-o", folder / f"{model}.pt"])
    return folder


@pytest.fixture(scope="module")
def explained(run, study):
    return run(["mr-eval", "-m", study / "batch-1.pt", "-m", study / "group-1.pt", "--grid",
                "rician,bias", "--severities", "3,5", "--seed", "7", *named(FEW),
                study / "manifest.json"], timeout=600).stdout


@pytest.fixture(scope="module")
def many(run, study):
    """Of 96 samples: all kinds of conditions, named in another order than that of the grid."""
    models = [w for name in ("batch-1", "batch-2", "group-1") for w in ("-m", study / f"{name}.pt")]
    text = run(["mr-eval", *models, "--adapt", "batch-stats", "--grid", "rician,bias", "--severities",
                "1,3,5", "--decompose", "--clinic-mix", "--recipe", "restless-patient",
                *named(MANY[::-1]), study / "few.json"], timeout=600).stdout
    (study / "many.eval").write_bytes(text)
    return text


@pytest.fixture(scope="module")
def seen(run, study, explained):
    """The pixels that were looked at under a condition, from the files that mr-corrupt writes."""
    chosen = explanations(explained)[0]["grid"]["explained"]["samples"]

    def make(condition, cache={}):
        manifest = study / "manifest.json"
        if condition != "clean" and condition not in cache:
            manifest = study / f"{condition}.json"
            run(["mr-corrupt", "-a", condition, "--seed", "7", "-o", study / condition,
                 "--manifest-out", manifest, study / "manifest.json"])
        if condition not in cache:
            cache[condition] = np.concatenate(pixels(manifest)[0])[chosen]
        return cache[condition]

    return make


@pytest.fixture(scope="module")
def truth(study, explained):
    header, _ = explanations(explained)
    return np.array(header["truth"]).T[header["grid"]["explained"]["samples"]]


def macro(truth, scores):
    from sklearn.metrics import roc_auc_score
    return np.mean([roc_auc_score(truth[:, l], scores[:, l]) for l in range(truth.shape[1])])


# ---- which samples: the permutation of the key, written anew ----

def philox(key, counter):
    """Salmon et al. 2011: Philox4x32-10."""
    c, k = [counter, 0, 0, 0], [key & 0xFFFFFFFF, key >> 32]
    for _ in range(10):
        a, b = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(b >> 32) ^ c[1] ^ k[0], b & 0xFFFFFFFF, (a >> 32) ^ c[3] ^ k[1], a & 0xFFFFFFFF]
        k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return c[1] << 32 | c[0]


def permutation(n, seed, *parts):
    digest = hashlib.sha256(seed.to_bytes(8, "little"))
    for part in parts:
        digest.update(len(part).to_bytes(8, "little") + part.encode())
    key = int.from_bytes(digest.digest()[:8], "little")
    order = list(range(n))
    for i in range(n, 1, -1):
        j = philox(key, i) * i >> 64
        order[i - 1], order[j] = order[j], order[i - 1]
    return order


def test_samples_are_drawn_by_the_seed_and_recorded(explained, schema):
    header, found = explanations(explained)
    check = schema("mr-eval")
    for line in explained.decode().splitlines():
        check(json.loads(line))
    assert header["grid"]["explained"] == {"samples": sorted(permutation(600, 7, "explain")[:512]),
                                           "swap_set": 128}
    assert {e["samples"] for e in found.values()} == {512}
    assert list(found) == [(model, condition) for condition in ("clean", *FEW)
                           for model in ("batch-1.pt", "group-1.pt")]


def test_every_kind_of_condition_is_explained_of_models_as_they_are(many, schema):
    header, found = explanations(many)
    for line in many.decode().splitlines():
        schema("mr-eval")(json.loads(line))
    assert header["grid"]["explained"]["samples"] == list(range(96))
    assert list(found) == [(model, condition) for condition in ("clean", *MANY)
                           for model in ("batch-1.pt", "batch-2.pt", "group-1.pt")]


@pytest.mark.parametrize("which", ["explained", "many"])
def test_the_network_as_it_is_has_the_scores_of_the_evaluation(request, which):
    text = request.getfixturevalue(which)
    header, found = explanations(text)
    chosen = header["grid"]["explained"]["samples"]
    truth = np.array(header["truth"]).T[chosen]
    plain = {}
    for line in map(json.loads, text.decode().splitlines()):
        if "scores" in line and "part" not in line["condition"]:
            scores = np.frombuffer(base64.b64decode(line["scores"]), "<f4").reshape(2, -1)
            plain[line["model"], name_of(line["condition"])] = scores[:, chosen].T
    for key, e in found.items():
        for swap in e["swaps"][:1]:
            assert swap["swap"] == "none" and swap["change"]["value"] == 0
            # Rounding turns the order of samples that all but tie.
            assert swap["auroc"]["value"] == pytest.approx(macro(truth, plain[key]), abs=5e-4)


# ---- statistics ----

def batch_norms(net, kind=None):
    """By name, in the order in which they are run; or other norms."""
    import torch
    order, kind = [], kind or torch.nn.BatchNorm2d
    hooks = [m.register_forward_pre_hook(lambda _, __, name=name: order.append(name))
             for name, m in net.named_modules() if isinstance(m, kind)]
    scores_of(net, np.zeros((1, 1, 24, 20)))
    for hook in hooks:
        hook.remove()
    modules = dict(net.named_modules())
    return {name: modules[name] for name in order}


def inputs(net, x, kind=None):
    """Of each batch norm, or other norm, by name: channels x values."""
    given = {}
    hooks = [m.register_forward_pre_hook(
        lambda _, args, name=name: given.update({name: args[0].transpose(0, 1).flatten(1).numpy()}))
        for name, m in batch_norms(net, kind).items()]
    scores_of(net, x)
    for hook in hooks:
        hook.remove()
    return given


def distances(t, mu_s, v_s, eps):
    """The definitions, from the values of the layer's input."""
    mu_t, v_t = t.mean(1), t.var(1)
    kept = v_s >= 10 * eps
    found = {"shift": np.abs(mu_t - mu_s) / np.sqrt(v_s + eps),
             "log_gain": np.abs(np.log(np.sqrt((v_t + eps) / (v_s + eps)))),
             "kl": (np.log(v_s / v_t) + (v_t + (mu_t - mu_s)**2) / v_s - 1)[kept] / 2,
             "w2": (((mu_t - mu_s)**2 + (np.sqrt(v_t) - np.sqrt(v_s))**2) / v_s)[kept]}
    return found, int((v_s < eps).sum()), int((~kept).sum())


def agrees(layers, net, x):
    given = inputs(net, x)
    assert [layer["name"] for layer in layers] == list(given)
    for layer in layers:
        module = batch_norms(net)[layer["name"]]
        wanted, below, below_10 = distances(
            given[layer["name"]], module.running_mean.numpy(), module.running_var.numpy(), module.eps)
        counts = layer["channels"], layer["below_eps"], layer["below_10_eps"]
        assert counts == (len(module.running_var), below, below_10)
        for key, values in wanted.items():
            for share, name in ((0.5, "median"), (0.95, "p95")):
                assert layer[key][name] == pytest.approx(np.quantile(values, share), rel=1e-4,
                                                         abs=1e-5), (layer["name"], key, name)


@pytest.mark.parametrize("condition", ["clean", "bias:5", "rician:3"])
def test_statistics_are_those_of_each_layer_s_input(study, explained, seen, condition):
    _, found = explanations(explained)
    net = plain_batch_norm_network(study / "batch-1.pt")
    agrees(found["batch-1.pt", condition]["layers"], net, seen(condition))
    assert any(layer["shift"]["median"] > 0.02 for layer in found["batch-1.pt", condition]["layers"])


def test_other_norms_are_compared_with_clean_images(study, explained, seen):
    """What each group norm is given of a condition, against what it is given of the same samples."""
    import torch
    from test_mr_train import info, plain_network
    path = study / "group-1.pt"
    net = plain_network(torch.jit.load(str(path)), info(path)).double()
    layers = explanations(explained)[1]["group-1.pt", "bias:5"]["layers"]
    clean, given = (inputs(net, seen(c), torch.nn.GroupNorm) for c in ("clean", "bias:5"))
    assert [layer["name"] for layer in layers] == list(given)
    for layer in layers:
        reference = clean[layer["name"]]
        wanted, below, below_10 = distances(given[layer["name"]], reference.mean(1), reference.var(1), 1e-5)
        assert (layer["channels"], layer["below_eps"], layer["below_10_eps"]) == (
            len(reference), below, below_10)
        for key, values in wanted.items():
            for share, name in ((0.5, "median"), (0.95, "p95")):
                assert layer[key][name] == pytest.approx(np.quantile(values, share), rel=1e-3, abs=1e-5)


def test_channels_that_eps_rules_are_counted_and_left_out(run, study):
    import torch
    extra = {"mr.json": ""}
    model = torch.jit.load(str(study / "batch-1.pt"), _extra_files=extra)
    buffers = dict(model.named_buffers())
    for name, value in (("stage1_block1.norm2", 5e-6), ("stage2_block1.norm1", 5e-5)):
        buffers[f"{name}.running_var"][1] = value
    torch.jit.save(model, str(study / "dead.pt"), _extra_files=extra)
    _, found = explanations(run(["mr-eval", "-m", study / "dead.pt", "--grid", "bias", "--severities",
                                 "5", "--explain", "clean", study / "few.json"]).stdout)
    layers = found["dead.pt", "clean"]["layers"]
    agrees(layers, plain_batch_norm_network(study / "dead.pt"),
           np.concatenate(pixels(study / "few.json")[0]))
    counts = {layer["name"]: (layer["below_eps"], layer["below_10_eps"]) for layer in layers
              if layer["below_10_eps"]}
    assert counts == {"stage1_block1.norm2": (1, 1), "stage2_block1.norm1": (0, 1)}


# ---- swaps ----

def swapped_scores(path, x, layers, replaced=("running_mean", "running_var")):
    """Scores after the running statistics of some layers were replaced by those of x, one after the
    other."""
    net = plain_batch_norm_network(path)
    for name, module in batch_norms(net).items():
        if name not in layers:
            continue
        values = inputs(net, x)[name]
        for buffer, own in (("running_mean", values.mean(1)), ("running_var", values.var(1))):
            if buffer in replaced:
                getattr(module, buffer).numpy()[:] = own
    return scores_of(net, x)


@pytest.fixture(scope="module")
def in_sets(study):
    """Scores of the samples, each among the 128 that it is swapped with."""
    order = permutation(512, 7, "adapt", "0")
    sets = [sorted(order[i:i + 128]) for i in range(0, 512, 128)]

    def scores(x, layers, **options):
        all_scores = np.empty((512, 2))
        for members in sets:
            all_scores[members] = swapped_scores(study / "batch-1.pt", x[members], layers, **options)
        return all_scores

    return scores


def swaps_of(explanation):
    return {(s["swap"], s.get("layer")): s for s in explanation["swaps"]}


def test_every_layer_is_swapped_alone_and_left_alone(many):
    _, found = explanations(many)
    for (model, _), e in found.items():
        names = [layer["name"] for layer in e["layers"]]
        want = [("none", None), ("all", None), ("mean", None), ("variance", None)] + [
            (kind, name) for kind in ("only", "all_but") for name in names]
        swapped = model.startswith("batch")
        assert [(s["swap"], s.get("layer")) for s in e["swaps"]] == (want if swapped else []), model


def test_swaps_equal_replaced_statistics_in_pytorch(study, explained, seen, truth, in_sets):
    swaps = swaps_of(explanations(explained)[1]["batch-1.pt", "bias:5"])
    layers = list(batch_norms(plain_batch_norm_network(study / "batch-1.pt")))
    x = seen("bias:5")
    wanted = {("none", None): dict(layers=[]), ("all", None): dict(layers=layers),
              ("mean", None): dict(layers=layers, replaced=["running_mean"]),
              ("variance", None): dict(layers=layers, replaced=["running_var"])}
    for name in (layers[0], layers[5], layers[-1]):
        wanted["only", name] = dict(layers=[name])
        wanted["all_but", name] = dict(layers=[other for other in layers if other != name])
    values = {}
    for key, options in wanted.items():
        values[key] = macro(truth, in_sets(x, **options))
        # Float32 against double turns the order of samples that all but tie.
        assert swaps[key]["auroc"]["value"] == pytest.approx(values[key], abs=2e-4), key
        assert swaps[key]["change"]["value"] == pytest.approx(values[key] - values["none", None],
                                                              abs=4e-4), key
    assert np.ptp(list(values.values())) > 0.01  # the agreement is no coincidence


def influences(truth, scores, subject):
    """U_p of analysis: DeLong's placements, by subject (Obuchowski 1997)."""
    positive, negative = scores[truth == 1], scores[truth == 0]
    wins = (positive[:, None] > negative) + 0.5 * (positive[:, None] == negative)
    u, independent = np.zeros(subject.max() + 1), []
    for placements, of in ((wins.mean(1), subject[truth == 1]), (wins.mean(0), subject[truth == 0])):
        subjects = len(np.unique(of))
        np.add.at(u, of, np.sqrt(subjects / (subjects - 1)) * (placements - wins.mean()) / len(of))
        independent.append(subjects)
    return u, min(independent)


def test_the_interval_of_a_change_is_paired_over_subjects(explained, seen, truth, in_sets, study):
    header, found = explanations(explained)
    layers = list(batch_norms(plain_batch_norm_network(study / "batch-1.pt")))
    x, subject = seen("bias:5"), np.array(header["samples"]["subject"])
    subject = subject[header["grid"]["explained"]["samples"]]
    u, fewest = 0, 10**9
    for sign, scores in ((1, in_sets(x, layers)), (-1, in_sets(x, []))):
        for l in range(2):
            own, n = influences(truth[:, l], scores[:, l], subject)
            u, fewest = u + sign * own / 2, min(fewest, n)
    half = stats.t.ppf(0.975, fewest - 1) * np.sqrt((u**2).sum())
    change = swaps_of(found["batch-1.pt", "bias:5"])["all", None]["change"]
    assert (change["high"] - change["low"]) / 2 == pytest.approx(half, rel=0.01)
    assert (change["high"] + change["low"]) / 2 == pytest.approx(change["value"], abs=1e-9)


# ---- probes ----

@pytest.mark.parametrize("model", ["batch-1.pt", "group-1.pt"])
def test_probes_are_scores_of_changed_inputs(study, explained, seen, truth, model):
    import torch
    _, found = explanations(explained)
    probes = found[model, "clean"]["probes"]
    assert [(p["gain"], p["offset"]) for p in probes] == PROBES
    net = torch.jit.load(str(study / model)).eval()
    x = torch.from_numpy(seen("clean").astype(np.float32))
    with torch.no_grad():
        plain = net(x).numpy()
        for probe in probes:
            changed = net(probe["gain"] * x + probe["offset"]).numpy()
            moved = np.abs(changed - plain)
            assert probe["median"] == pytest.approx(np.median(moved), rel=1e-3, abs=1e-5)
            assert probe["maximum"] == pytest.approx(moved.max(), rel=1e-3, abs=1e-5)
            assert probe["auroc"]["value"] == pytest.approx(macro(truth, changed), abs=2e-4)
            assert probe["change"]["value"] == pytest.approx(
                macro(truth, changed) - macro(truth, plain), abs=4e-4)
            assert probe["median"] > 0


def test_other_conditions_and_norms_have_no_more_than_what_applies(many):
    _, found = explanations(many)
    for (model, condition), e in found.items():
        assert bool(e["probes"]) == (condition == "clean")
        batch = model.startswith("batch")
        assert bool(e["swaps"]) == batch
        # What a group norm is given of clean images is the reference, so of these there is nothing.
        assert bool(e["layers"]) == (batch or condition != "clean")
        assert {layer["reference"] for layer in e["layers"]} <= {"running" if batch else "clean"}


# ---- the run ----

def short(study):
    return ["mr-eval", "-m", study / "batch-1.pt", "-m", study / "group-1.pt", "--grid", "bias",
            "--severities", "1,5", "--explain", "bias:5", study / "few.json"]


def test_threads_do_not_matter(run, study):
    one, three = (run([*short(study), "-t", t]).stdout for t in (1, 3))
    assert explanations(one)[1] == explanations(three)[1]


def test_stopped_run_resumes_to_the_same_bytes(run, study, tmp_path):
    command = short(study)
    run([*command, "-t", "2", "-o", tmp_path / "whole.eval"])
    p = subprocess.Popen([str(BIN / command[0]), *map(str, command[1:]), "-t", "1", "-o",
                          str(tmp_path / "part.eval")])
    partial = tmp_path / "part.eval.partial"
    while p.poll() is None and not (partial.exists() and b"findings" in partial.read_bytes()):
        time.sleep(0.002)
    p.kill()
    assert p.wait() == -9  # neither everything nor nothing is done
    run([*command, "-o", tmp_path / "part.eval", "--resume"])
    assert (tmp_path / "part.eval").read_bytes() == (tmp_path / "whole.eval").read_bytes()


def test_what_is_not_evaluated_is_a_usage_error(fails, study):
    command = ["mr-eval", "-m", study / "batch-1.pt", study / "manifest.json"]
    fails([*command, "--explain", "bias:5"], 64, "--explain", "--grid")
    grid = [*command, "--grid", "bias", "--severities", "1,5"]
    fails([*grid, "--explain", "bias:3"], 64, "--explain", "'bias:3'")
    fails([*grid, "--explain", "bais:5"], 64, "did you mean 'bias:5'")
    for part in ("bias:5 gain-matched", ""):
        fails([*grid, "--decompose", "--explain", part], 64, f"'{part}'")


def test_without_it_nothing_is_explained(run, study):
    text = run([*short(study)[:9], study / "few.json"]).stdout
    header, found = explanations(text)
    assert not found and "explained" not in header["grid"]
    read(text)


# ---- the report ----

@pytest.fixture(scope="module")
def report(run, study, many):
    done = run(["mr-report", "-o", study / "report", study / "many.eval"])
    return json.loads((study / "report" / "report.json").read_text()), done.stdout.decode()


def test_report_shows_every_part(report, study, schema):
    document, markdown = report
    schema("mr-report")(document)
    text = markdown[markdown.index("## Diagnostics: why"):markdown.index("## What the artifacts do")]
    for part in ("On 96 samples", "Statistics put in", "Exact changes of the input", "Distance and loss",
                 "below ten times eps", "Every norm layer"):
        assert part in text
    for name in ("shift", "gain"):
        svg = (study / "report" / "figures" / f"depth-{name}-batch.svg").read_text()
        assert "bias, severity 5" in svg and "norm layer" in svg
        with open(study / "report" / "figures" / f"depth-{name}-batch.csv") as f:
            drawn = list(csv.DictReader(f))
        assert {row["run"] for row in drawn} == {"", "1", "2"}
        assert {row["series"] for row in drawn} >= {"clean", "bias, severity 5"}
    assert len(list((study / "report" / "figures").glob("depth-*-group-4.svg"))) == 2


def test_the_file_is_whole_to_its_checker(run, many, study):
    run(["mr-report", "--check", study / "many.eval"], timeout=300)


def test_two_arms_alone_have_their_own_findings(run, many, study, tmp_path):
    run(["mr-report", "--compare", "batch+batch-stats:volume", "group(4)", "-o", tmp_path / "report",
         study / "many.eval"])
    document = json.loads((tmp_path / "report" / "report.json").read_text())
    assert [r["arm"] for r in document["diagnostics"]["runs"]] == ["group(4)"] * (1 + len(MANY))
    assert not document["diagnostics"]["correlations"]


def test_report_json_has_what_the_evaluation_has(report, many):
    document, _ = report
    _, found = explanations(many)
    runs = document["diagnostics"]["runs"]
    assert len(runs) == len(found)
    for r in runs:
        condition = r["artifact"] if r["severity"] is None else f"{r['artifact']}:{r['severity']:g}"
        e = found[f"{r['arm'].split('(')[0]}-{r['run']}.pt", condition]
        for key in ("samples", "layers", "swaps", "probes"):
            assert r[key] == e[key]


def test_correlation_of_distance_and_loss(report, many):
    document, _ = report
    _, found = explanations(many)
    assert [(c["arm"], c["run"], c["conditions"]) for c in document["diagnostics"]["correlations"]] == [
        ("batch", 1, len(MANY)), ("batch", 2, len(MANY))]
    for correlation in document["diagnostics"]["correlations"]:
        model = f"batch-{correlation['run']}.pt"
        auroc = {c: found[model, c]["swaps"][0]["auroc"]["value"] for c in ["clean", *MANY]}
        far = [np.mean([layer["w2"]["median"] for layer in found[model, c]["layers"]]) for c in MANY]
        want = stats.spearmanr(far, [auroc["clean"] - auroc[c] for c in MANY]).statistic
        assert correlation["spearman"] == pytest.approx(want, abs=1e-12)
