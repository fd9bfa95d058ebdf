"""mr-report of training logs: curves, table and JSON, alone and beside an evaluation."""
import csv
import json
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from test_mr_report import Cohort, evaluation

SVG = "{http://www.w3.org/2000/svg}"


def training_log(norm, seed, epochs, rate=1e-3, end=True, stopped="patience"):
    rng = np.random.default_rng([seed, len(norm)])
    auroc = np.round(0.5 + 0.3 * rng.random(epochs), 6)
    loss = np.round(1 / np.arange(1, epochs + 1), 6)
    lines = [dict(schema="mr-train-log/1", architecture={}, normalization=norm, labels=["tear"],
                  preprocessing={"standardisation": "volume-percentile"},
                  training=dict(seed=seed, learning_rate=rate, weight_decay=0.01, threads=1,
                                device="cpu", libtorch="2"),
                  provenance=[dict(tool="mr-train", version="0.1.0", seed=seed,
                                   command=f"mr-train --norm {norm} --seed {seed} study.json",
                                   inputs=[dict(name="study.json", sha256="ab" * 32)])])]
    lines += [dict(epoch=e + 1, train_loss=loss[e], val_loss=0.7, val_auroc={"tear": auroc[e]},
                   val_auroc_mean=auroc[e]) for e in range(epochs)]
    if end:
        lines.append(dict(end=True, epochs=epochs, best_epoch=int(np.argmax(auroc)) + 1,
                          stopped=stopped))
    return "".join(json.dumps(line) + "\n" for line in lines)


RUNS = [("layer", 1, 12), ("batch", 1, 30), ("group(8)", 1, 9), ("batch", 2, 1), ("layer", 2, 21)]
GROUPED = [RUNS[1], RUNS[3], RUNS[0], RUNS[4], RUNS[2]]  # batch norm first, else as they came


@pytest.fixture
def logs(tmp_path):
    paths = []
    for i, (norm, seed, epochs) in enumerate(RUNS):
        paths.append(tmp_path / f"{i}.pt.log.jsonl")
        paths[-1].write_text(training_log(norm, seed, epochs))
    return paths


@pytest.fixture
def report(run, logs, tmp_path):
    done = run(["mr-report", "-o", tmp_path / "out", *logs])
    assert done.stderr == b""
    return tmp_path / "out", done.stdout.decode()


def lines_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_logs_alone_make_a_report(report, logs, schema):
    folder, markdown = report
    assert sorted(p.name for p in folder.iterdir()) == ["figures", "report.html", "report.json",
                                                        "report.md", "training.csv"]
    found = json.loads((folder / "report.json").read_text())
    schema("mr-report")(found)
    assert [(r["normalization"], r["seed"], len(r["epochs"])) for r in found["training"]] == GROUPED
    for r in found["training"]:
        header, *epochs, end = lines_of(next(p for p in logs if str(p) == r["log"]))
        assert r["best_epoch"] == end["best_epoch"] and r["stopped"] == end["stopped"]
        assert r["val_auroc_mean"] == epochs[end["best_epoch"] - 1]["val_auroc_mean"]
        assert r["epochs"] == [{k: e[k] for k in ("epoch", "train_loss", "val_loss",
                                                  "val_auroc_mean")} for e in epochs]
    tools = [entry["tool"] for entry in found["provenance"]]
    assert tools == ["mr-train"] * 5 + ["mr-report"]
    assert len(found["provenance"][-1]["inputs"]) == 5
    assert (folder / "report.md").read_text() == markdown
    assert "batch (2 runs), layer (2 runs) and group(8) (1 run)" in markdown


def test_table_is_the_same_in_markdown_and_csv(report):
    folder, markdown = report
    found = json.loads((folder / "report.json").read_text())["training"]
    with open(folder / "training.csv", newline="") as f:
        rows = list(csv.DictReader(f))
    assert len(rows) == len(found) == 5
    for row, r in zip(rows, found):
        assert (row["log"], row["norm"], row["stopped"]) == (r["log"], r["normalization"],
                                                             r["stopped"])
        assert (int(row["seed"]), int(row["best_epoch"])) == (r["seed"], r["best_epoch"])
        assert float(row["val_auroc_mean"]) == r["val_auroc_mean"]
        name = r["log"].rsplit("/", 1)[1]
        assert (f"| {r['normalization']} | {name} | {r['seed']} | 0.001 | 0.01 | {len(r['epochs'])}"
                f" | {r['best_epoch']} | {r['val_auroc_mean']:.3f} | patience |") in markdown


