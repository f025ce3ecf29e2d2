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
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, cast
from urllib.request import getproxies, proxy_bypass
from weakref import WeakKeyDictionary

import anyio
import anyio.lowlevel
import httpx

from .errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

Transport = TypeVar("Transport", httpx.BaseTransport, httpx.AsyncBaseTransport)

# The async calls in flight at once; others wait. The pools of httpx and aiohttp take 100 by default.
IN_FLIGHT = 64

# No connection was made, if the transport says these of nothing else: aiohttp's calls a lost connection a ConnectTimeout.
REFUSED = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError, httpx.UnsupportedProtocol)
PLAIN = (httpx.HTTPTransport, httpx.AsyncHTTPTransport, httpx.MockTransport)


class Body(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A request body that leaves once: a transport that retries by itself would mint twice."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.taken = False

    def __iter__(self) -> Iterator[bytes]:
        if self.taken:
            raise httpx.StreamConsumed
        self.taken = True
        yield self.content

    def __aiter__(self) -> AsyncIterator[bytes]:
        return _Pieces(self)


class _Pieces:
    # No generator: trio warns of an async one that was left half-way.
    def __init__(self, body: Body) -> None:
        self._pieces = iter(body)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        for piece in self._pieces:
            return piece
        raise StopAsyncIteration


class Request(httpx.Request):
    """A request that tells whether it was sent. To read it, as mocks and tracing do, does not make it replayable."""

    def __init__(self, method: str, url: httpx.URL, headers: httpx.Headers, content: bytes, timeout: float) -> None:
        self._body = Body(content)
        self._was_read = False
        waits = dict.fromkeys(("connect", "read", "write", "pool"), timeout)
        super().__init__(method, url, headers=headers, stream=self._body, extensions={"timeout": waits})

    def read(self) -> bytes:
        """Return the body."""
        self._was_read = True
        return self._body.content

    async def aread(self) -> bytes:
        """Return the body."""
        return self.read()

    @property
    def content(self) -> bytes:
        """The body, once it was read."""
        if not self._was_read:
            raise httpx.RequestNotRead
        return self._body.content

    def sent(self, failure: BaseException, transport: object) -> bool:
        """Tell whether the service may have the whole request, after this failure."""
        taken = self._body.taken
        if isinstance(failure, REFUSED) and (
            type(transport) in PLAIN or (type(failure) is httpx.ConnectError and not taken)
        ):
            return False
        # Whoever read the body may have sent it; and a request without one is whole before a body is asked for.
        bodiless = not self._body.content and not isinstance(failure, Exception)
        return taken or self._was_read or bodiless


# The deadline of the sync attempt in this thread, for the TLS socket to read.
_current: ContextVar[Deadline | None] = ContextVar("signalwire_tokens_deadline", default=None)


class Deadline:
    """When all that follows connecting must be done; its time begins with the first wait."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._end: float | None = None

    def left(self) -> float:
        """Return the seconds that are left; raise TimeoutError if there are none."""
        now = time.monotonic()
        if self._end is None:
            self._end = now + self._seconds
        if now >= self._end:
            raise TimeoutError("the attempt's time is up")
        return self._end - now


class _BoundedSocket(ssl.SSLSocket):
    """A TLS socket whose waits all end with the deadline of the attempt; httpx bounds each by itself."""

    def settimeout(self, value: float | None) -> None:
        deadline = _current.get()
        super().settimeout(deadline.left() if deadline and value else value)


def _state(path: str | None) -> object:
    if not path:
        return None
    with contextlib.suppress(OSError):
        entries = [path, *sorted(entry.path for entry in os.scandir(path))] if os.path.isdir(path) else [path]
        return tuple((entry, (found := os.stat(entry)).st_mtime_ns, found.st_size, found.st_ino) for entry in entries)
    return None


def tls_context() -> ssl.SSLContext:
    """Return the context for the trust settings as they are now; clients with the same settings share it."""
    return _context(*((path, _state(path)) for path in map(os.environ.get, ("SSL_CERT_FILE", "SSL_CERT_DIR"))))


@functools.lru_cache(maxsize=8)
def _context(*_trust: object) -> ssl.SSLContext:
    context = httpx.create_ssl_context()
    context.sslsocket_class = _BoundedSocket
    return context


def _proxy(url: httpx.URL, tls: ssl.SSLContext) -> httpx.Proxy | None:
    """Return the proxy that the environment names for a space; none for plain HTTP, which goes to loopback only."""
    proxies = getproxies()
    address = proxies.get("https") or proxies.get("all")
    names = (url.host, url.netloc.decode())
    # The standard library knows `*` only where it stands alone.
    everywhere = "*" in map(str.strip, proxies.get("no", "").split(","))
    if url.scheme != "https" or not address or everywhere or any(map(proxy_bypass, names)):
        return None
    address = address if "://" in address else f"http://{address}"
    return httpx.Proxy(address, ssl_context=tls if address.startswith("https:") else None)


class Attempt:
    """A request, and what came of it: a response, whole or in part, or the reason for which none came."""

    def __init__(self, request: Request, timeout: float, limit: int) -> None:
        # What the caller is handling is his own.
        self.outer = sys.exc_info()[1]
        self.request = request
        self.timeout = timeout
        self._limit = limit
        self.deadline = Deadline(timeout)
        self.response: httpx.Response | None = None
        self.content = bytearray()
        self.sent = False
        self.cut_off = False
        self.late = False
        self.reason = ""
        self.causes: tuple[type[BaseException], ...] = ()

    def feed(self, chunk: bytes) -> bool:
        """Keep a piece of the response's body and tell whether more is wanted."""
        self.content += chunk[: self._limit - len(self.content)]
        return len(self.content) < self._limit

    def fail(self, failure: BaseException, transport: object) -> None:
        """Keep what there is to say of a failure, and nothing of the failure: its frames hold the credentials."""
        links = list(_links(failure, self.outer))
        self.sent = self.response is not None or self.request.sent(failure, transport)
        self.cut_off = self.response is not None
        self.causes = tuple(map(type, links))
        # httpx-aiohttp calls every lost connection a ConnectTimeout; its cause says what it was.
        told = next((link for link in links if type(link).__module__.startswith("aiohttp")), failure)
        self.late = isinstance(told, (httpx.TimeoutException, TimeoutError))
        # Some transports leave it to the cause to say why.
        said = ((link, text) for link in links if (text := _text(link)) and not isinstance(failure, TimeoutError))
        link, text = next(said, (failure, ""))
        if self.sent:
            # Parsers quote what they could not read, which may be a minted token.
            text = re.split(r"""(?:bytearray\()?\bb['"]|["{<]""", text)[0]
        self.reason = f"{type(link).__name__}: {text}".removesuffix(": ")


def _text(link: BaseException) -> str:
    try:
        return str(link)
    except Exception:  # noqa: BLE001 - an exception of somebody's own
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


class _Transports(Generic[Transport]):
    """One transport for each call in flight, kept for another call after a whole exchange and closed after all else."""

    kind: ClassVar[type[Any]]
    plain: ClassVar[Callable[..., Any]]

    def __init__(self, given: Transport | None) -> None:
        if given is not None and not isinstance(given, self.kind):
            kind = f"{type(given).__module__}.{type(given).__qualname__}"
            raise TypeError(f"transport must be an httpx.{self.kind.__name__}, not {kind}")
        self.closed = False
        self.proxy = ""
        self._given = given

    def reach(self, origin: str) -> None:
        """Take the trust settings and the proxy for a space from the environment, as it is now."""
        if self._given is not None:
            return
        try:
            tls = tls_context()
            proxy = _proxy(httpx.URL(origin), tls)
            self.proxy = str(proxy.url) if proxy else ""
            limits = httpx.Limits(max_connections=1)
            self._new = functools.partial(self.plain, verify=tls, proxy=proxy, limits=limits)
            # A proxy that cannot be used shows now.
            self._new()
        except Exception as failure:  # noqa: BLE001 - a proxy or a CA file of the environment that is no good
            # Other texts may quote a proxy's password.
            text = f": {failure}" if isinstance(failure, (OSError, ImportError)) else ""
            problem = f"{type(failure).__name__}{text}"
        else:
            return
        raise ConfigurationError(
            "the HTTP transport cannot be set up; look at SSL_CERT_FILE, SSL_CERT_DIR, HTTPS_PROXY, ALL_PROXY and "
            f"NO_PROXY: {problem}"
        )


class SyncTransports(_Transports[httpx.BaseTransport]):
    """The transports of a sync client."""

    kind = httpx.BaseTransport
    plain = httpx.HTTPTransport

    def __init__(self, given: httpx.BaseTransport | None) -> None:
        super().__init__(given)
        # By process: a child of fork must never use its parent's connections.
        self._idle: dict[int, list[httpx.BaseTransport]] = {}

    async def exchange(self, attempt: Attempt) -> bool:
        """Send the request and read the response into the attempt; False if the client is closed."""
        idle = self._idle.setdefault(os.getpid(), [])
        transport, whole = self._given, False
        bound = _current.set(attempt.deadline)
        try:
            if self.closed:
                return False
            if transport is None:
                # Other threads may take the last one.
                with contextlib.suppress(IndexError):
                    transport = idle.pop()
                transport = transport or self._new()
            attempt.response = response = transport.handle_request(attempt.request)
            attempt.sent = True
            try:
                # A transport that was passed in may have read it already.
                stream = cast("httpx.SyncByteStream", response.stream)
                for chunk in (response.content,) if response.is_stream_consumed else stream:
                    if not attempt.feed(chunk):
                        break
                    attempt.deadline.left()
                else:
                    whole = True
            finally:
                response.close()
        except BaseException as failure:
            whole = False
            attempt.fail(failure, transport)
            if not isinstance(failure, Exception):
                raise
        finally:
            _current.reset(bound)
            if transport is not self._given and transport is not None:
                idle.append(transport) if whole else _close(transport)
                if self.closed:
                    self.close()
        return True

    def close(self) -> None:
        """Close what is idle; each call in flight closes its own."""
        self.closed = True
        idle = self._idle.setdefault(os.getpid(), [])
        with contextlib.suppress(IndexError):
            while True:
                _close(idle.pop())


def _close(transport: httpx.BaseTransport) -> None:
    # One that cannot be closed must not cost a token that has just come.
    with contextlib.suppress(Exception):
        transport.close()


class _Here:
    """What the calls in one event loop share."""

    def __init__(self) -> None:
        self.turns = anyio.Semaphore(IN_FLIGHT, fast_acquire=True)
        self.idle: list[httpx.AsyncBaseTransport] = []


class AsyncTransports(_Transports[httpx.AsyncBaseTransport]):
    """The transports of an async client, and the turns of its calls."""

    kind = httpx.AsyncBaseTransport
    plain = httpx.AsyncHTTPTransport

    def __init__(self, given: httpx.AsyncBaseTransport | None) -> None:
        super().__init__(given)
        # By process and event loop, none of which may use another's connections.
        self._everywhere: dict[int, WeakKeyDictionary[Any, _Here]] = {}

    def _here(self) -> _Here:
        process, loop = os.getpid(), anyio.lowlevel.current_token().native_token
        loops = self._everywhere.get(process) or self._everywhere.setdefault(process, WeakKeyDictionary())
        return loops.get(loop) or loops.setdefault(loop, _Here())

    async def exchange(self, attempt: Attempt) -> bool:
        """Send the request and read the response into the attempt; False if the client is closed."""
        here = self._here()
        transport, whole = self._given, False
        # Its time begins with its turn.
        async with here.turns:
            if self.closed:
                return False
            try:
                with anyio.move_on_after(attempt.timeout) as scope:
                    try:
                        if transport is None:
                            transport = here.idle.pop() if here.idle else self._new()
                        attempt.response = response = await transport.handle_async_request(attempt.request)
                        attempt.sent = True
                        try:
                            if response.is_stream_consumed:
                                whole = attempt.feed(response.content)
                            else:
                                async for chunk in cast("httpx.AsyncByteStream", response.stream):
                                    if not attempt.feed(chunk):
                                        break
                                else:
                                    whole = True
                        finally:
                            await response.aclose()
                    except BaseException as failure:
                        whole = False
                        attempt.fail(failure, transport)
                        if not isinstance(failure, Exception):
                            raise
                if scope.cancelled_caught:
                    attempt.fail(TimeoutError(), transport)
            finally:
                if transport is not self._given and transport is not None:
                    if whole:
                        here.idle.append(transport)
                    else:
                        await _aclose(transport)
                    if self.closed:
                        await self.aclose()
        return True

    async def aclose(self) -> None:
        """Close what is idle; each call in flight closes its own."""
        self.closed = True
        idle = self._here().idle
        while idle:
            await _aclose(idle.pop())


async def _aclose(transport: httpx.AsyncBaseTransport) -> None:
    # In the midst of a cancellation too, or the socket stays open.
    with anyio.CancelScope(shield=True), contextlib.suppress(Exception):
        await transport.aclose()


def advice(attempt: Attempt, proxy: str) -> str:
    """Say what to look at after a failure to connect, if that can be told."""
    used = f"the proxy {proxy} was used; look at HTTPS_PROXY and NO_PROXY" if proxy else ""
    if any(issubclass(cause, socket.gaierror) for cause in attempt.causes):
        return used or "the name cannot be resolved; check the space (SIGNALWIRE_SPACE)"
    if any(issubclass(cause, ssl.SSLCertVerificationError) for cause in attempt.causes):
        return "SSL_CERT_FILE names the certificate authorities to trust"
    return "" if attempt.sent else used
