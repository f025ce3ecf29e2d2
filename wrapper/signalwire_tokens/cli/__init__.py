"""The command `signalwire-tokens`: mint, change, rotate and revoke API tokens from a shell (extra `cli`)."""

from __future__ import annotations

import contextlib
import sys

from . import signals

__all__ = ["main"]


def main() -> None:
    """Run the command `signalwire-tokens` with the arguments of this process, and exit.

    Example:
        >>> main()
    """
    # Before anything that takes time, so that Ctrl-C never ends in a traceback.
    signals.interrupt()
    code, said = 130, "Error: interrupted; nothing was sent\n"
    with contextlib.suppress(KeyboardInterrupt):
        try:
            from .commands import execute  # noqa: PLC0415 - slow, and Ctrl-C may come meanwhile

            code, said = execute()
        except ModuleNotFoundError as error:
            if error.name != "click":
                raise
            code, said = 2, "signalwire-tokens needs the extra cli: pip install 'signalwire-tokens[cli]'\n"
    signals.ignore()
    # The exit code says what was done, even if the message cannot be written. A closed stream is None.
    with contextlib.suppress(OSError, AttributeError):
        sys.stderr.write(said)
        sys.stderr.flush()
    sys.exit(code)
