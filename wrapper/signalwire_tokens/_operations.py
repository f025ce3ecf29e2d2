"""The calls of the service as pure values: what to send, and how to read the answer.

Nothing else calls `signalwire_rest`, so a rename upstream ends here. Nothing here does I/O.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

import attrs

from signalwire_rest.api.project_tokens import create_token, delete_token, update_token
from signalwire_rest.models import CreateTokenRequest, TokenResponse, UpdateTokenRequest
from signalwire_rest.types import UNSET

from . import errors
from .models import ApiToken, Permission, SecretStr, parse_permissions

T = TypeVar("T")
E = TypeVar("E", bound=errors.SignalWireError)

Reader = Callable[["Call[Any]", "Answer"], T | errors.SignalWireError]

MAX_BODY = 1024 * 1024
REQUEST_ID_HEADERS = ("x-request-id", "x-signalwire-request-id", "request-id")
STATUS_ERRORS = {
    400: errors.BadRequestError,
    401: errors.AuthenticationError,
    403: errors.PermissionDeniedError,
    404: errors.NotFoundError,
    422: errors.UnprocessableEntityError,
    429: errors.RateLimitError,
}
CREDENTIALS_ADVICE = (
    "the project ID or the API token is wrong, or the API token lacks the management permission; "
    "check SIGNALWIRE_PROJECT_ID and SIGNALWIRE_API_TOKEN against the dashboard"
)
ADVICE = {
    401: CREDENTIALS_ADVICE,
    403: CREDENTIALS_ADVICE,
    404: "no such token in this project; check the ID and the space",
    429: "too many requests; call again later",
}
UNKNOWN_OUTCOME = {
    "create": "a token of this name may exist: look in the dashboard before trying again",
    "update": "the change may have been made: update again to be sure",
    "delete": "the token may be gone: delete again to be sure",
}


@attrs.frozen
class Answer:
    """What came back: `content` as it was on the wire, and `whole` unless the body broke off."""

    status: int
    headers: Mapping[str, str]
    content: bytes = attrs.field(repr=False)
    whole: bool

    def body(self) -> bytes:
        """Return the content, decompressed as far as it goes and as a token could need."""
        if self.headers.get("content-encoding", "").lower() in {"gzip", "x-gzip", "deflate"}:
            try:
                # 32 lets zlib tell gzip from deflate; the cap disarms a bomb.
                return zlib.decompressobj(32 + zlib.MAX_WBITS).decompress(self.content, MAX_BODY)
            except zlib.error:
                pass
        return self.content


@attrs.frozen
class Call(Generic[T]):
    """One call of the service.

    Attributes:
        operation: Its name in logs and errors.
        subject: What it is about, for logs and errors: the name of a token to be, or the ID of one that is.
        read: Turns a success into the result, or into the error to raise.
        repeatable: Whether it does no harm if it is carried out twice.
        missing_ok: Whether a 404 is a success.
    """

    operation: str
    subject: str
    method: str
    path: str
    body: bytes
    read: Reader[T]
    repeatable: bool
    missing_ok: bool = False


def create(name: str, permissions: Iterable[Permission | str], subproject_id: UUID | str | None) -> Call[ApiToken]:
    """Describe the minting of a token; raise TypeError or ValueError for arguments that cannot be right."""
    # The ignored types, here and below: the model takes the enum alone, and an UnlistedPermission serves in its place.
    request = CreateTokenRequest(
        name=_checked_name(name),
        permissions=list(parse_permissions(permissions)),  # type: ignore[arg-type]
        subproject_id=UNSET if subproject_id is None else checked_id("subproject_id", subproject_id),
    )
    return _call("create", f"token {name!r}", create_token._get_kwargs(body=request), _read_token, repeatable=False)


def update(token_id: UUID | str, name: str | None, permissions: Iterable[Permission | str] | None) -> Call[ApiToken]:
    """Describe a change of a token; raise TypeError or ValueError for arguments that cannot be right."""
    if name is None and permissions is None:
        raise ValueError("nothing to change: give name, permissions or both")
    request = UpdateTokenRequest(
        name=UNSET if name is None else _checked_name(name),
        permissions=UNSET if permissions is None else list(parse_permissions(permissions)),  # type: ignore[arg-type]
    )
    token = checked_id("token_id", token_id)
    return _call("update", f"token {token}", update_token._get_kwargs(token, body=request), _read_token)


def delete(token_id: UUID | str, *, missing_ok: bool = False) -> Call[None]:
    """Describe the deletion of a token; raise TypeError or ValueError for an ID that cannot be right."""
    token = checked_id("token_id", token_id)
    call: Call[None] = _call("delete", f"token {token}", delete_token._get_kwargs(token), lambda *_: None)
    return attrs.evolve(call, missing_ok=missing_ok)


def _call(operation: str, subject: str, kwargs: dict[str, Any], read: Reader[T], *, repeatable: bool = True) -> Call[T]:
    body = json.dumps(kwargs["json"], separators=(",", ":")).encode() if "json" in kwargs else b""
    return Call(operation, subject, kwargs["method"].upper(), kwargs["url"], body, read, repeatable)


def _checked_name(name: str) -> str:
    if not isinstance(name, str):
        raise TypeError(f"name must be a str, not {type(name).__name__}")
    if not name.strip():
        raise ValueError("name is blank; the service refuses a token without a name")
    return name


def checked_id(argument: str, value: UUID | str) -> UUID:
    """Return an ID as a UUID; raise TypeError or ValueError if it is none."""
    if isinstance(value, UUID):
        return value
    if not isinstance(value, str):
        hint = "; pass its .id" if isinstance(value, ApiToken) else ""
        raise TypeError(f"{argument} must be a UUID or a str, not {type(value).__name__}{hint}")
    try:
        return UUID(value)
    except ValueError:
        # Not repeated: a secret is easily passed for an ID.
        raise ValueError(f"{argument} is no UUID; expected one such as {UUID(int=0)}") from None


def failed(
    call: Call[Any],
    kind: type[E],
    problem: str,
    *,
    advice: str = "",
    applied: bool,
    request_id: str | None = None,
    **fields: object,
) -> E:
    """Return an error that says what failed and what to do next."""
    advice = "; ".join(filter(None, (UNKNOWN_OUTCOME[call.operation] if applied else "", advice)))
    text = f"{call.operation} of {call.subject} failed: {problem}" + (f" ({advice})" if advice else "")
    if request_id:
        text, fields["request_id"] = f"{text} [request id {request_id}]", request_id
    return kind(text, operation=call.operation, may_have_applied=applied, **fields)


def outcome(call: Call[T], answer: Answer, *, applied: bool) -> T | errors.SignalWireError:
    """Read an answer, its status first: return the result, or the error to raise.

    `applied` tells whether an attempt before this one may have been carried out.
    """
    status = answer.status
    absent = status == 404 and call.operation == "delete" and (call.missing_ok or applied)
    if 200 <= status < 300 or absent:
        return call.read(call, answer)
    details = read_details(answer.body())
    said = "; ".join(f"{d.attribute}: {d.message}" if d.attribute else str(d.message or d.code) for d in details)
    # Cut, and on one line: it goes into logs, and is whatever stood in between.
    said = "".join(char if char.isprintable() else " " for char in said[:500])
    return failed(
        call,
        errors.InternalServerError if status >= 500 else STATUS_ERRORS.get(status, errors.APIStatusError),
        f"HTTP {status}" + (f": {said}" if said else ""),
        advice=ADVICE.get(status, ""),
        # A client error was refused; whatever else came, a redirect included, says nothing about the effect.
        applied=applied or not 400 <= status < 500,
        request_id=request_id(answer.headers),
        status_code=status,
        errors=details,
        retry_after=read_retry_after(answer.headers.get("retry-after")),
    )


def request_id(headers: Mapping[str, str]) -> str | None:
    """Return the service's name for the request."""
    return next((headers[name] for name in REQUEST_ID_HEADERS if headers.get(name)), None)


