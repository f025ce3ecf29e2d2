"""What errors say, word for word: it is all that whoever meets one has to go by."""

import gc
import gzip
import json
import pickle
import ssl
from uuid import UUID

import httpx
import pytest

from signalwire_tokens import ApiToken, ConfigurationError, Permission, ProjectTokens, SecretStr, SignalWireError

ID = "0b1f1f9e-7c1d-4a70-9a3c-0f9f6e4c2d11"
OTHER = "11111111-1111-4111-8111-111111111111"
TOKEN = ApiToken(UUID(ID), "ci", ("fax",), SecretStr("PTnot-to-be-seen"))
CREDENTIALS = "wrong project ID or API token, or a token without the management permission; compare with the dashboard"
NO_SUCH = "no such token or subproject; check the IDs and the space"
MAY_EXIST = "a token of this name may exist: look in the dashboard before trying again"
PERMISSIONS = ", ".join(Permission)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda t: t.create("", ["fax"]), "name is blank; the service refuses a token without a name"),
        (lambda t: t.create(7, ["fax"]), "name must be a str, not int"),
        (
            lambda t: t.create("a\ud800", ["fax"]),
            "name has a NUL character or half of a surrogate pair; give text that UTF-8 can carry",
        ),
        (lambda t: t.create("ci", "fax"), "permissions must be a list of Permission or str, as ['fax'], not str"),
        (lambda t: t.create("ci", []), f"permissions is empty, name at least one of: {PERMISSIONS}"),
        (lambda t: t.create("ci", [7]), "permissions must be a list of Permission or str, with no int in it"),
        (
            lambda t: t.create("ci", ["Voice"]),
            f"unknown permission 'Voice': did you mean 'calling'? Valid are: {PERMISSIONS}.",
        ),
        (
            lambda t: t.create("ci", ["q" * 24]),
            f"unknown permission '{'q' * 24}': Valid are: {PERMISSIONS}.",
        ),
        (lambda t: t.create("ci", ["q" * 25]), f"unknown permission: Valid are: {PERMISSIONS}."),
        (lambda t: t.create("ci", ["q"]), f"unknown permission 'q': Valid are: {PERMISSIONS}."),
        (
            lambda t: t.create("ci", ["fax"], subproject_id="x"),
            "subproject_id is no UUID; expected an ID such as 00000000-0000-0000-0000-000000000000, not a secret",
        ),
        (lambda t: t.update(ID), "nothing to change: give name, permissions or both"),
        (
            lambda t: t.update(TOKEN, name="new"),
            "token_id must be a UUID or a str, such as the id of a token, not ApiToken",
        ),
        (lambda t: t.delete(TOKEN.token), "token_id must be a UUID or a str, such as the id of a token, not SecretStr"),
        (lambda t: t.delete(7), "token_id must be a UUID or a str, such as the id of a token, not int"),
    ],
)
def test_a_bad_argument(tokens, call, says) -> None:
    with pytest.raises((TypeError, ValueError)) as caught:
        call(tokens)
    assert str(caught.value) == says


def test_a_permission_that_the_service_may_have(tokens) -> None:
    with pytest.raises(ValueError, match="unknown permission 'fsa'") as caught:
        tokens.create("ci", ["fsa"])
    assert caught.value.__notes__ == ["UnlistedPermission(...) sends one that the service has and this list lacks"]


SPACE = (
    "space (or SIGNALWIRE_SPACE) is no space: expected example, example.signalwire.com or an https:// URL without user "
    "info, path and query (http:// for loopback only); the order of the arguments is space, project_id, api_token"
)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (
            (None, "p", None),
            (
                "no value for space, api_token: set SIGNALWIRE_SPACE, SIGNALWIRE_API_TOKEN in the environment or, in "
                "Python, pass it to the client"
            ),
        ),
        (
            ("example", "p", str(TOKEN.token)),
            "the argument api_token is the mask that a SecretStr shows; use its get_secret_value()",
        ),
        (
            ("x y", "p", "t"),
            (
                "the argument space has quotes, white space or characters other than ASCII; was a quote "
                "or a line end copied into "
                "space (or SIGNALWIRE_SPACE)?"
            ),
        ),
        (("http://example.com", "p", "t"), SPACE),
        (("example.com:65536", "p", "t"), SPACE),
        ((ID, "p", "t"), SPACE),
        ((ID.upper(), "p", "t"), SPACE),
        (("0aZ9" * 10, "p", "t"), SPACE),
        (
            ("example", "", "t"),
            "the argument project_id is empty: give project_id a value, or set SIGNALWIRE_PROJECT_ID",
        ),
        (
            ("example", "a:b", "t"),
            "project_id (or SIGNALWIRE_PROJECT_ID) has a colon; expected the project's UUID",
        ),
        (
            ("example", "p", "t\n"),
            (
                "the argument api_token has quotes, white space or characters other than ASCII; was a quote "
                "or a line end copied into "
                "api_token (or SIGNALWIRE_API_TOKEN)?"
            ),
        ),
        (("example", "p", 7), "api_token must be a str, not int"),
    ],
)
def test_a_bad_setting(given, says) -> None:
    with pytest.raises((ConfigurationError, TypeError)) as caught:
        ProjectTokens(*given)
    assert str(caught.value) == says


