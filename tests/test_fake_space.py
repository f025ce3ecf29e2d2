"""FakeSpace as any HTTP client sees it, in process and over real HTTP. Every answer is held against the spec."""

import asyncio
import contextlib
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
from pathlib import Path
from uuid import UUID, uuid4

import httpx
import pytest
from interrupting import until, waits
from openapi_core import OpenAPI
from openapi_core.contrib.requests import RequestsOpenAPIRequest, RequestsOpenAPIResponse
from requests import PreparedRequest, Response

from signalwire_rest.answers import CREATE_TOKEN
from signalwire_tokens import Permission
from signalwire_tokens.testing import FakeSpace

SPEC = OpenAPI.from_path(Path(__file__).parent.parent / "generated" / "openapi.yaml")
TOKENS = "/api/project/tokens"
CREATED, _ = CREATE_TOKEN
# A token that no space has; the same in every process, as it names tests.
UNKNOWN = "2b9f8e3c-5d0f-4a53-8a9c-5f1f6a1f0c11"


def conforms(response: httpx.Response) -> None:
    """Raise if the spec does not allow this answer to this call, or the call that was carried out."""
    # The spec is silent on other paths, other methods and what stands between a client and the service.
    described = {TOKENS: {"POST"}}.get(response.request.url.path, {"PATCH", "DELETE"})
    if not re.fullmatch(rf"{TOKENS}(/[^/]+)?", response.request.url.path) or response.request.method not in described:
        return
    if not response.is_success and response.status_code not in {401, 404, 422, 500}:
        return
    response.read()
    call = PreparedRequest()
    url = f"https://example.signalwire.com{response.request.url.path}"
    call.prepare(response.request.method, url, response.request.headers, data=response.request.content)
    if response.is_success:
        SPEC.validate_request(RequestsOpenAPIRequest(call))
    answer = Response()
    answer.status_code, answer._content = response.status_code, response.content
    answer.headers.update(response.headers)
    SPEC.validate_response(RequestsOpenAPIRequest(call), RequestsOpenAPIResponse(answer))


@pytest.fixture(params=["in process", "served"])
def http(request, space):
    with contextlib.ExitStack() as stack:
        where = {"base_url": "https://example.signalwire.com", "transport": space.transport}
        if request.param == "served":
            where = {"base_url": stack.enter_context(space.serve())}
        auth = (space.project_id, space.api_token.get_secret_value())
        hooks = {"response": [conforms]}
        yield stack.enter_context(httpx.Client(**where, auth=auth, timeout=5, event_hooks=hooks))


def create(http, **body) -> dict:
    response = http.post(TOKENS, json={"name": "ci", "permissions": ["fax"], **body})
    assert response.is_success
    return response.json()


def problems(response) -> set[tuple]:
    assert response.status_code == 422
    return {(error["code"], error["attribute"]) for error in response.json()["errors"]}


def test_a_minted_token_looks_real_and_lives(http, space) -> None:
    created = create(http)
    assert created.keys() >= {"id", "name", "permissions", "token"}
    assert re.fullmatch(r"PT[0-9a-f]{48}", created["token"])
    token = space.tokens[UUID(created["id"])]
    assert (token.name, token.permissions, token.project_id) == ("ci", ("fax",), space.project_id)
    assert token.token.get_secret_value() == created["token"]
    assert created["token"] not in repr(space.tokens)
    assert len({create(http)["token"] for _ in range(3)} | {created["token"]}) == 4


def test_it_accepts_all_that_the_enum_has(http) -> None:
    assert create(http, permissions=[*Permission])["permissions"] == [*Permission]


def test_a_change_touches_what_it_names(http, space) -> None:
    created = create(http)
    path = f"{TOKENS}/{created['id']}"
    for change in ({"name": "new"}, {"permissions": ["chat", "video"]}, {}):
        created.update(change)
        response = http.patch(path, json=change)
        assert response.json() == created
    space.tokens[UUID(created["id"])].permissions = ("fsa",)
    response = http.patch(path, json={})
    assert response.json()["permissions"] == ["fsa"]


def test_a_deleted_token_is_gone(http, space) -> None:
    path = f"{TOKENS}/{create(http)['id']}"
    response = http.delete(path)
    assert response.is_success
    assert space.tokens == {}
    for response in (http.delete(path), http.patch(path, json={"name": "new"})):
        assert (response.status_code, response.json()) == (404, {"error": "Not Found"})


@pytest.mark.parametrize("name", ["x", UNKNOWN, "%00"])
def test_an_unknown_token_is_not_found(http, name) -> None:
    assert http.delete(f"{TOKENS}/{name}").status_code == 404


