"""`run`: another command with a token that exists as long as it runs."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from interrupting import interrupt, meanwhile, send, send_unnoticed

from signalwire_tokens import SecretStr

from .shell import (
    COMMAND,
    UUID,
    Deleting,
    Minting,
    Terminal,
    only,
)

RUN = ("run", "nightly", "-p", "fax", "-p", "calling", "--")
# What it says of its token, before the command begins.
SAID = r"created token [0-9a-f-]{36}, name 'nightly', permissions fax, calling; it is deleted when %s ends\n"
WAITING = "echo ready > ready; while :; do sleep 0.02; done"


def test_the_command_finds_a_token_in_its_environment(shell, space, tmp_path) -> None:
    tokens = []
    space.tokens = Minting(lambda: tokens.append(only(space)))
    script = 'printf "%s\\n" "$SIGNALWIRE_SPACE" "$SIGNALWIRE_PROJECT_ID" "$SIGNALWIRE_API_TOKEN" "$0" "$@" > seen'
    stale = {"SIGNALWIRE_API_TOKEN_ID": UUID}
    run = shell(*RUN, "sh", "-c", f"{script}; env > env", "one", "--two", "-p", "3", cwd=tmp_path, environment=stale)
    assert (run.returncode, run.stdout, space.tokens) == (0, "", {})
    [token] = tokens
    assert (token.name, token.permissions) == ("nightly", ("fax", "calling"))
    said = f"created token {token.id}, name 'nightly', permissions fax, calling; it is deleted when sh ends\n"
    assert run.stderr == said
    url, secret = shell.environment["SIGNALWIRE_SPACE"], token.token.get_secret_value()
    assert (tmp_path / "seen").read_text().splitlines() == [url, space.project_id, secret, "one", "--two", "-p", "3"]
    assert UUID not in (tmp_path / "env").read_text()


def test_for_a_subproject_it_finds_that(shell, space, tmp_path) -> None:
    subproject = str(space.add_subproject("tenant"))
    run = ("run", "x", "-p", "fax", "--subproject", subproject, "--", "sh", "-c", 'echo "$SIGNALWIRE_PROJECT_ID" > id')
    assert shell(*run, cwd=tmp_path).returncode == 0
    assert (tmp_path / "id").read_text() == f"{subproject}\n"
    assert [request.body.get("subproject_id") for request in space.requests if request.body] == [subproject]


def test_the_token_works_while_it_runs_and_not_after(shell, space, tmp_path) -> None:
    itself = (sys.executable, "-m", "signalwire_tokens", "create", "child", "-p", "fax", "--out", "secret")
    assert shell("run", "manager", "-p", "management", "--", *itself, cwd=tmp_path).returncode == 0
    assert [token.name for token in space.tokens.values()] == ["child"]
    assert [request.status for request in space.requests] == [200, 200, 204]


def test_its_streams_are_those_of_the_command(shell, space) -> None:
    run = shell.process(*RUN, "sh", "-c", "cat; echo problem >&2; exit 7", input="work")
    assert (run.returncode, run.stdout, space.tokens) == (7, "work", {})
    assert re.fullmatch(f"{SAID % 'sh'}problem\n", run.stderr)


@pytest.mark.parametrize(("ends", "code"), [("exit 0", 0), ("exit 3", 3), ("kill -TERM $$", 143), ("kill -9 $$", 137)])
def test_its_exit_code_is_that_of_the_command(shell, space, ends, code) -> None:
    run = shell(*RUN, "sh", "-c", ends)
    assert (run.returncode, space.tokens) == (code, {})
    assert re.fullmatch(SAID % "sh", run.stderr)


def test_a_token_that_stays_after_sigkill_is_named(shell, space) -> None:
    with shell.start(*RUN, "cat", stdin=subprocess.PIPE) as run:
        said = run.stderr.readline()
        run.kill()
    assert re.fullmatch(SAID % "cat", said)
    assert str(only(space).id) in said


def test_what_it_says_of_its_token_moves_no_cursor(shell, tmp_path) -> None:
    (tmp_path / "\x1b[2J").write_text("#!/bin/sh\n")
    (tmp_path / "\x1b[2J").chmod(0o700)
    run = shell(*RUN, "./\x1b[2J", cwd=tmp_path)
    assert run.returncode == 0
    assert re.fullmatch(SAID % r"\./\\x1b\[2J", run.stderr)


def test_standard_error_that_nobody_reads_costs_nothing(shell, space, broken) -> None:
    run = shell(*RUN, "sh", "-c", "exit 4", stderr=broken)
    assert (run.returncode, space.tokens) == (4, {})


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        ("no-such-command", 127, "no-such-command cannot be found, so nothing was sent"),
        (
            "a b",
            127,
            "a b cannot be found, so nothing was sent; give the command and its arguments as words of their own",
        ),
        ("", 127, "'' cannot be found, so nothing was sent"),
        ("chat", 127, "chat cannot be found, so nothing was sent; -p takes one permission; repeat it"),
        ("./missing", 127, "./missing cannot be found, so nothing was sent"),
        ("./text", 126, "./text cannot be run, so nothing was sent"),
        ("text", 126, "text cannot be run, so nothing was sent"),
        ("./", 126, "./ cannot be run, so nothing was sent"),
    ],
)
def test_what_cannot_be_run_is_told_before_minting(shell, space, tmp_path, command, code, said) -> None:
    (tmp_path / "text").write_text("no program")
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    run = shell(*RUN, command, cwd=tmp_path, environment={"PATH": path})
    assert (run.returncode, run.stderr, space.requests) == (code, f"Error: {said}\n", [])


@pytest.mark.parametrize(
    ("content", "code", "said"),
    [(b"\x7fELF", 126, "Exec format error"), (b"#!/missing/interpreter\n", 127, "No such file or directory")],
)
def test_what_turns_out_not_to_run_leaves_no_token(shell, space, tmp_path, content, code, said) -> None:
    (tmp_path / "program").write_bytes(content)
    (tmp_path / "program").chmod(0o700)
    run = shell(*RUN, "./program", cwd=tmp_path)
    assert (run.returncode, space.tokens) == (code, {})
    assert re.fullmatch(
        rf"{SAID % './program'}Error: ./program cannot be run: {said}; the token is deleted\n", run.stderr
    )


def test_what_turns_out_not_to_run_and_a_token_that_could_not_be_deleted(shell, space, tmp_path) -> None:
    (tmp_path / "program").write_bytes(b"\x7fELF")
    (tmp_path / "program").chmod(0o700)

    def lock_out() -> None:
        space.api_token = SecretStr("changed")

    space.tokens = Minting(lock_out)
    run = shell(*RUN, "./program", cwd=tmp_path)
    assert run.returncode == 125
    assert re.fullmatch(
        rf"{SAID % './program'}Error: ./program cannot be run: Exec format error; token {only(space).id} may still "
        rf"exist, delete it: delete of token {only(space).id} failed: HTTP 401.*\n",
        run.stderr,
    )


def test_a_secret_that_no_environment_can_hold(shell, space) -> None:
    space.fail_next(200, body={"id": UUID, "name": "nightly", "permissions": ["fax"], "token": "a\0b"})
    run = shell(*RUN, "true")
    assert (run.returncode, [request.method for request in space.requests]) == (125, ["POST", "DELETE"])
    assert run.stderr.endswith(
        "\nError: the secret has characters that no environment can hold; the token is deleted\n"
    )


@pytest.mark.parametrize("status", [401, 422, 500])
def test_without_a_token_nothing_is_run(shell, space, tmp_path, status) -> None:
    space.fail_next(status)
    run = shell(*RUN, "touch", "ran", cwd=tmp_path)
    assert (run.returncode, list(tmp_path.iterdir())) == (125, [])
    assert f"HTTP {status}" in run.stderr
    assert ("nothing was minted" in run.stderr) == (status < 500)


def test_wrong_usage_is_no_code_of_the_command(shell, space) -> None:
    for arguments, said in [
        (["run", "x", "--", "true"], "Missing option '-p'"),
        (["run", "x", "-p", "fax"], "Missing argument 'COMMAND [ARG]...'"),
        (["run", "x", "-p", "fax", "ls", "-l"], "No such option '-l'. Put -- before COMMAND."),
        (["run", "x", "-p", "voice", "--", "true"], "did you mean 'calling'?"),
    ]:
        run = shell(*arguments)
        assert (run.returncode, space.requests) == (125, [])
        assert said in run.stderr
    del shell.environment["SIGNALWIRE_SPACE"]
    assert shell(*RUN, "true").returncode == 125


@pytest.mark.parametrize("code", [0, 7])
def test_a_token_that_could_not_be_deleted_is_named(shell, space, code) -> None:
    # No other call of the command is answered like this one.
    def lock_out() -> None:
        space.api_token = SecretStr("changed")

    space.tokens = Minting(lock_out)
    run = shell(*RUN, "sh", "-c", f"exit {code}")
    assert run.returncode == 125
    failed = rf"Error: sh exited with {code}, and then: .*{only(space).id}.*HTTP 401.*\n"
    assert re.fullmatch(SAID % "sh" + failed, run.stderr)


class TestSignals:
    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1])
    def test_they_are_passed_on(self, shell, space, tmp_path, monkeypatch, number) -> None:
        # As if the tests did not run on a terminal.
        monkeypatch.setattr(os, "tcgetpgrp", lambda _: 0)
        name = number.name.removeprefix("SIG")
        script = f"trap 'echo came >> signals; exit 9' {name}; {WAITING}"
        with meanwhile((tmp_path / "ready").exists, lambda: send(number)):
            run = shell(*RUN, "sh", "-c", script, cwd=tmp_path)
        assert (run.returncode, space.tokens) == (9, {})
        assert re.fullmatch(SAID % "sh", run.stderr)
        assert (tmp_path / "signals").read_text() == "came\n"

    def test_one_that_ends_the_command_is_told_by_the_code(self, shell, space, tmp_path) -> None:
        with meanwhile((tmp_path / "ready").exists, lambda: send(signal.SIGTERM)):
            run = shell(*RUN, "sh", "-c", WAITING, cwd=tmp_path)
        assert (run.returncode, space.tokens) == (143, {})

    def test_one_that_ends_no_system_call_is_passed_on_too(self, shell, space, tmp_path) -> None:
        with meanwhile((tmp_path / "ready").exists, lambda: send_unnoticed(signal.SIGTERM)):
            run = shell(*RUN, "sh", "-c", "echo ready > ready; exec sleep 30", cwd=tmp_path)
        assert (run.returncode, space.tokens) == (143, {})

    def test_a_command_may_ignore_them(self, shell, space, tmp_path) -> None:
        script = "trap '' INT TERM HUP; echo ready > ready; until [ -e done ]; do sleep 0.02; done; exit 5"

        def insist() -> None:
            send(signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
            (tmp_path / "done").touch()

        with meanwhile((tmp_path / "ready").exists, insist):
            run = shell(*RUN, "sh", "-c", script, cwd=tmp_path)
        assert (run.returncode, space.tokens) == (5, {})

    def test_the_token_is_deleted_whatever_comes_meanwhile(self, shell, space) -> None:
        space.tokens = Deleting(lambda: send(signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGUSR2))
        run = shell(*RUN, "sh", "-c", "exit 4")
        assert (run.returncode, space.tokens) == (4, {})

    @pytest.mark.parametrize("key", [b"\x03", b"\x1c"])
    def test_a_key_of_the_terminal_comes_once(self, shell, space, tmp_path, key) -> None:
        trap = "trap 'echo came >> signals' INT QUIT; trap 'exit 6' TERM"
        script = (
            f"{trap}; echo ready; until [ -e signals ]; do sleep 0.02; done; echo pressed; while :; do sleep 0.02; done"
        )
        with Terminal(shell, *RUN, "sh", "-c", script, cwd=tmp_path) as terminal:
            terminal.read_until("ready")
            terminal.press(key)
            terminal.read_until("pressed")
            # Whatever was passed on came before this.
            interrupt(terminal.process, signal.SIGTERM)
            code, _ = terminal.wait()
        assert (code, space.tokens) == (6, {})
        assert (tmp_path / "signals").read_text() == "came\n"

    def test_a_terminal_that_is_closed_leaves_no_token(self, shell, space) -> None:
        with Terminal(shell, *RUN, "sh", "-c", "echo ready; exec sleep 60") as terminal:
            terminal.read_until("ready")
            terminal.close()
            assert terminal.process.wait(60) == 128 + signal.SIGHUP
        assert space.tokens == {}

    def test_before_the_command_begins_nothing_is_run(self, shell, space, tmp_path) -> None:
        space.fail_next(429, headers={"Retry-After": "50"})
        with shell.start(*RUN, "touch", "ran", cwd=tmp_path) as run:
            assert "429" in run.stderr.readline()
            interrupt(run, signal.SIGINT)
            _, errors = run.communicate(timeout=60)
        assert (run.returncode, space.tokens, list(tmp_path.iterdir())) == (130, {}, [])
        assert errors == "Error: create of token 'nightly' failed: interrupted by SIGINT (nothing was minted)\n"

    def test_while_minting_a_token_may_exist(self, shell, space, tmp_path) -> None:
        space.tokens = Minting(lambda: send(signal.SIGTERM))
        run = shell(*RUN, "touch", "ran", cwd=tmp_path)
        assert (run.returncode, list(tmp_path.iterdir())) == (125, [])
        assert re.fullmatch(r"Error: create of token 'nightly' failed: .* by SIGTERM .*may exist.*\n", run.stderr)


@pytest.mark.skipif(not Path("/proc").exists(), reason="no /proc")
def test_the_secret_is_no_argument(shell, tmp_path) -> None:
    read = "cat /proc/$PPID/cmdline /proc/$$/cmdline > arguments"
    assert (
        shell.process(*RUN, "sh", "-c", f'{read}; echo "$SIGNALWIRE_API_TOKEN" > secret', cwd=tmp_path).returncode == 0
    )
    assert COMMAND in (tmp_path / "arguments").read_text()
    assert (tmp_path / "secret").read_text().strip() not in (tmp_path / "arguments").read_text()
