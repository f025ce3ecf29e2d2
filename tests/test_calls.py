"""What the calls do against a space, and what they make of every answer. All cases run sync, on asyncio and on trio."""

import logging
from uuid import UUID, uuid4

import httpx
import pytest

from signalwire_tokens import (
    APIStatusError,
    ApiToken,
    AuthenticationError,
    ConfigurationError,
    InvalidResponseError,
    NotFoundError,
    Permission,
    SecretStr,
    UnlistedPermission,
    UnprocessableEntityError,
)

ID = "0b1f1f9e-7c1d-4a70-9a3c-0f9f6e4c2d11"


def living(space) -> list[tuple]:
    return [(token.id, token.name, tuple(token.permissions)) for token in space.tokens.values()]


def test_a_created_token_is_whole_and_lives(tokens, space) -> None:
    created = tokens.create("ci-deploy", [Permission.CALLING, "messaging"])
    assert isinstance(created, ApiToken)
    assert created.name == "ci-deploy"
    assert created.permissions == (Permission.CALLING, Permission.MESSAGING)
    assert all(isinstance(permission, Permission) for permission in created.permissions)
    assert space.tokens[created.id].token == created.token
    assert living(space) == [(created.id, "ci-deploy", ("calling", "messaging"))]


def test_a_created_token_can_manage_if_it_may(flavour, tokens, space) -> None:
    created = tokens.create("manager", ["management"])
    with flavour.connect("example", space.project_id, created.token, transport=space.transport) as manager:
        assert manager.create("minted", ["fax"]).id in space.tokens


def test_every_permission_of_the_spec_is_accepted(tokens) -> None:
    assert tokens.create("all", Permission).permissions == tuple(Permission)


def test_any_iterable_serves_and_repetitions_are_dropped(tokens) -> None:
    created = tokens.create("once", (p for p in ["fax", Permission.FAX, "video"]))
    assert created.permissions == (Permission.FAX, Permission.VIDEO)


@pytest.mark.parametrize("kind", [UUID, str])
def test_a_token_is_minted_for_a_subproject(tokens, space, kind) -> None:
    subproject = space.add_subproject("tenant")
    created = tokens.create("tenant-1", ["fax"], subproject_id=kind(str(subproject)))
    assert space.tokens[created.id].project_id == str(subproject)


def test_an_update_changes_what_it_names_and_nothing_else(tokens, space) -> None:
    created = tokens.create("old", ["fax"])
    assert tokens.update(created.id, name="new") == ApiToken(created.id, "new", (Permission.FAX,), created.token)
    changed = tokens.update(str(created.id), permissions=["video", "chat"])
    assert changed == ApiToken(created.id, "new", (Permission.VIDEO, Permission.CHAT), created.token)
    assert living(space) == [(created.id, "new", ("video", "chat"))]


def test_a_permission_the_enum_lacks_arrives_and_goes_back(tokens, space) -> None:
    created = tokens.create("old", ["fax"])
    space.tokens[created.id].permissions = ("fax", "unlisted")
    changed = tokens.update(created.id, name="new")
    assert [(type(p), p.value) for p in changed.permissions] == [
        (Permission, "fax"),
        (UnlistedPermission, "unlisted"),
    ]
    with pytest.raises(UnprocessableEntityError):
        tokens.update(created.id, permissions=changed.permissions)
    assert space.requests[-1].body == {"permissions": ["fax", "unlisted"]}


