"""mr-report: evaluations in, a report out. The evaluations are simulated here, and the statistics
computed a second time in numpy, straight from the definitions."""
import base64
import csv
import json
import re
import struct
import subprocess
import xml.etree.ElementTree as ET
import zlib

import numpy as np
import pytest
from scipy import optimize, stats
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

ARTIFACTS = ["bias", "ghosting", "motion", "rician", "spike"]
# How far an arm's logits are pulled towards noise per severity; smaller is more robust.
FRAGILITY = {"batch": 0.55, "batch+batch-stats:volume": 0.40, "group(8)": 0.33, "layer": 0.36}
HARM = {"bias": 0.8, "ghosting": 0.7, "motion": 1.0, "rician": 0.9, "spike": 1.3}


# --- evaluations as mr-eval writes them


def png(value, size=24):
    """A grey ramp: enough of a PNG for a thumbnail."""
    rows = np.outer(np.arange(size), np.ones(size)) * 5 + value
    raw = b"".join(b"\0" + bytes(row.astype(np.uint8)) for row in rows)
    chunk = lambda kind, data: (struct.pack(">I", len(data)) + kind + data
                                + struct.pack(">I", zlib.crc32(kind + data)))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", size, size, 8, 0, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b""))


class Cohort:
    """Subjects, samples and truth; and the scores of any arm, run and condition."""

    def __init__(self, subjects=60, slices=15, labels=("anterior", "posterior"), seed=1,
                 singletons=False):
        self.rng = np.random.default_rng(seed)
        self.labels = list(labels)
        self.subjects = [f"sub-{p:03d}" for p in range(subjects)]
        self.subject = np.repeat(np.arange(subjects), 1 if singletons else slices)
        self.ids = [f"{self.subjects[p]}/j{i:02d}" for i, p in enumerate(self.subject)]
        n = len(self.ids)
        ill = self.rng.normal(size=(len(self.labels), subjects))
        latent = ill[:, self.subject] + self.rng.normal(size=(len(self.labels), n))
        self.truth = (latent > 0.5).astype(int)
        self.case = latent + self.rng.normal(size=latent.shape) * 0.45
        self.truth = np.where(self.rng.random(self.truth.shape) < 0.02, -1, self.truth)

    def scores(self, arm, run, artifact, severity):
        network = np.random.default_rng([run, sum(map(ord, arm.split("+")[0]))])
        own = network.normal(size=self.case.shape) * 0.25
        noise = np.random.default_rng([7, sum(map(ord, artifact or "clean"))])
        pull = noise.normal(size=self.case.shape) * HARM.get(artifact, 0) * severity
        return (self.case + own + FRAGILITY.get(arm, 0.5) * pull + 0.1 * severity).astype("<f4")


def condition(artifact, severity):
    if artifact is None:
        return {"kind": "clean"}
    return {"kind": "artifact", "artifact": artifact, "severity": severity}


def model(arm, run, labels, threshold=0.5):
    norm, _, adaptation = arm.partition("+")
    return {"id": f"{norm}-s{run}" + (f"+{adaptation}" if adaptation else ""),
            "normalization": norm, "adaptation": adaptation, "run": run,
            "sha256": f"{sum(map(ord, norm)) * 1000 + run:064x}",
            "thresholds": [threshold] * labels,
            "info": {"schema": "mr-model/1", "architecture": {"width": 16, "blocks": [2, 2, 2, 2]},
                     "preprocessing": {"size": [64, 48], "standardisation": "volume-percentile"},
                     "provenance": [{"tool": "mr-train", "version": "0.1.0", "seed": run,
                                     "command": f"mr-train --norm {norm} --seed {run} m.json",
                                     "inputs": []}]}}


def evaluation(cohort, arms, runs, conditions, thumbnails=True, threshold=0.5, notes=(),
               schema="mr-eval/1", end=True, truth=None, labels=None):
    """The text of one mr-eval/1 file."""
    labels = labels or cohort.labels
    truth = cohort.truth if truth is None else truth
    models = [model(arm, run, len(labels), threshold) for arm in arms for run in runs]
    lines = [{"schema": schema, "labels": labels, "models": models,
              "samples": {"id": cohort.ids, "subject": cohort.subject.tolist()},
              "subjects": cohort.subjects,
              "truth": [[None if t < 0 else int(t) for t in row] for row in truth],
              "attributes": {}, "grid": {"artifacts": ARTIFACTS, "seed": 1}, "notes": list(notes),
              "provenance": [{"tool": "mr-eval", "version": "0.1.0", "command": "mr-eval -m x m.json",
                              "seed": 1, "inputs": [{"name": "m.json", "sha256": "ab" * 32}]}]}]
    zero = np.zeros((len(labels), len(cohort.subjects)), "<f8")
    for arm in arms:
        for run in runs:
            for artifact, severity in conditions:
                fidelity = {} if artifact is None else {
                    "gain": 1 + 0.01 * severity, "nrmse": 0.05 * severity,
                    "nrmse_matched": 0.045 * severity, "affine_residual": 0.04 * severity,
                    "psnr_db": 35.0 - 2 * severity, "ssim": 1 - 0.04 * severity}
                lines.append({
                    "model": model(arm, run, 0)["id"],
                    "condition": artifact if isinstance(artifact, dict)
                    else condition(artifact, severity),
                    "metrics": {}, "fidelity": fidelity,
                    "influence": base64.b64encode(zero.tobytes()).decode(),
                    "scores": base64.b64encode(cohort.scores(
                        arm, run, None if isinstance(artifact, dict) else artifact,
                        severity).tobytes()).decode()})
    results = len(lines) - 1
    shown = conditions if thumbnails else []
    for artifact, severity in shown:
        lines.append({"thumbnail": {
            "condition": artifact if isinstance(artifact, dict) else condition(artifact, severity),
            "sample": cohort.ids[7], "png": base64.b64encode(png(int(20 * severity))).decode()}})
    if end:
        lines.append({"end": {"results": results, "thumbnails": len(shown)}})
    return "".join(json.dumps(line) + "\n" for line in lines)


GRID = [(None, 0)] + [(a, s) for a in ARTIFACTS for s in range(1, 6)]
ARMS = ["batch", "batch+batch-stats:volume", "group(8)", "layer"]
NOTE = "A cropped magnitude image has no acquired k-space: these artifacts are proxies."


def with_validation(text, validation, conditions=((None, 0),), thresholds=None):
    """An evaluation's text with the scores of a validation cohort; thresholds(scores of a label, truth)
    are each model's operating points by sens>=0.90."""
    lines = [json.loads(line) for line in text.splitlines()]
    head, extra = lines[0], []
    head["validation"] = {"samples": {"id": validation.ids, "subject": validation.subject.tolist()},
                          "subjects": validation.subjects, "attributes": {},
                          "truth": [[None if t < 0 else int(t) for t in row]
                                    for row in validation.truth]}
    for m in head["models"]:
        m["info"]["operating_points"] = [{"label": l, "rule": "sens>=0.90", "threshold": 0.5}
                                         for l in validation.labels]
        for a, s in conditions:
            scores = validation.scores(m["normalization"], m["run"], a, s)
            if a is None and thresholds:
                m["thresholds"] = [float(thresholds(x, t)) for x, t in zip(scores, validation.truth)]
            extra.append({"validation": {"model": m["id"], "condition": condition(a, s),
                                         "scores": base64.b64encode(scores.tobytes()).decode()}})
    lines[-1]["end"]["validations"] = len(extra)
    return "".join(json.dumps(line) + "\n" for line in [head, *extra, *lines[1:]])


class Study:
    """A study's files and what mr-report made of them."""

    def __init__(self, folder, run):
        self.cohort = Cohort()
        self.files = []
        for name, arms in (("batch", ARMS[:2]), ("group", ARMS[2:3]), ("layer", ARMS[3:])):
            path = folder / f"{name}.eval"
            path.write_text(evaluation(self.cohort, arms, [1, 2, 3], GRID, notes=[NOTE]))
            self.files.append(path)
        self.folder = folder / "report"
        done = run(["mr-report", "-o", self.folder, "--scores", folder / "scores.csv",
                    *self.files])
        self.markdown = done.stdout.decode()
        self.messages = done.stderr.decode()
        self.html = (self.folder / "report.html").read_text()
        self.json = json.loads((self.folder / "report.json").read_text())
        with open(self.folder / "report.csv", newline="") as f:
            self.rows = list(csv.DictReader(f))
        with open(folder / "scores.csv", newline="") as f:
            self.scores = list(csv.DictReader(f))

    def estimate(self, **wanted):
        wanted = {"label": "macro", "metric": "auroc", "quantity": "level", **wanted}
        found = [e for e in self.json["estimates"]
                 if all(e.get(key) == value for key, value in wanted.items())]
        assert len(found) == 1, wanted
        return found[0]


