"""The retry policy: given a failure, how long to wait before the call is sent again, or to give up."""

from __future__ import annotations

from .errors import APIConnectionError, InvalidResponseError, SignalWireError

LONGEST_WAIT = 60.0
AMBIGUOUS_STATUSES = {502, 503, 504}


def wait(failure: SignalWireError, attempt: int, *, repeatable: bool, random: float) -> float | None:
    """Return the seconds to wait before the next attempt, or None if the call must not be sent again.

    Args:
        failure: What the attempt came to.
        attempt: How many attempts came before it.
        repeatable: Whether the call does no harm if it is carried out twice.
        random: A number from 0 to 1: clients that failed together must not come back together.
    """
    status = getattr(failure, "status_code", None)
    # Of an InvalidResponseError, the cause is what broke the answer off.
    broken = isinstance(failure, APIConnectionError) or (
        isinstance(failure, InvalidResponseError) and failure.__cause__ is not None
    )
    unsent = broken and not failure.may_have_applied
    if not (unsent or status == 429 or (repeatable and (broken or status in AMBIGUOUS_STATUSES))):
        return None
    asked = getattr(failure, "retry_after", None) or 0.0
    backoff = random * min(8.0, 0.5 * 2**attempt)
    return max(asked, backoff) if asked <= LONGEST_WAIT else None
