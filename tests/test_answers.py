"""What becomes of an answer, whatever it is: the token, or an error that says truly whether one may live."""

import contextlib
import gzip
import json
import logging
import pickle
import re
import socket
import ssl
import threading
import traceback
import zlib
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from uuid import UUID

import anyio
import httpx
import httpx_aiohttp
import pytest
from interrupting import given_time

import signalwire_tokens
from signalwire_tokens import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    ConfigurationError,
    ErrorDetail,
    InternalServerError,
    InvalidResponseError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    RotationError,
    SecretStr,
    SignalWireError,
    UnprocessableEntityError,
)

ID = "0b1f1f9e-7c1d-4a70-9a3c-0f9f6e4c2d11"
SECRET = "PTnot-to-be-seen"
TOKEN = {"id": ID, "name": "ci", "permissions": ["calling", "unlisted"], "token": SECRET}
WHOLE = json.dumps(TOKEN)
CALLS = {
    "create": lambda tokens: tokens.create("ci", ["fax"]),
    "update": lambda tokens: tokens.update(ID, name="ci"),
    "delete": lambda tokens: tokens.delete(ID),
}


@pytest.fixture(params=CALLS)
def operation(request) -> str:
    return request.param


def answered(flavour, operation, *args, **kwargs):
    """Make one call, answered by httpx.Response(*args, **kwargs)."""
    with flavour.answering(lambda _: httpx.Response(*args, **kwargs)) as tokens:
        return CALLS[operation](tokens)


def shown(error: BaseException) -> str:
    """All that a log or an error reporter could make of an error, locals of the library's frames included."""
    error.__traceback__ = error.__traceback__.tb_next.tb_next
    report = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    return f"{error} {error!r} {vars(error)!r} {report}"


@pytest.mark.parametrize(
    ("status", "body", "headers"),
    [
        (200, WHOLE, {}),
        (201, WHOLE, {}),
        (202, WHOLE, {"content-type": "text/html"}),
        (200, json.dumps({**TOKEN, "created_at": "now", "extra": [1]}), {}),
        (200, b"\xef\xbb\xbf" + WHOLE.encode(), {}),
        (200, WHOLE.encode("utf-16"), {}),
        (200, gzip.compress(WHOLE.encode()), {"content-encoding": "gzip"}),
        (200, gzip.compress(WHOLE[:9].encode()) + gzip.compress(WHOLE[9:].encode()), {"content-encoding": "gzip"}),
        (200, zlib.compress(WHOLE.encode()), {"content-encoding": "deflate"}),
        (200, WHOLE, {"content-encoding": "nonsense"}),
    ],
)
def test_a_whole_token_arrives_whatever_is_around_it(flavour, status, body, headers) -> None:
    def respond(_request):
        # As a stream, as from the wire: httpx would decode a body that is given whole.
        return httpx.Response(status, headers=headers, stream=Wire(body if isinstance(body, bytes) else body.encode()))

    with flavour.answering(respond) as tokens:
        for call in (CALLS["create"], CALLS["update"]):
            created = call(tokens)
            assert created.id == UUID(ID)
            assert created.name == "ci"
            assert created.permissions == ("calling", "unlisted")
            assert created.token == SecretStr(SECRET)