@pytest.fixture(scope="module")
def study(tmp_path_factory, run):
    return Study(tmp_path_factory.mktemp("study"), run)


@pytest.fixture
def report(run, tmp_path):
    """report(text, *options): the JSON, HTML and Markdown of one evaluation."""

    def make(text, *options):
        (tmp_path / "x.eval").write_text(text)
        done = run(["mr-report", "--force", "-o", tmp_path / "out", *options, tmp_path / "x.eval"])
        return (json.loads((tmp_path / "out" / "report.json").read_text()),
                (tmp_path / "out" / "report.html").read_text(), done.stdout.decode())

    return make


# --- the statistics once more, from their definitions (the contract of the estimators)


def auroc_and_influences(scores, truth, subject, subjects):
    """AUROC by comparing every pair, and U_p of each subject."""
    x, y = scores[truth == 1].astype(float), scores[truth == 0].astype(float)
    wins = (x[:, None] > y[None, :]) + 0.5 * (x[:, None] == y[None, :])
    area = wins.mean()
    X = np.bincount(subject[truth == 1], wins.mean(1) - area, subjects)
    Y = np.bincount(subject[truth == 0], wins.mean(0) - area, subjects)
    i10, i01 = len(set(subject[truth == 1])), len(set(subject[truth == 0]))
    U = np.sqrt(i10 / (i10 - 1)) * X / len(x) + np.sqrt(i01 / (i01 - 1)) * Y / len(y)
    return area, U, min(i10, i01)


def macro(cohort, arm, run, artifact, severity):
    """Mean over labels of AUROC and influences; the smallest number of subjects."""
    scores = cohort.scores(arm, run, artifact, severity)
    parts = [auroc_and_influences(s, t, cohort.subject, len(cohort.subjects))
             for s, t in zip(scores, cohort.truth)]
    return (np.mean([p[0] for p in parts]), np.mean([p[1] for p in parts], axis=0),
            min(p[2] for p in parts))


def combine(cohort, families):
    """families: per set of trained networks, a list of (arm, weight, artifact, severity). Returns
    the estimate, its variance and degrees of freedom over subjects and three runs."""
    theta, v_r, v_sr, over_df, U_sum, subjects = 0, 0, 0, 0, 0, np.inf
    for terms in families:
        values, U = np.zeros(3), np.zeros((3, len(cohort.subjects)))
        for arm, weight, artifact, severity in terms:
            for j in range(3):
                a, u, i = macro(cohort, arm, j + 1, artifact, severity)
                values[j] += weight * a
                U[j] += weight * u
                subjects = min(subjects, i)
        theta += values.mean()
        U_sum = U_sum + U.mean(0)
        v_r += values.var(ddof=1) / 3
        v_sr += ((U - U.mean(0)) ** 2).sum() / (3 * 2)
        over_df += (values.var(ddof=1) / 3) ** 2 / 2
    v_s = (U_sum ** 2).sum()
    total = max(v_s, v_s + v_r - v_sr)
    return theta, total, total ** 2 / max(v_s ** 2 / (subjects - 1) + over_df, 1e-300)


def endpoint(arm, sign=1):
    return [(arm, sign / 25, a, s) for a in ARTIFACTS for s in range(1, 6)]


def test_auroc_is_that_of_scikit_learn_on_the_exported_scores(study):
    table = {}
    for row in study.scores:
        if row["truth"]:
            key = (row["arm"], row["artifact"], row["severity"], row["label"], row["run"])
            table.setdefault(key, []).append((int(row["truth"]), float(row["score"])))
    assert len(table) == 4 * 26 * 2 * 3
    for arm, artifact, severity in [("batch", "clean", ""), ("group(8)", "motion", "3"),
                                    ("batch+batch-stats:volume", "spike", "5")]:
        per_label = []
        for label in ("anterior", "posterior"):
            runs = [roc_auc_score(*zip(*table[arm, artifact, severity, label, str(run)]))
                    for run in (1, 2, 3)]
            found = study.estimate(arm=arm, artifact=artifact, label=label,
                                   severity=float(severity) if severity else None)
            assert found["value"] == pytest.approx(np.mean(runs), abs=1e-12)
            assert [r["value"] for r in found["by_run"]] == pytest.approx(runs, abs=1e-12)
            per_label.append(np.mean(runs))
        found = study.estimate(arm=arm, artifact=artifact,
                               severity=float(severity) if severity else None)
        assert found["value"] == pytest.approx(np.mean(per_label), abs=1e-12)


def test_calibration_is_that_of_scikit_learn_and_of_the_likelihood(study):
    cohort, l = study.cohort, 1
    known = cohort.truth[l] >= 0
    y = cohort.truth[l][known]
    for artifact, severity in ((None, 0), ("spike", 4)):
        wanted = {"brier": [], "log_loss": [], "calibration_slope": [], "calibration_in_the_large": []}
        for run in (1, 2, 3):
            z = cohort.scores("layer", run, artifact, severity)[l][known].astype(float)
            p = 1 / (1 + np.exp(-z))
            wanted["brier"].append(brier_score_loss(y, p))
            wanted["log_loss"].append(log_loss(y, p))
            loss = lambda t: np.logaddexp(0, (1 - 2 * y) * (t[0] + t[1] * z)).sum()
            wanted["calibration_slope"].append(
                optimize.minimize(loss, [0, 1], method="BFGS", options={"gtol": 1e-8}).x[1])
            wanted["calibration_in_the_large"].append(
                optimize.brentq(lambda a: (1 / (1 + np.exp(-a - z)) - y).sum(), -20, 20))
        for metric, values in wanted.items():
            found = study.estimate(arm="layer", artifact=artifact or "clean", label="posterior",
                                   severity=float(severity) if artifact else None, metric=metric)
            tolerance = 1e-5 if metric == "calibration_slope" else 1e-9
            assert [r["value"] for r in found["by_run"]] == pytest.approx(values, abs=tolerance)
            assert found["low"] < found["value"] < found["high"] and "p" not in found


def test_the_slopes_interval_is_the_clustered_sandwich(report):
    cohort = Cohort(subjects=40, slices=6, seed=4)
    found, _, _ = report(evaluation(cohort, ["layer"], [1], [(None, 0)], thumbnails=False))
    known = cohort.truth[0] >= 0
    y, subject = cohort.truth[0][known], cohort.subject[known]
    z = cohort.scores("layer", 1, None, 0)[0][known].astype(float)
    loss = lambda t: np.logaddexp(0, (1 - 2 * y) * (t[0] + t[1] * z)).sum()
    t = optimize.minimize(loss, [0, 1], method="BFGS", options={"gtol": 1e-8}).x
    x = np.stack([np.ones_like(z), z], 1)
    p = 1 / (1 + np.exp(-x @ t))
    bread = np.linalg.inv(x.T @ (x * (p * (1 - p))[:, None]))
    U = np.stack([np.bincount(subject, c) for c in ((x * (y - p)[:, None]) @ bread).T], 1)
    I = len(set(subject))
    se = np.sqrt((U[:, 1] ** 2).sum() * I / (I - 1))  # Liang and Zeger 1986
    df = min(len(set(subject[y == 1])), len(set(subject[y == 0]))) - 1
    (e,) = [e for e in found["estimates"] if e["metric"] == "calibration_slope"
            and e["label"] == "anterior" and e["quantity"] == "level"]
    half = stats.t.ppf(0.975, df) * se
    assert (e["low"], e["high"]) == pytest.approx((t[1] - half, t[1] + half), abs=1e-5)


def of(entries, **wanted):
    found = [e for e in entries if all(e[k] == v for k, v in wanted.items())]
    assert len(found) == 1, wanted
    return found[0]


def probabilities(cohort, l, arm, run, artifact, severity):
    known = cohort.truth[l] >= 0
    z = cohort.scores(arm, run, artifact, severity)[l][known].astype(float)
    return 1 / (1 + np.exp(-z)), cohort.truth[l][known], cohort.subject[known]


