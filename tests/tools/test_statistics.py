"""The statistics of mr-report against R pROC, on the scores that it exports. pROC has no form for
clustered data, so each subject has one sample here."""
import csv
import json
import shutil
import subprocess

import pytest

from test_mr_report import Cohort, evaluation

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
