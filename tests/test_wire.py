"""The published page's own example and this library put the same request on the wire."""

import contextlib
import json
import re
import socket
import subprocess
import sys
import threading
from pathlib import Path

PAGE = (Path(__file__).parent / "data" / "create-token.md").read_text(encoding="utf-8")
ANSWER = json.dumps(
    {"id": "0b1f1f9e-7c1d-4a70-9a3c-0f9f6e4c2d11", "name": "John Doe's Token", "permissions": ["fax"], "token": "PT0"}
).encode()
PROJECT, TOKEN = "a1b2c3d4-e5f6-7890-abcd-ef1234567890", "4tjCGnmAeQ0hwFmFDhwfgww880X2lsnuR60VMyasGR3hFpSyvu"


def record(send) -> dict:
    """Return what `send` put on the wire when it was given a server's URL."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        received = bytearray()

        def serve() -> None:
            with contextlib.suppress(OSError), server.accept()[0] as connection:
                while not received.endswith(b"}"):
                    received.extend(connection.recv(65536) or b"}")  # or the client gave up
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(ANSWER), ANSWER))

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            send(f"http://127.0.0.1:{server.getsockname()[1]}")
        finally:
            # Not every system lets a socket that listens be shut down.
            with contextlib.suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)
            thread.join()
    head, _, body = bytes(received).partition(b"\r\n\r\n")
    request_line, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return {
        "request": request_line,
        "authorization": headers["authorization"],
        "content-type": headers["content-type"],
        "body": json.loads(body),
    }


def test_the_pages_snippet_and_the_library_send_the_same(flavour) -> None:
    snippet = re.search(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)[1]
    payload = re.search(r"^payload = (\{.*?^\})", snippet, re.MULTILINE | re.DOTALL)[1]
    wanted = json.loads(payload)

    def send_snippet(url: str) -> None:
        code = snippet.replace("https://{your_space_name}.signalwire.com", url)
        code = code.replace("<project_id>", PROJECT).replace("<api_token>", TOKEN)
        assert {url, PROJECT, TOKEN} <= set(re.findall(r"http://[\d.:]+|[\w-]{30,}", code))
        subprocess.run([sys.executable, "-"], input=code, text=True, check=True, capture_output=True)

    def send_ours(url: str) -> None:
        with flavour.connect(url, PROJECT, TOKEN) as tokens:
            tokens.create(wanted["name"], wanted["permissions"])

    theirs = record(send_snippet)
    assert theirs["request"] == "POST /api/project/tokens HTTP/1.1"
    assert theirs["body"] == wanted
    assert record(send_ours) == theirs
