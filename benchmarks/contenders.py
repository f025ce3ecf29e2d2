"""The ways to create a token that are compared, each as a function that opens what it needs and returns the call.

Usage: contenders.py CPU PORT. Reads orders from standard input and answers each one, both as lines of JSON.
"""

import asyncio
import base64
import gc
import json
import os
import resource
import socket
import sys
import time
from collections.abc import Awaitable, Callable

PROJECT, TOKEN = "3e5f0000-0000-4000-8000-000000000000", "PT00000000000000000000000000000000000000000000000"
NAME, PERMISSIONS = "ci-deploy", ["calling", "messaging"]
PAYLOAD = {"name": NAME, "permissions": PERMISSIONS}
PATH = "/api/project/tokens"

Create = Callable[[], str]
AsyncCreate = Callable[[], Awaitable[str]]


def docs_snippet(origin: str) -> Create:
    """As SignalWire's page shows it."""
    import requests

    def create() -> str:
        credentials = base64.b64encode(f"{PROJECT}:{TOKEN}".encode()).decode()
        headers = {"Authorization": f"Basic {credentials}", "Content-Type": "application/json"}
        return requests.post(origin + PATH, json=PAYLOAD, headers=headers).json()["id"]  # noqa: S113 - as on the page

    return create


def requests_session(origin: str) -> Create:
    import requests

    session = requests.Session()
    session.auth = (PROJECT, TOKEN)
    return lambda: session.post(origin + PATH, json=PAYLOAD, timeout=30).json()["id"]


def official_sdk(origin: str) -> Create:
    from signalwire.rest import RestClient

    client = RestClient(PROJECT, TOKEN, origin.removeprefix("http://"))
    return lambda: client.project.tokens.create(name=NAME, permissions=PERMISSIONS)["id"]


def plain_httpx(origin: str) -> Create:
    import httpx

    client = httpx.Client()
    return lambda: client.post(origin + PATH, json=PAYLOAD, auth=(PROJECT, TOKEN)).json()["id"]


def generated_client(origin: str) -> Create:
    import httpx

    from signalwire_rest.api.project_tokens import create_token
    from signalwire_rest.client import Client
    from signalwire_rest.models import CreateTokenRequest, Permission

    client = Client(base_url=origin)
    client.set_httpx_client(httpx.Client(base_url=origin, auth=(PROJECT, TOKEN)))
    permissions = [Permission(value) for value in PERMISSIONS]
    return lambda: str(create_token.sync(client=client, body=CreateTokenRequest(NAME, permissions)).id)


def ours(origin: str) -> Create:
    from signalwire_tokens import ProjectTokens

    tokens = ProjectTokens(origin, PROJECT, TOKEN)
    return lambda: str(tokens.create(NAME, PERMISSIONS).id)


def raw_socket(origin: str) -> Create:
    host, port = origin.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)))
    credentials = base64.b64encode(f"{PROJECT}:{TOKEN}".encode()).decode()
    head = f"POST {PATH} HTTP/1.1\r\nHost: {host}:{port}\r\nAuthorization: Basic {credentials}\r\n"

    def create() -> str:
        body = json.dumps(PAYLOAD)
        connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
        # All answers of the server have the same length, and arrive in one piece.
        return json.loads(connection.recv(65536).partition(b"\r\n\r\n")[2])["id"]

    return create


def async_plain_httpx(origin: str) -> AsyncCreate:
    import httpx

    client = httpx.AsyncClient()

    async def create() -> str:
        response = await client.post(origin + PATH, json=PAYLOAD, auth=(PROJECT, TOKEN))
        return response.json()["id"]

    return create


def async_ours(origin: str) -> AsyncCreate:
    from signalwire_tokens import AsyncProjectTokens

    tokens = AsyncProjectTokens(origin, PROJECT, TOKEN)

    async def create() -> str:
        return str((await tokens.create(NAME, PERMISSIONS)).id)

    return create


def async_ours_aiohttp(origin: str) -> AsyncCreate:
    from httpx_aiohttp import AiohttpTransport

    from signalwire_tokens import AsyncProjectTokens

    tokens = AsyncProjectTokens(origin, PROJECT, TOKEN, transport=AiohttpTransport())

    async def create() -> str:
        return str((await tokens.create(NAME, PERMISSIONS)).id)

    return create


def async_httpx_aiohttp(origin: str) -> AsyncCreate:
    from httpx_aiohttp import HttpxAiohttpClient

    client = HttpxAiohttpClient()

    async def create() -> str:
        response = await client.post(origin + PATH, json=PAYLOAD, auth=(PROJECT, TOKEN))
        return response.json()["id"]

    return create


def async_raw_aiohttp(origin: str) -> AsyncCreate:
    import aiohttp

    session = aiohttp.ClientSession(headers={"Authorization": aiohttp.encode_basic_auth(PROJECT, TOKEN)})

    async def create() -> str:
        async with session.post(origin + PATH, json=PAYLOAD) as response:
            return (await response.json())["id"]

    return create


async def in_flight(create: AsyncCreate, count: int, width: int) -> set[str]:
    """Create `count` tokens, `width` at a time."""

    async def some() -> list[str]:
        return [await create() for _ in range(count // width)]

    return {token for tokens in await asyncio.gather(*(some() for _ in range(width))) for token in tokens}


def server_cpu(port: int) -> float:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"GET /cpu HTTP/1.1\r\n\r\n")
        return float(connection.recv(65536).partition(b"\r\n\r\n")[2])


def main(cpu: int, port: int) -> None:
    if cpu >= 0:
        os.sched_setaffinity(0, {cpu})
    calls: dict[str, Create | AsyncCreate] = {}
    with asyncio.Runner() as runner:

        def run(contender: str, count: int, width: int) -> set[str]:
            call = calls[contender]
            if contender.startswith("async_"):
                return runner.run(in_flight(call, count, width))
            return {call() for _ in range(count)}

        async def opened(contender: str) -> Create | AsyncCreate:
            return globals()[contender](f"http://127.0.0.1:{port}")

        for line in sys.stdin:
            contender, count, width = json.loads(line)
            if contender not in calls:
                calls[contender] = runner.run(opened(contender))
                run(contender, 64, min(width, 64))
                # The objects of one contender's imports must not slow down the garbage collections of another.
                gc.collect()
                gc.freeze()
            gc.collect()
            server = server_cpu(port)
            wall, cpu_time = time.perf_counter(), time.process_time()
            tokens = run(contender, count, width)
            cpu_time, wall = time.process_time() - cpu_time, time.perf_counter() - wall
            if len(tokens) != count // width * width:
                raise SystemExit(f"{contender}: {len(tokens)} tokens instead of {count}")
            server = server_cpu(port) - server
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            result = {"count": len(tokens), "cpu": cpu_time, "wall": wall, "server": server, "peak": peak}
            print(json.dumps(result), flush=True)
        # This skips warnings about connections that are still open.
        os._exit(0)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