class Wire(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body in pieces of 60 kB, as from the wire: it comes once. Then `failure`, if any."""

    def __init__(self, content: bytes, failure: BaseException | None = None) -> None:
        self._pieces = [content[start : start + 60_000] for start in range(0, len(content), 60_000)]
        self.failure = failure
        self.taken = 0

    def __iter__(self):
        while self._pieces:
            piece = self._pieces.pop(0)
            self.taken += len(piece)
            yield piece
        if self.failure:
            raise self.failure

    async def __aiter__(self):
        for piece in self:
            yield piece


@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"[]", b'"x"', b"<html>oops</html>", b"\xff\xfe\x00", b"[" * 100_000, b"1" * 5000]
    + [WHOLE[:length].encode() for length in (1, 20, 60, len(WHOLE) - 1)]
    + [json.dumps({k: v for k, v in TOKEN.items() if k != key}).encode() for key in TOKEN]
    + [
        json.dumps({**TOKEN, key: value}).encode()
        for key in TOKEN
        for value in (None, 7, True, [], [7], {}, "", [None])
        if (key, value) not in [("name", ""), ("permissions", [])]
    ],
)
def test_a_success_without_a_whole_token_keeps_all_that_came(flavour, body) -> None:
    with pytest.raises(InvalidResponseError, match="look in the dashboard") as caught:
        answered(flavour, "create", 200, content=body, headers={"X-Request-ID": "req-7"})
    error = caught.value
    assert error.may_have_applied is True
    assert error.operation == "create"
    assert error.request_id == "req-7"
    assert "'ci'" in str(error)
    assert "[request id req-7]" in str(error)
    assert error.body.get_secret_value().encode("utf-8", "surrogateescape") == body
    assert error.token_id == (ID if f'"id": "{ID}"'.encode() in body else None)
    assert error.token == (SecretStr(SECRET) if f'"token": "{SECRET}"'.encode() in body else None)
    assert error.__cause__ is None
    assert SECRET not in shown(error)


def test_a_success_without_a_body_is_no_token(flavour) -> None:
    with pytest.raises(InvalidResponseError, match="HTTP 204 without a whole token"):
        answered(flavour, "create", 204)


@pytest.mark.parametrize("failure", [httpx.ReadError("reset"), httpx.ReadTimeout("slow"), ValueError("a plug-in's")])
class TestABodyThatBreaksOff:
    def test_is_kept(self, flavour, failure) -> None:
        with pytest.raises(InvalidResponseError, match="the response was cut off") as caught:
            answered(flavour, "create", 200, stream=Wire(WHOLE[:-1].encode(), failure))
        assert caught.value.body == SecretStr(WHOLE[:-1])
        assert caught.value.token == SecretStr(SECRET)
        assert (caught.value.__cause__, caught.value.__context__) == (None, None)

    def test_behind_a_whole_token_does_not_matter(self, flavour, failure) -> None:
        assert answered(flavour, "create", 200, stream=Wire(WHOLE.encode(), failure)).token == SecretStr(SECRET)

    def test_after_a_deletion_does_not_matter(self, flavour, failure) -> None:
        assert answered(flavour, "delete", 204, stream=Wire(b"{", failure)) is None

    def test_may_have_said_anything_but_that_a_token_was_deleted(self, flavour, failure) -> None:
        with pytest.raises(InvalidResponseError, match="the response was cut off") as caught:
            answered(flavour, "delete", 200, stream=Wire(b"", failure))
        assert caught.value.may_have_applied

    def test_of_an_error_leaves_the_status(self, flavour, failure) -> None:
        with pytest.raises(AuthenticationError) as caught:
            answered(flavour, "create", 401, stream=Wire(b'{"error', failure))
        assert (caught.value.__cause__, caught.value.__context__) == (None, None)


@pytest.mark.filterwarnings("ignore:Exception ignored in:pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore:Async generator:ResourceWarning")  # httpx leaves its own unclosed on trio
def test_no_more_than_a_mebibyte_is_read(flavour) -> None:
    body = Wire(b"x" * 10_000_000)
    with pytest.raises(InvalidResponseError) as caught:
        answered(flavour, "create", 200, stream=body)
    assert len(caught.value.body) == 1024 * 1024
    # In whole pieces.
    assert body.taken == 1_080_000


def test_a_text_that_never_ends_is_read_once(flavour) -> None:
    """Each quote in it could begin another; to follow each to the end would take hours, and so end the run."""
    endless = '"' + r"\"" * (512 * 1024 - 1)
    with pytest.raises(InvalidResponseError) as caught:
        answered(flavour, "create", 200, content=endless.encode())
    assert caught.value.body.get_secret_value() == endless


@pytest.mark.parametrize("sizes", [(50_000_000,), (1000, 50_000_000), (1024 * 1024, 50_000_000)])
def test_a_compressed_bomb_is_disarmed(flavour, sizes) -> None:
    bomb = b"".join(gzip.compress(b"x" * size) for size in sizes)
    with pytest.raises(InvalidResponseError) as caught:
        answered(flavour, "create", 200, stream=Wire(bomb), headers={"content-encoding": "gzip"})
    # What comes behind the last member that was needed is kept as it came.
    rest = gzip.compress(b"x" * sizes[1]) if sizes[0] == 1024 * 1024 else b""
    kept = caught.value.body.get_secret_value().encode("utf-8", "surrogateescape")
    assert len(kept) == 1024 * 1024 + len(rest)


def test_broken_compression_is_kept_as_it_came(flavour) -> None:
    broken = b"\x1f\x8b" + bytes(range(256))
    with pytest.raises(InvalidResponseError) as caught:
        answered(flavour, "create", 200, stream=Wire(broken), headers={"content-encoding": "gzip"})
    assert caught.value.body.get_secret_value().encode("utf-8", "surrogateescape") == broken


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(b"\x1f\x8b" + bytes(range(256)), id="no header"),
        pytest.param(b"<html>", id="no gzip"),
        pytest.param(gzip.compress(b'"PTsecret"}')[:-4] + b"????", id="a wrong checksum"),
    ],
)
def test_what_cannot_be_decompressed_is_kept_behind_what_can(flavour, broken) -> None:
    whole = gzip.compress(b'{"id": "x", ')
    with pytest.raises(InvalidResponseError) as caught:
        answered(flavour, "create", 200, stream=Wire(whole + broken), headers={"content-encoding": "gzip"})
    kept = caught.value.body.get_secret_value().encode("utf-8", "surrogateescape")
    assert kept == b'{"id": "x", ' + broken


def test_compression_that_is_not_announced_is_kept_as_it_came(flavour) -> None:
    zipped = gzip.compress(WHOLE.encode())
    with pytest.raises(InvalidResponseError) as caught:
        answered(flavour, "create", 200, stream=Wire(zipped))
    assert caught.value.body.get_secret_value().encode("utf-8", "surrogateescape") == zipped


@pytest.mark.parametrize("encoding", ["", "gzip"])
def test_a_response_that_a_transport_has_read_still_arrives(flavour, encoding) -> None:
    body = gzip.compress(WHOLE.encode()) if encoding else WHOLE.encode()

    class Reading(httpx.MockTransport):
        def handle_request(self, request):
            response = super().handle_request(request)
            response.read()
            return response

        async def handle_async_request(self, request):
            response = await super().handle_async_request(request)
            await response.aread()
            return response

    transport = Reading(lambda _: httpx.Response(200, headers={"Content-Encoding": encoding}, stream=Wire(body)))
    with flavour.connect("example", "project", "t", transport=transport) as tokens:
        assert CALLS["create"](tokens).token == SecretStr(SECRET)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, BadRequestError),
        (401, AuthenticationError),
        (403, PermissionDeniedError),
        (404, NotFoundError),
        (409, APIStatusError),
        (418, APIStatusError),
        (422, UnprocessableEntityError),
        (429, RateLimitError),
        (500, InternalServerError),
        (502, InternalServerError),
        (503, InternalServerError),
        (504, InternalServerError),
        (520, InternalServerError),
        (599, InternalServerError),
    ],
)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>oops</html>",
        b"[]",
        b"{}",
        *(b'{"errors": {}}', b'{"errors": [7]}', b'{"errors": [{}]}'),
        *(b'{"error": null}', b'{"error": {"x": 1}}'),
    ],
)
def test_each_status_has_its_error_whatever_the_body(flavour, operation, status, kind, body) -> None:
    with pytest.raises(SignalWireError) as caught:
        answered(flavour, operation, status, content=body)
    error = caught.value
    assert type(error) is kind
    assert error.status_code == status
    assert error.operation == operation
    assert error.errors == ()
    assert error.request_id is None
    assert error.retry_after is None
    assert error.may_have_applied is (status >= 500)
    assert f"{operation} of token " in str(error)
    assert f"HTTP {status}" in str(error)
    advice = {"create": "look in the dashboard", "update": "update again", "delete": "delete again"}[operation]
    assert (advice in str(error)) is (status >= 500)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_raised_and_never_followed(flavour, operation, status) -> None:
    requests = []

    def respond(request):
        requests.append(request)
        return httpx.Response(status, headers={"Location": "https://elsewhere.example.com/"})

    with flavour.answering(respond) as tokens, pytest.raises(APIStatusError) as caught:
        CALLS[operation](tokens)
    assert len(requests) == 1
    assert caught.value.status_code == status
    assert caught.value.may_have_applied is True


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        ({"error": "Unauthorized"}, (ErrorDetail(message="Unauthorized"),)),
        (
            {
                "errors": [
                    {
                        "type": "validation_error",
                        "code": "invalid_parameter",
                        "message": "Name must be present",
                        "attribute": "name",
                        "url": "https://signalwire.com/docs/apis/error-codes",
                    },
                    {"type": "t", "code": "c", "message": "m", "attribute": None, "url": "u"},
                    "no object",
                ]
            },
            (
                ErrorDetail(
                    "validation_error",
                    "invalid_parameter",
                    "Name must be present",
                    "name",
                    "https://signalwire.com/docs/apis/error-codes",
                ),
                ErrorDetail("t", "c", "m", None, "u"),
            ),
        ),
        (
            {"errors": [{"detail": "No.", "status": "422", "title": "Bad", "code": "c"}]},
            (ErrorDetail(code="c", message="No."),),
        ),
        ({"errors": [{"title": "Bad", "code": []}]}, (ErrorDetail(message="Bad"),)),
        ({"errors": [{"code": 21}]}, (ErrorDetail(code="21"),)),
        (
            {"code": 20003, "message": "No.", "more_info": "u", "status": 401},
            (ErrorDetail(code="20003", message="No.", url="u"),),
        ),
    ],
)
def test_errors_are_read_from_every_known_shape(flavour, body, errors) -> None:
    with pytest.raises(UnprocessableEntityError) as caught:
        answered(flavour, "create", 422, json=body)
    assert caught.value.errors == errors
    for detail in errors:
        assert (detail.message or detail.code) in str(caught.value)


def test_what_the_service_says_is_cut_and_kept_on_one_line(flavour) -> None:
    with pytest.raises(BadRequestError) as caught:
        answered(flavour, "create", 400, json={"error": "no\nINFO forged\x1b[2J" + "x " * 50_000})
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 1000
    assert len(caught.value.errors[0].message) > 100_000


def test_what_could_be_read_is_the_tokens_own(flavour) -> None:
    other = {"project": {"id": str(UUID(int=7)), "token": "other"}, **TOKEN, "name": None, "token": "A/\u00e9"}
    with pytest.raises(InvalidResponseError) as caught:
        answered(flavour, "create", 200, content=json.dumps(other).encode("utf-16"))
    assert (caught.value.token_id, caught.value.token) == (ID, SecretStr("A/\u00e9"))


def test_what_certificates_lack_is_not_taken_for_credentials(flavour) -> None:
    told = "certificate verify failed: Basic Constraints of CA cert not marked critical"

    def respond(_request):
        raise httpx.ConnectError(told)

    with flavour.answering(respond) as tokens, pytest.raises(APIConnectionError, match=told):
        CALLS["create"](tokens)


@pytest.mark.parametrize("status", [200, 401, 429, 503])
def test_a_transport_that_raises_a_status_leaves_the_outcome_unknown(flavour, status) -> None:
    # What answered a transport of somebody's own, perhaps another service, says nothing of the call.
    def respond(request):
        raise httpx.HTTPStatusError("no", request=request, response=httpx.Response(status, json=TOKEN))

    with flavour.answering(respond) as tokens, pytest.raises(APIConnectionError) as caught:
        CALLS["create"](tokens)
    assert caught.value.may_have_applied


@pytest.mark.parametrize("headers", [{}, {"Content-Encoding": "gzip"}])
def test_credentials_that_come_back_are_masked(flavour, headers) -> None:
    seen = []

    def respond(request):
        seen.append(request.headers["Authorization"])
        body = json.dumps({"message": f"not understood: Authorization={seen[0]}; try again"}).encode()
        return httpx.Response(403, headers=headers, stream=Wire(gzip.compress(body) if headers else body))

    with flavour.answering(respond) as tokens, pytest.raises(PermissionDeniedError) as caught:
        CALLS["create"](tokens)
    assert caught.value.errors[0].message == "not understood: Authorization=**********; try again"
    assert seen[0] not in shown(caught.value)


def test_the_credentials_of_a_proxy_are_masked(flavour) -> None:
    class ProxyError(Exception):
        def __repr__(self) -> str:
            return "ProxyError({'Proxy-Authorization': 'Basic dXNlcjpodW50ZXIy'})"

    def respond(_request):
        raise httpx.ProxyError("Basic dXNlcjpodW50ZXIy was refused") from ProxyError()

    with flavour.answering(respond) as tokens, pytest.raises(APIConnectionError) as caught:
        CALLS["create"](tokens)
    assert "ProxyError: ********** was refused" in str(caught.value)
    assert "dXNlcjpodW50ZXIy" not in shown(caught.value)


def test_a_log_handler_that_raises_does_not_cost_the_token(flavour, monkeypatch) -> None:
    class Broken(logging.Handler):
        def emit(self, record) -> None:
            raise RuntimeError(record)

    log = logging.getLogger("signalwire_tokens")
    monkeypatch.setattr(log, "handlers", [Broken()])
    log.setLevel(logging.INFO)
    try:
        assert answered(flavour, "create", 200, json=TOKEN).token == SecretStr(SECRET)
    finally:
        log.setLevel(logging.NOTSET)


class Ring(httpx.ReadError):
    """An error that is behind its own cause; a search without an end fails rather than fill the memory."""

    asked = 0

    @property
    def __cause__(self) -> httpx.ReadError:
        self.asked += 1
        assert self.asked < 9
        cause = httpx.ReadError("")
        cause.__cause__ = self
        return cause


def ring() -> Exception:
    return Ring("round and round")


def group() -> Exception:
    try:
        raise ValueError("inner")  # noqa: TRY301 - for its frames
    except ValueError as inner:
        error = httpx.ConnectError("")
        error.__cause__ = ExceptionGroup("several", [inner])
        return error


@pytest.mark.parametrize("failure", [ring, group])
def test_any_chain_of_causes_is_told_and_left_behind(flavour, failure) -> None:
    error = failure()

    def respond(_request):
        raise error

    with flavour.answering(respond) as tokens, pytest.raises(APIConnectionError, match=r"round|several") as caught:
        CALLS["create"](tokens)
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)
    assert answered(flavour, "create", 200, stream=Wire(WHOLE.encode(), failure())).token == SecretStr(SECRET)


def test_the_attribute_at_fault_is_named(flavour) -> None:
    with pytest.raises(UnprocessableEntityError, match="HTTP 422: name: must be present; too long"):
        answered(
            flavour,
            "create",
            422,
            json={"errors": [{"message": "must be present", "attribute": "name"}, {"message": "too long"}]},
        )


@pytest.mark.parametrize("name", ["X-Request-ID", "x-signalwire-request-id", "Request-Id"])
def test_the_request_id_is_told(flavour, name) -> None:
    with pytest.raises(NotFoundError, match=r"\[request id req-7\]$") as caught:
        answered(flavour, "delete", 404, headers={name: "req-7"})
    assert caught.value.request_id == "req-7"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0),
        ("1", 1),
        ("3600", 3600),
        ("soon", None),
        ("-1", None),
        ("1e3", None),
        ("", None),
        ("Fri, 01 Jan 2021 00:00:00 GMT", 0),
        ("Fri, 01 Jan 2021 00:00:00 -0000", 0),
        ("Fri, 99 Jan 2021 00:00:00 GMT", None),
        ("Fri, 01 Jan 99999999999999999999 00:00:00 GMT", None),
        ("Fri, 01 Jan 2021 00:00:00 +999999999999999999", None),
    ],
)
def test_retry_after_is_read_as_seconds(flavour, value, seconds) -> None:
    with pytest.raises(RateLimitError) as caught:
        answered(flavour, "create", 429, headers={"Retry-After": value})
    assert caught.value.retry_after == seconds


def test_retry_after_as_a_date_to_come(flavour) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    with pytest.raises(RateLimitError) as caught:
        answered(flavour, "create", 429, headers={"Retry-After": date})
    assert 3500 < caught.value.retry_after <= 3600


@contextmanager
def scripted(answer: bytes, *, hold: bool = False):
    """Serve one connection: read a request, send `answer`, then close, or hold until the end."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        received = bytearray()
        done = threading.Event()

        def serve() -> None:
            try:
                connection, _ = server.accept()
            except OSError:  # the client never came
                return
            with connection:
                while b"\r\n\r\n" not in received or (b"POST" in received and not received.endswith(b"}")):
                    part = connection.recv(65536)
                    if not part:  # the client gave up first
                        return
                    received.extend(part)
                connection.sendall(answer)
                if hold:
                    done.wait(30)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}", received
        finally:
            done.set()
            with contextlib.suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)
            thread.join()


