"""Where a secret goes: a file, standard output, or a command.

Each is a context that is entered before a token is minted. It refuses a place where storing would fail, and yields the
function that stores. That raises OSError, StoreError or, after a signal, Interrupted.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

from . import signals
from .messages import WRONG_USAGE, Failure, masked

Store: TypeAlias = Callable[[bytes], None]

# More bytes than a token takes in any format, so that a full disk is noticed before a token is minted.
ROOM = 16 * 1024
_ACL = "system.posix_acl_access"


class StoreError(Exception):
    """The secret could not be stored."""


class Refused(Failure):
    """A secret could not be stored there, so no token is minted."""

    def __init__(self, message: str) -> None:
        super().__init__(message, WRONG_USAGE)


@contextlib.contextmanager
def file(path: Path, *, force: bool) -> Iterator[Store]:
    """Reserve a file and space for it, and yield a function that writes it: whole, synced and in one step."""
    with contextlib.ExitStack() as undo:
        try:
            # A file that has just been made must be known here, to be removed.
            with signals.held():
                replaced = _reserve(path, undo, force=force)
                descriptor, name = tempfile.mkstemp(prefix=".signalwire-tokens-", dir=path.parent)
                undo.callback(_quietly, Path(name).unlink)
            new = os.fdopen(descriptor, "wb")
            undo.callback(_quietly, new.close)
            new.write(bytes(ROOM))
            new.flush()
            os.fsync(descriptor)
            _let_in(descriptor, path, replaced)
        except OSError as error:
            raise Refused(f"{path} cannot be written, so nothing was sent: {error.strerror}") from None

        def store(content: bytes) -> None:
            signals.defer()
            new.seek(0)
            new.write(content)
            new.truncate()
            new.flush()
            os.fsync(descriptor)
            new.close()
            Path(name).replace(path)
            undo.pop_all()
            # Not every system can open or sync a directory; the file itself is synced.
            with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
                directory = os.open(path.parent, os.O_RDONLY)
                stack.callback(os.close, directory)
                os.fsync(directory)

        yield store


def _reserve(path: Path, undo: contextlib.ExitStack, *, force: bool) -> os.stat_result | None:
    """Create the file, so that nobody else does while the token is minted. Return the state of one that exists."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        replaced = path.lstat()
        if stat.S_ISLNK(replaced.st_mode):
            raise Refused(f"{path} is a symbolic link; name the file that it points to") from None
        if not stat.S_ISREG(replaced.st_mode):
            raise Refused(f"{path} is no regular file; name another") from None
        if not force:
            raise Refused(f"{path} exists; name another file, or replace it with --force") from None
        if _mount(path) != _mount(path.parent):
            raise Refused(
                f"{path} is mounted by itself, as containers do with single files, and cannot be replaced, so nothing "
                "was sent; mount the directory that it is in, or use --exec"
            ) from None
        return replaced
    undo.callback(_quietly, path.unlink)
    return None


def _quietly(clean_up: Callable[[], None]) -> None:
    # Its failure must not replace what is said of the token. To close a file is to try again what it could not write.
    with contextlib.suppress(OSError):
        clean_up()


def _mount(path: Path) -> str:
    """Return the mount that a path is on, if the system shows it, as Linux does."""
    with contextlib.suppress(OSError, AttributeError, LookupError), contextlib.ExitStack() as stack:
        descriptor = os.open(path, os.O_PATH | os.O_NOFOLLOW)
        stack.callback(os.close, descriptor)
        return str(re.findall("mnt_id:.*", Path(f"/proc/self/fdinfo/{descriptor}").read_text(encoding="utf-8"))[0])
    return ""


