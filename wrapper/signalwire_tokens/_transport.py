"""What httpx lacks: a bound on a whole attempt, bodies that tell when they leave, failures that show nothing."""

from __future__ import annotations

import functools
import re
import time
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Iterator


@functools.cache
def tls_context() -> ssl.SSLContext:
    """Return the one TLS context of the process: reading the CA certificates is most of what making a client costs."""
    return httpx.create_ssl_context()


class Deadline(float):
    """A timeout in seconds that knows when the whole attempt must have ended."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Return the seconds that are left; raise TimeoutError if there are none."""
        if (left := self._end - time.monotonic()) <= 0:
            raise TimeoutError("the time for the whole attempt is up")
        return left


class _Bounded:
    """httpcore's network backend, or a connection of it, on which a Deadline bounds all waits together."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._inner, name)

        def left(value: Any) -> Any:
            return value.left() if isinstance(value, Deadline) else value

        def bounded(*args: Any, **kwargs: Any) -> Any:
            result = method(*map(left, args), **{key: left(value) for key, value in kwargs.items()})
            return _Bounded(result) if name in {"connect_tcp", "start_tls"} else result

        return bounded if name in {"connect_tcp", "start_tls", "read", "write"} else method


def bounded_client(**options: Any) -> httpx.Client:
    """Return an httpx.Client that keeps to a Deadline; by itself, httpx bounds each wait and not their sum."""
    client = httpx.Client(**options)
    # httpx has no public way to the network backend. A mount of None stands for hosts that bypass a proxy.
    transports: list[Any] = [client._transport, *client._mounts.values()]
    for transport in filter(None, transports):
        transport._pool._network_backend = _Bounded(transport._pool._network_backend)
    return client


def send(client: Any, request: httpx.Request, *, own: bool) -> Any:
    """Send a request; past what our own clients have no use for (cookies, hooks, redirects), a quarter of a call."""
    if not own:
        return client.send(request, stream=True, auth=None, follow_redirects=False)
    transport = client._transport_for_url(request.url)
    return (getattr(transport, "handle_async_request", None) or transport.handle_request)(request)


class Body(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A request body that notes when it is handed to the network: from then on the call may be carried out."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self.handed_over = False

    def __iter__(self) -> Iterator[bytes]:
        self.handed_over = True
        yield self._content

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for content in self:
            yield content


def _chain(failure: BaseException) -> list[BaseException]:
    found: list[BaseException] = []
    pending = [failure]
    while pending:
        link = pending.pop()
        # Each once: chains may form a ring.
        if not any(link is known for known in found):
            found.append(link)
            pending += filter(None, (*getattr(link, "exceptions", ()), link.__context__, link.__cause__))
    return found


def strip(failure: BaseException) -> None:
    """Drop the frames of a failure and of all behind it: those of httpx hold the Authorization header."""
    for link in _chain(failure):
        link.__traceback__ = None


def reason(failure: BaseException | None) -> str:
    """Say what a failure says; some transports leave that to its cause."""
    links = [] if failure is None or isinstance(failure, TimeoutError) else _chain(failure)
    link = next((link for link in links if str(link)), failure)
    return f"{type(link).__name__}: {link}"


def is_timeout(failure: BaseException | None) -> bool:
    """Tell whether a failure is one of time; httpx-aiohttp calls every lost connection a ConnectTimeout."""
    cause = failure.__cause__ if failure else None
    told = cause if type(cause).__module__.startswith("aiohttp") else failure
    return isinstance(told, (httpx.TimeoutException, TimeoutError))


def harmless(failure: Exception, credentials: str, *, sent: bool = True) -> Exception:
    """Take from a failure what must not be shown. `sent`: what came in answer may be in its text."""
    strip(failure)
    # Parsers quote what they could not read, which may be a minted token; aiohttp's errors hold the request.
    quoting = re.compile(r"""(bytearray\()?\bb['"]|["{]""")
    if not any((sent and quoting.search(str(link))) or credentials in repr(link) for link in _chain(failure)):
        return failure
    # One of the same type, with the text up to there, takes the place.
    kind, text = type(failure), quoting.split(str(failure))[0].replace(credentials, "**********")
    shown = {"__str__": lambda _: text, "__repr__": lambda _: f"{kind.__name__}({text!r})"}
    bare: Any = type(kind.__name__, (kind,), {**shown, "__module__": kind.__module__})
    stand_in: Exception = bare.__new__(bare)
    return stand_in
