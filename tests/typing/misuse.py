# pyright: basic, reportUnnecessaryTypeIgnoreComment=true
"""What type checkers must refuse, read by mypy and pyright and never run.

Each line silences the error that it must raise; a comment that silences nothing is an error itself, in both.
"""

from uuid import UUID

import httpx

from signalwire_tokens import ApiToken, AsyncProjectTokens, ProjectTokens, SecretStr
from signalwire_tokens.testing import FakeSpace


async def store(new: ApiToken) -> None: ...


def permissions(tokens: ProjectTokens, token_id: UUID, at_run_time: str) -> None:
    tokens.create("ci", ["voice"])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    tokens.create("ci", "fax")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    tokens.create("ci", [at_run_time])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    tokens.update(token_id, permissions=["fax", "vidio"])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    tokens.rotate(token_id, "ci", ["Fax"], store=print)  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]


def arguments(tokens: ProjectTokens, token_id: UUID) -> None:
    tokens.create("ci")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    tokens.create(["fax"], "ci")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    tokens.create("ci", [1])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    tokens.create("ci", ["fax"], "subproject")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    tokens.create("ci", ["fax"], subproject_id=7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    tokens.update(token_id, "other")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    tokens.delete(7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    tokens.delete(token_id, True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]  # noqa: FBT003
    tokens.rotate(token_id, "ci", ["fax"])  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    tokens.rotate(token_id, "ci", ["fax"], store="vault")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def clients() -> None:
    ProjectTokens("example", "project", "token", 5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    ProjectTokens(timeout="5")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ProjectTokens(transport=httpx.AsyncHTTPTransport())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    AsyncProjectTokens(transport=httpx.HTTPTransport())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    with AsyncProjectTokens():  # type: ignore[attr-defined]  # pyright: ignore[reportGeneralTypeIssues]
        pass


async def unawaited(tokens: AsyncProjectTokens, token_id: UUID) -> None:
    _ = tokens.create("ci", ["fax"]).id  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    with tokens.temporary("job", ["fax"]):  # type: ignore[attr-defined]  # pyright: ignore[reportGeneralTypeIssues]
        pass
    await tokens.delete()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await tokens.delete(token_id, missing="ok")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def results(token: ApiToken, secret: SecretStr) -> None:
    token.name = "other"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    _ = token.expires_at  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    plain: str = secret  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    plain += secret  # type: ignore[operator]  # pyright: ignore[reportOperatorIssue]


def fake(space: FakeSpace) -> None:
    space.fail_next("503")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    space.tokens = []  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
