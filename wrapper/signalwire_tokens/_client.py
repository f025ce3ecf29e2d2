"""The two clients. They share all that is not I/O and differ only where they send, wait and store."""

from __future__ import annotations

import contextlib
import functools
import inspect
import logging
import os
import platform
import random
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager
from typing import Any, Generic, Self, TypeAlias, TypeVar, cast
from uuid import UUID

import anyio
import anyio.lowlevel
import anyio.to_thread
import httpx

from . import _credentials, _operations, _retry, _transport
from .errors import (
    APIConnectionError,
    APITimeoutError,
    ConfigurationError,
    NotFoundError,
    RotationError,
    SignalWireError,
)
from .models import ApiToken, Permission, SecretStr

__version__ = "0.1.0"

Id: TypeAlias = UUID | str
Permissions: TypeAlias = Iterable[Permission | str]
Store: TypeAlias = Callable[[ApiToken], object]

T = TypeVar("T")
HttpClient = TypeVar("HttpClient", httpx.Client, httpx.AsyncClient)

logger = logging.getLogger("signalwire_tokens")

# The async calls that are under way at once; others wait. Pools, those of httpx and aiohttp too, take 100 by default.
IN_FLIGHT = 64

# Parsing a URL costs as much as all the rest of a request.
_url = functools.lru_cache(httpx.URL)


def _log(level: int, message: str, *args: object) -> None:
    # A handler that raises must not cost a token, nor take the place of an interruption.
    with contextlib.suppress(Exception):
        logger.log(level, message, *args)


class _Attempt:
    """One sending of a call, and what came of it."""

    def __init__(self, call: _operations.Call[Any], origin: str, headers: httpx.Headers, timeout: float) -> None:
        self._call = call
        self._headers = headers
        self._content = bytearray()
        self._late = False
        # What the caller is handling is his own; his exception ends up in the chain of ours.
        self.outer = sys.exc_info()[1]
        self.deadline = _transport.Deadline(timeout)
        content = call.body
        self.body = _transport.Body(content)
        self.response: httpx.Response | None = None
        self.request = httpx.Request(
            call.request["method"],
            _url(origin + call.request["url"]),
            headers=headers,
            stream=self.body,
            # A request built by hand carries no timeout of its own.
            extensions={"timeout": dict.fromkeys(("connect", "read", "write", "pool"), self.deadline)},
        )
        # A length even for no body: without it some transports announce a chunked one.
        self.request.headers.update({**call.request.get("headers", {}), "Content-Length": str(len(content))})

    def feed(self, chunk: bytes) -> bool:
        """Keep a piece of the answer's body and tell whether more is wanted."""
        self._content += chunk[: _operations.MAX_BODY - len(self._content)]
        return len(self._content) < _operations.MAX_BODY

    def failed(self, failure: Exception) -> Exception:
        """Return what ended the transfer early, made harmless."""
        self._late = _transport.is_timeout(failure)
        if isinstance(failure, httpx.HTTPStatusError) and getattr(failure, "_request", None) is self.request:
            # Raised by a hook of the user's own client, which may have read the body: an answer came all the same.
            self.response = failure.response
            self.feed(getattr(failure.response, "_content", b""))
        return _transport.harmless(failure, self.outer, sent=self.body.handed_over)

    def outcome(self, failure: Exception | None, *, applied: bool) -> Any:
        """Return the result of the call, or the error to raise. `applied`: an earlier attempt may have worked."""
        result: Any
        if self.response is not None:
            status, headers = self.response.status_code, self.response.headers
            secret = SecretStr(self._headers["Authorization"])
            answer = _operations.Answer(status, headers, bytes(self._content), secret, whole=failure is None)
            result = _operations.outcome(self._call, answer, applied=applied)
        else:
            result = _operations.failed(
                self._call,
                APITimeoutError if self._late else APIConnectionError,
                f"no answer from {self.request.url.host}{' in time' if self._late else ''}: "
                + _transport.reason(failure, self.outer),
                "" if self.body.handed_over else "nothing was sent",
                applied=self.body.handed_over or applied,
            )
        if isinstance(result, SignalWireError):
            result.__cause__ = failure
        return result

    def log(self, result: object) -> None:
        """Log a success."""
        about, response = self._call.subject, cast("httpx.Response", self.response)
        if isinstance(result, ApiToken):
            permissions = _operations.printable(",".join(result.permissions))
            about = f"token {result.id}, name {result.name!r}, permissions {permissions}"
        _log(
            logging.INFO, "%s: %s, request id %s", self._call.operation, about, _operations.request_id(response.headers)
        )

    def interrupted(self, interruption: BaseException) -> str:
        """Say what may live on when a cancellation or an exit cuts the call off."""
        came = None if self.response is None else self.outcome(None, applied=True)
        known = getattr(came, "id", None) or getattr(came, "token_id", None)
        problem = f"interrupted by {type(interruption).__name__}"
        advice = f"its ID is {known}" if known else ""
        return str(_operations.failed(self._call, SignalWireError, problem, advice, applied=True))


