"""A SignalWire space for tests and demos, in this process or over real loopback HTTP.

`python -m signalwire_tokens.testing` serves one until it is interrupted and prints the three `export` lines to use it
from a shell.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import hmac
import json
import queue
import re
import secrets
import signal
import sys
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID, uuid4

import attrs
import httpx

from signalwire_rest.answers import CREATE_TOKEN, DELETE_TOKEN, UPDATE_TOKEN

from . import Permission, SecretStr

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping

__all__ = ["FakeRequest", "FakeSpace", "FakeToken"]

_PATH = re.compile(r"/api/project/tokens(?:/(?P<id>[^/]+))?")
_DOCS = "https://signalwire.com/docs/apis/error-codes"


@attrs.define
class FakeToken:
    """A token of a fake space. Set `permissions` to choose the values that the space answers with."""

    id: UUID
    name: str
    permissions: tuple[str, ...]
    token: SecretStr
    project_id: str


@attrs.frozen
class FakeRequest:
    """A request that the space received, its credentials masked, and the status of the answer; None if it gave none."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any
    status: int | None


@attrs.frozen
class _Answer:
    status: int
    body: bytes = b""
    headers: httpx.Headers = attrs.field(factory=httpx.Headers, converter=httpx.Headers)


@attrs.frozen
class _Fault:
    answer: _Answer | None
    timeout: bool
    applied: bool


