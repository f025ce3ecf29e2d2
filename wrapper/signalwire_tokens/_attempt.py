"""An attempt: a request that can be sent only once, its deadline and its outcome."""

import contextlib
import functools
import json
import re
import ssl
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextvars import ContextVar
from typing import Any, Self

import httpx

from ._operations import Call
from .models import SecretStr

# At most this many bytes of a response's body are kept.
MAX_BODY = 1024 * 1024

# The failures that happen before a connection is made, and the transports that raise them only then: httpx-aiohttp
# raises ConnectTimeout for every lost connection.
REFUSED = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError, httpx.UnsupportedProtocol)
PLAIN = (httpx.HTTPTransport, httpx.AsyncHTTPTransport, httpx.MockTransport)
# What our own transports raise; other exceptions come from signal handlers.
EXPECTED = (httpx.HTTPError, httpx.StreamError, OSError, RuntimeError, ValueError, ExceptionGroup)

# Parsing a URL costs as much as all the rest of a request.
_url = functools.lru_cache(httpx.URL)


class Request(httpx.Request, httpx.SyncByteStream, httpx.AsyncByteStream, AsyncIterator[bytes]):
    """A request that is its own body and can be sent only once: a transport that retries by itself would mint twice.

    Mocks and tracing may read the body: that neither uses it up nor makes it replayable.
    """

    def __init__(self, call: Call[Any], origin: str, headers: Callable[..., httpx.Headers], timeout: float) -> None:
        self._whole = json.dumps(call.request["json"]).encode() if "json" in call.request else b""
        self._taken, self._was_read, self.timeout, self._end = False, False, timeout, 0.0
        waits = {"connect": timeout, "read": timeout, "write": timeout, "pool": timeout}
        own = headers(len(self._whole), **call.request.get("headers", {}))
        url = _url(origin + call.request["url"])
        super().__init__(call.request["method"], url, headers=own, stream=self, extensions={"timeout": waits})

    def __iter__(self) -> Iterator[bytes]:
        if self._taken:
            raise httpx.StreamConsumed
        self._taken = True
        yield self._whole

    # Not a generator: trio warns about an async generator that was not finished.
    def __aiter__(self) -> Self:
        self._pieces = iter(self)
        return self

    async def __anext__(self) -> bytes:
        for piece in self._pieces:
            return piece
        raise StopAsyncIteration

    def read(self) -> bytes:
        """Return the body."""
        self._was_read = True
        return self._whole

    async def aread(self) -> bytes:
        """Return the body."""
        return self.read()

    @property
    def content(self) -> bytes:
        """The body; an error until it has been read."""
        if not self._was_read:
            raise httpx.RequestNotRead
        return self._whole

    def left(self) -> float:
        """Return the seconds left, counted from the first call of this; raise TimeoutError if there are none."""
        now = time.monotonic()
        self._end = self._end or now + self.timeout
        if now >= self._end:
            raise TimeoutError("timed out")
        return self._end - now

    def sent(self, failure: BaseException, transport: object) -> bool:
        """Return whether the service may have the whole request, after this failure."""
        plain, seen = type(transport) in PLAIN, self._taken or self._was_read
        # A transport not of httpx may have sent a body that it read, and a request without a body without reading it.
        if isinstance(failure, REFUSED) and (plain or not seen):
            return False
        return seen or not (self._whole or (plain and isinstance(failure, EXPECTED)))


# The request of the sync attempt in this thread; its TLS socket reads the deadline from it.
current: ContextVar[Request | None] = ContextVar("signalwire_tokens.request", default=None)


class Attempt:
    """A request of a call and its outcome: a response, whole or in part, or the reason why there is none.

    `hidden` is what no text may repeat. `applied`: an earlier attempt may have been carried out.
    """

    # Negative until a response arrives.
    status, headers, opened = -1, httpx.Headers(), tuple[Any, ...]()
    sent = cut_off = late = False
    reason = advice = ""

    def __init__(self, call: Call[Any], request: Request, hidden: tuple[SecretStr, ...], *, applied: bool) -> None:
        self.call, self.request, self.hidden, self.applied = call, request, hidden, applied
        # An exception that the caller is already handling is no part of this attempt's failure.
        self.outer, self.content = sys.exc_info()[1], bytearray()

    async def trace(self, _event: str, about: dict[str, Any]) -> None:
        """Keep an opened connection, to close it: httpcore does not if its TLS handshake is cancelled."""
        # Opening one is the first event; the others are not needed, and reporting them takes time. They are reported
        # all the same for a proxy whose request has its own extensions, as in httpcore2.
        self.request.extensions.clear()
        self.opened += tuple(filter(None, [about.get("return_value")]))

    def begin(self, response: httpx.Response) -> Any:
        """Keep the status and the headers of a response; return the stream of its body."""
        self.status, self.headers = response.status_code, response.headers
        # An external transport may have read it already.
        return httpx.ByteStream(response.content) if response.is_stream_consumed else response.stream

    def feed(self, chunk: bytes) -> bool:
        """Keep a piece of the response's body; return whether more is wanted."""
        self.content += chunk[: MAX_BODY - len(self.content)]
        return len(self.content) < MAX_BODY

    def fail(self, failure: BaseException, transport: object, proxy: str) -> None:
        """Keep what messages say about a failure, but not the exception: its frames hold the credentials."""
        # httpx-aiohttp calls every lost connection a ConnectTimeout; its cause says what it was.
        chain = sorted(links(failure, self.outer), key=lambda link: not type(link).__module__.startswith("aiohttp"))
        kinds = [type(link) for link in chain]
        self.cut_off = self.status >= 0
        self.sent = self.cut_off or self.request.sent(failure, transport)
        self.late = issubclass(kinds[0], (httpx.TimeoutException, TimeoutError))
        # Some transports give the reason only in the cause.
        link = next(filter(text_of, chain), failure)
        # Parsers quote what they could not read, which may be a new token.
        text = re.split(r"""(?:bytearray\()?\bb['"]|["{<]""", text_of(link))[0] if self.sent else text_of(link)
        self.reason = f"{type(link).__name__}: {text}".removesuffix(": ")
        hint = "check the space (SIGNALWIRE_SPACE)" if {httpx.ConnectError, httpx.ConnectTimeout} & {*kinds} else ""
        hint = f"the proxy {proxy} was used; look at HTTPS_PROXY, ALL_PROXY and NO_PROXY" if proxy else hint
        trust = "SSL_CERT_FILE names the certificate authorities to trust"
        self.advice = "" if self.sent else trust if ssl.SSLCertVerificationError in kinds else hint


def text_of(link: BaseException) -> str:
    # The `__str__` of somebody else's exception may raise.
    with contextlib.suppress(Exception):
        return str(link)
    return ""


def links(failure: BaseException | None, outer: BaseException | None) -> Iterator[BaseException]:
    """Yield a failure and the exceptions behind it, each once, up to the one that the caller is already handling."""
    seen: list[BaseException] = []
    while failure is not None and (failure is not outer or not seen) and not any(failure is known for known in seen):
        seen.append(failure)
        yield failure
        failure = failure.__context__ if failure.__cause__ is None else failure.__cause__
