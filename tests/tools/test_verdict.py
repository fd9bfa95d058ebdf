"""The protocol and the verdict: mr-eval protocol, mr-eval --protocol, mr-report --protocol. Evaluations
are simulated; what the rule makes of them is computed once more from its definition."""
import hashlib
import json

import numpy as np
import pytest
from scipy import stats

from test_mr_report import (ARTIFACTS, ARMS, GRID, Cohort, combine, endpoint, evaluation)

RULE = {"margin": 0.03, "guard": 0.05, "alpha": 0.025, "sensitivity_floor": 0.8,
        "alarm_rate_cap": 0.1, "up_to_severity": 3}


@pytest.fixture
def protocol(run, tmp_path):
    def make(*options, name="protocol.json"):
        run(["mr-eval", "protocol", "--level", "sample", "--standard-error", "0.01", "-q", "--force",
             "-o", tmp_path / name, *options])
        return tmp_path / name

    return make


class Simulated(Cohort):
    """Arms whose fragility is given."""

    def __init__(self, fragility, offset=0.1, **options):
        super().__init__(**options)
        self.fragility, self.offset = fragility, offset

    def scores(self, arm, run, artifact, severity):
        noise = np.random.default_rng([run, sum(map(ord, arm))]).normal(size=self.case.shape) * 0.2
        seed = [7, sum(map(ord, artifact or "clean"))]
        common = np.random.default_rng(seed).normal(size=self.case.shape)
        pull = self.fragility[arm]
        pull = pull.get(artifact, 0) if isinstance(pull, dict) else pull
        clean = self.fragility.get("clean of " + arm, 0) * np.random.default_rng(5).normal(
            size=self.case.shape)
        return (self.case + noise + clean + pull * severity * common
                + self.offset * severity).astype("<f4")


def verdicts(run, folder, cohort, arms, *options, runs=(1, 2, 3), threshold=-9.0, edit=None):
    folder.mkdir(exist_ok=True)
    text = evaluation(cohort, arms, list(runs), GRID, threshold=threshold, thumbnails=False)
    if edit:
        head, rest = text.split("\n", 1)
        head = json.loads(head)
        edit(head)
        text = json.dumps(head) + "\n" + rest
    (folder / "x.eval").write_text(text)
    done = run(["mr-report", "--force", "-o", folder / "report", *options, folder / "x.eval"])
    report = json.loads((folder / "report" / "report.json").read_text())
    return {v["arm"]: v for v in report["verdicts"]}, report, done.stdout.decode()


def holm(p):
    adjusted, worst = {}, 0
    for i, (arm, value) in enumerate(sorted(p.items(), key=lambda item: item[1])):
        worst = max(worst, min(1, value * (len(p) - i)))
        adjusted[arm] = worst
    return adjusted


def test_p_values_are_those_of_one_sided_t_tests_against_the_margin(run, tmp_path):
    cohort = Cohort()
    found, _, _ = verdicts(run, tmp_path, cohort, ARMS)

    def differences(arm, terms):
        families = ([terms(arm, 1) + terms("batch", -1)] if arm.startswith("batch")
                    else [terms(arm, 1), terms("batch", -1)])
        return combine(cohort, families)

    def p_above(estimate, bound):
        theta, v, df = estimate
        if v < 1e-20 and abs(theta) < 1e-12:  # adaptation changes nothing on these clean images
            return float(bound >= 0)
        return stats.t.sf((theta - bound) / np.sqrt(v), df)

    wanted = {"p_non_inferior": {}, "p_prefer": {}, "p_equivalent": {}}
    for arm in ARMS[1:]:
        clean = differences(arm, lambda a, sign: [(a, sign, None, 0)])
        end = differences(arm, endpoint)
        within = [max(p_above(e, -0.03), 1 - p_above(e, 0.03)) for e in (clean, end)]
        wanted["p_non_inferior"][arm] = p_above(clean, -0.03)
        wanted["p_prefer"][arm] = max(p_above(clean, -0.03), p_above(end, 0))
        wanted["p_equivalent"][arm] = max(within)
    for key, values in wanted.items():
        for arm, value in holm(values).items():
            assert found[arm][key] == pytest.approx(value, rel=1e-4, abs=1e-12), (arm, key)


