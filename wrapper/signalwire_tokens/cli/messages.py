"""What the command says: on standard error, in words for a shell, with no secret and nothing that moves the cursor."""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import re
import sys
import threading
from collections.abc import Callable, Iterator

DONE, NOT_DONE, WRONG_USAGE, UNKNOWN, INTERRUPTED = 0, 1, 2, 3, 130

# No argument that is repeated for orientation is longer, and every secret is.
_SHOWN = 24
_CLEAR_LINE = "\r\x1b[K"


class Failure(Exception):  # noqa: N818 - the end of the command, not of a call
    """What ends the command: one sentence, and an exit code."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


def printable(text: str, keep: str = "") -> str:
    """Escape what a terminal would act on or not show: control and bidirectional characters, bytes that are no text."""
    return "".join(
        char if char.isprintable() or char in keep else char.encode("unicode_escape").decode() for char in text
    )


def masked(text: str) -> str:
    """Leave out of a message each argument that may be a secret in the wrong place."""
    for word in sys.argv[1:]:
        # Whole, as --option=VALUE and as -oVALUE.
        for value in map(str.strip, (word, word.partition("=")[2], word[2:])):
            # A path and a command line are none.
            long = len(value) > _SHOWN and not re.search(r"[\s/]", value)
            if long or (value and value == os.environ.get("SIGNALWIRE_API_TOKEN")):
                text = text.replace(value, "...").replace(repr(value)[1:-1], "...")
    return text


def write(text: str) -> None:
    # What was done is done, whether or not somebody reads of it; a closed stream is None.
    with contextlib.suppress(OSError, AttributeError):
        sys.stderr.write(text)
        sys.stderr.flush()


def _spins() -> bool:
    quiet = any(os.environ.get(name) for name in ("NO_COLOR", "CI")) or os.environ.get("TERM") == "dumb"
    return sys.stderr is not None and sys.stderr.isatty() and not quiet


@contextlib.contextmanager
def spinner(label: str) -> Iterator[Callable[[], None]]:
    """Turn a wheel on a terminal until the end, or until what is yielded is called."""
    done = threading.Event()

    def spin() -> None:
        frames = itertools.cycle("|/-\\")
        while not done.wait(0.1):
            write(f"{_CLEAR_LINE}{next(frames)} {label}")
        write(_CLEAR_LINE)

    def stop() -> None:
        done.set()
        if wheel.ident:
            wheel.join()

    wheel = threading.Thread(target=spin, daemon=True)
    if _spins():
        # It is a decoration, and no token depends on it.
        with contextlib.suppress(RuntimeError):
            wheel.start()
    try:
        yield stop
    finally:
        stop()


class _Lines(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        # What a call or an interruption leaves behind is told once, at the end.
        if hasattr(record, "retry_in"):
            write(f"{_CLEAR_LINE if _spins() else ''}{printable(record.getMessage())}\n")


@contextlib.contextmanager
def log_lines() -> Iterator[None]:
    """Tell of retries as they come."""
    logger, lines = logging.getLogger("signalwire_tokens"), _Lines(logging.WARNING)
    logger.addHandler(lines)
    try:
        yield
    finally:
        logger.removeHandler(lines)
