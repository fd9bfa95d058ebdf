"""mr-eval as a user runs it, against PyTorch, scikit-learn and mr-corrupt's files."""
import base64
import hashlib
import importlib.util
import json
import os
import signal
import subprocess
import time

import nibabel
import numpy as np
import pytest

import images
from conftest import BIN

SIZE = (24, 20)


@pytest.fixture(scope="module")
def study(run, tmp_path_factory):
    """A data set with two labels, and a small batch-norm and group-norm model of it."""
    folder = tmp_path_factory.mktemp("study")
    m = images.manifest(folder, images=24, labels=("left", "right"),
                        splits=["train", "train", "val", "test"])
    for norm in ("batch", "group"):
        for name, rate in ((norm, "1e-2"), (f"unsure-{norm}", "1e-4")):
            run(["mr-train", "--norm", norm, "--groups", "4", "--width", "4", "--size", "24x20",
                 "--seed", "1", "--epochs", "2", "--lr", rate, "-t", "1", m, "-o",
                 folder / f"{name}.pt"])
    return folder


def read(text):
    lines = [json.loads(line) for line in text.decode().splitlines()]
    header, end = lines[0], lines[-1]
    n, k = len(header["samples"]["id"]), len(header["labels"])
    results = {}
    for line in lines[1:-1]:
        if "scores" in line:
            c = line["condition"]
            key = (line["model"], c["kind"], c.get("artifact", ""), c.get("severity", 0))
            scores = np.frombuffer(base64.b64decode(line["scores"]), "<f4").reshape(k, n)
            results[key] = scores, line
    assert end["end"]["results"] == len(results)
    return header, results


def pixels(manifest, size=SIZE, split="test"):
    """Preprocessing written anew: percentiles 1 and 99, radiological view of axial slices, crop."""
    document = json.loads(manifest.read_text())
    volumes, truth = [], []
    for entry in document["images"]:
        if split != "all" and entry.get("split") != split:
            continue
        x = nibabel.load(manifest.parent / entry["file"]).get_fdata(dtype=np.float32)
        p1, p99 = np.percentile(x.astype(np.float64), [1, 99])
        x = ((x - p1) / (p99 - p1)).astype(np.float32)
        slices = []
        for sample in entry["samples"]:
            picture = x[::-1, ::-1, sample["slice"]["index"]].T
            out = np.zeros(size, np.float32)
            h, w = min(size[0], picture.shape[0]), min(size[1], picture.shape[1])
            top, left = (picture.shape[0] - h) // 2, (picture.shape[1] - w) // 2
            y, z = (size[0] - h + 1) // 2, (size[1] - w + 1) // 2
            out[y:y + h, z:z + w] = picture[top:top + h, left:left + w]
            slices.append(out)
            truth.append(sample["labels"])
        volumes.append(np.stack(slices)[:, None])
    return volumes, np.array(truth)


def test_scores_equal_pytorch(run, study, schema):
    import torch
    header, results = read(run(["mr-eval", "-m", study / "batch.pt", "-m", study / "group.pt",
                                "--adapt", "batch-stats:volume", "--adapt", "batch-stats:slice",
                                study / "manifest.json"]).stdout)
    check = schema("mr-eval")
    check(header)
    volumes, truth = pixels(study / "manifest.json")
    np.testing.assert_array_equal(np.array(header["truth"]).T, truth)
    assert len(results) == 4
    for (name, kind, *_), (scores, line) in results.items():
        check(line)
        assert kind == "clean"
        model = torch.jit.load(str(study / name.split("+")[0]))
        model.eval()
        groups = volumes
        if "batch-stats" in name:
            for module in model.modules():
                if hasattr(module, "prior"):
                    module.prior = 0.0
            if name.endswith("slice"):
                groups = [v[i:i + 1] for v in volumes for i in range(len(v))]
        with torch.no_grad():
            want = np.concatenate([model(torch.from_numpy(v)).numpy() for v in groups]).T
        np.testing.assert_allclose(scores, want, rtol=1e-4, atol=1e-5)


# ---- test-time schemes, against PyTorch ----

def plain_batch_norm_network(path):
    """The model as an independent network, in double precision."""
    import torch
    from test_mr_train import info, plain_network
    return plain_network(torch.jit.load(str(path)), info(path)).double()


def with_prior(net, prior):
    """Batch norms that mix their running statistics, as `prior` images, with those of the batch."""
    import torch

    def forward(self, x):
        n = len(x)
        mean = (prior * self.running_mean + n * x.mean((0, 2, 3))) / (prior + n)
        variance = (prior * self.running_var + n * x.var((0, 2, 3), unbiased=False)) / (prior + n)
        spread = lambda v: v[None, :, None, None]
        return ((x - spread(mean)) / spread((variance + self.eps).sqrt()) * spread(self.weight) +
                spread(self.bias))

    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.forward = forward.__get__(module)
    return net


def scores_of(net, x):
    import torch
    with torch.no_grad():
        return net(torch.from_numpy(np.asarray(x, np.float64))).numpy()


def tent_scores(path, x, rate):
    import torch
    net = with_prior(plain_batch_norm_network(path), 0)
    affine = [p for m in net.modules() if isinstance(m, torch.nn.BatchNorm2d) for p in m.parameters()]
    optimiser = torch.optim.Adam(affine, rate)
    p = torch.sigmoid(net(torch.from_numpy(x.astype(np.float64))))
    (-p * p.log() - (1 - p) * (1 - p).log()).mean().backward()
    optimiser.step()
    return scores_of(net, x)


ADAPTATIONS = ["batch-stats:slice", "n-prior:volume", "n-prior=3:slice", "tent:volume", "tent=0.01:volume",
               "recalibrate", "batch-stats:all", "n-prior=8:all", "batch-stats:crossfit",
               "batch-stats:mixed:7", "n-prior=4:mixed:7", "tent:mixed:7"]