def ece(p, y, edges):
    bin = np.clip(np.searchsorted(edges, p, "left") - 1, 0, len(edges) - 2)  # (lo, hi]
    return np.abs(np.bincount(bin, p - y)).sum() / len(p)


def test_calibration_in_bins_is_that_of_its_definition(study):
    width = np.linspace(0, 1, 16)
    for l, label in enumerate(study.cohort.labels):
        for images, conditions in (("clean", [(None, 0)]),
                                   ("highest severity", [(a, 5) for a in ARTIFACTS])):
            found = of(study.json["calibration"], label=label, images=images, arm="layer")
            members = [probabilities(study.cohort, l, "layer", run, *c)
                       for run in (1, 2, 3) for c in conditions]
            assert found["ece"]["value"] == pytest.approx(
                np.mean([ece(p, y, width) for p, y, _ in members]), abs=1e-12)
            mass = []
            for p, y, _ in members:
                bin = (2 * stats.rankdata(p) - 1) * 15 // (2 * len(p))
                mass.append(np.abs(np.bincount(bin.astype(int), p - y)).sum() / len(p))
            assert found["ece_equal_mass"] == pytest.approx(np.mean(mass), abs=1e-12)
            assert found["reliability"] - found["resolution"] + found["uncertainty"] + found[
                "within_bins"] == pytest.approx(
                    np.mean([brier_score_loss(y, p) for p, y, _ in members]), abs=1e-12)
            p, y, _ = (np.concatenate(part) for part in zip(*members))
            share, mean = calibration_curve(y, p, n_bins=15)
            assert [b["positives"] for b in found["bins"]] == pytest.approx(share, abs=1e-12)
            assert [b["probability"] for b in found["bins"]] == pytest.approx(mean, abs=1e-12)
            assert sum(b["samples"] for b in found["bins"]) == len(p)
            assert all(0 <= b["low"] <= b["positives"] <= b["high"] <= 1 for b in found["bins"])


def test_the_calibration_errors_interval_is_of_resampled_subjects(study):
    found = of(study.json["calibration"], label="anterior", images="clean", arm="batch")["ece"]
    members = [probabilities(study.cohort, 0, "batch", run, None, 0) for run in (1, 2, 3)]
    rng, subject = np.random.default_rng(1), members[0][2]
    bins = [np.ceil(p * 15).astype(int) - 1 for p, _, _ in members]
    values = []
    for _ in range(1000):
        w = np.bincount(rng.integers(0, 60, 60), minlength=60)[subject]
        values.append(np.mean([np.abs(np.bincount(b, w * (p - y))).sum() / w.sum()
                               for (p, y, _), b in zip(members, bins)]))
    low, high = np.quantile(values, (0.025, 0.975))
    # A percentile's Monte Carlo error is about 0.08 of the width with 1000 replicates.
    assert (found["low"], found["high"]) == pytest.approx((low, high), abs=0.25 * (high - low))


def test_a_bins_interval_is_wilsons_where_subjects_have_one_sample(report):
    cohort = Cohort(subjects=90, seed=2, singletons=True)
    found, _, _ = report(evaluation(cohort, ["layer"], [1], [(None, 0)]))
    for b in of(found["calibration"], label="anterior", images="clean", arm="layer")["bins"]:
        wanted = stats.binomtest(round(b["positives"] * b["samples"]), b["samples"]).proportion_ci(
            method="wilson")
        assert (b["low"], b["high"]) == pytest.approx((wanted.low, wanted.high), abs=1e-9)


def test_net_benefit_is_that_of_vickers_and_elkin(study):
    for images, conditions in (("clean", [(None, 0)]),
                               ("highest severity", [(a, 5) for a in ARTIFACTS])):
        curve = of(study.json["decision_curves"], label="posterior", images=images, arm="group(8)")
        assert [p["probability"] for p in curve["points"]][:4] == [0.01, 0.02, 0.05, 0.1]
        for point in curve["points"]:
            t, values = point["probability"], []
            for run in (1, 2, 3):
                for c in conditions:
                    p, y, _ = probabilities(study.cohort, 1, "group(8)", run, *c)
                    values.append((((p >= t) & (y == 1)).sum()
                                   - ((p >= t) & (y == 0)).sum() * t / (1 - t)) / len(y))
            assert point["value"] == pytest.approx(np.mean(values), abs=1e-12)
            assert point["all_positive"] == pytest.approx(
                y.mean() - (1 - y.mean()) * t / (1 - t), abs=1e-12)
            assert point["low"] < point["value"] < point["high"]
    assert "### Net benefit, by label" in study.markdown


def test_few_subjects_have_no_interval_of_the_calibration_error(report):
    found, _, markdown = report(evaluation(Cohort(subjects=8, slices=5), ["layer"], [1], [(None, 0)]))
    error = found["calibration"][0]["ece"]
    assert error["value"] is not None and error["low"] is None
    assert error["reason"] == "fewer than 10 subjects (8): no interval" and error["reason"] in markdown


def test_a_levels_interval_takes_subjects_and_runs_as_random(study):
    theta, v, df = combine(study.cohort, [[("group(8)", 1, "motion", 3)]])
    found = study.estimate(arm="group(8)", artifact="motion", severity=3.0)
    half = stats.t.ppf(0.975, df) * np.sqrt(v) / (theta * (1 - theta))
    logit = np.log(theta / (1 - theta))
    # Influences are kept as float32.
    assert found["value"] == pytest.approx(theta, abs=1e-9)
    assert found["low"] == pytest.approx(1 / (1 + np.exp(half - logit)), abs=1e-6)
    assert found["high"] == pytest.approx(1 / (1 + np.exp(-half - logit)), abs=1e-6)


@pytest.mark.parametrize("arm", ARMS[1:])
def test_the_endpoints_difference_from_the_baseline(study, arm):
    """Arms of the same networks are combined run by run, others are independent in their runs."""
    same_networks = arm.startswith("batch")
    families = ([endpoint(arm) + endpoint("batch", -1)] if same_networks
                else [endpoint(arm), endpoint("batch", -1)])
    theta, v, df = combine(study.cohort, families)
    found = study.estimate(quantity="difference", arm=arm, artifact="all")
    t = stats.t.ppf(0.975, df) * np.sqrt(v)
    assert found["reference"] == "batch"
    assert found["value"] == pytest.approx(theta, abs=1e-9)
    assert (found["low"], found["high"]) == pytest.approx((theta - t, theta + t), abs=1e-6)
    assert found["p"] == pytest.approx(2 * stats.t.sf(abs(theta) / np.sqrt(v), df), rel=1e-4)
    assert found["mde"] == pytest.approx(
        (stats.t.ppf(0.975, df) + stats.t.ppf(0.8, df)) * np.sqrt(v), rel=1e-5)


def test_p_values_are_adjusted_within_their_families(study):
    ends = [study.estimate(quantity="difference", arm=arm, artifact="all") for arm in ARMS[1:]]
    order, worst = sorted(ends, key=lambda e: e["p"]), 0
    for i, e in enumerate(order):  # Holm 1979
        worst = max(worst, min(1, e["p"] * (len(order) - i)))
        assert e["p_adjusted"] == pytest.approx(worst, rel=1e-9) and e["adjustment"] == "holm"
    cells = [study.estimate(quantity="difference", arm="layer", artifact=a, severity=float(s))
             for a in ARTIFACTS for s in range(1, 6)]
    best = 1
    for i, e in reversed(list(enumerate(sorted(cells, key=lambda e: e["p"]), 1))):  # BH 1995
        best = min(best, e["p"] * len(cells) / i)
        assert e["p_adjusted"] == pytest.approx(best, rel=1e-9) and e["adjustment"] == "bh"


# --- what is printed is what was computed


def typographic(value, sign=False):
    text = f"{value:+.3f}" if sign else f"{value:.3f}"
    return text.replace("-", "\u2212")


def test_markdown_prints_the_numbers_of_the_json(study):
    for arm in ARMS:
        clean = study.estimate(arm=arm, artifact="clean")
        corrupted = study.estimate(arm=arm, artifact="all")
        change = study.estimate(quantity="change", arm=arm, artifact="all")
        show = lambda e, sign=False: (f"{typographic(e['value'], sign)} "
                                      f"({typographic(e['low'], sign)} to "
                                      f"{typographic(e['high'], sign)})")
        row = (f"| {arm.replace('+', ' + ')} | 3 | {show(clean)} | {show(corrupted)} | "
               f"{show(change, True)} |")
        assert row in study.markdown.splitlines()
    assert (study.folder / "report.md").read_text() == study.markdown