@pytest.mark.parametrize("space", ["0aZ9" * 9 + "0aZ", f"{ID}0", ID.replace("-", ""), f"x-{'0aZ9' * 10}"])
def test_what_is_nearly_an_id_or_a_secret_is_a_space(space) -> None:
    with ProjectTokens(space, "p", "t") as tokens:
        assert f"https://{space.lower()}.signalwire.com" in repr(tokens).lower()


def test_the_project_may_be_a_uuid() -> None:
    with ProjectTokens("example", UUID(ID), "t") as tokens:
        assert repr(tokens) == f"ProjectTokens(space='https://example.signalwire.com', project_id='{ID}')"


def test_what_may_be_a_token_in_the_place_of_the_project_is_masked() -> None:
    with ProjectTokens("example", "PTnot-to-be-seen", ID) as tokens:
        assert repr(tokens) == "ProjectTokens(space='https://example.signalwire.com', project_id='**********')"


def test_an_empty_variable(monkeypatch) -> None:
    monkeypatch.setenv("SIGNALWIRE_API_TOKEN", "")
    with pytest.raises(ConfigurationError) as caught:
        ProjectTokens("example", "p")
    assert str(caught.value) == (
        "the environment variable SIGNALWIRE_API_TOKEN is empty: give api_token a value, or set SIGNALWIRE_API_TOKEN"
    )


@pytest.mark.parametrize(
    ("call", "answer", "says"),
    [
        (
            lambda t: t.create("ci", ["fax"]),
            {"status_code": 401, "json": {"error": "Unauthorized"}},
            f"create of token 'ci' failed: HTTP 401: Unauthorized (nothing was minted; {CREDENTIALS})",
        ),
        (
            lambda t: t.create("ci", ["fax"]),
            {"status_code": 401, "headers": {"Retry-After": "9"}},
            f"create of token 'ci' failed: HTTP 401 (nothing was minted; {CREDENTIALS})",
        ),
        (
            lambda t: t.create("ci", ["fax"]),
            {"status_code": 403},
            f"create of token 'ci' failed: HTTP 403 (nothing was minted; {CREDENTIALS})",
        ),
        (
            lambda t: t.create("ci", ["fax"]),
            {"status_code": 422, "json": {"errors": [{"attribute": "name", "message": "a\nb"}, {"code": "c"}]}},
            "create of token 'ci' failed: HTTP 422: name: a b; c (nothing was minted)",
        ),
        (
            lambda t: t.create("ci", ["fax"]),
            {"status_code": 429},
            "create of token 'ci' failed: HTTP 429 (nothing was minted; too many requests; call again later)",
        ),
        (
            lambda t: t.create("ci", ["fax"]),
            {"status_code": 429, "headers": {"Retry-After": "3600"}},
            "create of token 'ci' failed: HTTP 429 (nothing was minted; the service asks to wait 3600 s)",
        ),
        (
            lambda t: t.create("ci", ["fax"]),
            {"status_code": 503, "headers": {"Retry-After": "9"}},
            f"create of token 'ci' failed: HTTP 503 ({MAY_EXIST}; the service asks to wait 9 s)",
        ),
        (
            lambda t: t.create("ci", ["fax"]),
            {"status_code": 502, "headers": {"X-Request-ID": "req-7"}},
            f"create of token 'ci' failed: HTTP 502 ({MAY_EXIST}) [request id req-7]",
        ),
        (
            lambda t: t.create("ci", ["fax"]),
            {"status_code": 200},
            f"create of token 'ci' failed: HTTP 200 without a whole token ({MAY_EXIST})",
        ),
        (
            lambda t: t.update(ID, name="new"),
            {"status_code": 500},
            f"update of token {ID} failed: HTTP 500 (the change may have been made: update again to be sure)",
        ),
        (
            lambda t: t.update(ID, name="new"),
            {"status_code": 404, "json": {"error": "Not Found"}},
            f"update of token {ID} failed: HTTP 404: Not Found (nothing was changed; {NO_SUCH})",
        ),
        (
            lambda t: t.delete(ID),
            {"status_code": 404},
            f"delete of token {ID} failed: HTTP 404 (nothing was deleted; {NO_SUCH})",
        ),
        (
            lambda t: t.delete(ID),
            {"status_code": 500},
            f"delete of token {ID} failed: HTTP 500 (the token may be gone: delete again to be sure)",
        ),
        (
            lambda t: t.delete(ID),
            {"status_code": 300},
            f"delete of token {ID} failed: HTTP 300 (the token may be gone: delete again to be sure)",
        ),
        (
            lambda t: t.delete(ID),
            {"status_code": 200, "text": "<html>"},
            (
                f"delete of token {ID} failed: HTTP 200 with a body that says nothing of a deletion (the token may be "
                "gone: delete again to be sure)"
            ),
        ),
        (
            lambda t: t.create("ci", ["fax"]),
            {"status_code": 300, "headers": {"Location": "/sign-in"}},
            (
                f"create of token 'ci' failed: HTTP 300 ({MAY_EXIST}; it redirects to /sign-in, and no redirect is "
                "followed; check the space)"
            ),
        ),
        (
            lambda t: t.create("ci", ["fax"]),
            {"status_code": 400, "headers": {"Location": "/sign-in"}},
            "create of token 'ci' failed: HTTP 400 (nothing was minted)",
        ),
        (
            lambda t: t.update(ID, name="ci"),
            {"status_code": 200, "json": {"id": OTHER, "name": "ci", "permissions": ["fax"], "token": "PT0"}},
            (
                f"update of token {ID} failed: HTTP 200 about another token (the change may have been made: update "
                f"again to be sure; the ID in it is {OTHER})"
            ),
        ),
    ],
)
def test_a_failed_call(flavour, call, answer, says) -> None:
    with flavour.answering(lambda _: httpx.Response(**answer)) as tokens, pytest.raises(SignalWireError) as caught:
        call(tokens)
    assert str(caught.value) == says


