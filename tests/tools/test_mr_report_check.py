"""mr-report --check: a small study made by the tools, then changed in one place at a time."""
import base64
import copy
import json
import random
import shutil

import jsonschema
import numpy as np
import pytest

from conftest import ROOT
from test_mr_report import GRID, Cohort, evaluation


@pytest.fixture(scope="module")
def made(tmp_path_factory, run):
    """Manifest, model, log, protocol, evaluation and report of one small study."""
    folder = tmp_path_factory.mktemp("study")
    images = run(["mr-phantom", "-n", 16, "-o", folder / "images"]).stdout
    run(["mr-manifest", "split", "--ratio", "train=.4,val=.25,test=.35", "--manifest-out",
         folder / "manifest.json", "-"], stdin=images)
    run(["mr-train", "-q", "--norm", "batch", "--width", 4, "--blocks", "1,1", "--size", "24x24",
         "--epochs", 1, "--epoch-samples", 32, "-t", 1, "-o", "batch.pt", "manifest.json"],
        cwd=folder)
    run(["mr-eval", "protocol", "-q", "--grid", "motion", "--severities", "2,4",
         "--standard-error", "0.01", "-o", "protocol.json"], cwd=folder)
    run(["mr-eval", "-q", "-m", "batch.pt", "--protocol", "protocol.json", "-t", 1, "-o",
         "batch.eval", "manifest.json"], cwd=folder)
    run(["mr-report", "-o", "report", "batch.eval", "batch.pt.log.jsonl"], cwd=folder)
    return folder


FILES = ["manifest.json", "batch.pt", "batch.pt.log.jsonl", "protocol.json", "batch.eval", "report"]


@pytest.fixture
def study(made, tmp_path):
    for name in FILES:
        copy_ = shutil.copytree if (made / name).is_dir() else shutil.copy
        copy_(made / name, tmp_path / name)
    return tmp_path


@pytest.fixture
def findings(run, study):
    """findings(files, status): the lines of a check as (file, finding, what)."""

    def check(*files, status=0, options=()):
        done = run(["mr-report", "--check", *options, *files], cwd=study, check=False)
        message = done.stderr.decode()
        assert done.returncode == status, message
        lines = [tuple(line.split(": ", 2)) for line in done.stdout.decode().splitlines()]
        differing = sum(line[1] == "differs" for line in lines)
        assert (differing > 0) == (status == 65)
        if status == 65:
            assert message.startswith(f"mr-report: check: {differing} of {len(lines)} finding")
            assert message.count("\n") == 1
        return lines

    return check


def test_a_study_as_it_was_made_is_verified(findings, study):
    lines = findings(*FILES)
    assert {line[1] for line in lines} == {"verified", "not found"}
    said = {file: [line[2] for line in lines if line[0] == file and line[1] == "verified"]
            for file in FILES}
    assert said["manifest.json"] == ["structure: mr-manifest/1"]
    assert said["batch.pt"][0] == "structure: mr-model/1"
    assert said["batch.pt.log.jsonl"][0] == "structure: mr-train-log/1, 1 epoch"
    assert said["protocol.json"] == ["structure: mr-protocol/1", "planned power, computed anew"]
    assert said["batch.eval"][:2] == [
        "structure: mr-eval/1, 3 results of 1 model",
        "metrics and influences of 3 results, computed anew from the scores"]
    assert said["report"][0] == "structure: mr-report/1"
    estimates = json.loads((study / "report" / "report.json").read_text())["estimates"]
    assert said["report"][-1] == f"{len(estimates)} estimates, computed anew from the evaluations"
    for file, name in (("batch.pt", "mr-train read manifest.json"),
                       ("batch.eval", "mr-eval read batch.pt"),
                       ("batch.eval", "mr-eval read protocol.json"),
                       ("report", "mr-report read batch.eval"),
                       ("report", "mr-report read batch.pt.log.jsonl")):
        assert any(what.startswith(name + ", SHA-256 ") for what in said[file]), (file, name)
    # What came through a pipe is nowhere.
    assert all("read standard input" in line[2] for line in lines if line[1] == "not found")


def test_an_input_that_changed_differs_and_one_that_is_gone_does_not(findings, study):
    (study / "manifest.json").write_text((study / "manifest.json").read_text() + "\n")
    (study / "away").mkdir()
    (study / "batch.pt").rename(study / "away" / "batch.pt")
    lines = findings("batch.eval", status=65)
    manifest = next(line for line in lines if "read manifest.json" in line[2])
    assert manifest[1] == "differs" and f"{study / 'manifest.json'} has " in manifest[2]
    assert next(line for line in lines if "read batch.pt" in line[2])[1] == "not found"
    lines = findings("batch.eval", status=65, options=["--root", "away"])
    assert next(line for line in lines if "read batch.pt" in line[2])[1] == "verified"