@pytest.mark.parametrize("kind", [UUID, str])
def test_a_deleted_token_is_gone(tokens, space, kind) -> None:
    created = tokens.create("old", ["fax"])
    assert tokens.delete(kind(str(created.id))) is None
    assert living(space) == []
    with pytest.raises(NotFoundError):
        tokens.delete(created.id)
    with pytest.raises(NotFoundError, match=str(created.id)):
        tokens.update(created.id, name="new")


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda t: t.create("", ["fax"]), ValueError, "name is blank"),
        (lambda t: t.create(" \t", ["fax"]), ValueError, "name is blank"),
        (lambda t: t.create(None, ["fax"]), TypeError, "name must be a str, not NoneType"),
        (lambda t: t.create("ci", "fax"), TypeError, r"a list of .*, as \['fax'\], not str"),
        (lambda t: t.create("ci", Permission.FAX), TypeError, r"a list of .*, as \['fax'\], not Permission"),
        (lambda t: t.create("ci", None), TypeError, "permissions must be a list"),
        (
            lambda t: t.create("ci", [7]),
            TypeError,
            "must be a list of Permission or str, with no int in it",
        ),
        (lambda t: t.create("ci", []), ValueError, "permissions is empty.*calling, chat"),
        (lambda t: t.create("ci", ["voice"]), ValueError, "'voice': did you mean 'calling'.*calling, chat"),
        (lambda t: t.create("ci", ["Tasks"]), ValueError, "'Tasks': did you mean 'tasking'"),
        (lambda t: t.create("ci", ["FAX"]), ValueError, "'FAX': did you mean 'fax'"),
        (lambda t: t.create("ci", ["masaging"]), ValueError, "'masaging': did you mean 'messaging'"),
        (lambda t: t.create("ci", ["qqq"]), ValueError, f"'qqq': Valid are: {', '.join(Permission)}"),
        (lambda t: t.create("ci", ["fax"], subproject_id="x"), ValueError, "subproject_id is no UUID"),
        (
            lambda t: t.create("ci", ["fax"], subproject_id=7),
            TypeError,
            "subproject_id must be a UUID or a str, .* not int",
        ),
        (lambda t: t.update(uuid4()), ValueError, "nothing to change"),
        (lambda t: t.update(uuid4(), name=""), ValueError, "name is blank"),
        (lambda t: t.update(uuid4(), permissions=[]), ValueError, "permissions is empty"),
        (lambda t: t.update("x", name="new"), ValueError, "token_id is no UUID"),
        (lambda t: t.delete("../projects"), ValueError, "token_id is no UUID"),
        (lambda t: t.delete(None), TypeError, "token_id must be a UUID or a str, .* not NoneType$"),
        (lambda t: t.delete(SecretStr("x")), TypeError, "such as the id of a token, not SecretStr$"),
        (
            lambda t: t.delete(ApiToken(uuid4(), "ci", (), SecretStr("x"))),
            TypeError,
            "such as the id of a token, not ApiToken$",
        ),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_sent(tokens, space, call, error, says) -> None:
    with pytest.raises(error, match=says):
        call(tokens)
    assert space.requests == []


def test_a_secret_passed_for_an_id_is_not_repeated(tokens) -> None:
    with pytest.raises(ValueError, match="is no UUID") as caught:
        tokens.delete("PT-secret")
    assert "PT-secret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_secret_passed_for_a_permission_is_not_repeated(tokens) -> None:
    with pytest.raises(ValueError, match="unknown permission: Valid are") as caught:
        tokens.create("ci", ["PT-secret" * 3])
    assert "PT-secret" not in str(caught.value)


def test_a_body_is_said_to_be_json(flavour) -> None:
    said = []

    def respond(request):
        said.append((request.method, request.headers.get("Content-Type"), request.headers["Accept"]))
        return httpx.Response(204)

    with flavour.answering(respond) as tokens:
        for call in (lambda: tokens.create("ci", ["fax"]), lambda: tokens.update(ID, name="new")):
            with pytest.raises(InvalidResponseError):
                call()
        tokens.delete(ID)
    json = "application/json"
    assert said == [("POST", json, json), ("PATCH", json, json), ("DELETE", None, json)]


def test_wrong_credentials_name_both_causes(flavour, space) -> None:
    transport = space.transport
    with (
        flavour.connect("example", space.project_id, "wrong", transport=transport) as tokens,
        pytest.raises(
            AuthenticationError, match=r"wrong project ID or API token.*without the management permission"
        ) as caught,
    ):
        tokens.create("ci", ["fax"])
    assert caught.value.status_code == 401
    assert caught.value.may_have_applied is False
    assert caught.value.operation == "create"


