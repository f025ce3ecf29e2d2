"""What is promised of secrets, notes and interruptions, each in all the forms that it was once broken in."""

import base64
import copy
import dataclasses
import gc
import json
import logging
import logging.config
import modulefinder
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from uuid import UUID

import anyio
import httpx
import jsonpickle
import pydantic
import pytest

import signalwire_rest
import signalwire_tokens
from signalwire_tokens import (
    APIConnectionError,
    APIStatusError,
    ApiToken,
    AsyncProjectTokens,
    ErrorDetail,
    InternalServerError,
    InvalidResponseError,
    ProjectTokens,
    RateLimitError,
    RotationError,
    SecretStr,
    SignalWireError,
)

PROJECT = "project"
# The base64 of both is padded, and not so long that it is masked as any long word is.
API_TOKEN = 'tok"en/\\every-kind'
MASK = "**********"
PAIR = base64.b64encode(f"{PROJECT}:{API_TOKEN}".encode()).decode()
ID = "0b1f1f9e-7c1d-4a70-9a3c-0f9f6e4c2d11"
NEW = "PT" + "0123456789abcdef" * 3
TOKEN = {"id": ID, "name": "ci", "permissions": ["fax"], "token": NEW}
# What is said, and what is told of it.
SPOKEN = {
    "the token": (API_TOKEN, MASK),
    "in a sentence": (f"the token {API_TOKEN} is unknown", f"the token {MASK} is unknown"),
    "the pair": (f"{PROJECT}:{API_TOKEN}", MASK),
    "its base64": (PAIR, MASK),
    "its base64 unpadded": (PAIR.rstrip("="), MASK),
    "as it is sent": (f"Authorization: Basic {PAIR}", f"Authorization: {MASK}"),
    "JSON in JSON": (json.dumps({"token": API_TOKEN}), json.dumps({"token": MASK})),
    "a new secret": (f"minted {NEW}, then failed", f"minted {MASK}, then failed"),
}


def connect(flavour, respond, **kwargs):
    return flavour.connect("example", PROJECT, API_TOKEN, transport=httpx.MockTransport(respond), **kwargs)


@pytest.mark.parametrize("status", [401, 422, 500, 503])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-32"])
@pytest.mark.parametrize("spoken", SPOKEN)
def test_what_a_service_repeats_is_masked_everywhere(flavour, status, encoding, spoken, caplog) -> None:
    caplog.set_level(logging.DEBUG)
    said, told = SPOKEN[spoken]
    body = json.dumps({"errors": [{"message": said, "code": said, "attribute": said, "type": said, "url": said}]})
    headers = {"X-Request-Id": said, "Location": said}
    response = httpx.Response(status, headers=headers, content=body.encode(encoding))
    with connect(flavour, lambda _: response) as tokens, pytest.raises(APIStatusError) as caught:
        tokens.create("ci", ["fax"])
    error = caught.value
    shown = f"{error} {error!r} {error.errors} {error.request_id} {vars(error)} {caplog.text}"
    for secret in (API_TOKEN, json.dumps(API_TOKEN)[1:-1], PAIR, PAIR.rstrip("="), NEW):
        assert secret not in shown
    assert error.errors == (ErrorDetail(told, told, told, told, told),)
    assert error.request_id == told
    assert f"{told}: {told}" in str(error)


@pytest.mark.parametrize("spoken", SPOKEN)
def test_what_a_failure_repeats_is_masked_too(flavour, spoken) -> None:
    said, told = SPOKEN[spoken]

    def respond(_request):
        raise httpx.ProxyError(said)

    with connect(flavour, respond) as tokens, pytest.raises(APIConnectionError) as caught:
        tokens.create("ci", ["fax"])
    assert f": ProxyError: {told} (" in str(caught.value)


@pytest.mark.parametrize(("api_token", "told"), [("unknown", "unknown user"), ("unknown1", f"{MASK} user")])
def test_what_is_as_short_as_a_word_is_not_masked(flavour, api_token, told) -> None:
    response = httpx.Response(401, json={"error": f"{api_token} user"})
    transport = httpx.MockTransport(lambda _: response)
    with flavour.connect("example", PROJECT, api_token, transport=transport) as tokens:
        with pytest.raises(APIStatusError) as caught:
            tokens.create("ci", ["fax"])
    assert caught.value.errors == (ErrorDetail(message=told),)