class FakeSpace:
    """A space that mints, changes and deletes tokens as the documented service does, and keeps them in memory.

    Attributes:
        project_id: The project's ID.
        api_token: A token of the project that has the `management` permission; it is not among `tokens`.
        tokens: The tokens that exist, by ID, in the order they were minted.
        requests: The requests that it received, in order.
        transport: The space as a transport for any `httpx.Client` or `httpx.AsyncClient`.

    Example:
        >>> space = FakeSpace()
        >>> with space.serve() as url, ProjectTokens(url, space.project_id, space.api_token) as tokens:
        ...     tokens.create("ci", ["fax"]).id in space.tokens
        True
    """

    def __init__(self) -> None:
        self.project_id: str = str(uuid4())
        self.api_token: SecretStr = _secret()
        self.tokens: dict[UUID, FakeToken] = {}
        self.requests: list[FakeRequest] = []
        self.transport: httpx.MockTransport = httpx.MockTransport(self._respond)
        self._subprojects: set[str] = set()
        self._faults: list[_Fault] = []
        # Python 3.14 may raise KeyboardInterrupt between taking a lock and its block: the lock is never released, and
        # its own thread must be able to take it again. The methods that users call take none.
        self._lock = threading.RLock()

    def __repr__(self) -> str:
        return f"FakeSpace(project_id={self.project_id!r}, tokens={len(self.tokens)})"

    def add_subproject(self, name: str) -> UUID:
        """Add a subproject of the project and return its ID. `name` is for the reader; the space does not use it."""
        del name
        subproject = uuid4()
        self._subprojects.add(str(subproject))
        return subproject

    def fail_next(
        self,
        status: int | None = None,
        *,
        times: int = 1,
        applied: bool = False,
        body: object = None,
        headers: Mapping[str, str] | None = None,
        disconnect: bool = False,
        timeout: bool = False,
    ) -> None:
        """Make the next requests fail, after those already scripted.

        Args:
            status: The status to answer with.
            times: How many requests fail. Default: 1.
            applied: Whether the request is carried out before it fails. Default: it is not.
            body: The body of the answer: bytes or str as they are, anything else as JSON. Default: an error of the
                documented shape.
            headers: Headers of the answer, beside those that fit the body, or in their place. Default: none.
            disconnect: Close the connection instead of answering. Default: answer.
            timeout: Never answer. Without a socket, that is an immediate `httpx.ReadTimeout`. Default: answer.

        Raises:
            TypeError, ValueError: `status` is not a final HTTP status (200 to 599), not exactly one of `status`,
                `disconnect` and `timeout` is given, or `times` is not a whole number above 0.

        Example:
            >>> space.fail_next(timeout=True, applied=True)  # the token is minted, and nobody hears of it
        """
        if [status is not None, disconnect, timeout].count(True) != 1:
            raise ValueError("give exactly one of status, disconnect and timeout")
        if status is not None and (isinstance(status, bool) or not isinstance(status, int)):
            raise TypeError(f"status must be an int such as 503, not {status!r}; timeout=True never answers")
        if status is not None and not 200 <= status <= 599:
            raise ValueError(f"status must be from 200 to 599, not {status}")
        if isinstance(times, bool) or not isinstance(times, int):
            raise TypeError(f"times must be an int, not {times!r}")
        if times < 1:
            raise ValueError(f"times must be at least 1, not {times}; leave the call out for no fault")
        if status is None:
            answer = None
        elif body is None:
            answer = _problem(status)
        elif isinstance(body, (bytes, str)):
            answer = _Answer(status, body if isinstance(body, bytes) else body.encode())
        else:
            answer = _json(status, body)
        if answer:
            answer.headers.update(headers or {})
        self._faults.extend([_Fault(answer, timeout, applied)] * times)

    @property
    def unused_faults(self) -> int:
        """How many scripted faults have met no request yet. The pytest fixture fails a test that leaves any."""
        return len(self._faults)

    def clear_faults(self) -> None:
        """Forget the faults that have met no request yet.

        Example:
            >>> space.fail_next(503, times=9)
            >>> space.clear_faults()
        """
        self._faults.clear()

    def serve(self, port: int = 0) -> contextlib.AbstractContextManager[str]:
        """Serve the space over HTTP on the loopback interface, in a context that yields its base URL.

        Args:
            port: The TCP port. Default: a free one.

        Raises:
            OSError: The port is taken.

        Example:
            >>> with FakeSpace().serve() as url:
            ...     url
            'http://127.0.0.1:49152'
        """
        return _Serving(self, port)

    def _respond(self, request: httpx.Request) -> httpx.Response:
        path = request.url.raw_path.decode().partition("?")[0]
        answer = self._receive(request.method, path, dict(request.headers), request.content)
        if isinstance(answer, _Answer):
            return httpx.Response(answer.status, headers=answer.headers, content=answer.body)
        if answer.timeout:
            raise httpx.ReadTimeout("The fake space does not answer.", request=request)
        raise httpx.RemoteProtocolError("Server disconnected without sending a response.", request=request)

    def _receive(self, method: str, path: str, headers: dict[str, str], content: bytes) -> _Answer | _Fault:
        """Carry out a request and return the answer, or the fault that replaces it."""
        headers = {name.lower(): value for name, value in headers.items()}
        try:
            body = json.loads(content) if content else None
        except (ValueError, RecursionError):
            body = None
        with self._lock:
            fault = None
            # There may be none, or a test forgets the last one.
            with contextlib.suppress(IndexError):
                fault = self._faults.pop(0)
            # Masked before the request is carried out: a token that deletes itself must be masked, too.
            masked = self._masked(headers)
            answer = None
            if fault is None or fault.applied:
                answer = self._answer(method, path, headers.get("authorization", ""), body)
            if fault is not None:
                answer = fault.answer
            self.requests.append(FakeRequest(method, path, masked, body, answer.status if answer else None))
        return answer or fault or _problem(500)

    def _masked(self, headers: dict[str, str]) -> dict[str, str]:
        living = [token.get_secret_value() for token in (self.api_token, *(t.token for t in self.tokens.values()))]

        def mask(name: str, value: str) -> str:
            if name in {"authorization", "proxy-authorization"}:
                return "Basic **********" if value.lower().startswith("basic ") else "**********"
            return "**********" if any(secret in value for secret in living) else value

        return {name: mask(name, value) for name, value in headers.items()}

    def _answer(self, method: str, path: str, authorization: str, body: object) -> _Answer:
        project = self._authenticate(authorization)
        if project is None:
            return _problem(401)
        match = _PATH.fullmatch(path)
        if match is None:
            return _problem(404)
        allowed = ("PATCH", "DELETE") if match["id"] else ("POST",)
        if method not in allowed:
            refused = _problem(405)
            refused.headers["Allow"] = ", ".join(allowed)
            return refused
        if method == "POST":
            return self._create(project, body)
        token = self.tokens.get(_uuid(match["id"]) or uuid4())
        if token is None or token.project_id not in self._projects(project):
            return _problem(404)
        return self._update(token, body) if method == "PATCH" else self._delete(token)

    def _authenticate(self, authorization: str) -> str | None:
        """Return the project whose credentials these are, if they may manage it."""
        scheme, _, encoded = authorization.partition(" ")
        if scheme.lower() != "basic":
            return None
        try:
            user, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
        except ValueError:
            return None
        managers = [(self.project_id, self.api_token)]
        managers += [(t.project_id, t.token) for t in self.tokens.values() if Permission.MANAGEMENT in t.permissions]
        for project, token in managers:
            pair = f"{project}:{token.get_secret_value()}"
            if hmac.compare_digest(pair.encode(), f"{user}:{password}".encode()):
                return project
        return None

    def _projects(self, project: str) -> set[str]:
        return {project} | (self._subprojects if project == self.project_id else set())

    def _create(self, project: str, body: object) -> _Answer:
        if not isinstance(body, dict):
            return _invalid(("invalid_parameter", "Body must be a JSON object", None))
        problems = [*_name_problems(body, required=True), *_permission_problems(body, required=True)]
        owner = project
        if "subproject_id" in body:
            owner = str(_uuid(body["subproject_id"]))
            if owner not in self._projects(project) - {project}:
                problems.append(
                    ("invalid_subproject_id", "Subproject must be a child of this project", "subproject_id")
                )
        if problems:
            return _invalid(*problems)
        token = FakeToken(uuid4(), body["name"], tuple(body["permissions"]), _secret(), owner)
        self.tokens[token.id] = token
        return _success(CREATE_TOKEN, token)

    def _delete(self, token: FakeToken) -> _Answer:
        del self.tokens[token.id]
        return _success(DELETE_TOKEN, token)

    def _update(self, token: FakeToken, body: object) -> _Answer:
        if not isinstance(body, dict):
            return _invalid(("invalid_parameter", "Body must be a JSON object", None))
        problems = [*_name_problems(body, required=False), *_permission_problems(body, required=False)]
        if problems:
            return _invalid(*problems)
        token.name = body.get("name", token.name)
        token.permissions = tuple(body.get("permissions", token.permissions))
        return _success(UPDATE_TOKEN, token)


