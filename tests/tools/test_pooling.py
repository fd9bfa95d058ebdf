"""Slices pooled to volumes and subjects by mr-report: scores, truth, operating points and facts, against
NumPy and scikit-learn."""
import base64
import csv
import json

import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.metrics import roc_auc_score

from test_mr_report import Cohort, evaluation

GRID = [(None, 0), ("motion", 2)]
SLICES = 8  # of an image; a subject has two images


class Volumes(Cohort):
    """Two images of each subject, and clean validation images."""

    def __init__(self, subjects=60, seed=3):
        super().__init__(subjects=subjects, slices=2 * SLICES, seed=seed)
        self.image = np.arange(len(self.ids)) // SLICES
        quiet = np.random.default_rng(5).random((len(self.labels), self.image.max() + 1)) < 0.6
        self.truth[quiet[:, self.image] & (self.truth == 1)] = 0  # volumes without the label

    def scores(self, *condition):
        return super().scores(*condition) - np.float32(1)

    def samples(self, prefix=""):
        return {"samples": {"id": [prefix + i for i in self.ids], "subject": self.subject.tolist()},
                "subjects": [prefix + s for s in self.subjects],
                "truth": [[None if t < 0 else int(t) for t in row] for row in self.truth],
                "attributes": {"sample_image": self.image.tolist(),
                               "image_ids": [f"{prefix}image {i}" for i in range(self.image.max() + 1)],
                               "images": [{"site": "AB"[i // 40 % 2], "eye": "lr"[i % 2]}
                                          for i in range(self.image.max() + 1)]}}


def pack(scores):
    return base64.b64encode(scores.astype("<f4").tobytes()).decode()


def written(folder, cohort, validation=None, arms=("batch", "layer"), runs=(1, 2), name="x.eval"):
    lines = [json.loads(line) for line in
             evaluation(cohort, list(arms), list(runs), GRID, thumbnails=False).splitlines()]
    head, end = lines[0], lines[-1]
    head.update(cohort.samples())
    for m in head["models"]:
        m["info"]["operating_points"] = [{"label": l, "rule": "sens>=0.90", "threshold": 0.5}
                                         for l in cohort.labels]
    extra = []
    if validation:
        head["validation"] = validation.samples("val ")
        extra = [{"validation": {"model": m["id"], "condition": {"kind": "clean"},
                                 "scores": pack(validation.scores(m["normalization"], m["run"], None, 0))}}
                 for m in head["models"]]
        end["end"]["validations"] = len(extra)
    path = folder / name
    path.write_text("".join(json.dumps(l) + "\n" for l in [head, *extra, *lines[1:]]))
    return path


def units_of(cohort, level):
    return {"sample": np.arange(len(cohort.ids)), "volume": cohort.image,
            "subject": cohort.subject}[level]


def noisy_or(z):
    p = 1 - np.prod(1 - 1 / (1 + np.exp(-z.astype(np.float64))))
    return np.log(p / (1 - p))


HOW = {"top3": lambda z: np.sort(z)[-3:].mean(), "max": np.max, "noisy-or": noisy_or}


def pooled(cohort, scores, level, how="top3"):
    """Truth and scores [labels, units], written anew."""
    unit = units_of(cohort, level)
    truth = np.array([[1 if (row[unit == u] == 1).any() else 0 if (row[unit == u] == 0).all() else -1
                       for u in range(unit.max() + 1)] for row in cohort.truth])
    if level == "sample":
        return truth, scores
    return truth, np.array([[HOW[how](row[unit == u]) for u in range(unit.max() + 1)]
                            for row in scores])


def report(run, folder, *options):
    run(["mr-report", "--force", "-o", folder / "report", *options, folder / "x.eval"])
    return json.loads((folder / "report" / "report.json").read_text())


def value(found, metric, label, arm="batch", run=1, artifact="clean"):
    row, = [e for e in found["estimates"]
            if (e["metric"], e["label"], e["arm"], e["artifact"], e["severity"], e["quantity"]) ==
            (metric, label, arm, artifact, None if artifact == "clean" else 2, "level")]
    return next(r["value"] for r in row["by_run"] if r["run"] == run)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("volumes")
    test, validation = Volumes(), Volumes(subjects=20, seed=4)
    written(folder, test, validation)
    return folder, test, validation


@pytest.mark.parametrize("level, how", [("sample", "top3"), ("volume", "top3"), ("volume", "max"),
                                        ("volume", "noisy-or"), ("subject", "top3")])
def test_pooled_metrics_equal_scikit_learn(run, study, schema, level, how):
    folder, cohort, validation = study
    found = report(run, folder, "--level", level, "--pool", how)
    schema("mr-report")(found)
    assert (found["level"], found["pool"]) == (level, None if level == "sample" else how)
    for l, label in enumerate(cohort.labels):
        val_truth, val_scores = pooled(validation, validation.scores("batch", 1, None, 0), level, how)
        positives = np.sort(val_scores[l][val_truth[l] == 1])[::-1]
        threshold = 0.5 if level == "sample" else positives[int(np.ceil(0.9 * len(positives))) - 1]
        for artifact, severity in GRID:
            truth, scores = pooled(cohort, cohort.scores("batch", 1, artifact, severity), level, how)
            known, s = truth[l] >= 0, np.float32(scores[l])
            at = "clean" if artifact is None else artifact
            assert value(found, "auroc", label, artifact=at) == pytest.approx(
                roc_auc_score(truth[l][known], s[known]), abs=1e-6)
            assert value(found, "sensitivity", label, artifact=at) == pytest.approx(
                (s[truth[l] == 1] >= np.float32(threshold)).mean(), abs=1e-6)
            assert value(found, "alarm_rate", label, artifact=at) == pytest.approx(
                (s[known] >= np.float32(threshold)).mean(), abs=1e-6)


def test_volumes_are_the_level_where_they_can_be_tested(run, study, tmp_path):
    folder, cohort, _ = study
    found = report(run, folder)
    assert found["level"] == "volume" and found["samples"] == cohort.image.max() + 1
    text = (folder / "report" / "report.md").read_text()
    assert "A sample is a volume: its score is the mean of the three largest logits" in text
    assert f"The test set has {found['samples']} volumes of 60 subjects with 2 labels" in text
    report(run, folder, "--level", "subject")
    assert "The test set has 60 subjects with 2 labels" in (folder / "report" / "report.md").read_text()
    everywhere = Volumes()
    everywhere.truth[0, ::SLICES] = 1  # each volume has a slice with it
    written(tmp_path, everywhere)
    found = report(run, tmp_path)
    assert found["level"] == "sample"
    assert "0 subjects have volumes without" in (tmp_path / "report" / "report.md").read_text()


def test_without_validation_scores_there_is_no_operating_point(run, tmp_path):
    written(tmp_path, Volumes())
    found = report(run, tmp_path, "--level", "volume")
    rows = [e for e in found["estimates"] if e["metric"] == "sensitivity"]
    assert rows and all(e["value"] is None and "operating point" in e["reason"] for e in rows if e["quantity"] == "level")


def test_scores_and_subgroups_are_of_the_level(run, study):
    folder, cohort, _ = study
    found = report(run, folder, "--level", "subject", "--by", "site", "--scores",
                   folder / "scores.csv")
    with open(folder / "scores.csv", newline="") as f:
        rows = list(csv.DictReader(f))
    assert {r["sample"] for r in rows} == set(cohort.subjects)
    truth, scores = pooled(cohort, cohort.scores("layer", 2, "motion", 2), "subject")
    for r in rows:
        if (r["arm"], r["run"], r["artifact"], r["label"]) == ("layer", "2", "motion",
                                                              cohort.labels[0]):
            at = cohort.subjects.index(r["sample"])
            assert float(r["score"]) == pytest.approx(scores[0][at], rel=1e-6)
            assert r["truth"] == ("" if truth[0][at] < 0 else str(truth[0][at]))
    # "eye" differs between a subject's images, so that it is no attribute of the subject.
    known = {s["fact"] for s in found["shortcuts"]}
    assert "site = B" in known and "eye = r" not in known
    sizes = {g["value"]: g["samples"] for g in found["subgroups"]}
    assert sum(sizes.values()) == len(cohort.subjects) and set(sizes) == {"A", "B"}


def test_a_level_that_cannot_be_had_is_refused(run, fails, tmp_path):
    (tmp_path / "x.eval").write_text(evaluation(Cohort(subjects=12, slices=4), ["batch"], [1], GRID))
    fails(["mr-report", "--level", "volume", tmp_path / "x.eval"], 65, "x.eval", "images")
    fails(["mr-report", "--level", "slab", tmp_path / "x.eval"], 64, "'slab'")
    fails(["mr-report", "--pool", "mean", tmp_path / "x.eval"], 64, "'mean'")
    uneven = Volumes(subjects=12)
    uneven.image[0] = 1
    written(tmp_path, uneven)
    fails(["mr-report", "--level", "volume", "--pool", "noisy-or", tmp_path / "x.eval"], 65,
          "x.eval", "noisy-or", "9 and 7")


def test_a_protocol_says_the_level(run, study):
    folder, _, _ = study
    for level, pool in (("volume", "max"), ("subject", "top3")):
        run(["mr-eval", "protocol", "--level", level, "--pool", pool, "--grid", "motion",
             "--severities", "2", "--standard-error", "0.01", "-q", "--force", "-o",
             folder / "p.json"])
        found = report(run, folder, "--protocol", folder / "p.json")
        assert (found["level"], found["pool"]) == (level, pool)
    found = report(run, folder, "--protocol", folder / "p.json", "--level", "volume", "--pool", "max")
    assert found["protocol"]["deviations"][0] == "the unit is the volume, planned was the subject"
    assert found["protocol"]["deviations"][1] == "slices are pooled by max, planned was top3"


@pytest.mark.parametrize("level", ["sample", "volume"])
@pytest.mark.parametrize("how", ["temperature", "platt"])
def test_recalibration_is_fitted_on_clean_validation_samples(run, study, schema, level, how):
    """By SciPy's minimiser; ranks and decisions stay, and the Brier score is that of rescaled scores."""
    folder, cohort, validation = study
    plain = report(run, folder, "--level", level)
    found = report(run, folder, "--level", level, "--recalibrate", how)
    schema("mr-report")(found)
    assert found["recalibrated"] == how and plain["recalibrated"] is None
    for l, label in enumerate(cohort.labels):
        truth, z = pooled(validation, validation.scores("batch", 1, None, 0), level)
        known = truth[l] >= 0
        y, z = truth[l][known], np.float64(np.float32(z[l][known]))
        loss = lambda p: np.logaddexp(0, -(2 * y - 1) * ((p[1] if how == "platt" else 0) + p[0] * z)).sum()
        slope, intercept = minimize(loss, [1, 0], method="BFGS", options={"gtol": 1e-8}).x
        intercept = intercept if how == "platt" else 0
        truth, scores = pooled(cohort, cohort.scores("batch", 1, "motion", 2), level)
        known = truth[l] >= 0
        p = 1 / (1 + np.exp(-(intercept + slope * scores[l][known])))
        assert value(found, "brier", label, artifact="motion") == pytest.approx(
            ((p - truth[l][known]) ** 2).mean(), rel=1e-5)
        for metric in ("auroc", "sensitivity", "alarm_rate"):
            assert value(found, metric, label, artifact="motion") == pytest.approx(
                value(plain, metric, label, artifact="motion"), abs=1e-9)
        assert value(found, "brier", label) != value(plain, "brier", label)


def test_a_report_with_these_options_can_be_checked(run, study):
    folder, _, _ = study
    report(run, folder, "--level", "subject", "--pool", "max", "--recalibrate", "platt", "--prevalence",
           "0.02")
    done = run(["mr-report", "--check", folder / "report" / "report.json"])
    assert "computed anew from the evaluations" in done.stdout.decode()


def test_recalibration_needs_validation_samples(run, fails, tmp_path):
    written(tmp_path, Volumes())
    fails(["mr-report", "--recalibrate", "platt", tmp_path / "x.eval"], 65, "x.eval", "batch-s1",
          "validation")
    lone = Volumes(subjects=12, seed=4)
    lone.truth[1][:] = 0
    written(tmp_path, Volumes(), lone)
    fails(["mr-report", "--recalibrate", "platt", tmp_path / "x.eval"], 65, "x.eval", "batch-s1",
          "no positive samples")
    fails(["mr-report", "--recalibrate", "isotonic", tmp_path / "x.eval"], 64, "isotonic")
