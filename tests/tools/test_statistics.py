"""The statistics of mr-report against R pROC and statsmodels. pROC has no form for clustered data, so
each subject has one sample there."""
import csv
import json
import shutil
import subprocess

import numpy as np
import pytest

from test_mr_report import ARMS, ARTIFACTS, GRID, Cohort, evaluation, of, report  # noqa: F401

R = """
suppressMessages(library(pROC))
d <- read.csv('wide.csv')
a <- roc(d$truth, d$a, direction='<', quiet=TRUE); b <- roc(d$truth, d$b, direction='<', quiet=TRUE)
t <- roc.test(a, b, method='delong', paired=TRUE)
cat(sprintf('%.15g\\n', c(auc(a), auc(b), var(a, method='delong'), var(b, method='delong'),
                         var(a, method='delong') + var(b, method='delong')
                           - 2 * cov(a, b, method='delong'),
                         auc(a, partial.auc=c(1, .8), partial.auc.focus='spec',
                             partial.auc.correct=TRUE))), sep='')
"""


def test_auroc_variance_and_paired_difference_equal_proc(run, tmp_path):
    if not shutil.which("Rscript"):
        pytest.skip("R is not there")
    cohort = Cohort(subjects=120, labels=("tear",), seed=4, singletons=True)
    (tmp_path / "x.eval").write_text(
        evaluation(cohort, ["batch", "group(8)"], [1], [(None, 0), ("motion", 3)]))
    run(["mr-report", "-o", tmp_path / "r", "--scores", tmp_path / "scores.csv", tmp_path / "x.eval"])
    wide = {}
    with open(tmp_path / "scores.csv", newline="") as f:
        rows = list(csv.DictReader(f))
    condition = [k for k in rows[0] if k in ("artifact", "condition")][0]
    arms = {"batch": "a", "group(8)": "b"}
    for row in rows:
        if "motion" in row[condition] and row["truth"] not in ("", "NA"):
            name = arms[row.get("arm") or row["norm"]]
            wide.setdefault(row["sample"], {"truth": row["truth"]})[name] = row["score"]
    with open(tmp_path / "wide.csv", "w") as f:
        f.write("truth,a,b\n" + "".join(f"{v['truth']},{v['a']},{v['b']}\n" for v in wide.values()))
    p = subprocess.run(["Rscript", "-e", R], cwd=tmp_path, capture_output=True, text=True)
    if "there is no package" in p.stderr:
        pytest.skip("pROC is not there")
    want = [float(x) for x in p.stdout.split()]
    assert len(want) == 6, p.stderr
    estimates = json.loads((tmp_path / "r" / "report.json").read_text())["estimates"]
    partial, = [e["value"] for e in estimates if e["metric"] == "partial_auroc" and e["severity"] == 3
                and (e["quantity"], e["arm"]) == ("level", "batch")]
    assert partial == pytest.approx(want[5], abs=1e-12)
    level = {e["arm"]: e for e in estimates
             if (e["quantity"], e["artifact"], e["metric"], e["label"]) == ("level", "motion", "auroc", "tear")
             and e["severity"] == 3}
    for arm, auc, variance in (("batch", want[0], want[2]), ("group(8)", want[1], want[3])):
        assert level[arm]["value"] == pytest.approx(auc, abs=1e-12)
        assert level[arm]["variance"]["total"] == pytest.approx(variance, rel=1e-6)
    difference, = [e for e in estimates if e["quantity"].startswith("difference") and
                   e["artifact"] == "motion" and e["severity"] == 3 and e["metric"] == "auroc"
                   and e["label"] in ("macro", "tear")][:1]
    assert difference["value"] == pytest.approx(want[1] - want[0], abs=1e-12)
    assert difference["variance"]["total"] == pytest.approx(want[4], rel=1e-6)


def test_adjusted_p_values_equal_those_of_statsmodels(report):  # noqa: F811
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    found, _, _ = report(evaluation(Cohort(subjects=40, slices=6), ARMS, [1, 2, 3], GRID,
                                    thumbnails=False))
    macro = [e for e in found["estimates"] if (e["quantity"], e["label"], e["metric"]) ==
             ("difference", "macro", "auroc")]
    ends = [e for e in macro if e["artifact"] == "all" and e["severity"] is None]
    families = [("holm", ends)]
    for arm in ARMS[1:]:
        families.append(("bh", [e for e in macro if e["arm"] == arm and e["artifact"] in ARTIFACTS
                                and e["severity"]]))
    for method, family in families:
        assert len(family) in (len(ARMS) - 1, 5 * len(ARTIFACTS))
        assert {e["adjustment"] for e in family} == {method}
        want = multitest.multipletests([e["p"] for e in family],
                                       method={"holm": "holm", "bh": "fdr_bh"}[method])[1]
        assert [e["p_adjusted"] for e in family] == pytest.approx(list(want), rel=1e-12)


def test_calibration_equals_the_clustered_logistic_regression_of_statsmodels(report):  # noqa: F811
    sm = pytest.importorskip("statsmodels.api")
    cohort = Cohort(subjects=40, slices=6, seed=4)
    found, _, _ = report(evaluation(cohort, ["layer"], [1], [(None, 0)], thumbnails=False))
    for l, label in enumerate(cohort.labels):
        known = cohort.truth[l] >= 0
        y, subject = cohort.truth[l][known], cohort.subject[known]
        z = cohort.scores("layer", 1, None, 0)[l][known].astype(float)
        clusters = len(set(subject))
        cluster = {"cov_type": "cluster",
                   "cov_kwds": {"groups": subject, "use_correction": False}}
        slope = sm.GLM(y, sm.add_constant(z), sm.families.Binomial()).fit(tol=1e-12, **cluster)
        large = sm.GLM(y, np.ones_like(z), sm.families.Binomial(), offset=z).fit(tol=1e-12, **cluster)
        for metric, fit, i in (("calibration_slope", slope, 1), ("calibration_in_the_large", large, 0)):
            (e,) = [e for e in found["estimates"] if (e["quantity"], e["label"], e["metric"]) ==
                    ("level", label, metric)]
            assert e["value"] == pytest.approx(fit.params[i], abs=1e-9)
            # Liang and Zeger 1986, with I / (I - 1) for I subjects
            assert e["variance"]["total"] == pytest.approx(
                fit.bse[i] ** 2 * clusters / (clusters - 1), rel=1e-6)


def test_wilson_intervals_equal_those_of_statsmodels(report):  # noqa: F811
    proportion = pytest.importorskip("statsmodels.stats.proportion")
    cohort = Cohort(subjects=90, seed=2, singletons=True)
    found, _, _ = report(evaluation(cohort, ["layer"], [1], [(None, 0)]))
    for b in of(found["calibration"], label="anterior", images="clean", arm="layer")["bins"]:
        want = proportion.proportion_confint(round(b["positives"] * b["samples"]), b["samples"],
                                             method="wilson")
        assert (b["low"], b["high"]) == pytest.approx(want, abs=1e-9)
