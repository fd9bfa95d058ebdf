"""The loss under artifacts taken apart into gain and structure by mr-report, from its definition."""
import base64
import json

import numpy as np
import pytest
from scipy import stats

from test_mr_report import Cohort, combine, evaluation, with_validation

ARTIFACTS = ["motion", "bias"]
PARTS = {"all": 0, "structure": 100, "gain": 200}  # added to the severity: what scores() is asked for
GRID = [(None, 0)] + [
    ((a if part == "all" else {"kind": "artifact", "artifact": a, "severity": s, "part": part}), s)
    for a in ARTIFACTS for s in (1, 2) for part in PARTS]
WEIGHT = {"all": 1, "structure": 0.7, "gain": 0.4}


class Parted(Cohort):
    """Scores whose disorder differs with the part; severities tell it, since conditions are said so."""

    equal = False  # standardised input: gain-matched images are scored as those as drawn

    def scores(self, arm, run, artifact, severity):
        code, severity = divmod(severity, 100)
        part = list(PARTS)[int(code)]
        own = np.random.default_rng([run, sum(map(ord, arm))]).normal(size=self.case.shape) * 0.25
        noise = np.random.default_rng([7, sum(map(ord, artifact or "clean"))]).normal(
            size=self.case.shape)
        fragility = {"batch": 0.8, "layer": 0.3, "batch:none": 1.2, "layer:none": 0.4,
                     "layer:scale:500": 0.4}[arm]
        if part == "structure" and ":" not in arm and self.equal:
            part = "all"
        return (self.case + own + fragility * WEIGHT[part] * severity * noise
                * (artifact is not None)).astype("<f4")


def written(cohort, folder, arms=("batch", "layer"), gain_of=None):
    """evaluation() asks scores(None, severity) where the condition is a dict; put the parts' own there."""
    lines = [json.loads(line) for line in
             evaluation(cohort, list(arms), [1, 2, 3], GRID, thumbnails=False).splitlines()]
    if gain_of:
        lines[0]["grid"]["gain_of"] = gain_of

    for line in lines:
        c = line.get("condition", {})
        if "part" in c:
            arm, run = line["model"].rsplit("-s", 1)
            line["scores"] = base64.b64encode(cohort.scores(
                arm, int(run), c["artifact"], PARTS[c["part"]] + c["severity"]).tobytes()).decode()
    path = folder / "x.eval"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def mean_of(arm, weight, part, artifacts):
    if part == "clean":
        return [(arm, weight, None, 0)]
    return [(arm, weight / len(artifacts) / 2, a, PARTS[part] + s) for a in artifacts for s in (1, 2)]


def terms(arm, weights, artifacts, sign=1):
    return [t for part, w in weights.items() for t in mean_of(arm, sign * w, part, artifacts)]


WANTED = {"loss": {"clean": 1, "all": -1},
          "gain": {"clean": 0.5, "gain": -0.5, "structure": 0.5, "all": -0.5},
          "structure": {"clean": 0.5, "structure": -0.5, "gain": 0.5, "all": -0.5},
          "interaction": {"clean": 1, "gain": -1, "structure": -1, "all": 1}}