class TestOnTheWire:
    def test_nothing_was_sent_if_the_connection_is_refused(self, flavour, operation, free_port) -> None:
        with flavour.connect(f"http://127.0.0.1:{free_port}", "project", "the-api-token") as tokens:
            with pytest.raises(
                APIConnectionError, match=r"no response from 127\.0\.0\.1:\d+: .*nothing was sent.*SIGNALWIRE_SPACE"
            ) as caught:
                CALLS[operation](tokens)
            assert not isinstance(caught.value, APITimeoutError)
            assert caught.value.may_have_applied is False
            assert "ConnectError" in str(caught.value)
            assert (caught.value.__cause__, caught.value.__context__) == (None, None)
            assert "the-api-token" not in shown(caught.value)

    @pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200", b"garbage\r\n\r\n"])
    def test_a_call_may_have_applied_if_no_answer_came(self, flavour, operation, answer) -> None:
        with scripted(answer) as (url, received), flavour.connect(url, "project", "the-api-token") as tokens:
            with pytest.raises(APIConnectionError) as caught:
                CALLS[operation](tokens)
            assert b"/api/project/tokens" in received
            assert caught.value.may_have_applied is True
            assert caught.value.operation == operation
            report = shown(caught.value)
            assert "the-api-token" not in report
            assert "Basic" not in report

    def test_a_silent_server_times_out(self, flavour, operation) -> None:
        def silent(timeout: float) -> None:
            with scripted(b"", hold=True) as (url, received):
                with flavour.connect(url, "project", "t", timeout=timeout) as tokens:
                    with pytest.raises(APITimeoutError, match=r"no response from 127\.0\.0\.1:\d+: ") as caught:
                        CALLS[operation](tokens)
                if not received:
                    raise caught.value
            assert caught.value.may_have_applied is True

        given_time(silent)

    def test_a_lost_connection_is_no_timeout_over_aiohttp(self) -> None:
        async def main(url: str) -> None:
            async with httpx_aiohttp.AiohttpTransport() as transport:
                tokens = signalwire_tokens.AsyncProjectTokens(url, "project", "t", transport=transport)
                await tokens.create("ci", ["fax"])

        with scripted(b"") as (url, _), pytest.raises(APIConnectionError, match="no response from 127") as caught:
            anyio.run(main, url)
        assert type(caught.value) is APIConnectionError
        assert caught.value.may_have_applied is True
        assert "ServerDisconnectedError: " in str(caught.value)
        assert "Timeout" not in str(caught.value)

    def test_a_body_that_stops_coming_is_kept(self, flavour) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"

        def cut_off(timeout: float) -> None:
            with (
                scripted(head + WHOLE[:-1].encode(), hold=True) as (url, _),
                flavour.connect(url, "project", "t", timeout=timeout) as tokens,
                pytest.raises(InvalidResponseError) as caught,
            ):
                CALLS["create"](tokens)
            assert caught.value.token == SecretStr(SECRET)

        given_time(cut_off)

    def test_a_whole_token_in_a_body_cut_short_arrives(self, flavour) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
        with scripted(head + WHOLE.encode()) as (url, _), flavour.connect(url, "project", "t") as tokens:
            assert CALLS["create"](tokens).token == SecretStr(SECRET)

    def test_compression_is_not_asked_for(self, flavour) -> None:
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(WHOLE)}\r\n\r\n"
        with scripted((head + WHOLE).encode()) as (url, received), flavour.connect(url, "project", "t") as tokens:
            CALLS["create"](tokens)
        assert b"\r\naccept-encoding: identity\r\n" in bytes(received).lower()


