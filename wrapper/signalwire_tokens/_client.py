"""The two clients. They share all that is not I/O and differ only where they send."""

from __future__ import annotations

import contextlib
import functools
import logging
import platform
import threading
from typing import TYPE_CHECKING, Generic, TypeVar

import anyio
import httpx

from . import _credentials, _operations
from .errors import APIConnectionError, APITimeoutError, ConfigurationError, SignalWireError
from .models import ApiToken, SecretStr

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Iterable, Iterator
    from types import TracebackType
    from typing import Self
    from uuid import UUID

    from ._operations import Call
    from .models import Permission

__version__ = "0.1.0"

T = TypeVar("T")
HttpClient = TypeVar("HttpClient", httpx.Client, httpx.AsyncClient)

logger = logging.getLogger("signalwire_tokens")


@functools.cache
def _tls_context() -> ssl.SSLContext:
    # One for the process: reading the CA certificates is most of what making a client costs.
    return httpx.create_ssl_context()


def _chain(failure: BaseException | None) -> list[BaseException]:
    """Return a failure and all that is behind it, each once: chains may form a ring, and groups hold several."""
    found: list[BaseException] = []
    pending = [failure]
    while pending:
        link = pending.pop()
        if link is not None and not any(link is known for known in found):
            found.append(link)
            pending += [*getattr(link, "exceptions", ()), link.__context__, link.__cause__]
    return found


def _without_frames(failure: BaseException | None) -> None:
    # Error reporters print locals, and the frames of httpx and below hold the Authorization header.
    for link in _chain(failure):
        link.__traceback__ = None


def _reason(failure: BaseException | None) -> str:
    # Some transports say nothing themselves and leave it to the cause.
    links = [] if isinstance(failure, TimeoutError) else _chain(failure)
    reason = next((link for link in links if str(link)), failure)
    return f"{type(reason).__name__}: {reason}"


