"""The calls of the service as pure values: what to send, and how to read the answer. Nothing here does I/O.

Nothing else calls `signalwire_rest`, so a rename upstream ends here.
"""

from __future__ import annotations

import contextlib
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

MAX_BODY = 1024 * 1024
REQUEST_ID_HEADERS = ("x-request-id", "x-signalwire-request-id", "request-id")
# The fields of an ErrorDetail, each under all its names.
DETAIL_NAMES = (("type",), ("code",), ("message", "detail", "title", "error"), ("attribute",), ("url", "more_info"))
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
    404: "no such token or subproject; check the IDs and the space",
    429: "too many requests; call again later",
}
UNKNOWN_OUTCOME = {
    "create": "a token of this name may exist: look in the dashboard before trying again",
    "update": "the change may have been made: update again to be sure",
    "delete": "the token may be gone: delete again to be sure",
}


@attrs.frozen
class Answer:
    """What came back: `content` as it was on the wire, `whole` unless it broke off, and what it must not repeat."""

    status: int
    headers: Mapping[str, str]
    content: bytes = attrs.field(repr=False)
    authorization: SecretStr
    whole: bool

    def body(self) -> bytes:
        """Return the content, decompressed as far as it goes and as a token could need."""
        content = self.content
        if self.headers.get("content-encoding", "").lower() in {"gzip", "x-gzip", "deflate"}:
            with contextlib.suppress(zlib.error):
                # 32 lets zlib tell gzip from deflate; the cap disarms a bomb.
                content = zlib.decompressobj(32 + zlib.MAX_WBITS).decompress(content, MAX_BODY)
        # Some gateways repeat what they refuse.
        return content.replace(self.authorization.get_secret_value().encode(), b"**********")


@attrs.frozen
class Call(Generic[T]):
    """One call: what it is and is about, for logs and errors; what to send; what makes a result of a success."""

    operation: str
    subject: str
    request: dict[str, Any]
    read: Callable[[Call[Any], Answer], T | errors.SignalWireError]
    missing_ok: bool = False

    @property
    def body(self) -> bytes:
        """The JSON to send, empty for none."""
        return json.dumps(self.request["json"]).encode() if "json" in self.request else b""


def create(name: str, permissions: Iterable[Permission | str], subproject_id: UUID | str | None) -> Call[ApiToken]:
    """Describe the minting of a token; raise TypeError or ValueError for arguments that cannot be right."""
    # The ignored types, here and below: the model takes the enum alone, and an UnlistedPermission serves in its place.
    request = CreateTokenRequest(
        name=_checked_name(name),
        permissions=parse_permissions(permissions),  # type: ignore[arg-type]
        subproject_id=UNSET if subproject_id is None else checked_id("subproject_id", subproject_id),
    )
    return Call("create", f"token {name[:100]!r}", create_token._get_kwargs(body=request), _read_token)


def update(token_id: UUID | str, name: str | None, permissions: Iterable[Permission | str] | None) -> Call[ApiToken]:
    """Describe a change of a token; raise TypeError or ValueError for arguments that cannot be right."""
    if name is None and permissions is None:
        raise ValueError("nothing to change: give name, permissions or both")
    request = UpdateTokenRequest(
        name=UNSET if name is None else _checked_name(name),
        permissions=UNSET if permissions is None else parse_permissions(permissions),  # type: ignore[arg-type]
    )
    token = checked_id("token_id", token_id)
    return Call("update", f"token {token}", update_token._get_kwargs(token, body=request), _read_token)


def delete(token_id: UUID | str, *, missing_ok: bool = False) -> Call[None]:
    """Describe the deletion of a token; raise TypeError or ValueError for an ID that cannot be right."""
    token = checked_id("token_id", token_id)
    return Call("delete", f"token {token}", delete_token._get_kwargs(token), lambda *_: None, missing_ok)


def _checked_name(name: str) -> str:
    if not isinstance(name, str):
        raise TypeError(f"name must be a str, not {type(name).__name__}")
    if not name.strip():
        raise ValueError("name is blank; the service refuses a token without a name")
    return name


def checked_id(argument: str, value: UUID | str) -> UUID:
    """Return an ID as a UUID; raise TypeError or ValueError if it is none."""
    if not isinstance(value, (UUID, str)):
        hint = ", pass the token's id" if isinstance(value, (ApiToken, SecretStr)) else ""
        raise TypeError(f"{argument} must be a UUID or a str, not {type(value).__name__}{hint}")
    try:
        return UUID(str(value))
    except ValueError:
        # Not repeated: a secret is easily passed for an ID.
        raise ValueError(f"{argument} is no UUID; expected an ID such as {UUID(int=0)}, not a secret") from None


