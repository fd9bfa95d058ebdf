"""recompute.py and recompute.R of a report's folder, run as a reviewer would: their numbers are those
of report.json, though they start from the scores and share no code with it."""
import csv
import io
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from scipy import stats

import test_decomposition
import test_pooling
from test_mr_report import ARMS, GRID, Cohort, combine, endpoint, evaluation

PROGRAMS = {"py": [sys.executable, "recompute.py"], "R": ["Rscript", "--vanilla", "recompute.R"]}


@pytest.fixture(params=PROGRAMS)
def recompute(request, run, tmp_path):
    """recompute(*texts of evaluations): what the program printed, by arm, and the differences of the
    endpoint in report.json."""
    program = PROGRAMS[request.param]
    if not shutil.which(program[0]):
        pytest.skip(f"{program[0]} is not installed")

    def compute(*texts):
        paths = []
        for i, text in enumerate(texts):
            paths.append(tmp_path / f"{i}.eval")
            paths[-1].write_text(text)
        run(["mr-report", "-o", tmp_path / "out", "--scores", tmp_path / "scores.csv", *paths])
        done = subprocess.run([*program, tmp_path / "scores.csv"], cwd=tmp_path / "out",
                              capture_output=True, timeout=300)
        assert done.returncode == 0 and done.stderr == b"", done.stderr.decode()
        found = json.loads((tmp_path / "out" / "report.json").read_text())
        return ({row["arm"]: row for row in csv.DictReader(io.StringIO(done.stdout.decode()))},
                {e["arm"]: e for e in found["estimates"]
                 if (e["quantity"], e["artifact"], e["label"], e["metric"]) == (
                     "difference", "all", found_label(found), "auroc")})

    return compute


def found_label(report):
    return "macro" if len(report["labels"]) > 1 else report["labels"][0]["name"]


def same(printed, stored):
    assert list(printed) == list(stored) and stored
    for arm, e in stored.items():
        row = printed[arm]
        assert row["reference"] == e["reference"]
        assert float(row["estimate"]) == pytest.approx(e["value"], abs=1e-12)
        # The report keeps influences as float32.
        for column, key in (("lo", "low"), ("hi", "high")):
            assert float(row[column]) == pytest.approx(e[key], rel=1e-6, abs=1e-8)
        for part in ("subjects", "runs", "interaction", "df"):
            assert float(row[part]) == pytest.approx(e["variance"][part], rel=1e-6, abs=1e-14)
        if e["p"] is None:
            assert row["p"] == ""
        else:
            assert float(row["p"]) == pytest.approx(e["p"], rel=1e-4)


def test_the_headline_is_that_of_the_report(recompute):
    cohort = Cohort()
    printed, stored = recompute(evaluation(cohort, ARMS, [1, 2, 3], GRID, thumbnails=False))
    same(printed, stored)
    for arm in ARMS[1:]:  # and of the definitions, in double precision
        families = ([endpoint(arm) + endpoint("batch", -1)] if arm.startswith("batch")
                    else [endpoint(arm), endpoint("batch", -1)])
        theta, v, df = combine(cohort, families)
        assert float(printed[arm]["estimate"]) == pytest.approx(theta, abs=1e-12)
        assert float(printed[arm]["df"]) == pytest.approx(df, rel=1e-9)
        half = (float(printed[arm]["hi"]) - float(printed[arm]["lo"])) / 2
        assert half == pytest.approx(stats.t.ppf(0.975, df) * np.sqrt(v), rel=1e-7)


def test_one_run_unequal_runs_and_ladders_few_subjects_and_an_absent_class(recompute):
    cohort = Cohort(subjects=14, slices=5, seed=3, labels=("a", "b", "c"))
    cohort.truth[1] = np.where(cohort.subject < 5, cohort.truth[1], 0)  # fewer than 10 have it
    cohort.truth[2] = 0
    grid = [(None, 0), ("motion", 1), ("motion", 4), ("spike", 2), ("bias", 0.5)]
    text = lambda arms, runs: evaluation(cohort, arms, runs, grid, thumbnails=False)
    printed, stored = recompute(text(["batch", "batch+batch-stats:volume"], [1, 2]),
                                text(["layer"], [1, 2, 3, 4]), text(["group(8)"], [7]))
    assert all(e["p"] is None for e in stored.values())
    same(printed, stored)


def test_ties_count_half(recompute):
    cohort = Cohort(subjects=30, slices=6)
    scores = cohort.scores
    cohort.scores = lambda *a: np.round(scores(*a) * 2).astype("<f4") / 2
    same(*recompute(evaluation(cohort, ["batch", "layer"], [1, 2], GRID[:8], thumbnails=False)))


@pytest.mark.parametrize("name", ['a "b", c\\n', "Größe α", "NA"])
def test_names_cannot_break_the_programs(recompute, name):
    cohort = Cohort(subjects=30, slices=4, labels=[name, "x,y"])
    text = evaluation(cohort, ["batch", "layer"], [1, 2], GRID[:8], thumbnails=False)
    same(*recompute(text.replace('"normalization": "batch"',
                                 f'"normalization": {json.dumps(name)}')))


def test_without_a_contrast_there_is_no_program(run, tmp_path):
    cohort = Cohort(subjects=20, slices=3)
    for i, (arms, grid) in enumerate(((["batch"], GRID), (["batch", "layer"], [(None, 0)]))):
        (tmp_path / "x.eval").write_text(evaluation(cohort, arms, [1], grid, thumbnails=False))
        run(["mr-report", "-o", tmp_path / f"out{i}", tmp_path / "x.eval"])
        assert not list((tmp_path / f"out{i}").glob("recompute.*"))


def test_volumes_are_what_the_scores_are_of(recompute, tmp_path):
    printed, stored = recompute(test_pooling.written(tmp_path, test_pooling.Volumes()).read_text())
    level = json.loads((tmp_path / "out" / "report.json").read_text())["level"]
    assert level == "volume"
    same(printed, stored)


def test_parts_of_artifacts_are_no_steps_of_the_ladder(recompute, tmp_path):
    cohort = test_decomposition.Parted(subjects=30, slices=5)
    same(*recompute(test_decomposition.written(cohort, tmp_path).read_text()))
    with open(tmp_path / "scores.csv", newline="") as f:
        conditions = {(row["artifact"], row["severity"]) for row in csv.DictReader(f)}
    assert len(conditions) == len(test_decomposition.GRID)
    assert {("motion", "2"), ("motion:2 gain-matched", ""), ("motion:2 gain alone", "")} < conditions


@pytest.mark.parametrize("program", PROGRAMS)
def test_without_a_file_they_say_their_usage(program, run, tmp_path):
    if not shutil.which(PROGRAMS[program][0]):
        pytest.skip(f"{PROGRAMS[program][0]} is not installed")
    (tmp_path / "x.eval").write_text(evaluation(Cohort(subjects=12, slices=4), ["batch", "layer"], [1],
                                                GRID[:2]))
    run(["mr-report", "-o", tmp_path / "out", tmp_path / "x.eval"])
    done = subprocess.run(PROGRAMS[program], cwd=tmp_path / "out", capture_output=True, timeout=300)
    assert done.returncode != 0 and done.stdout == b""
    assert f"usage: recompute.{program} SCORES.csv" in done.stderr.decode()
    assert "Traceback" not in done.stderr.decode()
