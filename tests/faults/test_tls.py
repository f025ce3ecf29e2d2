"""TLS against a real HTTPS server with a certificate authority of its own, directly and through a proxy."""

import base64
import contextlib
import os
import re
import socket
import ssl
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import httpx
import httpx_aiohttp
import pytest
import trustme
from interrupting import until

from signalwire_tokens import APIConnectionError, AsyncProjectTokens, ProjectTokens

from .server import FaultServer

PROJECT = "a1b2c3d4-e5f6-7890-abcd-ef1234567890"
API_TOKEN = "4tjCGnmAeQ0hwFmFDhwfgww880X2lsnuR60VMyasGR3hFpSyvu"
CREDENTIALS = base64.b64encode(f"{PROJECT}:{API_TOKEN}".encode())
PAST = datetime.now(UTC) - timedelta(days=2)

flavours = pytest.mark.parametrize("flavour", ["sync", "asyncio", "aiohttp"])


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def serving(certificate: trustme.LeafCert, name: str = "localhost") -> FaultServer:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    certificate.configure_cert(context)
    return FaultServer(tls=context, name=name)


def create(flavour: str, url: str, context: ssl.SSLContext):
    """Mint a token with a client that trusts what `context` does."""
    options = {"max_retries": 2, "timeout": 30.0}

    async def acreate():
        transport_class = httpx.AsyncHTTPTransport if flavour == "asyncio" else httpx_aiohttp.AiohttpTransport

        async def sleep(_seconds: float) -> None:
            pass

        async with transport_class(verify=context) as transport:
            tokens = AsyncProjectTokens(url, PROJECT, API_TOKEN, **options, transport=transport)
            tokens._sleep = sleep
            return await tokens.create("ci", ["fax"])

    if flavour != "sync":
        return anyio.run(acreate)
    with httpx.HTTPTransport(verify=context) as transport:
        tokens = ProjectTokens(url, PROJECT, API_TOKEN, **options, transport=transport)
        tokens._sleep = lambda _seconds: None
        return tokens.create("ci", ["fax"])


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


@flavours
def test_a_certificate_of_a_trusted_authority_passes(flavour, authority) -> None:
    with serving(authority.issue_cert("localhost")) as server:
        created = create(flavour, server.url, trusting(authority))
        assert created.token.get_secret_value() in server.secrets()
        assert CREDENTIALS in server.received


@flavours
@pytest.mark.parametrize(
    ("issue", "says"),
    [
        (lambda authority: authority.issue_cert("elsewhere.example.com"), "certificate is not valid for|doesn't match"),
        (
            lambda authority: authority.issue_cert("localhost", not_before=PAST, not_after=PAST + timedelta(1)),
            "expired",
        ),
        (
            lambda authority: authority.issue_cert("localhost", not_before=datetime.now(UTC) + timedelta(1)),
            "not yet valid",
        ),
        (lambda _: trustme.CA().issue_cert("localhost"), "self-signed|self signed|unable to get local issuer"),
    ],
    ids=["wrong host", "expired", "not yet valid", "unknown authority"],
)
def test_any_other_certificate_ends_the_call_before_the_credentials_leave(flavour, authority, issue, says) -> None:
    with serving(issue(authority)) as server:
        with pytest.raises(APIConnectionError, match="nothing was sent") as caught:
            create(flavour, server.url, trusting(authority))
        assert re.search(says, str(caught.value), re.IGNORECASE)
        assert caught.value.may_have_applied is False
        assert server.connections == 3
        assert not server.received
        assert not server.minted


@flavours
def test_a_server_that_speaks_plain_http_gets_no_credentials(flavour, authority) -> None:
    def refuse(exchange) -> None:
        exchange.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        exchange.drain()

    with FaultServer([refuse] * 3, name="localhost") as server:
        with pytest.raises(APIConnectionError) as caught:
            create(flavour, server.url.replace("http:", "https:"), trusting(authority))
        assert caught.value.may_have_applied is False
        assert server.connections == 3
        until(lambda: server.received)
        assert CREDENTIALS not in server.received
        assert b"/api/project" not in server.received


