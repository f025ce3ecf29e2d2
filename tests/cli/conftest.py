import os
import sys

import pytest

from .shell import CREATE, Shell, only

collect_ignore_glob = ["test_*.py"] if sys.platform == "win32" else []  # no pseudo-terminals and no POSIX signals


@pytest.fixture
def shell(space):
    quiet = {"NO_COLOR", "CI", "TERM"}
    with space.serve() as url:
        yield Shell(
            {
                **{name: value for name, value in os.environ.items() if name not in quiet},
                "TERM": "xterm",
                "SIGNALWIRE_SPACE": url,
                "SIGNALWIRE_PROJECT_ID": space.project_id,
                "SIGNALWIRE_API_TOKEN": space.api_token.get_secret_value(),
            }
        )


@pytest.fixture
def pipe():
    reading, writing = os.pipe()
    with os.fdopen(reading) as reader, os.fdopen(writing, "w") as writer:
        yield reader, writer


@pytest.fixture
def broken():
    """The writing end of a pipe that nobody reads."""
    reading, writing = os.pipe()
    os.close(reading)
    yield writing
    os.close(writing)


@pytest.fixture
def file(shell, space, tmp_path):
    """A file with the secret of a token that is to be rotated."""
    (tmp_path / "stored").mkdir()
    assert shell(*CREATE, "--out", str(tmp_path / "stored" / "token")).returncode == 0
    space.requests.clear()
    return tmp_path / "stored" / "token"


@pytest.fixture
def old(file, space):  # noqa: ARG001 - its secret is in there
    return only(space)


@pytest.fixture
def script(tmp_path):
    """Write a script and return the command that runs it."""

    def write(text) -> str:
        path = tmp_path / "a script"
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o700)
        return f"'{path}' one 'two three'"

    return write
