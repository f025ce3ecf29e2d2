"""Ctrl-C, a cancelled job, a closed terminal: the exit code is that of what happened, and no token is left unknown."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading

import click
import pytest
from interrupting import interrupt, meanwhile, send, send_unnoticed, until, waits

from signalwire_tokens.cli.group import command_line

from .shell import (
    COMMAND,
    CREATE,
    CREATE_MUCH,
    UUID,
    Deleting,
    Minting,
    Terminal,
    only,
    secret_of,
    waiting_in,
)

ENDINGS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


class TestWhileMinting:
    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_a_token_may_exist(self, shell, space, number) -> None:
        space.fail_next(timeout=True, applied=True)
        with shell.start(*CREATE) as run:
            until(lambda: space.requests)
            interrupt(run, number)
            output, errors = run.communicate(timeout=60)
        assert (run.returncode, output) == (3, "")
        assert re.fullmatch(
            rf"Error: create of token 'ci deploy' failed: interrupted by {number.name} .*may exist.*\n", errors
        )

    @pytest.mark.parametrize("numbers", [*([n] for n in ENDINGS), [*ENDINGS, signal.SIGINT]])
    def test_once_or_more_often(self, shell, space, tmp_path, numbers) -> None:
        space.tokens = Minting(lambda: send(*numbers))
        run = shell(*CREATE, "--out", str(tmp_path / "token"))
        assert (run.returncode, len(space.tokens), list(tmp_path.iterdir())) == (3, 1, [])
        assert "may exist" in run.stderr.splitlines()[-1]

    def test_a_name_is_not_taken_for_what_the_library_says(self, shell, space) -> None:
        space.tokens = Minting(lambda: send(signal.SIGINT))
        run = shell("create", "x (nothing was minted)", "-p", "fax")
        assert (run.returncode, len(space.tokens)) == (3, 1)

    def test_the_old_token_and_its_file_stay(self, shell, space, old, file) -> None:
        space.tokens = Minting(lambda: send(signal.SIGINT), old)
        # The fixture itself has set one.
        run = shell("rotate", str(old.id), "ci", "-p", "fax", "--out", str(file), "--force")
        assert (run.returncode, file.read_text()) == (3, old.token.get_secret_value())
        assert [path.name for path in file.parent.iterdir()] == ["token"]
        assert "may exist" in run.stderr.splitlines()[-1]

    def test_a_file_that_has_just_been_made_is_removed(self, shell, space, tmp_path, monkeypatch) -> None:
        make = tempfile.mkstemp

        def made(*args, **kwargs) -> tuple[int, str]:
            file = make(*args, **kwargs)
            send(signal.SIGINT)
            return file

        monkeypatch.setattr(tempfile, "mkstemp", made)
        run = shell(*CREATE, "--out", str(tmp_path / "token"))
        assert (run.returncode, space.requests, list(tmp_path.iterdir())) == (130, [], [])

    def test_before_the_command_begins(self, shell, monkeypatch) -> None:
        read = command_line.make_context

        def interrupted(*args, **kwargs) -> click.Context:
            context = read(*args, **kwargs)
            send(signal.SIGINT)
            return context

        monkeypatch.setattr(command_line, "make_context", interrupted)
        run = shell(*CREATE)
        assert (run.returncode, run.stderr.lstrip()) == (130, "Error: interrupted; nothing was sent\n")

    def test_nothing_was_minted_while_it_waits_to_retry(self, shell, space) -> None:
        space.fail_next(429, headers={"Retry-After": "50"})
        with shell.start(*CREATE) as run:
            assert "429" in run.stderr.readline()
            interrupt(run, signal.SIGINT)
            output, errors = run.communicate(timeout=60)
        assert (run.returncode, output, space.tokens) == (130, "", {})
        assert errors == "Error: create of token 'ci deploy' failed: interrupted by SIGINT (nothing was minted)\n"


class TestWhileStoring:
    @pytest.mark.parametrize("number", ENDINGS)
    def test_a_secret_that_waits_for_a_reader_is_not_stored(self, shell, space, pipe, number) -> None:
        reader, writer = pipe
        with meanwhile(lambda: waiting_in(reader), lambda: send(number)):
            run = shell(*CREATE_MUCH, stdout=writer.fileno())
        assert (run.returncode, space.tokens) == (130, {})
        assert re.fullmatch(r"Error: the secret could not be stored: interrupted; .* deleted.*\n", run.stderr)

    @pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGHUP])
    def test_a_second_one_waits_until_the_token_is_deleted(self, shell, space, pipe, second) -> None:
        reader, writer = pipe
        with shell.start(*CREATE_MUCH, stdout=writer) as run:
            until(lambda: waiting_in(reader))
            # Both are there before the command looks at the first.
            interrupt(run, signal.SIGSTOP, signal.SIGTERM, second, signal.SIGCONT)
            _, errors = run.communicate(timeout=60)
        assert (run.returncode, space.tokens) == (130, {})
        assert re.search(r"Error: the secret could not be stored: interrupted; .* deleted.*\n$", errors)

    def test_one_that_comes_while_the_token_is_deleted_waits(self, shell, space, broken) -> None:
        space.tokens = Deleting(lambda: send(signal.SIGINT, signal.SIGTERM))
        run = shell(*CREATE, stdout=broken)
        assert (run.returncode, space.tokens) == (1, {})
        assert "finishing first, so that no token is left behind\n" in run.stderr
        assert re.search(r"Error: .*Broken pipe; .* deleted.*\n$", run.stderr)

    def test_a_file_is_finished(self, shell, space, tmp_path, monkeypatch) -> None:
        fsync = os.fsync

        def interrupted(descriptor) -> None:
            fsync(descriptor)
            # Not when room is reserved.
            send(*ENDINGS) if space.tokens else None

        monkeypatch.setattr(os, "fsync", interrupted)
        run = shell(*CREATE, "--out", str(tmp_path / "token"))
        assert (run.returncode, (tmp_path / "token").read_text()) == (0, secret_of(space))
        assert run.stderr.splitlines()[-1].startswith(f"created token {only(space).id}")

    def test_rotating_is_finished_once_the_secret_is_stored(self, shell, space, old, file) -> None:
        space.tokens = Deleting(lambda: send(*ENDINGS), old)
        run = shell("rotate", str(old.id), "ci", "-p", "fax", "--out", str(file), "--force")
        assert (run.returncode, file.read_text()) == (0, secret_of(space))
        assert old.id not in space.tokens

    def test_a_terminal_that_is_closed_leaves_no_token(self, shell, space, pipe) -> None:
        reader, writer = pipe
        with Terminal(shell, *CREATE_MUCH, stdout=writer) as terminal:
            until(lambda: waiting_in(reader))
            until(lambda: waits(terminal.process.pid))
            terminal.close()
            assert terminal.process.wait(60) == 130
        assert space.tokens == {}

    def test_nohup_outlives_a_terminal_that_is_closed(self, shell, space, pipe) -> None:
        reader, writer = pipe
        ignoring = ["sh", "-c", "trap '' HUP; exec \"$@\"", "sh", COMMAND, *CREATE_MUCH]
        with subprocess.Popen(ignoring, env=shell.environment, stdout=writer, stderr=subprocess.DEVNULL) as run:
            writer.close()
            until(lambda: waiting_in(reader))
            interrupt(run, signal.SIGHUP)
            assert json.load(reader)["token"] == secret_of(space)
            assert run.wait(60) == 0

    def test_one_that_comes_before_the_secret_is_stored(self, shell, space, old, file, monkeypatch) -> None:
        dumps = json.dumps

        def interrupted(*args, **kwargs) -> str:
            if len(space.tokens) == 2 and threading.current_thread() is threading.main_thread():
                send(signal.SIGTERM)
            return dumps(*args, **kwargs)

        monkeypatch.setattr(json, "dumps", interrupted)
        where = ("--out", str(file), "--force", "--format", "json")
        run = shell("rotate", str(old.id), "ci", "-p", "fax", *where)
        assert (run.returncode, list(space.tokens)) == (130, [old.id])
        assert file.read_text() == old.token.get_secret_value()
        assert re.search(r"could not be stored: interrupted; .* deleted", run.stderr)


class TestCommandThatStores:
    @pytest.mark.parametrize("code", [0, 1])
    def test_ctrl_c_is_for_it_to_answer(self, shell, space, old, tmp_path, script, code) -> None:
        # One that finishes in spite of Ctrl-C has stored the secret, and one that does not has not.
        kept = script(
            f"trap 'echo came >> signals; cat > in; exit {code}' INT; echo ready; while :; do sleep 0.02; done"
        )
        with Terminal(shell, "rotate", str(old.id), "ci", "-p", "fax", "--exec", kept, cwd=tmp_path) as terminal:
            terminal.read_until("ready")
            terminal.press(b"\x03")
            assert terminal.wait()[0] == (130 if code else 0)
        assert (old.id in space.tokens) is (code == 1)
        assert ((tmp_path / "in").read_text() == secret_of(space)) is (code == 0)
        # The terminal had given it to the command already.
        assert (tmp_path / "signals").read_text() == "came\n"

    def test_ctrl_c_that_ends_it_is_told(self, shell, space) -> None:
        with Terminal(shell, *CREATE, "--exec", "sh -c 'echo ready; exec sleep 60'") as terminal:
            terminal.read_until("ready")
            terminal.press(b"\x03")
            code, seen = terminal.wait()
        assert (code, space.tokens) == (130, {})
        assert re.search("sh was ended by SIGINT; .* deleted", seen)

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1])
    def test_a_signal_goes_to_it(self, shell, space, old, tmp_path, script, number) -> None:
        kept = script("echo ready > ready; exec sleep 60")
        with meanwhile((tmp_path / "ready").exists, lambda: send(number)):
            run = shell("rotate", str(old.id), "ci", "-p", "fax", "--exec", kept, cwd=tmp_path)
        assert (run.returncode, list(space.tokens)) == (130, [old.id])
        assert re.search(rf"was ended by {number.name}; .* deleted", run.stderr)

    def test_a_signal_that_ends_no_system_call_goes_to_it(self, shell, space, tmp_path, script) -> None:
        kept = script("echo ready > ready; exec sleep 30")
        with meanwhile((tmp_path / "ready").exists, lambda: send_unnoticed(signal.SIGTERM)):
            run = shell(*CREATE, "--exec", kept, cwd=tmp_path)
        assert (run.returncode, space.tokens) == (130, {})
        assert "was ended by SIGTERM" in run.stderr

    def test_a_signal_that_comes_as_it_is_started_goes_to_it(self, shell, space, monkeypatch) -> None:
        class Popen(subprocess.Popen):
            def __init__(self, *args, **kwargs) -> None:
                send(signal.SIGTERM)
                super().__init__(*args, **kwargs)

        monkeypatch.setattr(subprocess, "Popen", Popen)
        run = shell(*CREATE, "--exec", "sleep 60")
        assert (run.returncode, space.tokens) == (130, {})
        assert "sleep was ended by SIGTERM" in run.stderr

    def test_how_it_ends_is_known_where_the_parent_ignores_children(self, shell, space) -> None:
        ignore = (
            "import os, signal, sys; signal.signal(signal.SIGCHLD, signal.SIG_IGN); os.execv(sys.argv[1], sys.argv[1:])"
        )
        ignoring = (sys.executable, "-c", ignore, COMMAND)
        run = shell.process(*CREATE, "--exec", "sh -c 'cat >/dev/null; exit 3'", command=ignoring)
        assert (run.returncode, space.tokens) == (1, {})
        assert "sh exited with 3" in run.stderr

    def test_an_ignored_signal_is_ignored_by_it_too(self, shell, space, old, script) -> None:
        arguments = ("rotate", str(old.id), "ci", "-p", "fax", "--exec", script("kill -HUP $$; cat > /dev/null"))
        ignoring = ("sh", "-c", "trap '' HUP; exec \"$@\"", "sh", COMMAND)
        assert shell.process(*arguments, command=ignoring).returncode == 0
        assert old.id not in space.tokens


class TestOtherCalls:
    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_while_deleting_nothing_more_than_that_is_told(self, shell, space, number) -> None:
        space.fail_next(timeout=True)
        with meanwhile(lambda: space.requests, lambda: send(number)):
            run = shell("delete", UUID)
        assert (run.returncode, run.stdout) == (130, "")
        assert re.fullmatch(rf"Error: .* interrupted by {number.name} .*delete again to be sure.*\n", run.stderr)

    def test_while_changing(self, shell, space) -> None:
        space.fail_next(timeout=True)
        with meanwhile(lambda: space.requests, lambda: send(signal.SIGINT)):
            run = shell("update", UUID, "--name", "x")
        assert (run.returncode, run.stdout) == (130, "")
        assert re.fullmatch(r"Error: .* interrupted by SIGINT .*update again to be sure.*\n", run.stderr)

    def test_while_it_waits_to_retry_nothing_was_changed(self, shell, space) -> None:
        space.fail_next(429, headers={"Retry-After": "50"})
        with shell.start("delete", UUID) as run:
            assert "429" in run.stderr.readline()
            interrupt(run, signal.SIGTERM)
            _, errors = run.communicate(timeout=60)
        assert run.returncode == 130
        assert errors == f"Error: delete of token {UUID} failed: interrupted by SIGTERM (nothing was deleted)\n"


class TestBeginningAndEnd:
    def test_while_the_command_starts(self, shell, tmp_path) -> None:
        (tmp_path / "click.py").write_text("import sys; print('importing', file=sys.stderr); sys.stdin.read()")
        shell.environment["PYTHONPATH"] = str(tmp_path)
        with shell.start("delete", UUID, stdin=subprocess.PIPE) as run:
            assert run.stderr.readline() == "importing\n"
            interrupt(run, signal.SIGINT)
            _, errors = run.communicate(timeout=60)
        assert (run.returncode, errors) == (130, "Error: interrupted; nothing was sent\n")

    def test_where_nothing_is_sent_it_says_so(self, shell) -> None:
        import fcntl

        if not hasattr(fcntl, "F_SETPIPE_SZ"):
            pytest.skip("the size of a pipe cannot be set")
        reading, writing = os.pipe()
        size = fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 1)
        # Room for the first line and not for the second.
        os.write(writing, bytes(size - len("calling\n")))
        with meanwhile(lambda: waiting_in(reading) == size, lambda: send(signal.SIGINT)):
            run = shell("permissions", stdout=writing)
        os.close(reading)
        os.close(writing)
        assert (run.returncode, run.stderr) == (130, "Error: interrupted; nothing was sent\n")

    def test_what_is_done_is_told(self, shell, space, pipe) -> None:
        reader, writer = pipe
        os.set_blocking(writer.fileno(), False)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(writer.fileno(), b".")
        os.set_blocking(writer.fileno(), True)
        with shell.start(*CREATE, stderr=writer) as run:
            until(lambda: waiting_in(run.stdout))
            for number in ENDINGS:
                interrupt(run, number)
            writer.close()
            told = reader.read().lstrip(".")
        assert run.returncode == 0
        assert told.endswith(f"created token {only(space).id}, name 'ci deploy', permissions fax, calling\n")

    @pytest.mark.parametrize("number", ENDINGS)
    def test_the_exit_code_stands_while_python_ends(self, shell, space, number) -> None:
        ending = (
            "import atexit, os\n"
            "from signalwire_tokens.cli import main\n"
            "class Last:\n"
            f"    def __del__(self, kill=os.kill, process=os.getpid()): kill(process, {number.value})\n"
            f"atexit.register(os.kill, os.getpid(), {number.value})\n"
            "last = Last()\n"
            "main()"
        )
        run = shell.process(*CREATE, command=(sys.executable, "-c", ending))
        assert (run.returncode, run.stdout) == (0, secret_of(space))
        assert run.stderr == f"created token {only(space).id}, name 'ci deploy', permissions fax, calling\n"