class Proxy:
    """A CONNECT proxy on the loopback interface that keeps what it is told in the clear."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []
        self.carried = bytearray()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._accept)]
        self._sockets = [self._listener]

    def __enter__(self):
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        for each in self._sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for each in self._sockets:
            each.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                asked = b""
                while b"\r\n\r\n" not in asked:
                    asked += client.recv(65536) or b"\r\n\r\n"
                self.asked.append(asked)
                _, target, _ = asked.split(b"\r\n", 1)[0].split(b" ")
                host, _, port = target.decode().partition(":")
                server = socket.create_connection((host, int(port)))
                self._sockets += [client, server]
                client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                for source, sink in ((client, server), (server, client)):
                    thread = threading.Thread(target=self._carry, args=(source, sink))
                    self._threads.append(thread)
                    thread.start()

    def _carry(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                self.carried += data
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)


def clear_of_proxies() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}


@pytest.fixture
def certificate_file(authority, tmp_path) -> Path:
    path = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(path)
    return path


# In a process of its own, as one TLS context serves every client of a process.
SCRIPT = {
    "sync": """
from signalwire_tokens import ProjectTokens
with ProjectTokens(max_retries=0) as tokens:
    print(tokens.create("ci", ["fax"]).id)
""",
    "asyncio": """
import asyncio
from signalwire_tokens import AsyncProjectTokens
async def main():
    async with AsyncProjectTokens(max_retries=0) as tokens:
        print((await tokens.create("ci", ["fax"])).id)
asyncio.run(main())
""",
    "aiohttp": """
import asyncio
import os
import httpx
from httpx_aiohttp import AiohttpTransport
from signalwire_tokens import AsyncProjectTokens
async def main():
    # A transport that is passed in is told of a proxy by whoever makes it.
    proxy = httpx.Proxy(os.environ["HTTPS_PROXY"]) if "HTTPS_PROXY" in os.environ else None
    async with AiohttpTransport(proxy=proxy) as transport:
        print((await AsyncProjectTokens(max_retries=0, transport=transport).create("ci", ["fax"])).id)
asyncio.run(main())
""",
}


def run(flavour: str, server: FaultServer, **environment: str) -> subprocess.CompletedProcess[str]:
    credentials = {"SIGNALWIRE_SPACE": server.url, "SIGNALWIRE_PROJECT_ID": PROJECT, "SIGNALWIRE_API_TOKEN": API_TOKEN}
    return subprocess.run(
        [sys.executable, "-c", SCRIPT[flavour]],
        env=clear_of_proxies() | credentials | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


@flavours
def test_the_environment_names_the_authorities(flavour, authority, certificate_file) -> None:
    with serving(authority.issue_cert("localhost")) as server:
        trusted = run(flavour, server, SSL_CERT_FILE=str(certificate_file))
        assert trusted.stdout.strip() in server.minted, trusted.stderr
        before = bytes(server.received)
        unknown = run(flavour, server)
        assert re.search("CERTIFICATE_VERIFY_FAILED|unable to get local issuer", unknown.stderr)
        assert "nothing was sent" in unknown.stderr
        assert bytes(server.received) == before


@flavours
def test_a_proxy_of_the_environment_is_used_and_sees_no_credentials(flavour, authority, certificate_file) -> None:
    with serving(authority.issue_cert("localhost")) as server, Proxy() as proxy:
        done = run(flavour, server, SSL_CERT_FILE=str(certificate_file), HTTPS_PROXY=proxy.url)
        assert done.stdout.strip() in server.minted, done.stderr
        address = server.url.removeprefix("https://").encode()
        assert len(proxy.asked) == 1
        assert proxy.asked[0].startswith(b"CONNECT " + address)
        assert b"authorization" not in proxy.asked[0].lower()
        assert proxy.carried
        assert CREDENTIALS in server.received
        assert CREDENTIALS not in proxy.carried


@pytest.mark.parametrize("flavour", ["sync", "asyncio"])
def test_plain_http_to_loopback_passes_by_the_proxy(flavour) -> None:
    with FaultServer() as server, Proxy() as proxy:
        done = run(flavour, server, HTTP_PROXY=proxy.url, ALL_PROXY=proxy.url)
        assert done.stdout.strip() in server.minted, done.stderr
        assert not proxy.asked
