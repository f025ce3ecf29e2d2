"""The command as a shell runs it: its own process, real pipes and a real terminal, against a served space."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from signalwire_tokens import Permission, SecretStr, __version__

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals and no POSIX signals"),
]

COMMAND = str(Path(sys.executable).with_name("signalwire-tokens"))
CREATE = ("create", "ci deploy", "-p", "fax", "-p", "calling")
# Writes more than a pipe holds.
CREATE_MUCH = ("create", "x" * 100_000, "-p", "fax", "--format", "json")
SECRET = re.compile(r"PT[0-9a-f]{48}")
UUID = "11111111-2222-3333-4444-555555555555"
# Makes a new session whose terminal is standard error, as a terminal emulator does, and becomes the command.
IN_SESSION = """
import fcntl, os, sys, termios
os.setsid()
fcntl.ioctl(2, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""


class Minting(dict):
    """The tokens of a space that calls back as it mints one, before the answer leaves."""

    def __init__(self, callback) -> None:
        super().__init__()
        self.callback = callback

    def __setitem__(self, key, value) -> None:
        super().__setitem__(key, value)
        self.callback()


class Shell:
    """Runs the command with the environment of a space."""

    def __init__(self, environment) -> None:
        self.environment = environment

    def __call__(self, *arguments, environment=None, **options) -> subprocess.CompletedProcess:
        options = {"capture_output": True, "text": True, "timeout": 60, **options}
        return subprocess.run([COMMAND, *arguments], env={**self.environment, **(environment or {})}, **options)

    def start(self, *arguments, **options) -> subprocess.Popen:
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options}
        return subprocess.Popen([COMMAND, *arguments], env=self.environment, **options)


class Terminal:
    """Runs the command on a pseudo-terminal of its own."""

    def __init__(self, shell, *arguments, environment=None, **streams) -> None:
        import pty

        self.master, slave = pty.openpty()
        self.name = os.ttyname(slave)
        self.seen = ""
        self.process = subprocess.Popen(
            [sys.executable, "-c", IN_SESSION, COMMAND, *arguments],
            env={**shell.environment, **(environment or {})},
            **{"stdin": slave, "stdout": slave, "stderr": slave, **streams},
        )
        os.close(slave)

    def __enter__(self):
        return self

    def __exit__(self, *_) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.master)

    def read_until(self, text) -> None:
        while text not in self.seen:
            self.seen += os.read(self.master, 1024).decode()

    def close(self) -> None:
        os.close(self.master)
        self.master = os.open(os.devnull, os.O_RDONLY)

    def press_ctrl_c(self) -> None:
        os.write(self.master, b"\x03")

    def let_flow(self, *, flows: bool) -> None:
        """Stop the output, as Ctrl-S does, or let it go on. Unlike a key that is pressed, it takes effect at once."""
        import termios

        slave = os.open(self.name, os.O_RDWR | os.O_NOCTTY)
        termios.tcflow(slave, termios.TCOON if flows else termios.TCOOFF)
        os.close(slave)

    def wait(self) -> tuple[int, str]:
        """Wait for the end and return the exit code and all that was shown."""
        try:
            while data := os.read(self.master, 1024):
                self.seen += data.decode()
        except OSError:  # Linux: the other side is closed
            pass
        return self.process.wait(60), self.seen


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


def until(condition) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        threading.Event().wait(0.005)


def wait_for(process) -> None:
    """Wait until a process waits: coverage deadlocks if its own bookkeeping is interrupted."""
    state = Path(f"/proc/{process.pid}/stat")
    until(lambda: not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "S")


def interrupt(process, number) -> None:
    wait_for(process)
    process.send_signal(number)


def waiting_in(pipe) -> int:
    """Tell how many bytes can be read from a pipe."""
    import fcntl
    import termios

    return int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), sys.byteorder)


def only(space):
    [token] = space.tokens.values()
    return token


def secret_of(space) -> str:
    return only(space).token.get_secret_value()


def secret_of_last(space) -> str:
    return list(space.tokens.values())[-1].token.get_secret_value()