class _Body(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A request body that notes when it is handed to the network: from then on the call may be carried out."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self.handed_over = False

    def __iter__(self) -> Iterator[bytes]:
        self.handed_over = True
        yield self._content

    async def __aiter__(self) -> AsyncIterator[bytes]:
        self.handed_over = True
        yield self._content


class _Attempt(Generic[T]):
    """One sending of a call, and what came of it."""

    def __init__(self, call: Call[T], origin: str, headers: httpx.Headers, timeout: float) -> None:
        self._call = call
        self._body = _Body(call.body)
        self._response: httpx.Response | None = None
        self._content = bytearray()
        self.request = httpx.Request(
            call.method,
            origin + call.path,
            headers=headers,
            stream=self._body,
            # A request built by hand carries no timeout of its own.
            extensions={"timeout": dict.fromkeys(("connect", "read", "write", "pool"), timeout)},
        )
        # Set even for no body: without it some transports announce a chunked one.
        self.request.headers["Content-Length"] = str(len(call.body))
        if call.body:
            self.request.headers["Content-Type"] = "application/json"

    def begin(self, response: httpx.Response) -> None:
        """Keep the status and the headers of the answer."""
        self._response = response

    def feed(self, chunk: bytes) -> bool:
        """Keep a piece of the answer's body and tell whether more is wanted."""
        self._content += chunk
        return len(self._content) < _operations.MAX_BODY

    def finish(self, failure: Exception | None) -> T | SignalWireError:
        """Return the result of the call, or the error to raise. `failure` is what ended the transfer early."""
        _without_frames(failure)
        if isinstance(failure, httpx.HTTPStatusError):
            # Raised by a hook of the user's own client: an answer came all the same.
            self._response = failure.response
        if self._response is None:
            error = self._no_answer(failure)
            error.__cause__ = failure
            return error
        answer = _operations.Answer(
            self._response.status_code, self._response.headers, bytes(self._content), whole=failure is None
        )
        result = _operations.outcome(self._call, answer)
        if isinstance(result, SignalWireError):
            result.__cause__ = failure
            return result
        about = self._call.subject
        if isinstance(result, ApiToken):
            about = f"token {result.id}, name {result.name!r}, permissions {','.join(result.permissions)}"
        # A handler that raises must not cost the token.
        with contextlib.suppress(Exception):
            logger.info("%s: %s, request id %s", self._call.operation, about, answer.request_id)
        return result

    def interrupt(self, interruption: BaseException) -> None:
        """Say what may live on when a cancellation or an exit cuts the call off."""
        _without_frames(interruption)
        if self._body.handed_over:
            problem = f"interrupted by {type(interruption).__name__}"
            # A handler that raises must not take the interruption's place.
            with contextlib.suppress(Exception):
                logger.warning(_operations.message(self._call, problem, may_have_applied=True))

    def _no_answer(self, failure: Exception | None) -> APIConnectionError:
        timed_out = isinstance(failure, (httpx.TimeoutException, TimeoutError))
        applied = self._body.handed_over
        return (APITimeoutError if timed_out else APIConnectionError)(
            _operations.message(
                self._call,
                f"no answer from {self.request.url.host}{' in time' if timed_out else ''}: {_reason(failure)}",
                advice="" if applied else "nothing was sent",
                may_have_applied=applied,
            ),
            operation=self._call.operation,
            may_have_applied=applied,
        )


class _Client(Generic[HttpClient]):
    """What both clients share: everything but I/O."""

    # For the repr of a client whose arguments are refused.
    _origin = _project_id = "?"

    def __init__(
        self,
        http_class: type[HttpClient],
        credentials: _credentials.Credentials,
        timeout: float,
        http_client: HttpClient | None,
    ) -> None:
        if isinstance(timeout, bool) or not isinstance(timeout, (int, float)):
            raise TypeError(f"timeout must be a number of seconds, not {type(timeout).__name__}")
        if not 0 < timeout < threading.TIMEOUT_MAX:
            raise ValueError("timeout must be a positive, finite number of seconds")
        if http_client is not None and not isinstance(http_client, http_class):
            given = f"{type(http_client).__module__}.{type(http_client).__qualname__}"
            raise TypeError(f"http_client must be an httpx.{http_class.__name__}, not {given}")
        self._origin = credentials.origin
        self._project_id = credentials.project_id
        self._timeout = float(timeout)
        # As httpx.Headers, which mask the credentials in their repr.
        self._headers = httpx.Headers(
            {
                "Host": httpx.URL(credentials.origin).netloc.decode(),
                "Accept": "application/json",
                "Accept-Encoding": "identity",
                "Authorization": credentials.authorization.get_secret_value(),
                "User-Agent": f"signalwire-tokens/{__version__} python/{platform.python_version()} "
                f"httpx/{httpx.__version__}",
            }
        )
        self._closed = False
        self._brought = http_client is not None
        self._http: HttpClient
        if http_client is not None:
            self._http = http_client
            return
        try:
            # Plain HTTP goes to loopback only, where a proxy from the environment would read the credentials.
            self._http = http_class(verify=_tls_context(), trust_env=credentials.origin.startswith("https:"))
        except Exception as failure:  # noqa: BLE001 - a proxy or a CA file of the environment that is no good
            _without_frames(failure)
            problem = failure
        else:
            return
        raise ConfigurationError(
            f"the HTTP client cannot be set up, look at the proxy and SSL_CERT_FILE variables: {_reason(problem)}"
        ) from problem

    def _attempt(self, call: Call[T]) -> _Attempt[T]:
        if self._closed or self._http.is_closed:
            raise ConfigurationError(
                f"{call.operation} failed: this client is closed; make a new one", operation=call.operation
            )
        return _Attempt(call, self._origin, self._headers, self._timeout)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(space={self._origin!r}, project_id={self._project_id!r})"


class ProjectTokens(_Client[httpx.Client]):
    """Creates, changes and deletes the API tokens of a SignalWire project.

    Safe to share between threads. Close it, or use it as a context manager.

    Args:
        space: The space's name (`example`), its host (`example.signalwire.com`) or its `https://` URL; plain
            `http://` for loopback hosts only. Default: the environment variable `SIGNALWIRE_SPACE`.
        project_id: The project's ID. Default: `SIGNALWIRE_PROJECT_ID`.
        api_token: An API token of the project with the `management` permission. Default: `SIGNALWIRE_API_TOKEN`.
        timeout: The seconds that connecting, sending, and each wait for data may take. Default: 30.
        http_client: An `httpx.Client` to send with, for a proxy or a CA of your own; it is never closed here, and
            its `auth`, default headers and redirect setting are not used. Default: one of its own.

    Raises:
        ConfigurationError: A value is missing, empty or malformed.
        TypeError, ValueError: `timeout` or `http_client` is not of the right kind.

    Example:
        >>> with ProjectTokens("example", project_id, api_token) as tokens:
        ...     created = tokens.create("ci-deploy", [Permission.CALLING, "messaging"])
        ...     vault.write("signalwire/ci", created.token.get_secret_value())
    """

    def __init__(
        self,
        space: str | None = None,
        project_id: str | None = None,
        api_token: str | SecretStr | None = None,
        *,
        timeout: float = 30.0,
        http_client: httpx.Client | None = None,
    ) -> None:
        # Masked at once, in the very names, so that no traceback shows them.
        space, project_id, api_token = given = _credentials.masked(space, project_id, api_token)  # type: ignore[assignment]
        super().__init__(httpx.Client, _credentials.resolve(*given), timeout, http_client)

    def create(
        self, name: str, permissions: Iterable[Permission | str], *, subproject_id: UUID | str | None = None
    ) -> ApiToken:
        """Mint a token. Its secret is in the result and can never be asked for again: store it at once.

        Args:
            name: What the token is called; not blank.
            permissions: One or more of `Permission`, as members or strings.
            subproject_id: A subproject of this project to mint for. Default: this project itself.

        Returns:
            The token, as the service describes it.

        Raises:
            TypeError, ValueError: An argument cannot be right; nothing was sent.
            SignalWireError: The call failed. If `may_have_applied` is true, a token of this name may live.

        Example:
            >>> created = tokens.create("ci-deploy", [Permission.CALLING, "messaging"])
            >>> created.token
            SecretStr('**********')
        """
        return self._send(_operations.create(name, permissions, subproject_id))

    def update(
        self,
        token_id: UUID | str,
        *,
        name: str | None = None,
        permissions: Iterable[Permission | str] | None = None,
    ) -> ApiToken:
        """Change a token's name, its permissions, or both. Its secret stays.

        Args:
            token_id: The ID of the token.
            name: The new name. Default: as it is.
            permissions: What replaces the present permissions. Default: as they are.

        Returns:
            The token as it is now.

        Raises:
            TypeError, ValueError: An argument cannot be right, or there is nothing to change; nothing was sent.
            NotFoundError: There is no such token.
            SignalWireError: The call failed otherwise.

        Example:
            >>> tokens.update(created.id, permissions=["calling"]).permissions
            (<Permission.CALLING: 'calling'>,)
        """
        return self._send(_operations.update(token_id, name, permissions))

    def delete(self, token_id: UUID | str) -> None:
        """Delete a token: whoever uses it is refused from then on. This cannot be undone.

        Args:
            token_id: The ID of the token.

        Raises:
            TypeError, ValueError: `token_id` is no UUID; nothing was sent.
            NotFoundError: There is no such token.
            SignalWireError: The call failed otherwise.

        Example:
            >>> tokens.delete(created.id)
        """
        self._send(_operations.delete(token_id))

    def close(self) -> None:
        """Close the connections. A client that was passed in stays open. Closing twice does no harm."""
        self._closed = True
        if not self._brought:
            self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _send(self, call: Call[T]) -> T:
        attempt = self._attempt(call)
        result = attempt.finish(self._transfer(attempt))
        if isinstance(result, SignalWireError):
            raise result
        return result

    # Apart from _send, so that no frame of an error's traceback holds a piece of an answer.
    def _transfer(self, attempt: _Attempt[T]) -> Exception | None:
        try:
            response = self._http.send(attempt.request, stream=True, auth=None, follow_redirects=False)
            try:
                attempt.begin(response)
                # A hook of the user's own client may have read the answer already.
                for chunk in (response.content,) if response.is_stream_consumed else response.iter_raw():
                    if not attempt.feed(chunk):
                        break
            finally:
                response.close()
        except Exception as failure:  # noqa: BLE001 - transports and hooks raise what they like
            return failure
        except BaseException as interruption:
            attempt.interrupt(interruption)
            raise
        return None


class AsyncProjectTokens(_Client[httpx.AsyncClient]):
    """Creates, changes and deletes the API tokens of a SignalWire project, with asyncio or trio.

    As `ProjectTokens`, awaited. Safe to share between the tasks of one event loop. Close it, or use it as an async
    context manager. The arguments and errors are those of `ProjectTokens`, but that `timeout` is for one call in all,
    and `http_client` an `httpx.AsyncClient`.

    Example:
        >>> async with AsyncProjectTokens("example", project_id, api_token) as tokens:
        ...     created = await tokens.create("ci-deploy", [Permission.CALLING, "messaging"])
        ...     await vault.write("signalwire/ci", created.token.get_secret_value())
    """

    def __init__(
        self,
        space: str | None = None,
        project_id: str | None = None,
        api_token: str | SecretStr | None = None,
        *,
        timeout: float = 30.0,
        http_client: httpx.AsyncClient | None = None,
    ) -> None:
        space, project_id, api_token = given = _credentials.masked(space, project_id, api_token)  # type: ignore[assignment]
        super().__init__(httpx.AsyncClient, _credentials.resolve(*given), timeout, http_client)

    async def create(
        self, name: str, permissions: Iterable[Permission | str], *, subproject_id: UUID | str | None = None
    ) -> ApiToken:
        """Mint a token. Its secret is in the result and can never be asked for again: store it at once.

        As `ProjectTokens.create`, awaited.
        """
        return await self._send(_operations.create(name, permissions, subproject_id))

    async def update(
        self,
        token_id: UUID | str,
        *,
        name: str | None = None,
        permissions: Iterable[Permission | str] | None = None,
    ) -> ApiToken:
        """Change a token's name, its permissions, or both. Its secret stays.

        As `ProjectTokens.update`, awaited.
        """
        return await self._send(_operations.update(token_id, name, permissions))

    async def delete(self, token_id: UUID | str) -> None:
        """Delete a token: whoever uses it is refused from then on. This cannot be undone.

        As `ProjectTokens.delete`, awaited.
        """
        await self._send(_operations.delete(token_id))

    async def aclose(self) -> None:
        """Close the connections. A client that was passed in stays open. Closing twice does no harm."""
        self._closed = True
        if not self._brought:
            await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _send(self, call: Call[T]) -> T:
        attempt = self._attempt(call)
        result = attempt.finish(await self._transfer(attempt))
        if isinstance(result, SignalWireError):
            raise result
        return result

    async def _transfer(self, attempt: _Attempt[T]) -> Exception | None:
        try:
            with anyio.fail_after(self._timeout):
                response = await self._http.send(attempt.request, stream=True, auth=None, follow_redirects=False)
                try:
                    attempt.begin(response)
                    if response.is_stream_consumed:
                        attempt.feed(response.content)
                    else:
                        async for chunk in response.aiter_raw():
                            if not attempt.feed(chunk):
                                break
                finally:
                    await response.aclose()
        except Exception as failure:  # noqa: BLE001 - transports and hooks raise what they like
            return failure
        except BaseException as interruption:
            attempt.interrupt(interruption)
            raise
        return None