@pytest.mark.parametrize("path", ["/", "/api/project", TOKENS + "/", TOKENS + "/a/b", "/api/projects"])
def test_an_unknown_path_is_not_found(http, path) -> None:
    response = http.get(path)
    assert (response.status_code, response.json()) == (404, {"error": "Not Found"})


@pytest.mark.parametrize(
    ("method", "path", "allow"), [("GET", TOKENS, "POST"), ("PUT", f"{TOKENS}/{UNKNOWN}", "PATCH, DELETE")]
)
def test_an_unknown_method_is_named(http, method, path, allow) -> None:
    response = http.request(method, path)
    assert (response.status_code, response.headers["allow"]) == (405, allow)


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer x",
        "Basic",
        "Basic ???",
        "Basic \xe9".encode(),
        "Basic /w==",
        "Basic eA==",
        "Basic eDp5",
        "basic Og==",
    ],
)
def test_other_credentials_are_refused(http, space, authorization) -> None:
    http.auth = None
    headers = {} if authorization is None else {"Authorization": authorization}
    response = http.post(TOKENS, json={"name": "ci", "permissions": ["fax"]}, headers=headers)
    assert (response.status_code, response.json()) == (401, {"error": "Unauthorized"})
    assert space.tokens == {}


def test_a_minted_token_manages_if_it_may_and_as_long_as_it_lives(http, space) -> None:
    manager, other = create(http, permissions=["management"]), create(http)

    def status(token, project=space.project_id) -> int:
        return http.post(TOKENS, json={"name": "x", "permissions": ["fax"]}, auth=(project, token["token"])).status_code

    assert status(manager) == CREATED
    assert status(manager, str(uuid4())) == 401
    assert status(other) == 401
    http.delete(f"{TOKENS}/{manager['id']}")
    assert status(manager) == 401


def test_a_subproject_is_managed_by_its_project_and_not_the_other_way_round(http, space) -> None:
    subproject, sibling = str(space.add_subproject("a")), str(space.add_subproject("b"))
    child = create(http, subproject_id=subproject, permissions=["management"])
    parent, other = create(http), create(http, subproject_id=sibling)
    assert space.tokens[UUID(child["id"])].project_id == subproject
    assert http.patch(f"{TOKENS}/{child['id']}", json={"name": "new"}).is_success
    http.auth = (subproject, child["token"])
    assert space.tokens[UUID(create(http)["id"])].project_id == subproject
    for foreign in (parent, other):
        assert http.delete(f"{TOKENS}/{foreign['id']}").status_code == 404
    response = http.post(TOKENS, json={"name": "x", "permissions": ["fax"], "subproject_id": sibling})
    assert problems(response) == {("invalid_subproject_id", "subproject_id")}


NAMELESS, WRONG_NAME = ("missing_required_parameter", "name"), ("invalid_parameter", "name")
NO_PERMISSIONS = ("missing_required_parameter", "permissions")
WRONG_PERMISSIONS = ("invalid_auth_token_permissions", "permissions")
WRONG_SUBPROJECT = ("invalid_subproject_id", "subproject_id")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, {NAMELESS, NO_PERMISSIONS}),
        ({"name": " ", "permissions": []}, {NAMELESS, NO_PERMISSIONS}),
        ({"name": 7, "permissions": "fax"}, {WRONG_NAME, WRONG_PERMISSIONS}),
        ({"name": None, "permissions": ["fax", "nonsense"]}, {WRONG_NAME, WRONG_PERMISSIONS}),
        ({"name": "ci", "permissions": [["fax"]]}, {WRONG_PERMISSIONS}),
        ({"name": "ci", "permissions": ["fax"], "subproject_id": "x"}, {WRONG_SUBPROJECT}),
        ({"name": "ci", "permissions": ["fax"], "subproject_id": None}, {WRONG_SUBPROJECT}),
        ({"permissions": ["x"], "subproject_id": str(uuid4())}, {NAMELESS, WRONG_PERMISSIONS, WRONG_SUBPROJECT}),
        ([], {("invalid_parameter", None)}),
        (None, {("invalid_parameter", None)}),
    ],
)
def test_all_that_is_wrong_is_told_at_once(http, space, body, expected) -> None:
    assert problems(http.post(TOKENS, json=body)) == expected
    assert space.tokens == {}


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[" * 100_000])
def test_a_body_that_is_no_json_is_refused(http, content) -> None:
    assert problems(http.post(TOKENS, content=content)) == {("invalid_parameter", None)}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"name": ""}, {NAMELESS}),
        ({"name": None, "permissions": ["nonsense"]}, {WRONG_NAME, WRONG_PERMISSIONS}),
        ({"permissions": []}, {NO_PERMISSIONS}),
        (7, {("invalid_parameter", None)}),
    ],
)
def test_a_bad_change_changes_nothing(http, space, body, expected) -> None:
    created = create(http)
    assert problems(http.patch(f"{TOKENS}/{created['id']}", json=body)) == expected
    assert space.tokens[UUID(created["id"])].name == "ci"


