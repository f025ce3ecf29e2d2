"""The exceptions of the library. Every message is safe to log: it holds no credential and no secret."""

from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

if TYPE_CHECKING:
    from .models import SecretStr


class ErrorDetail(NamedTuple):
    """One problem that the service reported. A field that it left out is None."""

    type: str | None = None
    code: str | None = None
    message: str | None = None
    attribute: str | None = None
    url: str | None = None


class SignalWireError(Exception):
    """The base of all errors of this library.

    `operation` is the call that failed; None outside a call. `request_id` is the service's ID of the request, to quote
    to its support; None if it gave none. `may_have_applied` is true if the service may have carried out the call all
    the same: after a `create`, look in the dashboard for a token of that name, since no call lists tokens. It is also
    true if a token may exist that should be deleted: that of `temporary`, or one that could not be stored.
    """

    operation: str | None = None
    may_have_applied: bool = False
    request_id: str | None = None

    def __init__(self, message: str, **fields: object) -> None:
        super().__init__(message)
        vars(self).update(fields)


class ConfigurationError(SignalWireError, ValueError):
    """The client is set up wrongly, or closed. Nothing was sent."""


class APIConnectionError(SignalWireError):
    """No response arrived: the network failed, or the peer did not speak HTTP."""


class APITimeoutError(APIConnectionError):
    """No response arrived in time."""


class APIStatusError(SignalWireError):
    """The service responded with a status other than success.

    `errors` holds the problems that it reported, in its order; it is empty if the body has no known shape.
    `retry_after` is the number of seconds that it asks to wait; None if it gave none.
    """

    status_code: int = 0
    errors: tuple[ErrorDetail, ...] = ()
    retry_after: float | None = None


class BadRequestError(APIStatusError):
    """400: the service did not understand the request."""


class AuthenticationError(APIStatusError):
    """401: the credentials are wrong, or the token in use lacks the `management` permission."""


class PermissionDeniedError(APIStatusError):
    """403: the token in use lacks the `management` permission, or the credentials are wrong."""


class NotFoundError(APIStatusError):
    """404: there is no such token in this project."""


class UnprocessableEntityError(APIStatusError):
    """422: the service refused a value; `errors` says which."""


class RateLimitError(APIStatusError):
    """429: too many requests; `retry_after` says how long to wait."""


class InternalServerError(APIStatusError):
    """5xx: the service, or a proxy before it, failed. The call may have been carried out."""


class InvalidResponseError(SignalWireError):
    """The service reported success, but its response is not as it should be. The call may have worked.

    The response has no complete token or is about another one; or, for `delete`, its body is not empty. `body` holds
    that body; `body.get_secret_value().encode("utf-8", "surrogateescape")` gives its bytes. `token_id` and `token` are
    what could be read from it, else None. A pickle or a copy lacks `body` and `token`.
    """

    may_have_applied: bool = True
    body: "SecretStr | None" = None
    token_id: str | None = None
    token: "SecretStr | None" = None

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self.args, {**vars(self), "body": None, "token": None}


class RotationError(SignalWireError):
    """The new token is stored, but the old one could not be deleted: both may exist. The message says what to do."""

    may_have_applied: bool = True
    new_token_id: UUID | None = None
    old_token_id: UUID | None = None
