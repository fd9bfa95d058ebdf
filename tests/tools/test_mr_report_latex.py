"""The report folder's tables.tex: what it prints, and that pdfLaTeX takes it, whatever names it holds."""
import json
import re
import shutil
import subprocess

import pytest

from test_mr_report import ARMS, ARTIFACTS, GRID, Cohort, evaluation

PAPER = r"""\documentclass{article}
\usepackage[a4paper,margin=2cm]{geometry}
\usepackage{booktabs}
\begin{document}
\input{tables.tex}
%s
\end{document}
"""


def compiled(folder, extra=""):
    """The log of pdfLaTeX."""
    if not shutil.which("pdflatex"):
        pytest.skip("pdflatex is not installed (texlive-latex-recommended)")
    (folder / "paper.tex").write_text(PAPER % extra)
    done = subprocess.run(["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"],
                          cwd=folder, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stdout.decode(errors="replace")[-2000:]
    return (folder / "paper.log").read_text(errors="replace")


@pytest.fixture
def tables(run, tmp_path):
    """tables(text of an evaluation, ...): the report's JSON and tables.tex."""

    def make(text, *options):
        (tmp_path / "x.eval").write_text(text)
        run(["mr-report", "--force", "-o", tmp_path / "out", *options, tmp_path / "x.eval"])
        return (json.loads((tmp_path / "out" / "report.json").read_text()),
                (tmp_path / "out" / "tables.tex").read_text())

    return make


def tabular(tex, label):
    """Rows of a table as lists of cells, between \\midrule and \\bottomrule."""
    body = tex.split(r"\label{tab:%s}" % label)[1].split(r"\midrule")[1].split(r"\bottomrule")[0]
    return [[cell.strip() for cell in row.split(" & ")]
            for row in body.strip().split(r" \\\addlinespace[2pt]") if row.strip()]


def test_best_is_bold_second_underlined_intervals_in_brackets(tables):
    found, tex = tables(evaluation(Cohort(subjects=40, slices=8), ARMS, [1, 2], GRID))
    rows = tabular(tex, "performance-by-artifact")
    assert [row[0] for row in rows] == ["batch", "batch + batch{-}stats:volume", "group(8)", "layer"]
    means = {(e["arm"], e["artifact"]): e for e in found["estimates"]
             if (e["quantity"], e["label"], e["metric"], e["severity"]) == (
                 "level", "macro", "auroc", None)}
    for column, artifact in enumerate(ARTIFACTS, 1):
        values = {arm: f"{means[arm, artifact]['value']:.3f}" for arm in ARMS}
        order = sorted(set(values.values()), reverse=True)
        for row, arm in zip(rows, ARMS):
            text = values[arm]
            text = {0: r"\textbf{%s}", 1: r"\underline{%s}"}.get(order.index(text), "%s") % text
            e = means[arm, artifact]
            assert row[column] == r"\mrinterval{%s}{%.3f, %.3f}" % (text, e["low"], e["high"])
    assert tex.count("an order, no test") == 2  # of the two tables with a best
    assert tex.count(r"\begin{table}") == tex.count("not adjusted for multiplicity") + 2


def test_a_minus_is_a_minus(tables):
    _, tex = tables(evaluation(Cohort(subjects=40, slices=8), ARMS, [1, 2], GRID))
    change = tabular(tex, "performance-clean-and-corrupted-performance")[0][4]
    assert re.fullmatch(r"\\mrinterval\{(\$-\$|[{\\a-z]*\$-\$)0\.\d{3}\}*\{\$-\$0\.\d{3}, \$-\$0\.\d{3}\}",
                        change), change


def test_pdflatex_takes_it_and_it_fits_the_page(tables, tmp_path):
    tables(evaluation(Cohort(subjects=40, slices=8), ARMS, [1, 2], GRID))
    log = compiled(tmp_path / "out")
    assert "Overfull" not in log and "LaTeX Warning: Float too large" not in log
    # The reader may want the interval beside the estimate.
    assert r"\newcommand{\mrinterval}[2]{#1 [#2]}" in (tmp_path / "out" / "tables.tex").read_text()


HOSTILE = [r"\input{/etc/passwd} 100 % & #1_x $5 {~^}", 'µ ≤ 3 ≥ α–Ω ς ± "q" `x` <|> [a]*b--c',
           "Größe Łódź ŧ 中文 é Я ∈ \u0301 \U0001F9E0", "[1]", "*", "", "a\tb"]


def test_hostile_names_compile_and_say_what_they_said(tables, tmp_path):
    cohort = Cohort(subjects=30, slices=4, labels=HOSTILE[:2])
    grid = [(None, 0), ("spike", 2), (HOSTILE[1], 2), (HOSTILE[2], 1)]
    text = evaluation(cohort, ["batch", "layer"], [1, 2], grid, thumbnails=False)
    for name, hostile in (("layer", HOSTILE[0]),):
        text = text.replace(f'"normalization": "{name}"',
                            f'"normalization": {json.dumps(hostile)}')
    _, tex = tables(text)
    log = compiled(tmp_path / "out")
    assert "Missing character" not in log
    for piece in (r"\textbackslash{}input\{/etc/passwd\} 100 \% \& \#1\_x \$5",
                  r"$\mu$ $\leq$ 3 $\geq$ $\alpha$--$\mathrm{\Omega}$ $\varsigma$ $\pm$",
                  "Größe Łódź {[}U+0167{]} {[}U+4E2D{]}{[}U+6587{]} é {[}U+042F{]}"):
        assert piece in tex, piece


@pytest.mark.parametrize("name", [n for n in HOSTILE if n] + [
    "".join(map(chr, range(0x20, 0x7F))), "".join(map(chr, range(0xA0, 0x180))),
    "".join(map(chr, range(0x391, 0x3CA))), "−–—‘’“”…•·×±≤≥≠≈→∞√°²³¹µ§\u202f\u2009"])
def test_any_text_survives_as_an_arms_name(tables, tmp_path, name):
    text = evaluation(Cohort(subjects=20, slices=3), ["batch", "layer"], [1], [(None, 0), ("bias", 1)],
                      thumbnails=False)
    tables(text.replace('"normalization": "layer"', f'"normalization": {json.dumps(name)}'))
    assert "Missing character" not in compiled(tmp_path / "out")


def test_long_and_wide_tables_come_in_parts(tables, tmp_path):
    grid = [(None, 0)] + [(f"artifact-{i}", 1) for i in range(15)]
    arms = ["batch"] + [f"norm-{i}" for i in range(12)]
    _, tex = tables(evaluation(Cohort(subjects=25, slices=2), arms, [1], grid, thumbnails=False))
    for part in (1, 2, 3):
        assert f"By artifact (part {part} of 3)" in tex
        rows = tabular(tex, f"performance-by-artifact-{part}")
        assert len(rows) == 13 and len(rows[0]) == (7 if part < 3 else 4)
    heads = [tabular(tex, f"performance-difference-from-batch-{p}")[0][0] for p in (1, 2)]
    assert heads[1]  # a part begins with its heads
    assert "Float too large" not in compiled(tmp_path / "out")


def test_without_artifacts_there_is_what_there_is(tables, tmp_path):
    _, tex = tables(evaluation(Cohort(subjects=20, slices=3), ["batch", "layer"], [1], [(None, 0)]))
    assert r"\label{tab:performance-performance-clean" in tex
    compiled(tmp_path / "out")
