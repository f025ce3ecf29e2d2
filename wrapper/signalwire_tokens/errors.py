"""What the library raises. Every message is safe to log: no credential and no secret is in it."""

from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

if TYPE_CHECKING:
    from .models import SecretStr


class ErrorDetail(NamedTuple):
    """One problem that the service reported. What it left out is None."""

    type: str | None = None
    code: str | None = None
    message: str | None = None
    attribute: str | None = None
    url: str | None = None


class SignalWireError(Exception):
    """The base of all errors of this library.

    `operation` is the call that failed, None outside a call, and `request_id` the service's name for the request, to
    quote to its support; None if it gave none. `may_have_applied` is true if the service may have carried
    it out all the same; after a `create`, look in the dashboard for a token of that name, since no call lists tokens.
    It is also true if a token that should be gone may still exist: one of `temporary`, or one that was not stored.
    """

    operation: str | None = None
    may_have_applied: bool = False
    request_id: str | None = None

    def __init__(self, message: str, **fields: object) -> None:
        super().__init__(message)
        vars(self).update(fields)


class ConfigurationError(SignalWireError, ValueError):
    """The client cannot work as it was set up. Nothing was sent."""


class APIConnectionError(SignalWireError):
    """No response came: the network failed, or the peer did not speak HTTP."""


class APITimeoutError(APIConnectionError):
    """No response came in time."""


class APIStatusError(SignalWireError):
    """The service responded with a status other than success.

    `errors` is what it reported, in its order; empty if the body had no known shape. `retry_after` is the seconds it
    asks to wait; None if it gave none.
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
    """The service reported success, and did not say what it should. The call may have worked; what came is kept.

    That is a response without a whole token, one about another token, or for `delete` a body other than an empty one.
    `body` is all that came; `body.get_secret_value().encode("utf-8", "surrogateescape")` gives its bytes. `token_id`
    and `token` are what could be read of it, else None. A pickle or a copy leaves `body` and `token` behind.
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
