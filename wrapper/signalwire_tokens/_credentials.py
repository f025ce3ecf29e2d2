"""The space, the project and the API token: from arguments, else from the environment."""

from __future__ import annotations

import base64
import ipaddress
import os
import re
from uuid import UUID

import attrs
import httpx

from .errors import ConfigurationError
from .models import SecretStr

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST = rf"{_LABEL}(?:\.{_LABEL})*"
_URL = re.compile(rf"(?P<scheme>https?)://(?P<host>{_HOST}|\[[0-9A-Fa-f:.]+\])(?P<port>:[0-9]{{1,5}})?/?")


@attrs.frozen
class Credentials:
    """Where requests go, and the Authorization header they carry there and nowhere else."""

    origin: str
    project_id: str
    authorization: SecretStr


Masked = SecretStr | None


def masked(
    space: str | None, project_id: str | None, api_token: str | SecretStr | None
) -> tuple[Masked, Masked, Masked]:
    """Mask what was given, whatever it is: `resolve` refuses what is no string."""

    def mask(value: object) -> Masked:
        return value if value is None or isinstance(value, SecretStr) else _Given(value)

    return mask(space), mask(project_id), mask(api_token)


class _Given(SecretStr):
    """A value that may be of a wrong type, masked all the same."""

    __slots__ = ()

    def __init__(self, value: object) -> None:
        self._value = value  # type: ignore[assignment] # resolve refuses it


def resolve(space: Masked, project_id: Masked, api_token: Masked) -> Credentials:
    """Fill what is None from the environment and check it all; raise ConfigurationError for what is amiss.

    All three come masked, as people mix them up, and no message repeats what was given.
    """
    origin = _origin(_value("space", "SIGNALWIRE_SPACE", space))
    if isinstance(origin, ConfigurationError):
        raise origin
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


def _value(argument: str, variable: str, given: Masked) -> SecretStr:
    source = f"the argument {argument}" if given is not None else f"the environment variable {variable}"
    if given is None:
        if variable not in os.environ:
            raise ConfigurationError(f"{argument} is missing: pass it, or set the environment variable {variable}")
        given = SecretStr(os.environ[variable])
    if not isinstance(given.get_secret_value(), str):
        raise TypeError(f"{argument} must be a str, not {type(given.get_secret_value()).__name__}")
    if not given:
        raise ConfigurationError(f"{source} is empty: give {argument} a value, or set {variable}")
    if not given.get_secret_value().isascii() or any(c <= " " or c == "\x7f" for c in given.get_secret_value()):
        raise ConfigurationError(
            f"{source} has white space or characters other than ASCII; was a line end copied into "
            f"{argument} (or {variable})?"
        )
    return given


def _origin(given: SecretStr) -> str | ConfigurationError:
    # Returns its error, as this frame holds the space unmasked, and with it what it was mixed up with.
    space = given.get_secret_value()
    if re.fullmatch(_LABEL, space):
        return f"https://{space}.signalwire.com"
    url = _URL.fullmatch(space if "://" in space else f"https://{space}")
    if url is None or int((url["port"] or ":0")[1:]) > 65535:
        return ConfigurationError(
            "space (or SIGNALWIRE_SPACE) is no space: expected a name such as example, a host such as "
            "example.signalwire.com, or an https:// URL without user info, path and query"
        )
    if url["scheme"] == "http" and not is_loopback(url["host"]):
        return ConfigurationError("space (or SIGNALWIRE_SPACE) must use https://; http:// is for loopback hosts only")
    try:
        return str(httpx.URL(url[0].rstrip("/")))
    except httpx.InvalidURL:
        return ConfigurationError("space (or SIGNALWIRE_SPACE) names no valid host or address")


def is_loopback(host: str) -> bool:
    """Tell whether `host`, a name or an address, can only be this machine."""
    try:
        return host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