@pytest.fixture(scope="module")
def adapted(run, study):
    words = [w for a in ADAPTATIONS for w in ("--adapt", a)]
    out = run(["mr-eval", "-m", study / "unsure-batch.pt", "-m", study / "group.pt", *words, "--batch-size", "5",
               study / "manifest.json"]).stdout
    header, results = read(out)
    return header, {key[0].partition("+")[2]: scores.T for key, (scores, _) in results.items()
                    if key[0].startswith("unsure-batch")}


def test_adapted_models_are_named_and_described(adapted, schema, study):
    header, scores = adapted
    schema("mr-eval")(header)
    names = {m["adaptation"]: m["info"].get("adaptation") for m in header["models"]}
    assert set(names) == {"", *(a.replace("n-prior:", "n-prior=16:").replace("tent=0.001", "tent")
                               for a in ADAPTATIONS)}
    assert names["n-prior=16:volume"] == {"scheme": "n-prior", "policy": "volume", "prior_images": 16}
    assert names["tent=0.01:volume"]["learning_rate"] == 0.01
    assert names["batch-stats:mixed:7"]["partitions"] == 5
    volumes, _ = pixels(study / "manifest.json", split="train")
    assert names["recalibrate"] == {"scheme": "recalibrate", "split": "train",
                                    "samples": sum(map(len, volumes))}
    assert any("transductive" in note for note in header["notes"])
    assert len(scores) == len(ADAPTATIONS) + 1


def test_adapted_scores_equal_pytorch(adapted, study):
    _, scores = adapted
    path = study / "unsure-batch.pt"
    volumes, _ = pixels(study / "manifest.json")
    slices = [v[i:i + 1] for v in volumes for i in range(len(v))]
    everything = np.concatenate(volumes)

    def each(prior, groups):
        net = with_prior(plain_batch_norm_network(path), prior)
        return np.concatenate([scores_of(net, x) for x in groups])

    want = {"batch-stats:slice": each(0, slices), "n-prior=16:volume": each(16, volumes),
            "n-prior=3:slice": each(3, slices), "batch-stats:all": each(0, [everything]),
            "n-prior=8:all": each(8, [everything]),
            "tent:volume": np.concatenate([tent_scores(path, v, 1e-3) for v in volumes]),
            "tent=0.01:volume": np.concatenate([tent_scores(path, v, 1e-2) for v in volumes])}
    for name, values in want.items():
        # Adam's first step is as long as the rate: for a gradient of rounding alone, either way.
        tolerance = {"tent:volume": 1e-3, "tent=0.01:volume": 1e-2}.get(name, 2e-4)
        np.testing.assert_allclose(scores[name], values, rtol=tolerance, atol=tolerance, err_msg=name)
        assert np.median(np.abs(scores[name] - values)) < 1e-5, name
        assert np.abs(scores[""] - values).max() > 1e-3, name


def layer_by_layer(path, images_seen, prior=0):
    """A network whose running statistics are those of `images_seen` as one batch."""
    import torch
    net = plain_batch_norm_network(path)
    x = torch.from_numpy(np.concatenate(images_seen).astype(np.float64))
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            seen = []
            hook = module.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
            with torch.no_grad():
                net(x)
            hook.remove()
            module.running_mean.copy_(seen[0].mean((0, 2, 3)))
            module.running_var.copy_(seen[0].var((0, 2, 3), unbiased=False))
    return net


def test_recalibration_takes_pooled_statistics_of_clean_training_images(adapted, study):
    _, scores = adapted
    training, _ = pixels(study / "manifest.json", split="train")
    test, _ = pixels(study / "manifest.json")
    want = scores_of(layer_by_layer(study / "unsure-batch.pt", training), np.concatenate(test))
    np.testing.assert_allclose(scores["recalibrate"], want, rtol=2e-4, atol=2e-4)