async def _settled(value: Any) -> Any:
    # Twice, as a coroutine function may forget to await another one; no more, as some awaitables return themselves.
    for _ in range(2):
        value = await value if inspect.isawaitable(value) else value
    return value


class _Client(Generic[HttpClient]):
    """What both clients share, as coroutines: those of the sync client never wait."""

    # For the repr of a client whose arguments are refused.
    _origin = _project_id = "?"
    _random = staticmethod(random.random)
    _sleep: Callable[[float], Any]
    _result: Callable[[Future[Any]], Any]
    _shield: Callable[[], AbstractContextManager[Any]]
    _http_class: type[Any]
    _new_http: Callable[..., HttpClient]
    _transfer: Callable[[_Attempt], Coroutine[Any, Any, Exception | None]]

    def __init__(
        self,
        space: str | None = None,
        project_id: Id | None = None,
        api_token: str | SecretStr | None = None,
        *,
        timeout: float = 30.0,
        max_retries: int = 2,
        http_client: HttpClient | None = None,
    ) -> None:
        # Masked at once, in the very names, so that no traceback shows them.
        space, project_id, api_token = given = _credentials.masked(space, project_id, api_token)  # type: ignore[assignment]
        credentials = _credentials.resolve(*given)
        if isinstance(timeout, bool) or not isinstance(timeout, (int, float)):
            raise TypeError(f"timeout must be a number of seconds, not {type(timeout).__name__}")
        if not 0 < timeout < threading.TIMEOUT_MAX:
            raise ValueError("timeout must be a positive, finite number of seconds")
        if isinstance(max_retries, bool) or not isinstance(max_retries, int):
            raise TypeError(f"max_retries must be an int, not {type(max_retries).__name__}")
        if max_retries < 0:
            raise ValueError("max_retries must not be negative; 0 sends every call once")
        if http_client is not None and not isinstance(http_client, self._http_class):
            kind = f"{type(http_client).__module__}.{type(http_client).__qualname__}"
            raise TypeError(f"http_client must be an httpx.{self._http_class.__name__}, not {kind}")
        self._origin = credentials.origin
        self._project_id = credentials.project_id
        self._timeout = float(timeout)
        self._max_retries = max_retries
        agent = f"signalwire-tokens/{__version__} python/{platform.python_version()} httpx/{httpx.__version__}"
        # As httpx.Headers, which mask the credentials in their repr.
        self._headers = httpx.Headers(
            {
                "Host": httpx.URL(credentials.origin).netloc.decode(),
                "Accept": "application/json",
                "Accept-Encoding": "identity",
                "Authorization": credentials.authorization.get_secret_value(),
                "User-Agent": agent,
            }
        )
        self._closed = False
        self._brought = http_client
        self._connect()

    def _connect(self) -> None:
        # What a forked process must not share with its parent.
        self._pid = os.getpid()
        self._http: HttpClient = self._opened()

    def _opened(self) -> HttpClient:
        try:
            # Plain HTTP goes to loopback only, where a proxy from the environment would read the credentials.
            secure = self._origin.startswith("https:")
            return self._brought or self._new_http(verify=_transport.tls_context(), trust_env=secure)
        except Exception as failure:  # noqa: BLE001 - a proxy or a CA file of the environment that is no good
            # The text may quote a proxy's password.
            text = str(failure) if isinstance(failure, (OSError, ImportError)) else ""
            problem = _transport.stand_in(failure, text)
        text = "the HTTP client cannot be set up, look at the proxy and SSL_CERT_FILE variables: "
        raise ConfigurationError(text + _transport.reason(problem)) from problem

    def _attempt(self, call: _operations.Call[Any], *, applied: bool) -> _Attempt:
        problem = ""
        if self._closed or (self._brought and self._brought.is_closed):
            problem = "this client is closed; make a new one"
        elif self._pid != os.getpid() and self._brought:
            problem = "its http_client is that of the parent process; make both anew after a fork"
        elif self._pid != os.getpid():
            self._connect()
        if problem:
            raise _operations.failed(call, ConfigurationError, problem, "", applied=applied)
        return _Attempt(call, self._origin, self._headers, self._timeout)

    async def _call(self, call: _operations.Call[T]) -> T:
        """Send a call, again where the policy allows it; return its result or raise its error."""
        applied, number = False, 0
        while True:
            attempt, result = self._attempt(call, applied=applied), None
            try:
                result = attempt.outcome(await self._transfer(attempt), applied=applied)
                if not isinstance(result, SignalWireError):
                    attempt.log(result)
                    return cast("T", result)
                applied = result.may_have_applied
                pause = _retry.wait(result, number, self._random()) if number < self._max_retries else None
                if pause is not None:
                    _log(logging.WARNING, "%s; sending it again in %.1f s", result, pause)
                    await _settled(self._sleep(pause))
            except BaseException as interruption:
                _transport.strip(interruption, attempt.outer)
                if applied or (attempt.body.handed_over and getattr(result, "may_have_applied", True)):
                    said = attempt.interrupted(interruption)
                    _log(logging.WARNING, "%s", said)
                    interruption.add_note(said)
                raise
            if pause is None:
                raise result
            number += 1

    async def _discard(self, token: ApiToken, leaving: BaseException | None) -> None:
        """Delete a token that nobody needs, in the midst of a cancellation too; if that fails, say that it lives on."""
        try:
            with self._shield():
                await self._call(_operations.delete(token.id, missing_ok=True))
        except BaseException as failure:
            _log(logging.ERROR, "token %s lives on, delete it: %s: %s", token.id, type(failure).__name__, failure)
            if leaving is not None:
                leaving.add_note(f"token {token.id} lives on, delete it")
            # What interrupts goes on; before any other error goes that a token lives.
            if leaving is None or isinstance(leaving, Exception) or not isinstance(failure, Exception):
                if isinstance(failure, SignalWireError):
                    failure.may_have_applied = True
                    failure.add_note(f"token {token.id} lives on, delete it")
                raise

    async def _keep(self, store: Store, token: ApiToken) -> None:
        """Let `store` persist a token, and wait for what it has begun."""
        kept = await _settled(store(token))
        if isinstance(kept, Future):
            kept = await _settled(self._result(kept))
        if inspect.isgenerator(kept) or inspect.isasyncgen(kept):
            raise TypeError(f"store must have persisted the token when it returns, not return a {type(kept).__name__}")

    async def _create(self, store: Store | None, new: _operations.Call[ApiToken]) -> ApiToken:
        if store is not None and not callable(store):
            raise TypeError(f"store must be a function that takes the new token, not {type(store).__name__}")
        created = await self._call(new)
        if store is None:
            return created
        try:
            await self._keep(store, created)
        except Exception as failure:
            await self._discard(created, failure)
            failure.add_note(f"the new token {created.id} was deleted again")
            raise
        except BaseException as interruption:
            problem = (
                f"create interrupted by {type(interruption).__name__}: token {created.id} exists and may be stored"
            )
            _log(logging.ERROR, "%s", problem)
            interruption.add_note(problem)
            raise
        return created

    async def _rotate(self, token_id: Id, store: Store, new: _operations.Call[ApiToken]) -> ApiToken:
        old = _operations.delete(token_id)
        if not callable(store):
            raise TypeError(f"store must be a function that takes the new token, not {type(store).__name__}")
        created = await self._call(new)
        try:
            await self._keep(store, created)
        except Exception as failure:
            await self._discard(created, failure)
            failure.add_note(f"the new token {created.id} was deleted again, the old {old.subject} stays")
            raise
        except BaseException as interruption:
            # What is stored must work, and nobody knows whether it is this one.
            problem = f"rotate interrupted by {type(interruption).__name__}: the new token {created.id} may be stored"
            _log(logging.ERROR, "%s, and the old %s lives too; delete the one not in use", problem, old.subject)
            interruption.add_note(problem)
            raise
        try:
            await self._call(old)
        except BaseException as failure:
            state = f"the old {old.subject} may live on, delete it: {type(failure).__name__}: {failure}"
            if isinstance(failure, NotFoundError):
                state = (
                    f"there is no {old.subject}: it was deleted before, or the ID is wrong and the one meant lives on"
                )
            problem = f"rotate failed: token {created.id} is stored and works, but {state}"
            _log(logging.ERROR, "%s", problem)
            if not isinstance(failure, SignalWireError):
                raise
            ids = {"new_token_id": created.id, "old_token_id": _operations.checked_id("token_id", token_id)}
            raise RotationError(problem, operation="rotate", **ids) from failure
        return created

    def __repr__(self) -> str:
        return f"{type(self).__name__}(space={self._origin!r}, project_id={self._project_id!r})"