def _read_token(call: Call[Any], answer: Answer) -> ApiToken | errors.InvalidResponseError:
    """Read a token out of a success, or return the error that keeps all that came."""
    body = answer.body()
    data = _parse(body)
    fields: dict[str, Any] = data if isinstance(data, dict) else {}
    try:
        response = TokenResponse.from_dict(fields)
        if (
            isinstance(response.name, str)
            and isinstance(response.token, str)
            and response.token
            and isinstance(fields["permissions"], list)
            and all(isinstance(permission, str) for permission in response.permissions)
        ):
            return ApiToken(response.id, response.name, tuple(response.permissions), SecretStr(response.token))
    except (AttributeError, KeyError, TypeError, ValueError):
        pass
    text = body.decode("utf-8", "surrogateescape")
    token_id, token = (_salvaged(key, fields, text if data is None else "") for key in ("id", "token"))
    return failed(
        call,
        errors.InvalidResponseError,
        f"HTTP {answer.status} without a whole token" + ("" if answer.whole else ", the answer broke off"),
        advice="body, token_id and token of this error hold what came",
        applied=True,
        request_id=request_id(answer.headers),
        body=SecretStr(text),
        token_id=token_id or None,
        token=SecretStr(token) if token else None,
    )


def _salvaged(key: str, fields: dict[str, Any], text: str) -> str | None:
    """Return a string of the answer: from its fields, or from the text of an answer that is no JSON."""
    found = re.search(rf'"{key}"\s*:\s*"([^"\\]+)"', text)
    return fields[key] if isinstance(fields.get(key), str) else found and found[1]


def _parse(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def read_details(body: bytes) -> tuple[errors.ErrorDetail, ...]:
    """Read the problems out of an error's body, in any of the shapes that the platform uses."""
    data = _parse(body)
    if not isinstance(data, dict):
        return ()
    items = data["errors"] if isinstance(data.get("errors"), list) else [data]

    def read(item: dict[str, Any], *keys: str) -> str | None:
        found = (item[key] for key in keys if isinstance(item.get(key), (str, int)))
        return next((str(value) for value in found), None)

    details = (
        errors.ErrorDetail(
            type=read(item, "type"),
            code=read(item, "code"),
            message=read(item, "message", "detail", "title", "error"),
            attribute=read(item, "attribute"),
            url=read(item, "url", "more_info"),
        )
        for item in items
        if isinstance(item, dict)
    )
    return tuple(detail for detail in details if detail.message or detail.code)


def read_retry_after(value: str | None) -> float | None:
    """Read a Retry-After header, seconds or a date, as seconds from now; None if it is neither."""
    if value is None:
        return None
    if re.fullmatch(r"[0-9]{1,9}", value.strip()):
        return float(value)
    try:
        date = parsedate_to_datetime(value)
        return max(0.0, (date.replace(tzinfo=date.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
    except (ValueError, OverflowError):
        return None
