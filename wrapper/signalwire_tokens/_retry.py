"""The retry policy: given a failure, how long to wait before the call is sent again, or to give up."""

from __future__ import annotations

from .errors import APIConnectionError, InvalidResponseError, SignalWireError

LONGEST_WAIT = 60.0


def wait(failure: SignalWireError, attempt: int, random: float) -> float | None:
    """Return the seconds to wait before the next attempt, or None if the call must not be sent again.

    `attempt` counts from 0. `random`, from 0 to 1, keeps clients that failed together from coming back together.
    """
    status = getattr(failure, "status_code", None)
    # The cause of an InvalidResponseError is what broke the answer off.
    broken = isinstance(failure, APIConnectionError) or (
        isinstance(failure, InvalidResponseError) and failure.__cause__
    )
    unsent = broken and not failure.may_have_applied
    # Only a create that is carried out twice does harm.
    repeatable = failure.operation != "create" and (broken or status in {502, 503, 504})
    asked = getattr(failure, "retry_after", None) or 0.0
    if not (unsent or status == 429 or repeatable) or asked > LONGEST_WAIT:
        return None
    return max(asked, random * 0.5 * 2.0 ** min(attempt, 4))
