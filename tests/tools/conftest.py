"""Fixtures for tests that run the tools as programs."""
import json
import os
import pathlib
import subprocess

import pytest

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BIN = pathlib.Path(os.environ.get("MR_BIN", ROOT / "build"))


@pytest.fixture(scope="session")
def run():
    """run(["mr-corrupt", ...], stdin=None, check=True, env=None, cwd=None, timeout=120)."""

    def runner(args, stdin=None, check=True, env=None, cwd=None, timeout=120):
        command = [str(BIN / args[0])] + [str(a) for a in args[1:]]
        if not os.path.exists(command[0]):
            pytest.skip(f"{args[0]} is not built")
        p = subprocess.run(command, input=stdin, capture_output=True, cwd=cwd, timeout=timeout,
                           env=None if env is None else {**os.environ, **env})
        if check:
            assert p.returncode == 0, f"{args}: status {p.returncode}: {p.stderr.decode()}"
        return p

    return runner


@pytest.fixture(scope="session")
def fails(run):
    """fails(args, status, *parts): exits with status, one line on stderr that holds each part."""

    def check(args, status, *parts, **keywords):
        p = run(args, check=False, **keywords)
        message = p.stderr.decode()
        assert p.returncode == status, (p.returncode, message)
        assert message.count("\n") == 1 and message.startswith(args[0] + ": "), message
        for part in parts:
            assert part in message, message
        return p

    return check


@pytest.fixture(scope="session")
def data():
    """The folder with real MR data (environment variable MR_DATA)."""
    folder = os.environ.get("MR_DATA", "")
    if not folder or not os.path.isdir(folder):
        pytest.skip("no real data: MR_DATA is not a folder")
    return pathlib.Path(folder)


@pytest.fixture(scope="session")
def schema():
    """schema("mr-manifest")(document) raises where the document does not fit lib/schema."""
    import jsonschema

    def validator(name):
        with open(ROOT / "lib" / "schema" / f"{name}.schema.json") as f:
            document = json.load(f)
        cls = jsonschema.validators.validator_for(document)
        cls.check_schema(document)
        return cls(document).validate

    return validator