@pytest.fixture(scope="module")
def study(run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("parts")
    cohort = Parted(subjects=40)
    done = run(["mr-report", "-o", folder / "report", written(cohort, folder)])
    return cohort, json.loads((folder / "report" / "report.json").read_text()), done.stdout.decode()


def agree(found, wanted):
    value, variance, df = wanted
    assert found["value"] == pytest.approx(value, abs=1e-9)
    half = stats.t.ppf(0.975, df) * np.sqrt(variance)
    assert (found["low"], found["high"]) == pytest.approx((value - half, value + half), abs=1e-6)


def test_gain_and_structure_are_their_definitions(study, schema):
    cohort, report, _ = study
    schema("mr-report")(report)
    rows = {(r["arm"], r["artifact"]): r for r in report["decomposition"]}
    assert len(rows) == 2 * 3
    for arm in ("batch", "layer"):
        for artifact, over in (("motion", ["motion"]), ("bias", ["bias"]), ("all", ARTIFACTS)):
            row = rows[arm, artifact]
            for name, weights in WANTED.items():
                agree(row[name], combine(cohort, [terms(arm, weights, over)]))
            assert row["gain"]["value"] + row["structure"]["value"] == pytest.approx(
                row["loss"]["value"], abs=1e-12)


def test_advantage_over_the_baseline_with_and_without_gain(study):
    cohort, report, markdown = study
    row, = [r for r in report["decomposition"] if "advantage" in r]
    assert (row["arm"], row["artifact"]) == ("layer", "all")
    for name, weights in {"as_drawn": {"all": 1}, "matched": {"structure": 1},
                          "interaction": {"all": 1, "structure": -1}}.items():
        agree(row["advantage"][name], combine(cohort, [terms("layer", weights, ARTIFACTS),
                                                       terms("batch", weights, ARTIFACTS, -1)]))
    assert "## Gain, structure and threshold" in markdown and "Gain-matched" in markdown


def test_parts_are_no_conditions_of_the_endpoint(study):
    cohort, report, markdown = study
    assert len(report["conditions"]) == 1 + 2 * 2
    value, *_ = combine(cohort, [[("batch", 0.25, a, s) for a in ARTIFACTS for s in (1, 2)]])
    found, = [e for e in report["estimates"] if (e["quantity"], e["arm"], e["artifact"], e["label"],
                                                 e["metric"]) == ("level", "batch", "all", "macro",
                                                                  "auroc")]
    assert found["value"] == pytest.approx(value, abs=1e-9)


def test_without_parts_there_is_no_such_section(run, tmp_path):
    (tmp_path / "x.eval").write_text(evaluation(Cohort(subjects=12, slices=4), ["batch"], [1],
                                                [(None, 0), ("motion", 1)]))
    done = run(["mr-report", "-o", tmp_path / "report", tmp_path / "x.eval"])
    assert "Gain and structure" not in done.stdout.decode()
    assert json.loads((tmp_path / "report" / "report.json").read_text())["decomposition"] == []


def test_arms_without_parts_are_left_out_of_what_needs_them(run, tmp_path, study):
    """One arm evaluated with --decompose beside one without: the numbers of the first alone."""
    cohort, whole, _ = study
    written(cohort, tmp_path, arms=("layer",)).rename(tmp_path / "a.eval")
    (tmp_path / "b.eval").write_text(evaluation(
        cohort, ["batch"], [1, 2, 3], [g for g in GRID if not isinstance(g[0], dict)],
        thumbnails=False))
    done = run(["mr-report", "-o", tmp_path / "report", tmp_path / "b.eval", tmp_path / "a.eval"])
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    assert report["verdicts"][0]["reference"] == "batch"
    assert {r["arm"] for r in report["decomposition"]} == {"layer"}
    assert all("advantage" not in r for r in report["decomposition"])
    for row in report["decomposition"]:
        same, = [r for r in whole["decomposition"]
                 if (r["arm"], r["artifact"]) == ("layer", row["artifact"])]
        assert row["gain"]["value"] == pytest.approx(same["gain"]["value"], abs=1e-12)
    section = done.stdout.decode().split("## Gain, structure and threshold")[1].split("\n## ")[0]
    assert "| batch |" not in section and "—" not in section


# --- normalization x standardisation

CROSSED = ["layer", "layer:none", "layer:scale:500", "batch:none", "batch"]


@pytest.fixture(scope="module")
def crossed(run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("crossed")
    cohort = Parted(subjects=40)
    cohort.equal = True
    done = run(["mr-report", "-o", folder / "report", written(cohort, folder, CROSSED, "volume")])
    return cohort, json.loads((folder / "report" / "report.json").read_text()), done.stdout.decode()


def over(arm, part, sign=1):
    return mean_of(arm, sign, part, ARTIFACTS)


def test_normalizations_are_compared_within_a_standardisation(crossed, schema):
    cohort, report, markdown = crossed
    schema("mr-report")(report)
    assert report["baseline"] == "batch"
    rows = {r["standardisation"]: r for r in report["factorial"]["advantages"]}
    assert set(rows) == {"volume-percentile", "none"}  # batch has no network of scale:500
    for standardisation, suffix in (("volume-percentile", ""), ("none", ":none")):
        row, a, b = rows[standardisation], "layer" + suffix, "batch" + suffix
        assert row["normalization"] == "layer"
        agree(row["as_drawn"], combine(cohort, [over(a, "all"), over(b, "all", -1)]))
        agree(row["matched"], combine(cohort, [over(a, "structure"), over(b, "structure", -1)]))
        if not suffix:  # percentiles see no gain: there is nothing to interact
            assert row["interaction"]["value"] == pytest.approx(0, abs=1e-12)
            continue
        agree(row["interaction"],
              combine(cohort, [over(a, "all") + over(a, "structure", -1),
                               over(b, "all", -1) + over(b, "structure")]))
    assert "Against the same standardisation of batch" in markdown


def test_what_a_standardisation_takes_from_the_advantage(crossed):
    cohort, report, markdown = crossed
    row, = report["factorial"]["effects"]
    assert (row["normalization"], row["standardisation"]) == ("layer", "volume-percentile")
    none = [over("layer:none", "all"), over("batch:none", "all", -1)]
    agree(row["without"], combine(cohort, none))
    agree(row["with"], combine(cohort, [over("layer", "all"), over("batch", "all", -1)]))
    agree(row["change"], combine(cohort, none + [over("layer", "all", -1), over("batch", "all")]))
    assert "What standardisation takes" in markdown


def test_cells_that_must_be_equal_are_tested_as_equal(run, crossed, tmp_path):
    rows = {r["arm"]: r for r in crossed[1]["factorial"]["equalities"]}
    assert set(rows) == {"batch", "layer"}  # percentiles of the volume scale with its gain
    assert all(r["shown"] and abs(r["difference"]["value"]) < 1e-12 for r in rows.values())
    # Scores that are not equal, though they must be: not shown, with p as TOST has it.
    cohort = Parted(subjects=40)
    run(["mr-report", "-o", tmp_path / "report", written(cohort, tmp_path, CROSSED, "volume")])
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    rows = {r["arm"]: r for r in report["factorial"]["equalities"]}
    value, variance, df = combine(cohort, [over("batch", "all") + over("batch", "structure", -1)])
    error = np.sqrt(variance)
    p = max(stats.t.sf((value + 0.03) / error, df), stats.t.sf((0.03 - value) / error, df))
    assert rows["batch"]["p"] == pytest.approx(p, abs=1e-6)
    assert rows["batch"]["shown"] == (p < 0.025)
    # A gain of each slice: percentiles of the volume do not scale with it.
    (tmp_path / "two").mkdir()
    run(["mr-report", "-o", tmp_path / "r2", written(cohort, tmp_path / "two", CROSSED, "slice")])
    report = json.loads((tmp_path / "r2" / "report.json").read_text())
    assert report["factorial"]["equalities"] == []


def test_without_two_standardisations_there_is_no_such_table(study):
    _, report, markdown = study
    assert report["factorial"] == {"advantages": [], "effects": [], "equalities": []}
    assert "Against the same standardisation" not in markdown


# --- ranking and threshold


class Validated(Cohort):
    """Scores that drift upwards with severity, so that a frozen threshold alarms too often."""

    def scores(self, arm, run, artifact, severity):
        noise = np.random.default_rng([run, 9, sum(map(ord, arm))]).normal(size=self.case.shape)
        return (self.case + 0.3 * noise + {"motion": 0.5, "bias": -0.3, None: 0}[artifact]
                * severity).astype("<f4")


def threshold_of(scores, truth):
    positives = np.sort(scores[truth == 1])[::-1]
    return positives[int(np.ceil(0.9 * len(positives))) - 1]


def test_threshold_loss_is_told_from_ranking_loss(run, tmp_path, schema):
    test, validation = Validated(subjects=40), Validated(subjects=25, seed=8)
    grid = [(None, 0)] + [(a, s) for a in ARTIFACTS for s in (1, 2)]
    runs, arms = (1, 2), ("batch", "layer")
    path = tmp_path / "x.eval"
    path.write_text(with_validation(
        evaluation(test, list(arms), list(runs), grid, thumbnails=False), validation, grid,
        threshold_of))
    done = run(["mr-report", "-o", tmp_path / "report", path])
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    schema("mr-report")(report)

    def youden(arm, a, s, at):
        """Mean over labels and runs of J on the test set; thresholds from validation under `at`."""
        values = []
        for r in runs:
            own, chosen = test.scores(arm, r, a, s), validation.scores(arm, r, *at)
            for l in range(len(test.labels)):
                t = threshold_of(chosen[l], validation.truth[l])
                y, called = test.truth[l], own[l] >= t
                values.append(called[y == 1].mean() + (~called[y == 0]).mean() - 1)
        return np.mean(values)

    rows = {(r["arm"], r["artifact"]): r for r in report["threshold_loss"]}
    for arm in arms:
        clean = youden(arm, None, 0, (None, 0))
        for artifact, over in (("motion", ["motion"]), ("bias", ["bias"]), ("all", ARTIFACTS)):
            frozen = np.mean([youden(arm, a, s, (None, 0)) for a in over for s in (1, 2)])
            own = np.mean([youden(arm, a, s, (a, s)) for a in over for s in (1, 2)])
            found = rows[arm, artifact]
            assert found["loss"]["value"] == pytest.approx(clean - frozen, abs=1e-9)
            assert found["ranking"]["value"] == pytest.approx(clean - own, abs=1e-9)
            assert found["threshold"]["value"] == pytest.approx(own - frozen, abs=1e-9)
    # Thresholds of resampled validation subjects, drawn here anew: V gains their variance, with its
    # own degrees of freedom. Balanced accuracy on clean images, whose frozen thresholds they are.
    rng = np.random.default_rng(3)
    found, = [e for e in report["estimates"] if (e["quantity"], e["arm"], e["artifact"], e["label"],
                                                 e["metric"]) == ("level", "batch", "clean", "macro",
                                                                  "balanced_accuracy")]
    shares = []
    for _ in range(3000):
        times = np.bincount(rng.integers(0, 25, 25), minlength=25)[validation.subject]
        values = []
        for r in runs:
            own, chosen = test.scores("batch", r, None, 0), validation.scores("batch", r, None, 0)
            for l in range(len(test.labels)):
                t = threshold_of(np.repeat(chosen[l], times), np.repeat(validation.truth[l], times))
                y, called = test.truth[l], own[l] >= t
                values.append((called[y == 1].mean() + (~called[y == 0]).mean()) / 2)
        shares.append(np.mean(values))
    variance = found["variance"]
    assert variance["validation"] == pytest.approx(np.var(shares, ddof=1), rel=0.3)
    assert variance["total"] == pytest.approx(variance["subjects"] + variance["validation"] + max(
        0, variance["runs"] - variance["interaction"]), abs=1e-12)
    auroc, = [e for e in report["estimates"] if (e["quantity"], e["arm"], e["artifact"], e["label"],
                                                 e["metric"]) == ("level", "batch", "clean", "macro",
                                                                  "auroc")]
    assert auroc["variance"]["validation"] == 0
    assert "resampled validation subjects" in done.stdout.decode()
    # What drifts as a whole keeps its ranks: nearly all of the loss is the threshold's.
    assert rows["batch", "motion"]["threshold"]["low"] > 0.05
    assert abs(rows["batch", "motion"]["ranking"]["value"]) < 0.03
    assert "Ranking and threshold" in done.stdout.decode()


# --- adaptation and augmentation

REMEDIES = ["batch", "batch+batch-stats:volume", "batch+recalibrate", "batch/gain", "layer",
            "layer/gain"]


class Remedied(Cohort):
    fragility = dict(zip(REMEDIES, (0.8, 0.3, 0.75, 0.35, 0.4, 0.33)))

    def scores(self, arm, run, artifact, severity):
        own = np.random.default_rng([run, sum(map(ord, arm.split("+")[0]))]).normal(
            size=self.case.shape) * 0.25
        noise = np.random.default_rng([7, sum(map(ord, artifact or "clean"))]).normal(
            size=self.case.shape)
        price = 0.2 if "batch-stats" in arm else 0
        return (self.case + own + (self.fragility[arm] * severity + price) * noise).astype("<f4")


def test_remedies_are_what_they_win_and_cost(run, tmp_path, schema):
    cohort = Remedied(subjects=40)
    grid = [(None, 0)] + [(a, s) for a in ARTIFACTS for s in (1, 2)]
    (tmp_path / "x.eval").write_text(evaluation(cohort, REMEDIES, [1, 2, 3], grid, thumbnails=False))
    done = run(["mr-report", "-o", tmp_path / "report", tmp_path / "x.eval"])
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    schema("mr-report")(report)

    def corrupted(arm, sign=1):
        return mean_of(arm, sign, "all", ARTIFACTS)

    def clean(arm, sign=1):
        return mean_of(arm, sign, "clean", ARTIFACTS)

    rows = {r["arm"]: r for r in report["remedies"]}
    assert {arm: r["from"] for arm, r in rows.items()} == {
        "batch+batch-stats:volume": "batch", "batch+recalibrate": "batch", "batch/gain": "batch",
        "layer/gain": "layer"}
    own = "batch+batch-stats:volume"  # shares its trained networks with batch: one family
    adapted = rows[own]
    agree(adapted["won"], combine(cohort, [corrupted(own) + corrupted("batch", -1)]))
    agree(adapted["price"], combine(cohort, [clean("batch") + clean(own, -1)]))
    agree(adapted["over_recalibration"],
          combine(cohort, [corrupted(own) + corrupted("batch+recalibrate", -1)]))
    assert adapted["won"]["low"] > 0 and adapted["price"]["low"] > 0
    augmented = rows["batch/gain"]  # other networks: another family
    agree(augmented["won"], combine(cohort, [corrupted("batch/gain"), corrupted("batch", -1)]))
    assert "over_recalibration" not in augmented
    assert "over_recalibration" not in rows["batch+recalibrate"]
    gap, = report["augmentation_gaps"]
    assert (gap["arm"], gap["reference"], gap["augmentation"]) == ("layer", "batch", "gain")
    agree(gap["without"], combine(cohort, [corrupted("layer"), corrupted("batch", -1)]))
    agree(gap["with"], combine(cohort, [corrupted("layer/gain"), corrupted("batch/gain", -1)]))
    agree(gap["change"], combine(cohort, [corrupted("layer/gain"), corrupted("batch/gain", -1),
                                          corrupted("layer", -1), corrupted("batch")]))
    markdown = done.stdout.decode()
    assert "## What helps" in markdown and "Does augmentation close the gap to batch?" in markdown
