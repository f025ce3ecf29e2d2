"""The async client bounds its calls under way: those beyond wait for their turn."""

import functools
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import httpx
import pytest

from signalwire_tokens import APIConnectionError, AsyncProjectTokens, ConfigurationError
from signalwire_tokens.testing import FakeSpace

IN_FLIGHT = 64


class Holding:
    """A server that reads requests and answers them when it is told to."""

    def __init__(self) -> None:
        self.space = FakeSpace()
        self.release = anyio.Event()
        self.requests = self.connections = self.open = 0
        self._changed = anyio.Event()

    def changed(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    async def __call__(self, stream: anyio.abc.SocketStream) -> None:
        self.connections += 1
        self.open += 1
        async with stream, httpx.AsyncClient(transport=self.space.transport) as behind:
            while request := await self.receive(stream):
                self.requests += 1
                self.changed()
                await self.release.wait()
                answer = await behind.post("http://fake/api/project/tokens", content=request, auth=self.credentials)
                head = f"HTTP/1.1 {answer.status_code} OK\r\nContent-Length: {len(answer.content)}\r\n\r\n"
                await stream.send(head.encode() + answer.content)
        self.open -= 1
        self.changed()

    @property
    def credentials(self) -> tuple[str, str]:
        return self.space.project_id, self.space.api_token.get_secret_value()

    async def receive(self, stream: anyio.abc.SocketStream) -> bytes:
        received = b""
        try:
            while not received.endswith(b"}"):
                received += await stream.receive()
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            return b""
        return received.partition(b"\r\n\r\n")[2]

    async def until(self, condition: Callable[[], bool]) -> None:
        with anyio.fail_after(30):
            while not condition():
                await self._changed.wait()


@pytest.fixture(params=["asyncio", "trio"])
def run(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Run a scenario with a server and a client of it in an event loop of its own."""

    async def main(scenario: Callable[[Holding, AsyncProjectTokens], Awaitable[None]]) -> None:
        server = Holding()
        listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
        url = f"http://127.0.0.1:{listener.extra(anyio.abc.SocketAttribute.local_port)}"  # noqa: S610 - not Django's
        async with listener, anyio.create_task_group() as group:
            group.start_soon(listener.serve, server)
            async with AsyncProjectTokens(url, *server.credentials, max_retries=0) as tokens:
                await scenario(server, tokens)
            await server.until(lambda: server.open == 0)
            group.cancel_scope.cancel()

    return lambda scenario: anyio.run(main, scenario, backend=request.param)


async def create(tokens: AsyncProjectTokens, results: list[Any]) -> None:
    try:
        results.append(await tokens.create("ci", ["fax"]))
    except (APIConnectionError, ConfigurationError) as error:
        results.append(error)


def test_calls_beyond_the_bound_wait_and_reuse_the_connections_of_those_before(run) -> None:
    async def scenario(server: Holding, tokens: AsyncProjectTokens) -> None:
        results: list[Any] = []
        async with anyio.create_task_group() as group:
            for _ in range(3 * IN_FLIGHT):
                group.start_soon(create, tokens, results)
            await server.until(lambda: server.requests == IN_FLIGHT)
            await anyio.wait_all_tasks_blocked()
            assert server.requests == IN_FLIGHT
            server.release.set()
        assert len({token.id for token in results}) == 3 * IN_FLIGHT == len(server.space.tokens)
        assert server.connections == IN_FLIGHT

    run(scenario)


def test_a_client_closed_meanwhile_finishes_what_has_begun(run) -> None:
    async def scenario(server: Holding, tokens: AsyncProjectTokens) -> None:
        results: list[Any] = []
        async with anyio.create_task_group() as group:
            for _ in range(IN_FLIGHT + 1):
                group.start_soon(create, tokens, results)
            await server.until(lambda: server.requests == IN_FLIGHT)
            await tokens.aclose()
            server.release.set()
        assert {token.id for token in results} == set(server.space.tokens)
        assert len(results) == IN_FLIGHT + 1
        await create(tokens, results)
        assert "this client is closed" in str(results[-1])

    run(scenario)


def test_a_call_cancelled_before_its_turn_sends_nothing_and_takes_no_turn(run) -> None:
    async def scenario(server: Holding, tokens: AsyncProjectTokens) -> None:
        results: list[Any] = []
        async with anyio.create_task_group() as group:
            for _ in range(IN_FLIGHT):
                group.start_soon(create, tokens, results)
            await server.until(lambda: server.requests == IN_FLIGHT)
            async with anyio.create_task_group() as late:
                late.start_soon(create, tokens, results)
                await anyio.wait_all_tasks_blocked()
                late.cancel_scope.cancel()
            server.release.set()
        await create(tokens, results)
        assert len(results) == IN_FLIGHT + 1 == server.requests

    run(scenario)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_client_that_the_user_brought_is_bounded_too(backend) -> None:
    running = most = 0

    async def respond(request: httpx.Request) -> httpx.Response:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await anyio.wait_all_tasks_blocked()
        running -= 1
        body = {"id": "3e5f0000-0000-4000-8000-000000000000", "name": "ci", "permissions": ["fax"], "token": "PT0"}
        return httpx.Response(200, json=body, request=request)

    async def main() -> None:
        transport = httpx.MockTransport(respond)
        tokens = AsyncProjectTokens("example", "project", "the-api-token", transport=transport)
        async with anyio.create_task_group() as group:
            for _ in range(2 * IN_FLIGHT):
                group.start_soon(functools.partial(tokens.create, "ci", ["fax"]))

    anyio.run(main, backend=backend)
    assert most == IN_FLIGHT
