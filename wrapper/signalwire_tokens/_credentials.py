"""The space, the project and the API token: from arguments, else from the environment."""

from __future__ import annotations

import base64
import ipaddress
import os
import re
from typing import Any
from uuid import UUID

import attrs
import httpx

from .errors import ConfigurationError
from .models import SecretStr

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_URL = re.compile(rf"(?:https?://)?(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9A-Fa-f:.]+\])(?::[0-9]{{1,5}})?/?")


@attrs.frozen
class Credentials:
    """Where requests go, and the Authorization header they carry there and nowhere else."""

    origin: str
    project_id: str
    authorization: SecretStr


class _Masked(SecretStr):
    """A value that may be of a wrong type, masked all the same."""

    __slots__ = ()

    def __init__(self, value: Any) -> None:
        self._value = value


def masked(*values: object) -> list[SecretStr | None]:
    """Mask what was given, whatever it is: `resolve` refuses what is no string."""
    return [value if value is None or isinstance(value, SecretStr) else _Masked(value) for value in values]


def resolve(space: SecretStr | None, project_id: SecretStr | None, api_token: SecretStr | None) -> Credentials:
    """Fill what is None from the environment and check it all; raise ConfigurationError for what is amiss.

    All three come masked, as people mix them up, and no message repeats what was given.
    """
    origin = _origin(_value("space", "SIGNALWIRE_SPACE", space))
    if origin is None:
        raise ConfigurationError(
            "space (or SIGNALWIRE_SPACE) is no space: expected a name such as example, a host such as "
            "example.signalwire.com, or an https:// URL without user info, path and query (http:// for loopback only)"
        )
    user = _value("project_id", "SIGNALWIRE_PROJECT_ID", project_id)
    password = _value("api_token", "SIGNALWIRE_API_TOKEN", api_token)
    if ":" in user.get_secret_value():
        raise ConfigurationError("project_id (or SIGNALWIRE_PROJECT_ID) has a colon; expected the project's UUID")
    pair = f"{user.get_secret_value()}:{password.get_secret_value()}".encode()
    try:
        shown = str(UUID(user.get_secret_value()))
    except ValueError:
        # People swap the project ID and the API token.
        shown = str(user)
    return Credentials(origin, shown, SecretStr(f"Basic {base64.b64encode(pair).decode()}"))


def _value(argument: str, variable: str, given: SecretStr | None) -> SecretStr:
    source = f"the environment variable {variable}" if given is None else f"the argument {argument}"
    if given is None:
        if variable not in os.environ:
            raise ConfigurationError(f"{argument} is missing: pass it, or set the environment variable {variable}")
        given = SecretStr(os.environ[variable])
    if not isinstance(given.get_secret_value(), str):
        raise TypeError(f"{argument} must be a str, not {type(given.get_secret_value()).__name__}")
    if not given:
        raise ConfigurationError(f"{source} is empty: give {argument} a value, or set {variable}")
    if not re.fullmatch(r"[!-~]+", given.get_secret_value()):
        raise ConfigurationError(
            f"{source} has white space or characters other than ASCII; was a line end copied into {argument} (or "
            f"{variable})?"
        )
    return given


def _origin(given: SecretStr) -> str | None:
    # Raises nothing, as this frame holds the space unmasked, and with it what it was mixed up with.
    space = given.get_secret_value()
    if re.fullmatch(_LABEL, space):
        return f"https://{space}.signalwire.com"
    try:
        url = httpx.URL(space if "://" in space else f"https://{space}")
        local = url.host == "localhost" or (url.scheme == "http" and ipaddress.ip_address(url.host).is_loopback)
    except (httpx.InvalidURL, ValueError):
        return None
    allowed = _URL.fullmatch(space) and (url.scheme == "https" or local) and (url.port or 0) < 65536
    return str(url).rstrip("/") if allowed else None