@pytest.mark.parametrize("name", ["training-loss", "validation-auroc"])
def test_figure_has_a_line_for_each_run_in_its_normalizations_colour(report, name):
    folder, _ = report
    root = ET.parse(folder / "figures" / f"{name}.svg").getroot()
    traces = [p for p in root.iter(SVG + "path") if p.get("class").startswith("c-trace")]
    # batch norm, layer norm, group norm; a line has a point per epoch
    assert [p.get("class")[-1] for p in traces] == ["0", "0", "1", "1", "2"]
    assert [len(re.findall("[ML]", p.get("d"))) for p in traces] == [e for _, _, e in GROUPED]
    signs = {style: sum(e.get("class") == f"c-fill c-s{style}" for e in root.iter())
             for style in range(3)}
    assert signs == {0: 2 + 1, 1: 2 + 1, 2: 1 + 1}  # a best epoch per run, and the legend
    assert len(root.get("aria-label")) > 60


def test_figure_has_its_numbers(report):
    folder, _ = report
    found = json.loads((folder / "report.json").read_text())
    for name, key in (("training-loss", "train_loss"), ("validation-auroc", "val_auroc_mean")):
        with open(folder / "figures" / f"{name}.csv", newline="") as f:
            rows = list(csv.DictReader(f))
        assert [(row["series"], row["run"], float(row["x"]), float(row["estimate"])) for row in rows
                ] == [(r["normalization"], str(r["seed"]), e["epoch"], e[key])
                      for r in found["training"] for e in r["epochs"]]


def test_best_epoch_is_where_its_sign_is(report):
    folder, _ = report
    root = ET.parse(folder / "figures" / "validation-auroc.svg").getroot()
    trace = next(p for p in root.iter(SVG + "path") if p.get("class") == "c-trace c-s0")
    points = [tuple(map(float, p.split())) for p in re.split("[ML]", trace.get("d"))[1:]]
    best = json.loads((folder / "report.json").read_text())["training"][0]["best_epoch"]
    circles = [(float(c.get("cx")), float(c.get("cy"))) for c in root.iter(SVG + "circle")]
    assert points[best - 1] in circles
    assert points[best - 1][1] == min(y for _, y in points)  # the highest


def test_html_is_light_dark_and_without_scripts(report):
    html = (report[0] / "report.html").read_text()
    assert html.count("<svg ") == 2 and html.count('class="c-trace') == 2 * 5
    assert "prefers-color-scheme:dark" in html and "<script" not in html and "http" not in html
    assert '<section id="training">' in html


def test_beside_an_evaluation_arms_and_curves_share_their_colours(run, logs, tmp_path, schema):
    study = tmp_path / "study.eval"
    study.write_text(evaluation(Cohort(subjects=20, slices=3), ["group(8)", "batch"], [1],
                                [(None, 0)], thumbnails=False))
    run(["mr-report", "-o", tmp_path / "out", logs[0], study, *logs[1:]])
    found = json.loads((tmp_path / "out" / "report.json").read_text())
    schema("mr-report")(found)
    assert found["baseline"] == "batch" and len(found["training"]) == 5
    svg = (tmp_path / "out" / "figures" / "training-loss.svg").read_text()
    # batch norm is the baseline, group norm the other arm; layer norm has no arm
    assert re.findall(r'c-trace c-s(\d)"', svg) == ["0", "0", "1", "2", "2"]
    assert {"report.csv", "training.csv"} <= {p.name for p in (tmp_path / "out").iterdir()}
    html = (tmp_path / "out" / "report.html").read_text()
    assert html.index('<section id="training">') < html.index('<section id="methods">')


def test_same_logs_same_bytes(run, report, logs, tmp_path):
    folder, markdown = report
    run(["mr-report", "-o", tmp_path / "again", *logs])
    for name in ("report.html", "report.json", "training.csv", "figures/training-loss.svg"):
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes()


def test_bad_logs_are_refused_by_name(fails, logs, tmp_path):
    bad = tmp_path / "bad.log.jsonl"

    def refused(text, part):
        bad.write_text(text)
        fails(["mr-report", "-o", tmp_path / "out", logs[0], bad], 65, "bad.log.jsonl: ", part)
        assert not (tmp_path / "out").exists()

    refused(training_log("batch", 1, 3, end=False), "unfinished")
    refused(training_log("batch", 1, 3).replace("mr-train-log/1", "mr-train-log/2"),
            "mr-train-log/2")
    refused(training_log("batch", 1, 3).replace('"epoch": 2', '"epoch": 3'), "want epoch 2")
    fails(["mr-report", logs[0], logs[0]], 64, "named twice")
    fails(["mr-report", "--baseline", "batch", logs[0]], 64, "--baseline: there is no evaluation")
    fails(["mr-report", "--scores", tmp_path / "s.csv", logs[0]], 64, "--scores")
    assert not (tmp_path / "s.csv").exists()
