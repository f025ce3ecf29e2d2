"""Reading a response: the result or the error to raise. Redaction, and the sentences about what may exist."""

from __future__ import annotations

import contextlib
import json
import re
import unicodedata
import zlib
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, TypeVar

import attrs

from . import errors
from .models import ApiToken, SecretStr

if TYPE_CHECKING:
    from ._operations import Call

E = TypeVar("E", bound=errors.SignalWireError)

MASK = "**********"
MAX_BODY = 1024 * 1024
# How much of a text from outside a message repeats.
MAX_TEXT = 500
REQUEST_ID_HEADERS = ("x-request-id", "x-signalwire-request-id", "request-id", "x-amzn-requestid")
# The fields of an ErrorDetail, each under all its names.
DETAIL_NAMES = (("type",), ("code",), ("message", "detail", "title", "error"), ("attribute",), ("url", "more_info"))
CREDENTIALS = (
    "the project ID or the API token is wrong, or the API token lacks the management permission; "
    "check SIGNALWIRE_PROJECT_ID and SIGNALWIRE_API_TOKEN against the dashboard"
)
# The error and the advice of a status.
STATUSES: dict[int, tuple[type[errors.APIStatusError], str]] = {
    400: (errors.BadRequestError, ""),
    401: (errors.AuthenticationError, CREDENTIALS),
    403: (errors.PermissionDeniedError, CREDENTIALS),
    404: (errors.NotFoundError, "no such token or subproject; check the IDs and the space"),
    422: (errors.UnprocessableEntityError, ""),
    429: (errors.RateLimitError, "too many requests; call again later"),
}
# What to say of a call that may have been carried out, and of one that was not.
EFFECTS = {
    "create": ("a token of this name may exist: look in the dashboard before trying again", "nothing was minted"),
    "update": ("the change may have been made: update again to be sure", "nothing was changed"),
    "delete": ("the token may be gone: delete again to be sure", "nothing was deleted"),
}


@attrs.frozen
class Answer:
    """What came back: `content` as it was on the wire, `whole` unless it was cut off, and what no text may repeat."""

    status: int
    headers: Mapping[str, str]
    content: bytes = attrs.field(repr=False)
    whole: bool
    hidden: tuple[SecretStr, ...]

    def body(self) -> bytes:
        """Return the content, decompressed as far as it goes and as a token could need."""
        # Looked at first, as it costs less than to search the headers.
        zipped = self.content[:1] in {b"\x1f", b"\x78"}
        zipped = zipped and self.headers.get("content-encoding", "").lower() in {"gzip", "x-gzip", "deflate"}
        found, rest = b"", self.content if zipped else b""
        with contextlib.suppress(zlib.error):
            # Members follow each other; the cap disarms a bomb.
            while rest and len(found) < MAX_BODY:
                # 32 lets zlib tell gzip from deflate.
                member = zlib.decompressobj(32 + zlib.MAX_WBITS)
                found += member.decompress(rest, MAX_BODY - len(found))
                rest = member.unused_data
        return found or self.content


def redact(text: str, secrets: Iterable[SecretStr]) -> str:
    """Mask in a text that came from outside the credentials, and whatever may be a secret of the service."""
    for secret in secrets:
        text = text.replace(secret.get_secret_value(), MASK)
    # "Basic Constraints" is an extension of certificates.
    return re.sub(r"Basic (?!Constraints)\S+|[A-Za-z0-9_+=-]{40,}", MASK, text)


def printable(text: str, secrets: Iterable[SecretStr] = ()) -> str:
    """Redact what came from outside, cut it and put it on one line: it goes into logs and messages."""
    text = redact(text, secrets)[:MAX_TEXT]
    return "".join(char if char.isprintable() else " " for char in text)


def about(call: Call[Any], token: ApiToken | None = None) -> str:
    """Name what a call is about."""
    if token is not None:
        return f"token {token.id}, name {token.name!r}, permissions {printable(','.join(token.permissions))}"
    return f"token {call.token_id or repr((call.name or '')[:100])}"


def sentence(call: Call[Any], problem: str, *advice: str, applied: bool, request_id: object = None) -> str:
    """Say what failed, what may exist, and what to do next: the one text of errors, notes and log records."""
    parts = "; ".join(filter(None, (EFFECTS[call.operation][0] if applied else "", *advice)))
    known = f" [request id {request_id}]" if request_id else ""
    return f"{call.operation} of {about(call)} failed: {problem}" + (f" ({parts})" if parts else "") + known


def failed(kind: type[E], call: Call[Any], problem: str, *advice: str, applied: bool, **fields: object) -> E:
    """Return an error about a call."""
    text = sentence(call, problem, *advice, applied=applied, request_id=fields.get("request_id"))
    return kind(text, operation=call.operation, may_have_applied=applied, **fields)


def request_id(headers: Mapping[str, str], secrets: Iterable[SecretStr]) -> str | None:
    """Return the service's name for the request."""
    return next((printable(headers[name], secrets) for name in REQUEST_ID_HEADERS if headers.get(name)), None)


def outcome(call: Call[Any], answer: Answer, *, applied: bool) -> ApiToken | errors.SignalWireError | None:
    """Return the result, or the error to raise. `applied`: an earlier attempt may have been carried out."""
    status = answer.status
    if status == 404 and call.operation == "delete" and (call.missing_ok or applied):
        return None
    if not 200 <= status < 300:
        return _status_error(call, answer, applied=applied)
    if call.operation != "delete":
        return _token(call, answer)
    if status == 204 or (answer.whole and not answer.body()):
        return None
    return _invalid(call, answer, "with a body that says nothing of a deletion", {})


