"""mr-train sweep and best: commands that a shell runs, and the choice as numpy makes it."""
import json
import shlex
import subprocess

import numpy as np
import pytest

from conftest import BIN, ROOT
from test_mr_train import write_data, write_manifest

SMALL = ["--width", "4", "--blocks", "1,1", "--size", "16x20", "--batch", "8", "--epochs", "2",
         "--threads", "1"]


def sweep(*options):
    return ["mr-train", "sweep", *map(str, options)]


def lines(done):
    return done.stdout.decode().splitlines()


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lab")
    write_manifest(folder / "study.json", write_data(folder))
    (folder / "my models").mkdir()
    return folder


@pytest.fixture(scope="module")
def commands(run, lab):
    return lines(run(sweep("--norm", "batch,layer_chw", "--lr", "3e-3,1e-2", "--tuning-seeds", "11,12",
                           *SMALL, "-o", "my models/", "study.json"), cwd=lab))


def in_shell(commands, folder):
    """As a user runs them: xargs, one command a line, two side by side."""
    p = subprocess.run(["xargs", "-d", "\n", "-n", "1", "-P", "2", "sh", "-c"], cwd=folder,
                       input="\n".join(commands).encode(), capture_output=True)
    assert p.returncode == 0, p.stderr.decode()


@pytest.fixture(scope="module")
def tuned(commands, lab):
    """The logs of the sweep, relative to the folder."""
    in_shell(commands, lab)
    return sorted(str(path.relative_to(lab)) for path in lab.glob("my models/*.log.jsonl"))


def read_log(path):
    with open(path) as f:
        return [json.loads(line) for line in f]


def test_every_point_of_the_grid_is_a_command_with_its_own_output(commands):
    words = [shlex.split(command) for command in commands]
    assert {w[0] for w in words} == {str(BIN / "mr-train")}
    value = lambda w, option: w[w.index(option) + 1]
    points = [(value(w, "--norm"), value(w, "--lr"), value(w, "--seed")) for w in words]
    assert points == [(n, r, s) for n in ("batch", "layer_chw") for r in ("3e-3", "1e-2")
                      for s in ("11", "12")]
    assert [value(w, "-o") for w in words] == [
        f"my models/{n.replace('_', '-')}_lr{r}_wd0.01_s{s}.pt" for n, r, s in points]
    assert all("--resume" in w and w[-1] == "study.json" for w in words)
    assert all(value(w, "--blocks") == "1,1" for w in words)  # a list that is one value


def test_the_commands_run_and_record_what_they_were_told(tuned, lab):
    assert len(tuned) == 8
    for path in tuned:
        header = read_log(lab / path)[0]
        name = f"{header['normalization'].replace('_', '-')}_lr{header['training']['learning_rate']}"
        assert path.startswith("my models/" + name.replace("0.003", "3e-3").replace("0.01", "1e-2"))


def test_a_grid_in_a_file_gives_the_same_commands_and_what_is_typed_wins(
        run, commands, lab, schema):
    document = dict(schema="mr-sweep/1", output="my models/", manifest="study.json",
                    tuning_seeds=[11, 12],
                    options=dict(norm=["batch", "layer_chw"], lr=["3e-3", "1e-2"], width=4,
                                 blocks="1,1", size="16x20", batch=8, epochs=2, threads=1))
    schema("mr-sweep")(document)
    (lab / "sweep.json").write_text(json.dumps(document))
    assert lines(run(sweep("--file", "sweep.json"), cwd=lab)) == commands
    typed = lines(run(sweep("--file", "sweep.json", "--norm", "group", "--groups", "2,4",
                            "--tuning-seeds", "5", "--force"), cwd=lab))
    assert len(typed) == 4 and all("--norm group " in c and " --force " in c for c in typed)
    assert [c.count("--groups 2 ") for c in typed] == [1, 0, 1, 0]


def test_typos_in_a_file_are_refused_with_the_nearest_name(fails, tmp_path):
    path = tmp_path / "sweep.json"

    def refused(part, **members):
        path.write_text(json.dumps({"schema": "mr-sweep/1", "output": "m", "manifest": "s.json",
                                    **members}))
        fails(sweep("--file", path), 65, "sweep.json: ", part)

    refused("unknown option 'nrom'; did you mean 'norm'?", options={"nrom": ["batch"]})
    refused("unknown member 'tuning_seed'; did you mean 'tuning_seeds'?", tuning_seed=[1])
    refused("unknown option 'seed'", options={"seed": [1]})
    refused("unknown normalization 'instanse'", options={"norm": ["batch", "instanse"]})
    refused("--size: want ROWSxCOLUMNS", options={"size": "64"})
    refused("--lr", options={"lr": [-1]})
    refused("lr: has no value", options={"lr": []})
    refused("force: want true or false", options={"force": 1})
    refused("tuning_seeds: want whole numbers", tuning_seeds=["a"])
    refused("want schema mr-sweep/1", schema="mr-recipe/1")
    fails(sweep("--file", tmp_path / "none.json"), 66, "none.json")