class TestCreate:
    def test_a_pipe_gets_the_secret_alone_and_standard_error_the_rest(self, shell, space) -> None:
        run = shell(*CREATE)
        assert (run.returncode, run.stdout) == (0, secret_of(space))
        token = only(space)
        assert (token.name, token.permissions) == ("ci deploy", ("fax", "calling"))
        assert run.stderr == f"created token {token.id}, name 'ci deploy', permissions fax, calling\n"

    def test_json_is_one_object(self, shell, space) -> None:
        run = shell(*CREATE, "--format", "json")
        assert run.stdout.endswith("}\n")
        assert json.loads(run.stdout) == {
            "id": str(only(space).id),
            "name": "ci deploy",
            "permissions": ["fax", "calling"],
            "token": secret_of(space),
        }

    def test_env_lines_are_read_by_a_shell_as_they_stand(self, shell, space, tmp_path) -> None:
        file = tmp_path / "token.env"
        assert shell(*CREATE, "--format", "env", "--out", str(file)).returncode == 0
        lines = [f"SIGNALWIRE_API_TOKEN_ID={only(space).id}", f"SIGNALWIRE_API_TOKEN={secret_of(space)}"]
        assert file.read_text().splitlines() == lines
        script = f'. "{file}"; printf "%s %s" "$SIGNALWIRE_API_TOKEN_ID" "$SIGNALWIRE_API_TOKEN"'
        read = subprocess.run(["sh", "-ec", script], capture_output=True, text=True)
        assert read.stdout == f"{only(space).id} {secret_of(space)}"

    def test_a_file_is_written_whole_for_its_owner_alone(self, shell, space, tmp_path) -> None:
        run = shell(*CREATE, "--out", str(tmp_path / "token"), umask=0)
        assert (run.returncode, run.stdout) == (0, "")
        assert [path.name for path in tmp_path.iterdir()] == ["token"]
        assert (tmp_path / "token").read_text() == secret_of(space)
        assert (tmp_path / "token").stat().st_mode & 0o777 == 0o600
        assert run.stderr.endswith(f"; its secret is in {tmp_path / 'token'}\n")
        assert not SECRET.search(run.stderr)

    def test_a_file_in_the_current_directory_is_named_without_one(self, shell, space, tmp_path) -> None:
        assert shell(*CREATE, "--out", "token", cwd=tmp_path).returncode == 0
        assert (tmp_path / "token").read_text() == secret_of(space)

    def test_it_mints_for_a_subproject(self, shell, space) -> None:
        subproject = space.add_subproject("tenant")
        assert shell(*CREATE, "--subproject", str(subproject)).returncode == 0
        assert only(space).project_id == str(subproject)

    def test_an_existing_file_is_replaced_only_by_force(self, shell, space, tmp_path) -> None:
        file = tmp_path / "token"
        file.write_text("old")
        file.chmod(0o644)
        run = shell(*CREATE, "--out", str(file))
        assert (run.returncode, run.stderr) == (
            2,
            f"Error: {file} exists; name another file, or replace it with --force\n",
        )
        assert (file.read_text(), space.requests) == ("old", [])
        assert shell(*CREATE, "--out", str(file), "--force").returncode == 0
        assert file.read_text() == secret_of(space)
        assert file.stat().st_mode & 0o777 == 0o600
        assert shell(*CREATE, "--out", str(tmp_path / "new"), "--force").returncode == 0
        assert sorted(path.name for path in tmp_path.iterdir()) == ["new", "token"]

    @pytest.mark.parametrize("force", [(), ("--force",)])
    @pytest.mark.parametrize("where", ["missing/token", "file/token", "", "link", "fifo", "x" * 300])
    def test_a_file_that_cannot_be_written_is_refused_before_minting(
        self, shell, space, tmp_path, where, force
    ) -> None:
        (tmp_path / "file").write_text("old")
        (tmp_path / "link").symlink_to(tmp_path / "file")
        os.mkfifo(tmp_path / "fifo")
        before = sorted(tmp_path.iterdir())
        run = shell(*CREATE, "--out", str(tmp_path / where), *force)
        assert (run.returncode, run.stdout, space.requests) == (2, "", [])
        assert "Error: " in run.stderr
        assert "Traceback" not in run.stderr
        assert (sorted(tmp_path.iterdir()), (tmp_path / "file").read_text()) == (before, "old")

    def test_a_full_disk_is_found_out_before_minting(self, shell, space, tmp_path) -> None:
        # No process may then write a file at all, nor can coverage.
        unmeasured = {name: value for name, value in shell.environment.items() if not name.startswith("COVERAGE")}
        run = subprocess.run(
            ["bash", "-c", 'ulimit -f 0; exec "$@"', "-", COMMAND, *CREATE, "--out", str(tmp_path / "token")],
            env=unmeasured,
            capture_output=True,
            text=True,
        )
        assert (run.returncode, space.requests, list(tmp_path.iterdir())) == (2, [], [])
        assert re.fullmatch(r"Error: .*token cannot be written, so nothing was sent: File too large\n", run.stderr)

    def test_a_refused_mint_leaves_no_file(self, shell, space, tmp_path) -> None:
        space.fail_next(401)
        run = shell(*CREATE, "--out", str(tmp_path / "token"))
        assert (run.returncode, list(tmp_path.iterdir())) == (1, [])
        assert re.fullmatch(
            r"Error: create of token 'ci deploy' failed: HTTP 401.*management permission.*\n", run.stderr
        )

    def test_a_refused_mint_leaves_the_old_file(self, shell, space, tmp_path) -> None:
        (tmp_path / "token").write_text("old")
        space.fail_next(422)
        assert shell(*CREATE, "--out", str(tmp_path / "token"), "--force").returncode == 1
        assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]

    def test_a_command_gets_the_secret_on_its_standard_input(self, shell, space, tmp_path) -> None:
        run = shell(*CREATE, "--exec", "tee in", cwd=tmp_path)
        assert (run.returncode, (tmp_path / "in").read_text()) == (0, secret_of(space))
        assert run.stderr.endswith("; its secret is stored\n")

    def test_a_command_that_fails_after_reading_leaves_no_token(self, shell, space) -> None:
        run = shell(*CREATE, "--exec", "sh -c 'cat > /dev/null; exit 1'")
        assert (run.returncode, run.stdout, space.tokens) == (1, "", {})
        assert [request.method for request in space.requests] == ["POST", "DELETE"]
        assert (
            run.stderr == "Error: the secret could not be written: sh exited with 1; the new token was deleted again\n"
        )

    @pytest.mark.parametrize("where", [("--out", "a", "--exec", "cat"), ("--exec", "cat", "--force"), ("--exec", "")])
    def test_one_place_is_enough(self, shell, space, tmp_path, where) -> None:
        run = shell(*CREATE, *where, cwd=tmp_path)
        assert (run.returncode, run.stdout, space.requests) == (2, "", [])
        assert re.search("Error: (give one of --out and --exec|--force goes|--exec names no)", run.stderr)

    def test_force_is_for_files(self, shell, space) -> None:
        run = shell(*CREATE, "--force")
        assert (run.returncode, space.requests) == (2, [])
        assert "--force goes with --out" in run.stderr

    @pytest.mark.parametrize(
        ("fault", "code", "said"),
        [
            ({"status": 403}, 1, "HTTP 403"),
            ({"status": 422}, 1, "HTTP 422"),
            ({"status": 500}, 3, "may exist"),
            ({"disconnect": True, "applied": True}, 3, "may exist"),
            ({"status": 200, "body": {"id": UUID}}, 3, f"the ID in it was {UUID}"),
            ({"status": 200, "body": "<html>"}, 3, "without a whole token"),
        ],
    )
    def test_the_exit_code_tells_refused_from_unknown(self, shell, space, fault, code, said) -> None:
        space.fail_next(**fault)
        run = shell(*CREATE)
        assert (run.returncode, run.stdout, len(space.requests)) == (code, "", 1)
        assert re.fullmatch(r"Error: .*\n", run.stderr)
        assert said in run.stderr

    def test_no_service_is_not_done(self, shell) -> None:
        run = shell(*CREATE, environment={"SIGNALWIRE_SPACE": "http://127.0.0.1:1"})
        assert (run.returncode, run.stdout) == (1, "")
        assert "nothing was sent" in run.stderr.splitlines()[-1]

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["create", "ci", "-p", "voice"], "did you mean 'calling'?"),
            (["create", " ", "-p", "fax"], "name is blank"),
            (["create", "ci"], "Missing option '-p'"),
            (["create", "ci", "-p", "fax", "--subproject", "x"], "--subproject is no UUID; pass the subproject's id"),
            (["create", "ci", "-p", "fax", "--format", "yaml"], "'yaml' is not one of"),
            (["update", UUID], "nothing to change"),
            (["update", "x", "--name", "y"], "TOKEN_ID is no UUID; pass the token's id, not its secret"),
            (["create", "ci", "-p", "fax", "--out", ""], "--out is empty"),
            (["create", "ci", "-p", "fax", "--out", "-"], "leave --out out for standard output"),
            (["rotate", UUID, "ci", "-p", "fax", "--out", "-", "--force"], "./- for a file of that name"),
            (["delete"], "Missing argument"),
            (["list"], "SignalWire has no call that lists tokens; see the dashboard"),
            (["revoke", UUID], "use delete"),
            (["mint"], "No such command 'mint'"),
            (["create", "ci", "-p", "fax", "--api-token", "x"], "No such option"),
        ],
    )
    def test_wrong_usage_is_told_before_anything_is_sent(self, shell, space, tmp_path, arguments, said) -> None:
        run = shell(*arguments, cwd=tmp_path)
        assert (run.returncode, run.stdout, space.requests, list(tmp_path.iterdir())) == (2, "", [], [])
        assert said in run.stderr

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["delete", "{}"], "TOKEN_ID is no UUID; pass the token's id, not its secret"),
            (["rotate", "{}", "ci", "-p", "fax", "--out", "x"], "TOKEN_ID is no UUID"),
            (["update", "{}", "--name", "x"], "TOKEN_ID is no UUID"),
            (["update", UUID, "--name", "{}"], "this is SIGNALWIRE_API_TOKEN itself"),
            (["create", "{}", "-p", "fax"], "this is SIGNALWIRE_API_TOKEN itself"),
            (["rotate", UUID, "{}", "-p", "fax", "--out", "x"], "this is SIGNALWIRE_API_TOKEN itself"),
            (["create", "ci", "-p", "fax", "--out", "{}"], "this is SIGNALWIRE_API_TOKEN itself"),
            (["create", "ci", "-p", "fax", "--subproject", "{}"], "--subproject is no UUID"),
            (["create", "ci", "-p", "{}"], "unknown permission"),
            (["create", "ci", "-p{}"], "unknown permission"),
            (["create", "ci", "-p", "fax", "--format={}"], "is not one of"),
            (["rotate", UUID, "ci", "-p", "fax", "--exec", "{}"], "--exec names no command"),
            (["{}"], "No such command"),
            (["delete", UUID, "{}"], "unexpected extra argument"),
            (["delete", "--{}"], "No such option"),
            (["--{}"], "No such option"),
        ],
    )
    def test_a_secret_in_the_wrong_place_is_not_shown(self, shell, space, arguments, said, tmp_path) -> None:
        # A short one, which is known only as the one in use; longer ones are below.
        secret = shell.environment["SIGNALWIRE_API_TOKEN"] = "Pq7-x"
        run = shell(*(argument.format(secret) for argument in arguments), cwd=tmp_path)
        assert (run.returncode, run.stdout, space.requests, list(tmp_path.iterdir())) == (2, "", [], [])
        assert said in run.stderr
        assert secret not in run.stderr

    def test_the_secret_of_another_token_is_not_shown_either(self, shell, space) -> None:
        other = "PT" + "0123456789abcdef" * 3
        for arguments in (["delete", other], ["create", "ci", "-p", other], [other], ["delete", UUID, other]):
            run = shell(*arguments)
            assert (run.returncode, run.stdout, space.requests) == (2, "", [])
            assert other not in run.stderr

    def test_a_missing_credential_is_named(self, shell, space) -> None:
        del shell.environment["SIGNALWIRE_API_TOKEN"]
        run = shell(*CREATE)
        assert (run.returncode, space.requests) == (2, [])
        assert re.fullmatch(
            r"Error: no value for api_token: set SIGNALWIRE_API_TOKEN in the environment.*\n", run.stderr
        )


