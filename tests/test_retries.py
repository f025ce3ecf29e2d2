"""When a call is sent again, when it is not, and how long it waits. No test sleeps: the waits are recorded."""

import contextlib
import logging
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from uuid import uuid4

import httpx
import pytest

from signalwire_tokens import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    AsyncProjectTokens,
    AuthenticationError,
    ConfigurationError,
    InternalServerError,
    InvalidResponseError,
    NotFoundError,
    ProjectTokens,
    RateLimitError,
)

CALLS = {
    "create": lambda tokens, _: tokens.create("ci", ["fax"]),
    "update": lambda tokens, token_id: tokens.update(token_id, name="new"),
    "delete": lambda tokens, token_id: tokens.delete(token_id),
}


@pytest.fixture(params=CALLS)
def operation(request) -> str:
    return request.param


@pytest.fixture
def living(space):
    """A token that lives and did not come through the client under test."""
    with httpx.Client(transport=space.transport, auth=(space.project_id, space.api_token.get_secret_value())) as http:
        answer = http.post(
            "https://example.signalwire.com/api/project/tokens", json={"name": "old", "permissions": ["fax"]}
        )
    space.requests.clear()
    return answer.json()["id"]


@pytest.fixture
def waits(monkeypatch) -> list[float]:
    """The seconds that the clients sleep; the jitter is at its highest."""
    waited = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr(ProjectTokens, "_sleep", staticmethod(waited.append))
    monkeypatch.setattr(AsyncProjectTokens, "_sleep", staticmethod(sleep))
    for client in (ProjectTokens, AsyncProjectTokens):
        monkeypatch.setattr(client, "_random", staticmethod(lambda: 1.0))
    return waited


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_failing_proxy_is_asked_again_unless_that_could_mint_twice(flavour, space, living, waits, operation, status):
    space.fail_next(status, applied=operation == "create")
    with flavour.on(space, max_retries=2) as tokens:
        if operation == "create":
            with pytest.raises(InternalServerError) as caught:
                CALLS[operation](tokens, living)
            assert caught.value.may_have_applied is True
            assert len(space.tokens) == 2
        else:
            CALLS[operation](tokens, living)
    assert len(waits) == len(space.requests) - 1 == (operation != "create")


@pytest.mark.parametrize("fault", [{"timeout": True}, {"disconnect": True}])
@pytest.mark.parametrize("applied", [True, False])
def test_without_an_answer_only_a_create_is_not_sent_again(flavour, space, living, waits, operation, fault, applied):
    space.fail_next(applied=applied, **fault)
    with flavour.on(space, max_retries=2) as tokens:
        if operation == "create":
            with pytest.raises(APIConnectionError) as caught:
                CALLS[operation](tokens, living)
            assert caught.value.may_have_applied is True
            assert len(space.tokens) == 1 + applied
        else:
            CALLS[operation](tokens, living)
            assert [token.name for token in space.tokens.values()] == ["new"] * (operation == "update")
    assert len(waits) == len(space.requests) - 1 == (operation != "create")


def test_every_call_waits_for_its_turn_after_a_429(flavour, space, living, waits, operation):
    space.fail_next(429, headers={"Retry-After": "7"})
    space.fail_next(429)
    with flavour.on(space, max_retries=2) as tokens:
        CALLS[operation](tokens, living)
    assert waits == [7.0, 1.0]
    assert [request.status // 100 for request in space.requests] == [4, 4, 2]


@pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 408, 409, 422, 500, 501, 505, 520])
def test_any_other_status_is_raised_at_once(flavour, space, living, waits, operation, status):
    space.fail_next(status)
    with flavour.on(space, max_retries=2) as tokens, pytest.raises(APIStatusError) as caught:
        CALLS[operation](tokens, living)
    assert caught.value.status_code == status
    assert (len(space.requests), waits) == (1, [])


def test_what_was_never_sent_is_sent_again(flavour, living, waits, operation):
    failures = [httpx.ConnectError("refused"), httpx.PoolTimeout("busy"), httpx.ConnectTimeout("slow")]

    def respond(_request):
        if failures:
            raise failures.pop(0)
        name = "new" if operation == "update" else "ci"
        token = {"id": living, "name": name, "permissions": ["fax"], "token": "PT0"}
        return httpx.Response(204) if operation == "delete" else httpx.Response(200, json=token)

    class Unread(httpx.MockTransport):
        """As a real transport, it reads a body only when there is a connection to write it to."""

        def handle_request(self, request):
            return self.handler(request)

        async def handle_async_request(self, request):
            if failures:
                raise failures.pop(0)
            await request.aread()
            return self.handler(request)

    transport = Unread(respond)
    with flavour.connect("example", "project", "t", transport=transport, max_retries=3) as tokens:
        CALLS[operation](tokens, living)
    assert waits == [0.5, 1.0, 2.0]


