"""The only door to the HTTP library: transports, TLS trust, proxies, the deadline, and a body that leaves once."""

from __future__ import annotations

import contextlib
import functools
import os
import re
import socket
import ssl
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Any, ClassVar, TypeVar, cast
from urllib.request import getproxies, proxy_bypass
from weakref import WeakKeyDictionary

import anyio
import anyio.lowlevel
import httpx

from .errors import ConfigurationError

Transport = TypeVar("Transport", httpx.BaseTransport, httpx.AsyncBaseTransport)

# The async calls in flight at once; others wait. The pools of httpx and aiohttp take 100 by default.
IN_FLIGHT = 64
# The kinds of failure before a connection is made, and the transports that use them for nothing else: aiohttp's calls
# every lost connection a ConnectTimeout.
REFUSED = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError, httpx.UnsupportedProtocol)
PLAIN = (httpx.HTTPTransport, httpx.AsyncHTTPTransport, httpx.MockTransport)


class Request(httpx.Request, httpx.SyncByteStream, httpx.AsyncByteStream):
    """A request that is its own body, which leaves once: a transport that retries by itself would mint twice.

    To read it, as mocks and tracing do, is not to send it, and does not make it replayable.
    """

    def __init__(self, method: str, url: httpx.URL, headers: httpx.Headers, body: bytes, timeout: float) -> None:
        self._whole, self._taken, self._was_read = body, False, False
        waits = {"connect": timeout, "read": timeout, "write": timeout, "pool": timeout}
        super().__init__(method, url, headers=headers, stream=self, extensions={"timeout": waits})

    def __iter__(self) -> Iterator[bytes]:
        if self._taken:
            raise httpx.StreamConsumed
        self._taken = True
        yield self._whole

    def __aiter__(self) -> AsyncIterator[bytes]:
        return _Pieces(iter(self))

    def read(self) -> bytes:
        """Return the body."""
        self._was_read = True
        return self._whole

    async def aread(self) -> bytes:
        """Return the body."""
        return self.read()

    @property
    def content(self) -> bytes:
        """The body, once it was read."""
        if not self._was_read:
            raise httpx.RequestNotRead
        return self._whole

    def sent(self, failure: BaseException, transport: object) -> bool:
        """Tell whether the service may have the whole request, after this failure."""
        if isinstance(failure, REFUSED) and (
            type(transport) in PLAIN or (type(failure) is httpx.ConnectError and not self._taken)
        ):
            return False
        # Who read the body may have sent it; and before an interruption, one without a body may have left whole.
        return self._taken or self._was_read or not (self._whole or isinstance(failure, Exception))


class _Pieces(AsyncIterator[bytes]):
    # No generator: trio warns of an async one that was left half-way.
    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces

    async def __anext__(self) -> bytes:
        for piece in self._pieces:
            return piece
        raise StopAsyncIteration


class Deadline:
    """When all that follows connecting must be done; its time begins with the first wait."""

    # That of the sync attempt in this thread, for its TLS socket to read.
    current: ClassVar[ContextVar[Deadline | None]] = ContextVar("signalwire_tokens.deadline", default=None)

    def __init__(self, seconds: float) -> None:
        self._seconds, self._end = seconds, 0.0

    def left(self) -> float:
        """Return the seconds that are left; raise TimeoutError if there are none."""
        now = time.monotonic()
        self._end = self._end or now + self._seconds
        if now >= self._end:
            raise TimeoutError("the attempt's time is up")
        return self._end - now


class _BoundedSocket(ssl.SSLSocket):
    """A TLS socket whose waits all end with the deadline of the attempt; httpx bounds each by itself."""

    def settimeout(self, value: float | None) -> None:
        deadline = Deadline.current.get()
        super().settimeout(deadline.left() if deadline and value else value)


def tls_context() -> ssl.SSLContext:
    """Return the context for the trust settings as they are now; clients with the same settings share it."""
    return _tls_context(*map(_state, map(os.environ.get, ("SSL_CERT_FILE", "SSL_CERT_DIR"))))


def _state(path: str | None) -> object:
    entries = [Path(path), *Path(path).glob("*")] if path else []
    with contextlib.suppress(OSError):
        return tuple((str(entry), stat.st_mtime_ns, stat.st_ino) for entry in entries for stat in [entry.stat()])
    return path


@functools.lru_cache(maxsize=8)
def _tls_context(*_trust: object) -> ssl.SSLContext:
    context = httpx.create_ssl_context()
    context.sslsocket_class = _BoundedSocket
    return context