class TestSecretThatCannotBeWritten:
    """After minting: the token is deleted again, or named."""

    def test_a_pipe_that_nobody_reads(self, shell, space) -> None:
        reading, writing = os.pipe()
        space.tokens = Minting(lambda: os.close(reading))
        run = shell(*CREATE, stdout=writing, stderr=subprocess.PIPE, capture_output=False)
        os.close(writing)
        assert (run.returncode, space.tokens) == (1, {})
        assert (
            run.stderr
            == "Error: the secret could not be written: [Errno 32] Broken pipe; the new token was deleted again\n"
        )

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
    def test_a_full_disk_behind_standard_output(self, shell, space) -> None:
        with Path("/dev/full").open("w") as full:
            run = shell(*CREATE, stdout=full, stderr=subprocess.PIPE, capture_output=False)
        assert (run.returncode, space.tokens) == (1, {})
        assert "No space left on device; the new token was deleted again" in run.stderr

    def test_a_directory_that_went_away(self, shell, space, tmp_path) -> None:
        import shutil

        (tmp_path / "gone").mkdir()
        space.tokens = Minting(lambda: shutil.rmtree(tmp_path / "gone"))
        run = shell(*CREATE, "--out", str(tmp_path / "gone" / "token"))
        assert (run.returncode, space.tokens) == (1, {})
        assert "the new token was deleted again" in run.stderr

    def test_a_token_that_lives_on_is_named(self, shell, space) -> None:
        reading, writing = os.pipe()

        def break_all() -> None:
            os.close(reading)
            space.api_token = SecretStr("changed")

        space.tokens = Minting(break_all)
        run = shell(*CREATE, stdout=writing, stderr=subprocess.PIPE, capture_output=False)
        os.close(writing)
        assert run.returncode == 3
        assert re.fullmatch(
            rf"Error: .*Broken pipe; the new token {only(space).id} lives on.*"
            rf"'signalwire-tokens delete {only(space).id}'.*HTTP 401.*\n",
            run.stderr,
        )

    def test_a_secret_that_no_env_file_can_hold(self, shell, space) -> None:
        body = {"id": UUID, "name": "ci", "permissions": ["fax"], "token": "a b"}
        space.fail_next(200, body=body)
        run = shell(*CREATE, "--format", "env")
        assert (run.returncode, run.stdout) == (1, "")
        assert [request.method for request in space.requests] == ["POST", "DELETE"]
        assert run.stderr.endswith("read alike; the new token was deleted again\n")

    def test_closed_standard_output_is_refused_before_minting(self, shell, space) -> None:
        run = subprocess.run(
            ["sh", "-c", 'exec "$@" >&-', "-", COMMAND, *CREATE], env=shell.environment, capture_output=True, text=True
        )
        assert (run.returncode, space.requests) == (2, [])
        assert "--out" in run.stderr

    def test_closed_standard_error_costs_nothing(self, shell, space) -> None:
        run = subprocess.run(
            ["sh", "-c", 'exec "$@" 2>&-', "-", COMMAND, *CREATE], env=shell.environment, capture_output=True, text=True
        )
        assert (run.returncode, run.stdout) == (0, secret_of(space))

    def test_standard_error_that_nobody_reads_costs_nothing(self, shell, space) -> None:
        reading, writing = os.pipe()
        os.close(reading)
        run = shell(*CREATE, stdout=subprocess.PIPE, stderr=writing, capture_output=False)
        space.fail_next(401)
        refused = shell(*CREATE, stdout=subprocess.PIPE, stderr=writing, capture_output=False)
        wrong = shell("create", stdout=subprocess.PIPE, stderr=writing, capture_output=False)
        os.close(writing)
        assert (run.returncode, run.stdout) == (0, secret_of(space))
        assert (refused.returncode, wrong.returncode) == (1, 2)