class TryingAgain(httpx.MockTransport):
    """As people write them, around a transport whose answer to a create is lost."""

    def handle_request(self, request):
        for _ in range(3):
            with contextlib.suppress(httpx.ReadError):
                b"".join(request.stream)
                return self.handler(request)
        raise httpx.ReadError("gave up")

    async def handle_async_request(self, request):
        for _ in range(3):
            with contextlib.suppress(httpx.ReadError):
                [_ async for _ in request.stream]
                return self.handler(request)
        raise httpx.ReadError("gave up")


def test_a_transport_that_tries_again_by_itself_does_not_mint_twice(flavour):
    minted = []

    def respond(request):
        minted.append(request)
        raise httpx.ReadError("reset")

    transport = TryingAgain(respond)
    with flavour.connect("example", "project", "t", transport=transport, max_retries=2) as tokens:
        with pytest.raises(APIConnectionError) as caught:
            tokens.create("ci", ["fax"])
        assert caught.value.may_have_applied
    assert len(minted) == 1


def test_a_refused_connection_is_tried_again_and_then_told(flavour, waits, operation, free_port):
    with flavour.connect(f"http://127.0.0.1:{free_port}", "project", "t", max_retries=2) as tokens:
        with pytest.raises(APIConnectionError, match="nothing was sent") as caught:
            CALLS[operation](tokens, uuid4())
        assert caught.value.may_have_applied is False
    assert waits == [0.5, 1.0]


def test_the_waits_grow_to_a_limit_and_are_drawn_anew(flavour, space, living, waits, monkeypatch):
    draws = iter([1.0, 0.5, 1.0, 0.0, 1.0, 1.0, 1.0])
    for client in (ProjectTokens, AsyncProjectTokens):
        monkeypatch.setattr(client, "_random", staticmethod(lambda: next(draws)))
    space.fail_next(503, times=7)
    with flavour.on(space, max_retries=7) as tokens:
        tokens.delete(living)
    assert waits == [0.5, 0.5, 2.0, 0.0, 8.0, 8.0, 8.0]


def test_any_number_of_retries_can_be_waited_for(flavour, waits):
    def respond(_request):
        raise httpx.ConnectError("refused")

    class Refusing(httpx.MockTransport):
        def handle_request(self, request):
            return self.handler(request)

        async def handle_async_request(self, request):
            return self.handler(request)

    transport = Refusing(respond)
    client = flavour.connect("example", "project", "t", transport=transport, max_retries=1100)
    with client as tokens, pytest.raises(APIConnectionError):
        tokens.create("ci", ["fax"])
    assert (len(waits), max(waits)) == (1100, 8.0)


def test_the_jitter_and_the_sleep_are_real_by_default():
    assert ProjectTokens._sleep is time.sleep
    assert len({AsyncProjectTokens._random() for _ in range(9)}) > 1


@pytest.mark.parametrize(
    ("status", "value", "wait"),
    [
        (429, "0", 0.5),
        (429, "60", 60.0),
        (429, "61", None),
        (429, "3600", None),
        (429, "soon", 0.5),
        (503, "9", 9.0),
        (503, "3600", None),
        (429, "Fri, 01 Jan 2021 00:00:00 GMT", 0.5),
        # No UTC can say it.
        (429, "Fri, 31 Dec 9999 23:59:59 -2359", None),
    ],
)
def test_retry_after_is_heeded_up_to_a_minute(flavour, space, living, waits, status, value, wait):
    space.fail_next(status, headers={"Retry-After": value})
    with flavour.on(space, max_retries=2) as tokens:
        if wait is None:
            with pytest.raises(APIStatusError) as caught:
                tokens.delete(living)
            assert caught.value.retry_after > 60
        else:
            tokens.delete(living)
    assert waits == ([] if wait is None else [wait])


def test_retry_after_may_be_a_date(flavour, space, living, waits):
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    space.fail_next(429, headers={"Retry-After": date})
    with flavour.on(space, max_retries=2) as tokens:
        tokens.delete(living)
    assert 0.5 < waits[0] <= 30


@pytest.mark.parametrize("retries", [0, 1, 5])
def test_max_retries_is_a_limit(flavour, space, living, waits, retries):
    space.fail_next(503, times=9)
    with flavour.on(space, max_retries=retries) as tokens, pytest.raises(InternalServerError):
        tokens.delete(living)
    assert len(waits) == len(space.requests) - 1 == retries