_Problem = tuple[str, str, str | None]


def _name_problems(body: dict[str, Any], *, required: bool) -> list[_Problem]:
    name = body.get("name", "" if required else "-")
    if not isinstance(name, str):
        return [("invalid_parameter", "Name must be a string", "name")]
    if not name.strip():
        return [("missing_required_parameter", "Name must be present", "name")]
    return []


def _permission_problems(body: dict[str, Any], *, required: bool) -> list[_Problem]:
    permissions = body.get("permissions", [] if required else [*Permission][:1])
    if permissions == []:
        return [("missing_required_parameter", "Permissions must be present", "permissions")]
    if not isinstance(permissions, list) or not all(p in [*Permission] for p in permissions):
        message = f"Permissions must be a list of: {', '.join(Permission)}"
        return [("invalid_auth_token_permissions", message, "permissions")]
    return []


def _secret() -> SecretStr:
    return SecretStr("PT" + secrets.token_hex(24))


def _uuid(value: object) -> UUID | None:
    try:
        return UUID(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _json(status: int, body: object) -> _Answer:
    return _Answer(status, json.dumps(body).encode(), httpx.Headers({"Content-Type": "application/json"}))


def _problem(status: int) -> _Answer:
    phrase = HTTPStatus(status).phrase if status in {s.value for s in HTTPStatus} else "Unknown"
    return _invalid(("invalid_parameter", phrase, None)) if status == 422 else _json(status, {"error": phrase})


def _invalid(*problems: _Problem) -> _Answer:
    keys = ("code", "message", "attribute")
    errors = [
        {"type": "validation_error", **dict(zip(keys, problem, strict=True)), "url": _DOCS} for problem in problems
    ]
    return _json(422, {"errors": errors})


def _success(documented: tuple[int, Any], token: FakeToken) -> _Answer:
    """Answer with the documented status and all required properties: the token's own values, else examples."""
    status, example = documented
    if example is None:
        return _Answer(status)
    own = {
        "id": str(token.id),
        "name": token.name,
        "permissions": list(token.permissions),
        "token": token.token.get_secret_value(),
    }
    return _json(status, {name: own.get(name, value) for name, value in example.items()})


class _Server(ThreadingHTTPServer):
    # Many clients may connect at once; those that find the queue full wait a second or more.
    request_queue_size = 256

    def __init__(self, address: tuple[str, int], space: FakeSpace) -> None:
        self.space = space
        self._connections: dict[socket.socket, threading.Thread] = {}
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        # The base class lets a daemon thread outlive the server.
        thread = threading.Thread(target=self.process_request_thread, args=(request, client_address), daemon=True)
        self._connections = {c: t for c, t in self._connections.items() if t.is_alive()} | {request: thread}
        thread.start()

    def handle_error(self, request: Any, client_address: Any) -> None:
        # A client may close its connection at any time.
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)

    def hang_up(self) -> None:
        """End the connections that clients keep alive, and wait for their threads."""
        for connection, thread in self._connections.items():
            with contextlib.suppress(OSError):
                connection.shutdown(2)
            thread.join()