def failed(call: Call[Any], kind: type[E], problem: str, advice: str, *, applied: bool, **fields: object) -> E:
    """Return an error that says what failed and what to do next."""
    advice = "; ".join(filter(None, (UNKNOWN_OUTCOME[call.operation] if applied else "", advice)))
    text = f"{call.operation} of {call.subject} failed: {problem}" + (f" ({advice})" if advice else "")
    text += f" [request id {fields['request_id']}]" if fields.get("request_id") else ""
    return kind(text, operation=call.operation, may_have_applied=applied, **fields)


def printable(text: str) -> str:
    """Cut what came from outside and put it on one line: it goes into logs and messages."""
    return "".join(char if char.isprintable() else " " for char in text[:500])


def request_id(headers: Mapping[str, str]) -> str | None:
    """Return the service's name for the request."""
    return next((printable(headers[name]) for name in REQUEST_ID_HEADERS if headers.get(name)), None)


def outcome(call: Call[T], answer: Answer, *, applied: bool) -> T | errors.SignalWireError:
    """Return the result, or the error to raise. `applied`: an earlier attempt may have been carried out."""
    status = answer.status
    absent = status == 404 and call.operation == "delete" and (call.missing_ok or applied)
    if 200 <= status < 300 or absent:
        return call.read(call, answer)
    details = _details(answer.body())
    said = (f"{d.attribute}: {d.message}" if d.attribute else str(d.message or d.code) for d in details)
    text = printable(f"HTTP {status}: {'; '.join(said)}").removesuffix(": ")
    retry_after = _retry_after(answer.headers.get("retry-after", ""))
    return failed(
        call,
        errors.InternalServerError if status >= 500 else STATUS_ERRORS.get(status, errors.APIStatusError),
        text,
        f"the service asks to wait {retry_after:.0f} s" if retry_after and status >= 429 else ADVICE.get(status, ""),
        # A client error was refused. A redirect says nothing about the effect, nor does a 408 that a gateway gives.
        applied=applied or not 400 <= status < 500 or status == 408,
        status_code=status,
        errors=details,
        request_id=request_id(answer.headers),
        retry_after=retry_after,
    )


def _read_token(call: Call[Any], answer: Answer) -> ApiToken | errors.InvalidResponseError:
    """Read a token out of a success, or return the error that keeps all that came."""
    body = answer.body()
    fields, text = _parse(body), body.decode("utf-8", "surrogateescape")
    try:
        response = TokenResponse.from_dict(fields)
        if response.token and isinstance(fields["permissions"], list):
            return ApiToken(response.id, response.name, tuple(response.permissions), SecretStr(response.token))
    except (AttributeError, KeyError, TypeError, ValueError):
        pass
    if fields is None:
        fields = dict(re.findall(r'"(id|token)"\s*:\s*"([^"\\]+)"', text))
    token_id, token = (isinstance(fields, dict) and fields.get(key) for key in ("id", "token"))
    return failed(
        call,
        errors.InvalidResponseError,
        f"HTTP {answer.status} without a whole token" + ("" if answer.whole else ", the answer broke off"),
        "body, token_id and token of this error hold what came",
        applied=True,
        body=SecretStr(text),
        token_id=printable(token_id) if token_id and isinstance(token_id, str) else None,
        token=SecretStr(token) if token and isinstance(token, str) else None,
        request_id=request_id(answer.headers),
    )


def _parse(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _details(body: bytes) -> tuple[errors.ErrorDetail, ...]:
    """Read the problems out of an error's body, in any of the shapes that the platform uses."""
    data = _parse(body)
    several = isinstance(data, dict) and isinstance(data.get("errors"), list)
    items = [item for item in (data["errors"] if several else [data]) if isinstance(item, dict)]
    details = (
        errors.ErrorDetail(
            *(
                next((str(item[n]) for n in names if isinstance(item.get(n), (str, int))), None)
                for names in DETAIL_NAMES
            )
        )
        for item in items
    )
    return tuple(detail for detail in details if detail.message or detail.code)


def _retry_after(value: str) -> float | None:
    """Read a Retry-After header, seconds or a date, as seconds from now; None if it is neither."""
    if re.fullmatch(r"\s*[0-9]{1,9}\s*", value):
        return float(value)
    try:
        date = parsedate_to_datetime(value)
        return max(0.0, (date.replace(tzinfo=date.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
    except (ValueError, OverflowError):
        return None
