"""Ways to run the command: in this process, on files, pipes and terminals of the test's own, or in a process."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import NamedTuple

from interrupting import send, sending

from signalwire_tokens.cli import main

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
SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2")]


class Done(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


class Minting(dict):
    """The tokens of a space that calls back as it mints one, before the answer leaves."""

    def __init__(self, callback, *tokens) -> None:
        super().__init__({token.id: token for token in tokens})
        self.callback = callback

    def __setitem__(self, key, value) -> None:
        super().__setitem__(key, value)
        self.callback()


class Deleting(dict):
    """The tokens of a space that calls back as it deletes one, before the answer leaves."""

    def __init__(self, callback, *tokens) -> None:
        super().__init__({token.id: token for token in tokens})
        self.callback = callback

    def __delitem__(self, key) -> None:
        super().__delitem__(key)
        self.callback()


class Shell:
    """Runs the command with the environment of a space."""

    def __init__(self, environment) -> None:
        self.environment = environment

    def __call__(self, *arguments, environment=None, cwd=None, umask=None, stdout=None, stderr=None) -> Done:
        """Run the command in this process. What it prints goes to files, unless descriptors are given."""
        with contextlib.ExitStack() as stack:
            streams = [stack.enter_context(_stream(given)) for given in (stdout, stderr)]
            stack.enter_context(_as_if_alone({**self.environment, **(environment or {})}, cwd, umask))
            sys.argv, sys.stdout, sys.stderr = ["signalwire-tokens", *arguments], *streams
            code = None
            try:
                main()
            except SystemExit as leaving:
                code = leaving.code
            return Done(code, *(_content(stream) for stream in streams))

    def process(self, *arguments, command=(COMMAND,), environment=None, **options) -> subprocess.CompletedProcess:
        """Run the command in a process of its own."""
        options = {"capture_output": True, "text": True, "timeout": 60, **options}
        return subprocess.run([*command, *arguments], env={**self.environment, **(environment or {})}, **options)

    def start(self, *arguments, command=(COMMAND,), **options) -> subprocess.Popen:
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options}
        return subprocess.Popen([*command, *arguments], env=self.environment, **options)

    def on_terminal(self, *arguments, interrupt_at=None, **options) -> tuple[int, str]:
        """Run the command in this process on a terminal, and return its exit code and all that was shown.

        It is interrupted once `interrupt_at` is shown.
        """
        import pty

        master, slave = pty.openpty()
        seen = ""

        def read() -> None:
            nonlocal seen, interrupt_at
            with contextlib.suppress(OSError):  # Linux: the other side is closed
                while data := os.read(master, 1024):
                    seen += data.decode()
                    if interrupt_at and interrupt_at in seen:
                        interrupt_at = send(signal.SIGINT)

        reader = threading.Thread(target=read)
        reader.start()
        done = self(*arguments, **{"stdout": slave, "stderr": slave, **options})
        os.close(slave)
        reader.join()
        os.close(master)
        return done.returncode, seen


@contextlib.contextmanager
def _stream(descriptor):
    """Yield a stream that writes to a descriptor, or to a file."""
    with contextlib.ExitStack() as stack:
        # Closing fails where the command has failed to write.
        stack.enter_context(contextlib.suppress(BrokenPipeError))
        given = tempfile.TemporaryFile("w+") if descriptor is None else os.fdopen(os.dup(descriptor), "w")  # noqa: SIM115 - closed below
        yield stack.enter_context(given)


def _content(stream) -> str:
    # The command may have given it up.
    with contextlib.suppress(OSError):
        stream.seek(0)
        return stream.read()
    return ""


@contextlib.contextmanager
def _as_if_alone(environment, cwd, umask):
    """Change what the command and the test share, and put it back."""
    before = dict(os.environ), Path.cwd(), sys.argv, sys.stdout, sys.stderr
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(cwd or before[1])
    mask = os.umask(0o022 if umask is None else umask)
    try:
        yield
    finally:
        with sending:
            for number, handler in handlers.items():
                signal.signal(number, handler)
        os.umask(mask)
        variables, directory, sys.argv, sys.stdout, sys.stderr = before
        os.environ.clear()
        os.environ.update(variables)
        os.chdir(directory)


class Terminal:
    """Runs the command in a process on a pseudo-terminal of its own."""

    def __init__(self, shell, *arguments, environment=None, **options) -> None:
        import pty

        self.master, slave = pty.openpty()
        self.seen = ""
        self.process = subprocess.Popen(
            [sys.executable, "-c", IN_SESSION, COMMAND, *arguments],
            env={**shell.environment, **(environment or {})},
            **{"stdin": slave, "stdout": slave, "stderr": slave, **options},
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

    def press(self, key) -> None:
        os.write(self.master, key)

    def wait(self) -> tuple[int, str]:
        """Wait for the end and return the exit code and all that was shown."""
        try:
            while data := os.read(self.master, 1024):
                self.seen += data.decode()
        except OSError:  # Linux: the other side is closed
            pass
        return self.process.wait(60), self.seen


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