def test_an_arm_that_loses_less_is_preferred_and_one_that_is_the_same_is_equivalent(run, tmp_path):
    cohort = Simulated({"batch": 0.5, "group(8)": 0.2, "layer": 0.5}, subjects=120)
    found, report, markdown = verdicts(run, tmp_path, cohort, ["batch", "group(8)", "layer"])
    assert found["group(8)"]["outcome"] == "prefer"
    assert found["layer"]["outcome"] == "equivalent"
    assert "Against batch — prefer: group(8); equivalent: layer." in markdown
    assert report["rule"] == RULE and report["protocol"] is None
    assert "No protocol was given" in markdown
    assert markdown.index("## Verdict") < markdown.index("## Summary")


def test_harm_under_one_artifact_removes_a_preference(run, tmp_path):
    better = {a: 0.1 for a in ARTIFACTS}
    cohort = Simulated({"batch": 0.5, "group(8)": {**better, "spike": 1.6}, "layer": better},
                       subjects=120)
    found, _, markdown = verdicts(run, tmp_path, cohort, ["batch", "group(8)", "layer"])
    assert found["layer"]["outcome"] == "prefer" and found["layer"]["harms"] == []
    harmed = found["group(8)"]
    assert harmed["p_prefer"] < 0.025 and harmed["outcome"] == "harmful"
    (harm,) = harmed["harms"]
    assert harm["artifact"] == "spike" and harm["shown"]
    assert harm["value"] < -0.05 and harm["high"] < 0
    assert "harm under spike (" in markdown


def test_harm_that_is_not_excluded_removes_a_preference_too(run, tmp_path):
    better = {a: 0.05 for a in ARTIFACTS}
    cohort = Simulated({"batch": 0.5, "group(8)": {**better, "spike": 0.68}}, subjects=40, slices=6)
    found, _, markdown = verdicts(run, tmp_path, cohort, ["batch", "group(8)"])
    (harm,) = found["group(8)"]["harms"]
    assert not harm["shown"] and harm["low"] < -0.05
    assert found["group(8)"]["p_prefer"] < 0.025
    assert found["group(8)"]["outcome"] == "non-inferior only"
    assert "harm not excluded under spike (" in markdown


def test_an_arm_that_is_shown_to_be_worse_on_clean_images_is_harmful(run, tmp_path):
    cohort = Simulated({"batch": 0.5, "group(8)": 0.1, "clean of group(8)": 1.2}, subjects=120)
    found, _, _ = verdicts(run, tmp_path, cohort, ["batch", "group(8)"])
    assert found["group(8)"]["outcome"] == "harmful"


def test_one_run_is_a_network_and_no_scheme(run, tmp_path):
    cohort = Simulated({"batch": 0.5, "group(8)": 0.2}, subjects=40)
    warning = "the verdict on it is on that trained network alone"
    for runs, warned in (((1,), True), ((1, 2), False)):
        _, _, markdown = verdicts(run, tmp_path, cohort, ["batch", "group(8)"], runs=runs)
        assert (warning in markdown.partition("## Summary")[0]) == warned


def test_a_small_study_is_inconclusive(run, tmp_path):
    cohort = Simulated({"batch": 0.5, "group(8)": 0.45}, subjects=14, slices=4)
    found, _, _ = verdicts(run, tmp_path, cohort, ["batch", "group(8)"], runs=(1, 2))
    assert found["group(8)"]["outcome"] == "inconclusive"


