"""An attempt, and the loop over attempts: coroutines that both clients share. Those of the sync client never wait."""

from __future__ import annotations

import contextlib
import functools
import logging
import platform
import threading
from typing import TYPE_CHECKING, Any, TypeVar, cast

import httpx

from . import __version__, _answers, _credentials, _retry, _transport
from .errors import APIConnectionError, APITimeoutError, ConfigurationError, SignalWireError
from .models import ApiToken

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine
    from contextlib import AbstractContextManager

    from ._operations import Call

T = TypeVar("T")


logger = logging.getLogger("signalwire_tokens")

# Parsing a URL costs as much as all the rest of a request.
_url = functools.lru_cache(httpx.URL)


def tell(
    level: int,
    text: str,
    call: Call[Any],
    token: object = None,
    *,
    request_id: str | None = None,
    leaving: BaseException | None = None,
) -> None:
    """Log a text, with fields for an inventory, and note it on what leaves, as applications disable loggers."""
    minted = token if isinstance(token, ApiToken) else None
    token_id = minted.id if minted else getattr(token, "token_id", None) or call.token_id
    fields = {
        "operation": call.operation,
        "token_id": str(token_id) if token_id else None,
        "token_name": minted.name if minted else call.name,
        "permissions": [*minted.permissions] if minted else call.request.get("json", {}).get("permissions"),
        "request_id": request_id or getattr(token, "request_id", None),
    }
    # Neither a handler that raises nor an exception that takes no note may cost a token or replace an interruption.
    with contextlib.suppress(Exception):
        logger.log(level, "%s", text, extra=fields)
    with contextlib.suppress(Exception):
        if leaving is not None:
            leaving.add_note(text)


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine of the sync client, which waits for nothing."""
    while True:
        try:
            coroutine.send(None)
        except StopIteration as done:
            return cast("T", done.value)


class Sender:
    """Makes the calls of a client, whichever way that waits."""

    def __init__(
        self,
        given: list[_credentials.Masked],
        transports: _transport.SyncTransports | _transport.AsyncTransports,
        *,
        timeout: float,
        max_retries: int,
        sleep: Callable[[float], Any],
        random: Callable[[], float],
        settle: Callable[[Awaitable[object]], Awaitable[None]],
        shield: Callable[[], AbstractContextManager[Any]],
    ) -> None:
        credentials = _credentials.resolve(*given)
        if isinstance(timeout, bool) or not isinstance(timeout, (int, float)):
            raise TypeError(f"timeout must be a number of seconds, not {type(timeout).__name__}")
        if not 0 < timeout < threading.TIMEOUT_MAX:
            raise ValueError("timeout must be a positive, finite number of seconds")
        if isinstance(max_retries, bool) or not isinstance(max_retries, int):
            raise TypeError(f"max_retries must be an int, not {type(max_retries).__name__}")
        if max_retries < 0:
            raise ValueError("max_retries must not be negative; 0 makes one attempt of every call")
        transports.reach(credentials.origin)
        self.transports = transports
        self.timeout = float(timeout)
        self.max_retries = max_retries
        self.settle = settle
        self.shield = shield
        self.about = f"(space={credentials.origin!r}, project_id={credentials.project_id!r})"
        self._origin = credentials.origin
        self._hidden = credentials.hidden
        self._sleep = sleep
        self._random = random
        agent = f"signalwire-tokens/{__version__} python/{platform.python_version()} httpx/{httpx.__version__}"
        fixed = {
            "Host": httpx.URL(credentials.origin).netloc.decode(),
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": agent,
        }

        @functools.lru_cache(maxsize=256)
        def headers(content_type: str, length: int) -> httpx.Headers:
            # A length even for no body: without it some transports announce a chunked one. As httpx.Headers, which
            # mask the credentials in their repr.
            kind = {"Content-Type": content_type} if content_type else {}
            authorization = {"Authorization": credentials.authorization.get_secret_value()}
            return httpx.Headers(fixed | kind | {"Content-Length": str(length)} | authorization)

        self._headers = headers

    def _attempt(self, call: Call[Any]) -> _transport.Attempt:
        described, content = call.request, call.body
        headers = self._headers(described.get("headers", {}).get("Content-Type", ""), len(content))
        url = _url(self._origin + described["url"])
        request = _transport.Request(described["method"], url, headers, content, self.timeout)
        return _transport.Attempt(request, self.timeout, _answers.MAX_BODY)

    async def call(self, call: Call[T]) -> T:
        """Make a call, with retries where the policy allows them; return its result or raise its error."""
        applied, number = False, 0
        while True:
            attempt, result, pause = self._attempt(call), None, None
            try:
                result = await self._outcome(call, attempt, applied=applied)
                if not isinstance(result, SignalWireError):
                    self._log_success(call, attempt, result)
                    return cast("T", result)
                applied = result.may_have_applied
                if number < self.max_retries:
                    pause = _retry.wait(result, number, self._random(), cut_off=attempt.cut_off)
                if pause is not None:
                    tell(logging.WARNING, f"{result}; retry in {pause:.1f} s", call, result)
                    waited = self._sleep(pause)
                    if waited is not None:
                        await waited
            except BaseException as interruption:
                _transport.forget_frames(interruption, attempt.outer)
                self._tell_interrupted(call, attempt, interruption, result, applied=applied)
                raise
            if pause is None:
                raise result
            number += 1

    async def _outcome(self, call: Call[Any], attempt: _transport.Attempt, *, applied: bool) -> Any:
        """Make an attempt; return the result, or the error to raise. `applied`: an earlier one may have worked."""
        if not await self.transports.exchange(attempt):
            problem = "this client is closed; make a new one"
            return _answers.failed(ConfigurationError, call, problem, "nothing was sent", applied=applied)
        if attempt.response is not None:
            return self._read(call, attempt, applied=applied)
        return _answers.failed(
            APITimeoutError if attempt.late else APIConnectionError,
            call,
            f"no response from {attempt.request.url.host}{' in time' if attempt.late else ''}: "
            + _answers.printable(attempt.reason, self._hidden),
            "" if attempt.sent else "nothing was sent",
            _transport.advice(attempt, self.transports.proxy),
            applied=attempt.sent or applied,
        )

    def _read(self, call: Call[Any], attempt: _transport.Attempt, *, applied: bool) -> Any:
        response = cast("httpx.Response", attempt.response)
        content = bytes(attempt.content)
        answer = _answers.Answer(response.status_code, response.headers, content, not attempt.cut_off, self._hidden)
        return _answers.outcome(call, answer, applied=applied)

    def _log_success(self, call: Call[Any], attempt: _transport.Attempt, result: object) -> None:
        # No text is built that nobody wants.
        if not logger.isEnabledFor(logging.INFO):
            return
        about, response = _answers.about(call), cast("httpx.Response", attempt.response)
        if isinstance(result, ApiToken):
            permissions = _answers.printable(",".join(result.permissions), self._hidden)
            about = f"token {result.id}, name {result.name!r}, permissions {permissions}"
        request_id = _answers.request_id(response.headers, self._hidden)
        text = f"{call.operation}: {about}, request id {request_id}"
        tell(logging.INFO, text, call, result, request_id=request_id)

    def _tell_interrupted(
        self,
        call: Call[Any],
        attempt: _transport.Attempt,
        interruption: BaseException,
        error: SignalWireError | None,
        *,
        applied: bool,
    ) -> None:
        """Say what may exist, or that nothing was done, when a cancellation or an exit cuts a call off."""
        applied = error.may_have_applied if isinstance(error, SignalWireError) else applied or attempt.sent
        came = None if attempt.response is None else self._read(call, attempt, applied=True)
        known = getattr(came, "id", None) or getattr(came, "token_id", None)
        nothing = "" if applied else _answers.UNTOUCHED[call.operation]
        problem = f"interrupted by {type(interruption).__name__}"
        text = _answers.sentence(call, problem, f"its ID is {known}" if known else nothing, applied=applied)
        tell(logging.WARNING if applied else logging.INFO, text, call, came, leaving=interruption)