def test_tls_trusts_only_known_authorities_and_sends_nothing_to_others(flavour) -> None:
    trustme = pytest.importorskip("trustme")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("localhost").configure_cert(context)
    received = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            try:
                with context.wrap_socket(connection, server_side=True) as stream:
                    received.append(stream.recv(65536))
            except OSError:
                connection.close()

        thread = threading.Thread(target=serve)
        thread.start()
        with flavour.connect(f"https://localhost:{server.getsockname()[1]}", "project", "t") as tokens:
            with pytest.raises(APIConnectionError, match="CERTIFICATE_VERIFY_FAILED") as caught:
                CALLS["create"](tokens)
            assert caught.value.may_have_applied is False
        thread.join()
    assert received == []


INTERRUPTED = r"create of token 'ci' failed: interrupted by \w+ \(a token of this name may exist: look in the dashboard"


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, SystemExit])
def test_an_interruption_leaves_at_once_and_names_what_may_live(interruption, caplog) -> None:
    def respond(_request):
        raise interruption

    transport = httpx.MockTransport(respond)
    tokens = signalwire_tokens.ProjectTokens("example", "project", "the-api-token", transport=transport)
    with pytest.raises(interruption) as caught:
        tokens.create("ci", ["fax"])
    assert not [frame for frame in traceback.extract_tb(caught.value.__traceback__) if "httpx" in frame.filename]
    assert re.match(INTERRUPTED, caplog.records[-1].getMessage())


