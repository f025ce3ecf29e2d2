# pyright: strict, reportUnnecessaryTypeIgnoreComment=true
"""What users write, read by mypy and pyright and never run. Every type that the library gives is named here."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any, assert_type
from uuid import UUID

import httpx

from signalwire_tokens import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    ApiToken,
    AsyncProjectTokens,
    ConfigurationError,
    ErrorDetail,
    InvalidResponseError,
    Permission,
    PermissionName,
    ProjectTokens,
    RateLimitError,
    RotationError,
    SecretStr,
    SignalWireError,
    UnlistedPermission,
)
from signalwire_tokens.testing import FakeRequest, FakeSpace, FakeToken


def sync(token_id: UUID, secret: SecretStr, mixed: list[Permission | PermissionName], at_run_time: str) -> None:
    ProjectTokens("example", "project", "token", timeout=5, max_retries=0)
    ProjectTokens(api_token=secret, transport=httpx.HTTPTransport())
    with ProjectTokens() as tokens:
        assert_type(tokens, ProjectTokens)
        created = tokens.create("ci", [Permission.CALLING, "messaging"], subproject_id=token_id)
        assert_type(created, ApiToken)
        assert_type(tokens.create("ci", mixed, subproject_id=str(token_id)), ApiToken)
        assert_type(tokens.create("ci", {"fax"}), ApiToken)
        assert_type(tokens.create("ci", [Permission(at_run_time)]), ApiToken)
        assert_type(tokens.create("ci", (p for p in Permission)), ApiToken)
        assert_type(tokens.create("ci", [UnlistedPermission("fsa")]), ApiToken)
        assert_type(tokens.create("ci", created.permissions), ApiToken)
        assert_type(tokens.update(created.id, name="other", permissions=["fax"]), ApiToken)
        assert_type(tokens.rotate(created.id, "ci", ["fax"], store=lambda new: print(new.id)), ApiToken)
        assert_type(tokens.rotate(str(created.id), "ci", ["fax"], store=print), ApiToken)
        temporary = tokens.temporary("job", ["fax"])
        context: AbstractContextManager[ApiToken] = temporary
        with context as token, temporary as same:
            assert_type(token, ApiToken)
            assert_type(same, ApiToken)
        tokens.delete(token_id, missing_ok=True)
        tokens.close()


async def asynchronous(token_id: UUID) -> None:
    async def store(new: ApiToken) -> None:
        assert_type(new, ApiToken)

    AsyncProjectTokens("example", "project", SecretStr("token"), transport=httpx.AsyncHTTPTransport())
    async with AsyncProjectTokens() as tokens:
        assert_type(tokens, AsyncProjectTokens)
        assert_type(await tokens.create("ci", [Permission.CALLING, "messaging"]), ApiToken)
        assert_type(await tokens.update(token_id, permissions=["fax"]), ApiToken)
        assert_type(await tokens.rotate(token_id, "ci", ["fax"], store=store), ApiToken)
        assert_type(await tokens.rotate(token_id, "ci", ["fax"], store=print), ApiToken)
        temporary: AbstractAsyncContextManager[ApiToken] = tokens.temporary("job", ["fax"])
        async with temporary as token:
            assert_type(token, ApiToken)
        await tokens.delete(token_id)
        await tokens.aclose()


def results(token: ApiToken) -> None:
    assert_type(token.id, UUID)
    assert_type(token.name, str)
    assert_type(token.permissions, tuple[Permission | UnlistedPermission, ...])
    assert_type(token.token, SecretStr)
    assert_type(token.token.get_secret_value(), str)
    sent: str = token.permissions[0]
    print(sent)


def failures(tokens: ProjectTokens) -> None:
    try:
        tokens.create("ci", ["fax"])
    except RateLimitError as error:
        assert_type(error.retry_after, float | None)
    except APIStatusError as error:
        assert_type(error.status_code, int)
        assert_type(error.errors, tuple[ErrorDetail, ...])
        assert_type(error.errors[0].attribute, str | None)
        assert_type(error.request_id, str | None)
    except InvalidResponseError as error:
        assert_type(error.body, SecretStr | None)
        assert_type(error.token, SecretStr | None)
        assert_type(error.token_id, str | None)
    except RotationError as error:
        assert_type(error.new_token_id, UUID | None)
        assert_type(error.old_token_id, UUID | None)
    except APITimeoutError as error:
        connection: APIConnectionError = error
        assert_type(connection.may_have_applied, bool)
    except ConfigurationError as error:
        value_error: ValueError = error
        assert_type(value_error.args, tuple[Any, ...])
    except SignalWireError as error:
        assert_type(error.operation, str | None)
        assert_type(error.may_have_applied, bool)


def fake() -> None:
    space = FakeSpace()
    assert_type(space.tokens, dict[UUID, FakeToken])
    assert_type(space.requests, list[FakeRequest])
    assert_type(space.add_subproject("tenant"), UUID)
    space.fail_next(429, times=2, headers={"Retry-After": "1"})
    space.fail_next(timeout=True, applied=True)
    with space.serve() as url:
        assert_type(url, str)
    ProjectTokens(transport=space.transport)
    AsyncProjectTokens(transport=space.transport)


# What a pytest plugin or a framework's dependency looks like.
def dependency() -> Iterator[ProjectTokens]:
    with ProjectTokens() as tokens:
        yield tokens


async def async_dependency() -> AsyncIterator[AsyncProjectTokens]:
    async with AsyncProjectTokens() as tokens:
        yield tokens