def test_heat_map_holds_every_cell_with_its_interval(study):
    svg = ET.parse(study.folder / "figures" / "difference-group-8.svg").getroot()
    titles = [t.text for t in svg.iter("{http://www.w3.org/2000/svg}title")]
    texts = [t.text for t in svg.iter("{http://www.w3.org/2000/svg}text")]
    assert len(titles) == 25
    for artifact in ARTIFACTS:
        for severity in range(1, 6):
            e = study.estimate(quantity="difference", arm="group(8)", artifact=artifact,
                               severity=float(severity))
            value, low, high = (typographic(e[k], True) for k in ("value", "low", "high"))
            assert any(t.startswith(f"{artifact}, severity {severity}: {value}, 95 % interval "
                                    f"{low} to {high}, p ") for t in titles)
            assert value + (" •" if e["p_adjusted"] < 0.05 else "") in texts


def test_marks_are_of_adjusted_p_values(report, tmp_path):
    cohort = Cohort(subjects=24, slices=5, seed=6)  # here some cells have p < .05 only unadjusted
    found, _, markdown = report(evaluation(cohort, ["group(8)", "layer"], [1, 2], GRID))
    cells = [e for e in found["estimates"] if e.get("adjustment") == "bh"]
    assert any(e["p"] < 0.05 <= e["p_adjusted"] for e in cells)
    marked = sum(e["p_adjusted"] < 0.05 for e in cells)
    assert 0 < marked < 25
    svg = (tmp_path / "out" / "figures" / "difference-layer.svg").read_text()
    assert svg.count(" \u2022</text>") == marked
    assert markdown.count(") \u2022 |") == marked


def test_csv_has_every_estimate_of_the_json_and_each_run(study):
    means = [row for row in study.rows if not row["run"]]
    assert len(means) == len(study.json["estimates"])
    for row, e in zip(means, study.json["estimates"]):
        assert (row["quantity"], row["arm"], row["artifact"], row["label"], row["metric"]) == (
            e["quantity"], e["arm"], e["artifact"], e["label"], e["metric"])
        for column, key in (("estimate", "value"), ("lo", "low"), ("hi", "high"), ("p", "p"),
                            ("p_adjusted", "p_adjusted"), ("mde", "mde")):
            assert (float(row[column]) if row[column] else None) == e.get(key)
        assert row["reason"] == e.get("reason", "")
    runs = {row["run"] for row in study.rows if row["quantity"] == "level"}
    assert runs == {"", "1", "2", "3"}


def test_scores_survive_the_text(study):
    scores = study.cohort.scores("layer", 2, "bias", 4)
    rows = [row for row in study.scores if (row["arm"], row["run"], row["artifact"],
                                            row["severity"]) == ("layer", "2", "bias", "4")]
    for l, label in enumerate(study.cohort.labels):
        of_label = [row for row in rows if row["label"] == label]
        assert [row["sample"] for row in of_label] == study.cohort.ids
        assert np.array_equal(np.float32([row["score"] for row in of_label]), scores[l])
        truth = [-1 if row["truth"] == "" else int(row["truth"]) for row in of_label]
        assert truth == study.cohort.truth[l].tolist()


def test_operating_point_is_the_models_own(study):
    scores = study.cohort.scores("batch", 1, "spike", 5)[0]
    truth = study.cohort.truth[0]
    found = study.estimate(arm="batch", artifact="spike", severity=5.0, label="anterior",
                           metric="sensitivity")
    assert found["by_run"][0]["value"] == pytest.approx((scores[truth == 1] >= 0.5).mean())


def test_predictive_values_are_at_the_samples_prevalence_or_the_stated_one(report, fails, tmp_path):
    cohort = Cohort(subjects=40, slices=6, seed=5)
    text = evaluation(cohort, ["batch"], [1], [(None, 0), ("spike", 5)], thumbnails=False)
    values = lambda found: {(e["artifact"], e["metric"]): e for e in found["estimates"]
                            if e["label"] == "anterior" and e["quantity"] == "level"
                            and e["severity"] in (None, 5)}
    found, _, markdown = report(text)
    assert found["prevalence"] is None and "the prevalence of these samples" in markdown
    natural = values(found)
    stated, html, markdown = report(text, "--prevalence", "0.03")
    assert stated["prevalence"] == 0.03 and "the stated prevalence of 0.03" in markdown
    stated = values(stated)
    y = cohort.truth[0]
    for artifact, severity in ((None, 0), ("spike", 5)):
        called = cohort.scores("batch", 1, artifact, severity)[0] >= 0.5
        se, sp = called[y == 1].mean(), (~called)[y == 0].mean()
        at = lambda of, metric: of[artifact or "clean", metric]["value"]
        assert at(natural, "ppv") == pytest.approx((y[called & (y >= 0)] == 1).mean(), abs=1e-12)
        assert at(natural, "npv") == pytest.approx((y[~called & (y >= 0)] == 0).mean(), abs=1e-12)
        assert at(stated, "ppv") == pytest.approx(
            se * 0.03 / (se * 0.03 + (1 - sp) * 0.97), abs=1e-12)
        assert at(stated, "npv") == pytest.approx(
            sp * 0.97 / (sp * 0.97 + (1 - se) * 0.03), abs=1e-12)
        assert stated["clean", "sensitivity"] == natural["clean", "sensitivity"]
    for wrong in ("0", "1", "1.5", "nan"):
        fails(["mr-report", "--prevalence", wrong, tmp_path / "x.eval"], 64, "prevalence")


# --- the files


def test_json_fits_its_schema(study, schema):
    schema("mr-report")(study.json)
    tools = [entry["tool"] for entry in study.json["provenance"]]
    assert tools[-1] == "mr-report" and "mr-eval" in tools and tools[0] == "mr-train"
    assert len(study.json["provenance"][-1]["inputs"]) == 3
    assert study.messages == ""


def inline_drawings(html):
    return re.findall(r"<svg .*?</svg>", html, re.S)


def test_html_is_one_page_without_scripts_or_fetches(study):
    html = study.html
    assert "<script" not in html.lower() and "http" not in html and "@import" not in html
    assert not re.search(r"\son\w+=", html)
    assert {m.split(",")[0] for m in re.findall(r'src="([^"]*)', html)} == {
        "data:image/png;base64"}
    assert "url(" not in html and "<link" not in html
    assert len(inline_drawings(html)) == 3 + 4 + 5 + 1 + 5 + 4 + 4 + 4
    for anchor in re.findall(r'href="#([^"]+)"', html):
        assert f'<section id="{anchor}">' in html


def test_html_has_words_for_every_picture(study):
    for svg in inline_drawings(study.html):
        root = ET.fromstring(svg)
        assert root.get("role") == "img" and len(root.get("aria-label")) > 30
    images = re.findall(r"<img [^>]*>", study.html)
    assert len(images) == 5 * (6 + 5)  # and below each artifact its differences
    alts = [re.search(r'alt="([^"]*)"', image).group(1) for image in images]
    assert alts.count(f"{study.cohort.ids[7]}, clean") == 5
    assert f"{study.cohort.ids[7]}, motion, severity 3" in alts


def test_html_is_well_formed_light_dark_and_for_print(study):
    body = re.sub(r"<(meta|img)([^>]*)>", r"<\1\2/>", study.html.replace("<!DOCTYPE html>", ""))
    root = ET.fromstring(body)
    assert root.tag == "html" and root.find("head/title").text
    assert "prefers-color-scheme:dark" in study.html and "@media print" in study.html
    regions = [e for e in root.iter("div") if e.get("class") == "scroll"]
    assert regions and all(e.get("role") == "region" and e.get("aria-label") and
                           e.get("tabindex") == "0" for e in regions)
    # On paper nothing is folded: the summary of what was is its heading.
    printed = study.html.split("@media print{")[1]
    assert "details::details-content{content-visibility:visible" in printed
    assert "details>summary{color:inherit" in printed
    assert [h.text for h in root.iter("h1")] == ["Robustness of MR image diagnosis"]


def test_figures_are_drawings_of_their_own(study):
    figures = sorted((study.folder / "figures").glob("*.svg"))
    assert len(figures) == 3 + 4 + 5 + 1 + 5 + 4 + 4 + 4
    for path in figures:
        root = ET.parse(path).getroot()
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert "NaN" not in path.read_text() and "nan" not in path.read_text().split("</style>")[1]