@pytest.mark.parametrize("secret", [NEW, API_TOKEN])
def test_a_redirect_to_a_secret_is_masked(flavour, secret) -> None:
    response = httpx.Response(302, headers={"Location": f"https://example.com/?t={secret}"})
    with connect(flavour, lambda _: response) as tokens, pytest.raises(APIStatusError) as caught:
        tokens.create("ci", ["fax"])
    assert secret not in str(caught.value)
    assert "https://example.com/" in str(caught.value)


def test_the_token_in_the_place_of_an_id_is_masked(flavour) -> None:
    response = httpx.Response(200, json={**TOKEN, "id": API_TOKEN})
    with connect(flavour, lambda _: response) as tokens, pytest.raises(InvalidResponseError) as caught:
        tokens.create("ci", ["fax"])
    assert caught.value.token_id == "**********"
    assert API_TOKEN not in str(caught.value)


def test_pydantics_secret_is_accepted_where_ours_is(flavour) -> None:
    seen = []

    def respond(request):
        seen.append(request.headers["Authorization"])
        return httpx.Response(200, json=TOKEN)

    secrets = (pydantic.SecretStr("example"), pydantic.SecretStr(PROJECT), pydantic.SecretStr(API_TOKEN))
    with flavour.connect(*secrets, transport=httpx.MockTransport(respond)) as tokens:
        tokens.create("ci", ["fax"])
        with pytest.raises(TypeError, match="id of a token, not SecretStr"):
            tokens.delete(pydantic.SecretStr(ID))
    assert seen == [f"Basic {PAIR}"]


@pytest.mark.filterwarnings("ignore:keys will default:DeprecationWarning")
def test_a_serialiser_shows_no_secret() -> None:
    secret = SecretStr(NEW)
    for unpicklable in (True, False):
        assert NEW not in jsonpickle.encode([secret, TOKEN["id"]], unpicklable=unpicklable)
    with pytest.raises(TypeError, match="cannot be pickled"):
        secret.__getstate__()
    assert copy.deepcopy(secret) == secret


@pytest.mark.parametrize("permissions", [{"fax": False, "calling": True}, {}])
def test_a_mapping_is_no_list_of_permissions(flavour, space, permissions) -> None:
    with flavour.on(space) as tokens:
        with pytest.raises(TypeError, match=r"must be a list of Permission or str, .* not dict"):
            tokens.create("ci", permissions)
        with pytest.raises(TypeError, match=r"must be a list of Permission or str, .* not dict"):
            tokens.update(ID, permissions=permissions)
    assert space.requests == []


def test_a_secret_for_permissions_is_not_repeated(flavour, space) -> None:
    with flavour.on(space) as tokens, pytest.raises(TypeError, match=r"not str$") as caught:
        tokens.create("ci", NEW)
    assert NEW not in str(caught.value)


@pytest.mark.parametrize("name", ["a\0b", "a\ud800", "\udfff"])
def test_a_name_that_no_text_can_carry_is_refused(flavour, space, name) -> None:
    with flavour.on(space) as tokens:
        for call in (lambda: tokens.create(name, ["fax"]), lambda: tokens.update(ID, name=name)):
            with pytest.raises(ValueError, match="name has a NUL character or half of a surrogate pair"):
                call()
    assert space.requests == []


def test_an_emoji_is_a_name(flavour, space) -> None:
    with flavour.on(space) as tokens:
        assert tokens.create("ci \U0001f680", ["fax"]).name == "ci \U0001f680"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "1.5"}, 1.5),
        ({"Retry-After": "Fri, 01 Jan 2021 00:00:30 GMT", "Date": "Fri, 01 Jan 2021 00:00:00 GMT"}, 30.0),
        ({"Retry-After": "Fri, 01 Jan 2021 02:00:30 +0200", "Date": "Fri, 01 Jan 2021 00:00:00 GMT"}, 30.0),
        ({"Retry-After": "Fri, 01 Jan 2021 00:00:00 GMT", "Date": "Fri, 01 Jan 2021 00:00:30 GMT"}, 0.0),
        ({"Retry-After": "Fri, 01 Jan 2021 00:00:30 GMT", "Date": "yesterday"}, 0.0),
        ({"Retry-After": "Fri, 01 Jan 2099 00:00:30 GMT", "Date": "Fri, 01 Jan 2099 00:00:00 +0000"}, 30.0),
    ],
)
def test_retry_after_is_read_by_the_services_clock(flavour, headers, seconds) -> None:
    response = httpx.Response(429, headers=headers)
    with connect(flavour, lambda _: response) as tokens, pytest.raises(RateLimitError) as caught:
        tokens.create("ci", ["fax"])
    assert caught.value.retry_after == seconds