# A class: a generator is resumed when the interpreter exits, and would then wait for threads that are gone.
class _Serving(contextlib.AbstractContextManager[str]):
    def __init__(self, space: FakeSpace, port: int) -> None:
        self._space = space
        self._port = port

    def __enter__(self) -> str:
        self._server = _Server(("127.0.0.1", self._port), self._space)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return f"http://127.0.0.1:{self._server.server_port}"

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._server.hang_up()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Head and body are sent in one packet: sent separately, the body may wait until the head is acknowledged.
    wbufsize = -1
    disable_nagle_algorithm = True

    def handle_any(self) -> None:
        try:
            content = self._content()
        except ValueError:
            self.send_error(400)
            return
        space = cast("_Server", self.server).space
        answer = space._receive(  # noqa: SLF001 - the server is the space's own
            self.command, self.path.partition("?")[0], dict(self.headers), content
        )
        if not isinstance(answer, _Answer):
            self.close_connection = True
            # Ends when the client or the server hangs up.
            while answer.timeout and self.connection.recv(65536):
                pass
            return
        self.send_response(answer.status)
        bare = answer.status in {204, 304}
        sized = httpx.Headers() if bare else httpx.Headers({"Content-Length": str(len(answer.body))})
        for name, value in httpx.Headers({**sized, **answer.headers}).items():
            self.send_header(name, value)
        self.end_headers()
        # Where HTTP allows no body, a client would read one as the next answer.
        if not bare and self.command != "HEAD":
            self.wfile.write(answer.body)

    def _content(self) -> bytes:
        """Read the request's body; raise ValueError if it is malformed or cut short."""
        content = b""
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            while size := int(self.rfile.readline(), 16):
                content += self._read(size)
                self.rfile.readline()
            self.rfile.readline()
            return content
        return self._read(int(self.headers.get("Content-Length") or 0))

    def _read(self, size: int) -> bytes:
        content = self.rfile.read(max(size, 0))
        if len(content) != size:
            raise ValueError
        return content

    def __getattr__(self, name: str) -> Any:
        # Every method comes here, so that the space, not the server, refuses those that it does not support.
        if name.startswith("do_"):
            return self.handle_any
        raise AttributeError(name)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Stay quiet."""


def _main() -> None:
    description = "Serve a SignalWire space in memory, and print the three lines that make a shell use it."
    parser = argparse.ArgumentParser("python -m signalwire_tokens.testing", description=description)
    parser.add_argument("--port", type=int, default=0, help="the TCP port; default: a free one")
    port = parser.parse_args().port
    # A signal handler may call put() at any moment; an Event's set() could deadlock.
    stop: queue.SimpleQueue[int] = queue.SimpleQueue()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: stop.put(number))
    space = FakeSpace()
    with contextlib.ExitStack() as stack:
        try:
            url = stack.enter_context(space.serve(port))
        except (OSError, OverflowError) as error:
            parser.exit(1, f"port {port} cannot be used: {error}\n")
        print(
            f"export SIGNALWIRE_SPACE={url}",
            f"export SIGNALWIRE_PROJECT_ID={space.project_id}",
            f"export SIGNALWIRE_API_TOKEN={space.api_token.get_secret_value()}",
            sep="\n",
            flush=True,
        )
        print("serving a fake space; Ctrl-C ends it", file=sys.stderr)
        while True:
            # Python handles a signal that arrives just before a system call, and on Windows any, only after that call.
            with contextlib.suppress(queue.Empty):
                stop.get(timeout=0.5)
                return


if __name__ == "__main__":
    _main()
