"""The loop over the attempts of a call: coroutines that both clients share. In the sync client, they never suspend."""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import random
from collections.abc import Callable, Coroutine
from typing import Any, ClassVar, Generic, TypeVar

import httpx

from . import _answers, _credentials, _retry, _transport
from ._attempt import Attempt, Request, links
from ._operations import Call, T
from .errors import ConfigurationError, SignalWireError
from .models import ApiToken, Id, Secret

__version__ = "0.1.0"

Transport = TypeVar("Transport", httpx.BaseTransport, httpx.AsyncBaseTransport)

logger = logging.getLogger("signalwire_tokens")


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine of the sync client, which never suspends."""
    while True:
        try:
            coroutine.send(None)
        except StopIteration as done:
            # No cast(): Python could raise KeyboardInterrupt at its call, and nobody would know of the token.
            return done.value  # type: ignore[no-any-return]


class Sender(Generic[Transport]):
    """Makes the calls of a client, sync or async."""

    _random = staticmethod(random.random)
    # Set by each client.
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
        # Masked at once, under the same names, so that no traceback shows the values.
        space, project_id, api_token = given = _credentials.masked(space, project_id, api_token)  # type: ignore[assignment]
        self._origin, self._project, basic, self._hidden = _credentials.resolve(*given)
        for name, value, kind, least in (("timeout", timeout, float, 1e-9), ("max_retries", max_retries, int, 0)):
            if isinstance(value, bool) or not isinstance(value, (kind, int)):
                raise TypeError(f"{name} must be a {'whole ' * (kind is int)}number, not {type(value).__name__}")
            if not least <= value < 1e9:
                raise ValueError(f"{name} must be {'above' if least else 'at least'} 0 and below 1e9, not {value}")
        self._transports = self._transports_class(transport, self._origin)
        self._about = f"(space={self._origin!r}, project_id={self._project!r})"
        self._timeout, self._max_retries = float(timeout), max_retries
        own = {"Host": self._origin.partition("//")[2], "Accept": "application/json", "Accept-Encoding": "identity"}
        own["User-Agent"] = f"signalwire-tokens/{__version__} httpx/{httpx.__version__}"

        @functools.lru_cache(maxsize=256)
        def headers(length: int, **described: str) -> httpx.Headers:
            # Without a Content-Length, even of 0, some transports announce a chunked body. httpx.Headers mask the
            # credentials in their repr.
            described |= {"Content-Length": str(length), "Authorization": basic.get_secret_value()}
            return httpx.Headers({**own, **described})

        self._headers = headers

    async def _call(self, call: Call[T], *, begun: bool = False) -> T:
        """Make a call, with retries where the policy allows them; return its result or raise its error.

        `begun`: it is a later part of a larger step, and is made even if the client has been closed meanwhile.
        """
        if self._transports.closed and not begun:
            raise ConfigurationError("this client is closed; nothing was sent", operation=call.operation)
        # The last value that no text may show is the API token, unless that is as short as a word.
        if self._hidden[-1].get_secret_value() in (call.name or ""):
            raise ValueError("the API token is in the name, which is shown and logged; nothing was sent")
        attempt, applied, retries = None, False, -1
        try:
            while True:
                request = Request(call, self._origin, self._headers, self._timeout)
                attempt, retries = Attempt(call, request, self._hidden, applied=applied), retries + 1
                await self._transports.exchange(attempt)
                result = _answers.outcome(attempt)
                if not isinstance(result, SignalWireError):
                    self._log_success(attempt, result)
                    # The type is what the call's `read` returns, which the type checker cannot know.
                    return result  # type: ignore[return-value]
                applied = result.may_have_applied
                pause = _retry.wait(result, retries, self._random(), cut_off=attempt.cut_off)
                if pause is None or retries == self._max_retries:
                    if applied:
                        self._log(logging.WARNING, str(result), call, result)
                    break
                self._log(logging.WARNING, f"{result}; retry in {pause:.1f} s", call, result, retry_in=pause)
                if (waited := self._sleep(pause)) is not None:
                    await waited
        except BaseException as interruption:
            if attempt:
                self._log_interrupted(attempt, interruption)
            raise
        raise result

    def _log_success(self, attempt: Attempt, token: ApiToken | None) -> None:
        # A text that is not logged is not built, to save time.
        if logger.isEnabledFor(logging.INFO):
            call, request_id = attempt.call, _answers.request_id(attempt)
            # As JSON: the `__str__` or `__repr__` of a subclass of str may return another text or raise.
            asked = "".join(f", {key} {json.dumps(value):.300}" for key, value in call.request.get("json", {}).items())
            text = f"{call.operation}: token {token.id if token else call.token_id}{asked}, request id {request_id}"
            self._log(logging.INFO, text, call, token, request_id=request_id)

    def _log_interrupted(self, attempt: Attempt, interruption: BaseException) -> None:
        """Say what may exist, or that nothing was done, when a cancellation or an exit cuts a call off."""
        for link in links(interruption, attempt.outer):
            # The frames of the HTTP library hold the credentials.
            with contextlib.suppress(Exception):
                link.__traceback__ = None
        came = _answers.outcome(attempt)
        applied = getattr(came, "may_have_applied", True)
        known = getattr(came, "id", None) or getattr(came, "token_id", None)
        problem = f"interrupted by {type(interruption).__name__}"
        text = str(_answers.failed(SignalWireError, attempt, problem, known and f"its ID is {known}", applied=applied))
        self._log(logging.WARNING if applied else logging.DEBUG, text, attempt.call, came, leaving=interruption)

    def _log(self, level: int, text: str, call: Call[Any], about: Any = None, leaving: Any = None, **more: Any) -> None:
        """Log a text with fields for an inventory. Note it also on the exception `leaving`, as loggers may be off."""
        token_id = getattr(about, "id", None) or getattr(about, "token_id", None) or call.token_id
        fields: dict[str, Any] = {"operation": call.operation, "project_id": self._project, "token_name": call.name}
        fields |= {name: call.request.get("json", {}).get(name) for name in ("permissions", "subproject_id")}
        fields |= {"token_id": token_id and str(token_id), "request_id": getattr(about, "request_id", None), **more}
        # A handler that raises, or an exception that takes no note, must not lose a token or replace an interruption.
        with contextlib.suppress(Exception):
            # Logging refuses a record with a field whose name a record factory of the application has used.
            taken = vars(logger.makeRecord(logger.name, level, "", 0, text, (), None))
            logger.log(level, "%s", text, extra={name: fields[name] for name in fields if name not in taken})
        with contextlib.suppress(Exception):
            leaving.add_note(text)

    def __repr__(self) -> str:
        # `_about` is missing if the arguments were refused.
        return f"{type(self).__name__}{getattr(self, '_about', '(...)')}"
