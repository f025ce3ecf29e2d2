"""A space on a raw loopback socket that fails as it is told and counts what it carries out."""

from __future__ import annotations

import contextlib
import json
import re
import secrets
import socket
import struct
import threading
from typing import TYPE_CHECKING, Any, NoReturn
from uuid import uuid4

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable
    from typing import Self

    Script = Callable[["Exchange"], None]

# SO_LINGER on, for 0 seconds: closing sends a reset.
_RESET = struct.pack("ii", 1, 0)


class Gone(Exception):  # noqa: N818 - no error: it ends a script
    """The conversation on a connection is over."""


class FaultServer:
    """Plays scripts, one for each request, and is a healthy space from then on.

    Attributes:
        token_id, secret: A token that lives from the start, for updates and deletions.
        minted: The secrets of the tokens that were minted, by ID.
        applied: How many requests were carried out.
        exchanges: How many scripts and healthy answers were begun.
        connections: How many connections were taken.
        received: All bytes that were read, without TLS.
        elsewhere: The URL of another host, for redirects.
    """

    elsewhere = ""

    def __init__(
        self,
        scripts: Iterable[Script] = (),
        *,
        host: str = "127.0.0.1",
        name: str | None = None,
        tls: ssl.SSLContext | None = None,
        at_accept: bool = False,
        opening: str = "open",
    ) -> None:
        """Set the server up.

        Args:
            scripts: What to play.
            host: The loopback address to listen on.
            name: How the URL names the host. Default: by its address.
            tls: Speak TLS. Default: plain HTTP.
            at_accept: Play a script as soon as a client connects. Default: as soon as it sends.
            opening: `open`; or, until `open` is called, `closed`: connections are refused, or `full`: they are left
                waiting.
        """
        self.token_id = str(uuid4())
        self.secret = new_secret()
        self.minted: dict[str, str] = {}
        self.applied = 0
        self.exchanges = 0
        self.connections = 0
        self.received = bytearray()
        self.stopping = threading.Event()
        self._deleted = False
        self._scripts = iter(list(scripts))
        self._tls = tls
        self._at_accept = at_accept
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._sockets: list[socket.socket] = []
        # Bound from the start: a port that is closed must not become that of another test's server.
        self._listener = socket.socket()
        self._listener.bind((host, 0))
        self._address = self._listener.getsockname()
        self.url = f"{'https' if tls else 'http'}://{name or host}:{self._address[1]}"
        self._opened = False
        if opening == "open":
            self.open()
        elif opening == "full":
            self._crowd()

    def open(self) -> None:
        """Take connections from now on."""
        if not self._opened:
            self._opened = True
            self._listener.listen(64)
            self._start(self._accept)

    def secrets(self) -> list[str]:
        """Return every secret that an answer could have shown."""
        return [self.secret, *self.minted.values()]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        with self._lock:
            for each in [self._listener, *self._sockets]:
                # Wakes the thread that waits for it.
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
        for thread in list(self._threads):
            thread.join()
        for each in [self._listener, *self._sockets]:
            each.close()

    def _crowd(self) -> None:
        """Fill the queue of connections, so that the next one has to wait."""
        self._listener.listen(0)
        for _ in range(2):
            filler = socket.socket()
            filler.setblocking(False)  # noqa: FBT003 - the socket's own signature
            filler.connect_ex(self._address)
            self._sockets.append(filler)

    def _start(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        with self._lock:
            self._threads = [known for known in self._threads if known.is_alive()]
            thread.start()
            self._threads.append(thread)

    def _accept(self) -> None:
        while not self.stopping.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._sockets.append(connection)
                self.connections += 1
            if self.stopping.is_set():
                return
            self._start(self._converse, connection)

    def _converse(self, connection: socket.socket) -> None:
        with contextlib.suppress(Gone, OSError), connection:
            stream = self._tls.wrap_socket(connection, server_side=True) if self._tls else connection
            with stream:
                exchange = Exchange(self, stream)
                while not self.stopping.is_set():
                    # A peek, so that a script may leave the request unread; TLS has none.
                    if self._tls and not self._at_accept:
                        exchange.await_some()
                    elif not self._at_accept and not stream.recv(1, socket.MSG_PEEK):
                        return
                    with self._lock:
                        self.exchanges += 1
                        script = next(self._scripts, healthy)
                    script(exchange)

    def carry_out(self, method: str, path: str, body: bytes) -> tuple[int, dict[str, Any]]:
        """Do what a request asks, and return the status of a healthy answer and the token in question."""
        with self._lock:
            fields = {"name": "ci", "permissions": ["fax"], **(json.loads(body) if body else {})}
            if method == "POST":
                token_id, secret = str(uuid4()), new_secret()
                self.minted[token_id] = secret
            else:
                token_id, secret = self.token_id, self.secret
            status = 204 if method == "DELETE" else 200
            if method != "POST" and (self._deleted or not path.endswith(self.token_id)):
                status = 404
            else:
                self.applied += 1
                self._deleted = method == "DELETE"
            return status, {"id": token_id, **fields, "token": secret}


class Exchange:
    """A request on a connection, and what a script does about it."""

    def __init__(self, server: FaultServer, connection: socket.socket) -> None:
        self.server = server
        self._connection = connection
        self._buffer = bytearray()

    def read(self) -> None:
        """Read the request whole."""
        while b"\r\n\r\n" not in self._buffer:
            self._fill()
        top, _, _ = bytes(self._buffer).partition(b"\r\n\r\n")
        self._method, self._path, _ = top.split(b"\r\n", 1)[0].decode().split(" ")
        length = re.search(rb"(?im)^content-length: *(\d+)", top)
        end = len(top) + 4 + (int(length[1]) if length else 0)
        while len(self._buffer) < end:
            self._fill()
        self._body = bytes(self._buffer[len(top) + 4 : end])
        del self._buffer[:end]

    def await_some(self) -> None:
        """Wait until the request has begun to come."""
        if not self._buffer:
            self._fill()

    def _fill(self) -> None:
        data = self._connection.recv(65536)
        if not data:
            raise Gone
        self.server.received += data
        self._buffer += data

    def await_whole(self) -> None:
        """Wait until the whole request came, and leave it unread."""
        while True:
            data = self._connection.recv(65536, socket.MSG_PEEK)
            top, blank, body = data.partition(b"\r\n\r\n")
            length = re.search(rb"(?im)^content-length: *(\d+)", top)
            if not data or self.server.stopping.wait(0.002):
                raise Gone
            if blank and len(body) >= (int(length[1]) if length else 0):
                return

    def apply(self) -> tuple[int, dict[str, Any]]:
        """Carry the request out; see `FaultServer.carry_out`."""
        return self.server.carry_out(self._method, self._path, self._body)

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self._connection.sendall(data)

    def drip(self, data: bytes, pieces: int = 1) -> None:
        """Send `pieces` bytes each 50 ms until the client hangs up."""
        for start in range(0, len(data), pieces):
            self.send(data[start : start + pieces])
            if self.server.stopping.wait(0.05):
                raise Gone

    def hold(self) -> NoReturn:
        """Say nothing more until the client hangs up."""
        while self._connection.recv(65536):
            pass
        raise Gone

    def drain(self) -> NoReturn:
        """Read all that comes, whatever it is, and hang up when the client does."""
        while True:
            self._fill()

    def close(self) -> NoReturn:
        """Hang up."""
        raise Gone

    def reset(self) -> NoReturn:
        """Hang up with a reset."""
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        raise Gone


def new_secret() -> str:
    """Return a secret as SignalWire makes them."""
    return "PT" + secrets.token_hex(24)


def head(status: int, *headers: str) -> bytes:
    """Return a status line and headers."""
    return "\r\n".join([f"HTTP/1.1 {status} As It Were", *headers, "", ""]).encode("latin-1")


def reply(status: int, body: bytes = b"", *headers: str) -> bytes:
    """Return a well-formed answer."""
    sized = [] if status in {204, 304} else [f"Content-Length: {len(body)}"]
    return head(status, *sized, *headers) + body


def healthy(exchange: Exchange) -> None:
    """Answer as the service does."""
    exchange.read()
    status, token = exchange.apply()
    data = {200: token, 404: {"error": "Not Found"}}.get(status)
    body = b"" if data is None else json.dumps(data).encode()
    exchange.send(reply(status, body, "Content-Type: application/json", "X-Request-ID: req-7"))