@dataclasses.dataclass(frozen=True)
class Frozen(Exception):  # noqa: N818 - what it is
    reason: str


class Odd(Exception):  # noqa: N818 - what it is
    exceptions = "not what it is in a group"

    def __str__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize("failure", [Frozen("no"), Odd()])
class TestExceptionsOfSomebodysOwn:
    def test_out_of_a_transport(self, flavour, failure) -> None:
        def respond(_request):
            raise failure

        with connect(flavour, respond) as tokens, pytest.raises(APIConnectionError, match=type(failure).__name__) as e:
            tokens.create("ci", ["fax"])
        assert e.value.may_have_applied

    @pytest.mark.parametrize("method", ["create", "rotate"])
    def test_out_of_a_store(self, flavour, space, failure, method, caplog) -> None:
        caplog.set_level(logging.INFO)

        def store(_token) -> None:
            raise failure

        with flavour.on(space) as tokens:
            old = tokens.create("old", ["fax"])
            args = (old.id,) if method == "rotate" else ()
            with pytest.raises(type(failure)) as caught:
                getattr(tokens, method)(*args, "ci", ["fax"], store=store)
        assert caught.value is failure
        assert list(space.tokens) == [old.id]
        assert "was deleted again" in caplog.text

    def test_out_of_a_store_whose_token_cannot_be_deleted(self, flavour, space, failure, caplog) -> None:
        def store(_token) -> None:
            space.fail_next(500)
            raise failure

        with flavour.on(space) as tokens, pytest.raises(SignalWireError) as caught:
            tokens.create("ci", ["fax"], store=store)
        (token_id,) = space.tokens
        assert f"token {token_id} may still exist, delete it: store failed with {type(failure).__name__}" in str(
            caught.value
        )
        assert caught.value.may_have_applied
        assert str(token_id) in caplog.text

    @pytest.mark.parametrize("store", [None, "works", "fails"])
    def test_out_of_a_deletion(self, space, failure, store) -> None:
        """One that is no Exception goes on, with a note of what may exist."""

        class Interruption(BaseException):
            def __str__(self) -> str:
                return str(failure)

        def respond(request):
            if request.method == "DELETE":
                raise Interruption
            return space.transport.handle_request(request)

        def keep(_token) -> None:
            if store == "fails":
                raise LookupError

        tokens = ProjectTokens("example", space.project_id, space.api_token, transport=httpx.MockTransport(respond))

        def act() -> None:
            if store:
                tokens.rotate(UUID(int=1), "ci", ["fax"], store=keep)
            with tokens.temporary("ci", ["fax"]):
                pass

        with pytest.raises(Interruption) as caught:
            act()
        (token_id,) = space.tokens
        assert str(token_id) in "".join(caught.value.__notes__)


@pytest.mark.parametrize("failure", [Frozen("no"), Odd()])
def test_an_exception_of_somebodys_own_leaves_the_block_of_a_temporary_token(space, failure) -> None:
    def leave() -> None:
        with tokens.temporary("job", ["fax"]):
            raise failure

    with ProjectTokens("example", space.project_id, space.api_token, transport=space.transport) as tokens:
        with pytest.raises(type(failure)) as caught:
            leave()
    assert caught.value is failure
    assert space.tokens == {}


def test_a_store_of_create_is_as_that_of_rotate(flavour, space) -> None:
    stored = []
    with flavour.on(space) as tokens:
        created = tokens.create("ci", ["fax"], store=stored.append)
        assert stored == [created]
        with pytest.raises(TypeError, match="store must be a function"):
            tokens.create("ci", ["fax"], store="vault")
        with pytest.raises(TypeError, match="store must be a function"):
            tokens.rotate(created.id, "ci", ["fax"], store=None)
    assert list(space.tokens) == [created.id]