@pytest.mark.parametrize("options, part", [
    (["--nrom", "batch"], "--nrom"),
    (["--norm", "batch,instanse"], "did you mean 'instance'"),
    (["--standardise", "zscore"], "zscore"),
    (["--seed", "3"], "--seed: no option of mr-train sweep"),
    (["--tuning-seeds", "3,3"], "3 is named twice"),
    (["--lr", "0.1,0.1"], "two commands would write it"),
])
def test_what_cannot_be_swept_is_a_usage_error(fails, options, part):
    fails(sweep(*options, "-o", "m", "study.json"), 64, part)


def test_a_sweep_wants_a_folder_and_a_file(fails):
    fails(sweep("study.json"), 64, "--output is required")
    fails(sweep("-o", "m"), 64, "manifest: want a file")
    fails(sweep("-o", "m", "-"), 64, "manifest: want a file")
    fails(["mr-train", "study.json", "sweep", "-o", "m"], 64, "manifest: ", "after its name")


def by_hand(lab, logs):
    """{normalization: {learning rate: validation AUROC of the best epochs, by seed}}."""
    table = {}
    for path in logs:
        header, *epochs, _ = read_log(lab / path)
        best = max(e["val_auroc_mean"] for e in epochs)
        training = header["training"]
        table.setdefault(header["normalization"], {}).setdefault(
            training["learning_rate"], {})[training["seed"]] = best
    return table


def test_the_choice_is_the_one_that_numpy_makes(run, lab, tuned, schema):
    done = run(["mr-train", "best", "--json", *tuned], cwd=lab)
    choice = json.loads(done.stdout)
    schema("mr-train-choice")(choice)
    table = by_hand(lab, tuned)
    assert choice["runs"] == 8
    assert [c["normalization"] for c in choice["normalizations"]] == ["batch", "layer_chw"]
    for chosen in choice["normalizations"]:
        rates = table[chosen["normalization"]]
        means = {rate: np.mean(list(runs.values())) for rate, runs in rates.items()}
        rate = min(means, key=lambda r: (-means[r], r))
        assert chosen["configuration"]["training"]["learning_rate"] == rate
        assert chosen["mean"] == pytest.approx(means[rate], abs=1e-12)
        assert chosen["sd"] == pytest.approx(np.std(list(rates[rate].values()), ddof=1), abs=1e-12)
        assert chosen["seeds"] == [11, 12]
        assert [r["val_auroc_mean"] for r in chosen["runs"]] == [rates[rate][s] for s in (11, 12)]
        assert sorted(c["mean"] for c in chosen["candidates"]) == pytest.approx(
            sorted(means.values()))
        assert "seed" not in chosen["configuration"]["training"]
    words = done.stderr.decode()
    assert "mr-train: chosen from 8 runs" in words and "warning" not in words
    assert words.count("best of 2 configurations, 4 runs") == 2
    assert len(choice["provenance"][-1]["inputs"]) == 8
    again = run(["mr-train", "best", "--json", "-q", *reversed(tuned)], cwd=lab)
    assert json.loads(again.stdout)["normalizations"] == choice["normalizations"]
    assert again.stderr == b""


def test_the_printed_commands_train_the_chosen_configuration_with_fresh_seeds(run, lab, tuned):
    (lab / "report").mkdir()
    choice = json.loads(run(["mr-train", "best", "--json", *tuned], cwd=lab).stdout)
    options = ["--report-seeds", "1,2", "-o", "report"]
    commands = lines(run(["mr-train", "best", *options, *tuned], cwd=lab))
    assert len(commands) == 4
    in_shell(commands, lab)
    for chosen in choice["normalizations"]:
        stem = chosen["runs"][0]["log"].split("/")[1].replace("_s11.pt.log.jsonl", "")
        for seed in (1, 2):
            header = read_log(lab / "report" / f"{stem}_s{seed}.pt.log.jsonl")[0]
            assert header["training"].pop("seed") == seed
            assert header["training"].pop("threads") == 1
            want = chosen["configuration"]
            assert {k: header["training"][k] for k in want["training"]} == want["training"]
            assert {k: header[k] for k in want if k != "training"} == {
                k: v for k, v in want.items() if k != "training"}
    assert len(lines(run(["mr-train", "best", *tuned], cwd=lab))) == 2 * 5
    # Of report runs the choice may be asked for too, but not the same seeds once more.
    again = sorted(str(p) for p in (lab / "report").glob("*.log.jsonl"))
    assert json.loads(run(["mr-train", "best", "--json", *again]).stdout)["runs"] == 4
    assert run(["mr-train", "best", *again], check=False).returncode == 64


