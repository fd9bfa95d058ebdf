"""The leaderboard of all models, and the report of two arms alone."""
import csv
import json

import numpy as np
import pytest

from test_mr_report import ARMS, ARTIFACTS, GRID, Cohort, evaluation, macro, report  # noqa: F401
from test_mr_report_training import training_log


@pytest.fixture(scope="module")
def cohort():
    return Cohort(subjects=40, slices=6)


@pytest.fixture(scope="module")
def text(cohort):
    return evaluation(cohort, ARMS, [1, 2, 3], GRID, thumbnails=False)


def test_models_stand_in_the_order_of_the_endpoint(report, text, cohort, schema):  # noqa: F811
    found, _, markdown = report(text)
    schema("mr-report")(found)
    board = found["leaderboard"]
    assert {(m["arm"], m["run"]) for m in board} == {(a, r) for a in ARMS for r in (1, 2, 3)}
    values = [m["corrupted"]["value"] for m in board]
    assert values == sorted(values, reverse=True) and len(set(values)) == 12
    for entry in board[::4]:
        means = {a: np.mean([macro(cohort, entry["arm"], entry["run"], a, s)[0]
                             for s in range(1, 6)]) for a in ARTIFACTS}
        clean = macro(cohort, entry["arm"], entry["run"], None, 0)[0]
        assert entry["clean"]["value"] == pytest.approx(clean, abs=1e-12)
        assert entry["corrupted"]["value"] == pytest.approx(np.mean(list(means.values())), abs=1e-12)
        assert entry["change"]["value"] == pytest.approx(
            np.mean(list(means.values())) - clean, abs=1e-12)
        assert entry["worst_artifact"] == min(means, key=means.get)
        assert entry["worst"] == pytest.approx(min(means.values()), abs=1e-12)
        assert entry["batch_policy"] == entry["arm"].partition("+")[2]
    _, _, table = markdown.partition("## Leaderboard")
    rows = [line.strip("| ").split(" | ") for line in table.split("\n## ")[0].splitlines()
            if line.startswith("| ")][2:]
    assert [row[0] for row in rows] == [m["model"] for m in board]
    for row, m in zip(rows, board):
        assert row[4].startswith(f"{m['corrupted']['value']:.3f} (")
        assert row[6] == f"{m['worst_artifact']} {m['worst']:.3f}"
        assert row[1].endswith("</sup>") == bool(m["batch_policy"])
    assert "adapts to the test images (batch-stats:volume)" in table


def test_without_artifacts_the_order_is_that_of_clean_images(report, cohort):  # noqa: F811
    found, _, markdown = report(evaluation(cohort, ["batch", "layer"], [1, 2], [(None, 0)],
                                           thumbnails=False))
    values = [m["clean"]["value"] for m in found["leaderboard"]]
    assert values == sorted(values, reverse=True) and "corrupted" not in found["leaderboard"][0]
    assert "## Leaderboard" in markdown
    given = [({"kind": "as_given", "artifact": "motion:3"}, 3)]
    found, _, markdown = report(evaluation(cohort, ["batch", "layer"], [1, 2], given,
                                           thumbnails=False))
    assert found["leaderboard"] == [] and "## Leaderboard" not in markdown


def test_a_model_without_a_value_stands_last_with_its_reason(report, cohort):  # noqa: F811
    lines = evaluation(cohort, ["batch", "layer"], [1, 2], GRID, thumbnails=False).splitlines()
    gone = [line for line in lines if '"layer-s1"' in line and '"motion", "severity": 3' in line]
    assert len(gone) == 1
    lines.remove(gone[0])
    lines[-1] = lines[-1].replace("104", "103")
    found, _, markdown = report("\n".join(lines) + "\n")
    assert [m["arm"] for m in found["leaderboard"]] == ["batch"] * 2 + ["layer"] * 2
    assert found["leaderboard"][2]["corrupted"]["value"] is None
    assert "was not evaluated at motion:3" in found["leaderboard"][2]["corrupted"]["reason"]


# --- two arms alone


