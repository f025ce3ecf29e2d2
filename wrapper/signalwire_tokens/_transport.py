"""What httpx lacks: a bound on a whole attempt, bodies that tell when they leave, failures that show nothing."""

from __future__ import annotations

import contextlib
import functools
import re
import socket
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx

# The one of the process: reading the CA certificates is most of what making a client costs.
tls_context = functools.cache(httpx.create_ssl_context)


class Deadline(float):
    """A timeout in seconds that knows when the whole attempt must have ended."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Return the seconds that are left; raise TimeoutError if there are none."""
        if (left := self._end - time.monotonic()) <= 0:
            raise TimeoutError("the time for the whole attempt is up")
        return left


def _left(value: Any) -> Any:
    return value.left() if isinstance(value, Deadline) else value


class _Bounded:
    """httpcore's network backend, or a connection of it, on which a Deadline bounds all waits together."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._inner, name)

        def bounded(*args: Any, **kwargs: Any) -> Any:
            result = method(*map(_left, args), **{key: _left(value) for key, value in kwargs.items()})
            return _Bounded(result) if name == "start_tls" else result

        return bounded if name in {"start_tls", "read", "write"} else method

    def connect_tcp(self, host: str, port: int, timeout: float | None = None, **options: Any) -> Any:
        addresses = [host]
        # httpcore, which would give the whole time to each address, tells what is wrong with a name.
        with contextlib.suppress(OSError):
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        for tried, address in enumerate(addresses[:-1]):
            with contextlib.suppress(Exception):
                left = _left(timeout)
                share = left if left is None else left / (len(addresses) - tried)
                return _Bounded(self._inner.connect_tcp(address, port, timeout=share, **options))
        return _Bounded(self._inner.connect_tcp(addresses[-1], port, timeout=_left(timeout), **options))


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
        if self.handed_over:
            # A transport that tries again by itself would mint twice.
            raise httpx.StreamConsumed
        self.handed_over = True
        yield self._content

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for content in self:
            yield content


def _chain(failure: BaseException, outer: BaseException | None) -> list[BaseException]:
    found: list[BaseException] = []
    pending = [failure]
    while pending:
        link = pending.pop()
        # Each once: chains may form a ring.
        if link is not outer and not any(link is known for known in found):
            found.append(link)
            pending += filter(None, (*getattr(link, "exceptions", ()), link.__context__, link.__cause__))
    return found


def strip(failure: BaseException, outer: BaseException | None = None) -> None:
    """Drop the frames of a failure and of all behind it: those of httpx hold the Authorization header."""
    for link in _chain(failure, outer):
        link.__traceback__ = None


def reason(failure: BaseException | None, outer: BaseException | None = None) -> str:
    """Say what a failure says; some transports leave that to its cause."""
    links = [] if failure is None or isinstance(failure, TimeoutError) else _chain(failure, outer)
    link = next((link for link in links if str(link)), failure)
    return f"{type(link).__name__}: {link}".removesuffix(": ")


def is_timeout(failure: BaseException) -> bool:
    """Tell whether a failure is one of time; httpx-aiohttp calls every lost connection a ConnectTimeout."""
    cause = failure.__cause__
    told = cause if type(cause).__module__.startswith("aiohttp") else failure
    return isinstance(told, (httpx.TimeoutException, TimeoutError))


def harmless(failure: Exception, outer: BaseException | None = None, *, sent: bool = True) -> Exception:
    """Take from a failure what must not be shown. `sent`: what came in answer may be in its text."""
    strip(failure, outer)
    # Parsers quote what they could not read, which may be a minted token; aiohttp's errors hold the request.
    quoting = re.compile(r"""(bytearray\()?\bb['"]|["{<]""")
    # Those of the space or of a proxy; OpenSSL names an extension of certificates alike.
    credentials = re.compile(r"Basic (?!Constraints)\S+")
    links = _chain(failure, outer)
    if not any((sent and quoting.search(str(link))) or credentials.search(repr(link)) for link in links):
        return failure
    return stand_in(failure, credentials.sub("**********", quoting.split(str(failure))[0]))


def stand_in(failure: Exception, text: str) -> Exception:
    """Return a failure of the same type that says and holds no more than `text`."""
    kind = type(failure)
    shown = {
        "__str__": lambda _: text,
        "__repr__": lambda _: f"{kind.__name__}({text!r})",
        "__module__": kind.__module__,
    }
    bare: Any = type(kind.__name__, (kind,), shown)
    try:
        made: Exception = bare.__new__(bare)
    except Exception:  # noqa: BLE001 - some types, such as groups, cannot be made without more
        made = type(kind.__name__, (Exception,), shown)()
    return made