def _status_error(call: Call[Any], answer: Answer, *, applied: bool) -> errors.APIStatusError:
    status, details, retry_after = answer.status, _details(answer), _retry_after(answer.headers)
    kind, advice = STATUSES.get(status, (errors.InternalServerError if status >= 500 else errors.APIStatusError, ""))
    said = (f"{d.attribute}: {d.message}" if d.attribute else str(d.message or d.code) for d in details)
    text = printable(f"HTTP {status}: {'; '.join(said)}").removesuffix(": ")
    if retry_after and status >= 429:
        advice = f"the service asks to wait {retry_after:g} s"
    if 300 <= status < 400 and (target := printable(answer.headers.get("location", ""), answer.hidden)):
        advice = f"it redirects to {target}, and no redirect is followed; check the space"
    # A client error was refused. A redirect says nothing about the effect, nor does a 408 that a gateway gives.
    applied = applied or not 400 <= status < 500 or status == 408
    fields = {"request_id": request_id(answer.headers, answer.hidden), "retry_after": retry_after}
    return failed(kind, call, text, advice, applied=applied, status_code=status, errors=details, **fields)


def _token(call: Call[Any], answer: Answer) -> ApiToken | errors.InvalidResponseError:
    """Read a token out of a success, or return the error that keeps all that came."""
    fields = _parse(answer.body())
    try:
        token = call.read(fields)
    except (AttributeError, KeyError, TypeError, ValueError):
        return _invalid(call, answer, "without a whole token", fields)
    minted = call.token_id is None
    # Blank or a mask, it is no secret; and no token is minted without permissions.
    if not token.token.get_secret_value().strip(" \t\r\n*•") or (minted and not token.permissions):
        return _invalid(call, answer, "without a whole token", fields)
    if not (_same(call.name or "", token.name) if minted else token.id == call.token_id):
        return _invalid(call, answer, "about another token", fields)
    return token


def _same(sent: str, told: str) -> bool:
    """Tell whether a service may have made one name of another: white space, case, normalisation and length aside."""
    if sent == told:
        return True
    mine, other = ("".join(unicodedata.normalize("NFKC", name).casefold().split()) for name in (sent, told))
    shortened = other.rstrip(".…\ufffd") or other
    return bool(other) and mine.startswith(shortened)


def _invalid(call: Call[Any], answer: Answer, problem: str, fields: Any) -> errors.InvalidResponseError:
    text = answer.body().decode("utf-8", "surrogateescape")
    fields = _top_level(text) if fields is None else fields
    token_id, token = (isinstance(fields, dict) and fields.get(key) for key in ("id", "token"))
    kept = {
        "body": SecretStr(text),
        "token_id": printable(token_id, answer.hidden) if token_id and isinstance(token_id, str) else None,
        "token": SecretStr(token) if token and isinstance(token, str) else None,
        "request_id": request_id(answer.headers, answer.hidden),
    }
    problem = f"HTTP {answer.status} {problem}" + ("" if answer.whole else ", the response was cut off")
    advice = f"the ID in it is {kept['token_id']}" if kept["token_id"] else ""
    error = failed(errors.InvalidResponseError, call, problem, advice, applied=True, **kept)
    error.add_note("body, token_id and token of this error hold what came")
    return error


def _top_level(text: str) -> dict[str, str]:
    """Read the strings of the outermost object, as far as the text goes."""
    fields: dict[str, str] = {}
    depth, key = 0, ""
    for found in re.finditer(r'"((?:[^"\\]|\\.)*)"\s*(:?)|[][{}]', text):
        if found[0] in "{[":
            depth, key = depth + 1, ""
        elif found[0] in "}]":
            depth, key = depth - 1, ""
        elif depth == 1 and found[2]:
            key = found[1]
        elif depth == 1 and key:
            with contextlib.suppress(ValueError):
                fields.setdefault(key, json.loads(f'"{found[1]}"'))
    return fields


def _parse(body: bytes) -> Any:
    with contextlib.suppress(ValueError, RecursionError):
        return json.loads(body)
    return None


def _details(answer: Answer) -> tuple[errors.ErrorDetail, ...]:
    """Read the problems out of an error's body, in any of the shapes that the platform uses."""
    data = _parse(answer.body())
    several = isinstance(data, dict) and isinstance(data.get("errors"), list)
    items = [item for item in (data["errors"] if several else [data]) if isinstance(item, dict)]
    known = [
        [[item[n] for n in names if isinstance(item.get(n), (str, int))] for names in DETAIL_NAMES] for item in items
    ]
    read = ((redact(str(values[0]), answer.hidden) if values else None for values in fields) for fields in known)
    details = [errors.ErrorDetail(*fields) for fields in read]
    return tuple(detail for detail in details if detail.message or detail.code)


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Read a Retry-After header, seconds or a date, as seconds from now; None if it is neither."""
    value = headers.get("retry-after", "")
    if re.fullmatch(r"\s*[0-9]{1,9}(\.[0-9]{1,9})?\s*", value):
        return float(value)
    if (until := _date(value)) is None:
        return None
    # By the service's own clock: this machine's may be wrong.
    return max(0.0, (until - (_date(headers.get("date", "")) or datetime.now(UTC))).total_seconds())


def _date(value: str) -> datetime | None:
    with contextlib.suppress(ValueError, OverflowError):
        date = parsedate_to_datetime(value)
        return date.replace(tzinfo=date.tzinfo or UTC).astimezone(UTC)
    return None
