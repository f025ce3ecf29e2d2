"""The only door to the HTTP library, with `_attempt`: own and given transports, TLS trust and proxies."""

from __future__ import annotations

import contextlib
import functools
import os
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar
from urllib.request import getproxies, proxy_bypass
from weakref import WeakKeyDictionary

import anyio
import anyio.lowlevel
import httpx

from ._attempt import Attempt, Deadline
from .errors import ConfigurationError

# The async calls in flight at once; others wait. The pools of httpx and aiohttp take 100 by default.
IN_FLIGHT = 64


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


class SyncTransports:
    """One transport for each call in flight, kept for another call after a whole exchange and closed after all else."""

    _base: ClassVar[type[Any]] = httpx.BaseTransport
    _plain: ClassVar[Callable[..., Any]] = httpx.HTTPTransport

    def __init__(self, given: Any, origin: str) -> None:
        if given is not None and not isinstance(given, self._base):
            kind = f"{type(given).__module__}.{type(given).__qualname__}"
            raise TypeError(f"transport must be an httpx.{self._base.__name__}, not {kind}")
        self.closed, self.proxy, self._given, problem = False, "", given, ""
        # By process, and for async by event loop, none of which may use another's connections.
        self._everywhere: dict[int, Any] = {}
        try:
            if given is None:
                tls, limits = tls_context(), httpx.Limits(max_connections=1)
                proxy = _proxy(httpx.URL(origin), tls)
                self.proxy = str(proxy.url) if proxy else ""
                self._new = functools.partial(self._plain, verify=tls, proxy=proxy, limits=limits)
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
        (turns, idle), transport, whole = self._here(), self._given, False
        # An attempt's time begins with its turn.
        async with turns:
            if self.closed:
                return False
            try:
                with self._bound(attempt) as scope:
                    try:
                        transport = transport or self._take(idle)
                        whole = await self._talk(transport, attempt)
                    except BaseException as failure:
                        attempt.fail(failure, transport)
                        if not isinstance(failure, Exception):
                            raise
                if scope is not None and scope.cancelled_caught:
                    attempt.fail(TimeoutError(), transport)
            finally:
                if transport is not None and transport is not self._given:
                    idle += [transport] if whole else []
                    await self._close([transport] if not whole else idle if self.closed else [])
        return True

    def _take(self, idle: list[Any]) -> Any:
        # Other threads may take the last one.
        with contextlib.suppress(IndexError):
            return idle.pop()
        return self._new()

    async def close(self) -> None:
        """Close what is idle; each call in flight closes its own."""
        self.closed = True
        await self._close(self._here()[1])

    # From here on, what waits in another way in async.

    def _here(self) -> tuple[Any, list[Any]]:
        """Return the turns and the idle transports of this process, and in async of this event loop."""
        process = os.getpid()
        here: tuple[Any, list[Any]] | None = self._everywhere.get(process)
        return here or self._everywhere.setdefault(process, (contextlib.nullcontext(), []))

    def _bound(self, _attempt: Attempt) -> contextlib.AbstractContextManager[anyio.CancelScope | None]:
        return contextlib.nullcontext()

    async def _talk(self, transport: Any, attempt: Attempt) -> bool:
        """Send, and read the response; tell whether it was read to its end."""
        Deadline.current.set(attempt.deadline)
        attempt.response = response = transport.handle_request(attempt.request)
        try:
            # A transport that was passed in may have read it already.
            for chunk in (response.content,) if response.is_stream_consumed else response.stream:
                if not attempt.feed(chunk):
                    return False
                attempt.deadline.left()
        finally:
            response.stream.close()
        return True

    async def _close(self, transports: list[Any]) -> None:
        while transports:
            # One that cannot be closed must not cost a token that has just come.
            with contextlib.suppress(Exception):
                transports.pop().close()


class AsyncTransports(SyncTransports):
    """The same for an async client."""

    _base, _plain = httpx.AsyncBaseTransport, httpx.AsyncHTTPTransport

    def _here(self) -> tuple[Any, list[Any]]:
        process, loop = os.getpid(), anyio.lowlevel.current_token().native_token
        loops = self._everywhere.get(process) or self._everywhere.setdefault(process, WeakKeyDictionary())
        here: tuple[Any, list[Any]] | None = loops.get(loop)
        return here or loops.setdefault(loop, (anyio.Semaphore(IN_FLIGHT, fast_acquire=True), []))

    def _bound(self, attempt: Attempt) -> anyio.CancelScope:
        return anyio.move_on_after(attempt.timeout)

    async def _talk(self, transport: Any, attempt: Attempt) -> bool:
        if transport is not self._given:
            # One bound on the whole is enough, and another on each wait takes time.
            attempt.request.extensions.clear()
        attempt.response = response = await transport.handle_async_request(attempt.request)
        try:
            if response.is_stream_consumed:
                return attempt.feed(response.content)
            async for chunk in response.stream:
                if not attempt.feed(chunk):
                    return False
        finally:
            await response.stream.aclose()
        return True

    async def _close(self, transports: list[Any]) -> None:
        while transports:
            # In the midst of a cancellation too, or the socket stays open.
            with anyio.CancelScope(shield=True), contextlib.suppress(Exception):
                await transports.pop().aclose()
