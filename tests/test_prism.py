"""A server that others wrote, made from the spec alone, understands this library and is understood."""

import os
import shutil
import subprocess
from pathlib import Path
from uuid import UUID, uuid4

import httpx
import pytest

from signalwire_tokens import (
    ApiToken,
    AuthenticationError,
    InternalServerError,
    NotFoundError,
    Permission,
    UnprocessableEntityError,
)

ROOT = Path(__file__).parent.parent
ERRORS = {401: AuthenticationError, 404: NotFoundError, 422: UnprocessableEntityError, 500: InternalServerError}
TOKEN_ID = uuid4()
CALLS = {
    "create": lambda tokens: tokens.create("ci", [Permission.FAX, "calling"], subproject_id=uuid4()),
    "update": lambda tokens: tokens.update(TOKEN_ID, name="new", permissions=["video"]),
    "delete": lambda tokens: tokens.delete(TOKEN_ID),
}
# What the spec documents for each call.
FAILURES = [("create", status) for status in (401, 422, 500)]
FAILURES += [("update", status) for status in (401, 404, 422, 500)]
FAILURES += [("delete", status) for status in (401, 404, 500)]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def prism(free_port):
    """Serve the spec with Prism and return the base URL."""
    node = shutil.which("node")
    if not node:
        pytest.skip("node is not on the PATH")
    command = ROOT / "tests/node/node_modules/@stoplight/prism-cli/dist/index.js"
    if not command.exists():
        problem = "prism is not installed: npm ci --prefix tests/node --ignore-scripts"
        pytest.fail(problem) if os.environ.get("CI") else pytest.skip(problem)
    serve = [node, command, "mock", ROOT / "generated/openapi.yaml", "--host", "127.0.0.1", "--port", str(free_port)]
    with subprocess.Popen(serve, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as server:
        try:
            said = []
            # It ends, and with it what it says, if it cannot serve.
            for line in server.stdout:
                said.append(line)
                if "Prism is listening" in line:
                    break
            assert "Prism is listening" in "".join(said[-1:]), "".join(said)
            yield f"http://127.0.0.1:{free_port}"
        finally:
            server.terminate()


def connect(flavour, url, prefer=None):
    """Open a client whose requests ask Prism for a status."""

    plain = httpx.HTTPTransport if flavour.name == "sync" else httpx.AsyncHTTPTransport

    class Asking(plain):
        def handle_request(self, request):
            request.headers["Prefer"] = f"code={prefer}"
            return super().handle_request(request)

        async def handle_async_request(self, request):
            request.headers["Prefer"] = f"code={prefer}"
            return await super().handle_async_request(request)

    # Nobody else closes the connections of a transport that was handed in.
    transport = Asking(limits=httpx.Limits(max_keepalive_connections=0)) if prefer else None
    return flavour.connect(url, "project", "token", transport=transport)


@pytest.mark.parametrize("call", ["create", "update"])
def test_a_token_comes_back(prism, flavour, call):
    body = {"name": "ci", "permissions": ["fax"]}
    # Prism answers with the same token whatever it is asked for.
    example = httpx.post(f"{prism}/api/project/tokens", auth=("project", "token"), json=body, timeout=60).json()
    with connect(flavour, prism) as tokens:
        if call == "create":
            token = tokens.create(example["name"], [Permission.FAX, "calling"], subproject_id=uuid4())
        else:
            token = tokens.update(example["id"], name="new", permissions=["video"])
    assert isinstance(token, ApiToken)
    assert token.id == UUID(example["id"])
    assert token.permissions
    assert token.token.get_secret_value() == example["token"]


def test_a_deletion_is_understood(prism, flavour):
    with connect(flavour, prism) as tokens:
        assert CALLS["delete"](tokens) is None


@pytest.mark.parametrize(("call", "status"), FAILURES)
def test_a_failure_is_the_right_error(prism, flavour, call, status):
    with connect(flavour, prism, prefer=status) as tokens, pytest.raises(ERRORS[status]) as caught:
        CALLS[call](tokens)
    assert caught.value.status_code == status
    assert caught.value.operation == call
    [detail] = caught.value.errors
    assert detail.message


@pytest.mark.parametrize(
    ("auth", "body", "status"),
    [
        (None, {"name": "ci", "permissions": ["fax"]}, 401),
        (("project", "token"), {"name": "ci", "permissions": ["nonsense"]}, 422),
        (("project", "token"), {"name": "ci"}, 422),
    ],
)
def test_prism_holds_requests_against_the_spec(prism, auth, body, status):
    """Or the tests above would say nothing."""
    assert httpx.post(f"{prism}/api/project/tokens", auth=auth, json=body, timeout=60).status_code == status
