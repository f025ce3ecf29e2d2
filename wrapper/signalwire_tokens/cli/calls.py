"""A call of the library, and what becomes of it: a sentence and an exit code."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from signalwire_tokens import ConfigurationError, InvalidResponseError, ProjectTokens, SignalWireError

from . import signals
from .messages import INTERRUPTED, NOT_DONE, UNKNOWN, WRONG_USAGE, Failure, masked, printable, spinner
from .stores import Store, StoreError

if TYPE_CHECKING:
    from signalwire_tokens import ApiToken

_VARIABLES = ("SIGNALWIRE_SPACE", "SIGNALWIRE_PROJECT_ID", "SIGNALWIRE_API_TOKEN")


@contextlib.contextmanager
def client(doing: str, *, mints: bool = False) -> Iterator[tuple[ProjectTokens, Callable[[], None]]]:
    """Open a client from the environment, and translate what ends its calls. When it is left, the outcome stands.

    Yields the client, and what stops the wheel that turns meanwhile.
    """
    absent = [name for name in _VARIABLES if name not in os.environ]
    if absent:
        raise Failure(
            f"not set: {', '.join(absent)}; export the space, the project's ID and an API token with the management "
            "permission; nothing was sent",
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
    notes = [printable(note) for note in getattr(error, "__notes__", ())]
    if isinstance(error, KeyboardInterrupt):
        known = "; ".join(notes) or ("nothing was minted" if mints else "run it again to be sure")
        code = UNKNOWN if mints and notes else INTERRUPTED
        return Failure(f"interrupted while {doing}; {known}", code)
    if isinstance(error, (StoreError, signals.Interrupted)):
        code = INTERRUPTED if isinstance(error, signals.Interrupted) else NOT_DONE
        return Failure("; ".join([f"the secret could not be stored: {error}", *notes]), code)
    if not isinstance(error, SignalWireError):
        return Failure(masked(str(error)), WRONG_USAGE)
    if isinstance(error, InvalidResponseError) and error.token_id and error.token_id not in str(error):
        notes.append(f"its ID is {error.token_id}")
    code = WRONG_USAGE if isinstance(error, ConfigurationError) else NOT_DONE
    return Failure("; ".join([str(error), *notes]), UNKNOWN if error.may_have_applied else code)


def storing(store: Store, render: Callable[[ApiToken], bytes], stop: Callable[[], None]) -> Callable[[ApiToken], None]:
    """Return a `store` for the library, which deletes the token if this raises."""

    def keep(token: ApiToken) -> None:
        try:
            signals.fail()
            stop()
            store(render(token))
        except OSError as error:
            raise StoreError(error.strerror) from None
        finally:
            signals.defer()

    return keep