@pytest.mark.parametrize(
    ("sent", "says"), [(False, "nothing was sent; check the space (SIGNALWIRE_SPACE)"), (True, MAY_EXIST)]
)
def test_no_answer(flavour, sent, says) -> None:
    class Transport(httpx.BaseTransport, httpx.AsyncBaseTransport):
        def handle_request(self, request):
            b"".join(request.stream if sent else ())
            raise httpx.ConnectError("refused")

        async def handle_async_request(self, request):
            self.handle_request(request)

    transport = Transport()
    with (
        flavour.connect("example", "project", "t", transport=transport) as tokens,
        pytest.raises(SignalWireError) as caught,
    ):
        tokens.create("ci", ["fax"])
    told = "create of token 'ci' failed: no response from example.signalwire.com: ConnectError: refused"
    assert str(caught.value) == f"{told} ({says})"


class Mute(Exception):  # noqa: N818 - what it is
    def __str__(self) -> str:
        raise RuntimeError


def distrusted() -> Exception:
    failure = httpx.ConnectError("certificate verify failed")
    failure.__cause__ = ssl.SSLCertVerificationError("certificate verify failed")
    return failure


@pytest.mark.parametrize(
    ("failure", "says"),
    [
        (httpx.ReadError(""), f"ReadError ({MAY_EXIST})"),
        (Mute(), f"Mute ({MAY_EXIST})"),
        # Parsers quote what may be a token.
        (httpx.RemoteProtocolError("bad line: bytearray(b'PT0')"), f"RemoteProtocolError: bad line ({MAY_EXIST})"),
        (httpx.ProxyError("407 for b'me'"), "ProxyError: 407 for b'me' (nothing was sent)"),
        (
            distrusted(),
            (
                "ConnectError: certificate verify failed (nothing was sent; SSL_CERT_FILE names the certificate "
                "authorities to trust)"
            ),
        ),
    ],
    ids=lambda case: type(case).__name__,
)
def test_why_no_answer_came(flavour, failure, says) -> None:
    def respond(_request):
        raise failure

    with flavour.answering(respond) as tokens, pytest.raises(SignalWireError) as caught:
        tokens.create("ci", ["fax"])
    assert str(caught.value) == f"create of token 'ci' failed: no response from example.signalwire.com: {says}"


