"""An attempt: a request that leaves once, the deadline, and what came of it."""

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

# How much of a response's body is read.
MAX_BODY = 1024 * 1024

# The kinds of failure before a connection is made, and the transports that use them for nothing else: aiohttp's calls
# every lost connection a ConnectTimeout.
REFUSED = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError, httpx.UnsupportedProtocol)
PLAIN = (httpx.HTTPTransport, httpx.AsyncHTTPTransport, httpx.MockTransport)
# What our own transports raise; other exceptions come from signal handlers.
EXPECTED = (httpx.HTTPError, httpx.StreamError, OSError, RuntimeError, ValueError, ExceptionGroup)

# Parsing a URL costs as much as all the rest of a request.
_url = functools.lru_cache(httpx.URL)


class Request(httpx.Request, httpx.SyncByteStream, httpx.AsyncByteStream, AsyncIterator[bytes]):
    """A request that is its own body, which leaves once: a transport that retries by itself would mint twice.

    To read it, as mocks and tracing do, is not to send it, and does not make it replayable.
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

    # No generator: trio warns of an async one that was left half-way.
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
        """The body, once it was read."""
        if not self._was_read:
            raise httpx.RequestNotRead
        return self._whole

    def left(self) -> float:
        """Return the seconds that are left of the time that begins with the first wait; raise TimeoutError for none."""
        now = time.monotonic()
        self._end = self._end or now + self.timeout
        if now >= self._end:
            raise TimeoutError("timed out")
        return self._end - now

    def sent(self, failure: BaseException, transport: object) -> bool:
        """Tell whether the service may have the whole request, after this failure."""
        plain, seen = type(transport) in PLAIN, self._taken or self._was_read
        # Who read the body may have sent it, if not by httpx; one without a body may leave before a body is asked for.
        if isinstance(failure, REFUSED) and (plain or not seen):
            return False
        return seen or not (self._whole or (plain and isinstance(failure, EXPECTED)))


# That of the sync attempt in this thread, for its TLS socket to read.
current: ContextVar[Request | None] = ContextVar("signalwire_tokens.request", default=None)


class Attempt:
    """A request of a call, and what came of it: a response, whole or in part, or the reason for which none came.

    `hidden` is what no text may repeat. `applied`: an earlier attempt may have been carried out.
    """

    # Below any status until a response comes.
    status, headers = -1, httpx.Headers()
    sent = cut_off = late = False
    reason = advice = ""

    def __init__(self, call: Call[Any], request: Request, hidden: tuple[SecretStr, ...], *, applied: bool) -> None:
        self.call, self.request, self.hidden, self.applied = call, request, hidden, applied
        # What the caller is handling is his own.
        self.outer, self.content, self.opened = sys.exc_info()[1], bytearray(), list[Any]()

    async def trace(self, _event: str, about: dict[str, Any]) -> None:
        """Keep a connection that is opened: httpcore forgets to close one whose TLS handshake is cancelled."""
        # To open one comes first. What follows is of no interest, and to be told of it takes time.
        self.request.extensions.clear()
        self.opened += filter(None, [about.get("return_value")])

    def begin(self, response: httpx.Response) -> Any:
        """Keep the head of a response; return its body's stream."""
        self.status, self.headers = response.status_code, response.headers
        # A transport that was passed in may have read it already.
        return httpx.ByteStream(response.content) if response.is_stream_consumed else response.stream

    def feed(self, chunk: bytes) -> bool:
        """Keep a piece of the response's body and tell whether more is wanted."""
        self.content += chunk[: MAX_BODY - len(self.content)]
        return len(self.content) < MAX_BODY

    def fail(self, failure: BaseException, transport: object, proxy: str) -> None:
        """Keep what there is to say of a failure, and nothing of the failure: its frames hold the credentials."""
        # httpx-aiohttp calls every lost connection a ConnectTimeout; its cause says what it was.
        chain = sorted(links(failure, self.outer), key=lambda link: not type(link).__module__.startswith("aiohttp"))
        kinds = [type(link) for link in chain]
        self.cut_off = self.status >= 0
        self.sent = self.cut_off or self.request.sent(failure, transport)
        self.late = issubclass(kinds[0], (httpx.TimeoutException, TimeoutError))
        # Some transports leave it to the cause to say why.
        link = next(filter(text_of, chain), failure)
        # Parsers quote what they could not read, which may be a new token.
        text = re.split(r"""(?:bytearray\()?\bb['"]|["{<]""", text_of(link))[0] if self.sent else text_of(link)
        self.reason = f"{type(link).__name__}: {text}".removesuffix(": ")
        hint = "check the space (SIGNALWIRE_SPACE)" if {httpx.ConnectError, httpx.ConnectTimeout} & {*kinds} else ""
        hint = f"the proxy {proxy} was used; look at HTTPS_PROXY, ALL_PROXY and NO_PROXY" if proxy else hint
        trust = "SSL_CERT_FILE names the certificate authorities to trust"
        self.advice = "" if self.sent else trust if ssl.SSLCertVerificationError in kinds else hint


def text_of(link: BaseException) -> str:
    # An exception of somebody's own may have no text.
    with contextlib.suppress(Exception):
        return str(link)
    return ""


def links(failure: BaseException | None, outer: BaseException | None) -> Iterator[BaseException]:
    """Yield a failure and what is behind it, each once, up to what the caller is handling."""
    seen: list[BaseException] = []
    while failure is not None and (failure is not outer or not seen) and not any(failure is known for known in seen):
        seen.append(failure)
        yield failure
        failure = failure.__context__ if failure.__cause__ is None else failure.__cause__