def _let_in(descriptor: int, path: Path, replaced: os.stat_result | None) -> None:
    """Keep the owner, group, mode and access list of a replaced file, or refuse. A new file is for its owner alone."""
    # Windows lacks some of these functions.
    with contextlib.suppress(AttributeError):
        if replaced is None:
            os.fchmod(descriptor, 0o600)
            return
        user, group, mode = replaced.st_uid, replaced.st_gid, stat.S_IMODE(replaced.st_mode)
        reason = ""
        try:
            os.fchown(descriptor, user, group)
            os.fchmod(descriptor, mode)
            _copy_acl(path, descriptor)
        except OSError as error:
            reason = str(error.strerror)
        new = os.fstat(descriptor)
        if reason or (new.st_uid, new.st_gid, stat.S_IMODE(new.st_mode)) != (user, group, mode):
            reason = reason or "the file system does not keep them"
            raise Refused(
                f"{path} has owner {user}, group {group} and mode {mode:04o}, which a file in its place cannot get "
                f"({reason}), so nothing was sent; run this as the owner or as root, or name another file"
            )


def _copy_acl(path: Path, descriptor: int) -> None:
    try:
        acl = os.getxattr(path, _ACL)
    except (OSError, AttributeError):
        return
    os.setxattr(descriptor, _ACL, acl)


@contextlib.contextmanager
def stdout(*, reveal: bool) -> Iterator[Store]:
    """Yield a function that writes to standard output. Refuse a terminal, unless `reveal` allows it."""
    if sys.stdout is None:
        raise Refused("standard output is closed, so nothing was sent; name a file with --out")
    terminal = sys.stdout.isatty()
    if terminal and not reveal:
        raise Refused(
            "standard output is a terminal, so nothing was sent; use --out FILE or a pipe, or show the secret with "
            "--reveal"
        )

    def store(content: bytes) -> None:
        # Not through sys.stdout, which would keep what it could not write and try again on exit.
        left = content + b"\n" if terminal and not content.endswith(b"\n") else content
        while left:
            left = left[os.write(sys.stdout.fileno(), left) :]

    yield store


def _split(line: str) -> list[str]:
    """Return the arguments of a command line, or refuse it if there is no such command."""
    try:
        arguments = shlex.split(line)
    except ValueError as error:
        raise Refused(f"--exec cannot be read ({error}), so nothing was sent") from None
    if not arguments:
        raise Refused("--exec names no command, so nothing was sent")
    if shutil.which(arguments[0]) is None:
        raise Refused(f"--exec names no command that can be found, so nothing was sent: {masked(arguments[0])}")
    # An argument with white space in it was quoted, so it is not meant for a shell.
    if any(re.fullmatch(r"\d*[<>|&;]\S*", argument) for argument in arguments):
        raise Refused(
            "--exec is run without a shell, and redirects and pipes are for one, so nothing was sent; write "
            "--exec \"sh -c '...'\""
        )
    return arguments


@contextlib.contextmanager
def command(line: str) -> Iterator[Store]:
    """Yield a function that passes the secret to a command on its standard input, without a shell."""
    arguments = _split(line)

    def store(content: bytes) -> None:
        # Only the command knows whether it has stored the secret, so it gets the signals.
        with signals.passed_on() as wait_for, contextlib.ExitStack() as stack:
            reading, writing = os.pipe()
            left = stack.enter_context(os.fdopen(reading, "rb"))
            stdin = os.fdopen(writing, "wb")

            def write() -> None:
                with contextlib.suppress(OSError), stdin:
                    stdin.write(content)

            try:
                # A pipe may be full before all is written, so a thread writes. It starts before the command, which
                # would otherwise read nothing, and might store that.
                threading.Thread(target=write, daemon=True).start()
            except RuntimeError as error:
                stdin.close()
                raise StoreError(f"{arguments[0]} was not started: {error}") from None
            try:
                child = subprocess.Popen(arguments, stdin=left)  # noqa: S603 - the user's own command
            except OSError as error:
                raise StoreError(f"{arguments[0]} cannot be run: {error.strerror}") from None
            code = wait_for(child)
            unread = left.read()
        if code:
            how = f"{arguments[0]} {ended(code)}"
            raise signals.Interrupted(how) if signals.came else StoreError(how)
        if unread:
            raise StoreError(f"{arguments[0]} did not read all of it")

    yield store


def ended(code: int) -> str:
    """Say how a child ended."""
    names = {number.value: number.name for number in signal.Signals}
    return f"exited with {code}" if code >= 0 else f"was ended by {names.get(-code, f'signal {-code}')}"
