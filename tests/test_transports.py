"""One transport for each call in flight: no response reaches another call, process or event loop, whatever happens."""

import asyncio
import contextlib
import gc
import itertools
import json
import random
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import warnings
import weakref

import anyio
import httpx
import pytest
import respx
import trustme
from interrupting import given_time, meanwhile, send, until

from signalwire_tokens import (
    APIConnectionError,
    APITimeoutError,
    AsyncProjectTokens,
    ConfigurationError,
    InvalidResponseError,
    ProjectTokens,
    SignalWireError,
)

ID = "0b1f1f9e-7c1d-4a70-9a3c-0f9f6e4c2d11"


def described(name: str = "ci", **fields) -> dict:
    return {"id": ID, "name": name, "permissions": ["fax"], "token": "PTnot-to-be-seen", **fields}


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("how", ["cancelled", "timed out"])
def test_calls_cut_off_at_any_instant_leave_a_client_that_works(space, backend, how) -> None:
    draw = random.Random(7)  # noqa: S311 - instants, not secrets
    told = []

    async def main(url: str) -> None:
        async with AsyncProjectTokens(url, space.project_id, space.api_token, max_retries=0) as tokens:

            async def cut(seconds: float) -> None:
                with anyio.move_on_after(seconds):
                    told.append((await tokens.create("ci", ["fax"])).id)

            if how == "timed out":
                tokens._timeout = 0.002
                for _ in range(150):
                    with contextlib.suppress(APIConnectionError):
                        await tokens.create("ci", ["fax"])
                tokens._timeout = 30.0
            else:
                for _ in range(300):
                    await cut(draw.uniform(0, 0.004))
            with anyio.fail_after(30):
                created = [await tokens.create("last", ["fax"]) for _ in range(3)]
        # The server may be late with those that were cut off.
        assert [token.id for token in created] == [token.id for token in space.tokens.values() if token.name == "last"]

    # What earlier tests left is none of this one's.
    gc.collect()
    with space.serve() as url, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        anyio.run(main, url, backend=backend)
        gc.collect()
    assert [str(warning.message) for warning in caught] == []


def forking(script: str, space, environment) -> subprocess.CompletedProcess:
    """Run a script that forks, in a process without threads of its own."""
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script, environment["SIGNALWIRE_SPACE"], space.project_id],
        input=space.api_token.get_secret_value(),
        text=True,
        capture_output=True,
        timeout=60,
    )


FORKING = """
import contextlib, os, sys, threading
from signalwire_tokens import ProjectTokens
tokens = ProjectTokens(*sys.argv[1:3], sys.stdin.readline().strip())
with contextlib.ExitStack() as stack:
    # Several connections are idle when the process forks.
    barrier = threading.Barrier(4)
    def warm(number):
        with tokens.temporary(f"warm-{number}", ["fax"]):
            barrier.wait()
    threads = [threading.Thread(target=warm, args=(number,)) for number in range(4)]
    [t.start() for t in threads], [t.join() for t in threads]
child = os.fork()
# Threads take turns as often as they can.
sys.setswitchinterval(0.000001)
who = "parent" if child else "child"
wrong = []
start = threading.Barrier(12 if child == 0 else 3)
def use(number):
    start.wait()
    for turn in range(5):
        name = f"{who}-{number}-{turn}"
        created = tokens.create(name, ["fax"])
        if created.name != name:
            wrong.append(created)
        tokens.delete(created.id)
threads = [threading.Thread(target=use, args=(number,)) for number in range(12 if child == 0 else 3)]
[t.start() for t in threads], [t.join() for t in threads]
tokens.close()
if child:
    wrong.extend([1] if os.waitpid(child, 0)[1] else [])
os._exit(len(wrong))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no fork on Windows")
def test_a_child_first_used_by_many_threads_shares_nothing_with_its_parent(space, environment) -> None:
    run = forking(FORKING, space, environment)
    assert (run.returncode, run.stderr) == (0, "")
    assert space.tokens == {}
    # Each request is as one process wrote it.
    assert {request.status // 100 for request in space.requests} == {2}


TEMPORARY_FORK = """
import os, sys
from signalwire_tokens import ProjectTokens
tokens = ProjectTokens(*sys.argv[1:3], sys.stdin.readline().strip())
with tokens.temporary("job", ["fax"]) as token:
    child = os.fork()
    if child == 0:
        sys.exit(0)
    os.waitpid(child, 0)
    # It still works.
    tokens.update(token.id, name="still here")
    print("alive")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no fork on Windows")
def test_a_child_that_leaves_the_block_of_a_temporary_token_deletes_nothing(space, environment) -> None:
    run = forking(TEMPORARY_FORK, space, environment)
    assert (run.returncode, run.stdout, run.stderr) == (0, "alive\n", "")
    assert [request.method for request in space.requests] == ["POST", "PATCH", "DELETE"]