def test_requests_are_kept_with_their_secrets_masked(http, space) -> None:
    created = create(http)
    http.get("/no%20where?token=secret")
    request = space.requests[0]
    assert (request.method, request.path, request.status) == ("POST", TOKENS, CREATED)
    assert request.body == {"name": "ci", "permissions": ["fax"]}
    assert request.headers["authorization"] == "Basic **********"
    assert (space.requests[1].path, space.requests[1].body, space.requests[1].status) == ("/no%20where", None, 404)
    for authorization in (created["token"], f"Bearer {created['token']}", f"{created['token']} x"):
        http.get("/", headers={"Authorization": authorization}, auth=None)
        assert space.requests[-1].headers["authorization"] == "**********"
    for name in ("Cookie", "X-Api-Key", "Proxy-Authorization"):
        for secret in (created["token"], space.api_token.get_secret_value()):
            http.get("/", headers={name: f"key={secret}"})
            assert space.requests[-1].headers[name.lower()] == "**********"
    http.auth = (space.project_id, created["token"])
    http.headers["X-Other"] = "shown"
    space.tokens[UUID(created["id"])].permissions = ("management",)
    http.delete(f"{TOKENS}/{created['id']}", headers={"X-Api-Key": created["token"]})
    assert space.tokens == {}
    assert space.requests[-1].headers["x-other"] == "shown"
    assert created["token"] not in repr(space.requests)
    assert space.api_token.get_secret_value() not in f"{space!r} {vars(space)!r}"


class TestFaults:
    def test_they_come_in_order_and_end(self, http, space) -> None:
        space.fail_next(503, times=2)
        space.fail_next(429, headers={"Retry-After": "7"})
        responses = [http.post(TOKENS, json={"name": "ci", "permissions": ["fax"]}) for _ in range(4)]
        assert [response.status_code for response in responses] == [503, 503, 429, CREATED]
        assert responses[2].headers["retry-after"] == "7"
        assert responses[0].json() == {"error": "Service Unavailable"}
        assert len(space.tokens) == 1

    @pytest.mark.parametrize(
        ("body", "content"), [(b"\xff", b"\xff"), ("<html>", b"<html>"), ({"a": [1]}, b'{"a": [1]}'), ("", b"")]
    )
    def test_they_answer_as_told(self, http, space, body, content) -> None:
        space.fail_next(520, body=body)
        response = http.post(TOKENS)
        assert (response.status_code, response.content) == (520, content)

    def test_a_status_without_a_body_has_the_documented_shape(self, http, space) -> None:
        space.fail_next(520)
        assert http.post(TOKENS).json() == {"error": "Unknown"}
        space.fail_next(422)
        assert problems(http.post(TOKENS)) == {("invalid_parameter", None)}

    @pytest.mark.parametrize("applied", [True, False])
    @pytest.mark.parametrize(
        ("fault", "error"), [({"disconnect": True}, httpx.RemoteProtocolError), ({"timeout": True}, httpx.ReadTimeout)]
    )
    def test_no_answer_comes(self, http, space, fault, error, applied) -> None:
        space.fail_next(applied=applied, **fault)
        http.timeout = 0.2 if "timeout" in fault else 30
        with pytest.raises(error):
            http.post(TOKENS, json={"name": "ci", "permissions": ["fax"]})
        until(lambda: space.requests)
        assert len(space.tokens) == applied
        assert space.requests[-1].status is None

    def test_a_status_may_come_after_the_request_was_carried_out(self, http, space) -> None:
        space.fail_next(500, applied=True)
        assert http.post(TOKENS, json={"name": "ci", "permissions": ["fax"]}).status_code == 500
        assert len(space.tokens) == 1

    def test_headers_replace_those_that_fit_the_body(self, http, space) -> None:
        space.fail_next(500, headers={"content-type": "text/html"})
        assert http.get("/").headers.get_list("content-type") == ["text/html"]
        space.fail_next(502, body="<html>", headers={"Content-Length": "5"})
        assert http.get("/").headers.get_list("content-length") == ["5"]

    @pytest.mark.parametrize("fault", [{}, {"status": 500, "timeout": True}, {"disconnect": True, "timeout": True}])
    def test_a_fault_is_one_thing(self, space, fault) -> None:
        with pytest.raises(ValueError, match="exactly one"):
            space.fail_next(**fault)

    @pytest.mark.parametrize(
        ("status", "error"),
        [("timeout", TypeError), (True, TypeError), (503.0, TypeError), (100, ValueError), (600, ValueError)],
    )
    def test_a_status_that_is_none_is_refused_at_once(self, space, status, error) -> None:
        with pytest.raises(error, match=f"not {status!r}"):
            space.fail_next(status)

    @pytest.mark.parametrize(
        ("times", "error"), [(0, ValueError), (-1, ValueError), (True, TypeError), (1.0, TypeError), ("2", TypeError)]
    )
    def test_a_number_of_times_that_is_none_is_refused_at_once(self, space, times, error) -> None:
        with pytest.raises(error, match=f"not {times!r}"):
            space.fail_next(503, times=times)


