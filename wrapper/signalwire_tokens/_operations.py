"""The calls of the service as pure values: what to send, and how to read a success. Nothing here does I/O.

Nothing else calls `signalwire_rest`, so a rename upstream changes only this module.
"""

from typing import Any, Generic, NamedTuple, TypeVar, cast
from uuid import UUID

from signalwire_rest.answers import CREATE_TOKEN
from signalwire_rest.api.project_tokens import create_token, delete_token, update_token
from signalwire_rest.models import CreateTokenRequest, TokenResponse
from signalwire_rest.types import UNSET

from .models import ApiToken, Id, Permissions, SecretStr, UnlistedPermission, parse_permissions

T = TypeVar("T")


class Call(NamedTuple, Generic[T]):
    """One call: its operation, the token that it is about, and what to send. `T` is the type of its result."""

    operation: str
    request: dict[str, Any]
    token_id: UUID | None = None
    name: str | None = None
    missing_ok: bool = False

    def read(self, fields: Any) -> ApiToken:
        """Return the token in a success; raise AttributeError, KeyError, TypeError or ValueError if there is none."""
        # Required fields that are not read here come from an example: no token is lost because one of them is missing.
        response = TokenResponse.from_dict(CREATE_TOKEN[1] | {name: fields[name] for name in ApiToken.__match_args__})
        # Without a letter or a digit it is blank or a mask, and no secret. No token is minted without permissions.
        granted = isinstance(fields["permissions"], list) and (self.token_id or response.permissions)
        if not (granted and any(map(str.isalnum, response.token))):
            raise ValueError
        # Permissions from the service can be sent back as they are. ApiToken refuses one that is no string.
        permissions = (UnlistedPermission(p) if type(p) is str else cast("Any", p) for p in response.permissions)
        return ApiToken(response.id, response.name, tuple(permissions), SecretStr(response.token))


# The generated model is typed for the enum alone, but an UnlistedPermission works as well: hence Any, here and below.
def create(name: str, permissions: Permissions, subproject_id: Id | None) -> Call[ApiToken]:
    """Describe the minting of a token; raise TypeError or ValueError for an invalid argument."""
    granted: Any = parse_permissions(permissions)
    subproject = UNSET if subproject_id is None else _checked_id("subproject_id", subproject_id)
    request = CreateTokenRequest(name=_checked_name(name), permissions=granted, subproject_id=subproject)
    return Call("create", create_token._get_kwargs(body=request), name=name)


def update(token_id: Id, name: str | None, permissions: Permissions | None) -> Call[ApiToken]:
    """Describe a change of a token; raise TypeError or ValueError for an invalid argument."""
    # Imported here, as only an update needs it.
    from signalwire_rest.models import UpdateTokenRequest  # noqa: PLC0415

    if name is None and permissions is None:
        raise ValueError("nothing to change: give name, permissions or both")
    granted: Any = UNSET if permissions is None else parse_permissions(permissions)
    request = UpdateTokenRequest(name=UNSET if name is None else _checked_name(name), permissions=granted)
    token = _checked_id("token_id", token_id)
    return Call("update", update_token._get_kwargs(token, body=request), token, name)


def delete(token_id: Id, *, missing_ok: bool = False) -> Call[None]:
    """Describe the deletion of a token; raise TypeError or ValueError for an invalid ID."""
    token = _checked_id("token_id", token_id)
    return Call("delete", delete_token._get_kwargs(token), token, missing_ok=missing_ok)


def _checked_name(name: str) -> str:
    if not isinstance(name, str):
        raise TypeError(f"name must be a str, not {type(name).__name__}")
    if not name.strip():
        raise ValueError("name is blank; the service refuses a token without a name")
    if "\0" in name or name.encode(errors="ignore").decode() != name:
        raise ValueError("name has a NUL character or half of a surrogate pair; give text that UTF-8 can carry")
    return name


def _checked_id(argument: str, value: Id) -> UUID:
    """Return an ID as a UUID; raise TypeError or ValueError if it is none."""
    if not isinstance(value, (UUID, str)):
        raise TypeError(f"{argument} must be a UUID or a str, such as the id of a token, not {type(value).__name__}")
    try:
        return UUID(str(value))
    except ValueError:
        # The message does not repeat the value, which may be a secret by mistake.
        raise ValueError(f"{argument} is no UUID; expected an ID such as {UUID(int=0)}, not a secret") from None