def _proxy(url: httpx.URL, tls: ssl.SSLContext) -> httpx.Proxy | None:
    """Return the proxy that the environment names for a space; none for plain HTTP, which goes to loopback only."""
    proxies = getproxies()
    address = proxies.get("https") or proxies.get("all")
    # The standard library knows `*` only where it stands alone.
    direct = "*" in map(str.strip, proxies.get("no", "").split(",")) or url.scheme != "https"
    if not address or direct or any(map(proxy_bypass, (url.host, url.netloc.decode()))):
        return None
    address = address if "://" in address else f"http://{address}"
    return httpx.Proxy(address, ssl_context=tls if address.startswith("https:") else None)


class Attempt:
    """A request, and what came of it: a response, whole or in part, or the reason for which none came."""

    def __init__(self, request: Request, timeout: float, limit: int) -> None:
        # What the caller is handling is his own.
        self.outer = sys.exc_info()[1]
        self.request, self.timeout, self.deadline = request, timeout, Deadline(timeout)
        self.response: httpx.Response | None = None
        self.content, self._limit = bytearray(), limit
        self.sent = self.cut_off = self.late = False
        self.reason, self.causes = "", list[type[BaseException]]()

    def feed(self, chunk: bytes) -> bool:
        """Keep a piece of the response's body and tell whether more is wanted."""
        self.content += chunk[: self._limit - len(self.content)]
        return len(self.content) < self._limit

    def fail(self, failure: BaseException, transport: object) -> None:
        """Keep what there is to say of a failure, and nothing of the failure: its frames hold the credentials."""
        links = list(_links(failure, self.outer))
        self.causes = [type(link) for link in links]
        self.cut_off = self.response is not None
        self.sent = self.cut_off or self.request.sent(failure, transport)
        # httpx-aiohttp calls every lost connection a ConnectTimeout; its cause says what it was.
        told = next((link for link in links if type(link).__module__.startswith("aiohttp")), failure)
        self.late = isinstance(told, (httpx.TimeoutException, TimeoutError))
        # Some transports leave it to the cause to say why.
        link, text = next(((link, text) for link in links if (text := _text(link))), (failure, ""))
        if self.sent:
            # Parsers quote what they could not read, which may be a new token.
            text = re.split(r"""(?:bytearray\()?\bb['"]|["{<]""", text)[0]
        self.reason = f"{type(link).__name__}: {text}".removesuffix(": ")

    def advice(self, proxy: str) -> str:
        """Say what to look at after a failure to connect, if that can be told."""
        if ssl.SSLCertVerificationError in self.causes:
            return "SSL_CERT_FILE names the certificate authorities to trust"
        if proxy and not self.sent:
            return f"the proxy {proxy} was used; look at HTTPS_PROXY and NO_PROXY"
        unknown = socket.gaierror in self.causes
        return "the name cannot be resolved; check the space (SIGNALWIRE_SPACE)" if unknown else ""


def _text(link: BaseException) -> str:
    # An exception of somebody's own may have no text.
    with contextlib.suppress(Exception):
        return str(link)
    return ""


def _links(failure: BaseException | None, outer: BaseException | None) -> Iterator[BaseException]:
    """Yield a failure and what is behind it, each once, up to what the caller is handling."""
    seen: list[BaseException] = []
    while failure is not None and failure is not outer and not any(failure is known for known in seen):
        seen.append(failure)
        yield failure
        failure = failure.__context__ if failure.__cause__ is None else failure.__cause__


def forget_frames(interruption: BaseException, outer: BaseException | None) -> None:
    """Drop the frames of the HTTP library, which hold the credentials, from an interruption that goes on."""
    for link in _links(interruption, outer):
        with contextlib.suppress(Exception):
            link.__traceback__ = None


class _Here:
    """What the calls in one process, and for async in one event loop, share: idle transports, and turns."""

    def __init__(self, turns: Any) -> None:
        self.idle: list[Any] = []
        self.turns = turns