def test_serving_ends_with_no_thread_and_no_port_left(free_port) -> None:
    before = {*threading.enumerate()}
    space = FakeSpace()
    with httpx.Client() as kept, space.serve(free_port) as url:
        assert url == f"http://127.0.0.1:{free_port}"
        assert kept.get(url).status_code == 401
        space.fail_next(timeout=True)
        with pytest.raises(httpx.ReadTimeout):
            kept.get(url, timeout=0.1)
        # Or a late server would give the fault to the next request.
        until(lambda: len(space.requests) == 2)
        assert kept.get(url).status_code == 401
    assert {*threading.enumerate()} <= before
    with pytest.raises(httpx.ConnectError):
        httpx.get(url)


def test_stopping_does_not_wait_for_a_client_that_waits(space) -> None:
    before = {*threading.enumerate()}
    with space.serve() as url, socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), 5) as client:
        # Connected and silent, sending a body, and waiting for an answer that never comes.
        with (
            socket.create_connection(client.getpeername(), 5),
            socket.create_connection(client.getpeername(), 5) as sending,
        ):
            sending.sendall(b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\n{")
            space.fail_next(timeout=True, applied=True)
            client.sendall(b"GET / HTTP/1.1\r\n\r\n")
            until(lambda: space.requests)
            assert {*threading.enumerate()} - before
        client.sendall(b"more")
    assert {*threading.enumerate()} <= before
    assert [request.method for request in space.requests] == ["GET"]


def test_the_thread_of_a_client_that_gave_up_ends(space) -> None:
    with space.serve() as url:
        before = {*threading.enumerate()}
        space.fail_next(timeout=True)
        with pytest.raises(httpx.ReadTimeout):
            httpx.get(url, timeout=0.1)
        until(lambda: space.requests)
        until(lambda: {*threading.enumerate()} <= before)


def test_a_client_that_leaves_at_once_is_no_news(space, capfd) -> None:
    with space.serve() as url:
        for _ in range(5):
            with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))) as client:
                # Closing then sends a reset.
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                client.sendall(b"GET / HTTP/1.1\r\n\r\nGET")
        until(lambda: len(space.requests) == 5)
    assert capfd.readouterr() == ("", "")


def test_a_mistake_of_the_space_itself_is_shown(space, capfd, monkeypatch) -> None:
    monkeypatch.setattr(space, "_authenticate", lambda _: 1 / 0)
    with space.serve() as url, pytest.raises(httpx.RemoteProtocolError):
        httpx.get(url)
    assert "ZeroDivisionError" in capfd.readouterr().err


@pytest.mark.parametrize("length", ["x", "-1", "9"])
def test_a_malformed_request_is_not_carried_out(space, length) -> None:
    with space.serve() as url, socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), 5) as client:
        client.sendall(f"POST {TOKENS} HTTP/1.1\r\nContent-Length: {length}\r\n\r\n{{}}".encode())
        if length == "9":
            client.shutdown(socket.SHUT_WR)
        assert client.makefile("rb").readline() == b"HTTP/1.1 400 Bad Request\r\n"
    assert space.requests == []


def test_a_connection_lives_on_whatever_was_answered(http, space) -> None:
    for status in (204, 304):
        space.fail_next(status)
        assert http.get("/").status_code == status
    space.fail_next(200, body="x" * 100_000)
    assert len(http.get("/").content) == 100_000
    assert http.head(TOKENS).headers["content-length"] == "31"
    assert create(http)["name"] == "ci"