@pytest.fixture
def disabled():
    """An application that disables the loggers which it does not know, as dictConfig does unless it is told not to."""
    log = logging.getLogger("signalwire_tokens")
    logging.config.dictConfig({"version": 1, "incremental": False})
    assert log.disabled
    yield
    log.disabled = False


@pytest.mark.usefixtures("disabled")
class TestNotes:
    """What may exist stands in a note on what leaves, too."""

    @pytest.mark.parametrize("backend", ["asyncio", "trio"])
    @pytest.mark.parametrize("came", [True, False])
    def test_of_a_cancelled_create(self, backend, came) -> None:
        notes = []

        class Transport(httpx.AsyncBaseTransport):
            async def handle_async_request(self, request):
                await request.aread()
                scope.cancel()
                if not came:
                    await anyio.sleep_forever()

                async def body():
                    yield json.dumps(TOKEN).encode()
                    await anyio.sleep_forever()

                return httpx.Response(200, content=body())

        async def main() -> None:
            nonlocal scope
            with anyio.CancelScope() as scope:
                try:
                    await AsyncProjectTokens("example", PROJECT, API_TOKEN, transport=Transport()).create("ci", ["fax"])
                except BaseException as cancelled:
                    notes.extend(cancelled.__notes__)
                    raise

        scope = None
        anyio.run(main, backend=backend)
        (note,) = notes
        assert "create of token 'ci' failed: interrupted by Cancelled" in note
        assert "a token of this name may exist" in note
        assert (f"its ID is {ID}" in note) is came

    def test_of_a_sync_create(self) -> None:
        def respond(_request):
            raise KeyboardInterrupt

        tokens = ProjectTokens("example", PROJECT, API_TOKEN, transport=httpx.MockTransport(respond))
        with pytest.raises(KeyboardInterrupt) as caught:
            tokens.create("ci", ["fax"])
        (note,) = caught.value.__notes__
        assert "a token of this name may exist" in note

    def test_of_a_store(self, space) -> None:
        def store(_token) -> None:
            raise KeyboardInterrupt

        tokens = ProjectTokens("example", space.project_id, space.api_token, transport=space.transport)
        with pytest.raises(KeyboardInterrupt) as caught:
            tokens.create("ci", ["fax"], store=store)
        (token_id,) = space.tokens
        assert f"the new token {token_id} exists and may be stored" in caught.value.__notes__[-1]

    def test_of_the_deletion_after_a_rotation(self, space) -> None:
        def respond(request):
            if request.method == "DELETE":
                request.read()
                raise KeyboardInterrupt
            return space.transport.handle_request(request)

        tokens = ProjectTokens("example", space.project_id, space.api_token, transport=httpx.MockTransport(respond))
        old = tokens.create("old", ["fax"])
        with pytest.raises(KeyboardInterrupt) as caught:
            tokens.rotate(old.id, "new", ["fax"], store=lambda _: None)
        assert "is stored and works, but the old token" in caught.value.__notes__[-1]
        assert str(old.id) in caught.value.__notes__[-1]


@pytest.mark.parametrize(("status", "says"), [(429, "(nothing was minted)"), (503, "a token of this name may exist")])
def test_ctrl_c_while_waiting_says_what_is_known(space, monkeypatch, caplog, status, says) -> None:
    def sleep(_seconds) -> None:
        raise KeyboardInterrupt

    # A create is not retried after a 503, so the wait is that of an update.
    monkeypatch.setattr(ProjectTokens, "_sleep", staticmethod(sleep))
    caplog.set_level(logging.DEBUG)
    space.fail_next(status)
    tokens = ProjectTokens("example", space.project_id, space.api_token, transport=space.transport)
    with pytest.raises(KeyboardInterrupt) as caught:
        tokens.create("ci", ["fax"]) if status == 429 else tokens.update(ID, name="ci")
    (note,) = caught.value.__notes__
    assert says in note or "the change may have been made" in note
    assert note in caplog.text
    assert space.tokens == {}


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_cancelled_wait_says_that_nothing_was_minted(space, backend) -> None:
    notes = []

    async def main() -> None:
        class Tokens(AsyncProjectTokens):
            @staticmethod
            async def _sleep(_seconds) -> None:
                scope.cancel()
                await anyio.lowlevel.checkpoint()

        space.fail_next(429)
        with anyio.CancelScope() as scope:
            try:
                await Tokens("example", space.project_id, space.api_token, transport=space.transport).create(
                    "ci", ["fax"]
                )
            except BaseException as cancelled:
                notes.extend(cancelled.__notes__)
                raise

    anyio.run(main, backend=backend)
    assert len(notes) == 1
    assert notes[0].endswith("(nothing was minted)")


