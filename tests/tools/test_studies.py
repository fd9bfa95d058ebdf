"""The studies of examples/, run whole by `make -C tests long`."""
import json
import os
import re
import subprocess

import pytest

from conftest import BIN, ROOT

pytestmark = pytest.mark.long


def study(goal, *settings):
    p = subprocess.run(["make", "-C", ROOT / "examples", goal, f"BUILD={BIN}", *settings],
                       capture_output=True, text=True,
                       env={k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL")})
    assert p.returncode == 0, p.stdout[-2000:] + p.stderr[-2000:]
    assert "report.html" in p.stdout
    return json.loads((ROOT / "examples" / goal / "report" / "report.json").read_text())


def clean_macro(report):
    return {e["arm"]: e["value"] for e in report["estimates"]
            if (e["quantity"], e["artifact"], e["metric"], e["label"]) ==
            ("level", "clean", "auroc", "macro")}


def test_quick_start(schema):
    report = study("quick-start")
    schema("mr-report")(report)
    aurocs = clean_macro(report)
    assert set(aurocs) == {"batch", "batch+recalibrate", "group(8)", "layer_chw"}
    assert report["controls"]["missing"] == ["training with augmentation"]
    assert all(0.80 <= a <= 0.97 for a in aurocs.values()), aurocs


def test_hippocampus(data, schema):
    # hippocampus.md holds the commands as they were given: no folder of this machine goes there.
    report = study("hippocampus", f"DATA={os.path.relpath(data / 'hippocampus', ROOT / 'examples')}")
    schema("mr-report")(report)
    aurocs = clean_macro(report)
    assert set(aurocs) == {
        "batch", "batch+recalibrate", "batch+batch-stats:volume", "batch+n-prior=16:volume",
        "batch+tent:volume", "batch/gain", "batch/other-artifacts", "group(8)", "group(8)/gain",
        "group(8)/other-artifacts", "layer_chw", "instance", "ws+group(8)", "ibn", "frn",
        "evonorm-s0(8)", "nf"}
    assert all(aurocs[arm] >= 0.97 for arm in ("batch", "group(8)", "layer_chw")), aurocs
    assert all(len(arm["runs"]) == 3 for arm in report["arms"])


ALL_SECTIONS = """verdict summary performance leaderboard artifact-by-severity degradation
    paired-differences remedies gain-structure operating-point calibration decision-curves detection
    subgroups controls shortcuts diagnostics images training methods limitations checklist
    provenance""".split()


def test_why(data, schema):
    """Every question that mr-eval asks: the report has all of its sections."""
    report = study("hippocampus-why", f"DATA={os.path.relpath(data / 'hippocampus', ROOT / 'examples')}")
    schema("mr-report")(report)
    assert set(clean_macro(report)) == {"batch", "batch+recalibrate", "group(8)", "layer_chw"}
    assert {g["attribute"] for g in report["subgroups"]} == {"datatype"}
    assert report["controls"]["missing"] == ["training with augmentation"]
    page = (ROOT / "examples/hippocampus-why/report/report.html").read_text()
    sections = re.findall(r'<section id="([^"]*)"', page)
    assert sections == ALL_SECTIONS
