"""Send a signal to a thread or a process that waits in a system call, which the signal then ends.

One that comes just before the call is seen only after it.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from signalwire_tokens import APITimeoutError

if TYPE_CHECKING:
    from collections.abc import Callable

# Taken while signals are sent: until then, what handles them must stay.
sending = threading.RLock()


def until(condition) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        threading.Event().wait(0.005)


def given_time(attempt: Callable[[float], None]) -> None:
    """Call with a short timeout, and with longer ones where the machine was too busy for it."""
    for timeout in (0.5, 2.0, 8.0):
        with contextlib.suppress(APITimeoutError):
            return attempt(timeout)
    return attempt(30.0)


def _state(pid) -> list[str]:
    """Return the state of a process's main thread, and how often it has gone to sleep."""
    status = Path(f"/proc/{pid}/status")
    return re.findall(r"State:\s+(\w)|ctxt_switches:\s+(\d+)", status.read_text()) if status.exists() else [("S", "")]


def waits(pid) -> bool:
    """Tell whether the main thread of a process waits for something else than Python's lock."""
    before = _state(pid)
    # Who waits for the lock looks for it more often.
    threading.Event().wait(0.02)
    return before[0][0] == "S" and _state(pid) == before


def interrupt(process, *numbers) -> None:
    """Send signals to a process, once it waits. Coverage deadlocks if its own bookkeeping is interrupted."""
    until(lambda: waits(process.pid))
    for number in numbers:
        process.send_signal(number)


def send(*numbers) -> None:
    """Send signals to the main thread of this process: from there at once, and from others once it waits."""
    main = threading.main_thread()
    if threading.current_thread() is not main:
        until(lambda: waits(os.getpid()))
    with sending:
        for number in numbers:
            signal.pthread_kill(main.ident, number)


def send_unnoticed(number) -> None:
    """Send a signal to this process that ends no system call of its main thread, like one that comes just before it."""
    until(lambda: waits(os.getpid()))
    # Python runs handlers in the main thread, whichever thread the system interrupts.
    signal.pthread_kill(threading.get_ident(), number)


@contextlib.contextmanager
def meanwhile(condition, action):
    """Do something once a condition holds, while the main thread goes on."""
    thread = threading.Thread(target=lambda: [until(condition), action()])
    thread.start()
    try:
        yield
    finally:
        thread.join()