class TestTerminal:
    def test_no_secret_is_shown_and_so_none_is_minted(self, shell, space) -> None:
        for form in ("text", "env", "json"):
            with Terminal(shell, *CREATE, "--format", form) as terminal:
                code, seen = terminal.wait()
            assert (code, space.requests) == (2, [])
            assert "--out FILE" in seen
            assert "--reveal" in seen

    def test_it_is_shown_on_demand_on_a_line_of_its_own(self, shell, space) -> None:
        with Terminal(shell, *CREATE, "--reveal") as terminal:
            code, seen = terminal.wait()
        assert code == 0
        lines = seen.replace("\r\x1b[K", "").split("\r\n")
        assert lines[0] == secret_of(space)
        assert lines[1].startswith(f"created token {only(space).id}")
        with Terminal(shell, *CREATE, "--reveal", "--format", "json") as terminal:
            code, seen = terminal.wait()
        assert (code, "\r\n\r\n" in seen) == (0, False)

    def test_a_file_needs_no_reveal(self, shell, space, tmp_path) -> None:
        with Terminal(shell, *CREATE, "--out", str(tmp_path / "token")) as terminal:
            code, seen = terminal.wait()
        assert (code, SECRET.search(seen)) == (0, None)
        assert (tmp_path / "token").read_text() == secret_of(space)

    def test_a_pipe_gets_no_colour_and_no_wheel_and_the_terminal_a_wheel(self, shell, space, tmp_path) -> None:
        space.fail_next(timeout=True)
        # Coverage would deadlock if it is interrupted between the command's two threads.
        shell.environment.pop("COVERAGE_PROCESS_CONFIG", None)
        with (tmp_path / "piped").open("wb") as piped, Terminal(shell, *CREATE, stdout=piped) as terminal:
            terminal.read_until("/ creating the token")
            until(lambda: space.requests)
            wait_for(terminal.process)
            terminal.press_ctrl_c()
            code, seen = terminal.wait()
        assert code == 3
        assert seen.replace("^C", "").rpartition("\r\x1b[K")[2].startswith("Error: interrupted")
        assert (tmp_path / "piped").read_bytes() == b""

    def test_the_wheel_turns_while_a_call_waits(self, shell, space) -> None:
        space.fail_next(429, headers={"Retry-After": "1"})
        with Terminal(shell, *CREATE, "--reveal") as terminal:
            terminal.read_until("/ creating the token")
            code, _ = terminal.wait()
        assert (code, len(space.tokens)) == (0, 1)

    @pytest.mark.parametrize("quiet", [{"NO_COLOR": "1"}, {"CI": "true"}, {"TERM": "dumb"}])
    def test_no_wheel_where_none_is_wanted(self, shell, space, quiet) -> None:
        space.fail_next(timeout=True)
        with Terminal(shell, *CREATE, "--reveal", environment=quiet) as terminal:
            until(lambda: space.requests)
            wait_for(terminal.process)
            terminal.press_ctrl_c()
            _, seen = terminal.wait()
        assert "creating" not in seen.partition("Error")[0]
        assert "\x1b" not in seen


