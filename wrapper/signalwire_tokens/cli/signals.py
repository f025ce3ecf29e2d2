"""What a signal does to the command at each stage, so that no token is left behind.

At first it interrupts. While a secret is being stored, it makes storing fail, or waits, or goes to the command that
stores. After that it waits. Once the outcome is known it is ignored, as the exit code must say what happened.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    # Imported only where it is needed: until this module is loaded, Ctrl-C ends in a traceback.
    import subprocess
    from collections.abc import Callable, Iterator
    from types import FrameType


def _there(*names: str) -> list[signal.Signals]:
    # Windows has few of the signals.
    return [number for number in signal.Signals if number.name in names]


# Ctrl-C, a job that is cancelled, a terminal that is closed.
_ENDINGS = _there("SIGINT", "SIGTERM", "SIGHUP")
_PASSED_ON = [*_ENDINGS, *_there("SIGQUIT", "SIGUSR1", "SIGUSR2")]

# The signals that arrived, in order.
came: list[int] = []


# Like KeyboardInterrupt, but an Exception, so that the library deletes the token.
class Interrupted(Exception):  # noqa: N818
    """The storing of a secret was interrupted."""

    def __init__(self, how: str = "interrupted") -> None:
        super().__init__(how)


def _set(handler: Callable[[int, FrameType | None], None] | signal.Handlers, numbers: list[signal.Signals]) -> None:
    for number in numbers:
        # An ignored signal stays ignored, as nohup wants it, also for a command that is run.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)


def interrupt() -> None:
    """Make a signal raise KeyboardInterrupt. This begins a run of the command."""
    came.clear()
    # If SIGCHLD is ignored, the system does not report how a child ended.
    for number in _there("SIGCHLD"):
        signal.signal(number, signal.SIG_DFL)
    _set(_interrupt, _ENDINGS)


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Make a signal wait for the end of the block, and interrupt there."""
    _set(lambda number, _frame: came.append(number), _ENDINGS)
    try:
        yield
    finally:
        _set(_interrupt, _ENDINGS)
    if came:
        _interrupt(came.pop(), None)


def fail() -> None:
    """Make a signal raise Interrupted: the secret that is being stored counts as not stored."""
    _set(_fail, _ENDINGS)


def defer() -> None:
    """Make a signal wait: an interruption now would leave a token behind."""
    _set(_defer, _ENDINGS)


def ignore() -> None:
    """Ignore signals from here on: the outcome is known, and a signal could still end Python while it exits."""
    _set(signal.SIG_IGN, [number for number in _PASSED_ON if signal.getsignal(number) is not signal.SIG_DFL])


@contextlib.contextmanager
def passed_on() -> Iterator[Callable[[subprocess.Popen[bytes]], int]]:
    """Pass signals on to a child, for which the yielded function waits. After the block, signals wait."""
    children: list[subprocess.Popen[bytes]] = []
    early: list[int] = []

    def pass_on(number: int, _frame: FrameType | None) -> None:
        came.append(number)
        # A key pressed on the terminal reaches the child by itself, and a second signal could mean something else.
        if not (number in _there("SIGINT", "SIGQUIT") and _is_in_foreground()):
            send(number) if children else early.append(number)

    def send(number: int) -> None:
        # A child that runs as another user cannot be signalled, and Windows can send few signals.
        with contextlib.suppress(OSError, ValueError):
            children[0].send_signal(number)

    def wait_for(child: subprocess.Popen[bytes]) -> int:
        from subprocess import TimeoutExpired  # noqa: PLC0415 - slow, and known where there is a child

        children.append(child)
        while early:
            send(early.pop(0))
        while child.poll() is None:
            # Python handles a signal that arrives just before a system call, and on Windows any, only after that call.
            with contextlib.suppress(TimeoutExpired):
                child.wait(timeout=0.5)
        return child.returncode

    _set(pass_on, _PASSED_ON)
    try:
        yield wait_for
    finally:
        _set(_defer, _PASSED_ON)


def _is_in_foreground() -> bool:
    """Return whether Ctrl-C on the terminal reaches this process, and so its child."""
    with contextlib.suppress(OSError, AttributeError), contextlib.ExitStack() as stack:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
        stack.callback(os.close, terminal)
        return os.tcgetpgrp(terminal) == os.getpgrp()
    return False


def _interrupt(number: int, _frame: FrameType | None) -> None:
    # A second signal must not interrupt the cleanup.
    defer()
    came.append(number)
    # The library's note on an interruption names the class, so the class has the signal's name.
    raise type(signal.Signals(number).name, (KeyboardInterrupt,), {})


def _fail(number: int, _frame: FrameType | None) -> None:
    defer()
    came.append(number)
    raise Interrupted


def _defer(number: int, _frame: FrameType | None) -> None:
    came.append(number)
    # Straight to the descriptor: the stream may be in use by what was interrupted.
    with contextlib.suppress(OSError, AttributeError):
        os.write(sys.stderr.fileno(), b"\nfinishing first, so that no token is left behind\n")