def test_crossfit_scores_one_half_of_the_subjects_with_statistics_of_the_other(adapted, study):
    header, scores = adapted
    volumes, _ = pixels(study / "manifest.json")
    x = np.concatenate(volumes)
    subject = np.array(header["samples"]["subject"])
    ids = np.unique(subject)
    found = []
    for chosen in range(1, 1 << len(ids), 2):  # halves that hold the first subject
        first = np.isin(subject, [s for i, s in enumerate(ids) if chosen >> i & 1])
        if len({*subject[first]}) not in (len(ids) // 2, (len(ids) + 1) // 2):
            continue
        want = np.empty_like(scores["batch-stats:crossfit"], dtype=float)
        for fold in (first, ~first):
            want[fold] = scores_of(layer_by_layer(study / "unsure-batch.pt", [x[~fold]]), x[fold])
        found.append(np.abs(want - scores["batch-stats:crossfit"]).max())
    assert min(found) < 2e-4 and sorted(found)[1] > 1e-3


def test_mixed_sets_cover_all_samples_and_are_means_over_partitions(run, adapted, study):
    """With sets of everything, mixed is all; one short set joins the one before."""
    _, scores = adapted
    n = len(scores[""])
    out = run(["mr-eval", "-m", study / "unsure-batch.pt", "--adapt", f"batch-stats:mixed:{n}", "--adapt",
               f"batch-stats:mixed:{n // 2 + 1}", study / "manifest.json"]).stdout
    _, results = read(out)
    for (name, *_), (values, _) in results.items():
        if "mixed" in name:
            np.testing.assert_allclose(values.T, scores["batch-stats:all"], rtol=2e-4, atol=2e-4)
    assert np.abs(scores["batch-stats:mixed:7"] - scores["batch-stats:all"]).max() > 1e-3


def test_adaptation_over_images_resumes_to_the_same_bytes(run, study, tmp_path):
    command = ["mr-eval", "-m", study / "batch.pt", "--adapt", "batch-stats:all", "--adapt",
               "n-prior:crossfit", "--adapt", "batch-stats:volume", "--grid", "rician,bias",
               "--severities", "1,5"]
    run([*command, "-t", "2", study / "manifest.json", "-o", tmp_path / "whole.eval"])
    p = subprocess.Popen([BIN / command[0], *command[1:], "-t", "1", study / "manifest.json", "-o",
                          tmp_path / "part.eval"])
    partial = tmp_path / "part.eval.partial"
    while p.poll() is None and not (partial.exists() and b"over_images" in partial.read_bytes()):
        time.sleep(0.002)
    p.kill()
    p.wait()
    run([*command, study / "manifest.json", "-o", tmp_path / "part.eval", "--resume", "--force"])
    assert (tmp_path / "part.eval").read_bytes() == (tmp_path / "whole.eval").read_bytes()


@pytest.mark.parametrize("text, part", [
    ("batch-stats:volum", "did you mean 'volume'"), ("n-prior=0", "above 0"), ("n-prior=x", "'x'"),
    ("batch-stats=3", "has none"), ("tent:all", "slice, volume or mixed"), ("recalibrate:all", "no policy"),
    ("batch-stats:mixed:1", "2 samples"), ("batch-stats:volume:3", "after mixed alone")])
def test_bad_adaptations_are_usage_errors(fails, study, text, part):
    fails(["mr-eval", "-m", study / "batch.pt", "--adapt", text, study / "manifest.json"], 64, part)


def test_recalibration_needs_a_training_split(fails, study, tmp_path):
    document = json.loads((study / "manifest.json").read_text())
    entries = [dict(e, file=str(study / e["file"])) for e in document["images"] if e["split"] == "test"]
    images.write(tmp_path / "test.json", ("left", "right"), entries)
    fails(["mr-eval", "-m", study / "batch.pt", "--adapt", "recalibrate", tmp_path / "test.json"], 65,
          "no split 'train'")


def test_metrics_equal_scikit_learn(run, study):
    from sklearn.metrics import average_precision_score, roc_auc_score
    header, results = read(run(["mr-eval", "-m", study / "group.pt", "--grid", "rician",
                                "--severities", "2,5", study / "manifest.json"]).stdout)
    assert len(results) == 3
    threshold = header["models"][0]["thresholds"]
    for scores, line in results.values():
        for l, label in enumerate(header["labels"]):
            truth, metrics = np.array(header["truth"][l]), line["metrics"][label]
            assert metrics["auroc"]["value"] == pytest.approx(roc_auc_score(truth, scores[l]), abs=1e-12)
            assert metrics["average_precision"]["value"] == pytest.approx(
                average_precision_score(truth, scores[l]), abs=1e-12)
            called = scores[l] >= threshold[l]
            assert metrics["sensitivity"]["value"] == pytest.approx(called[truth == 1].mean())
            assert metrics["specificity"]["value"] == pytest.approx((~called[truth == 0]).mean())
            assert metrics["alarm_rate"]["value"] == pytest.approx(called.mean())


def test_threshold_is_that_of_clean_validation(run, study):
    """The stored threshold is the largest with a sensitivity of at least .90 on clean val images."""
    header, results = read(run(["mr-eval", "-m", study / "group.pt", "--split", "val",
                                study / "manifest.json"]).stdout)
    (scores, _), = results.values()
    for l, t in enumerate(header["models"][0]["thresholds"]):
        positives = np.sort(scores[l][np.array(header["truth"][l]) == 1])[::-1]
        want = positives[int(np.ceil(0.9 * len(positives))) - 1]
        assert t == pytest.approx(want, rel=1e-5, abs=1e-5)


def validation_of(text):
    """Header of the validation images, and scores by model and condition."""
    lines = [json.loads(line) for line in text.decode().splitlines()]
    header = lines[0]["validation"]
    shape = len(lines[0]["labels"]), len(header["samples"]["id"])
    found = {}
    for line in lines:
        if "validation" in line and "schema" not in line:
            v = line["validation"]
            c = v["condition"]
            found[v["model"], c["kind"], c.get("artifact", ""), c.get("severity", 0)] = np.frombuffer(
                base64.b64decode(v["scores"]), "<f4").reshape(shape)
    return header, found


def test_clean_validation_images_are_scored_beside(run, study, schema):
    """They are what an evaluation of split val gives; an adapted model has its own thresholds from them,
    one that adapts over images those of the plain network."""
    command = ["mr-eval", "-m", study / "batch.pt", "--adapt", "recalibrate", "--adapt", "batch-stats",
               "--adapt", "batch-stats:all", study / "manifest.json"]
    text = run(command).stdout
    check = schema("mr-eval")
    for line in text.decode().splitlines():
        check(json.loads(line))
    own_header, validation = validation_of(text)
    header, results = read(run([*command, "--split", "val"]).stdout)
    assert own_header["samples"] == header["samples"] and own_header["truth"] == header["truth"]
    assert own_header["attributes"] == header["attributes"]
    thresholds = {m["id"]: m["thresholds"] for m in json.loads(text.split(b"\n")[0])["models"]}
    plain = "batch.pt"
    for model in ("batch.pt", "batch.pt+recalibrate", "batch.pt+batch-stats:volume"):
        want, _ = results[model, "clean", "", 0]
        scores = validation[model, "clean", "", 0]
        np.testing.assert_array_equal(scores, want)
        if model == plain:
            continue
        for l, t in enumerate(thresholds[model]):
            positives = np.sort(scores[l][np.array(header["truth"][l]) == 1])[::-1]
            assert t == positives[int(np.ceil(0.9 * len(positives))) - 1]
    np.testing.assert_array_equal(validation["batch.pt+batch-stats:all", "clean", "", 0],
                                  validation[plain, "clean", "", 0])
    assert thresholds["batch.pt+batch-stats:all"] == thresholds[plain]
    assert thresholds["batch.pt+recalibrate"] != thresholds[plain]


def test_decomposition_evaluates_gain_and_structure_by_themselves(run, study, tmp_path, schema):
    """The structure alone is what mr-corrupt --gain match writes; the gain alone is the clean image
    times that gain. Validation images are scored under the artifact too."""
    m = study / "manifest.json"
    command = ["mr-eval", "-m", study / "batch.pt", "--grid", "bias,motion", "--severities", "3",
               "--seed", "7"]
    text = run([*command, "--decompose", m]).stdout
    check = schema("mr-eval")
    found = {}
    for line in map(json.loads, text.decode().splitlines()):
        check(line)
        if "scores" in line:
            c = line["condition"]
            found[c.get("artifact", ""), c.get("part", "all")] = line["scores"]
    _, plain = read(run([*command, m]).stdout)
    for artifact in ("bias", "motion"):
        assert found[artifact, "all"] == plain["batch.pt", "artifact", artifact, 3][1]["scores"]
        done = run(["mr-corrupt", "-a", f"{artifact}:3", "--gain", "match", "--seed", "7", "-o",
                    tmp_path / artifact, "--manifest-out", tmp_path / f"{artifact}.json", m])
        _, given = read(run(["mr-eval", "-m", study / "batch.pt", tmp_path / f"{artifact}.json"]).stdout)
        (want, _), = given.values()
        structure = np.frombuffer(base64.b64decode(found[artifact, "structure"]), "<f4")
        np.testing.assert_array_equal(structure, want.ravel())
        # Clean images times the gains that mr-corrupt recorded, slice by slice in 2-D.
        document = json.loads(m.read_text())
        gains = {e["id"]: e["artifacts"][-1]["gain"]
                 for e in json.loads((tmp_path / f"{artifact}.json").read_text())["images"]}
        (tmp_path / "scaled").mkdir(exist_ok=True)
        for entry in document["images"]:
            image = nibabel.load(m.parent / entry["file"])
            x = np.asanyarray(image.dataobj) * np.float32(gains[entry["id"]])
            if image.get_data_dtype().kind in "iu":
                x = np.rint(x).astype(image.get_data_dtype())
            entry["file"] = str(tmp_path / "scaled" / os.path.basename(entry["file"]))
            nibabel.save(nibabel.Nifti1Image(x, image.affine, image.header), entry["file"])
        (tmp_path / "scaled.json").write_text(json.dumps(document))
        _, given = read(run(["mr-eval", "-m", study / "batch.pt", tmp_path / "scaled.json"]).stdout)
        (want, _), = given.values()
        gain = np.frombuffer(base64.b64decode(found[artifact, "gain"]), "<f4")
        np.testing.assert_allclose(gain, want.ravel(), rtol=1e-4, atol=1e-4)
    _, validation = validation_of(text)
    assert set(validation) == {("batch.pt", "clean", "", 0), ("batch.pt", "artifact", "bias", 3),
                               ("batch.pt", "artifact", "motion", 3)}
    _, val = read(run([*command, "--split", "val", m]).stdout)
    for key, scores in validation.items():
        np.testing.assert_array_equal(scores, val[key][0])


def test_standardisations_are_arms_of_their_own(run, study, tmp_path):
    """Models that differ in their input's standardisation alone stand side by side; a z-score of each
    slice makes drawn and gain-matched the same (but for rounding to the images' integers), no
    standardisation does not."""
    m = study / "manifest.json"
    for how in ("none", "slice-zscore"):
        run(["mr-train", "--norm", "batch", "--width", "4", "--size", "24x20", "--seed", "1",
             "--epochs", "1", "--standardise", how, "-t", "1", m, "-o", tmp_path / f"{how}.pt"])
    models = [study / "batch.pt", tmp_path / "none.pt", tmp_path / "slice-zscore.pt"]
    run(["mr-eval", *(v for model in models for v in ("-m", model)), "--grid", "bias",
         "--severities", "5", "--decompose", m, "-o", tmp_path / "x.eval"])
    lines = [json.loads(line) for line in (tmp_path / "x.eval").read_text().splitlines()]
    assert [model["normalization"] for model in lines[0]["models"]] == [
        "batch", "batch:none", "batch:slice-zscore"]
    assert lines[0]["grid"]["gain_of"] == "slice"
    scores = {(line["model"], line["condition"].get("part", "all")):
              np.frombuffer(base64.b64decode(line["scores"]), "<f4") for line in lines
              if line.get("condition", {}).get("kind") == "artifact"}
    np.testing.assert_allclose(scores["slice-zscore.pt", "all"],
                               scores["slice-zscore.pt", "structure"], atol=0.05)
    assert np.abs(scores["none.pt", "all"] - scores["none.pt", "structure"]).max() > 0.5
    run(["mr-report", "-o", tmp_path / "report", tmp_path / "x.eval"])
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    assert [arm["arm"] for arm in report["arms"]] == ["batch", "batch:none", "batch:slice-zscore"]
    equality, = report["factorial"]["equalities"]
    assert equality["arm"] == "batch:slice-zscore"
    assert equality["difference"]["value"] == pytest.approx(0, abs=1e-2)


@pytest.mark.parametrize("artifact", ["rician", "motion", "ghosting", "spike", "bias"])
def test_in_memory_equals_files(run, study, tmp_path, artifact):
    """Scores of the grid are the scores of the images that mr-corrupt writes, bit for bit."""
    m = study / "manifest.json"
    _, grid = read(run(["mr-eval", "-m", study / "batch.pt", "--adapt", "batch-stats", "--grid", artifact,
                        "--severities", "3", "--seed", "7", m]).stdout)
    written = run(["mr-corrupt", "-a", f"{artifact}:3", "--seed", "7", "-o", tmp_path / "x", m]).stdout
    _, given = read(run(["mr-eval", "-m", study / "batch.pt", "--adapt", "batch-stats", "-"],
                        stdin=written).stdout)
    for name in ("batch.pt", "batch.pt+batch-stats:volume"):
        scores, line = grid[(name, "artifact", artifact, 3)]
        same, given_line = given[(name, "as_given", f"{artifact}:3", 0)]
        np.testing.assert_array_equal(scores, same)
        assert line["fidelity"]["nrmse"] == pytest.approx(given_line["fidelity"]["nrmse"])
        clean, _ = grid[(name, "clean", "", 0)]
        assert (clean != scores).any()


def test_recipes_are_conditions(run, fails, study, tmp_path, schema):
    """A recipe's scores are those of the images that mr-corrupt --recipe writes."""
    m = study / "manifest.json"
    recipe = tmp_path / "worn.json"
    recipe.write_text(json.dumps({"schema": "mr-recipe/1", "per": "subject", "steps": [
        {"artifact": "bias", "severity": 2}, {"artifact": "rician", "severity": 3, "probability": 0.7}]}))
    command = ["mr-eval", "-m", study / "batch.pt", "--seed", "7", "--recipe", recipe]
    header, found = read(run([*command, "--recipe", "restless-patient", m]).stdout)
    schema("mr-eval")(header)
    assert {key[1:3] for key in found} == {("clean", ""), ("recipe", "worn"),
                                           ("recipe", "restless-patient")}
    assert header["grid"]["recipes"]["worn"]["steps"][0]["artifact"] == "bias"
    for name, said in (("worn", recipe), ("restless-patient", "restless-patient")):
        written = run(["mr-corrupt", "--recipe", said, "--seed", "7", "-o", tmp_path / name, m]).stdout
        _, given = read(run(["mr-eval", "-m", study / "batch.pt", "-"], stdin=written).stdout)
        (want, _), = given.values()
        np.testing.assert_array_equal(found["batch.pt", "recipe", name, 0][0], want)
    fails([*command, "--recipe", recipe, m], 64, "--recipe", "worn", "twice")
    fails(["mr-eval", "-m", study / "batch.pt", "--recipe", "restles-patient", m], 66,
          "restless-patient")


def test_clinic_mix_draws_clean_and_corrupted_images_together(run, fails, study, tmp_path):
    """Each image is as in one cell of the grid or clean; 60 % are clean; the seed says which."""
    m = images.manifest(tmp_path, images=120, labels=("left", "right"), splits=["test"])
    command = ["mr-eval", "-m", study / "group.pt", "--grid", "rician,bias", "--severities", "2,5", m]
    header, found = read(run([*command, "--clinic-mix"]).stdout)
    mix = found.pop(("group.pt", "recipe", "clinic-mix", 0))[0]
    image_of = np.array(header["attributes"]["sample_image"])
    drawn = {key: 0 for key in found}
    for image in range(120):
        at = image_of == image
        same = [key for key, (scores, _) in found.items() if (scores[:, at] == mix[:, at]).all()]
        assert len(same) == 1, image
        drawn[same[0]] += 1
    clean = drawn.pop(("group.pt", "clean", "", 0))
    assert clean == 72
    assert all(4 <= n <= 24 for n in drawn.values()), drawn
    _, again = read(run([*command, "--clinic-mix", "--batch-size", "8"]).stdout)
    np.testing.assert_allclose(again["group.pt", "recipe", "clinic-mix", 0][0], mix, atol=1e-5)
    fails(["mr-eval", "-m", study / "group.pt", "--clinic-mix", m], 64, "--clinic-mix", "--grid")


def test_distance_from_training_statistics_is_pytorchs(run, fails, study, tmp_path, schema):
    """The 2-Wasserstein distance from running statistics, sample by sample, by hooks in PyTorch; the
    report ranks artifacts' samples by it as scikit-learn does."""
    import torch
    from sklearn.metrics import roc_auc_score
    m = study / "manifest.json"
    run(["mr-eval", "-m", study / "batch.pt", "-m", study / "group.pt", "--grid", "rician,bias",
         "--severities", "2,5", "--distance", "--adapt", "batch-stats", m, "-o", tmp_path / "x.eval"])
    check, distance = schema("mr-eval"), {}
    for line in map(json.loads, (tmp_path / "x.eval").read_text().splitlines()):
        check(line)
        if "distance" in line:
            c = line["condition"]
            distance[line["model"], c.get("artifact", ""), c.get("severity", 0)] = np.frombuffer(
                base64.b64decode(line["distance"]), "<f4")
    assert set(distance) == {("batch.pt", "", 0), ("batch.pt", "rician", 5), ("batch.pt", "bias", 5)}
    network = torch.jit.load(str(study / "batch.pt")).eval()
    layers = [layer for layer in network.modules() if hasattr(layer, "running_var")]
    assert len(layers) > 5
    for layer in layers:
        layer.recording = True
    volumes, _ = pixels(m)
    want = []
    for x in np.concatenate(volumes):
        for layer in layers:
            layer.recorded = []
        with torch.no_grad():
            network(torch.from_numpy(x[None]))
        parts = []
        for layer in layers:
            _, mean, variance = layer.recorded[0].double().numpy()
            mu, v = layer.running_mean.double().numpy(), layer.running_var.double().numpy()
            parts.append(np.mean(((mean - mu) ** 2 + (np.sqrt(variance) - np.sqrt(v)) ** 2)
                                 / (v + layer.eps)))
        want.append(np.sqrt(np.mean(parts)))
    np.testing.assert_allclose(distance["batch.pt", "", 0], want, rtol=1e-4)
    run(["mr-report", "--level", "sample", "-o", tmp_path / "report", tmp_path / "x.eval"])
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    schema("mr-report")(report)
    rows = {(d["arm"], d["artifact"]): d for d in report["detections"] if d["by"] == "distance"}
    assert set(rows) == {("batch", "rician"), ("batch", "bias")}
    for artifact in ("rician", "bias"):
        both = np.concatenate([distance["batch.pt", "", 0], distance["batch.pt", artifact, 5]])
        truth = np.repeat([0, 1], len(want))
        assert rows["batch", artifact]["auroc"]["value"] == pytest.approx(roc_auc_score(truth, both))
    # Of volumes: the mean over their slices.
    run(["mr-report", "--level", "volume", "-o", tmp_path / "volumes", tmp_path / "x.eval"])
    report = json.loads((tmp_path / "volumes" / "report.json").read_text())
    found, = [d for d in report["detections"] if d["by"] == "distance" and d["artifact"] == "rician"]
    means = np.concatenate([distance["batch.pt", "", 0], distance["batch.pt", "rician", 5]])
    means = means.reshape(-1, 6).mean(1)
    assert found["auroc"]["value"] == pytest.approx(
        roc_auc_score(np.repeat([0, 1], len(means) // 2), means), abs=1e-6)
    fails(["mr-eval", "-m", study / "batch.pt", "--distance", m], 64, "--distance", "--grid")
    done = run(["mr-eval", "-m", study / "group.pt", "--grid", "bias", "--severities", "2", "--distance", m])
    assert b"--distance: no model has batch norm" in done.stderr
    assert not any("distance" in line for _, line in read(done.stdout)[1].values())


def test_mean_intensity_of_each_sample_is_recorded(run, study, tmp_path):
    """That of the network's input before standardisation: columns cropped, rows padded; of images as given too."""
    m = study / "manifest.json"
    header, _ = read(run(["mr-eval", "-m", study / "batch.pt", "--grid", "bias", "--severities", "5", m]).stdout)
    entries = [e for e in json.loads(m.read_text())["images"] if e["split"] == "test"]
    want = [nibabel.load(m.parent / e["file"]).get_fdata()[2:22, :, s["slice"]["index"]].sum() / 480
            for e in entries for s in e["samples"]]
    np.testing.assert_allclose(header["attributes"]["sample_intensity"], want, rtol=1e-5)
    given, _ = read(run(["mr-eval", "-m", study / "batch.pt", m]).stdout)
    assert given["attributes"]["sample_intensity"] == header["attributes"]["sample_intensity"]


def test_threads_do_not_matter_to_the_corruption(run, study):
    """Scores agree to 1e-5 whatever the threads; fidelity and order to the bit."""
    outputs = [read(run(["mr-eval", "-m", study / "group.pt", "--grid", "motion", "-t", t,
                         study / "manifest.json"]).stdout) for t in (1, 3)]
    for key, (scores, line) in outputs[0][1].items():
        other, other_line = outputs[1][1][key]
        np.testing.assert_allclose(scores, other, atol=1e-5)
        assert line["fidelity"] == other_line["fidelity"]


def test_stopped_run_resumes_to_the_same_bytes(run, study, tmp_path):
    """Many images, so that there are several blocks; stopped after the first."""
    m = images.manifest(tmp_path, images=90, labels=("left", "right"))
    command = ["-m", str(study / "batch.pt"), "--grid", "study", "-t", "1", str(m)]
    run(["mr-eval", *command, "-o", tmp_path / "whole.eval"])
    for how, status in ((signal.SIGTERM, 75), (signal.SIGKILL, -9)):
        out = tmp_path / f"part{status}.eval"
        p = subprocess.Popen([BIN / "mr-eval", *command, "-o", out], stderr=subprocess.PIPE)
        partial = tmp_path / f"part{status}.eval.partial"
        while p.poll() is None and not (partial.exists() and partial.read_bytes().count(b"\n") >= 2):
            time.sleep(0.01)
        p.send_signal(how)
        assert p.wait() == status, p.stderr.read()
        assert not out.exists()
        run(["mr-eval", *command, "-o", out, "--resume"])
        assert out.read_bytes() == (tmp_path / "whole.eval").read_bytes()
        assert not partial.exists()


def test_pipe_of_all_tools(run, tmp_path):
    script = f"""set -o pipefail; PATH={BIN}:$PATH; cd {tmp_path}
    mr-phantom -o data --subjects 9 --matrix 32 --seed 3 \\
      | mr-manifest split --ratio train=.5,val=.25,test=.25 --seed 1 --manifest-out split.json -
    mr-train --norm group --groups 4 --width 4 --size 32x32 --epochs 1 -o m.pt split.json
    mr-phantom -o new --subjects 6 --matrix 32 --seed 4 | mr-corrupt -a motion:3 -o moved - \\
      | mr-eval -m m.pt - | mr-report -"""
    p = subprocess.run(["bash", "-c", script], capture_output=True)
    assert p.returncode == 0, p.stderr.decode()
    assert "AUROC" in p.stdout.decode()


# ---- what goes wrong ----

def test_errors(run, fails, study, tmp_path):
    m, model = study / "manifest.json", study / "group.pt"
    fails(["mr-eval", "-m", tmp_path / "no.pt", m], 66, "no.pt")
    fails(["mr-eval", "-m", m, m], 65, "manifest.json", "TorchScript")
    fails(["mr-eval", "-m", model, tmp_path / "no.json"], 66, "no.json")
    fails(["mr-eval", "-m", model, "--grid", "moton", m], 64, "moton", "motion")
    fails(["mr-eval", "-m", model, "--adapt", "batch-stat", m], 64, "batch-stat")
    fails(["mr-eval", "-m", model, "--adapt", "batch-stats", m], 64, "no model has batch norm")
    fails(["mr-eval", "-m", model, "--severities", "6", m], 64, "6")
    fails(["mr-eval", "-m", model, "--split", "nowhere", m], 65, "nowhere", "empty")
    fails(["mr-eval", "-m", model, "--device", "cuda:99", m], 64, "cuda:99")
    fails(["mr-eval", "-m", model, "-"], 65, "standard input", stdin=b'{"schema": "mr-manifest/1",')
    document = json.loads(m.read_text())
    other = tmp_path / "other.json"
    images.write(other, ("left", "up"), document["images"])
    fails(["mr-eval", "-m", model, other, "--root", study], 65, "left, up", "left, right")
    out = tmp_path / "x.eval"
    out.write_text("mine")
    fails(["mr-eval", "-m", model, m, "-o", out], 73, "x.eval")
    assert out.read_text() == "mine"


FOREIGN = """
import torch
class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(3)
        self.conv = torch.nn.Conv2d(CHANNELS, 4, 3)
        self.norm = torch.nn.BatchNorm2d(4)
        self.norm.running_mean += 0.1
        self.head = torch.nn.Linear(4, 2 if OUTPUT == "plain" else 4)
    def forward(self, x):
        z = self.head(torch.relu(self.norm(self.conv(x))).mean((2, 3)))
        RETURN
"""
RETURNS = {"logit": "return z", "probability": "return torch.sigmoid(z)",
           "two_logit": "return z.reshape(-1, 2, 2)", "heads": "return z[:, :2], z[:, 2:]"}


def test_controls_are_evaluated_by_one_option(run, fails, study, tmp_path, schema):
    """Gain alone as mr-corrupt writes it, recalibration as --adapt makes it, the clinic mix; none of
    them is an artifact of the endpoint."""
    m = study / "manifest.json"
    grid = ["--grid", "rician", "--severities", "2,5", "--seed", "7"]
    command = ["mr-eval", "-m", study / "batch.pt", "-m", study / "group.pt", *grid]
    header, found = read(run([*command, "--controls", m]).stdout)
    schema("mr-eval")(header)
    recipes = {"clinic-mix"} | {f"gain-{how}:{s}" for how in ("common", "random") for s in (2, 5)}
    assert {key[2] for key in found if key[1] == "recipe"} == recipes == set(header["grid"]["recipes"])
    assert {key[0] for key in found} == {"batch.pt", "batch.pt+recalibrate", "group.pt"}
    _, same = read(run([*command, "--adapt", "recalibrate", "--clinic-mix", m]).stdout)
    for key, (scores, _) in same.items():
        np.testing.assert_array_equal(found[key][0], scores)
    for how in ("common", "random"):
        (tmp_path / f"{how}.json").write_text(json.dumps(
            {"schema": "mr-recipe/1", "per": "subject",
             "steps": [{"artifact": f"gain-{how}", "severity": 5}]}))
        written = run(["mr-corrupt", "--recipe", tmp_path / f"{how}.json", "--seed", "7", "-o",
                       tmp_path / how, m]).stdout
        _, given = read(run(["mr-eval", "-m", study / "group.pt", "-"], stdin=written).stdout)
        (want, _), = given.values()
        np.testing.assert_array_equal(found["group.pt", "recipe", f"gain-{how}:5", 0][0], want)
    run([*command, "--controls", m, "-o", tmp_path / "x.eval"])
    done = run(["mr-report", "-o", tmp_path / "report", tmp_path / "x.eval"])
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    schema("mr-report")(report)
    assert {e["artifact"] for e in report["verdicts"][0].get("harms", [])} <= {"rician"}
    assert report["controls"]["missing"] == ["training with augmentation"]
    # They have a section of their own, and are not shown again wherever recipes are.
    assert {c["images"] for c in report["calibration"]} == {"clean", "highest severity",
                                                             "recipe:clinic-mix"}
    # The mean over severities of the change, once more from the estimates of single conditions.
    for row in report["controls"]["gains"]:
        changes = [e["value"] for e in report["estimates"]
                   if e["quantity"] == "change" and e["arm"] == row["arm"] and e["label"] == "macro"
                   and e["metric"] == "auroc" and row["control"] + ":" in e["artifact"]]
        assert len(changes) == 2
        assert row["auroc"]["value"] == pytest.approx(np.mean(changes), abs=1e-12)
    assert "## Controls" in done.stdout.decode() and "Gain alone" in done.stdout.decode()
    fails(["mr-eval", "-m", study / "group.pt", "--controls", m], 64, "--controls", "--grid")
    # Without batch norm there is nothing to recalibrate; without training images nothing to do it with.
    header, _ = read(run(["mr-eval", "-m", study / "group.pt", *grid, "--controls", m]).stdout)
    assert not any("recalibration" in note for note in header["notes"])
    run(["mr-manifest", "filter", "--split", "test", "--manifest-out", study / "only-test.json", m])
    header, found = read(run([*command, "--controls", study / "only-test.json"]).stdout)
    assert any("recalibration" in note for note in header["notes"])
    assert {key[0] for key in found} == {"batch.pt", "group.pt"}


@pytest.mark.parametrize("how", RETURNS)
def test_foreign_classifiers_are_evaluated(run, study, schema, tmp_path, how):
    """TorchScript that another program made, described by a person: scores are PyTorch's, thresholds
    come from clean validation images."""
    import torch
    output = "two_logit" if how == "heads" else how
    channels = 3 if how == "probability" else 1
    plain = how in ("logit", "probability")
    (tmp_path / "net.py").write_text(
        FOREIGN.replace("CHANNELS", str(channels)).replace("OUTPUT", '"plain"' if plain else '"two"')
        .replace("RETURN", RETURNS[how]))

    spec = importlib.util.spec_from_file_location("net", tmp_path / "net.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    net = module.Net().eval()
    torch.jit.script(net).save(str(tmp_path / "other.pt"))
    text = {"schema": "mr-foreign/1", "output": output, "channels": channels,
            "operating_rule": "sens>=0.80",
            "preprocessing": {"standardisation": "volume-percentile", "size": list(SIZE),
                              "spacing_mm": None, "neighbours": 1, "depth": None}}
    schema("mr-foreign")(text)
    (tmp_path / "other.json").write_text(json.dumps(text))
    done = run(["mr-eval", "-m", tmp_path / "other.pt", "-m", study / "group.pt", "--foreign",
                tmp_path / "other.json", study / "manifest.json"])
    for line in done.stdout.decode().splitlines():
        schema("mr-eval")(json.loads(line))
    header, results = read(done.stdout)
    model = header["models"][0]
    assert (model["normalization"], model["run"], model["id"]) == ("other", 0, "other.pt")
    if how == "logit":  # explained by probes alone
        text = run(["mr-eval", "-m", tmp_path / "other.pt", "--foreign", tmp_path / "other.json", "--grid",
                    "bias", "--severities", "3", "--explain", "bias:3", study / "manifest.json"]).stdout
        found = [json.loads(line)["explanation"] for line in text.decode().splitlines()
                 if line.startswith('{"explanation"')]
        assert [e["model"] for e in found] == ["other.pt"] and found[0]["probes"]
        assert not found[0]["layers"] and not found[0]["swaps"]
    assert "other.json" in [i["name"] for i in header["provenance"][-1]["inputs"]]

    def scores(split):
        volumes, truth = pixels(study / "manifest.json", split=split)
        x = torch.from_numpy(np.concatenate(volumes)).repeat(1, channels, 1, 1)
        with torch.no_grad():
            z = net.head(torch.relu(net.norm(net.conv(x))).mean((2, 3)))
        if not plain:
            z = z.reshape(-1, 2, 2)[:, :, 1] - z.reshape(-1, 2, 2)[:, :, 0]
        return z.numpy().T, truth.T

    want, _ = scores("test")
    np.testing.assert_allclose(results["other.pt", "clean", "", 0][0], want, rtol=1e-4, atol=1e-5)
    val, truth = scores("val")
    for l, t in enumerate(model["thresholds"]):
        positives = np.sort(val[l][truth[l] == 1])[::-1]
        assert t == pytest.approx(positives[int(np.ceil(0.8 * len(positives))) - 1], abs=1e-5)


def test_foreign_classifiers_must_be_as_they_are_said_to_be(fails, study, tmp_path):
    import torch

    class Wide(torch.nn.Module):
        def forward(self, x):
            return x.mean((1, 2, 3))[:, None].repeat(1, 3) + 2

    torch.jit.script(Wide()).save(str(tmp_path / "foreign.pt"))
    good = {"schema": "mr-foreign/1", "output": "logit",
            "preprocessing": {"standardisation": "volume-percentile", "size": list(SIZE),
                              "spacing_mm": None, "neighbours": 1, "depth": None}}

    def described(**changes):
        (tmp_path / "d.json").write_text(json.dumps({**good, **changes}))
        return ["mr-eval", "-m", tmp_path / "foreign.pt", "--foreign", tmp_path / "d.json",
                study / "manifest.json"]

    fails(["mr-eval", "-m", tmp_path / "foreign.pt", study / "manifest.json"], 65, "foreign.pt",
          "mr.json", "--foreign")
    fails(described(), 65, "foreign.pt", "32 x 3", "2 labels")
    fails(described(output="sigmoid"), 65, "d.json", "'sigmoid'", "probability")
    fails(described(channels=0), 65, "d.json", "channels")
    fails(described(operating_rule="best"), 65, "d.json", "best")
    fails(described(preprocessing={"size": [8, 8]}), 65, "d.json", "preprocessing", "standardisation")
    fails(described(schema="mr-foreign/2"), 65, "d.json", "mr-foreign")
    fails([*described(), "--adapt", "batch-stats"], 64, "--adapt", "batch norm")

    class Twice(torch.nn.Module):
        def forward(self, x):
            return x.mean((1, 2, 3))[:, None].repeat(1, 2) + 2

    torch.jit.script(Twice()).save(str(tmp_path / "foreign.pt"))
    fails(described(output="probability"), 65, "foreign.pt", "no probability")


def test_label_with_one_class_has_no_auroc(run, study, tmp_path):
    document = json.loads((study / "manifest.json").read_text())
    for entry in document["images"]:
        entry["file"] = str(study / entry["file"])
        for sample in entry["samples"]:
            sample["labels"][0] = 0
    images.write(tmp_path / "m.json", ("left", "right"), document["images"])
    _, results = read(run(["mr-eval", "-m", study / "group.pt", tmp_path / "m.json"]).stdout)
    (_, line), = results.values()
    assert line["metrics"]["left"]["auroc"]["value"] is None
    assert "positive" in line["metrics"]["left"]["auroc"]["reason"]
    assert line["metrics"]["right"]["auroc"]["value"] is not None


def test_memory_does_not_grow_with_the_manifest(run, study, tmp_path):
    """10,000 samples: less than 200 MB above what 60 samples take."""
    document = json.loads((study / "manifest.json").read_text())
    entry = document["images"][0]
    peaks = []
    for count in (10, 1667):
        entries = [{**entry, "id": f"i{i}", "subject": f"s{i}", "split": "test",
                    "file": str(study / entry["file"])} for i in range(count)]
        images.write(tmp_path / "m.json", ("left", "right"), entries)
        with open(tmp_path / "out.eval", "wb") as out:
            p = subprocess.Popen([BIN / "mr-eval", "-q", "-m", study / "group.pt", tmp_path / "m.json"],
                                 stdout=out)
            _, status, usage = os.wait4(p.pid, 0)
        assert status == 0
        peaks.append(usage.ru_maxrss)
    assert peaks[1] - peaks[0] < 200_000, peaks


def test_a_protocol_says_the_grid_and_is_recorded(run, fails, study, tmp_path):
    protocol, manifest, model = tmp_path / "p.json", study / "manifest.json", study / "group.pt"
    run(["mr-eval", "protocol", "--grid", "bias,rician", "--severities", "2,5", "--standard-error",
         "0.005", "-o", protocol])
    planned = run(["mr-eval", "-m", model, "--protocol", protocol, manifest]).stdout
    header, results = read(planned)
    digest = hashlib.sha256(protocol.read_bytes()).hexdigest()
    assert {"name": "p.json", "sha256": digest} in header["provenance"][-1]["inputs"]
    plain = run(["mr-eval", "-m", model, "--grid", "bias,rician", "--severities", "2,5",
                 manifest]).stdout
    assert planned.split(b"\n")[1:] == plain.split(b"\n")[1:]
    assert {key[1:] for key in results} == {
        ("clean", "", 0), *(("artifact", a, s) for a in ("bias", "rician") for s in (2, 5))}
    command = ["mr-eval", "-m", model, "--protocol", protocol, manifest]
    fails([*command, "--grid", "bias"], 64, "--protocol", "--grid")
    fails([*command, "--severities", "1"], 64, "--protocol", "--severities")
    protocol.write_text(protocol.read_text().replace('"bias"', '"bais"'))
    fails(command, 64, "bais", "bias")
    fails(["mr-eval", manifest], 64, "--model")
    fails(["mr-eval", "-m", model, "--decompose", manifest], 64, "--decompose", "--grid")