class TestInterruption:
    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_while_minting_a_token_may_live(self, shell, space, number) -> None:
        space.fail_next(timeout=True, applied=True)
        with shell.start(*CREATE) as run:
            until(lambda: space.requests)
            interrupt(run, number)
            output, errors = run.communicate(timeout=60)
        assert (run.returncode, output) == (3, "")
        assert "a token of the name 'ci deploy' may live" in errors.splitlines()[-1]
        assert "Traceback" not in errors
        assert f"interrupted by {number.name}" in errors

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_while_deleting_nothing_more_than_that_is_told(self, shell, space, number) -> None:
        space.fail_next(timeout=True)
        with shell.start("delete", UUID) as run:
            until(lambda: space.requests)
            interrupt(run, number)
            output, errors = run.communicate(timeout=60)
        assert (run.returncode, output) == (130, "")
        assert errors.splitlines()[-1] == "Error: interrupted while deleting the token; run it again to be sure"

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
    def test_while_the_secret_waits_for_a_reader_the_token_is_deleted(self, shell, space, pipe, number) -> None:
        reader, writer = pipe
        with shell.start(*CREATE_MUCH, stdout=writer) as run:
            until(lambda: waiting_in(reader))
            interrupt(run, number)
            _, errors = run.communicate(timeout=60)
        assert (run.returncode, space.tokens) == (130, {})
        assert errors == "Error: interrupted; the new token was deleted again\n"

    @pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGHUP])
    def test_a_second_interruption_waits_until_the_token_is_deleted(self, shell, space, pipe, second) -> None:
        reader, writer = pipe
        with shell.start(*CREATE_MUCH, stdout=writer) as run:
            until(lambda: waiting_in(reader))
            wait_for(run)
            # Both are there before the command looks at the first.
            run.send_signal(signal.SIGSTOP)
            run.send_signal(signal.SIGTERM)
            run.send_signal(second)
            run.send_signal(signal.SIGCONT)
            _, errors = run.communicate(timeout=60)
        assert (run.returncode, space.tokens) == (130, {})
        assert errors.endswith("Error: interrupted; the new token was deleted again\n")

    def test_what_is_done_is_told(self, shell, space, pipe) -> None:
        reader, writer = pipe
        os.set_blocking(writer.fileno(), False)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(writer.fileno(), b".")
        os.set_blocking(writer.fileno(), True)
        with shell.start(*CREATE, stderr=writer) as run:
            until(lambda: waiting_in(run.stdout))
            interrupt(run, signal.SIGINT)
            writer.close()
            told = reader.read().lstrip(".")
        assert (run.returncode, "Error" in told) == (0, False)
        assert f"created token {only(space).id}" in told

    def test_a_terminal_that_is_closed_leaves_no_token(self, shell, space, pipe) -> None:
        reader, writer = pipe
        with Terminal(shell, *CREATE_MUCH, stdout=writer) as terminal:
            until(lambda: waiting_in(reader))
            wait_for(terminal.process)
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

    def test_where_nothing_is_sent_it_says_so(self) -> None:
        import fcntl

        if not hasattr(fcntl, "F_SETPIPE_SZ"):
            pytest.skip("the size of a pipe cannot be set")
        reading, writing = os.pipe()
        size = fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 1)
        # Room for the first line and not for the second.
        os.write(writing, bytes(size - len("calling\n")))
        with subprocess.Popen([COMMAND, "permissions"], stdout=writing, stderr=subprocess.PIPE, text=True) as run:
            until(lambda: waiting_in(reading) == size)
            interrupt(run, signal.SIGINT)
            _, errors = run.communicate(timeout=60)
        os.close(reading)
        os.close(writing)
        assert (run.returncode, errors.strip()) == (130, "Error: interrupted; nothing was sent")