def edited_lines(path, edit):
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    edit(lines)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def results(lines):
    return [line for line in lines if "metrics" in line]


def changed_score(lines):
    line = results(lines)[1]
    scores = np.frombuffer(base64.b64decode(line["scores"]), "<f4").copy()
    scores[0] += 8
    line["scores"] = base64.b64encode(scores.tobytes()).decode()


def changed_influence(lines):
    line = results(lines)[2]
    u = np.frombuffer(base64.b64decode(line["influence"]), "<f8").copy()
    u[1] += 1e-7
    line["influence"] = base64.b64encode(u.tobytes()).decode()


def changed_metric(by):
    def change(lines):
        results(lines)[0]["metrics"]["abnormal"]["brier"]["low"] += by
    return change


@pytest.mark.parametrize("edit,parts", [
    (changed_score, ["model batch.pt at motion:2: metrics/", "stored", "computed"]),
    (changed_influence, ["model batch.pt at motion:4: influence of sub-", "on abnormal: stored"]),
    (changed_metric(1e-6), ["model batch.pt at clean: metrics/abnormal/brier/low: stored 0."]),
    (lambda lines: results(lines)[0]["metrics"].pop("acl"), ["at clean", 'lacks "acl"']),
    (lambda lines: results(lines)[0]["metrics"]["acl"].pop("auroc"),
     ['line 3: metrics/acl: lacks "auroc"']),
    (lambda lines: lines.remove(results(lines)[0]), ["the end line counts", "3 results", "2 results"]),
    (lambda lines: lines.pop(), ["cut off"]),
    (lambda lines: lines[0]["models"][0].update(sha256="0" * 64),
     ["model batch.pt: SHA-256 0000", "is of no input"]),
    (lambda lines: lines[0].update(schema="mr-eval/2"), ["schema version mr-eval/2 is not known"]),
], ids=lambda value: "" if callable(value) else value[0][:30])
def test_a_changed_evaluation_differs(findings, study, edit, parts):
    edited_lines(study / "batch.eval", edit)
    wrong = [line[2] for line in findings("batch.eval", status=65) if line[1] == "differs"]
    assert len(wrong) == 1 and all(part in wrong[0] for part in parts), wrong


def test_rounding_is_no_difference(findings, study):
    edited_lines(study / "batch.eval", changed_metric(1e-12))
    findings("batch.eval")


def edited(path, edit):
    document = json.loads(path.read_text())
    edit(document)
    path.write_text(json.dumps(document))


@pytest.mark.parametrize("edit,part", [
    (lambda e: e[5].update(value=e[5]["value"] + 1e-6), "estimates/5/value: stored "),
    (lambda e: e[7]["by_run"][0].update(value=0.5), "estimates/7/by_run/0/value: stored 0.5"),
    (lambda e: e.pop(), "estimates: stored ["),
    (lambda e: e[4].update(metric="brier"), 'estimates/4/metric: stored "brier"'),
], ids=["value", "run", "missing", "name"])
def test_a_reports_estimates_are_those_of_its_evaluations(findings, study, edit, part):
    edited(study / "report" / "report.json", lambda r: edit(r["estimates"]))
    wrong = [line[2] for line in findings("report", status=65) if line[1] == "differs"]
    assert len(wrong) == 1 and wrong[0].startswith(part), wrong
    (study / "batch.eval").rename(study / "elsewhere.eval")
    assert findings("report")[-1][1:] == ("not found", "evaluations, to compute the estimates anew")


@pytest.mark.parametrize("edit,part", [
    (lambda r: r["arms"][0].update(arm="btch"), "unknown arm 'btch'"),
    (lambda r: r.update(baseline="btch"), "unknown arm 'btch'"),
    (lambda r: r["provenance"][-1].update(inputs="x"), "want an object"),
    (lambda r: r["provenance"][-1].update(tool=[]), "type must be string"),
], ids=["arm", "baseline", "inputs", "tool"])
def test_what_no_schema_says_of_a_report_differs(findings, study, edit, part):
    edited(study / "report" / "report.json", edit)
    wrong = [line[2] for line in findings("report", status=65) if line[1] == "differs"]
    assert len(wrong) == 1 and part in wrong[0], wrong


def test_a_comparison_of_two_arms_is_checked_as_such(run, tmp_path):
    cohort = Cohort(subjects=30, slices=4)
    (tmp_path / "x.eval").write_text(evaluation(cohort, ["batch", "layer", "group(8)"], [1, 2],
                                                GRID[:8], thumbnails=False))
    for name, options in (("two", ["--compare", "layer", "batch"]), ("all", ["--baseline", "layer"])):
        run(["mr-report", "-o", tmp_path / name, *options, tmp_path / "x.eval"])
        done = run(["mr-report", "--check", tmp_path / name]).stdout.decode()
        assert "estimates, computed anew from the evaluations" in done


