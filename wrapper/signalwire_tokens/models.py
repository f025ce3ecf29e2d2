"""What calls take and return: tokens, secrets and permissions."""

from collections.abc import Iterable, Mapping
from typing import NoReturn, Protocol, Self, TypeAlias
from uuid import UUID

import attrs
from attrs.validators import deep_iterable, instance_of

from signalwire_rest.models.permission import Permission as Permission, PermissionName as PermissionName

# The dashboard's names for permissions that have another name in the API.
DASHBOARD_NAMES = {"voice": "calling", "tasks": "tasking"}


class SecretStr:
    """A string that is masked in `str`, `repr` and formatting, and that cannot be pickled or put into JSON.

    Example:
        >>> secret = SecretStr("PT0123")
        >>> print(secret, secret.get_secret_value())
        ********** PT0123
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        if not isinstance(value, str):
            raise TypeError(f"SecretStr takes a str, not {type(value).__name__}")
        self._value = value

    def get_secret_value(self) -> str:
        """Return the secret itself. Pass it on at once; do not keep or log it."""
        return self._value

    def __repr__(self) -> str:
        return f"SecretStr('{self}')"

    def __str__(self) -> str:
        return "**********"

    def __len__(self) -> int:
        return len(self._value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SecretStr):
            return NotImplemented
        # Imported here as it is slow to load, like difflib below.
        import hmac  # noqa: PLC0415

        mine, others = (secret.get_secret_value().encode("utf-8", "surrogatepass") for secret in (self, other))
        return hmac.compare_digest(mine, others)

    def __hash__(self) -> int:
        return hash(self._value)

    def __copy__(self, _memo: object = None) -> Self:
        return self

    __deepcopy__ = __copy__

    def __reduce__(self) -> NoReturn:
        raise TypeError("a SecretStr cannot be pickled; store get_secret_value() in a vault instead")

    def __getstate__(self) -> NoReturn:
        # Serialisers that do not use pickle's protocol ask for the state.
        self.__reduce__()


class UnlistedPermission(str):
    """A permission that the service has and `Permission` lacks, as in `UnlistedPermission("fsa")`. Sent unchecked."""

    __slots__ = ()

    @property
    def value(self) -> str:
        """The permission as it is sent, like the `value` of a `Permission`."""
        return str(self)


Id: TypeAlias = UUID | str
Permissions: TypeAlias = Iterable[Permission | PermissionName | UnlistedPermission]


@attrs.frozen
class ApiToken:
    """An API token as the service described it.

    `token` is the secret: the password for HTTP Basic authentication. The service shows it to nobody else. A value of
    `permissions` that `Permission` lacks is an `UnlistedPermission`, and can be sent as it is.
    """

    id: UUID
    name: str = attrs.field(validator=instance_of(str))
    permissions: tuple[Permission | UnlistedPermission, ...] = attrs.field(validator=deep_iterable(instance_of(str)))
    token: SecretStr


class _HasSecret(Protocol):
    def get_secret_value(self) -> str: ...


# Pydantic's SecretStr is accepted as well as ours.
Secret: TypeAlias = str | _HasSecret

_BY_VALUE = {permission.value: permission for permission in Permission}


def parse_permissions(values: Iterable[str]) -> list[Permission | UnlistedPermission]:
    """Check permissions and drop repetitions; raise TypeError or ValueError for an invalid value."""
    if isinstance(values, (str, Mapping)) or not isinstance(values, Iterable):
        raise TypeError(f"permissions must be a list of Permission or str, as ['fax'], not {type(values).__name__}")
    parsed = list(dict.fromkeys(map(_parse_permission, values)))
    if not parsed:
        raise ValueError(f"permissions is empty, name at least one of: {', '.join(Permission)}")
    return parsed


def _parse_permission(value: object) -> Permission | UnlistedPermission:
    if isinstance(value, (Permission, UnlistedPermission)):
        return value
    if not isinstance(value, str):
        raise TypeError(f"permissions must be a list of Permission or str, with no {type(value).__name__} in it")
    if known := _BY_VALUE.get(value):
        return known
    import difflib  # noqa: PLC0415

    near = difflib.get_close_matches(value.strip().lower(), [*Permission, *DASHBOARD_NAMES], n=1)
    hint = f"did you mean {DASHBOARD_NAMES.get(near[0], str(near[0]))!r}? " if near else ""
    # A longer value is not repeated, as it may be a secret.
    said = f" {value!r}" if len(value) <= 24 else ""
    error = ValueError(f"unknown permission{said}: {hint}Valid are: {', '.join(Permission)}.")
    error.add_note("UnlistedPermission(...) sends one that the service has and this list lacks")
    raise error