def test_each_figure_has_its_numbers_which_are_those_of_the_json(study):
    figures = study.folder / "figures"
    assert {p.stem for p in figures.glob("*.svg")} == {p.stem for p in figures.glob("*.csv")}

    def rows(name):
        with open(figures / f"{name}.csv", newline="") as f:
            return list(csv.DictReader(f))

    def same(row, e):
        for column, key in (("estimate", "value"), ("lo", "low"), ("hi", "high")):
            assert (float(row[column]) if row[column] else None) == e.get(key)

    cells = rows("difference-group-8")
    assert len(cells) == 25
    for cell in cells:
        e = study.estimate(quantity="difference", arm="group(8)", artifact=cell["row"],
                           severity=float(cell["column"]))
        same(cell, e)
        assert cell["marked"] == str(int(e["p_adjusted"] < 0.05))
    for cell in rows("change-layer"):
        same(cell, study.estimate(quantity="change", arm="layer", artifact=cell["row"],
                                  severity=float(cell["column"])))
    points = rows("curve-motion")
    assert len(points) == 4 * 4 * 6  # arms, mean and runs, severities
    for point in points:
        x = float(point["x"])
        e = study.estimate(arm=point["series"].replace(" + ", "+"),
                           artifact="motion" if x else "clean", severity=x or None)
        if point["run"]:
            run = next(r for r in e["by_run"] if r["run"] == int(point["run"]))
            assert float(point["estimate"]) == run["value"] and point["lo"] == point["hi"] == ""
        else:
            same(point, e)
    for bar in rows("paired-differences"):
        artifact = "all" if bar["group"] == "all artifacts" else bar["group"]
        same(bar, study.estimate(quantity="difference", arm=bar["name"].replace(" + ", "+"),
                                 artifact=artifact, severity=None))
    for point in rows("operating-alarm-rate"):
        if point["run"] or point["x"] == "0":
            continue
        means = [study.estimate(arm=point["series"].replace(" + ", "+"), artifact=a,
                                severity=float(point["x"]), metric="alarm_rate")["value"]
                 for a in ARTIFACTS]
        assert float(point["estimate"]) == pytest.approx(np.mean(means), abs=1e-12)


def test_notes_of_the_evaluation_are_repeated_up_front(study):
    assert NOTE in study.html.split('<section id="performance">')[0]
    assert f"> **Note.** {NOTE}" in study.markdown


def test_same_input_same_bytes_in_any_locale(study, run, tmp_path):
    again = run(["mr-report", "-o", tmp_path / "again", *study.files],
                env={"LC_ALL": "de_DE.UTF-8", "LANG": "de_DE.UTF-8"})
    # The recorded command lacks --scores this time; nothing else differs.
    command = study.json["provenance"][-1]["command"]
    shorter = re.sub(r" --scores \S+", "", command)
    assert again.stdout.decode() == study.markdown.replace(command, shorter)
    for name in ("report.html", "report.csv", "report.json"):
        old = (study.folder / name).read_text().replace(command, shorter)
        assert (tmp_path / "again" / name).read_text() == old
    for path in (study.folder / "figures").iterdir():
        assert (tmp_path / "again" / "figures" / path.name).read_bytes() == path.read_bytes()


# --- studies of other shapes


def test_one_condition_from_a_pipe(run):
    cohort = Cohort(subjects=20, slices=4)
    given = [({"kind": "as_given", "artifact": "motion:3"}, 3)]
    text = evaluation(cohort, ["group(8)"], [1], given, thumbnails=False)
    markdown = run(["mr-report", "-"], stdin=text.encode()).stdout.decode()
    value = np.mean([roc_auc_score(t[t >= 0], s[t >= 0]) for s, t in zip(
        cohort.scores("group(8)", 1, None, 3), cohort.truth)])
    assert f"images as given (motion:3), is {value:.3f} (" in markdown
    assert "another training may differ" in markdown
    scores, truth = cohort.scores("group(8)", 1, None, 3)[0], cohort.truth[0]
    assert re.search(rf"\| anterior \| sensitivity \| group\(8\) \| "
                     rf"{(scores[truth == 1] >= 0.5).mean():.3f} \(", markdown)
    assert "Difference from" not in markdown and "Degradation" not in markdown
    unnamed = run(["mr-report"], stdin=text.encode()).stdout.decode()
    assert markdown.replace("| mr-report - |", "| mr-report |") == unnamed


def test_clean_alone_and_one_label(report):
    cohort = Cohort(subjects=20, slices=4, labels=["tear"])
    found, html, markdown = report(evaluation(cohort, ["layer"], [1, 2], [(None, 0)]))
    assert "macro" not in {e["label"] for e in found["estimates"]}
    assert "Performance: clean" in markdown 
    assert len(inline_drawings(html)) == 2  # reliability and decision curve
    assert len(re.findall("<img ", html)) == 1


def test_a_label_of_one_class_is_a_dash_with_its_reason(report):
    cohort = Cohort(subjects=20, slices=4)
    truth = cohort.truth.copy()
    truth[1] = 0
    found, html, markdown = report(evaluation(cohort, ["batch", "layer"], [1, 2], GRID,
                                              truth=truth))
    mine = [e for e in found["estimates"] if e["label"] == "posterior" and e["metric"] == "auroc"]
    assert all(e["value"] is None and e["reason"] for e in mine)
    assert {e["labels_used"] for e in found["estimates"]
            if e["label"] == "macro" and e["metric"] == "auroc"} == {1}
    assert "lacks positive or negative samples of posterior" in markdown
    row = next(line for line in markdown.splitlines() if line.startswith("| posterior |"))
    assert "| –<sup>a</sup> |" in row
    assert re.search(r"^- <sup>a</sup> .*posterior", markdown, re.M)
    for text in (html, markdown):
        assert not re.search(r"\b(nan|inf)\b", text, re.I)


def test_a_perfect_arm_has_no_interval_and_few_subjects_no_p_value(report):
    cohort = Cohort(subjects=8, slices=6, labels=["tear"])
    cohort.case = np.where(cohort.truth == 1, 5.0, -5.0)
    found, _, markdown = report(evaluation(cohort, ["batch", "layer"], [1],
                                           [(None, 0), ("spike", 5)]))
    clean = next(e for e in found["estimates"] if e["artifact"] == "clean"
                 and e["quantity"] == "level" and e["metric"] == "auroc")
    assert clean["value"] == 1 and clean["low"] is None and "limit" in clean["reason"]
    assert re.search(r"\| batch \| 1 \| 1\.000<sup>a</sup> \|", markdown)
    spike = next(e for e in found["estimates"] if e["artifact"] == "spike"
                 and e["quantity"] == "difference" and e["metric"] == "auroc")
    assert spike["low"] is not None and spike["p"] is None and "10 subjects" in spike["reason"]
    assert "without a test" in markdown


def test_models_without_operating_points(report):
    cohort = Cohort(subjects=20, slices=4)
    _, html, markdown = report(evaluation(cohort, ["batch"], [1], GRID, threshold=None))
    assert "No model carries an operating point" in markdown
    assert "At the frozen threshold" not in html


def test_names_cannot_break_the_pages(report):
    nasty = ["<script>alert(1)</script>", 'a|b_c_ "q" & [x](y) *']
    cohort = Cohort(subjects=20, slices=3, labels=nasty)
    _, html, markdown = report(evaluation(cohort, ["batch", "layer"], [1], GRID, notes=nasty))
    assert "<script" not in html and "&lt;script&gt;" in html
    for svg in inline_drawings(html):
        ET.fromstring(svg)
    assert "<script" not in markdown.replace("\\<script", "")
    tables = [line for line in markdown.splitlines() if line.startswith("| a\\|b")]
    assert tables and all("[x\\](y)" in line for line in tables)


def test_baseline_is_batch_or_the_first_or_the_one_asked_for(report, fails, tmp_path):
    cohort = Cohort(subjects=20, slices=3)
    text = evaluation(cohort, ["layer", "batch", "group(8)"], [1], [(None, 0), ("spike", 5)])
    assert report(text)[0]["baseline"] == "batch"
    assert report(text, "--baseline", "group(8)")[0]["baseline"] == "group(8)"
    text = evaluation(cohort, ["layer", "group(8)"], [1], [(None, 0), ("spike", 5)])
    assert report(text)[0]["baseline"] == "layer"
    fails(["mr-report", "--baseline", "layr", tmp_path / "x.eval"], 64,
          "mr-report: --baseline: unknown arm 'layr'; did you mean 'layer'?")