def test_what_the_service_refuses_is_told_in_full(tokens, space) -> None:
    stranger = uuid4()
    with pytest.raises(UnprocessableEntityError) as caught:
        tokens.create("ci", [UnlistedPermission("nonsense")], subproject_id=stranger)
    assert {detail.code for detail in caught.value.errors} == {
        "invalid_auth_token_permissions",
        "invalid_subproject_id",
    }
    for detail in caught.value.errors:
        assert detail.message in str(caught.value)
    assert living(space) == []


def test_calls_are_logged_without_secrets(tokens, space, caplog) -> None:
    caplog.set_level(logging.DEBUG)
    space.fail_next(500, headers={"X-Request-Id": "req-7"})
    with pytest.raises(Exception, match="req-7") as caught:
        tokens.create("ci", ["fax"])
    created = tokens.create("ci", ["fax", "video"])
    tokens.update(created.id, name="new")
    space.fail_next(204, headers={"X-Request-Id": "req-8"})
    tokens.delete(created.id)
    unknown, *records = [r for r in caplog.records if r.name == "signalwire_tokens"]
    # No call lists tokens, and who catches the error may forget it.
    assert (unknown.levelno, unknown.token_name, unknown.request_id) == (logging.WARNING, "ci", "req-7")
    assert unknown.getMessage() == str(caught.value)
    lines = [r.getMessage() for r in records]
    assert {r.levelno for r in records} == {logging.INFO}
    assert lines[0] == f'create: token {created.id}, name "ci", permissions ["fax", "video"], request id None'
    assert lines[1] == f'update: token {created.id}, name "new", request id None'
    assert lines[2] == f"delete: token {created.id}, request id req-8"
    for secret in (created.token, space.api_token):
        assert secret.get_secret_value() not in caplog.text


@pytest.mark.parametrize("name", ["{}", "ci {} ci"])
def test_the_api_token_is_no_name(tokens, space, name, caplog) -> None:
    secret = space.api_token.get_secret_value()
    old = tokens.create("ci", ["fax"])
    for call in (
        lambda: tokens.create(name.format(secret), ["fax"]),
        lambda: tokens.update(old.id, name=name.format(secret)),
        lambda: tokens.rotate(old.id, name.format(secret), ["fax"], store=print),
    ):
        with pytest.raises(ValueError, match="the API token is in the name") as caught:
            call()
        assert secret not in f"{caught.value}{caplog.text}"
    assert [request.method for request in space.requests] == ["POST"]


class TestLifecycle:
    def test_use_after_close_says_so_and_sends_nothing(self, tokens, space) -> None:
        tokens.close()
        with pytest.raises(ConfigurationError, match="this client is closed") as caught:
            tokens.create("ci", ["fax"])
        assert caught.value.operation == "create"
        assert space.requests == []

    def test_closing_twice_does_no_harm(self, tokens) -> None:
        tokens.close()
        tokens.close()

    def test_a_transport_that_was_passed_in_is_never_closed(self, flavour, space) -> None:
        class Transport(httpx.MockTransport):
            closed = False

            def close(self) -> None:
                self.closed = True

            async def aclose(self) -> None:
                self.closed = True

        transport = Transport(space.transport.handler)
        for _ in range(2):
            with flavour.connect("example", space.project_id, space.api_token, transport=transport) as tokens:
                tokens.create("ci", ["fax"])
                with pytest.raises(APIStatusError):
                    tokens.delete(uuid4())
        assert not transport.closed

    def test_over_real_http_connections_are_kept_and_closed(self, flavour, space) -> None:
        with space.serve() as url, flavour.connect(url, space.project_id, space.api_token) as tokens:
            created = [tokens.create(f"ci-{n}", ["fax"]) for n in range(3)]
            assert [token.id for token in created] == list(space.tokens)
            for token in created:
                tokens.delete(token.id)
        assert living(space) == []


def test_a_loopback_space_is_never_reached_through_a_proxy(flavour, space, monkeypatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with space.serve() as url, flavour.connect(url, space.project_id, space.api_token) as tokens:
        assert isinstance(tokens.create("ci", ["fax"]).token, SecretStr)
