"""The space, the project and the API token: from arguments, else from the environment."""

from __future__ import annotations

import base64
import ipaddress
import json
import os
import re
from typing import Any, NamedTuple
from uuid import UUID

import httpx

from .errors import ConfigurationError
from .models import SecretStr

# The arguments, each with the environment variable that stands in for it.
VARIABLES = {name: f"SIGNALWIRE_{name.upper()}" for name in ("space", "project_id", "api_token")}
NO_SPACE = (
    "space (or SIGNALWIRE_SPACE) is no space: expected a name such as example, a host such as example.signalwire.com, "
    "or an https:// URL without user info, path and query (http:// for loopback only); the order of the arguments is "
    "space, project_id, api_token"
)
LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
SPACE = rf"(?:https?://)?(?:{LABEL}(?:\.{LABEL})*|\[[0-9A-Fa-f:.]+\])(?::[0-9]{{1,5}})?/?"


class Credentials(NamedTuple):
    """Where requests go, the Authorization header they carry there and nowhere else, and what no text may show."""

    origin: str
    project_id: str
    authorization: SecretStr
    hidden: tuple[SecretStr, ...]


Masked = SecretStr | type | None


def masked(*given: object) -> list[Masked]:
    """Mask what was given; of what is neither a string nor a UUID keep the type, for `resolve` to refuse."""
    return [v if v is None else _masked(v) for v in given]


def _masked(value: Any) -> SecretStr | type:
    if hasattr(value, "get_secret_value"):
        value = value.get_secret_value()
    return SecretStr(str(value)) if isinstance(value, (str, UUID)) else type(value)


def resolve(*given: Masked) -> Credentials:
    """Fill what is None from the environment and check it all; raise ConfigurationError for what is amiss.

    Space, project and token come masked, as people mix them up, and no message repeats what was given.
    """
    asked = [name for name, value in zip(VARIABLES, given, strict=True) if value is None]
    if missing := [name for name in asked if VARIABLES[name] not in os.environ]:
        named = f"{', '.join(missing)}: set {', '.join(VARIABLES[name] for name in missing)}"
        raise ConfigurationError(f"no value for {named} in the environment or, in Python, pass it to the client")
    space, user, password = map(_value, VARIABLES, given)
    origin = _origin(space)
    if origin is None:
        raise ConfigurationError(NO_SPACE)
    if ":" in user.get_secret_value():
        raise ConfigurationError("project_id (or SIGNALWIRE_PROJECT_ID) has a colon; expected the project's UUID")
    pair = f"{user.get_secret_value()}:{password.get_secret_value()}"
    encoded = base64.b64encode(pair.encode()).decode()
    escaped = json.dumps(password.get_secret_value())[1:-1]
    try:
        shown = str(UUID(user.get_secret_value()))
    except ValueError:
        # People swap the project ID and the API token.
        shown = str(user)
    # A part of one must not be masked before the whole; and what is as short as a word is no token.
    hidden = [f"Basic {encoded}", encoded, encoded.rstrip("="), pair, escaped, password.get_secret_value()]
    return Credentials(origin, shown, SecretStr(f"Basic {encoded}"), tuple(SecretStr(h) for h in hidden if len(h) > 7))


def _value(argument: str, given: Masked) -> SecretStr:
    variable = VARIABLES[argument]
    source = f"the environment variable {variable}" if given is None else f"the argument {argument}"
    if given is None:
        given = SecretStr(os.environ[variable])
    if isinstance(given, type):
        raise TypeError(f"{argument} must be a str, not {given.__name__}")
    if not given:
        raise ConfigurationError(f"{source} is empty: give {argument} a value, or set {variable}")
    if given.get_secret_value() == str(given):
        raise ConfigurationError(f"{source} is the mask that a SecretStr shows; use its get_secret_value()")
    if not re.fullmatch("[!-~]+", given.get_secret_value()):
        copied = f"was a line end copied into {argument} (or {variable})?"
        raise ConfigurationError(f"{source} has white space or characters other than ASCII; {copied}")
    return given


def _origin(given: SecretStr) -> str | None:
    # Raises nothing, as this frame holds the space unmasked, and with it what it was mixed up with.
    space = given.get_secret_value()
    if re.fullmatch(LABEL, space):
        # A UUID or 40 characters are no name: they would carry a project ID or an API token into the DNS.
        mixed_up = re.fullmatch(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}|[0-9A-Za-z]{40,}", space)
        return None if mixed_up else f"https://{space}.signalwire.com"
    try:
        url = httpx.URL(space if "://" in space else f"https://{space}")
        safe = url.scheme == "https" or url.host == "localhost" or ipaddress.ip_address(url.host).is_loopback
    except (httpx.InvalidURL, ValueError):
        return None
    return str(url).rstrip("/") if safe and re.fullmatch(SPACE, space) and (url.port or 0) < 65536 else None
