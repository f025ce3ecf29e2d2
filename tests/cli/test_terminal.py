"""On a terminal: no secret unless it is asked for, and a wheel while a call takes its time."""

import os
import pty
import re
import threading

import pytest

from .shell import CREATE, SECRET, Terminal, only, secret_of


@pytest.mark.parametrize("form", ["text", "env", "json"])
def test_no_secret_is_shown_and_so_none_is_minted(shell, space, form) -> None:
    code, seen = shell.on_terminal(*CREATE, "--format", form)
    assert (code, space.requests) == (2, [])
    assert "--out FILE" in seen
    assert "--reveal" in seen


def test_it_is_shown_on_demand_on_a_line_of_its_own(shell, space) -> None:
    code, seen = shell.on_terminal(*CREATE, "--reveal")
    assert code == 0
    # Without the wheel, which a slow machine shows.
    lines = re.sub(r"[^\r\n]*\r\x1b\[K", "", seen).split("\r\n")
    assert lines[0] == secret_of(space)
    assert lines[1].startswith(f"created token {only(space).id}")
    code, seen = shell.on_terminal(*CREATE, "--reveal", "--format", "json")
    assert (code, "\r\n\r\n" in seen) == (0, False)


def test_a_file_needs_no_reveal(shell, space, tmp_path) -> None:
    code, seen = shell.on_terminal(*CREATE, "--out", str(tmp_path / "token"))
    assert (code, SECRET.search(seen)) == (0, None)
    assert (tmp_path / "token").read_text() == secret_of(space)


def test_a_pipe_gets_no_colour_and_no_wheel_and_the_terminal_a_wheel(shell, space, tmp_path) -> None:
    space.fail_next(timeout=True)
    with (tmp_path / "piped").open("wb") as piped:
        code, seen = shell.on_terminal(*CREATE, stdout=piped.fileno(), interrupt_at="/ creating the token")
    assert code == 3
    assert "\r\x1b[K| creating the token\r\x1b[K/ creating the token" in seen
    assert seen.rpartition("\r\x1b[K")[2].startswith("Error: create of token 'ci deploy' failed: interrupted by SIGINT")
    assert (tmp_path / "piped").read_bytes() == b""


@pytest.mark.parametrize("quiet", [{"NO_COLOR": "1"}, {"CI": "true"}, {"TERM": "dumb"}])
def test_no_wheel_where_none_is_wanted(shell, space, quiet) -> None:
    code, seen = shell.on_terminal(*CREATE, "--reveal", environment=quiet)
    assert (code, seen.split()[0]) == (0, secret_of(space))
    # A wheel clears its line at the latest when it stops.
    assert "\x1b" not in seen


def test_the_wheel_stands_still_while_a_command_has_the_terminal(shell, space) -> None:
    with Terminal(shell, *CREATE, "--exec", "sh -c 'echo running; cat > /dev/null'") as terminal:
        code, seen = terminal.wait()
    assert (code, len(space.tokens)) == (0, 1)
    # A wheel clears its line at the latest when it stops.
    before, _, after = seen.partition("running")
    assert ("\x1b" in before, "\x1b" in after) == (True, False)


def test_no_wheel_costs_no_token(shell, space, monkeypatch) -> None:
    # As where no more threads are allowed. The space has threads of its own.
    start = threading.Thread.start

    def refuse(thread) -> None:
        if threading.current_thread() is threading.main_thread():
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    master, slave = pty.openpty()
    assert shell(*CREATE, "--reveal", stdout=slave, stderr=slave).returncode == 0
    assert secret_of(space) in os.read(master, 4096).decode()
    os.close(master)
    os.close(slave)