class Transports:
    """One transport for each call in flight, kept for another call after a whole exchange and closed after all else."""

    base: ClassVar[type[Any]]
    plain: ClassVar[Callable[..., Any]]
    # What only a subclass can do.
    _here: Callable[[], _Here]
    _bound: Callable[[Attempt], contextlib.AbstractContextManager[anyio.CancelScope | None]]
    _talk: Callable[[Any, Attempt], Awaitable[bool]]
    _close: Callable[[list[Any]], Awaitable[None]]

    def __init__(self, given: Any, origin: str) -> None:
        if given is not None and not isinstance(given, self.base):
            kind = f"{type(given).__module__}.{type(given).__qualname__}"
            raise TypeError(f"transport must be an httpx.{self.base.__name__}, not {kind}")
        self.closed, self.proxy, self._given, problem = False, "", given, ""
        # By process, and for async by event loop, none of which may use another's connections.
        self._everywhere: dict[int, Any] = {}
        try:
            if given is None:
                tls, limits = tls_context(), httpx.Limits(max_connections=1)
                proxy = _proxy(httpx.URL(origin), tls)
                self.proxy = str(proxy.url) if proxy else ""
                self._new = functools.partial(self.plain, verify=tls, proxy=proxy, limits=limits)
                # A proxy that cannot be used shows now.
                self._new()
        except Exception as failure:  # noqa: BLE001 - a proxy or a CA file of the environment that is no good
            # Other texts may quote a proxy's password.
            text = f": {failure}" if isinstance(failure, (OSError, ImportError)) else ""
            problem = f"{type(failure).__name__}{text}"
        if problem:
            looked_at = "SSL_CERT_FILE, SSL_CERT_DIR, HTTPS_PROXY, ALL_PROXY and NO_PROXY"
            raise ConfigurationError(f"the HTTP transport cannot be set up; look at {looked_at}: {problem}")

    async def exchange(self, attempt: Attempt) -> bool:
        """Send the request and read the response into the attempt; False if the client is closed."""
        here, transport, whole = self._here(), self._given, False
        # An attempt's time begins with its turn.
        async with here.turns:
            if self.closed:
                return False
            try:
                with self._bound(attempt) as scope:
                    try:
                        transport = transport or self._take(here)
                        whole = await self._talk(transport, attempt)
                    except BaseException as failure:
                        attempt.fail(failure, transport)
                        if not isinstance(failure, Exception):
                            raise
                if scope is not None and scope.cancelled_caught:
                    attempt.fail(TimeoutError(), transport)
            finally:
                if transport is not None and transport is not self._given:
                    if whole:
                        here.idle.append(transport)
                    await self._close([transport] if not whole else here.idle if self.closed else [])
        return True

    def _take(self, here: _Here) -> Any:
        # Other threads may take the last one.
        with contextlib.suppress(IndexError):
            return here.idle.pop()
        return self._new()

    async def close(self) -> None:
        """Close what is idle; each call in flight closes its own."""
        self.closed = True
        await self._close(self._here().idle)


class SyncTransports(Transports):
    """The transports of a sync client; its coroutines never wait."""

    base, plain = httpx.BaseTransport, httpx.HTTPTransport

    def _here(self) -> _Here:
        here: _Here = self._everywhere.setdefault(os.getpid(), _Here(contextlib.nullcontext()))
        return here

    @contextlib.contextmanager
    def _bound(self, attempt: Attempt) -> Iterator[None]:
        bound = Deadline.current.set(attempt.deadline)
        try:
            yield
        finally:
            Deadline.current.reset(bound)

    async def _talk(self, transport: httpx.BaseTransport, attempt: Attempt) -> bool:
        """Send, and read the response; tell whether it was read to its end."""
        attempt.response = response = transport.handle_request(attempt.request)
        stream = cast("httpx.SyncByteStream", response.stream)
        try:
            # A transport that was passed in may have read it already.
            for chunk in (response.content,) if response.is_stream_consumed else stream:
                if not attempt.feed(chunk):
                    return False
                attempt.deadline.left()
        finally:
            response.close()
        return True

    async def _close(self, transports: list[httpx.BaseTransport]) -> None:
        while transports:
            # One that cannot be closed must not cost a token that has just come.
            with contextlib.suppress(Exception):
                transports.pop().close()


class AsyncTransports(Transports):
    """The transports of an async client."""

    base, plain = httpx.AsyncBaseTransport, httpx.AsyncHTTPTransport

    def _here(self) -> _Here:
        process, loop = os.getpid(), anyio.lowlevel.current_token().native_token
        loops = self._everywhere.get(process) or self._everywhere.setdefault(process, WeakKeyDictionary())
        here: _Here | None = loops.get(loop)
        return here or loops.setdefault(loop, _Here(anyio.Semaphore(IN_FLIGHT, fast_acquire=True)))

    def _bound(self, attempt: Attempt) -> anyio.CancelScope:
        return anyio.move_on_after(attempt.timeout)

    async def _talk(self, transport: httpx.AsyncBaseTransport, attempt: Attempt) -> bool:
        attempt.response = response = await transport.handle_async_request(attempt.request)
        try:
            if response.is_stream_consumed:
                return attempt.feed(response.content)
            async for chunk in cast("httpx.AsyncByteStream", response.stream):
                if not attempt.feed(chunk):
                    return False
        finally:
            await response.aclose()
        return True

    async def _close(self, transports: list[httpx.AsyncBaseTransport]) -> None:
        while transports:
            # In the midst of a cancellation too, or the socket stays open.
            with anyio.CancelScope(shield=True), contextlib.suppress(Exception):
                await transports.pop().aclose()
