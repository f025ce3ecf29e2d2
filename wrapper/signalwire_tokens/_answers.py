"""Reading a response into a result or an error to raise; redacting texts; saying what may exist."""

import contextlib
import json
import re
import unicodedata
import zlib
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

from . import errors
from ._attempt import MAX_BODY, Attempt
from .models import ApiToken, SecretStr

E = TypeVar("E", bound=errors.SignalWireError)

MASK = "**********"
# At most this many characters of a text from outside are repeated in a message.
MAX_TEXT = 500
REQUEST_ID_HEADERS = ("x-request-id", "x-signalwire-request-id", "request-id", "x-amzn-requestid")
# The fields of an ErrorDetail, each with the names that the platform uses for it.
DETAIL_NAMES = (("type",), ("code",), ("message", "detail", "title", "error"), ("attribute",), ("url", "more_info"))
CREDENTIALS = "wrong project ID or API token, or a token without the management permission; compare with the dashboard"
# The error class and the advice for each status.
STATUSES: dict[int, tuple[type[errors.APIStatusError], str]] = {
    400: (errors.BadRequestError, ""),
    401: (errors.AuthenticationError, CREDENTIALS),
    403: (errors.PermissionDeniedError, CREDENTIALS),
    404: (errors.NotFoundError, "no such token or subproject; check the IDs and the space"),
    422: (errors.UnprocessableEntityError, ""),
    429: (errors.RateLimitError, "too many requests; call again later"),
}
# What messages say if a call may have been carried out, and if it was not.
EFFECTS = {
    "create": ("a token of this name may exist: look in the dashboard before trying again", "nothing was minted"),
    "update": ("the change may have been made: update again to be sure", "nothing was changed"),
    "delete": ("the token may be gone: delete again to be sure", "nothing was deleted"),
}


def redact(text: str, secrets: tuple[SecretStr, ...]) -> str:
    """Mask the credentials, and anything that may be a secret of the service, in a text from outside."""
    for secret in secrets:
        text = text.replace(secret.get_secret_value(), MASK)
    # "Basic Constraints" is an extension of certificates, not a credential.
    return re.sub(r"Basic (?!Constraints)\S+|[A-Za-z0-9_+=-]{40,}", MASK, text)


def printable(text: str, secrets: tuple[SecretStr, ...] = ()) -> str:
    """Redact a text from outside, shorten it and put it on one line, for logs and messages."""
    return "".join(char if char.isprintable() else " " for char in redact(text, secrets)[:MAX_TEXT])


def request_id(attempt: Attempt) -> str | None:
    """Return the ID that the service gave the request, if any."""
    headers = attempt.headers
    return next((printable(headers[name], attempt.hidden) for name in REQUEST_ID_HEADERS if headers.get(name)), None)


def failed(kind: type[E], attempt: Attempt, problem: str, *advice: str | None, applied: bool, **fields: object) -> E:
    """Return an error that says what failed, what may exist and what to do next. Notes and logs use its text, too."""
    call, known = attempt.call, request_id(attempt)
    about = f"token {call.token_id or repr((call.name or '')[:100])}"
    effect = EFFECTS[call.operation][not applied] if applied or attempt.status >= 0 else "nothing was sent"
    text = f"{call.operation} of {about} failed: {problem} ({'; '.join(filter(None, (effect, *advice)))})"
    text += f" [request id {known}]" if known else ""
    return kind(text, operation=call.operation, may_have_applied=applied, request_id=known, **fields)


def outcome(attempt: Attempt) -> ApiToken | errors.SignalWireError | None:
    """Return the result of an attempt, or the error to raise."""
    call, status = attempt.call, attempt.status
    if status < 0:
        return _no_response(attempt)
    if status == 404 and call.operation == "delete" and (call.missing_ok or attempt.applied):
        return None
    if not 200 <= status < 300:
        return _status_error(attempt)
    if call.operation != "delete":
        return _token(attempt)
    if status == 204 or not (attempt.content or attempt.cut_off):
        return None
    return _invalid(attempt, "with a body that says nothing of a deletion")


def _no_response(attempt: Attempt) -> errors.SignalWireError:
    applied = attempt.sent or attempt.applied
    kind: type[errors.SignalWireError] = errors.APITimeoutError if attempt.late else errors.APIConnectionError
    problem = f"no response from {attempt.request.url.netloc.decode()}: {printable(attempt.reason, attempt.hidden)}"
    return failed(kind, attempt, problem, attempt.advice, applied=applied)


def _status_error(attempt: Attempt) -> errors.SignalWireError:
    status, details, retry_after = attempt.status, _details(attempt), _retry_after(attempt)
    kind, advice = STATUSES.get(status, (errors.InternalServerError if status >= 500 else errors.APIStatusError, ""))
    said = (f"{d.attribute}: {d.message}" if d.attribute else str(d.message or d.code) for d in details)
    text = printable(f"HTTP {status}: {'; '.join(said)}").removesuffix(": ")
    if retry_after and status >= 429:
        advice = f"the service asks to wait {retry_after:g} s"
    if 300 <= status < 400 and (target := printable(attempt.headers.get("location", ""), attempt.hidden)):
        advice = f"it redirects to {target}, and no redirect is followed; check the space"
    # A 4xx means that the call was refused. A redirect does not say what happened, nor does a 408 from a gateway.
    applied = attempt.applied or not 400 <= status < 500 or status == 408
    fields = {"status_code": status, "errors": details, "retry_after": retry_after}
    return failed(kind, attempt, text, advice, applied=applied, **fields)