class TestRotate:
    @pytest.fixture
    def old(self, shell, space, tmp_path):
        (tmp_path / "stored").mkdir()
        shell(*CREATE, "--out", str(tmp_path / "stored" / "token"))
        space.requests.clear()
        return only(space)

    @pytest.fixture
    def file(self, old, tmp_path):  # noqa: ARG002 - the old secret is in it
        return tmp_path / "stored" / "token"

    def script(self, tmp_path, text) -> str:
        script = tmp_path / "a script"
        script.write_text(f"#!/bin/sh\n{text}\n")
        script.chmod(0o700)
        return f"'{script}' one 'two three'"

    def test_the_file_with_the_old_secret_is_replaced_at_once(self, shell, space, old, file) -> None:
        rotate = ("rotate", str(old.id), "ci", "-p", "fax", "--out", str(file))
        run = shell(*rotate)
        assert (run.returncode, space.requests) == (2, [])
        # Read while the new secret is in place and before the old token is gone: both must work.
        run = shell(*rotate, "--force")
        assert (run.returncode, run.stdout) == (0, "")
        assert old.id not in space.tokens
        assert file.read_text() == secret_of(space)
        assert [path.name for path in file.parent.iterdir()] == ["token"]
        assert run.stderr.startswith(f"created token {only(space).id}, name 'ci', permissions fax; ")
        assert run.stderr.endswith(f"the old token {old.id} is deleted\n")

    @pytest.mark.parametrize("form", ["env", "json"])
    def test_a_file_of_another_token_is_not_replaced(self, shell, space, old, tmp_path, form) -> None:
        file = tmp_path / "ci"
        assert shell(*CREATE, "--format", form, "--out", str(file)).returncode == 0
        [_, other] = space.tokens
        space.requests.clear()
        before = file.read_text()
        rotate = ("ci", "-p", "fax", "--format", form, "--out", "ci", "--force")
        run = shell("rotate", str(old.id), *rotate, cwd=tmp_path)
        assert (run.returncode, space.requests, file.read_text()) == (2, [], before)
        assert run.stderr == f"Error: ci holds token {other}, not {old.id}; nothing was sent\n"
        assert shell("rotate", str(other), *rotate, cwd=tmp_path).returncode == 0
        assert (other in space.tokens, secret_of_last(space) in file.read_text()) == (False, True)

    def test_what_is_no_regular_file_is_not_read(self, shell, space, old, tmp_path) -> None:
        os.mkfifo(tmp_path / "fifo")
        run = shell("rotate", str(old.id), "ci", "-p", "fax", "--out", str(tmp_path / "fifo"), "--force", timeout=20)
        assert (run.returncode, space.requests) == (2, [])
        assert run.stderr.endswith("is no regular file; name another\n")

    @pytest.mark.usefixtures("old")
    def test_an_old_token_that_is_not_there_is_told(self, shell, space, file) -> None:
        run = shell("rotate", UUID, "ci", "-p", "fax", "--out", str(file), "--force")
        [_, new] = space.tokens
        assert (run.returncode, file.read_text()) == (3, secret_of_last(space))
        assert run.stderr == (
            f"Error: rotate failed: token {new} is stored and works, but there is no token {UUID}: it was deleted "
            "before, or the ID is wrong and the one meant lives on\n"
        )

    def test_at_every_moment_a_stored_token_works(self, shell, space, old, file) -> None:
        stored = []

        class Watched(Minting):
            def __delitem__(self, key) -> None:
                stored.append((file.read_text(), key))
                super().__delitem__(key)

        space.tokens = Watched(lambda: stored.append((file.read_text(), None)))
        dict.__setitem__(space.tokens, old.id, old)
        assert shell("rotate", str(old.id), "ci", "-p", "fax", "--out", str(file), "--force").returncode == 0
        assert stored == [(old.token.get_secret_value(), None), (secret_of(space), old.id)]

    def test_a_command_gets_the_secret_on_its_standard_input_alone(self, shell, space, old, tmp_path) -> None:
        script = self.script(
            tmp_path, f'cd "{tmp_path}"; cat > in; printf "%s\\n" "$0" "$@" > arguments; env > environment; echo stored'
        )
        run = shell("rotate", str(old.id), "ci", "-p", "fax", "--exec", script)
        assert (run.returncode, run.stdout) == (0, "stored\n")
        assert (tmp_path / "in").read_text() == secret_of(space)
        assert (tmp_path / "arguments").read_text().splitlines()[1:] == ["one", "two three"]
        assert secret_of(space) not in (tmp_path / "environment").read_text()
        assert old.id not in space.tokens

    def test_a_command_may_want_another_format(self, shell, space, old, tmp_path) -> None:
        script = self.script(tmp_path, f'cat > "{tmp_path}/in"')
        shell("rotate", str(old.id), "ci", "-p", "fax", "--format", "json", "--exec", script)
        assert json.loads((tmp_path / "in").read_text())["token"] == secret_of(space)

    @pytest.mark.parametrize("fails", ["exit 7", "kill -TERM $$", "cat > /dev/null; exit 1"])
    def test_a_command_that_fails_leaves_the_old_token(self, shell, space, old, tmp_path, fails) -> None:
        run = shell("rotate", str(old.id), "ci", "-p", "fax", "--exec", self.script(tmp_path, fails))
        assert (run.returncode, run.stdout, list(space.tokens)) == (1, "", [old.id])
        assert re.fullmatch(
            r"Error: .* (exited with (7|1)|was ended by SIGTERM); the new token was deleted again, the old one stays\n",
            run.stderr,
        )

    def test_a_command_that_cannot_run_leaves_the_old_token(self, shell, space, old, tmp_path) -> None:
        script = tmp_path / "script"
        script.write_bytes(b"\x7fELF")
        script.chmod(0o700)
        run = shell("rotate", str(old.id), "ci", "-p", "fax", "--exec", str(script))
        assert (run.returncode, list(space.tokens)) == (1, [old.id])
        assert "Exec format error" in run.stderr

    @pytest.mark.parametrize("reads", ["exit 0", "head -c 9 > /dev/null", "exec 0<&-"])
    @pytest.mark.parametrize("form", [(), ("--format", "json")])
    def test_a_command_that_does_not_read_the_secret_has_not_stored_it(
        self, shell, space, old, tmp_path, reads, form
    ) -> None:
        # The long name is more than a pipe holds.
        name = "x" * 100_000 if form else "ci"
        run = shell("rotate", str(old.id), name, "-p", "fax", *form, "--exec", self.script(tmp_path, reads))
        assert (run.returncode, list(space.tokens)) == (1, [old.id])
        assert run.stderr.endswith("did not read all of it; the new token was deleted again, the old one stays\n")

    def test_what_was_quoted_for_a_shell_is_left_to_it(self, shell, space, old, tmp_path) -> None:
        command = f"sh -c '</dev/stdin cat >{tmp_path}/in'"
        assert shell("rotate", str(old.id), "ci", "-p", "fax", "--exec", command).returncode == 0
        assert (tmp_path / "in").read_text() == secret_of(space)

    def test_a_command_gets_more_than_a_pipe_holds(self, shell, space, old, tmp_path) -> None:
        script = self.script(tmp_path, f'cat > "{tmp_path}/in"')
        name = "x" * 100_000
        run = shell("rotate", str(old.id), name, "-p", "fax", "--format", "json", "--exec", script)
        assert (run.returncode, len(space.tokens)) == (0, 1)
        assert json.loads((tmp_path / "in").read_text())["name"] == name

    @pytest.mark.parametrize("command", ["", "no-such-command x", "'", "/", "cat > in", "cat 2>&1", "cat | cat"])
    def test_no_command_is_refused_before_minting(self, shell, space, old, command) -> None:
        run = shell("rotate", str(old.id), "ci", "-p", "fax", "--exec", command)
        assert (run.returncode, run.stdout, space.requests) == (2, "", [])
        assert re.fullmatch(r"Error: --exec .*\n", run.stderr)

    @pytest.mark.parametrize(
        "where", [(), ("--out", "a", "--exec", "cat"), ("--exec", "cat", "--force"), ("--out", "no/file")]
    )
    def test_one_place_is_needed(self, shell, space, old, where) -> None:
        run = shell("rotate", str(old.id), "ci", "-p", "fax", *where)
        assert (run.returncode, space.requests) == (2, [])
        assert "Error: " in run.stderr

    def test_a_file_that_cannot_be_replaced_leaves_the_old_token(self, shell, space, old, file) -> None:
        import shutil

        space.tokens = Minting(lambda: shutil.rmtree(file.parent))
        dict.__setitem__(space.tokens, old.id, old)
        run = shell("rotate", str(old.id), "ci", "-p", "fax", "--out", str(file), "--force")
        assert (run.returncode, list(space.tokens)) == (1, [old.id])
        assert "the old one stays" in run.stderr

    def test_a_refused_mint_changes_nothing(self, shell, space, old, file) -> None:
        space.fail_next(403)
        run = shell("rotate", str(old.id), "ci", "-p", "fax", "--out", str(file), "--force")
        assert (run.returncode, list(space.tokens)) == (1, [old.id])
        assert file.read_text() == old.token.get_secret_value()
        assert re.fullmatch(r"Error: create of token 'ci' failed: HTTP 403.*\n", run.stderr)

    def test_an_old_token_that_may_live_on_is_named(self, shell, space, old, file) -> None:
        def lock_out() -> None:
            space.api_token = SecretStr("changed")

        space.tokens = Minting(lock_out)
        run = shell("rotate", str(old.id), "ci", "-p", "fax", "--out", str(file), "--force")
        assert (run.returncode, file.read_text()) == (3, secret_of(space))
        assert re.fullmatch(
            rf"Error: rotate failed: token {only(space).id} is stored and works.*{old.id} may live on.*\n", run.stderr
        )

    def test_a_new_token_that_lives_on_is_named(self, shell, space, old, tmp_path) -> None:
        def lock_out() -> None:
            space.api_token = SecretStr("changed")

        space.tokens = Minting(lock_out)
        run = shell("rotate", str(old.id), "ci", "-p", "fax", "--exec", self.script(tmp_path, "exit 1"))
        new = only(space).id
        assert run.returncode == 3
        assert re.fullmatch(rf"Error: .*the new token {new} lives on.*'signalwire-tokens delete {new}'.*\n", run.stderr)

    def test_an_interruption_while_minting_is_an_unknown_outcome(self, shell, space, old, file) -> None:
        space.fail_next(timeout=True, applied=True)
        with shell.start("rotate", str(old.id), "ci", "-p", "fax", "--out", str(file), "--force") as run:
            until(lambda: space.requests)
            interrupt(run, signal.SIGINT)
            _, errors = run.communicate(timeout=60)
        assert (run.returncode, file.read_text()) == (3, old.token.get_secret_value())
        assert [path.name for path in file.parent.iterdir()] == ["token"]
        assert "may live" in errors.splitlines()[-1]

    @pytest.mark.parametrize("code", [0, 1])
    def test_ctrl_c_is_for_the_command_to_answer(self, shell, space, old, tmp_path, code) -> None:
        # A command that finishes in spite of Ctrl-C has stored the secret, and one that does not has not.
        script = self.script(
            tmp_path, f"trap 'cat > \"{tmp_path}/in\"; exit {code}' INT; echo ready; while :; do sleep 0.02; done"
        )
        with Terminal(shell, "rotate", str(old.id), "ci", "-p", "fax", "--exec", script) as terminal:
            terminal.read_until("ready")
            terminal.press_ctrl_c()
            assert terminal.wait()[0] == (130 if code else 0)
        assert "finishing first" in terminal.seen
        assert (old.id in space.tokens) is (code == 1)
        assert ((tmp_path / "in").read_text() == secret_of(space)) is (code == 0)

    @pytest.mark.parametrize("command", ["create", "rotate"])
    def test_a_command_that_ctrl_c_ends_is_told_by_the_signal(self, shell, space, old, command) -> None:
        first = ("rotate", str(old.id)) if command == "rotate" else ("create",)
        ready = "sh -c 'echo ready; exec sleep 600'"
        with Terminal(shell, *first, "ci", "-p", "fax", "--exec", ready) as terminal:
            terminal.read_until("ready")
            terminal.press_ctrl_c()
            code, seen = terminal.wait()
        assert (code, list(space.tokens)) == (130, [old.id])
        assert "sh was ended by SIGINT; the new token was deleted again" in seen

    @pytest.mark.skipif(not hasattr(signal, "SIGRTMIN"), reason="every signal has a name")
    def test_a_signal_without_a_name_is_numbered(self, shell, space, old) -> None:
        run = shell("rotate", str(old.id), "ci", "-p", "fax", "--exec", "sh -c 'kill -36 $$'")
        assert (run.returncode, list(space.tokens)) == (1, [old.id])
        assert "sh was ended by signal 36;" in run.stderr

    def test_an_interruption_before_the_secret_is_stored(self, shell, space, old, file) -> None:
        # Coverage would deadlock if it is interrupted between the command's two threads.
        shell.environment.pop("COVERAGE_PROCESS_CONFIG", None)
        terminals = []

        def stop_output() -> None:
            until(lambda: terminals)
            terminals[0].let_flow(flows=False)

        space.tokens = Minting(stop_output)
        dict.__setitem__(space.tokens, old.id, old)
        rotate = ("rotate", str(old.id), "ci", "-p", "fax", "--out", str(file), "--force")
        with Terminal(shell, *rotate) as terminal:
            terminals.append(terminal)
            until(lambda: len(space.tokens) == 2)
            # It has the answer, and the wheel cannot be cleared from the terminal.
            for _ in range(100):
                wait_for(terminal.process)
                threading.Event().wait(0.005)
            terminal.process.send_signal(signal.SIGTERM)
            terminal.let_flow(flows=True)
            code, seen = terminal.wait()
        assert (code, list(space.tokens), file.read_text()) == (130, [old.id], old.token.get_secret_value())
        assert "interrupted; the new token was deleted again, the old one stays" in seen

    def test_an_ignored_signal_is_ignored_by_the_command_too(self, shell, space, old, tmp_path) -> None:
        script = self.script(tmp_path, "kill -HUP $$; cat > /dev/null")
        arguments = ("rotate", str(old.id), "ci", "-p", "fax", "--exec", script)
        ignoring = ["sh", "-c", "trap '' HUP; exec \"$@\"", "sh", COMMAND, *arguments]
        assert subprocess.run(ignoring, env=shell.environment, stderr=subprocess.DEVNULL, timeout=60).returncode == 0
        assert old.id not in space.tokens

    def test_the_wheel_stands_still_while_the_command_has_the_terminal(self, shell, old, tmp_path) -> None:
        # Long enough for a wheel to turn.
        script = self.script(tmp_path, "echo ready; sleep 0.5; cat > /dev/null")
        with Terminal(shell, "rotate", str(old.id), "ci", "-p", "fax", "--exec", script) as terminal:
            code, seen = terminal.wait()
        assert (code, "rotating" in seen.partition("ready")[2]) == (0, False)

    def test_a_job_that_is_cancelled_ends_the_command(self, shell, space, old, tmp_path) -> None:
        script = self.script(tmp_path, "echo ready; exec sleep 600")
        with shell.start("rotate", str(old.id), "ci", "-p", "fax", "--exec", script) as run:
            assert run.stdout.readline() == "ready\n"
            interrupt(run, signal.SIGTERM)
            _, errors = run.communicate(timeout=60)
        assert (run.returncode, list(space.tokens)) == (130, [old.id])
        assert errors.endswith("was ended by SIGTERM; the new token was deleted again, the old one stays\n")

    def test_retries_are_told_as_they_come(self, shell, space, old) -> None:
        space.fail_next(429, headers={"Retry-After": "0"})
        run = shell("delete", str(old.id))
        assert (run.returncode, space.tokens) == (0, {})
        told, done = run.stderr.splitlines()
        assert "sending it again" in told
        assert done == f"deleted token {old.id}"