def _run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine of the sync client: it waits for nothing, or for a `store` that does not belong there."""
    resume = functools.partial(coroutine.send, None)
    while True:
        try:
            resume()
        except StopIteration as done:
            value: T = done.value
            return value
        misuse = TypeError("store waits as coroutines do; AsyncProjectTokens.rotate is for that")
        resume = functools.partial(coroutine.throw, misuse)


class ProjectTokens(_Client[httpx.Client]):
    """Creates, changes, rotates and deletes the API tokens of a SignalWire project.

    Safe to share between threads, and over a fork without an `http_client` of yours. Close it, or use it as a context
    manager. A call is sent again only where that cannot mint twice: if nothing of it had left, or after a 429; an
    update or a delete also after a 502, 503 or 504, a timeout or a broken connection.

    Args:
        space: The space's name (`example`), its host (`example.signalwire.com`) or its `https://` URL; plain
            `http://` for loopback hosts only. Default: the environment variable `SIGNALWIRE_SPACE`.
        project_id: The project's ID. Default: `SIGNALWIRE_PROJECT_ID`.
        api_token: An API token of the project with the `management` permission. Default: `SIGNALWIRE_API_TOKEN`.
        timeout: The seconds that each attempt of a call may take in all. Default: 30.
        max_retries: How often a call is sent again, after a wait of up to 60 seconds each time. Default: 2.
        http_client: An `httpx.Client` to send with, for a proxy or a CA of your own; it is never closed here, and its
            `auth`, default headers and redirect setting are not used. With it, `timeout` bounds an answer's body in
            all, but each wait before that by itself. Default: one of its own.

    Raises:
        ConfigurationError: A value is missing, empty or malformed.
        TypeError, ValueError: `timeout`, `max_retries` or `http_client` is not of the right kind.

    Example:
        >>> with ProjectTokens("example", project_id, api_token) as tokens:
        ...     created = tokens.create("ci-deploy", [Permission.CALLING, "messaging"])
        ...     vault.write("signalwire/ci", created.token.get_secret_value())
    """

    _sleep = staticmethod(time.sleep)
    _result = staticmethod(Future.result)
    _shield = staticmethod(contextlib.nullcontext)
    _http_class = httpx.Client
    _new_http = staticmethod(_transport.bounded_client)

    def create(
        self, name: str, permissions: Permissions, *, subproject_id: Id | None = None, store: Store | None = None
    ) -> ApiToken:
        """Mint a token. Its secret is in the result and can never be asked for again: store it at once.

        Args:
            name: What the token is called; not blank.
            permissions: One or more of `Permission`, as members or strings.
            subproject_id: A subproject of this project to mint for. Default: this project itself.
            store: Called with the new token; must have persisted it when it returns. If it raises, the new token is
                deleted and the error goes on. Default: the caller stores the token.

        Raises:
            TypeError, ValueError: An argument cannot be right; nothing was sent.
            SignalWireError: The call failed. If `may_have_applied` is true, a token of this name may live.

        Example:
            >>> tokens.create("ci-deploy", [Permission.CALLING, "messaging"]).token
            SecretStr('**********')
        """
        return _run(self._create(store, _operations.create(name, permissions, subproject_id)))

    def update(self, token_id: Id, *, name: str | None = None, permissions: Permissions | None = None) -> ApiToken:
        """Change a token's name, its permissions, or both. Its secret stays.

        Args:
            token_id: The ID of the token.
            name: The new name. Default: as it is.
            permissions: What replaces the present permissions. Default: as they are.

        Raises:
            TypeError, ValueError: An argument cannot be right, or there is nothing to change; nothing was sent.
            SignalWireError: The call failed; a `NotFoundError` if there is no such token.

        Example:
            >>> tokens.update(created.id, permissions=["calling"]).permissions
            (<Permission.CALLING: 'calling'>,)
        """
        return _run(self._call(_operations.update(token_id, name, permissions)))

    def delete(self, token_id: Id, *, missing_ok: bool = False) -> None:
        """Delete a token: whoever uses it is refused from then on. This cannot be undone.

        Args:
            token_id: The ID of the token.
            missing_ok: Whether it is fine if there is no such token. Default: it is a `NotFoundError`.

        Raises:
            TypeError, ValueError: `token_id` is no UUID; nothing was sent.
            SignalWireError: The call failed.

        Example:
            >>> tokens.delete(created.id)
        """
        _run(self._call(_operations.delete(token_id, missing_ok=missing_ok)))

    def rotate(
        self, token_id: Id, name: str, permissions: Permissions, *, store: Store, subproject_id: Id | None = None
    ) -> ApiToken:
        """Put a new token in an old one's place. At every moment one that is stored works.

        Args:
            token_id: The ID of the old token. It is deleted once the new one is stored.
            name, permissions, subproject_id: Of the new token, as for `create`.
            store: Called with the new token; must have persisted it when it returns. If it raises, the new token is
                deleted and the error goes on; if it is interrupted or cancelled, both live and the log names them.

        Raises:
            TypeError, ValueError: An argument cannot be right; nothing was sent.
            RotationError: The new token is stored, but the old one could not be deleted.
            SignalWireError: The new token could not be created, or not be deleted after `store` had failed.

        Example:
            >>> tokens.rotate(old_id, "ci", ["fax"], store=lambda new: vault.write("ci", new.token.get_secret_value()))
        """
        if inspect.iscoroutinefunction(store):
            raise TypeError("store is a coroutine function; AsyncProjectTokens.rotate is for that")
        return _run(self._rotate(token_id, store, _operations.create(name, permissions, subproject_id)))

    @contextlib.contextmanager
    def temporary(self, name: str, permissions: Permissions, *, subproject_id: Id | None = None) -> Iterator[ApiToken]:
        """Mint a token for the time of a `with` block and delete it on every way out. Arguments are those of `create`.

        Raises:
            SignalWireError: The token could not be created, or not be deleted: then the error names its ID.

        Example:
            >>> with tokens.temporary("job", ["messaging"]) as token:
            ...     run_job(token.token.get_secret_value())
        """
        created = self.create(name, permissions, subproject_id=subproject_id)
        try:
            yield created
        except BaseException as leaving:
            _run(self._discard(created, leaving))
            raise
        _run(self._discard(created, None))

    def close(self) -> None:
        """Close the connections. A client that was passed in stays open. Closing twice does no harm."""
        self._closed = True
        if not self._brought:
            self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Apart from _call, so that no frame of an error's traceback holds a piece of an answer.
    async def _transfer(self, attempt: _Attempt) -> Exception | None:
        try:
            attempt.response = response = _transport.send(self._http, attempt.request, own=not self._brought)
            try:
                # A hook of the user's own client may have read the answer already.
                for chunk in (response.content,) if response.is_stream_consumed else response.iter_raw():
                    if not attempt.feed(chunk):
                        break
                    attempt.deadline.left()
            finally:
                response.close()
        except Exception as failure:  # noqa: BLE001 - transports and hooks raise what they like
            return attempt.failed(failure)
        return None


class AsyncProjectTokens(_Client[httpx.AsyncClient]):
    """Creates, changes, rotates and deletes the API tokens of a SignalWire project, with asyncio or trio.

    As `ProjectTokens`, awaited: see there. Safe to share between the tasks of one event loop. Close it, or use it as an
    async context manager. `http_client` is an `httpx.AsyncClient`; `timeout` bounds an attempt in all with that too. 64
    calls are under way at once; the others wait for their turn, with which their time begins.

    Example:
        >>> async with AsyncProjectTokens("example", project_id, api_token) as tokens:
        ...     created = await tokens.create("ci-deploy", [Permission.CALLING, "messaging"])
        ...     await vault.write("signalwire/ci", created.token.get_secret_value())
    """

    _sleep = staticmethod(anyio.sleep)
    _result = staticmethod(lambda future: anyio.to_thread.run_sync(future.result))
    _shield = staticmethod(functools.partial(anyio.CancelScope, shield=True))
    _http_class = _new_http = httpx.AsyncClient

    def _connect(self) -> None:
        super()._connect()
        self._loop: object = None
        self._turns = anyio.Semaphore(IN_FLIGHT)
        # A pool for each call under way: httpcore looks through all connections of a pool several times a call.
        self._idle = [self._http]

    def _attempt(self, call: _operations.Call[Any], *, applied: bool) -> _Attempt:
        attempt, loop = super()._attempt(call, applied=applied), anyio.lowlevel.current_token()
        if not self._brought:
            # Here one bound on the whole is enough, and setting another for each wait takes time.
            del attempt.request.extensions["timeout"]
        self._loop = self._loop or loop
        if self._loop != loop:
            problem = "this client has connections of another event loop; make one in each"
            raise _operations.failed(call, ConfigurationError, problem, "", applied=applied)
        return attempt

    async def create(
        self, name: str, permissions: Permissions, *, subproject_id: Id | None = None, store: Store | None = None
    ) -> ApiToken:
        """Mint a token. As `ProjectTokens.create`, awaited."""
        return await self._create(store, _operations.create(name, permissions, subproject_id))

    async def update(
        self, token_id: Id, *, name: str | None = None, permissions: Permissions | None = None
    ) -> ApiToken:
        """Change a token's name, its permissions, or both. As `ProjectTokens.update`, awaited."""
        return await self._call(_operations.update(token_id, name, permissions))

    async def delete(self, token_id: Id, *, missing_ok: bool = False) -> None:
        """Delete a token. As `ProjectTokens.delete`, awaited."""
        await self._call(_operations.delete(token_id, missing_ok=missing_ok))

    async def rotate(
        self, token_id: Id, name: str, permissions: Permissions, *, store: Store, subproject_id: Id | None = None
    ) -> ApiToken:
        """Put a new token in an old one's place. As `ProjectTokens.rotate`, awaited, and so is what `store` returns."""
        return await self._rotate(token_id, store, _operations.create(name, permissions, subproject_id))

    @contextlib.asynccontextmanager
    async def temporary(
        self, name: str, permissions: Permissions, *, subproject_id: Id | None = None
    ) -> AsyncIterator[ApiToken]:
        """Mint a token for the time of an `async with` block. As `ProjectTokens.temporary`."""
        created = await self.create(name, permissions, subproject_id=subproject_id)
        try:
            yield created
        except BaseException as leaving:
            await self._discard(created, leaving)
            raise
        await self._discard(created, None)

    async def aclose(self) -> None:
        """Close the connections. A client that was passed in stays open. Closing twice does no harm."""
        self._closed = True
        while self._idle and not self._brought:
            # One that cannot be closed must neither keep the others open nor cost a token that has just come.
            with contextlib.suppress(Exception):
                await self._idle.pop().aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def _transfer(self, attempt: _Attempt) -> Exception | None:
        # Its time begins with its turn.
        async with self._turns:
            if self._closed:
                return RuntimeError("the client was closed before it was this call's turn")
            http = None
            try:
                http = self._idle.pop() if self._idle else self._opened()
                with anyio.fail_after(self._timeout):
                    attempt.response = response = await _transport.send(http, attempt.request, own=not self._brought)
                    try:
                        if response.is_stream_consumed:
                            attempt.feed(response.content)
                        else:
                            async for chunk in response.aiter_raw():
                                if not attempt.feed(chunk):
                                    break
                    finally:
                        await response.aclose()
            except Exception as failure:  # noqa: BLE001 - transports and hooks raise what they like
                return attempt.failed(failure)
            finally:
                self._idle += [http] if http else []
                if self._closed:
                    await self.aclose()
        return None