def test_a_protocols_power_and_a_logs_epochs_are_looked_at(findings, study):
    edited(study / "protocol.json", lambda p: p["plan"].update(power_superiority=0.99))
    edited_lines(study / "batch.pt.log.jsonl", lambda lines: lines[-1].update(best_epoch=2))
    wrong = [line for line in findings("protocol.json", "batch.pt.log.jsonl", status=65)
             if line[1] == "differs"]
    assert [line[0] for line in wrong] == ["protocol.json", "batch.pt.log.jsonl"]
    assert wrong[0][2].startswith("plan/power_superiority: stored 0.99, computed 0.")
    assert "best_epoch: 2 of 1 epochs" in wrong[1][2]


def test_a_damaged_model_differs(findings, study):
    archive = (study / "batch.pt").read_bytes()
    (study / "cut.pt").write_bytes(archive[: len(archive) // 2])
    (study / "other.pt").write_bytes(archive.replace(b"extra/mr.json", b"extra/xx.json"))
    (study / "bad.pt").write_bytes(archive.replace(b'"parameters"', b'"parametres"'))
    (study / "far.pt").write_bytes(archive[:-6] + b"\xff\xff\xff\x00" + archive[-2:])
    lines = findings("cut.pt", "other.pt", "bad.pt", "far.pt", status=65)
    assert [line[1] for line in lines] == ["differs"] * 4
    for (_, _, what), part in zip(lines, ["TorchScript archive", "not a model of mr-train",
                                          'lacks "parameters"', "damaged"]):
        assert part in what


def places(value, path=()):
    """Every member and item of a document."""
    inside = value.items() if isinstance(value, dict) else (
        enumerate(value) if isinstance(value, list) else ())
    for key, item in inside:
        yield path + (key,)
        yield from places(item, path + (key,))


def changed(document, place, change):
    document = copy.deepcopy(document)
    owner = document
    for key in place[:-1]:
        owner = owner[key]
    if change == "remove":
        del owner[place[-1]]
    else:
        owner[place[-1]] = change
    return document


@pytest.mark.parametrize("name", ["manifest.json", "report/report.json", "protocol.json"])
def test_structure_is_what_the_json_schema_says(run, study, schema, name):
    """jsonschema, another implementation, accepts and refuses the same changed documents."""
    document = json.loads((study / name).read_text())
    kind = document["schema"].split("/")[0]
    rng = random.Random(5)
    where = [p for p in places(document) if p != ("schema",)]
    refused = {}
    for i in range(150):
        case = changed(document, rng.choice(where),
                       rng.choice(["remove", None, -1, 2.5, "x", [], {}, True]))
        path = study / f"case{i}.json"
        path.write_text(json.dumps(case))
        try:
            schema(kind)(case)
            refused[path.name] = False
        except jsonschema.ValidationError:
            refused[path.name] = True
    assert 20 < sum(refused.values()) < 145
    done = run(["mr-report", "--check", *refused], cwd=study, check=False).stdout.decode()
    # What fits the schema may still be refused for what a schema cannot say.
    fitting = {line.split(": ")[0] for line in done.splitlines()
               if ": verified: structure" in line}
    assert fitting == {file for file, bad in refused.items() if not bad}


def test_every_schema_is_known_to_the_check(run, study):
    for path in (ROOT / "lib" / "schema").glob("*.schema.json"):
        kind = path.name.split(".")[0]
        (study / "x.json").write_text(json.dumps({"schema": f"{kind}/1"}))
        done = run(["mr-report", "--check", "x.json"], cwd=study, check=False)
        assert "unknown schema" not in done.stdout.decode()
        assert "keyword" not in done.stdout.decode()


def test_what_cannot_be_checked_is_refused(fails, findings, study):
    fails(["mr-report", "--check", study / "none.eval"], 66, "none.eval: ")
    fails(["mr-report", "--check"], 66, "a check wants files", stdin=b"")
    fails(["mr-report", "--check", "-o", study / "out", study / "batch.eval"], 64, "--check")
    fails(["mr-report", "--root", study, study / "batch.eval"], 64, "--check")
    (study / "a.txt").write_text("hello\n")
    (study / "b.json").write_text('{"schema": "mr-evl/1"}')
    (study / "c.json").write_text("[1, 2]")
    wrong = [line[2] for line in findings("a.txt", "b.json", "c.json", status=65)]
    assert wrong[0].startswith("line 1, column 1")
    assert wrong[1] == "unknown schema 'mr-evl'; did you mean 'mr-eval'?"
    assert "no document of these tools" in wrong[2]


def test_a_protocol_that_is_no_json_is_no_protocol(fails, study):
    (study / "plan.txt").write_text("superiority, margin .03\n")
    fails(["mr-report", "--protocol", study / "plan.txt", study / "batch.eval"], 65,
          "plan.txt: not a protocol (mr-protocol/1)")
