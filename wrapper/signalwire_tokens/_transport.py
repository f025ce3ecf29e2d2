"""Sending through the HTTP library: own and external transports, TLS trust and proxies."""

import contextlib
import functools
import os
import ssl
from pathlib import Path
from typing import Any, ClassVar
from urllib.request import getproxies, proxy_bypass

import anyio
import httpx

from ._attempt import EXPECTED, Attempt, current
from .errors import ConfigurationError

# The most async calls in flight at once, and the most idle transports. httpx's and aiohttp's pools default to 100.
IN_FLIGHT = 64


class _BoundedSocket(ssl.SSLSocket):
    """A TLS socket whose waits all end at the deadline of the attempt; httpx bounds each wait separately."""

    def settimeout(self, value: float | None) -> None:
        request = current.get()
        super().settimeout(request.left() if request and value else value)


def _state(path: str) -> object:
    """Return a value that changes when the certificates in a file, or in one or more directories, change."""
    state: list[object] = [path]
    for part in {path, *path.split(os.pathsep)} - {""}:
        for entry in (Path(part), *Path(part).glob("*")):
            # A path may not exist, or be a broken link.
            with contextlib.suppress(OSError):
                state.append((entry, (stat := entry.stat()).st_mtime_ns, stat.st_ino))
    return tuple(state)


@functools.lru_cache(maxsize=8)
def _tls_context(_trust: object) -> ssl.SSLContext:
    context = httpx.create_ssl_context()
    context.sslsocket_class = _BoundedSocket
    return context


def _proxy(url: httpx.URL, tls: ssl.SSLContext) -> httpx.Proxy | None:
    """Return the proxy that the environment names for a space; None for plain HTTP, which is for loopback only."""
    proxies = getproxies()
    address = proxies.get("https") or proxies.get("all")
    # The standard library accepts `*` only if it stands alone.
    direct = "*" in map(str.strip, proxies.get("no", "").split(",")) or url.scheme != "https"
    if not address or direct or any(map(proxy_bypass, (url.host, url.netloc.decode()))):
        return None
    address = address if "://" in address else f"http://{address}"
    return httpx.Proxy(address, ssl_context=tls if address.startswith("https:") else None)


