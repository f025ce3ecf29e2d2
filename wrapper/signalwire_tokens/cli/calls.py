"""A call of the library, and its outcome as a sentence and an exit code."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from signalwire_tokens import ConfigurationError, ProjectTokens, SignalWireError

from . import signals
from .messages import INTERRUPTED, NOT_DONE, UNKNOWN, WRONG_USAGE, Failure, masked, spinner
from .stores import Store, StoreError

if TYPE_CHECKING:
    from signalwire_tokens import ApiToken

# A note on an interruption if no new token exists. Only its start and end count, as a token's name may be any text.
_NOTHING = re.compile(r"^create of .*\(nothing was (minted|sent)\)( \[request id .*\])?$")
# The parts of the library's messages that are about Python's classes and arguments.
_FOR_PYTHON = re.compile(
    r"(store|the block) failed with \w+, and then |\w+Error: (?=delete of token)|; the order of the arguments is .*"
)
_VARIABLES = ("SIGNALWIRE_SPACE", "SIGNALWIRE_PROJECT_ID", "SIGNALWIRE_API_TOKEN")


@contextlib.contextmanager
def client(doing: str, *, mints: bool = False) -> Iterator[tuple[ProjectTokens, Callable[[], None]]]:
    """Open a client from the environment, and turn exceptions into failures. At its end, signals are ignored.

    Yields the client, and a function that stops the spinner.
    """
    absent = [name for name in _VARIABLES if not os.environ.get(name)]
    if absent:
        raise Failure(
            f"not set, or empty: {', '.join(absent)}; export the space, the project's ID and an API token with the "
            "management permission; nothing was sent",
            WRONG_USAGE,
        )
    try:
        with ProjectTokens() as tokens, spinner(doing) as stop:
            try:
                yield tokens, stop
            finally:
                signals.ignore()
    except (SignalWireError, StoreError, signals.Interrupted, TypeError, ValueError, KeyboardInterrupt) as error:
        raise _failure(error, doing, mints=mints) from None


def _failure(error: BaseException, doing: str, *, mints: bool) -> Failure:
    notes = getattr(error, "__notes__", [])
    if isinstance(error, KeyboardInterrupt):
        # Without a note from the library, the interruption came between two calls.
        known = "; ".join(notes) or f"interrupted while {doing}"
        unknown = mints and not all(map(_NOTHING.search, notes))
        return Failure(known, UNKNOWN if unknown else INTERRUPTED)
    if isinstance(error, (StoreError, signals.Interrupted)):
        code = INTERRUPTED if isinstance(error, signals.Interrupted) else NOT_DONE
        return Failure("; ".join([f"the secret could not be stored: {error}", *notes]), code)
    if not isinstance(error, SignalWireError):
        return Failure(_unsent(masked(str(error))), WRONG_USAGE)
    # Notes of other errors are for Python.
    said = _FOR_PYTHON.sub("", str(error))
    # The step after minting failed first, and deleting the token then failed, too.
    if isinstance(cause := error.__context__, (StoreError, signals.Interrupted)):
        said = f"the secret could not be stored: {cause}; {said}"
    elif isinstance(cause, Failure):
        said = f"{cause}; {said}"
    if isinstance(error, ConfigurationError):
        return Failure(_unsent(said), WRONG_USAGE)
    return Failure(said, UNKNOWN if error.may_have_applied else NOT_DONE)


def _unsent(said: str) -> str:
    return said if said.endswith("nothing was sent") else f"{said.rstrip('.')}; nothing was sent"


def storing(store: Store, render: Callable[[ApiToken], bytes], stop: Callable[[], None]) -> Callable[[ApiToken], None]:
    """Return a `store` for the library, which deletes the token if this raises."""

    def keep(token: ApiToken) -> None:
        try:
            signals.fail()
            stop()
            store(render(token))
        except OSError as error:
            raise StoreError(error.strerror or error) from None
        except ValueError:
            raise StoreError("it has characters that cannot be written") from None
        finally:
            signals.defer()

    return keep