PRESSED = textwrap.dedent(
    """
    import gc, logging, random, signal, sys
    from signalwire_tokens import ProjectTokens
    from signalwire_tokens.testing import FakeSpace

    told = []
    class Records(logging.Handler):
        def emit(self, record):
            told.append(record.getMessage())
    logging.getLogger("signalwire_tokens").addHandler(Records(logging.WARNING))
    space, draw = FakeSpace(), random.Random(3)
    tokens = ProjectTokens("example", space.project_id, space.api_token, transport=space.transport)
    with tokens.temporary("warm up", ["fax"]):
        pass
    pressed = 0
    for number in range(900):
        try:
            with tokens.temporary(f"job-{number}", ["fax"]):
                signal.setitimer(signal.ITIMER_REAL, draw.uniform(0.00001, 0.0004))
                sum(range(draw.randrange(200)))
            signal.setitimer(signal.ITIMER_REAL, 0)
        except KeyboardInterrupt as interrupt:
            signal.setitimer(signal.ITIMER_REAL, 0)
            pressed += 1
            told.extend(getattr(interrupt, "__notes__", ()))
    gc.collect()
    text = "\\n".join(told)
    unknown = [token.id for token in space.tokens.values() if str(token.id) not in text]
    print(pressed > 90, unknown)
    """
)


@pytest.mark.skipif(not hasattr(__import__("signal"), "setitimer"), reason="no interval timers on Windows")
def test_a_temporary_token_is_deleted_or_named_whenever_ctrl_c_comes() -> None:
    press = PRESSED.replace(
        "import gc", "import signal\nsignal.signal(signal.SIGALRM, signal.default_int_handler)\nimport gc", 1
    )
    # Without coverage, whose bookkeeping a signal must not hit.
    clean = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    run = subprocess.run([sys.executable, "-c", press], env=clean, capture_output=True, text=True, timeout=60)
    assert run.stdout == "True []\n", run.stderr


def test_a_block_that_is_never_left_is_named(space, caplog) -> None:
    tokens = ProjectTokens("example", space.project_id, space.api_token, transport=space.transport)
    block = tokens.temporary("job", ["fax"])
    token = block.__enter__()
    assert isinstance(token, ApiToken)
    del block
    gc.collect()
    assert f"token {token.id} may still exist, delete it: its block ended without a deletion" in caplog.text