def detectable(variance, df_subjects, runs, a, b):
    """(t.975 + t.80) sqrt(V) of a times as many subjects and b times as many runs."""
    s, r, sr = (variance[k] for k in ("subjects", "runs", "interaction"))
    both = sr / (a * b)
    S, R = max(0, s - sr) / a + both, max(0, r - sr) / b + both
    total = S + R - both
    left = max(0, variance["total"] ** 2 / variance["df"] - s ** 2 / df_subjects)
    over = S ** 2 / (a * (df_subjects + 1) - 1) + left * (R / r) ** 2 * (runs - 1) / (b * runs - 1)
    df = total ** 2 / over
    return (stats.t.ppf(0.975, df) + stats.t.ppf(0.8, df)) * np.sqrt(total)


def test_an_inconclusive_verdict_says_what_is_missing_and_how_much_would_show_it(run, tmp_path, schema):
    cohort = Simulated({"batch": 0.5, "group(8)": 0.5, "clean of group(8)": 0.5}, subjects=30, slices=4)
    found, report, markdown = verdicts(run, tmp_path, cohort, ["batch", "group(8)"], runs=(1, 2, 3))
    schema("mr-report")(report)
    verdict = found["group(8)"]
    assert verdict["outcome"] == "inconclusive"
    names = [m["requirement"] for m in verdict["missing"]]
    assert names == ["non-inferiority on clean images", "superiority on corrupted images"]
    I = min(min(l["positive_subjects"], l["negative_subjects"]) for l in report["labels"])
    for missing, artifact in zip(verdict["missing"], ("clean", "all")):
        assert missing["subjects_now"] == 30 and missing["runs_now"] == 3
        (e,) = [e for e in report["estimates"] if e["quantity"] == "difference" and e["severity"] is None
                and (e["artifact"], e["label"], e["metric"]) == (artifact, "macro", "auroc")]
        for key, now, at in (
                ("subjects", 30, lambda n: detectable(e["variance"], I - 1, 3, n / 30, 1)),
                ("runs", 3, lambda n: detectable(e["variance"], I - 1, 3, 1, n / 3))):
            n = missing[key]
            if n is None:
                assert at(now * 10 ** 6) > 0.03 and "no number" in missing["reason"]
            else:
                assert at(n) <= 0.03 and (n == now or at(n - 1) > 0.03)
    assert verdict["missing"][0]["subjects"] is not None or verdict["missing"][0]["runs"] is not None
    assert "Missing for group(8)" in markdown and "(now 30) at the same runs" in markdown


def test_what_only_the_correction_keeps_from_being_shown_is_said_so(run, tmp_path):
    """Ten arms alike, some better at p about .01 alone: arms that lack the same stand together."""
    arms = ["batch", *"abcdefghij"]
    fragility = {arm: 0.5 if arm == "batch" else 0.46 for arm in arms}
    cohort = Simulated(fragility, subjects=20, slices=4)
    found, report, markdown = verdicts(run, tmp_path, cohort, arms)
    groups = {True: [], False: []}
    for arm, verdict in found.items():
        for missing in verdict["missing"]:
            (e,) = [e for e in report["estimates"] if e["quantity"] == "difference"
                    and (e["arm"], e["artifact"], e["severity"], e["label"], e["metric"]) ==
                    (arm, "all", None, "macro", "auroc")]
            assert missing["requirement"] == "superiority on corrupted images"
            alone = e["p"] / 2 if e["value"] > 0 else 1 - e["p"] / 2  # that is two-sided
            assert missing["p_unadjusted"] == pytest.approx(alone, rel=1e-6)
            assert missing["p"] >= missing["p_unadjusted"]
            groups[missing["p_unadjusted"] < 0.025].append(arm)
    assert len(groups[True]) >= 2
    text = ("Missing for " + ", ".join(groups[True][:-1]) + " and " + groups[True][-1] + ".")
    (line,) = [line for line in markdown.splitlines() if text in line]
    assert "Without the correction for 10 arms it would be" in line


def test_a_verdict_that_is_reached_lacks_nothing(run, tmp_path):
    cohort = Simulated({"batch": 0.5, "group(8)": 0.2, "layer": 0.5}, subjects=120)
    found, _, markdown = verdicts(run, tmp_path, cohort, ["batch", "group(8)", "layer"])
    assert [v["missing"] for v in found.values()] == [[], []] and "Missing for" not in markdown


