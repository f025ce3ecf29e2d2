"""The retry policy: how long to wait after a failure before the next attempt, or whether to give up."""

from .errors import APIConnectionError, SignalWireError

LONGEST_WAIT = 60.0


def wait(failure: SignalWireError, attempt: int, random: float, *, cut_off: bool) -> float | None:
    """Return the seconds to wait before the next attempt, or None to give up.

    `attempt` counts from 0. `random`, from 0 to 1, keeps clients that failed together from retrying together.
    `cut_off`: the response was not complete.
    """
    status = getattr(failure, "status_code", None)
    lost = isinstance(failure, APIConnectionError) or (cut_off and status is None)
    unsent = lost and not failure.may_have_applied
    # Only a create that is carried out twice does harm.
    repeatable = failure.operation != "create" and (lost or status in {502, 503, 504})
    asked = getattr(failure, "retry_after", None) or 0.0
    if not (unsent or status == 429 or repeatable) or asked > LONGEST_WAIT:
        return None
    return max(asked, random * 0.5 * 2.0 ** min(attempt, 4))
