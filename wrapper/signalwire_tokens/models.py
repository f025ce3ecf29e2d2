"""What calls take and return: tokens, secrets and permissions."""

from __future__ import annotations

import difflib
import hmac
from typing import TYPE_CHECKING, NoReturn

import attrs

from signalwire_rest.models.permission import Permission

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID

__all__ = ["ApiToken", "Permission", "SecretStr", "UnlistedPermission", "parse_permissions"]

# The dashboard's names for permissions that the API calls otherwise.
DASHBOARD_NAMES = {"voice": "calling", "tasks": "tasking"}


class SecretStr:
    """A string that shows itself only on request.

    It is masked in `str`, `repr` and formatting, compares in constant time, and refuses to be pickled or to be
    written as JSON.

    Example:
        >>> secret = SecretStr("PT0123")
        >>> print(secret)
        **********
        >>> secret.get_secret_value()
        'PT0123'
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        if not isinstance(value, str):
            raise TypeError(f"SecretStr takes a str, not {type(value).__name__}")
        self._value = value

    def get_secret_value(self) -> str:
        """Return the secret itself. Hand it on at once; do not keep or log it."""
        return self._value

    def __repr__(self) -> str:
        return f"SecretStr('{self}')"

    def __str__(self) -> str:
        return "**********"

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)

    def __len__(self) -> int:
        return len(self._value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SecretStr):
            return NotImplemented
        mine, others = (secret.get_secret_value().encode("utf-8", "surrogatepass") for secret in (self, other))
        return hmac.compare_digest(mine, others)

    def __hash__(self) -> int:
        return hash(self._value)

    def __copy__(self) -> SecretStr:
        return self

    def __deepcopy__(self, memo: object) -> SecretStr:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("a SecretStr cannot be pickled; store get_secret_value() in a vault instead")


class UnlistedPermission(str):
    """A permission that the service knows and `Permission` does not list. It is sent as it is, unchecked.

    Example:
        >>> parse_permissions([UnlistedPermission("fsa"), "calling"])
        ('fsa', <Permission.CALLING: 'calling'>)
    """

    __slots__ = ()

    @property
    def value(self) -> str:
        """The permission as it is sent, as on a `Permission`."""
        return str(self)


@attrs.frozen
class ApiToken:
    """An API token as the service described it.

    Attributes:
        id: The ID, by which it is changed and deleted.
        name: The name.
        permissions: What it allows; values that `Permission` does not list stay plain strings.
        token: The secret, the password of Basic authentication. The service shows it to nobody else.
    """

    id: UUID
    name: str
    permissions: tuple[Permission | str, ...]
    token: SecretStr


def parse_permissions(values: Iterable[Permission | str]) -> tuple[Permission | UnlistedPermission, ...]:
    """Check permissions and drop repetitions, before anything is sent.

    Raises:
        TypeError: `values` is no iterable, or holds something other than strings.
        ValueError: `values` is a bare string, is empty, or holds a value that is no `Permission`.
    """
    if isinstance(values, str):
        raise ValueError(f"permissions must be a list, such as [{str(values)!r}], not a bare string")  # noqa: TRY004
    try:
        parsed = tuple(dict.fromkeys(_parse_permission(value) for value in values))
    except TypeError as error:
        raise TypeError(f"permissions must be a list of Permission or str: {error}") from None
    if not parsed:
        raise ValueError(f"permissions is empty, name at least one of: {', '.join(Permission)}")
    return parsed


def _parse_permission(value: object) -> Permission | UnlistedPermission:
    if isinstance(value, (Permission, UnlistedPermission)):
        return value
    if not isinstance(value, str):
        raise TypeError(f"{type(value).__name__} found")
    try:
        return Permission(value)
    except ValueError:
        known = [*Permission, *DASHBOARD_NAMES]
        near = difflib.get_close_matches(value.strip().lower(), known, n=1)
    hint = f"did you mean {DASHBOARD_NAMES.get(near[0], str(near[0]))!r}? " if near else ""
    raise ValueError(
        f"unknown permission {value!r}: {hint}Valid are: {', '.join(Permission)}. "
        "One that the service has and this list lacks is sent as UnlistedPermission(...)."
    )
