"""The checklist of a report: what is filled in is in the evaluation, and what is not is the author's."""
import json
import re

import pytest

from test_mr_report import ARTIFACTS, GRID, Cohort, evaluation, report, with_attributes  # noqa: F401
from test_mr_report_training import training_log

MANIFEST = "ab" * 32  # that evaluation() says mr-eval read


def edited(text, edit):
    head, rest = text.split("\n", 1)
    head = json.loads(head)
    edit(head)
    return json.dumps(head) + "\n" + rest


def trained_on(sha256):
    def edit(head):
        head["grid"]["split"] = "test"
        for m in head["models"]:
            m["info"]["training"] = {"optimiser": "adamw", "learning_rate": 0.001, "init": None,
                                     "libtorch": "1.13.0", "best": {"epoch": 3}}
            m["info"]["provenance"][0]["inputs"] = [{"name": "m.json", "sha256": sha256}]
        head["provenance"].insert(0, {"tool": "mr-manifest", "version": "0.1.0", "seed": 4,
                                      "command": "mr-manifest split --ratio train=.6,test=.4 m.json"})
    return edit


@pytest.fixture
def items(report):  # noqa: F811
    """items(text, *options): the items by number, the HTML and the Markdown."""

    def make(text, *options):
        found, html, markdown = report(text, *options)
        assert found["checklist"]["guideline"] == "CLAIM 2024"
        listed = found["checklist"]["items"]
        assert [i["number"] for i in listed] == list(range(1, 45))
        assert all(i["known"] for i in listed if i["complete"])
        return {i["number"]: i for i in listed}, html, markdown

    return make


@pytest.fixture
def text():
    return evaluation(Cohort(subjects=30, slices=4), ["batch", "layer"], [1, 2], GRID,
                      thumbnails=False)


def test_what_an_evaluation_cannot_know_is_the_authors(items, text):
    found, _, _ = items(text)
    for number in (1, 2, 3, 5, 15, 16, 17, 18, 31, 41, 44):
        assert found[number]["known"] is None and not found[number]["complete"]
    assert found[4]["known"] is None and found[34]["known"] is None  # no protocol
    assert not found[20]["complete"]  # where the models were trained is not said


def test_models_and_test_of_one_manifest_are_internal_and_disjoint_by_subject(items, text):
    found, _, _ = items(edited(text, trained_on(MANIFEST)))
    assert found[20]["complete"] and found[20]["known"].startswith("Subject:")
    assert found[19]["known"] == "At random, by: mr-manifest split --ratio train=.6,test=.4 m.json."
    assert found[32]["complete"] and MANIFEST in found[32]["known"]
    assert "split test" in found[32]["known"]
    assert found[33]["known"] == "None in this report."
    assert found[24]["known"] == "at random, by the seed of the run"
    assert "learning_rate 0.001" in found[25]["known"] and "best" not in found[25]["known"]
    assert "LibTorch 1.13.0" in found[23]["known"]


def test_a_test_set_of_another_manifest_is_not_called_disjoint(items, text):
    found, _, _ = items(edited(text, trained_on("cd" * 32)))
    assert not found[20]["complete"] and "is not known here" in found[20]["known"]
    assert found[32]["known"] is None
    assert "not that of the training" in found[33]["known"] and not found[33]["complete"]


def test_numbers_are_those_of_the_evaluation(items):
    cohort = Cohort(subjects=30, slices=4)
    text = evaluation(cohort, ["batch", "layer"], [1, 2], GRID, thumbnails=False)
    text = with_attributes(text, cohort, lambda p: {"sex": "FM"[p % 2], "age": 30 + p})
    found, _, markdown = items(text)
    unknown = (cohort.truth < 0).sum(1)
    assert f"anterior {unknown[0]} and posterior {unknown[1]}" in found[12]["known"]
    assert found[35]["known"].startswith("Test set: 30 subjects, 120 samples.")
    assert found[36]["known"] == "Images by attribute: age: 30 to 59; sex: F (15) and M (15)."
    assert f"5 simulated artifacts ({', '.join(ARTIFACTS[:-1])} and {ARTIFACTS[-1]})" in (
        found[30]["known"])
    # The performance is that of the table, in the same digits.
    row = next(line for line in markdown.splitlines() if line.startswith("| layer | 2 | 0."))
    clean, corrupted = row.split(" | ")[2:4]
    assert f"layer, clean: {clean}; layer, corrupted: {corrupted}." in found[37]["known"]


def test_a_protocol_fills_aims_sample_size_registration(items, text, run, tmp_path):
    run(["mr-eval", "protocol", "-q", "--level", "sample", "--grid", "motion,bias", "--severities", "2,4",
         "--standard-error", "0.01", "-o", tmp_path / "plan.json"])
    found, _, _ = items(text, "--protocol", tmp_path / "plan.json")
    assert "margin of 0.03" in found[4]["known"] and "motion and bias" in found[4]["known"]
    assert found[21]["complete"] and "Planned power" in found[21]["known"]
    assert "plan.json, SHA-256 " in found[34]["known"]
    assert "deviations from it: " in found[34]["known"] and "not planned" in found[34]["known"]
    assert found[42]["known"].startswith("plan.json, SHA-256 ")


def test_phantoms_are_called_synthetic(items, text):
    def edit(head):
        head["provenance"].insert(0, {"tool": "mr-phantom", "version": "0.1.0", "seed": 1,
                                      "command": "mr-phantom -n 60", "inputs": []})
    found, _, _ = items(edited(text, edit))
    assert found[7]["complete"] and found[7]["known"].startswith("Synthetic images")


def test_pages_hold_the_checklist_folded_before_the_provenance(items, text):
    found, html, markdown = items(text)
    section = html.split('<section id="checklist">')[1].split("</section>")[0]
    folded = section.split("<details>")[1].split("</details>")[0]
    assert folded.count("<tr>") == 45
    assert html.index('id="checklist"') < html.index('id="provenance"')
    rows = [line for line in markdown.splitlines() if re.match(r"\| \d+ \| ", line)]
    assert len(rows) == 44
    for row, item in zip(rows, found.values()):
        said = row.strip("| ").split(" | ")[2]
        assert said.endswith("Author must complete.") != item["complete"]


def test_training_logs_alone_have_no_checklist(run, tmp_path):
    (tmp_path / "a.log.jsonl").write_text(training_log("batch", 1, 3))
    run(["mr-report", "-o", tmp_path / "out", tmp_path / "a.log.jsonl"])
    assert "checklist" not in json.loads((tmp_path / "out" / "report.json").read_text())