def test_a_comparison_is_the_report_of_an_evaluation_of_these_two(run, tmp_path, cohort, text):
    (tmp_path / "all.eval").write_text(text)
    (tmp_path / "two.eval").write_text(
        evaluation(cohort, ["group(8)", "layer"], [1, 2, 3], GRID, thumbnails=False))
    run(["mr-report", "-o", tmp_path / "compared", "--scores", tmp_path / "a.csv", "--compare",
         "layer", "group(8)", tmp_path / "all.eval"])
    run(["mr-report", "-o", tmp_path / "alone", "--scores", tmp_path / "b.csv", "--baseline",
         "layer", tmp_path / "two.eval"])
    read = lambda name: json.loads((tmp_path / name / "report.json").read_text())
    compared, alone = read("compared"), read("alone")
    assert compared["baseline"] == "layer"
    assert [a["arm"] for a in compared["arms"]] == ["layer", "group(8)"]
    for key in ("verdicts", "conditions", "labels", "samples", "leaderboard", "estimates"):
        assert compared[key] == alone[key], key
    for part in ("group(8)", "layer"):
        assert part in compared["summary"]
    everything = "".join(p.read_text() for p in (tmp_path / "compared").rglob("*")
                         if p.suffix in (".md", ".html", ".csv", ".tex", ".svg"))
    assert "batch-s1" not in everything and "batch-stats" not in everything.replace(
        "--norm batch", "")
    rows = lambda name: sorted(map(tuple, csv.reader(open(tmp_path / name, newline=""))))
    assert rows("a.csv") == rows("b.csv")


def test_conditions_of_other_arms_alone_are_left_out(run, tmp_path, cohort):
    (tmp_path / "a.eval").write_text(evaluation(cohort, ["batch", "layer"], [1], GRID[:6]))
    (tmp_path / "b.eval").write_text(evaluation(cohort, ["group(8)"], [1], GRID[:11]))
    run(["mr-report", "-o", tmp_path / "out", "--compare", "batch", "layer", tmp_path / "a.eval",
         tmp_path / "b.eval"])
    found = json.loads((tmp_path / "out" / "report.json").read_text())
    assert {c["artifact"] for c in found["conditions"]} == {"clean", "bias"}
    html = (tmp_path / "out" / "report.html").read_text()
    # The clean slice, bias at five severities, and what it changed.
    assert html.count("<img ") == 6 + 5 and "ghosting" not in html


def test_logs_are_those_of_the_two_arms(run, tmp_path, text):
    (tmp_path / "x.eval").write_text(text)
    logs = []
    for norm in ("batch", "layer", "group(8)"):
        logs.append(tmp_path / f"{norm}.log.jsonl")
        logs[-1].write_text(training_log(norm, 1, 4))
    run(["mr-report", "-o", tmp_path / "out", "--compare", "batch+batch-stats:volume", "layer",
         tmp_path / "x.eval", *logs])
    found = json.loads((tmp_path / "out" / "report.json").read_text())
    assert {r["normalization"] for r in found["training"]} == {"batch", "layer"}


def test_arms_that_cannot_be_compared_are_refused(fails, tmp_path, text):
    path = tmp_path / "x.eval"
    path.write_text(text)
    fails(["mr-report", "--compare", "batch", "grop(8)", path], 64,
          "mr-report: --compare: unknown arm 'grop(8)'; there are batch, batch+batch-stats:volume, "
          "group(8), layer")
    fails(["mr-report", "--compare", "batch", "batch", path], 64, "two different arms")
    fails(["mr-report", "--compare", "batch", "layer", "--baseline", "batch", path], 64, "--baseline")
    fails(["mr-report", "--compare", "batch"], 64, "--compare")
    (tmp_path / "a.log.jsonl").write_text(training_log("batch", 1, 4))
    fails(["mr-report", "--compare", "batch", "layer", tmp_path / "a.log.jsonl"], 64,
          "--compare: there is no evaluation")


def test_parts_of_artifacts_that_other_arms_alone_have_are_left_out(run, tmp_path, cohort):
    parts = [(None, 0)] + [(({"kind": "artifact", "artifact": "motion", "severity": 2, "part": part}
                             if part else "motion"), 2) for part in ("", "gain", "structure")]
    (tmp_path / "a.eval").write_text(evaluation(cohort, ["batch", "layer"], [1], parts[:2],
                                                thumbnails=False))
    (tmp_path / "b.eval").write_text(evaluation(cohort, ["group(8)"], [1], parts, thumbnails=False))
    run(["mr-report", "-o", tmp_path / "all", tmp_path / "a.eval", tmp_path / "b.eval"])
    run(["mr-report", "-o", tmp_path / "two", "--compare", "batch", "layer", tmp_path / "a.eval",
         tmp_path / "b.eval"])
    read = lambda name: json.loads((tmp_path / name / "report.json").read_text())["decomposition"]
    assert read("all") and not read("two")
