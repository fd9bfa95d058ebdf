"""The leaderboard of all models, and the report of two arms alone."""
import csv
import json
import re

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


class Crowd(Cohort):
    """Arms of names a01, a02, ...: the higher the number, the less an artifact harms."""

    def scores(self, arm, run, artifact, severity):
        own = np.random.default_rng([run, sum(map(ord, arm))]).normal(size=self.case.shape) * 0.25
        noise = np.random.default_rng([7, sum(map(ord, artifact or "clean"))]).normal(
            size=self.case.shape)
        number = 0 if arm == "batch" else int(arm[1:])
        return (self.case + own + (0.8 - 0.05 * number) * severity * noise
                * (artifact is not None)).astype("<f4")


CROWD = ["batch", *(f"a{i:02d}" for i in range(1, 10))]


@pytest.fixture(scope="module")
def crowd(run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("crowd")
    (folder / "x.eval").write_text(evaluation(Crowd(subjects=40, slices=6), CROWD, [1, 2, 3],
                                              GRID[:6], thumbnails=False))
    done = run(["mr-report", "-o", folder / "report", folder / "x.eval"])
    return folder / "report", done.stdout.decode()


def test_curves_of_many_arms_are_spread_over_drawings_that_all_have_the_baseline(crowd):
    folder, _ = crowd
    for name, others in (("curve-bias", 0), ("operating-sensitivity", 0),
                         ("decision-anterior-clean", 1)):  # the line of calling all
        assert not (folder / "figures" / f"{name}.svg").exists()
        parts = sorted((folder / "figures").glob(f"{name}-?.svg"))
        drawn = []
        for part in parts:
            svg = part.read_text()
            rows = list(csv.DictReader(open(part.with_suffix(".csv"), newline="")))
            arms = list(dict.fromkeys(row["series"] for row in rows))
            assert arms[0] == "batch" and len(arms) == 6 - (part != parts[0]) + others
            styles = set(re.findall(r'c-line (c-s\d)"', svg))
            assert len(styles) == len(arms)  # each line another colour
            drawn += [arm for arm in arms[1:] if arm != "all positive"]
            alt = re.search('aria-label="([^"]*)"', svg).group(1)
            assert {a for a in CROWD if a + ":" in alt} == set(arms) - {"all positive"}
            assert f"({len(drawn) // 5 + len(drawn) % 5 // 4} of 2)" in svg
        assert drawn == CROWD[1:]


def test_the_summary_of_many_arms_sums_up(crowd):
    folder, markdown = crowd
    found = json.loads((folder / "report.json").read_text())
    summary = markdown.split("## Summary\n\n")[1].split("\n## ")[0]
    overall = {(e["quantity"], e["arm"], e["artifact"]): e for e in found["estimates"]
               if e["severity"] is None and (e["label"], e["metric"]) == ("macro", "auroc")}
    for artifact in ("clean", "all"):
        values = {arm: overall["level", arm, artifact]["value"] for arm in CROWD}
        others = CROWD[1:]
        for arm, word in ((max(others, key=values.get), "highest"), (min(others, key=values.get),
                                                                     "lowest")):
            assert re.search(rf"{word}, {values[arm]:.3f} \([^()]*\) for {arm}\b", summary)
    named = re.findall(r"\ba\d\d\b", re.search(
        "adjusted after Holm: (.*?)\\. On corrupted images no difference", summary).group(1))
    assert named == [a for a in CROWD[1:] if overall["difference", a, "all"]["p_adjusted"] < 0.05]
    assert 0 < len(named) < len(CROWD) - 1
    assert len(summary) < 2500
