"""Each exit code of each command, as docs/command-line.md has them in one table."""

import logging
import re
import signal
from pathlib import Path

import pytest

from signalwire_tokens import SecretStr

from .shell import UUID, Minting, send

PAGE = Path(__file__).parents[2] / "docs" / "command-line.md"
COMMANDS = {
    "create": ("create", "ci", "-p", "fax", "--out", "secret"),
    "rotate": ("rotate", "{old}", "ci", "-p", "fax", "--out", "secret"),
    "update": ("update", "{old}", "--name", "new"),
    "delete": ("delete", "{old}"),
    "run": ("run", "ci", "-p", "fax", "--", "sh", "-c", "exit {code}"),
}


def refused(space) -> None:
    space.fail_next(422)


def unknown(space) -> None:
    space.fail_next(500, applied=True)


def interrupted(space) -> None:
    # The command waits, and Interrupting sees to the rest.
    space.fail_next(429, headers={"Retry-After": "50"})


def interrupted_with_an_id(space) -> None:
    space.fail_next(429, headers={"Retry-After": "50", "X-Request-Id": "abc-123"})


class Interrupting(logging.Handler):
    """Interrupts what waits for a retry."""

    def emit(self, record) -> None:
        if hasattr(record, "retry_in"):
            send(signal.SIGINT)


@pytest.fixture(autouse=True)
def interrupting():
    logger, handler = logging.getLogger("signalwire_tokens"), Interrupting(logging.WARNING)
    logger.addHandler(handler)
    yield
    logger.removeHandler(handler)


def locked_out(space) -> None:
    def change() -> None:
        space.api_token = SecretStr("changed")

    space.tokens = Minting(change)


def nothing(_space) -> None:
    pass


CASES = [
    *((command, 0, nothing, ()) for command in COMMANDS),
    *((command, 1, refused, ()) for command in ("create", "rotate", "update", "delete")),
    *((command, 2, nothing, ("--nonsense",)) for command in ("create", "rotate", "update", "delete")),
    *((command, 3, unknown, ()) for command in ("create", "rotate", "update", "delete")),
    *((command, 130, fault, ()) for command in COMMANDS for fault in (interrupted, interrupted_with_an_id)),
    ("run", 1, nothing, ()),
    ("run", 2, nothing, ()),
    ("run", 3, nothing, ()),
    ("run", 125, refused, ()),
    ("run", 125, unknown, ()),
    ("run", 125, locked_out, ()),
    ("run", 126, nothing, ("./secret",)),
    ("run", 127, nothing, ("./missing",)),
]


@pytest.mark.parametrize(("command", "code", "fault", "more"), CASES, ids=lambda each: getattr(each, "__name__", None))
def test_each_command_exits_with_each_of_its_codes(shell, space, tmp_path, command, code, fault, more) -> None:
    assert shell("create", "old", "-p", "fax").returncode == 0
    [old] = space.tokens
    arguments = [argument.format(old=old, code=code) for argument in COMMANDS[command]]
    if command == "run" and more:
        (tmp_path / "secret").touch()
        arguments[-3:] = more
    else:
        arguments += more
    fault(space)
    run = shell(*arguments, cwd=tmp_path)
    assert run.returncode == code, run.stderr
    minted = {token.name for token in space.tokens.values()} - {"old"}
    if command in {"create", "rotate"}:
        assert bool(minted) is (code in {0, 3})
    elif command == "run":
        assert bool(minted) is (fault in {unknown, locked_out})


def test_interrupted_before_anything_is_sent(shell, free_port) -> None:
    run = shell("create", "ci", "-p", "fax", environment={"SIGNALWIRE_SPACE": f"http://127.0.0.1:{free_port}"})
    assert run.returncode == 130
    assert run.stderr.endswith(" failed: interrupted by SIGINT (nothing was sent)\n")


def test_the_page_has_the_codes_that_are_tested() -> None:
    header, _, *rows = re.findall(
        r"^\|.*\|$", PAGE.read_text(encoding="utf-8").partition("## Exit codes")[2], re.MULTILINE
    )
    columns = [re.findall("`(.*?)`", cell) for cell in header.split("|")[2:-1]]
    documented = {
        (command, int(cells[1]))
        for cells in (row.split("|") for row in rows)
        for commands, said in zip(columns, cells[2:-1], strict=True)
        for command in commands
        if said.strip()
    }
    assert documented == {(command, code) for command, code, *_ in CASES}


def test_an_id_that_is_not_there_is_refused(shell) -> None:
    assert shell("delete", UUID).returncode == 1