def test_conditions_of_one_model_may_come_in_several_files(run, tmp_path):
    cohort = Cohort(subjects=20, slices=3)
    whole = evaluation(cohort, ["batch", "layer"], [1], GRID, thumbnails=False)
    (tmp_path / "whole").write_text(whole)
    for name, part in (("a", GRID[:9]), ("b", GRID[9:])):
        (tmp_path / name).write_text(evaluation(cohort, ["batch", "layer"], [1], part,
                                                thumbnails=False))
    one = run(["mr-report", tmp_path / "whole"]).stdout
    two = run(["mr-report", tmp_path / "a", tmp_path / "b"]).stdout
    cut = lambda text: text.split(b"### Provenance")[0]
    assert cut(one) == cut(two)


# --- what goes wrong


def test_bad_evaluations_are_refused_by_name(fails, tmp_path):
    cohort = Cohort(subjects=20, slices=3)
    good = evaluation(cohort, ["batch"], [1], [(None, 0)], thumbnails=False)
    path = tmp_path / "x.eval"

    def refused(text, *parts, others=()):
        path.write_text(text)
        fails(["mr-report", *others, path], 65, f"{path}: ", *parts)

    refused("hello\n", "not an evaluation")
    refused(good[: len(good) // 2], "line 1, column")
    refused(good.rsplit("\n", 2)[0] + "\n", "cut off")
    refused(good.replace("mr-eval/1", "mr-eval/2"), "mr-eval/2")
    (tmp_path / "first.eval").write_text(good)
    other = evaluation(Cohort(subjects=21, slices=3), ["layer"], [1], [(None, 0)])
    refused(other, "samples differ from those of", "first.eval", others=[tmp_path / "first.eval"])
    refused(good, "is already", others=[tmp_path / "first.eval"])
    fails(["mr-report", tmp_path / "none.eval"], 66, "none.eval: ")
    fails(["mr-report", path, path], 64, "named twice")


def test_outputs_are_kept_unless_forced_and_appear_whole(run, fails, tmp_path):
    text = evaluation(Cohort(subjects=20, slices=3), ["batch"], [1], [(None, 0)])
    good, bad = tmp_path / "good.eval", tmp_path / "bad.eval"
    good.write_text(text)
    bad.write_text(text[:-30])
    out, scores = tmp_path / "out", tmp_path / "scores.csv"
    fails(["mr-report", "-o", out, "--scores", scores, bad], 65, "bad.eval: ")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bad.eval", "good.eval"]
    run(["mr-report", "-o", out, "--scores", scores, good])
    before = (out / "report.html").read_bytes()
    fails(["mr-report", "-o", out, good], 73, "out: exists; use --force")
    fails(["mr-report", "--scores", scores, good], 73, "scores.csv: exists; use --force")
    fails(["mr-report", "--force", "-o", out, bad], 65)
    assert (out / "report.html").read_bytes() == before
    run(["mr-report", "--force", "-o", out, "--scores", scores, good])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bad.eval", "good.eval", "out",
                                                          "scores.csv"]
    fails(["mr-report", "-o", tmp_path / "no" / "out", good], 73)


def test_a_closed_pipe_is_silent_and_a_full_disk_is_not(run, tmp_path):
    import conftest
    path = tmp_path / "x.eval"
    path.write_text(evaluation(Cohort(subjects=20, slices=3), ["batch"], [1], [(None, 0)]))
    run(["mr-report", path])  # skips where it is not built
    tool = str(conftest.BIN / "mr-report")
    writer = subprocess.Popen([tool, str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    writer.stdout.close()
    assert writer.stderr.read() == b"" and writer.wait() == 0
    with open("/dev/full", "wb") as full:
        done = subprocess.run([tool, str(path)], stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 74
    assert done.stderr.startswith(b"mr-report: standard output: cannot be written")


def test_an_arm_breaks_where_a_loss_of_a_twentieth_is_no_longer_excluded(study):
    _, _, table = study.markdown.partition("### Where arms break")
    rows = {r.split(" | ")[0].strip("| "): r.strip("| ").split(" | ")[1:]
            for r in table.split("\n\n")[1].splitlines()[2:]}
    for arm in ARMS:
        worst, *breaks = rows[arm.replace("+", " + ")]
        means = {a: study.estimate(arm=arm, artifact=a, severity=None)["value"] for a in ARTIFACTS}
        lowest = min(means, key=means.get)
        assert worst == f"{lowest} ({means[lowest]:.3f})"
        for artifact, found in zip(ARTIFACTS, breaks):
            broken = [s for s in range(1, 6) if study.estimate(
                quantity="change", arm=arm, artifact=artifact, severity=float(s))["low"] < -0.05]
            assert found == (str(broken[0]) if broken else "> 5")


# --- subgroups


def with_attributes(text, cohort, of_subject):
    """The evaluation with one image per subject that has attributes; of_subject(p) gives them."""
    head, rest = text.split("\n", 1)
    head = json.loads(head)
    head["attributes"] = {"sample_image": cohort.subject.tolist(),
                          "images": [of_subject(p) for p in range(len(cohort.subjects))]}
    return json.dumps(head) + "\n" + rest


def test_a_subgroups_numbers_are_those_of_an_evaluation_of_its_samples_alone(report, schema):
    cohort = Cohort(subjects=50, slices=6, seed=3)
    arms, scanner = ["batch", "group(8)"], ["Skyra", "Aera"]
    attributes = lambda p: {"scanner": scanner[p % 2], "field": 1.5 if p < 30 else 3.0}
    text = with_attributes(evaluation(cohort, arms, [1, 2, 3], GRID, thumbnails=False), cohort,
                           attributes)
    found, html, markdown = report(text, "--by", "scanner,field")
    schema("mr-report")(found)
    groups = {(g["attribute"], g["value"], g["arm"]): g for g in found["subgroups"]}
    assert list(groups) == [("scanner", v, a) for v in ("Aera", "Skyra") for a in arms] + [
        ("field", v, a) for v in ("1.5", "3") for a in arms]
    assert groups["field", "1.5", "batch"]["subjects"] == 30
    assert groups["field", "1.5", "batch"]["samples"] == 180
    for key, of in (("Aera", lambda p: p % 2 == 1), ("1.5", lambda p: p < 30)):
        mine = np.array([of(p) for p in cohort.subject])
        alone = evaluation(cohort, arms, [1, 2, 3], GRID, thumbnails=False,
                           truth=np.where(mine, cohort.truth, -1))
        wanted, _, _ = report(alone)
        wanted = {(e["quantity"], e["arm"], e["artifact"]): e for e in wanted["estimates"]
                  if e["label"] == "macro" and e["metric"] == "auroc" and e["severity"] is None}
        name = "scanner" if key == "Aera" else "field"
        for arm in arms:
            group = groups[name, key, arm]
            pairs = [("clean", "level", "clean"), ("corrupted", "level", "all"),
                     ("change", "change", "all")]
            if arm != "batch":
                pairs.append(("difference", "difference", "all"))
            for mine_, quantity, artifact in pairs:
                for end in ("value", "low", "high"):
                    assert group[mine_][end] == pytest.approx(
                        wanted[quantity, arm, artifact][end], abs=1e-12)
    assert "## Subgroups" in markdown and '<section id="subgroups">' in html
    assert "| scanner | Aera | 150 (25) | batch |" in markdown


def test_arms_are_ranked_over_sites_that_share_no_subject(report, schema):
    cohort = Cohort(subjects=120, slices=5, seed=9)
    arms = ["batch", "group(8)", "layer"]
    text = with_attributes(evaluation(cohort, arms, [1, 2], GRID, thumbnails=False), cohort,
                           lambda p: {"site": "ABCDEF"[p % 6], "scanner": "XYZ"[p % 3]})
    found, _, markdown = report(text, "--by", "site,scanner")
    schema("mr-report")(found)
    site, scanner = found["blocks"]
    values = np.array([[g["corrupted"]["value"] for g in found["subgroups"]
                        if g["attribute"] == "site" and g["arm"] == arm] for arm in arms])
    wanted = stats.friedmanchisquare(*values)
    assert (site["chi2"], site["p"]) == pytest.approx((wanted.statistic, wanted.pvalue), rel=1e-9)
    ranks = stats.rankdata(-values, axis=0).mean(1)
    assert [a["mean_rank"] for a in site["arms"]] == pytest.approx(ranks)
    n, k, chi2 = 6, 3, wanted.statistic
    if site["f"] is not None:
        f = (n - 1) * chi2 / (n * (k - 1) - chi2)
        assert site["f"] == pytest.approx(f) and site["p_of_f"] == pytest.approx(
            stats.f.sf(f, k - 1, (k - 1) * (n - 1)))
    raw = [stats.wilcoxon(values[a] - values[0], mode="exact").pvalue for a in (1, 2)]
    assert [a["p"] for a in site["arms"][1:]] == pytest.approx(raw)
    assert max(a["p_adjusted"] for a in site["arms"][1:]) == pytest.approx(max(2 * min(raw), max(raw)))
    assert scanner["reason"] == "fewer than 5 blocks (3): no test" and scanner["chi2"] is None
    assert all(a["p"] is None for a in scanner["arms"][1:])
    assert "### Arms over subgroups as blocks" in markdown


def test_blocks_that_share_a_subject_are_refused(report):
    cohort = Cohort(subjects=30, slices=10, seed=9)
    text = evaluation(cohort, ["batch", "layer"], [1], [(None, 0)], thumbnails=False)
    head, rest = text.split("\n", 1)
    head = json.loads(head)
    head["attributes"] = {"sample_image": (np.arange(300) % 5).tolist(),
                          "images": [{"contrast": c} for c in "ABCDE"]}
    found, _, _ = report(json.dumps(head) + "\n" + rest, "--by", "contrast")
    (test,) = found["blocks"]
    assert test["reason"] == "subject sub-000 is in two of them: not independent"
    assert test["p"] is None and all("p" not in a for a in test["arms"])


def test_single_runs_are_compared_by_exchange_of_ranks(report, schema):
    cohort = Cohort(subjects=9, slices=12, seed=5, labels=["tear"])
    text = evaluation(cohort, ["batch", "group(8)"], [1], [(None, 0), ("spike", 4)],
                      thumbnails=False)
    found, _, markdown = report(text)
    schema("mr-report")(found)
    known = cohort.truth[0] >= 0
    y, subject = cohort.truth[0][known], cohort.subject[known]
    for images, artifact, severity in (("clean", None, 0), ("highest severity", "spike", 4)):
        a, b = (stats.rankdata(cohort.scores(arm, 1, artifact, severity)[0][known])
                for arm in ("group(8)", "batch"))
        observed, as_large = roc_auc_score(y, a) - roc_auc_score(y, b), 0
        for i in range(512):
            swap = (i >> subject) & 1 == 1
            d = (roc_auc_score(y, np.where(swap, b, a)) - roc_auc_score(y, np.where(swap, a, b)))
            as_large += abs(d) >= abs(observed) - 1e-12
        test = of(found["exchanges"], images=images, arm="group(8)")
        assert test["exact"] and test["exchanges"] == 512
        assert test["p"] == as_large / 512 and test["difference"] == pytest.approx(observed)
    assert "all 512" in markdown
    several, _, markdown = report(evaluation(cohort, ["batch", "group(8)"], [1, 2], [(None, 0)]))
    assert several["exchanges"] == [] and "exchange of ranks" not in markdown


def test_a_value_is_set_against_the_most_common_one(report, schema):
    """Clean AUROC within B minus within A, from the definition, subjects with images of both counted in
    both; sensitivity and specificity at the threshold; and the difference of that from the baseline's."""
    cohort = Cohort(subjects=50, slices=6, seed=3)
    arms = ["batch", "group(8)"]
    text = with_attributes(evaluation(cohort, arms, [1, 2, 3], GRID, thumbnails=False), cohort,
                           lambda p: {"scanner": "B" if p % 3 == 0 else "A"})
    found, _, markdown = report(text, "--by", "scanner")
    schema("mr-report")(found)
    assert [(s["value"], s["reference"], s["arm"]) for s in found["shifts"]] == [
        ("B", "A", arm) for arm in arms]
    inside = {v: np.array([(p % 3 == 0) == (v == "B") for p in cohort.subject]) for v in "AB"}
    area, influence = {}, {}
    for arm in arms:
        for run in (1, 2, 3):
            parts = []
            for l in range(2):
                each = [auroc_and_influences(cohort.scores(arm, run, None, 0)[l],
                                             np.where(inside[v], cohort.truth[l], -1),
                                             cohort.subject, 50) for v in "BA"]
                parts.append((each[0][0] - each[1][0], each[0][1] - each[1][1],
                              min(each[0][2], each[1][2])))
            area[arm, run] = np.mean([p[0] for p in parts])
            influence[arm, run] = np.mean([p[1] for p in parts], axis=0)
            subjects = min(p[2] for p in parts)
    rows = {s["arm"]: s for s in found["shifts"]}

    def interval(families):
        """families: [runs] of (value, influence), with their signs."""
        total = sum(np.mean([v for v, _ in f]) for f in families)
        v_s = (sum(np.mean([u for _, u in f], axis=0) for f in families) ** 2).sum()
        v_r = [np.var([v for v, _ in f], ddof=1) / 3 for f in families]
        v_sr = sum(((np.array([u for _, u in f]) - np.mean([u for _, u in f], axis=0)) ** 2).sum() / 6
                   for f in families)
        v = max(v_s, v_s + sum(v_r) - v_sr)
        df = max(v ** 2 / (v_s ** 2 / (subjects - 1) + sum(r ** 2 for r in v_r) / 2), 2)
        half = stats.t.ppf(0.975, df) * np.sqrt(v)
        return total, total - half, total + half

    of = {arm: [(area[arm, r], influence[arm, r]) for r in (1, 2, 3)] for arm in arms}
    for arm in arms:
        found_ = rows[arm]["auroc"]
        assert (found_["value"], found_["low"], found_["high"]) == pytest.approx(
            interval([of[arm]]), abs=1e-6)
        for metric, y in (("sensitivity", 1), ("specificity", 0)):
            shares = {v: np.mean([[((cohort.scores(arm, r, None, 0)[l] >= 0.5) == y)
                                   [(cohort.truth[l] == y) & inside[v]].mean() for l in range(2)]
                                  for r in (1, 2, 3)]) for v in "AB"}
            assert rows[arm][metric]["value"] == pytest.approx(shares["B"] - shares["A"], abs=1e-9)
    other = rows["group(8)"]["difference"]
    assert (other["value"], other["low"], other["high"]) == pytest.approx(
        interval([of["group(8)"], [(-v, -u) for v, u in of["batch"]]]), abs=1e-6)
    assert "difference" not in rows["batch"] and "From one value to another" in markdown


def test_a_subgroup_of_one_class_is_undefined_with_its_reason(report):
    cohort = Cohort(subjects=20, slices=4)
    cohort.truth[:, cohort.subject < 5] = 1
    text = with_attributes(evaluation(cohort, ["batch"], [1], [(None, 0)]), cohort,
                           lambda p: {"site": "A"} if p < 5 else {})
    found, _, markdown = report(text, "--by", "site")
    none, site_a = found["subgroups"]
    assert none["value"] == "" and none["clean"]["value"] is not None
    assert site_a["clean"]["value"] is None and "no negative samples" in site_a["clean"]["reason"]
    assert "(none)" in markdown


def test_subgroups_that_cannot_be_are_refused(fails, report, tmp_path):
    cohort = Cohort(subjects=30, slices=2)
    text = with_attributes(evaluation(cohort, ["batch"], [1], [(None, 0)]), cohort,
                           lambda p: {"scanner": "A", "age": p})
    (tmp_path / "x.eval").write_text(text)
    fails(["mr-report", "--by", "scaner", tmp_path / "x.eval"], 64, "scaner", "scanner")
    fails(["mr-report", "--by", "age", tmp_path / "x.eval"], 64, "age", "30 values")
    assert report(text)[0]["subgroups"] == []
    rest = text.split("\n", 1)[1]
    for broken in ([0, 1], [99] * 60):
        head = json.loads(text.split("\n", 1)[0])
        head["attributes"]["sample_image"] = broken
        (tmp_path / "x.eval").write_text(json.dumps(head) + "\n" + rest)
        fails(["mr-report", "--by", "scanner", tmp_path / "x.eval"], 65, "sample_image")


def test_shortcuts_are_the_aurocs_of_facts_beside_the_image(report, schema):
    cohort = Cohort(subjects=40, slices=7, seed=8)
    cohort.truth[0] = np.where(np.arange(280) % 7 >= 4, 1, 0)  # the slice's place says it all
    attributes = lambda p: {"sex": "FM"[p % 2], "age": 30 + p, "site": "ABC"[p % 3],
                            **({"field": 3.0} if p < 20 else {})}
    text = with_attributes(evaluation(cohort, ["batch"], [1], [(None, 0)]), cohort, attributes)
    found, _, markdown = report(text)
    schema("mr-report")(found)
    values = {(s["fact"], s["label"]): s for s in found["shortcuts"]}
    place = np.arange(280) % 7
    assert {f for f, _ in values} == {"slice position", "distance from the middle slice", "age",
                                      "sex = M"}  # field does not vary, site has three values
    for fact, score in (("slice position", place / 6), ("age", 30 + cohort.subject),
                        ("distance from the middle slice", abs(2 * place - 6) / 6),
                        ("sex = M", cohort.subject % 2)):
        for l, label in enumerate(cohort.labels):
            known = cohort.truth[l] >= 0
            assert values[fact, label]["value"] == pytest.approx(
                roc_auc_score(cohort.truth[l][known], np.float32(score)[known]), abs=1e-12)
    assert values["slice position", "anterior"]["value"] == 1
    age = values["age", "posterior"]
    _, U, _ = auroc_and_influences(30.0 + cohort.subject, cohort.truth[1], cohort.subject, 40)
    assert age["low"] < age["value"] < age["high"]
    a, t = age["value"], stats.t.ppf(0.975, min(len(set(cohort.subject[cohort.truth[1] == 1])),
                                                len(set(cohort.subject[cohort.truth[1] == 0]))) - 1)
    half = t * np.sqrt((U ** 2).sum()) / (a * (1 - a))
    assert age["low"] == pytest.approx(1 / (1 + np.exp(half - np.log(a / (1 - a)))), abs=1e-9)
    assert "## Shortcuts" in markdown


def test_scanner_and_mean_intensity_are_shortcuts_too(report, schema):
    """An attribute of several values ranks a label by its share among validation samples with the value;
    a value that validation lacks leaves its samples out."""
    cohort, validation = Cohort(subjects=40, slices=5), Cohort(subjects=30, slices=5, seed=9)
    text = with_validation(evaluation(cohort, ["batch"], [1], [(None, 0)], thumbnails=False), validation)
    scanner = lambda p: {"scanner": "ABCD"[p % 4]}
    head, rest = with_attributes(text, cohort, scanner).split("\n", 1)
    head = json.loads(head)
    intensity = np.random.default_rng(1).normal(size=len(cohort.ids)).astype("<f4")
    head["attributes"]["sample_intensity"] = intensity.tolist()
    head["validation"]["attributes"] = {"sample_image": validation.subject.tolist(),
                                        "images": [{"scanner": "ABC"[p % 3]} for p in range(30)]}
    found, _, markdown = report(json.dumps(head) + "\n" + rest, "--level", "sample")
    schema("mr-report")(found)
    values = {(s["fact"], s["label"]): s["value"] for s in found["shortcuts"]}
    for l, label in enumerate(cohort.labels):
        known = cohort.truth[l] >= 0
        assert values["mean intensity", label] == pytest.approx(
            roc_auc_score(cohort.truth[l][known], intensity[known]), abs=1e-9)
        share = {v: validation.truth[l][(validation.subject % 3 == i) & (validation.truth[l] >= 0)].mean()
                 for i, v in enumerate("ABC")}
        known &= cohort.subject % 4 < 3
        assert values["scanner", label] == pytest.approx(roc_auc_score(
            cohort.truth[l][known], [share["ABCD"[p % 4]] for p in cohort.subject[known]]), abs=1e-9)
    assert "| scanner |" in markdown and "| mean intensity |" in markdown


def test_without_attributes_in_the_file_there_are_no_shortcuts(study):
    assert study.json["shortcuts"] == [] and "## Shortcuts" not in study.markdown


# --- artifact detection


def test_attributes_that_no_image_has_are_refused(fails, tmp_path):
    (tmp_path / "x.eval").write_text(evaluation(Cohort(subjects=12, slices=4), ["batch"], [1], GRID))
    fails(["mr-report", "--by", "sex", tmp_path / "x.eval"], 64, "--by", "no attributes")


def test_doubt_detects_artifacts_as_in_scikit_learn(study):
    """Mean entropy over labels, clean against the highest severity; the AUROC's interval by subjects and
    runs from its definition; false alarms where 95 % of the artifact's samples are flagged."""
    cohort = study.cohort

    def doubt(arm, run, artifact, severity):
        p = 1 / (1 + np.exp(-np.abs(cohort.scores(arm, run, artifact, severity).astype(float))))
        entropy = -p * np.log(p) - (1 - p) * np.log1p(-p)
        return entropy.mean(0).astype("<f4")

    assert {d["by"] for d in study.json["detections"]} == {"doubt"}
    rows = {(d["arm"], d["artifact"]): d for d in study.json["detections"]}
    assert set(rows) == {(arm, a) for arm in ARMS for a in ARTIFACTS}
    for arm, artifact in (("batch", "motion"), ("group(8)", "spike"), ("layer", "bias")):
        found = rows[arm, artifact]
        assert found["severity"] == 5
        values, U, alarms = [], [], []
        for run in (1, 2, 3):
            clean, corrupted = doubt(arm, run, None, 0), doubt(arm, run, artifact, 5)
            truth = np.repeat([0, 1], len(clean))
            both = np.concatenate([clean, corrupted])
            values.append(roc_auc_score(truth, both))
            U.append(auroc_and_influences(both, truth, np.tile(cohort.subject, 2),
                                          len(cohort.subjects))[1])
            limit = np.sort(corrupted)[::-1][int(np.ceil(0.95 * len(corrupted))) - 1]
            alarms.append((clean >= limit).mean())
        assert found["auroc"]["value"] == pytest.approx(np.mean(values), abs=1e-6)
        assert found["false_positive_rate"] == pytest.approx(np.mean(alarms), abs=1e-6)
        U, I = np.array(U), len(cohort.subjects)
        v_s, v_r = (U.mean(0) ** 2).sum(), np.var(values, ddof=1) / 3
        total = max(v_s, v_s + v_r - ((U - U.mean(0)) ** 2).sum() / 6)
        df = total ** 2 / (v_s ** 2 / (I - 1) + v_r ** 2 / 2)
        a = np.mean(values)
        half = stats.t.ppf(0.975, df) * np.sqrt(total) / (a * (1 - a))
        low, high = (1 / (1 + np.exp(-(np.log(a / (1 - a)) + s * half))) for s in (-1, 1))
        assert (found["auroc"]["low"], found["auroc"]["high"]) == pytest.approx((low, high), abs=1e-5)
    assert "## Artifact detection" in study.markdown


# --- the contact sheet


def test_contact_sheet_has_a_row_of_differences(study, fails, tmp_path):
    """Each thumbnail minus the clean one about mid-grey, at twice the contrast, clipped."""
    import io

    from PIL import Image
    rows = dict(re.findall(r'<tr><th scope="row">([^<]+)</th>(.*?)</tr>', study.html))

    def pictures(row):
        return [np.array(Image.open(io.BytesIO(base64.b64decode(text))), int)
                for text in re.findall(r'src="data:image/png;base64,([^"]+)"', rows[row])]

    clean, *corrupted = pictures("motion")
    differences = pictures("motion − clean")
    assert len(corrupted) == len(differences) == 5
    for y, d in zip(corrupted, differences):
        np.testing.assert_array_equal(d, np.clip(128 + 2 * (y - clean), 0, 255))
    assert 'alt="' in rows["motion − clean"] and "minus clean" in rows["motion − clean"]
    text = evaluation(Cohort(subjects=12, slices=4), ["batch"], [1], GRID)
    lines = [json.loads(line) for line in text.splitlines()]
    for line in lines:
        if "thumbnail" in line:
            line["thumbnail"]["png"] = base64.b64encode(b"no picture").decode()
    (tmp_path / "x.eval").write_text("".join(json.dumps(line) + "\n" for line in lines))
    fails(["mr-report", "-o", tmp_path / "report", tmp_path / "x.eval"], 65, "not a PNG")