@pytest.mark.parametrize("client", [ProjectTokens, AsyncProjectTokens])
def test_two_retries_are_the_default(client):
    made = client("http://127.0.0.1:1", "project", "t")
    assert made._max_retries == 2


@pytest.mark.parametrize(
    ("retries", "error"), [(-1, ValueError), (True, TypeError), (1.0, TypeError), ("2", TypeError), (None, TypeError)]
)
def test_max_retries_is_a_whole_number(flavour, space, retries, error):
    with pytest.raises(error, match="max_retries must"), flavour.on(space, max_retries=retries):
        pass


def test_a_token_gone_after_an_attempt_that_may_have_worked_is_deleted(flavour, space, living, waits):
    space.fail_next(503, applied=True)
    with flavour.on(space, max_retries=2) as tokens:
        assert tokens.delete(living) is None
    assert [request.status for request in space.requests] == [503, 404]
    assert len(waits) == 1


def test_a_token_gone_after_an_attempt_that_cannot_have_worked_is_missing(flavour, space, waits):
    space.fail_next(429)
    with flavour.on(space, max_retries=2) as tokens, pytest.raises(NotFoundError):
        tokens.delete(uuid4())
    assert len(waits) == 1


def test_an_update_of_a_missing_token_fails_whatever_came_before(flavour, space, waits):
    space.fail_next(503)
    with flavour.on(space, max_retries=2) as tokens, pytest.raises(NotFoundError) as caught:
        tokens.update(uuid4(), name="new")
    assert caught.value.may_have_applied is True
    assert len(waits) == 1


def test_an_earlier_attempt_that_may_have_worked_is_not_forgotten(flavour, space, living, waits):
    space.fail_next(timeout=True, applied=True)
    space.fail_next(401)
    with flavour.on(space, max_retries=2) as tokens, pytest.raises(AuthenticationError) as caught:
        tokens.update(living, name="new")
    assert caught.value.may_have_applied is True
    assert "the change may have been made" in str(caught.value)
    assert len(waits) == 1


def test_missing_ok(flavour, space, living):
    with flavour.on(space) as tokens:
        tokens.delete(living, missing_ok=True)
        tokens.delete(living, missing_ok=True)
        with pytest.raises(NotFoundError):
            tokens.delete(living, missing_ok=False)


class Broken(httpx.SyncByteStream, httpx.AsyncByteStream):
    def __iter__(self):
        yield b'{"id":'
        raise httpx.ReadError("reset")

    async def __aiter__(self):
        for piece in self:
            yield piece


@pytest.mark.parametrize("cut", [True, False])
def test_an_update_whose_answer_breaks_off_is_sent_again_and_one_of_nonsense_is_not(flavour, space, living, waits, cut):
    answers = [httpx.Response(200, stream=Broken()) if cut else httpx.Response(200, text="<html>")]

    def respond(request):
        return answers.pop() if answers else space.transport.handle_request(request)

    transport = httpx.MockTransport(respond)
    with flavour.connect("example", space.project_id, space.api_token, transport=transport, max_retries=2) as tokens:
        if cut:
            assert tokens.update(living, name="new").name == "new"
        else:
            with pytest.raises(InvalidResponseError):
                tokens.update(living, name="new")
    assert len(waits) == cut


def test_a_retry_is_logged(flavour, space, living, waits, caplog):
    space.fail_next(503)
    with flavour.on(space, max_retries=1) as tokens:
        tokens.delete(living)
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert warnings[0].getMessage().endswith("delete again to be sure); retry in 0.5 s")
    assert waits == [0.5]


def test_a_call_under_way_goes_on_when_the_client_is_closed_between_attempts(flavour, space, living, monkeypatch):
    with flavour.on(space, max_retries=1) as tokens:
        client = getattr(tokens, "client", tokens)

        async def close(_seconds) -> None:
            await client.aclose()

        monkeypatch.setattr(ProjectTokens, "_sleep", lambda client, _: client.close())
        monkeypatch.setattr(AsyncProjectTokens, "_sleep", staticmethod(close))
        space.fail_next(503, applied=True)
        tokens.delete(living)
        assert [request.method for request in space.requests] == ["DELETE", "DELETE"]
        with pytest.raises(ConfigurationError, match="closed"):
            tokens.delete(living)


def test_rate_limits_and_timeouts_end_in_their_own_errors(flavour, space, living, waits):
    with flavour.on(space, max_retries=1) as tokens:
        space.fail_next(429, times=2)
        with pytest.raises(RateLimitError):
            tokens.create("ci", ["fax"])
        space.fail_next(timeout=True, times=2)
        with pytest.raises(APITimeoutError):
            tokens.delete(living)
    assert len(waits) == 2
