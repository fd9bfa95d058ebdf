"""Do 95 % intervals hold the truth, and do tests at .05 err as seldom as they say? In 2000 simulated
studies each, by tests/long/coverage.cpp; run by `make -C tests long`."""
import json
import math
import subprocess

import pytest

from conftest import BIN

pytestmark = pytest.mark.long

FALSE = ("auroc, slices taken for independent", "difference, runs taken for fixed")
GIVEN = ("sensitivity, threshold taken as given", "specificity, threshold taken as given")
PERCENTILES = "auroc, percentiles of resampled subjects"
EXACT = ("exchange of ranks at .05", "signed ranks of 9 blocks at .05")


@pytest.fixture(scope="module")
def rates():
    done = subprocess.run([BIN / "tests" / "long" / "coverage"], capture_output=True, text=True,
                          check=True)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    for row in rows:
        print(f"{row['what']:<10}{row['of']:<50}{row['positive_subjects']:>4} positive subjects, "
              f"{row['runs']} runs: {row['rate']:.3f} of {row['studies']}")
    return rows


def of(rates, what):
    rows = [row for row in rates if row["what"] == what]
    assert rows
    return rows


def test_intervals_hold_the_truth(rates):
    rows = [r for r in of(rates, "coverage") if r["of"] not in (*FALSE, *GIVEN, PERCENTILES)]
    # Every metric, a difference over runs, and decisions at thresholds of validation subjects.
    assert len({r["of"] for r in rows}) == 18
    for row in rows:  # a sensitivity of 1, as small studies have it, has no interval
        assert row["studies"] >= (1900 if "threshold" in row["of"] else 1990)
        if row["positive_subjects"] >= 35:
            assert 0.93 <= row["rate"] <= 0.97, row
        else:
            assert row["rate"] >= 0.90, row


def test_what_takes_slices_or_runs_for_fixed_does_not(rates):
    rows = [r for r in of(rates, "coverage") if r["of"] in FALSE]
    assert len(rows) == 5 + 8
    for row in rows:
        assert row["rate"] < 0.90, row


def test_what_takes_thresholds_for_given_does_not(rates):
    rows = [r for r in of(rates, "coverage") if r["of"] in GIVEN]
    assert len(rows) == 2 * 5
    for row in rows:
        assert row["rate"] < (0.93 if row["positive_subjects"] == 10 else 0.90), row


def test_percentiles_hold_less_than_influences_where_subjects_are_few(rates):
    at = {r["of"]: r["rate"] for r in of(rates, "coverage") if r["positive_subjects"] == 10
          and r["of"].startswith("auroc")}
    assert at[PERCENTILES] < at["auroc"] - 0.03


def test_tests_err_as_seldom_as_they_say(rates):
    rows = of(rates, "rejection")
    assert set(EXACT) < {r["of"] for r in rows}
    for row in rows:
        if row["of"] in EXACT:
            assert row["rate"] <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / row["studies"]), row
        elif row["positive_subjects"] == 0 or row["positive_subjects"] >= 35:
            assert 0.03 <= row["rate"] <= 0.07, row