def test_a_command_whose_model_is_there_leaves_it(tuned, commands, lab):
    model = lab / tuned[0].replace(".log.jsonl", "")
    before = model.read_bytes()
    command = next(c for c in commands if model.name in c)
    assert subprocess.run(["sh", "-c", command], cwd=lab, capture_output=True).returncode == 0
    assert model.read_bytes() == before


def test_unequal_budgets_are_warned_of(run, lab, tuned):
    few = [path for path in tuned if "layer-chw_lr1e-2" not in path and "batch_lr3e-3_wd0.01_s12" not in
           path]
    words = run(["mr-train", "best", *few], cwd=lab).stderr.decode()
    assert "warning: unequal budgets: configurations of batch 2, of layer_chw 1" in words
    assert "warning: unequal budgets: batch, lr 0.003, wd 0.01 lacks seed 12" in words


def test_bad_choices_are_refused(run, fails, lab, tuned, tmp_path):
    best = lambda *words: ["mr-train", "best", *words]
    fails(best("--report-seeds", "1,11", *tuned), 64, "11 was used for tuning", "s11", cwd=lab)
    fails(best("--report-seeds", "1,1", *tuned), 64, "1 is named twice", cwd=lab)
    fails(best("--norm", "batch", *tuned), 64, "--norm: no option of mr-train best", cwd=lab)
    fails(best(tuned[0], tuned[0]), 65, "the same configuration and seed", cwd=lab)
    fails(best(), 64, "logs")
    text = (lab / tuned[0]).read_text().splitlines(keepends=True)
    unfinished = tmp_path / "u.log.jsonl"
    unfinished.write_text("".join(text[:-1]))
    fails(best(unfinished), 65, "u.log.jsonl: unfinished")
    fails(best(lab / "study.json"), 65, "study.json: not a training log")
    fails(best(tmp_path / "none.jsonl"), 66, "none.jsonl")


def test_a_piped_manifest_must_be_named(run, fails, lab):
    run(["mr-train", *SMALL, "--seed", "9", "--root", lab, "-q", "-o", lab / "piped.pt"],
        stdin=(lab / "study.json").read_bytes())
    log = lab / "piped.pt.log.jsonl"
    fails(["mr-train", "best", log], 65, "piped.pt.log.jsonl", "--manifest")
    done = run(["mr-train", "best", "-q", "--manifest", "study.json", "--report-seeds", "1", log])
    words = shlex.split(done.stdout.decode())
    assert words[-2:] == [str(lab / "piped_s1.pt"), "study.json"]


def test_a_study_with_a_grid_reports_fresh_seeds_of_the_chosen_point(run, lab, tmp_path):
    """The rules of Makefile.inc: tuned, chosen, trained anew, evaluated."""
    run(["mr-eval", "--version"])  # skips where it is not built
    (tmp_path / "Makefile").write_text(
        f"OUT := {tmp_path}\ninclude {ROOT}/Makefile.inc\n$(eval $(call study))\n"
        f"$(OUT)/manifest.json:\n\tcp {lab}/*.nii.gz $(OUT) && cp {lab}/study.json $@\n")
    settings = ["NORMS=layer_chw", "LRS=3e-3 1e-2", "TUNING_SEEDS=11 12", "SEEDS=1 2", f"BUILD={BIN}",
                f"TRAIN_FLAGS={' '.join(SMALL)} -q", "EVAL_FLAGS=--grid rician -q", "DEVICE=cpu"]
    done = subprocess.run(["make", "-C", tmp_path, f"{tmp_path}/report/report.html", *settings],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "chosen from 4 runs, by validation alone" in done.stderr
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    assert [arm["runs"] for arm in report["arms"]] == [[1, 2]]
    assert [run["seed"] for run in report["training"]] == [1, 2]
    table = by_hand(tmp_path, [f"tuning/{path.name}" for path in tmp_path.glob("tuning/*.jsonl")])
    means = {rate: np.mean(list(runs.values())) for rate, runs in table["layer_chw"].items()}
    best = min(means, key=lambda r: (-means[r], r))
    for seed in (1, 2):
        training = read_log(tmp_path / "models" / f"layer_chw_s{seed}.pt.log.jsonl")[0]["training"]
        assert (training["learning_rate"], training["seed"]) == (best, seed)