class TestUpdateAndDelete:
    def test_what_the_service_calls_a_permission_cannot_forge_a_line(self, shell, space) -> None:
        described = {"id": UUID, "name": "x", "token": "PT0", "permissions": ["fax", "\x1b[2K\nError: forged"]}
        space.fail_next(200, body=described)
        run = shell("update", UUID, "--name", "x")
        assert (run.returncode, run.stderr.count("\n"), "\x1b" in run.stderr) == (0, 1, False)

    def test_a_change_says_what_is_and_shows_no_secret(self, shell, space) -> None:
        shell(*CREATE)
        run = shell("update", str(only(space).id), "--name", "new", "-p", "chat")
        assert (run.returncode, run.stdout) == (0, "")
        assert run.stderr == f"changed token {only(space).id}, name 'new', permissions chat\n"
        assert shell("update", str(only(space).id), "--name", "newer").returncode == 0
        assert (only(space).name, only(space).permissions) == ("newer", ("chat",))

    def test_a_deleted_token_is_gone(self, shell, space) -> None:
        shell(*CREATE)
        token = only(space)
        run = shell("delete", str(token.id))
        assert (run.returncode, run.stdout, run.stderr) == (0, "", f"deleted token {token.id}\n")
        assert space.tokens == {}
        again = shell("delete", str(token.id))
        assert (again.returncode, again.stdout) == (1, "")
        assert "no such token" in again.stderr