def _token(attempt: Attempt) -> ApiToken | errors.SignalWireError:
    """Return the token in a success, or the error that keeps the response."""
    call = attempt.call
    try:
        token = call.read(_parse(attempt))
    except (AttributeError, KeyError, TypeError, ValueError):
        return _invalid(attempt, "without a whole token")
    if not (token.id == call.token_id if call.token_id else _same(call.name or "", token.name)):
        return _invalid(attempt, "about another token")
    return token


def _same(sent: str, told: str) -> bool:
    """Return whether two names differ only in white space, case, normalisation or, if `told` is shortened, length."""
    mine, other = ("".join(unicodedata.normalize("NFKC", name).casefold().split()) for name in (sent, told))
    # A shortened name has 30 characters or more, or ends in dots or U+FFFD: "ci" is not "ci-2", shortened.
    shortened = other.rstrip(".…\ufffd")
    limited = len(other) >= 30 or other != shortened
    return mine == other or (limited and shortened != "" and mine.startswith(shortened))


def _invalid(attempt: Attempt, problem: str) -> errors.SignalWireError:
    """Return the error that keeps the body and what could be read from it."""
    text, fields = b"".join(_body(attempt)).decode("utf-8", "surrogateescape"), _parse(attempt)
    fields = _top_level(text) if fields is None else fields if isinstance(fields, dict) else {}
    token_id, token = (value if isinstance(value, str) else "" for value in map(fields.get, ("id", "token")))
    token_id = printable(token_id, attempt.hidden)
    problem = f"HTTP {attempt.status} {problem}" + (", the response was cut off" if attempt.cut_off else "")
    advice = f"the ID in it is {token_id}" if token_id else ""
    kept = {"body": SecretStr(text), "token_id": token_id or None, "token": SecretStr(token) if token else None}
    error = failed(errors.InvalidResponseError, attempt, problem, advice, applied=True, **kept)
    error.add_note("body, token_id and token of this error hold what came; a copy or a pickle lacks body and token")
    return error


def _body(attempt: Attempt) -> tuple[bytes, bytes]:
    """Return the body, decompressed as far as possible and needed, and the bytes that could not be decompressed."""
    content = bytes(attempt.content)
    # The first byte is checked first, as searching the headers takes longer.
    zipped = content[:1] in {b"\x1f", b"\x78"} and "content-encoding" in attempt.headers
    found, rest = b"", content if zipped else b""
    with contextlib.suppress(zlib.error):
        # There may be several members; the limit stops a decompression bomb.
        while rest and len(found) < MAX_BODY:
            # 32 lets zlib detect whether it is gzip or deflate.
            member = zlib.decompressobj(32 + zlib.MAX_WBITS)
            found += member.decompress(rest, MAX_BODY - len(found))
            rest = member.unused_data
    return (found, rest) if found else (content, b"")


def _parse(attempt: Attempt) -> Any:
    with contextlib.suppress(ValueError, RecursionError):
        return json.loads(_body(attempt)[0])
    return None


def _top_level(text: str) -> dict[str, str]:
    """Return the strings in the outermost object of a text that may be cut off or invalid."""
    fields: dict[str, str] = {}
    depth, string = 0, r'"((?:[^"\\]|\\.)*)"'
    for found in re.finditer(rf"{string}\s*:\s*{string}|{string}?|[][{{}}]", text):
        depth += {"{": 1, "[": 1, "}": -1, "]": -1}.get(found[0], 0)
        if depth == 1 and found[2] is not None:
            with contextlib.suppress(ValueError):
                fields.setdefault(found[1], json.loads(f'"{found[2]}"'))
    return fields


def _details(attempt: Attempt) -> tuple[errors.ErrorDetail, ...]:
    """Return the problems in an error's body, in any of the shapes that the platform uses."""
    data = _parse(attempt)
    items = data["errors"] if isinstance(data, dict) and isinstance(data.get("errors"), list) else [data]
    details = []
    for item in (item for item in items if isinstance(item, dict)):
        known = {name: redact(str(said), attempt.hidden) for name, said in item.items() if isinstance(said, str | int)}
        fields = (next((known[n] for n in names if n in known), None) for names in DETAIL_NAMES)
        details.append(errors.ErrorDetail(*fields))
    return tuple(detail for detail in details if detail.message or detail.code)


def _retry_after(attempt: Attempt) -> float | None:
    """Return the Retry-After header, seconds or a date, as seconds from now; None if it is neither."""
    value = attempt.headers.get("retry-after", "")
    if re.fullmatch(r"\s*[0-9]{1,20}(\.[0-9]{1,9})?\s*", value):
        return float(value)
    if (until := _date(value)) is None:
        return None
    # Compared with the service's own clock, as this machine's may be wrong.
    return max(0.0, (until - (_date(attempt.headers.get("date", "")) or datetime.now(UTC))).total_seconds())


def _date(value: str) -> datetime | None:
    with contextlib.suppress(ValueError, OverflowError):
        date = parsedate_to_datetime(value)
        return date.replace(tzinfo=date.tzinfo or UTC)
    return None