def test_an_answer_that_broke_off(flavour) -> None:
    class Body(httpx.SyncByteStream, httpx.AsyncByteStream):
        def __iter__(self):
            yield b"{"
            raise httpx.ReadError("reset")

        async def __aiter__(self):
            for piece in self:
                yield piece

    with (
        flavour.answering(lambda _: httpx.Response(200, stream=Body())) as tokens,
        pytest.raises(SignalWireError) as caught,
    ):
        tokens.create("ci", ["fax"])
    assert str(caught.value) == (
        f"create of token 'ci' failed: HTTP 200 without a whole token, the response was cut off ({MAY_EXIST})"
    )
    assert caught.value.__notes__ == [
        "body, token_id and token of this error hold what came; a copy or a pickle lacks body and token"
    ]


def test_a_closed_client(tokens) -> None:
    tokens.close()
    with pytest.raises(ConfigurationError) as caught:
        tokens.create("ci", ["fax"])
    assert str(caught.value) == "this client is closed; nothing was sent"


def test_a_name_is_cut_to_100_characters(flavour) -> None:
    with (
        flavour.answering(lambda _: httpx.Response(400)) as tokens,
        pytest.raises(SignalWireError) as caught,
    ):
        tokens.create("x" * 101, ["fax"])
    assert str(caught.value) == f"create of token '{'x' * 100}' failed: HTTP 400 (nothing was minted)"


def test_foreign_text_is_cut_to_500_characters(flavour) -> None:
    with (
        flavour.answering(lambda _: httpx.Response(400, json={"error": "x " * 450})) as tokens,
        pytest.raises(SignalWireError) as caught,
    ):
        tokens.create("ci", ["fax"])
    problem = f"HTTP 400: {'x ' * 450}"[:500]
    assert str(caught.value) == f"create of token 'ci' failed: {problem} (nothing was minted)"


def test_the_older_name_of_gzip_is_known(flavour) -> None:
    token = {"id": ID, "name": "ci", "permissions": ["fax"], "token": "PTnot-to-be-seen"}

    class Body(httpx.SyncByteStream, httpx.AsyncByteStream):
        def __iter__(self):
            yield gzip.compress(json.dumps(token).encode())

        async def __aiter__(self):
            for piece in self:
                yield piece

    headers = {"Content-Encoding": "x-gzip"}
    with flavour.answering(lambda _: httpx.Response(200, headers=headers, stream=Body())) as tokens:
        assert tokens.create("ci", ["fax"]) == TOKEN


def test_a_secret_that_is_pickled() -> None:
    with pytest.raises(TypeError) as caught:
        pickle.dumps(TOKEN.token)
    assert str(caught.value) == "a SecretStr cannot be pickled; store get_secret_value() in a vault instead"


def test_secrets_serve_as_keys() -> None:
    assert {SecretStr("a"): 1, SecretStr("b"): 2}[SecretStr("a")] == 1
    assert hash(SecretStr("a")) != hash(SecretStr("b"))


def on(space, transport=None) -> ProjectTokens:
    transport = transport or space.transport
    return ProjectTokens("example", space.project_id, space.api_token, transport=transport, max_retries=0)


def logged(caplog, *names) -> list[tuple]:
    """The fields of the records of errors, all of which carry the message first."""
    records = [record for record in caplog.records if record.levelname == "ERROR"]
    return [(record.getMessage(), *(getattr(record, name) for name in names)) for record in records]


def interrupting(space) -> httpx.MockTransport:
    """A transport that Ctrl-C ends in the midst of a deletion."""

    def respond(request):
        if request.method == "DELETE":
            request.read()
            raise KeyboardInterrupt
        return space.transport.handle_request(request)

    return httpx.MockTransport(respond)


async def never_awaited(_token) -> None:
    pytest.fail("awaited")


@pytest.mark.parametrize(
    ("store", "says"),
    [
        (never_awaited, "store is a coroutine function; AsyncProjectTokens awaits it"),
        (
            lambda token: never_awaited(token),  # noqa: PLW0108 - no coroutine function
            "store returned an awaitable, so nothing is stored; AsyncProjectTokens awaits it",
        ),
        ("vault", "store must be a function that takes the new token, not str"),
    ],
)
def test_a_store_that_is_none(space, store, says) -> None:
    with pytest.raises(TypeError) as caught:
        on(space).create("ci", ["fax"], store=store)
    assert str(caught.value) == says
    assert space.tokens == {}


@pytest.mark.parametrize("rotating", [True, False])
def test_what_was_not_stored(space, rotating, caplog) -> None:
    caplog.set_level("INFO")
    minted, tokens = [], on(space)

    def store(token) -> None:
        minted.append(token.id)
        raise OSError

    old = tokens.create("old", ["fax"])
    with pytest.raises(OSError) as caught:  # noqa: PT011 - its notes say it
        tokens.rotate(old.id, "ci", ["fax"], store=store) if rotating else tokens.create("ci", ["fax"], store=store)
    says = f"the new token {minted[0]} was deleted again" + f", and the old token {old.id} stays" * rotating
    assert caught.value.__notes__ == [says]
    record = caplog.records[-1]
    assert (record.getMessage(), record.levelname, record.operation) == (says, "INFO", "delete")
    assert record.token_id == str(minted[0])


