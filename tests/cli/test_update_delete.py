"""Changing and deleting a token: what is said, and no secret."""

import json
from pathlib import Path

import pytest

from .shell import CREATE, SECRET, only


@pytest.fixture
def token(shell, space):
    shell(*CREATE)
    return only(space)


def test_a_change_says_what_is_and_shows_no_secret(shell, token) -> None:
    run = shell("update", str(token.id), "--name", "new", "-p", "chat")
    assert (run.returncode, run.stdout) == (0, "")
    assert run.stderr == f"changed token {token.id}, name 'new', permissions chat\n"
    assert shell("update", str(token.id), "--name", "newer").returncode == 0
    assert (token.name, token.permissions) == ("newer", ("chat",))


def test_a_change_as_json(shell, token) -> None:
    run = shell("update", str(token.id), "-p", "chat", "-p", "fax", "--format", "json")
    assert json.loads(run.stdout) == {"id": str(token.id), "name": "ci deploy", "permissions": ["chat", "fax"]}
    assert run.stderr == f"changed token {token.id}, name 'ci deploy', permissions chat, fax\n"
    assert not SECRET.search(run.stdout + run.stderr)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_change_that_cannot_be_printed_was_made(shell, token) -> None:
    with Path("/dev/full").open("w") as full:
        run = shell("update", str(token.id), "--name", "new", "--format", "json", stdout=full.fileno())
    assert (run.returncode, token.name) == (1, "new")
    assert run.stderr == (
        f"Error: changed token {token.id}, name 'new', permissions fax, calling; standard output cannot be written: No "
        "space left on device\n"
    )


def test_a_deleted_token_is_gone(shell, space, token) -> None:
    run = shell("delete", str(token.id))
    assert (run.returncode, run.stdout, run.stderr) == (0, "", f"deleted token {token.id}\n")
    assert space.tokens == {}
    again = shell("delete", str(token.id))
    assert (again.returncode, again.stdout) == (1, "")
    assert "no such token" in again.stderr


def test_after_an_unknown_outcome_a_deletion_can_be_repeated(shell, space, token) -> None:
    space.fail_next(500, applied=True)
    assert shell("delete", str(token.id)).returncode == 3
    run = shell("delete", str(token.id), "--missing-ok")
    assert (run.returncode, run.stdout) == (0, "")
    assert run.stderr == f"token {token.id} is deleted, or there was none\n"


def test_missing_ok_deletes_what_is_there(shell, space, token) -> None:
    assert shell("delete", "--missing-ok", str(token.id)).returncode == 0
    assert space.tokens == {}
    space.fail_next(401)
    assert shell("delete", "--missing-ok", str(token.id)).returncode == 1