def test_one_run_says_nothing_of_more_runs(run, tmp_path):
    cohort = Simulated({"batch": 0.5, "group(8)": 0.5, "clean of group(8)": 0.8}, subjects=24, slices=3)
    found, _, _ = verdicts(run, tmp_path, cohort, ["batch", "group(8)"], runs=(1,))
    missing = found["group(8)"]["missing"][0]
    assert missing["subjects"] > 24 and missing["runs"] is None
    assert "is not known from one" in missing["reason"]


def test_frozen_thresholds_that_alarm_more_remove_a_preference(run, tmp_path, protocol):
    fragility = {"batch": 0.5, "group(8)": 0.2}
    cohort = Simulated(fragility, offset=0.3, subjects=120)
    found, _, markdown = verdicts(run, tmp_path / "a", cohort, list(fragility), threshold=0.0)
    failures = found["group(8)"]["operating_failures"]
    assert {f["metric"] for f in failures} == {"alarm_rate"}
    assert found["group(8)"]["outcome"] == "non-inferior only"
    assert "alarm rate of anterior +" in markdown
    scores = [np.mean([cohort.scores("group(8)", r, a, s)[0][cohort.truth[0] >= 0] >= 0
                       for r in (1, 2, 3) for a in (ARTIFACTS if s else [None])])
              for s in (0, 1, 2, 3)]
    rises = {f["severity"]: f["value"] for f in failures if f["label"] == "anterior"}
    wanted = {s: scores[s] - scores[0] for s in (1, 2, 3) if scores[s] - scores[0] > 0.1}
    assert rises == pytest.approx(wanted, abs=1e-9) and rises

    loose = protocol("--alarm-rate-cap", "1", "--sensitivity-floor", "0")
    found, _, _ = verdicts(run, tmp_path / "b", cohort, list(fragility), "--protocol", loose,
                           threshold=0.0)
    assert found["group(8)"]["outcome"] == "prefer"

    found, _, markdown = verdicts(run, tmp_path / "c", cohort, list(fragility), threshold=2.0)
    failures = found["group(8)"]["operating_failures"]
    assert "sensitivity" in {f["metric"] for f in failures}
    assert "sensitivity of anterior" in markdown


# --- the protocol


@pytest.mark.parametrize("error, power", [(0.026, 0.12), (0.015, 0.27), (0.010, 0.52), (0.006, 0.92)])
def test_planned_power_is_that_of_the_normal_approximation(run, error, power):
    done = run(["mr-eval", "protocol", "--margin", "0.02", "--standard-error", error,
                "--difference", "0.05"])
    plan = json.loads(done.stdout)["plan"]
    assert plan["power_non_inferiority"] == pytest.approx(power, abs=0.005)
    assert plan["power_superiority"] == pytest.approx(
        stats.norm.cdf(0.05 / error - stats.norm.ppf(0.975)), rel=1e-9)
    assert (b"below 0.80" in done.stderr) == (power < 0.8 or plan["power_superiority"] < 0.8)


def test_a_protocol_fits_its_schema(protocol, schema):
    path = protocol("--baseline", "group(8)", "--grid", "motion,bias", "--severities", "2,4",
                    "--guard", "0.1")
    text = json.loads(path.read_text())
    schema("mr-protocol")(text)
    assert text["endpoint"]["artifacts"] == ["motion", "bias"]
    assert text["endpoint"]["severities"] == [2, 4]
    assert text["baseline"] == "group(8)" and text["rule"] == {**RULE, "guard": 0.1}


def recorded(path):
    digest = hashlib.sha256(path.read_bytes()).hexdigest()

    def edit(head):
        head["provenance"][0]["inputs"].append({"name": path.name, "sha256": digest})

    return digest, edit