def test_a_block_whose_thread_ends_with_the_process_is_named() -> None:
    code = """
import threading
from signalwire_tokens import ProjectTokens
from signalwire_tokens.testing import FakeSpace

space, entered = FakeSpace(), threading.Event()
tokens = ProjectTokens("example", space.project_id, space.api_token, transport=space.transport)

def work():
    with tokens.temporary("job", ["fax"]):
        entered.set()
        threading.Event().wait()

threading.Thread(target=work, daemon=True).start()
entered.wait()
print(*space.tokens)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert f"token {run.stdout.strip()} may still exist, delete it: its block ended without a deletion" in run.stderr


def test_a_temporary_token_is_for_one_block(flavour, space) -> None:
    """Of two blocks at once, nothing would tell which token is whose."""
    with flavour.on(space) as tokens:
        block = getattr(tokens, "client", tokens).temporary("job", ["fax"])
        sync = flavour.name == "sync"
        contexts = [block if sync else tokens._portal.wrap_async_context_manager(block) for _ in range(2)]
        with contexts[0] as first, pytest.raises(RuntimeError) as caught, contexts[1]:
            pytest.fail("entered")
        assert str(caught.value) == "this temporary() has been entered before; call temporary() for each block"
        assert [request.method for request in space.requests] == ["POST", "DELETE"]
        assert first.id not in space.tokens


def test_a_name_that_cannot_show_itself_costs_no_token(flavour, space, caplog) -> None:
    class Name(str):
        __slots__ = ()

        def __repr__(self) -> str:
            raise RuntimeError

    caplog.set_level(logging.INFO, "signalwire_tokens")
    with flavour.on(space) as tokens:
        assert tokens.create(Name("two\nlines"), ["fax"]).id in space.tokens
    assert r'name "two\nlines"' in caplog.records[-1].getMessage()


def test_a_rotation_that_leaves_the_old_token_records_that_one(flavour, space, caplog) -> None:
    with flavour.on(space, max_retries=0) as tokens:
        old = tokens.create("ci", ["fax"])
        with pytest.raises(RotationError):
            tokens.rotate(old.id, "ci", ["fax"], store=lambda _: space.fail_next(500))
    (record,) = (record for record in caplog.records if record.levelname == "ERROR")
    assert (record.operation, record.token_id) == ("delete", str(old.id))


def test_only_a_connection_that_failed_advises_to_check_the_space(flavour) -> None:
    for kind, advised in ((httpx.ConnectError, True), (httpx.ProxyError, False), (httpx.PoolTimeout, False)):

        def refuse(request, kind=kind):
            raise kind("no", request=request)

        with flavour.answering(refuse, max_retries=0) as tokens, pytest.raises(APIConnectionError) as caught:
            tokens.create("ci", ["fax"])
        assert ("check the space" in str(caught.value)) is advised


def test_a_block_that_a_child_never_leaves_is_not_its_to_name(space, caplog, monkeypatch) -> None:
    tokens = ProjectTokens("example", space.project_id, space.api_token, transport=space.transport)
    block = tokens.temporary("job", ["fax"])
    block.__enter__()
    monkeypatch.setattr(os, "getpid", lambda: 1)
    del block
    gc.collect()
    assert "may still exist" not in caplog.text


def test_a_block_that_a_child_leaves_is_not_its_to_delete(space, monkeypatch) -> None:
    tokens = ProjectTokens("example", space.project_id, space.api_token, transport=space.transport)
    with tokens.temporary("job", ["fax"]) as token:
        monkeypatch.setattr(os, "getpid", lambda: 1)
    assert set(space.tokens) == {token.id}


def test_records_carry_the_fields_of_an_inventory(flavour, space, caplog) -> None:
    caplog.set_level(logging.INFO, "signalwire_tokens")
    space.fail_next(429, headers={"Retry-After": "0", "X-Request-Id": "req-1"})
    names = ("operation", "token_id", "token_name", "permissions", "request_id")

    with flavour.on(space, max_retries=0) as tokens:
        with pytest.raises(RateLimitError):
            tokens.create("ci", ["fax"])
        created = tokens.create("ci", ["fax"])
        tokens.update(created.id, name="new")
        tokens.update(created.id, permissions=["video"])
        space.fail_next(204, headers={"X-Request-Id": "req-8"})
        tokens.delete(created.id)
    records = [record for record in caplog.records if record.name == "signalwire_tokens"]
    fields = [tuple(getattr(record, name) for name in names) for record in records]
    assert fields == [
        ("create", str(created.id), "ci", ["fax"], None),
        ("update", str(created.id), "new", None, None),
        ("update", str(created.id), None, ["video"], None),
        ("delete", str(created.id), None, None, "req-8"),
    ]
    assert json.dumps(fields)


def test_records_say_of_which_project_and_subproject(flavour, space, caplog) -> None:
    """A process may manage several, and what deletes a token needs the credentials of its own project."""
    caplog.set_level(logging.INFO, "signalwire_tokens")
    tenant = space.add_subproject("tenant")
    with flavour.on(space, max_retries=0) as tokens:
        with pytest.raises(ZeroDivisionError):
            tokens.create("job", ["fax"], subproject_id=tenant, store=lambda _: 1 / 0)
        created = tokens.create("ci", ["fax"], subproject_id=str(tenant).upper())
        space.fail_next(500)
        with pytest.raises(InternalServerError):
            tokens.create("ci", ["fax"])
        tokens.delete(created.id)
    records = [record for record in caplog.records if record.name == "signalwire_tokens"]
    assert {record.project_id for record in records} == {space.project_id}
    assert [(record.operation, record.subproject_id) for record in records] == [
        ("create", str(tenant)),
        ("delete", None),
        ("delete", None),
        ("create", str(tenant)),
        ("create", None),
        ("delete", None),
    ]


def test_a_record_factory_that_uses_the_name_of_a_field_costs_no_other(flavour, space, caplog) -> None:
    """Logging refuses such a record, and what is only logged would be lost."""
    plain = logging.getLogRecordFactory()

    def traced(*args, **kwargs) -> logging.LogRecord:
        record = plain(*args, **kwargs)
        record.request_id = "that of the application"
        return record

    logging.setLogRecordFactory(traced)
    try:
        space.fail_next(500, applied=True)
        with flavour.on(space) as tokens, pytest.raises(SignalWireError) as caught:
            tokens.create("ci", ["fax"])
    finally:
        logging.setLogRecordFactory(plain)
    [record] = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert record.getMessage() == str(caught.value)
    assert (record.operation, record.token_name, record.request_id) == ("create", "ci", "that of the application")


def test_a_handler_that_raises_repeats_nothing_for_the_others(flavour, space, caplog, monkeypatch) -> None:
    caplog.set_level(logging.INFO, "signalwire_tokens")

    class Broken(logging.Handler):
        def emit(self, record) -> None:
            raise OSError(record)

    monkeypatch.setattr(logging.getLogger(), "handlers", [*logging.getLogger().handlers, Broken()])
    with flavour.on(space) as tokens:
        created = tokens.create("ci", ["fax"])
    assert [(record.operation, record.token_id) for record in caplog.records if record.name == "signalwire_tokens"] == [
        ("create", str(created.id))
    ]


def test_what_freezes_an_application_sees_every_module(tmp_path) -> None:
    script = tmp_path / "app.py"
    script.write_text("from signalwire_tokens import ProjectTokens\n")
    package, client = (Path(module.__file__).parent for module in (signalwire_tokens, signalwire_rest))
    finder = modulefinder.ModuleFinder([str(package.parent), str(client.parent)])
    finder.run_script(str(script))
    optional = {"testing", "_pytest_plugin", "__init__", "__main__"}
    modules = {f"signalwire_tokens.{path.stem}" for path in package.glob("*.py") if path.stem not in optional}
    paths = [path.relative_to(client.parent).with_suffix("") for path in client.rglob("*.py")]
    modules |= {".".join(path.parts).removesuffix(".__init__") for path in paths}
    assert modules <= set(finder.modules)


SHUT = """
import sys
import httpx
from signalwire_tokens import ProjectTokens