class SyncTransports:
    """One transport for each call in flight: kept for another call after a whole exchange, and otherwise closed."""

    awaits: ClassVar[bool] = False
    # The context that delays a cancellation, and the exceptions that pass through it all the same.
    shield: ClassVar[Any] = contextlib.nullcontext
    cancellation: ClassVar[Any] = tuple
    _base: ClassVar[Any] = httpx.BaseTransport
    _plain: ClassVar[Any] = httpx.HTTPTransport

    def __init__(self, given: Any, origin: str) -> None:
        if given is not None and not isinstance(given, self._base):
            raise TypeError(f"transport must be an httpx.{self._base.__name__}, not a {type(given)}")
        self.closed, self.proxy, self._given, where, problem = False, "", given, "SSL_CERT_FILE and SSL_CERT_DIR", ""
        # By process, and for async by event loop: none may use the connections of another.
        self._everywhere: dict[int, Any] = {}
        try:
            if given is None:
                # Clients with the same trust settings share a context; a change of the settings makes a new one.
                # If a file is set, the directory is not looked at: it is not used then, and may be large.
                tls = _tls_context(_state(os.environ.get("SSL_CERT_FILE") or os.environ.get("SSL_CERT_DIR", "")))
                where = "HTTPS_PROXY and ALL_PROXY"
                proxy = _proxy(httpx.URL(origin), tls)
                self.proxy = str(proxy.url) if proxy else ""
                self._new = functools.partial(self._plain, verify=tls, proxy=proxy)
                # This fails now if the proxy cannot be used.
                self._new()
        except Exception as failure:  # noqa: BLE001 - a proxy or a CA file of the environment that is no good
            # The text of any other error may quote a proxy's password.
            text = failure if isinstance(failure, (OSError, ImportError)) else "the value is not valid"
            problem = f"look at {where}: {type(failure).__name__}: {text}"
        if problem:
            raise ConfigurationError(f"the HTTP transport cannot be set up; {problem}")

    async def exchange(self, attempt: Attempt) -> None:
        """Send the request and read the response into the attempt."""
        (turns, idle), transport, whole = self._here(), self._given, False
        # An attempt's time begins with its turn.
        async with turns:
            try:
                # There may be none, or another thread takes the last one.
                with contextlib.suppress(IndexError):
                    transport = idle.pop() if self._given is None else self._given
                transport = self._new() if transport is None else transport
                # True until the opposite is known: an interruption may leave no time to find out.
                attempt.sent = True
                whole = await self._talk(transport, attempt)
            except BaseException as failure:
                attempt.fail(failure, transport, self.proxy)
                # An exception from a signal handler, such as a time limit, is no failure of our own transports.
                if not isinstance(failure, EXPECTED if self._given is None else Exception):
                    # In sync, closing it may wait for ever for a lock of httpcore that Ctrl-C left taken. It is let go.
                    transport = transport if self.awaits else self._given
                    raise
            finally:
                if transport is not self._given:
                    kept = whole and len(idle) < IN_FLIGHT
                    idle += [transport] if kept else []
                    await self._close([transport, *attempt.opened] if not kept else idle if self.closed else [])

    async def close(self) -> None:
        """Close the idle transports; each call in flight closes its own."""
        self.closed = True
        await self._close(self._here()[1])

    # AsyncTransports overrides the methods from here on.

    def _here(self) -> Any:
        """Return the turns and the idle transports of this process, and in async of this event loop."""
        return self._everywhere.setdefault(os.getpid(), (contextlib.nullcontext(), []))

    async def _talk(self, transport: Any, attempt: Attempt) -> bool:
        """Send the request and read the response; return whether it was read to its end."""
        outer = current.set(attempt.request)
        try:
            with contextlib.closing(attempt.begin(transport.handle_request(attempt.request))) as body:
                for chunk in body:
                    if not attempt.feed(chunk):
                        return False
                    attempt.request.left()
        finally:
            # A signal handler may make a call during this one.
            current.reset(outer)
        return True

    async def _close(self, transports: list[Any]) -> None:
        while transports:
            # A failure to close must not lose a token that has just arrived.
            with contextlib.suppress(Exception):
                transports.pop().close()


class AsyncTransports(SyncTransports):
    """The same for an async client."""

    # Lambdas, as anyio loads more modules when these are first used, which the sync client does not need.
    awaits, shield = True, staticmethod(lambda: anyio.CancelScope(shield=True))
    cancellation = staticmethod(lambda: anyio.get_cancelled_exc_class())  # noqa: PLW0108 - as said
    _base, _plain = httpx.AsyncBaseTransport, httpx.AsyncHTTPTransport

    def _here(self) -> Any:
        loop, loops = anyio.lowlevel.current_token().native_token, self._everywhere.setdefault(os.getpid(), {})
        if loop not in loops:
            # The connections of a closed loop cannot be used again. trio's tokens do not say whether their loop ended.
            for ended in [known for known in list(loops) if getattr(known, "is_closed", bool)()]:
                loops.pop(ended, None)
            loops[loop] = (anyio.Semaphore(IN_FLIGHT, fast_acquire=True), [])
        return loops[loop]

    async def _talk(self, transport: Any, attempt: Attempt) -> bool:
        if transport is not self._given:
            # One limit on the whole is enough, and another on each wait would cost time.
            attempt.request.extensions = {"trace": attempt.trace}
        with anyio.move_on_after(attempt.request.timeout):
            response = await transport.handle_async_request(attempt.request)
            async with contextlib.aclosing(attempt.begin(response)) as body:
                async for chunk in body:
                    if not attempt.feed(chunk):
                        return False
            return True
        raise TimeoutError("timed out")

    async def _close(self, transports: list[Any]) -> None:
        while transports:
            # Shielded, or the socket stays open after a cancellation.
            with self.shield(), contextlib.suppress(Exception):
                await transports.pop().aclose()
