"""An attempt, and the loop over attempts: coroutines that both clients share. Those of the sync client never wait."""

import contextlib
import functools
import logging
import platform
import random
import threading
from collections.abc import Callable, Coroutine
from typing import Any, ClassVar, Generic, TypeVar, cast

import httpx

from . import _answers, _credentials, _retry, _transport
from ._attempt import Attempt, Request, forget_frames
from ._operations import Call
from .errors import SignalWireError
from .models import ApiToken, Id, Secret

__version__ = "0.1.0"

T = TypeVar("T")
Transport = TypeVar("Transport", httpx.BaseTransport, httpx.AsyncBaseTransport)

logger = logging.getLogger("signalwire_tokens")


def tell(
    level: int, text: str, call: Call[Any], about: object = None, *, leaving: Any = None, request_id: object = None
) -> None:
    """Log a text, with fields for an inventory; note it on what is leaving, too, as applications disable loggers."""
    token = about if isinstance(about, ApiToken) else None
    token_id = token.id if token else getattr(about, "token_id", None) or call.token_id
    fields = {
        "operation": call.operation,
        "token_id": token_id and str(token_id),
        "token_name": token.name if token else call.name,
        "permissions": [*token.permissions] if token else call.request.get("json", {}).get("permissions"),
        "request_id": request_id or getattr(about, "request_id", None),
    }
    # Neither a handler that raises nor an exception that takes no note may cost a token or replace an interruption.
    with contextlib.suppress(Exception):
        logger.log(level, "%s", text, extra=fields)
    with contextlib.suppress(Exception):
        leaving.add_note(text)


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine of the sync client, which waits for nothing."""
    while True:
        try:
            coroutine.send(None)
        except StopIteration as done:
            return cast("T", done.value)


class Sender(Generic[Transport]):
    """What makes the calls of a client, whichever way it waits."""

    # For the repr of a client whose arguments are refused.
    _about = "(...)"
    _random = staticmethod(random.random)
    # What only a client knows.
    _sleep: Callable[[float], Any]
    _transports_class: ClassVar[type[_transport.SyncTransports]]

    def __init__(
        self,
        space: str | None = None,
        project_id: Id | None = None,
        api_token: Secret | None = None,
        *,
        timeout: float = 30.0,
        max_retries: int = 2,
        transport: Transport | None = None,
    ) -> None:
        # Masked at once, in the very names, so that no traceback shows them.
        space, project_id, api_token = given = _credentials.masked(space, project_id, api_token)  # type: ignore[assignment]
        self._origin, project, authorization, self._hidden = _credentials.resolve(*given)
        if isinstance(timeout, bool) or not isinstance(timeout, (int, float)):
            raise TypeError(f"timeout must be a number of seconds, not {type(timeout).__name__}")
        if not 0 < timeout < threading.TIMEOUT_MAX:
            raise ValueError("timeout must be a positive, finite number of seconds")
        if isinstance(max_retries, bool) or not isinstance(max_retries, int):
            raise TypeError(f"max_retries must be an int, not {type(max_retries).__name__}")
        if max_retries < 0:
            raise ValueError("max_retries must not be negative; 0 makes one attempt of every call")
        self._transports = self._transports_class(transport, self._origin)
        self._about = f"(space={self._origin!r}, project_id={project!r})"
        self._timeout, self._max_retries = float(timeout), max_retries
        agent = f"signalwire-tokens/{__version__} python/{platform.python_version()} httpx/{httpx.__version__}"
        fixed = {"Host": httpx.URL(self._origin).netloc.decode(), "Accept": "application/json"}
        fixed |= {"Accept-Encoding": "identity", "User-Agent": agent}

        @functools.lru_cache(maxsize=256)
        def headers(length: int, **described: str) -> httpx.Headers:
            # A length even for no body: without it some transports announce a chunked one. As httpx.Headers, which
            # mask the credentials in their repr.
            credential = {"Authorization": authorization.get_secret_value()}
            return httpx.Headers({**fixed, **described, "Content-Length": str(length), **credential})

        self._headers = headers

    async def _call(self, call: Call[T]) -> T:
        """Make a call, with retries where the policy allows them; return its result or raise its error."""
        applied, number = False, 0
        while True:
            request = Request(call, self._origin, self._headers, self._timeout)
            attempt, pause = Attempt(call, request, self._hidden, applied=applied), None
            try:
                await self._transports.exchange(attempt)
                result = _answers.outcome(attempt)
                if not isinstance(result, SignalWireError):
                    _log_success(attempt, result)
                    return cast("T", result)
                if number < self._max_retries:
                    pause = _retry.wait(result, number, self._random(), cut_off=attempt.cut_off)
                if pause is not None:
                    tell(logging.WARNING, f"{result}; retry in {pause:.1f} s", call, result)
                    waited = self._sleep(pause)
                    if waited is not None:
                        await waited
            except BaseException as interruption:
                forget_frames(interruption, attempt.outer)
                _tell_interrupted(attempt, interruption)
                raise
            if pause is None:
                raise result
            applied, number = result.may_have_applied, number + 1

    def __repr__(self) -> str:
        return f"{type(self).__name__}{self._about}"


def _log_success(attempt: Attempt, token: ApiToken | None) -> None:
    # No text is built that nobody wants.
    if logger.isEnabledFor(logging.INFO):
        call, request_id, about = attempt.call, _answers.request_id(attempt), str(attempt.call.token_id)
        if token is not None:
            about = f"{token.id}, name {token.name!r}, permissions {_answers.printable(','.join(token.permissions))}"
        text = f"{call.operation}: token {about}, request id {request_id}"
        tell(logging.INFO, text, call, token, request_id=request_id)


def _tell_interrupted(attempt: Attempt, interruption: BaseException) -> None:
    """Say what may exist, or that nothing was done, when a cancellation or an exit cuts a call off."""
    came = _answers.outcome(attempt)
    applied = getattr(came, "may_have_applied", True)
    known = getattr(came, "id", None) or getattr(came, "token_id", None)
    advice = f"its ID is {known}" if known else "" if applied else _answers.EFFECTS[attempt.call.operation][1]
    problem = f"interrupted by {type(interruption).__name__}"
    text = str(_answers.failed(SignalWireError, attempt, problem, advice, applied=applied))
    tell(logging.WARNING if applied else logging.INFO, text, attempt.call, came, leaving=interruption)
