"""A server that answers every request with a fresh token and does nothing else: the clients are what is measured.

Usage: server.py CPU [CERTIFICATE KEY]. Prints its port, and serves until its standard input ends. CPU is the number of
the core to stay on, or -1 for any.
"""

import asyncio
import itertools
import os
import ssl
import sys
import time

TOKEN = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"
    b"X-Request-Id: 9b1f7a1e-0000-4000-8000-000000000000\r\n\r\n%s"
)
BODY = (
    b'{"id":"%08x-0000-4000-8000-000000000000","name":"ci-deploy","permissions":["calling","messaging"],'
    b'"token":"PT00000000000000000000000000000000000000000000000"}'
)
CPU_TIME = b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n%020.9f"
numbers = itertools.count()


class Space(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.received = b""

    def data_received(self, data: bytes) -> None:
        self.received += data
        head, end, rest = self.received.partition(b"\r\n\r\n")
        if not end:
            return
        _, _, length = head.lower().partition(b"content-length:")
        if len(rest) < (int(length.split(b"\r\n", 1)[0]) if length else 0):
            return
        self.received = b""
        if head.startswith(b"GET /cpu "):
            self.transport.write(CPU_TIME % time.process_time())
            return
        body = BODY % next(numbers)
        self.transport.write(TOKEN % (len(body), body))


async def main(cpu: int, *certificate: str) -> None:
    if cpu >= 0:
        os.sched_setaffinity(0, {cpu})
    context = None
    if certificate:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*certificate)
    server = await asyncio.get_running_loop().create_server(Space, "127.0.0.1", 0, ssl=context, backlog=20_000)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), *sys.argv[2:]))
