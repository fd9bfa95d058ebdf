"""Every man page is in step with its tool's --help, and with the exit statuses there are."""
import re
import shutil
import subprocess

import pytest

from conftest import ROOT

PAGES = sorted((ROOT / "man").glob("*.1"))
SECTIONS = ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS", "EXAMPLES", "SEE ALSO"]


def plain(line):
    """A line of roff without escapes, font changes and quotes."""
    line = re.sub(r"\\f.", "", line).replace("\\-", "-").replace("\\&", "").replace('"', "")
    return re.sub(r"^\.[A-Z]+ ?", "", line)


def options_of_page(path):
    """Options by where they are described: {"OPTIONS": {...}, a subcommand (.SS): {...}}."""
    found, place, tag = {}, "", False
    for line in path.read_text().splitlines():
        if line.startswith((".SH ", ".SS ")):
            place = plain(line).strip()
        elif line.startswith(".TP"):
            tag = True
            continue
        if tag:
            options = re.findall(r"(?<![\w-])--?[A-Za-z][\w-]*", plain(line))
            found.setdefault(place, set()).update(options)
        tag = False
    return found


def sections(path):
    return [plain(line).strip() for line in path.read_text().splitlines() if line.startswith(".SH ")]


def options_of_help(text):
    """Options and subcommands of a --help."""
    options = set()
    for names in re.findall(r"^  (-[\w-]+(?:,--?[\w-]+)*)", text, re.M):
        options.update(names.split(","))
    commands = text.partition("\nSubcommands:\n")[2].partition("\n\n")[0]
    return options, re.findall(r"^  ([\w-]+)", commands, re.M)


def page(path):
    return pytest.param(path, id=path.stem)


@pytest.mark.parametrize("path", [page(p) for p in PAGES])
def test_page_and_help_have_the_same_options(run, path):
    tool = path.stem
    described = options_of_page(path)
    options, commands = options_of_help(run([tool, "--help"]).stdout.decode())
    assert "--help" in options
    everywhere = described.get("OPTIONS", set())
    known = set(options)
    missing = {"": options - everywhere}
    for command in commands:
        own, _ = options_of_help(run([tool, command, "--help"]).stdout.decode())
        known |= own
        here = described.get(command, set())
        assert not here - own, f"{tool} {command} has no {here - own}, which the page describes"
        missing[command] = own - here - everywhere
    assert not everywhere - known, f"{tool} has no {everywhere - known}, which the page describes"
    assert not any(missing.values()), f"{path.name} lacks {missing}"


@pytest.mark.parametrize("path", [page(p) for p in PAGES])
def test_page_has_its_sections_and_known_exit_statuses(path):
    assert [s for s in SECTIONS if s not in sections(path)] == []
    known = re.findall(r"^  \w+ = (\d+),", (ROOT / "lib/base/error.h").read_text(), re.M)
    assert "64" in known
    text = path.read_text().partition(".SH EXIT STATUS")[2].partition("\n.SH ")[0]
    listed = re.findall(r"^\.TP\n(?:\.B )?(\d+)$", text, re.M)
    assert "0" in listed and set(listed) <= set(known), (listed, known)


@pytest.mark.parametrize("path", [page(p) for p in PAGES])
def test_page_is_set_without_warnings(path):
    if not shutil.which("man"):
        pytest.skip("no man")
    p = subprocess.run(["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", str(path)],
                       capture_output=True)
    assert p.returncode == 0 and p.stderr == b"", p.stderr.decode()


def test_there_are_pages():
    assert PAGES
