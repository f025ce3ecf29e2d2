"""An attempt: a request that leaves once, the deadline, and what came of it."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextvars import ContextVar
from typing import ClassVar

import httpx

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
        honest = type(transport) in PLAIN or (type(failure) is httpx.ConnectError and not self._taken)
        if honest and isinstance(failure, REFUSED):
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