@pytest.mark.parametrize("rotating", [True, False])
def test_an_interrupted_store(space, rotating, caplog) -> None:
    minted, tokens = [], on(space)

    def store(token) -> None:
        minted.append(token.id)
        raise KeyboardInterrupt

    old = tokens.create("old", ["fax"])
    with pytest.raises(KeyboardInterrupt) as caught:
        tokens.rotate(old.id, "ci", ["fax"], store=store) if rotating else tokens.create("ci", ["fax"], store=store)
    says = f"interrupted by KeyboardInterrupt: the new token {minted[0]} exists and may be stored"
    says += f", and the old token {old.id} stays" * rotating + "; delete what is not in use"
    assert caught.value.__notes__ == [says]
    names = ("operation", "token_id", "token_name", "permissions")
    assert logged(caplog, *names) == [(says, "create", str(minted[0]), "ci", ["fax"])]


def test_an_old_token_that_may_still_exist(space, caplog) -> None:
    tokens = on(space)
    old = tokens.create("old", ["fax"])
    with pytest.raises(SignalWireError) as caught:
        tokens.rotate(old.id, "ci", ["fax"], store=lambda _: space.fail_next(500))
    says = (
        f"rotate failed: token {caught.value.new_token_id} is stored and works, but the old token {old.id} may still "
        f"exist, check that it is gone: InternalServerError: {caught.value.__cause__}"
    )
    assert str(caught.value) == says
    assert logged(caplog, "operation", "token_id") == [(says, "delete", str(old.id))]
    assert not hasattr(caught.value.__cause__, "__notes__")


def test_an_old_token_whose_deletion_was_interrupted(space, caplog) -> None:
    old, stored = on(space).create("old", ["fax"]), []
    with pytest.raises(KeyboardInterrupt) as caught:
        on(space, interrupting(space)).rotate(old.id, "ci", ["fax"], store=stored.append)
    says = (
        f"rotate failed: token {stored[0].id} is stored and works, but the old token {old.id} may still exist, check "
        "that it is gone: KeyboardInterrupt: "
    )
    assert caught.value.__notes__[-1] == says
    assert logged(caplog) == [(says,)]


@pytest.mark.parametrize("leaving", [None, OSError, SystemExit])
def test_a_temporary_token_that_may_still_exist(space, leaving, caplog) -> None:
    def leave() -> None:
        with on(space).temporary("job", ["fax"]):
            space.fail_next(500)
            if leaving:
                raise leaving

    with pytest.raises(SystemExit if leaving is SystemExit else SignalWireError) as caught:
        leave()
    (token_id,) = space.tokens
    ended = "the block failed with OSError, and then " if leaving is OSError else ""
    failed = f"delete of token {token_id} failed: HTTP 500: Internal Server Error (the token may be gone: delete "
    failed += "again to be sure)"
    says = f"token {token_id} may still exist, delete it: {ended}{failed}"
    assert logged(caplog, "operation", "token_id", "token_name") == [(says, "delete", str(token_id), "job")]
    if leaving is SystemExit:
        assert caught.value.__notes__ == [says]
    else:
        assert str(caught.value) == says
        assert caught.value.may_have_applied is True


@pytest.mark.parametrize("leaving", [None, OSError, SystemExit])
def test_a_temporary_token_whose_deletion_was_interrupted(space, leaving, caplog) -> None:
    def leave() -> None:
        with on(space, interrupting(space)).temporary("job", ["fax"]):
            if leaving:
                raise leaving

    with pytest.raises(KeyboardInterrupt) as caught:
        leave()
    (token_id,) = space.tokens
    ended = "the block failed with OSError, and then " if leaving is OSError else ""
    says = f"token {token_id} may still exist, delete it: {ended}KeyboardInterrupt"
    assert caught.value.__notes__[-1] == says
    assert caught.value.args == ()
    assert logged(caplog) == [(says,)]


def test_a_block_that_is_never_left(space, caplog) -> None:
    token = on(space).temporary("job", ["fax"]).__enter__()
    gc.collect()
    says = f"token {token.id} may still exist, delete it: its block ended without a deletion"
    names = ("operation", "project_id", "token_id", "token_name", "permissions")
    assert logged(caplog, *names) == [(says, "create", space.project_id, str(token.id), "job", ["fax"])]
