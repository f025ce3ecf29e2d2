"""The messages of the command: on standard error, in words for a shell, without secrets and control characters."""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import queue
import re
import sys
import threading
from collections.abc import Callable, Iterator

DONE, NOT_DONE, WRONG_USAGE, UNKNOWN, INTERRUPTED = 0, 1, 2, 3, 130

# Arguments that a message should repeat are not longer, and every secret is.
_SHOWN = 24
_CLEAR_LINE = "\r\x1b[K"


class Failure(Exception):  # noqa: N818 - the end of the command, not of a call
    """Ends the command with one sentence and an exit code."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


def printable(text: str, keep: str = "") -> str:
    """Escape what a terminal would act on or not show: control and bidirectional characters, and invalid bytes."""
    return "".join(
        char if char.isprintable() or char in keep else char.encode("unicode_escape").decode() for char in text
    )


def masked(text: str) -> str:
    """Remove from a message each argument that may be a secret in the wrong place."""
    for word in sys.argv[1:]:
        # The whole word, the VALUE of --option=VALUE, and that of -oVALUE.
        for value in map(str.strip, (word, word.partition("=")[2], word[2:])):
            # A path or a command line is no secret.
            long = len(value) > _SHOWN and not re.search(r"[\s/]", value)
            if long or (value and value == os.environ.get("SIGNALWIRE_API_TOKEN")):
                text = text.replace(value, "...").replace(repr(value)[1:-1], "...")
    return text


def write(text: str) -> None:
    # A message that cannot be written must not change the outcome. A closed stream is None.
    with contextlib.suppress(OSError, AttributeError):
        sys.stderr.write(text)
        sys.stderr.flush()


def _spins() -> bool:
    quiet = any(os.environ.get(name) for name in ("NO_COLOR", "CI")) or os.environ.get("TERM") == "dumb"
    return sys.stderr is not None and sys.stderr.isatty() and not quiet


@contextlib.contextmanager
def spinner(label: str) -> Iterator[Callable[[], None]]:
    """Show a spinner on a terminal until the end, or until the yielded function is called."""
    # Not an Event, in which Ctrl-C may leave a lock taken.
    done = queue.SimpleQueue[None]()

    def spin() -> None:
        frames = itertools.cycle("|/-\\")
        while True:
            with contextlib.suppress(queue.Empty):
                done.get(timeout=0.1)
                break
            write(f"{_CLEAR_LINE}{next(frames)} {label}")
        write(_CLEAR_LINE)

    def stop() -> None:
        done.put(None)
        if wheel.ident:
            wheel.join()

    wheel = threading.Thread(target=spin, daemon=True)
    if _spins():
        # The spinner is only decoration: if it cannot start, the call is made all the same.
        with contextlib.suppress(RuntimeError):
            wheel.start()
    try:
        yield stop
    finally:
        stop()


class _Lines(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        # Only retries: the outcome of a call or an interruption is reported once, at the end.
        if hasattr(record, "retry_in"):
            write(f"{_CLEAR_LINE if _spins() else ''}{printable(record.getMessage())}\n")


@contextlib.contextmanager
def log_lines() -> Iterator[None]:
    """Print a line for each retry when it happens."""
    logger, lines = logging.getLogger("signalwire_tokens"), _Lines(logging.WARNING)
    logger.addHandler(lines)
    try:
        yield
    finally:
        logger.removeHandler(lines)