def test_a_study_as_planned_has_no_deviations(run, tmp_path, protocol):
    path = protocol()
    digest, edit = recorded(path)
    cohort = Cohort(subjects=30, slices=5)
    _, report, markdown = verdicts(run, tmp_path, cohort, ["batch", "group(8)"], "--protocol", path,
                                   edit=edit)
    assert report["protocol"] == {"file": "protocol.json", "sha256": digest, "deviations": []}
    assert "Deviations from it: none." in markdown and digest in markdown
    assert {"name": str(path), "sha256": digest} in report["provenance"][-1]["inputs"]


def test_deviations_are_named(run, tmp_path, protocol):
    path = protocol("--baseline", "layer", "--grid", "motion,bias,ghosting,blur", "--severities",
                    "1,2,3")
    cohort = Cohort(subjects=30, slices=5)
    _, report, markdown = verdicts(run, tmp_path, cohort, ["batch", "layer"], "--protocol", path,
                                   "--baseline", "batch")
    deviations = report["protocol"]["deviations"]
    assert deviations[0] == "the baseline is batch, planned was layer"
    assert "blur was not evaluated" in deviations
    assert "motion was evaluated at other severities than planned" in deviations
    assert "spike was not planned, and counts in the endpoint" in deviations
    assert deviations[-1].startswith("1 of 1 evaluation did not record this protocol")
    for deviation in deviations:
        assert f"Deviation from the protocol: {deviation}." in markdown


def test_the_protocols_baseline_holds_unless_another_is_asked_for(run, tmp_path, protocol, fails):
    cohort = Cohort(subjects=30, slices=5)
    _, report, _ = verdicts(run, tmp_path, cohort, ["batch", "layer"], "--protocol",
                            protocol("--baseline", "layer"))
    assert report["baseline"] == "layer"
    fails(["mr-report", "--protocol", protocol("--baseline", "lajer"), tmp_path / "x.eval"], 64,
          "protocol.json", "'lajer'", "layer")


@pytest.mark.parametrize("options, part", [
    (["--standard-error", "0"], "standard error"), (["--margin", "0"], "margin"),
    (["--guard", "0.7"], "guard"), (["--alpha", "1"], "alpha"),
    (["--severities", "0,1"], "severities"), (["--sensitivity-floor", "1.2"], "sensitivity floor"),
    (["--grid", "motoin"], "motion"), (["--grid", "motion,motion"], "twice"),
    (["--baseline", ""], "baseline"), (["--model", "x.pt"], "--model"),
    (["--level", "slab"], "volume"), (["--pool", "mean"], "way of pooling"),
    (["--up-to-severity", "6"], "severity"), (["--difference", "nan"], "difference")])
def test_a_bad_plan_is_refused(fails, options, part):
    base = [] if "--standard-error" in options else ["--standard-error", "0.01"]
    fails(["mr-eval", "protocol", *base, *options], 64, part)


def test_a_bad_protocol_file_is_refused(run, fails, tmp_path, protocol):
    (tmp_path / "x.eval").write_text(evaluation(Cohort(subjects=12, slices=4), ["batch", "layer"],
                                                [1], GRID))
    good = json.loads(protocol().read_text())

    def broken(edit):
        text = json.loads(json.dumps(good))
        edit(text)
        (tmp_path / "bad.json").write_text(json.dumps(text))
        return ["mr-report", "--protocol", tmp_path / "bad.json", tmp_path / "x.eval"]

    fails(broken(lambda t: t.update(schema="mr-protocol/2")), 65, "bad.json", "mr-protocol/1")
    fails(broken(lambda t: t["rule"].pop("guard")), 65, "bad.json", "guard")
    fails(broken(lambda t: t["rule"].update(margin=-1)), 65, "bad.json", "margin")
    fails(broken(lambda t: t["endpoint"].update(artifacts=[1])), 65, "bad.json", "artifacts")
    fails(broken(lambda t: t["endpoint"].update(unit="slab")), 65, "bad.json", "'slab'", "volume")
    fails(broken(lambda t: t["endpoint"].pop("pool")), 65, "bad.json", "pool")
    fails(["mr-report", "--protocol", tmp_path / "absent.json", tmp_path / "x.eval"], 66,
          "absent.json")