def test_an_interruption_names_the_id_that_had_come(caplog) -> None:
    def respond(_request):
        return httpx.Response(200, stream=Wire(f'{{"id": "{ID}", "tok'.encode(), KeyboardInterrupt()))

    transport = httpx.MockTransport(respond)
    tokens = signalwire_tokens.ProjectTokens("example", "project", "the-api-token", transport=transport)
    with pytest.raises(KeyboardInterrupt):
        tokens.create("ci", ["fax"])
    assert re.match(INTERRUPTED, caplog.records[-1].getMessage())
    assert caplog.records[-1].getMessage().endswith(f"; its ID is {ID})")


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("sent", [True, False])
def test_a_cancelled_call_leaves_at_once_and_names_what_may_live(backend, sent, caplog) -> None:
    class Transport(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request):
            if sent:
                await request.aread()
            scope.cancel()
            await anyio.sleep_forever()

    scope = None

    async def main() -> None:
        nonlocal scope
        with anyio.CancelScope() as scope:
            transport = Transport()
            client = signalwire_tokens.AsyncProjectTokens("example", "project", "t", transport=transport)
            await client.create("ci", ["fax"])
        assert scope.cancelled_caught

    anyio.run(main, backend=backend)
    records = [record for record in caplog.records if record.name == "signalwire_tokens"]
    assert [bool(re.match(INTERRUPTED, record.getMessage())) for record in records] == [True] * sent