def test_a_body_may_come_in_pieces(http) -> None:
    http.event_hooks = {}
    response = http.post(TOKENS, content=iter([b'{"name": "ci", ', b'"permissions": ["fax"]}']))
    assert response.json()["name"] == "ci"
    assert create(http)["name"] == "ci"


async def ask(space, base_url, **options) -> list[int]:
    auth = (space.project_id, space.api_token.get_secret_value())
    async with httpx.AsyncClient(base_url=base_url, auth=auth, **options) as client:

        async def pieces():
            yield b'{"name": "ci", '
            yield b'"permissions": ["fax"]}'

        calls = (client.post(TOKENS, content=pieces()) for _ in range(50))
        return [response.status_code for response in await asyncio.gather(*calls)]


def test_async_clients_come_in_crowds(space) -> None:
    assert asyncio.run(ask(space, "https://example.signalwire.com", transport=space.transport)) == [CREATED] * 50
    with space.serve() as url:
        assert asyncio.run(ask(space, url)) == [CREATED] * 50
    assert len(space.tokens) == 100


def test_a_server_that_nobody_stops_does_not_keep_the_process() -> None:
    code = "from signalwire_tokens.testing import FakeSpace; served = FakeSpace().serve(); served.__enter__()"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0


def test_many_threads_mint_many_tokens(http, space) -> None:
    threads = [threading.Thread(target=lambda: [create(http) for _ in range(10)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(space.tokens) == 40


@pytest.mark.skipif(sys.platform == "win32", reason="no POSIX signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_shell_can_use_it(number, free_port) -> None:
    port = free_port if number == signal.SIGTERM else 0
    command = [sys.executable, "-m", "signalwire_tokens.testing", *(["--port", str(port)] if port else [])]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as run, contextlib.ExitStack() as ends:
        ends.callback(run.kill)  # or a test that fails would wait for it
        lines = [run.stdout.readline() for _ in range(3)]
        exports = dict(re.fullmatch(r"export (\w+)=(\S+)\n", line).groups() for line in lines)
        assert not port or exports["SIGNALWIRE_SPACE"] == f"http://127.0.0.1:{port}"
        code = (
            "from signalwire_tokens import ProjectTokens\n"
            "with ProjectTokens() as tokens: print(tokens.create('ci', ['fax']).token)"
        )
        used = subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, **exports}, check=True, capture_output=True, text=True
        )
        run.send_signal(number)
        assert run.wait(60) == 0
        assert (run.stdout.read(), run.stderr.read()) == ("", "serving a fake space; Ctrl-C ends it\n")
    assert used.stdout == "**********\n"


@pytest.mark.skipif(sys.platform == "win32", reason="no POSIX signals")
def test_a_signal_that_ends_no_system_call_ends_it() -> None:
    # Another thread gets it, so that the main thread waits on, as after one that comes just before it waits.
    code = """
import runpy, signal, sys, threading

def relay():
    sys.stdin.readline()
    signal.pthread_kill(threading.get_ident(), signal.SIGTERM)

threading.Thread(target=relay, daemon=True).start()
sys.argv = ["testing"]
runpy.run_module("signalwire_tokens.testing", run_name="__main__", alter_sys=True)
"""
    command = [sys.executable, "-c", code]
    with (
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as run,
        contextlib.ExitStack() as ends,
    ):
        ends.callback(run.kill)  # or a test that fails would wait for it
        lines = [run.stdout.readline() for _ in range(3)]
        until(lambda: waits(run.pid))
        run.stdin.write(b"\n")
        run.stdin.flush()
        assert run.wait(60) == 0
    assert lines[0].startswith(b"export SIGNALWIRE_SPACE=")


@pytest.mark.parametrize("port", ["used", "65536"])
def test_a_port_that_cannot_be_used_is_told_in_one_line(port) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = str(listening.getsockname()[1]) if port == "used" else port
        command = [sys.executable, "-m", "signalwire_tokens.testing", "--port", port]
        run = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (run.returncode, run.stdout) == (1, "")
    assert re.fullmatch(rf"port {port} cannot be used: .+\n", run.stderr)


def test_it_helps_whoever_asks_and_refuses_what_it_does_not_know() -> None:
    command = [sys.executable, "-m", "signalwire_tokens.testing"]
    asked = subprocess.run([*command, "--help"], capture_output=True, text=True, timeout=60)
    assert (asked.returncode, asked.stderr) == (0, "")
    assert "python -m signalwire_tokens.testing" in asked.stdout
    refused = subprocess.run([*command, "8080"], capture_output=True, text=True, timeout=60)
    assert (refused.returncode, refused.stdout) == (2, "")