def test_the_permissions_are_listed_without_credentials() -> None:
    run = subprocess.run([COMMAND, "permissions"], capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.split() == [*Permission]
    head = subprocess.run(["sh", "-c", '"$0" permissions | true', COMMAND], capture_output=True, text=True)
    assert head.stderr == ""


def test_help_has_examples_exit_codes_and_no_credentials() -> None:
    for command in ("create", "update", "rotate", "delete"):
        run = subprocess.run([COMMAND, command, "--help"], capture_output=True, text=True)
        assert (run.returncode, run.stderr) == (0, "")
        assert f"  signalwire-tokens {command} " in run.stdout
    run = subprocess.run([COMMAND, "--help"], capture_output=True, text=True)
    assert [
        re.split(" {2,}", line.strip())[0] for line in run.stdout.partition("Exit codes:\n")[2].splitlines()[:5]
    ] == [
        "0",
        "1",
        "2",
        "3",
        "130",
    ]
    assert subprocess.run([COMMAND, "--version"], capture_output=True, text=True).stdout.split()[-1] == __version__


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["signalwire-tokens", "cr"], ["create"]),
        (["signalwire-tokens", "create", "ci", "-p", "c"], ["calling", "chat"]),
        (["signalwire-tokens", "create", "ci", "--format", ""], ["text", "env", "json"]),
        (["signalwire-tokens", "create", "--for"], ["--force", "--format"]),
    ],
)
def test_bash_completes(words, expected) -> None:
    if subprocess.run(["bash", "-c", "((BASH_VERSINFO[0] * 100 + BASH_VERSINFO[1] >= 404))"]).returncode:
        pytest.skip("Click completes in bash 4.4 or newer")
    script = """
        source /dev/stdin <<< "$(_SIGNALWIRE_TOKENS_COMPLETE=bash_source signalwire-tokens)"
        COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
        _signalwire_tokens_completion signalwire-tokens
        printf '%s\\n' "${COMPREPLY[@]}"
    """
    environment = {**os.environ, "PATH": f"{Path(COMMAND).parent}{os.pathsep}{os.environ['PATH']}"}
    run = subprocess.run(["bash", "-c", script, "-", *words], env=environment, capture_output=True, text=True)
    assert (run.stdout.split(), run.stderr) == (expected, "")


def test_without_the_extra_it_says_how_to_get_it() -> None:
    code = "import sys; sys.modules['click'] = None; from signalwire_tokens.cli import main"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr == "signalwire-tokens needs the extra cli: pip install 'signalwire-tokens[cli]'\n"