@pytest.mark.parametrize(
    "error",
    [
        SignalWireError("m", operation="create", may_have_applied=True),
        ConfigurationError("m"),
        APIConnectionError("m", operation="create"),
        APITimeoutError("m", operation="delete", may_have_applied=True),
        RateLimitError("m", status_code=429, errors=(ErrorDetail(code="c"),), request_id="r", retry_after=1.5),
        InternalServerError("m", status_code=503, may_have_applied=True),
        RotationError("m", new_token_id=UUID(ID), old_token_id=UUID(int=0)),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_pickle(error) -> None:
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert vars(again) == vars(error)


def test_an_invalid_response_pickles_without_its_secrets(flavour) -> None:
    with pytest.raises(InvalidResponseError) as caught:
        answered(flavour, "create", 200, content=WHOLE[:-1])
    pickled = pickle.dumps(caught.value)
    assert SECRET.encode() not in pickled
    again = pickle.loads(pickled)  # noqa: S301 - our own bytes
    assert (again.body, again.token, again.token_id) == (None, None, ID)
    assert str(again) == str(caught.value)


def test_every_public_name_is_exported_and_documented() -> None:
    for name in signalwire_tokens.__all__:
        value = getattr(signalwire_tokens, name)
        # The generator writes no docstring for the enum and its names.
        assert name in {"Permission", "PermissionName", "__version__"} or value.__doc__, name
    public = {name for name, value in vars(signalwire_tokens).items() if isinstance(value, type)}
    assert public <= set(signalwire_tokens.__all__)
