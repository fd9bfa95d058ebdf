"""Completion in bash: what is offered after some words of a command line."""
import subprocess

import pytest

from conftest import BIN, ROOT

TOOLS = sorted(p.stem for p in (ROOT / "tools").glob("*.cpp"))


def offered(tool, *words):
    script = f"""source <({BIN}/{tool} --completion)
    COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
    _{tool.replace("-", "_")}
    printf '%s\\n' "${{COMPREPLY[@]}}" """
    p = subprocess.run(["bash", "-uc", script, "bash", tool, *words], capture_output=True, text=True)
    assert (p.returncode, p.stderr) == (0, "")
    return p.stdout.split()


@pytest.mark.parametrize("tool", TOOLS)
def test_every_option_of_the_help_is_offered(run, tool):
    from test_man import options_of_help
    options, commands = options_of_help(run([tool, "--help"]).stdout.decode())
    assert set(offered(tool, "-")) == options
    assert offered(tool, "--hel") == ["--help"]
    assert offered(tool, "") == commands  # else files
    for command in commands:
        own, _ = options_of_help(run([tool, command, "--help"]).stdout.decode())
        assert set(offered(tool, command, "-")) == own
        assert offered(tool, command, "") == []


def test_values_are_offered_where_they_are_known(run):
    run(["mr-corrupt", "--version"])
    names = offered("mr-corrupt", "-a", "")
    assert {"motion", "bias", "rician"} <= set(names) and "-a" not in names
    motions = [name for name in names if name.startswith("mot")]
    assert offered("mr-corrupt", "x.nii", "--artifact", "mot") == motions
    assert offered("mr-corrupt", "--mode", "") == ["2d", "3d"]
    assert "motion" not in offered("mr-corrupt", "--seed", "m")
    assert offered("mr-phantom", "--plane", "") == ["coronal", "sagittal"]
    run(["mr-train", "--version"])
    assert {"batch", "group", "layer_chw"} <= set(offered("mr-train", "--norm", ""))
    assert offered("mr-eval", "--grid", "st") == ["study"]