TOKEN = {"id": "2b9f8e3c-5d0f-4a53-8a9c-5f1f6a1f0c11", "name": "ci", "permissions": ["fax"], "token": "PT-the-secret"}

class Shut:
    def find_spec(self, name, *_):
        raise OSError(24, f"Too many open files, so {name} cannot be loaded")

def answer(request):
    sys.meta_path.insert(0, Shut())
    sent.append(request.method)
    return httpx.Response(204) if request.method == "DELETE" else httpx.Response(200, json=TOKEN)

def fail(token):
    raise ZeroDivisionError

sent = []
tokens = ProjectTokens("example", "project", "the-api-token", transport=httpx.MockTransport(answer))
try:
    tokens.CALL
except ZeroDivisionError:
    pass
print(*sent)
"""


@pytest.mark.parametrize(
    ("call", "sent"),
    [("create('ci', ['fax'], store=fail)", "POST DELETE"), (f"update('{UUID(int=1)}', name='ci')", "PATCH")],
)
def test_what_comes_after_a_request_needs_no_module_that_is_not_loaded(call, sent) -> None:
    code = SHUT.replace("CALL", call).replace("2b9f8e3c-5d0f-4a53-8a9c-5f1f6a1f0c11", str(UUID(int=1)))
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (run.stdout, run.stderr) == (f"{sent}\n", "")


def test_a_process_that_mints_loads_little() -> None:
    code = "import sys, anyio\nwhole = {*sys.modules}\n"
    code += SHUT.replace("CALL", "create('ci', ['fax'])").replace("sys.meta_path", "[]")
    # What anyio loads on first use, the sync client does not use.
    code += "print(*(name for name in {*sys.modules} - whole if name.startswith('anyio')), end='')\n"
    code += "print(*{'difflib', 'hmac', 'signalwire_rest.client'} & {*sys.modules})\n"
    code += "print(*sorted(name for name in sys.modules if name.startswith('signalwire_rest.models.')))\n"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    models = ("create_token_request", "permission", "token_response")
    loaded = " ".join(f"signalwire_rest.models.{name}" for name in models)
    assert run.stdout == f"POST\n\n{loaded}\n", run.stderr