STORE_FORK = """
import os, sys
from signalwire_tokens import ProjectTokens
tokens = ProjectTokens(*sys.argv[1:3], sys.stdin.readline().strip())
def store(token):
    child = os.fork()
    if child == 0:
        raise ValueError("the child's")
    os.waitpid(child, 0)
try:
    tokens.create("ci", ["fax"], store=store)
except ValueError as failure:
    print(getattr(failure, "__notes__", "no notes"), flush=True)
    os._exit(0)
print("stored")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no fork on Windows")
def test_a_child_that_leaves_the_store_of_its_parent_deletes_nothing(space, environment) -> None:
    run = forking(STORE_FORK, space, environment)
    assert (run.returncode, run.stdout, run.stderr) == (0, "no notes\nstored\n", "")
    assert len(space.tokens) == 1


class Held:
    """A space behind a socket that answers when it is told to."""

    def __init__(self, space) -> None:
        self.requests = 0
        self.release = threading.Semaphore(0)
        receive = space._receive

        def held(*args):
            self.requests += 1
            self.release.acquire(timeout=30)
            return receive(*args)

        space._receive = held


def test_calls_in_flight_get_their_tokens_when_the_client_is_closed(space) -> None:
    held, results = Held(space), []
    with space.serve() as url:
        tokens = ProjectTokens(url, space.project_id, space.api_token, max_retries=0)
        threads = [
            threading.Thread(target=lambda n=n: results.append(tokens.create(f"ci-{n}", ["fax"]))) for n in range(8)
        ]
        for thread in threads:
            thread.start()
        until(lambda: held.requests == 8)
        tokens.close()
        held.release.release(8)
        for thread in threads:
            thread.join()
        with pytest.raises(ConfigurationError, match="closed"):
            tokens.create("late", ["fax"])
    assert {token.id for token in results} == set(space.tokens)
    assert len(results) == 8


class Reading(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """Reads each request, as tracing does, and retries a 503 by itself."""

    def __init__(self, inner) -> None:
        self.inner = inner

    def handle_request(self, request):
        request.read()
        assert request.content == b'{"name": "ci", "permissions": ["fax"]}'
        for _ in range(3):
            response = self.inner.handle_request(request)
            if response.status_code != 503:
                break
        return response

    async def handle_async_request(self, request):
        await request.aread()
        for _ in range(3):
            response = await self.inner.handle_async_request(request)
            if response.status_code != 503:
                break
        return response


def test_a_transport_that_reads_and_retries_mints_once(flavour, space) -> None:
    space.fail_next(503, applied=True)
    plain = httpx.HTTPTransport if flavour.name == "sync" else httpx.AsyncHTTPTransport
    with space.serve() as url:
        transport = Reading(plain())
        with flavour.connect(url, space.project_id, space.api_token, transport=transport, max_retries=2) as tokens:
            with pytest.raises(APIConnectionError, match="StreamConsumed") as caught:
                tokens.create("ci", ["fax"])
            close = (
                transport.inner.close if flavour.name == "sync" else lambda: tokens._portal.call(transport.inner.aclose)
            )
            close()
    assert caught.value.may_have_applied
    assert len(space.tokens) == 1


def test_a_request_is_read_before_its_content_is_there(flavour) -> None:
    def respond(_request):
        return httpx.Response(200, json=described())

    class Transport(httpx.MockTransport):
        def handle_request(self, request):
            with pytest.raises(httpx.RequestNotRead):
                request.content  # noqa: B018 - it raises
            return super().handle_request(request)

        async def handle_async_request(self, request):
            with pytest.raises(httpx.RequestNotRead):
                request.content  # noqa: B018 - it raises
            return await super().handle_async_request(request)

    with flavour.connect("example", "project", "t", transport=Transport(respond)) as tokens:
        assert tokens.create("ci", ["fax"]).name == "ci"


class TestMocks:
    """Mocks that people use read a request before they refuse it: nothing was sent all the same."""

    def test_pytest_httpx(self, flavour, httpx_mock) -> None:
        httpx_mock.add_exception(httpx.ConnectError("refused"))
        httpx_mock.add_exception(httpx.ReadTimeout("slow"))
        httpx_mock.add_response(json=described())
        with flavour.connect("example", "project", "t") as tokens:
            with pytest.raises(APIConnectionError, match="nothing was sent") as caught:
                tokens.create("ci", ["fax"])
            assert not caught.value.may_have_applied
            with pytest.raises(APITimeoutError) as caught:
                tokens.create("ci", ["fax"])
            assert caught.value.may_have_applied
            assert tokens.create("ci", ["fax"]).name == "ci"

    def test_respx(self, flavour) -> None:
        with respx.mock as router, flavour.connect("example", "project", "t") as tokens:
            route = router.post("https://example.signalwire.com/api/project/tokens")
            route.side_effect = [
                httpx.ConnectError("refused"),
                httpx.ReadTimeout("slow"),
                httpx.Response(200, json=described()),
            ]
            with pytest.raises(APIConnectionError, match="nothing was sent") as caught:
                tokens.create("ci", ["fax"])
            assert not caught.value.may_have_applied
            with pytest.raises(APITimeoutError) as caught:
                tokens.create("ci", ["fax"])
            assert caught.value.may_have_applied
            assert tokens.create("ci", ["fax"]).name == "ci"


@contextlib.contextmanager
def raw(*answers: bytes):
    """Serve connections one after the other; the n-th request of all gets the n-th answer, then silence."""
    left = list(answers)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def converse(connection) -> None:
            with connection, contextlib.suppress(OSError):
                while left:
                    received = b""
                    while b"\r\n\r\n" not in received or (b"DELETE" not in received and not received.endswith(b"}")):
                        data = connection.recv(65536)
                        if not data:
                            return
                        received += data
                    connection.sendall(left.pop(0))
                connection.recv(65536)

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    converse(server.accept()[0])

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}"
        finally:
            with contextlib.suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)
            server.close()
            thread.join(30)


def reply(body: object, status: int = 200) -> bytes:
    content = b"" if body is None else json.dumps(body).encode()
    return b"HTTP/1.1 %d OK\r\nContent-Length: %d\r\n\r\n%b" % (status, len(content), content)


class TestAnotherTokensResponse:
    @pytest.mark.parametrize("name", ["b", "backup", "ä"])
    def test_two_responses_in_one_packet(self, flavour, name) -> None:
        with raw(reply(described("a")) + reply(described("a", token="PTsurplus"))) as url:
            with flavour.connect(url, "project", "t") as tokens:
                assert tokens.create("a", ["fax"]).name == "a"
                with pytest.raises(InvalidResponseError, match="about another token") as caught:
                    tokens.create(name, ["fax"])
        assert caught.value.may_have_applied
        assert caught.value.token.get_secret_value() == "PTsurplus"

    @pytest.mark.parametrize("body", [b"hello", reply(described("a", token="PTsurplus"))])
    def test_a_204_with_a_body(self, flavour, body) -> None:
        with raw(b"HTTP/1.1 204 No Content\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)) as url:
            with flavour.connect(url, "project", "t") as tokens:
                tokens.delete(ID)
                with pytest.raises(SignalWireError) as caught:
                    tokens.create("b", ["fax"])
        assert caught.value.may_have_applied

    def test_an_update_answered_with_another_token(self, flavour) -> None:
        other = described("b", id="11111111-1111-4111-8111-111111111111", permissions=["management"])
        with raw(reply(other)) as url, flavour.connect(url, "project", "t") as tokens:
            with pytest.raises(InvalidResponseError, match="about another token") as caught:
                tokens.update(ID, name="b")
        assert caught.value.token_id == other["id"]
        assert str(caught.value.token_id) in str(caught.value)

    @pytest.mark.parametrize(
        ("sent", "told"),
        [
            ("CI  deploy", "ci deploy"),
            (" ci ", "ci"),
            ("CI deploy", "cideploy"),
            ("x" * 300, "x" * 255),
            ("x" * 31, "x" * 30),
            ("a long name", "a long n…"),
            ("a long name", "a long..."),
            ("e\u0301te\u0301", "\u00e9t\u00e9"),
            ("Straße", "STRASSE"),
        ],
    )
    def test_what_a_service_may_make_of_a_name_is_the_same_token(self, flavour, sent, told) -> None:
        with flavour.answering(lambda _: httpx.Response(200, json=described(told))) as tokens:
            assert tokens.create(sent, ["fax"]).name == told

    @pytest.mark.parametrize(
        ("sent", "told"),
        [("ci", ""), ("ci", "c"), ("ci", "…"), ("job-10", "job-1"), ("prod-eu", "prod"), ("x" * 31, "x" * 29)],
    )
    def test_a_part_of_a_name_that_no_limit_has_left_is_another(self, flavour, sent, told) -> None:
        with flavour.answering(lambda _: httpx.Response(200, json=described(told))) as tokens:
            with pytest.raises(InvalidResponseError, match="about another token"):
                tokens.create(sent, ["fax"])


@pytest.mark.parametrize(
    "fields",
    [{"token": secret} for secret in ("", "   ", "**********", "••••", "\u00a0", "\u200b", "●●●●", "-\x0b-")]
    + [{"permissions": []}],
)
def test_what_is_no_secret_or_grants_nothing_is_no_token(flavour, fields) -> None:
    with flavour.answering(lambda _: httpx.Response(200, json=described(**fields))) as tokens:
        with pytest.raises(InvalidResponseError, match="without a whole token") as caught:
            tokens.create("ci", ["fax"])
        assert caught.value.token_id == ID
        if "permissions" in fields:
            # One that exists may have none.
            assert tokens.update(ID, name="ci").permissions == ()


@pytest.mark.parametrize("body", ["<html>Sign in</html>", "{}", " "])
def test_a_deletion_answered_with_a_page_is_no_deletion(flavour, space, body) -> None:
    with flavour.on(space) as tokens:
        old = tokens.create("old", ["fax"])
        space.fail_next(200, body=body)
        with pytest.raises(InvalidResponseError, match="says nothing of a deletion") as caught:
            tokens.delete(old.id)
        assert caught.value.may_have_applied
        assert caught.value.body.get_secret_value() == body
        with pytest.raises(Exception, match="may still exist") as caught:
            tokens.rotate(old.id, "new", ["fax"], store=lambda _: space.fail_next(200, body=body))
        space.fail_next(200, body="")
        tokens.delete(old.id)


CUT = f'{{"id": "{ID}", "project": {{"id": "P", "token": "other"}}, "token": "PT\\u0030", "name": "c'


@pytest.mark.parametrize(
    ("body", "token_id", "token"),
    [
        (CUT, ID, "PT0"),
        (f'{{"project": {{"id": "P"}}, "id": "{ID}", "x": ["id", {{"token": "no"}}], "token": "PT', ID, None),
        (f'{{"id": "{ID}", "name": "a \\"quoted\\" {{", "token": "PT0"', ID, "PT0"),
        (f'{{"id": 7, "token": "PT0", "id": "{ID}', None, "PT0"),
        ('{"token": "\\q", "x', None, None),
    ],
)
def test_what_was_cut_off_is_read_at_its_own_depth(flavour, body, token_id, token) -> None:
    with flavour.answering(lambda _: httpx.Response(200, content=body)) as tokens:
        with pytest.raises(InvalidResponseError) as caught:
            tokens.create("ci", ["fax"])
    assert caught.value.token_id == token_id
    assert (caught.value.token and caught.value.token.get_secret_value()) == token
    assert caught.value.body.get_secret_value() == body


def test_no_attempt_is_warned_of_on_trio() -> None:
    """Resets while the request is written leave no iterator that nobody closed."""

    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:

            def reset() -> None:
                with contextlib.suppress(OSError):
                    while True:
                        connection, _ = server.accept()
                        connection.recv(1)
                        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
                        connection.close()

            thread = threading.Thread(target=reset)
            thread.start()
            try:
                async with AsyncProjectTokens(
                    f"http://127.0.0.1:{server.getsockname()[1]}", "project", "t", max_retries=0
                ) as tokens:
                    for _ in range(20):
                        # Too long for the buffers of the sockets, so that the reset comes while it is written.
                        with pytest.raises(APIConnectionError) as caught:
                            await tokens.create("ci" * 4_000_000, ["fax"])
                        assert caught.value.may_have_applied
            finally:
                server.shutdown(socket.SHUT_RDWR)
                thread.join()

    gc.collect()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        anyio.run(main, backend="trio")
        gc.collect()
    assert [str(warning.message) for warning in caught] == []


def without_collections(backend, main, *arguments) -> None:
    """Run a coroutine function that must not wait for the garbage collector."""
    gc.disable()
    try:
        anyio.run(main, *arguments, backend=backend)
    finally:
        gc.enable()


async def given_up(server, tokens, how, monkeypatch) -> None:
    """Give up a TLS handshake after its first message, and wait for the end of its connection."""
    scopes, scope = [], anyio.move_on_after
    monkeypatch.setattr(anyio, "move_on_after", lambda seconds: scopes.append(scope(seconds)) or scopes[-1])

    async def create() -> None:
        with contextlib.suppress(APITimeoutError):
            await tokens.create("ci", ["fax"])

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(create)
        peer, _ = await anyio.to_thread.run_sync(server.accept)
        assert await anyio.to_thread.run_sync(peer.recv, 65536)
        if how == "cancelled":
            tasks.cancel_scope.cancel()
        else:
            # No sooner, however slow the machine is.
            scopes[-1].deadline = anyio.current_time()
    with peer:
        peer.settimeout(10)
        while peer.recv(65536):
            pass


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("how", ["timeout", "cancelled"])
@pytest.mark.parametrize("proxy", ["", "https"])
def test_a_tls_handshake_that_is_given_up_leaves_no_connection_open(backend, how, proxy, monkeypatch) -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            url = f"https://127.0.0.1:{server.getsockname()[1]}"
            if proxy:
                monkeypatch.setenv("HTTPS_PROXY", url)
            async with AsyncProjectTokens("example" if proxy else url, "project", "t" * 9, max_retries=0) as tokens:
                await given_up(server, tokens, how, monkeypatch)

    without_collections(backend, main)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_handshake_for_a_transport_that_was_used_leaves_no_connection_open_either(
    backend, tmp_path, monkeypatch
) -> None:
    ca, context = trustme.CA(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    ca.issue_cert("localhost").configure_cert(context)

    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:

            def answer_one() -> None:
                with context.wrap_socket(server.accept()[0], server_side=True) as stream:
                    received = b""
                    while not received.endswith(b"}"):
                        received += stream.recv(65536) or b"}"
                    stream.sendall(reply(described("ci")))

            thread = threading.Thread(target=answer_one)
            thread.start()
            url = f"https://localhost:{server.getsockname()[1]}"
            async with AsyncProjectTokens(url, "project", "t" * 9, max_retries=0) as tokens:
                await tokens.create("ci", ["fax"])
                thread.join(30)
                # The transport is kept; its connection is closed, and it opens another.
                await given_up(server, tokens, "cancelled", monkeypatch)

    without_collections(backend, main)


class TestTrust:
    """The trust settings of the environment are those at the time when a client is made."""

    @pytest.fixture(autouse=True)
    def _clear(self, monkeypatch) -> None:
        monkeypatch.delenv("SSL_CERT_FILE", raising=False)
        monkeypatch.delenv("SSL_CERT_DIR", raising=False)

    @pytest.fixture
    def authority(self, tmp_path):
        ca = trustme.CA()
        ca.cert_pem.write_to_path(tmp_path / "ca.pem")
        return ca

    @contextlib.contextmanager
    def serving(self, ca):
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        ca.issue_cert("localhost").configure_cert(context)
        with socket.create_server(("127.0.0.1", 0)) as server:

            def serve() -> None:
                with contextlib.suppress(OSError):
                    while True:
                        connection, _ = server.accept()
                        with contextlib.suppress(OSError), context.wrap_socket(connection, server_side=True) as stream:
                            received = b""
                            while not received.endswith(b"}"):
                                received += stream.recv(65536) or b"}"
                            stream.sendall(reply(described()))

            thread = threading.Thread(target=serve)
            thread.start()
            try:
                yield f"https://localhost:{server.getsockname()[1]}"
            finally:
                server.shutdown(socket.SHUT_RDWR)
                thread.join(30)

    def create(self, flavour, url):
        with flavour.connect(url, "project", "the-api-token") as tokens:
            return tokens.create("ci", ["fax"])

    def test_a_file_named_after_the_first_client_is_heeded(self, flavour, authority, tmp_path, monkeypatch) -> None:
        with self.serving(authority) as url:
            with pytest.raises(APIConnectionError, match=r"SSL_CERT_FILE names the certificate authorities") as caught:
                self.create(flavour, url)
            assert "CERTIFICATE_VERIFY_FAILED" in str(caught.value)
            monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
            assert self.create(flavour, url).name == "ci"

    def test_a_file_that_is_replaced_is_read_anew(self, flavour, authority, tmp_path, monkeypatch) -> None:
        file = tmp_path / "trusted.pem"
        trustme.CA().cert_pem.write_to_path(file)
        monkeypatch.setenv("SSL_CERT_FILE", str(file))
        with self.serving(authority) as url:
            with pytest.raises(APIConnectionError, match="nothing was sent"):
                self.create(flavour, url)
            authority.cert_pem.write_to_path(file)
            assert self.create(flavour, url).name == "ci"

    @pytest.mark.parametrize("more", ["", "a list", "a link that leads nowhere"])
    def test_a_folder_of_certificates_is_heeded_too(self, flavour, authority, more, tmp_path, monkeypatch) -> None:
        folder = tmp_path / "certs"
        folder.mkdir()
        monkeypatch.setenv("SSL_CERT_DIR", f"{tmp_path}:{folder}" if more == "a list" else str(folder))
        if more.startswith("a link"):
            (folder / "link").symlink_to("nowhere")
        # As good as none.
        monkeypatch.setenv("SSL_CERT_FILE", "")
        with self.serving(authority) as url:
            with pytest.raises(APIConnectionError, match="nothing was sent"):
                self.create(flavour, url)
            named = subprocess.run(
                ["openssl", "x509", "-hash", "-noout", "-in", tmp_path / "ca.pem"],
                capture_output=True,
                text=True,
                check=True,
            )
            authority.cert_pem.write_to_path(folder / f"{named.stdout.strip()}.0")
            assert self.create(flavour, url).name == "ci"
            (folder / f"{named.stdout.strip()}.0").unlink()
            with pytest.raises(APIConnectionError, match="nothing was sent"):
                self.create(flavour, url)

    def test_a_file_that_is_not_there_is_told(self, flavour, tmp_path, monkeypatch) -> None:
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
        with pytest.raises(ConfigurationError, match="SSL_CERT_FILE"), flavour.connect("example", "project", "t"):
            pass


class TestProxies:
    @pytest.fixture(autouse=True)
    def _clear(self, monkeypatch) -> None:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
            monkeypatch.delenv(name.lower(), raising=False)

    @pytest.mark.parametrize(
        ("host", "bypass", "used"),
        [
            ("localhost", "fe80::/10", True),
            ("localhost", "[::1]", True),
            ("localhost", "example.com, *", False),
            ("localhost", "*", False),
            ("localhost", "localhost", False),
            ("[::1]", "::1", False),
            ("[::1]", "[::1]", False),
            ("localhost", "", True),
        ],
    )
    def test_no_proxy_in_all_its_forms(self, flavour, monkeypatch, free_port, host, bypass, used) -> None:
        monkeypatch.setenv("HTTPS_PROXY", f"http://user:hunter2@127.0.0.1:{free_port}")
        monkeypatch.setenv("NO_PROXY", bypass)
        with flavour.connect(f"https://{host}:{free_port}", "project", "t") as tokens:
            with pytest.raises(APIConnectionError, match="nothing was sent") as caught:
                tokens.create("ci", ["fax"])
        proxy = f"the proxy http://127.0.0.1:{free_port} was used; look at HTTPS_PROXY, ALL_PROXY and NO_PROXY"
        assert (proxy in str(caught.value)) is used
        assert "hunter2" not in str(caught.value)

    def test_a_proxy_without_a_scheme_is_an_http_proxy(self, flavour, monkeypatch, free_port) -> None:
        monkeypatch.setenv("all_proxy", f"127.0.0.1:{free_port}")
        with flavour.connect("example", "project", "t") as tokens:
            with pytest.raises(APIConnectionError, match=f"the proxy http://127.0.0.1:{free_port} was used"):
                tokens.create("ci", ["fax"])

    def test_each_client_of_a_child_is_refused_a_proxy_that_is_no_good(self, flavour, monkeypatch) -> None:
        monkeypatch.setenv("HTTPS_PROXY", "ftp://127.0.0.1:9")
        for _ in range(2):
            with pytest.raises(ConfigurationError, match="HTTPS_PROXY"), flavour.connect("example", "project", "t"):
                pass


def test_a_space_that_cannot_be_resolved_is_told(flavour) -> None:
    with flavour.connect("no-such-space.invalid", "project", "t") as tokens:
        with pytest.raises(APIConnectionError, match=r"check the space \(SIGNALWIRE_SPACE\)"):
            tokens.create("ci", ["fax"])


def test_a_redirect_says_where_to(flavour) -> None:
    response = httpx.Response(307, headers={"Location": "https://elsewhere.example.com/sign-in"})
    with flavour.answering(lambda _: response) as tokens:
        with pytest.raises(Exception, match=r"redirects to https://elsewhere\.example\.com/sign-in, and no redirect"):
            tokens.create("ci", ["fax"])


def test_a_body_that_was_read_may_have_been_sent(flavour) -> None:
    """As by adapters to other HTTP libraries, which call every lost connection a ConnectError."""
    minted = []

    class Adapter(httpx.BaseTransport, httpx.AsyncBaseTransport):
        def handle_request(self, request):
            minted.append(request.read())
            raise httpx.ConnectError("Connection aborted.")

        async def handle_async_request(self, request):
            minted.append(await request.aread())
            raise httpx.ConnectError("Connection aborted.")

    with flavour.connect("example", "project", "t", transport=Adapter(), max_retries=2) as tokens:
        with pytest.raises(APIConnectionError) as caught:
            tokens.create("ci", ["fax"])
    assert caught.value.may_have_applied
    assert "nothing was sent" not in str(caught.value)
    assert len(minted) == 1


def test_a_request_without_a_body_may_leave_before_one_is_asked_for(flavour) -> None:
    sent = []

    class Adapter(httpx.BaseTransport, httpx.AsyncBaseTransport):
        def handle_request(self, request):
            sent.append(request.method)
            if len(sent) == 1:
                raise httpx.RemoteProtocolError("hung up")
            return httpx.Response(404)

        async def handle_async_request(self, request):
            return self.handle_request(request)

    client = flavour.connect("example", "project", "t", transport=Adapter(), max_retries=1)
    with client as tokens:
        getattr(tokens, "client", tokens)._random = lambda: 0.0
        assert tokens.delete(ID) is None
    assert sent == ["DELETE", "DELETE"]


def test_nothing_is_said_to_be_unsent_after_an_attempt_that_was(flavour) -> None:
    failures = [httpx.ReadError("reset"), httpx.ConnectError("refused")]

    def respond(_request):
        raise failures.pop(0)

    with flavour.answering(respond, max_retries=1) as tokens:
        getattr(tokens, "client", tokens)._random = lambda: 0.0
        with pytest.raises(APIConnectionError, match="the change may have been made") as caught:
            tokens.update(ID, name="ci")
    assert "nothing was sent" not in str(caught.value)
    assert caught.value.may_have_applied


def test_a_transport_may_be_false(flavour, space) -> None:
    class Recording(list, httpx.MockTransport):
        def __init__(self, handler) -> None:
            self.handler = handler

    with flavour.connect(
        "example", space.project_id, space.api_token, transport=Recording(space.transport.handler)
    ) as tokens:
        assert tokens.create("ci", ["fax"]).id in space.tokens


class SoftTimeLimitError(Exception):
    """As celery raises it out of a signal handler."""


def test_a_transport_that_was_passed_in_is_told_how_long_each_wait_may_take(flavour) -> None:
    bounds = []

    def respond(request):
        bounds.append(request.extensions["timeout"])
        return httpx.Response(204)

    with flavour.answering(respond, timeout=7) as tokens:
        tokens.delete(ID)
    assert bounds == [{"connect": 7.0, "read": 7.0, "write": 7.0, "pool": 7.0}]


def test_a_body_that_takes_too_long_is_cut_off_in_a_sync_client(monkeypatch) -> None:
    class Slow(httpx.SyncByteStream):
        def __iter__(self):
            yield f'{{"id": "{ID}",'.encode()
            yield b'"name": "ci"'

    response = httpx.Response(200, stream=Slow())
    tokens = ProjectTokens("example", "project", "t", timeout=25, transport=httpx.MockTransport(lambda _: response))
    # The second piece comes at the very end of the time.
    clock = itertools.count(step=25)
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    with pytest.raises(InvalidResponseError, match="the response was cut off") as caught:
        tokens.create("ci", ["fax"])
    assert caught.value.token_id == ID


@pytest.mark.skipif(sys.platform == "win32", reason="no POSIX signals")
@pytest.mark.parametrize("operation", ["create", "delete"])
def test_what_a_signal_handler_raises_is_no_failure_of_the_call(space, operation, caplog) -> None:
    def limit(_number, _frame):
        raise SoftTimeLimitError

    held = Held(space)
    before = signal.signal(signal.SIGUSR1, limit)
    try:
        with space.serve() as url, ProjectTokens(url, space.project_id, space.api_token) as tokens:
            with meanwhile(lambda: held.requests, lambda: send(signal.SIGUSR1)):
                with pytest.raises(SoftTimeLimitError) as caught:
                    tokens.create("ci", ["fax"]) if operation == "create" else tokens.delete(ID)
            held.release.release()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert f"{operation} of token" in caught.value.__notes__[0]
    assert "interrupted by SoftTimeLimitError" in caplog.text
    assert held.requests == 1


@pytest.mark.skipif(sys.platform == "win32", reason="no POSIX signals")
def test_a_call_in_a_signal_handler_leaves_the_deadline_of_the_call_around_it(authority_served, monkeypatch) -> None:
    url, requests, go_on = authority_served
    with (
        ProjectTokens(url, "project", "t", timeout=60) as outer,
        ProjectTokens(url, "project", "t", timeout=20) as inner,
    ):

        def call(_number, _frame) -> None:
            inner.create("inner", ["fax"])
            # Its own deadline has passed when the call around it goes on.
            now = time.monotonic
            monkeypatch.setattr(time, "monotonic", lambda: now() + 25)
            go_on.set()

        before = signal.signal(signal.SIGUSR1, call)
        try:
            with meanwhile(lambda: requests, lambda: send(signal.SIGUSR1)):
                assert outer.create("outer", ["fax"]).name == "outer"
        finally:
            signal.signal(signal.SIGUSR1, before)


@pytest.fixture
def authority_served(tmp_path, monkeypatch):
    """A TLS server that answers the token `outer` in two parts, the second when it is told to, and others at once."""
    ca, requests, go_on = trustme.CA(), [], threading.Event()
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ca.issue_cert("localhost").configure_cert(context)

    def converse(connection) -> None:
        with contextlib.suppress(OSError), context.wrap_socket(connection, server_side=True) as stream:
            received = b""
            while not received.endswith(b"}"):
                received += stream.recv(65536) or b"}"
            outer = b"outer" in received
            answer = reply(described("outer" if outer else "inner"))
            if outer:
                requests.append(received)
            stream.sendall(answer[:60] if outer else answer)
            if outer:
                go_on.wait(30)
                stream.sendall(answer[60:])
            stream.recv(1)

    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    threading.Thread(target=converse, args=(server.accept()[0],), daemon=True).start()

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"https://localhost:{server.getsockname()[1]}", requests, go_on
        go_on.set()
        server.shutdown(socket.SHUT_RDWR)
        thread.join(30)


def test_a_deadline_that_has_passed_ends_a_sync_attempt_over_tls(authority_served, monkeypatch) -> None:
    url, requests, _ = authority_served
    clock = itertools.count(step=25)
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    with ProjectTokens(url, "project", "t", timeout=20, max_retries=0) as tokens:
        with pytest.raises(APITimeoutError, match=r"no response from localhost:\d+: \w+Timeout: timed out \("):
            tokens.create("outer", ["fax"])
    assert requests == []


def test_a_server_that_falls_silent_is_given_up_in_time_over_tls(flavour, authority_served) -> None:
    url, requests, go_on = authority_served

    def cut_off(timeout: float) -> None:
        requests.clear()
        with flavour.connect(url, "project", "t", timeout=timeout) as tokens:
            with pytest.raises(InvalidResponseError, match="the response was cut off"):
                tokens.create("outer", ["fax"])

    given_time(cut_off)
    assert len(requests) == 1
    assert not go_on.is_set()


def test_loops_that_ended_are_let_go(space) -> None:
    loops = []
    tokens = AsyncProjectTokens("example", space.project_id, space.api_token, transport=space.transport)

    async def use() -> None:
        loops.append(weakref.ref(asyncio.get_running_loop()))
        await tokens.create("ci", ["fax"])

    for _ in range(9):
        asyncio.run(use())
    gc.collect()
    assert len([loop for loop in loops if loop() is not None]) == 1


def test_no_more_transports_are_kept_than_calls_may_be_in_flight(space) -> None:
    held = Held(space)
    with space.serve() as url, ProjectTokens(url, space.project_id, space.api_token) as tokens:
        threads = [threading.Thread(target=tokens.create, args=(f"ci-{n}", ["fax"])) for n in range(80)]
        for thread in threads:
            thread.start()
        until(lambda: held.requests == 80)
        # One after the other: a few more may be kept where several end at once.
        for left in reversed(range(80)):
            held.release.release()
            until(lambda left=left: sum(thread.is_alive() for thread in threads) == left)
        ((_, idle),) = tokens._transports._everywhere.values()
        assert len(idle) == 64
    assert idle == []


class TestCancelledWhileItDeletes:
    """asyncio's own cancellations, which anyio's shields let through, do not keep a deletion from its end."""

    @pytest.mark.parametrize("how", ["timeout", "cancel"])
    @pytest.mark.parametrize("what", ["block", "store"])
    def test_the_token_is_deleted_all_the_same(self, space, how, what, caplog) -> None:
        def store(_token) -> None:
            space.fail_next(429)
            raise ValueError

        async def use(tokens) -> None:
            if what == "store":
                await tokens.create("ci", ["fax"], store=store)
            async with tokens.temporary("ci", ["fax"]):
                space.fail_next(429)

        async def main() -> None:
            async def waited(_seconds) -> None:
                # It has begun, and goes on.
                await tokens.aclose()
                main_task.cancel() if how == "cancel" else limit.reschedule(asyncio.get_running_loop().time())
                # The cancellation comes in the midst of the deletion.
                for _ in range(9):
                    await asyncio.sleep(0)

            main_task = asyncio.current_task()
            tokens = AsyncProjectTokens("example", space.project_id, space.api_token, transport=space.transport)
            tokens._sleep = waited
            async with asyncio.timeout(None) as limit:
                await use(tokens)

        with pytest.raises(TimeoutError if how == "timeout" else asyncio.CancelledError):
            asyncio.run(main())
        gc.collect()
        assert space.tokens == {}
        assert [record for record in caplog.records if record.levelname == "ERROR"] == []

    def test_one_that_fails_is_named_on_the_cancellation(self, space, caplog) -> None:
        async def main() -> None:
            async def waited(_seconds) -> None:
                main_task.cancel()
                for _ in range(9):
                    await asyncio.sleep(0)

            main_task = asyncio.current_task()
            tokens = AsyncProjectTokens("example", space.project_id, space.api_token, transport=space.transport)
            tokens._sleep = waited
            async with tokens.temporary("ci", ["fax"]):
                space.fail_next(429)
                space.fail_next(500)

        with pytest.raises(asyncio.CancelledError) as caught:
            asyncio.run(main())
        (token_id,) = space.tokens
        assert str(token_id) in "".join(caught.value.__notes__)
        assert f"token {token_id} may still exist" in caplog.text


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_block_of_the_other_kind_is_refused_before_anything_is_minted(space, kind) -> None:
    client = ProjectTokens if kind == "sync" else AsyncProjectTokens
    tokens = client("example", space.project_id, space.api_token, transport=space.transport)

    async def use() -> None:
        async with tokens.temporary("ci", ["fax"]):
            pytest.fail("entered")

    def use_sync() -> None:
        with tokens.temporary("ci", ["fax"]):
            pytest.fail("entered")

    with pytest.raises(TypeError, match="context manager"):
        asyncio.run(use()) if kind == "sync" else use_sync()
    assert space.requests == []
