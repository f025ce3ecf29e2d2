"""The space, the project and the API token: from arguments, else from the environment."""

import base64
import ipaddress
import json
import os
import re
from typing import Any
from uuid import UUID

import httpx

from .errors import ConfigurationError
from .models import SecretStr

# The arguments, each with the environment variable that is read if it is not given.
VARIABLES = {name: f"SIGNALWIRE_{name.upper()}" for name in ("space", "project_id", "api_token")}
NO_SPACE = (
    "space (or SIGNALWIRE_SPACE) is no space: expected example, example.signalwire.com or an https:// URL without user "
    "info, path and query (http:// for loopback only); the order of the arguments is space, project_id, api_token"
)
AN_ID = r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"
LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
SPACE = rf"(?:https?://)?(?:{LABEL}(?:\.{LABEL})*|\[[0-9A-Fa-f:.]+\])(?::[0-9]{{1,5}})?"


Masked = SecretStr | type | None


def masked(*given: Any) -> list[Masked]:
    """Mask the values. Keep only the type of one that is no string or UUID, so that `resolve` can refuse it."""
    plain = [v.get_secret_value() if hasattr(v, "get_secret_value") else v for v in given]
    return [SecretStr(str(v)) if isinstance(v, (str, UUID)) else None if v is None else type(v) for v in plain]


def resolve(*given: Masked) -> tuple[str, str, SecretStr, tuple[SecretStr, ...]]:
    """Return where requests go, the project's ID, the Authorization header, and what no text may show.

    Take a value that is None from the environment, and check all values; raise ConfigurationError or TypeError for a
    wrong one. Space, project and token are masked here, as people mix them up, and no message repeats a value.
    """
    asked = {name: variable for value, (name, variable) in zip(given, VARIABLES.items(), strict=True) if value is None}
    if missing := {name: variable for name, variable in asked.items() if variable not in os.environ}:
        named = f"{', '.join(missing)}: set {', '.join(missing.values())}"
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
    # Longer values come first: masking a part of one would leave the rest. A value as short as a word is no token.
    hidden = [f"Basic {encoded}", encoded, encoded.rstrip("="), pair, escaped, password.get_secret_value()]
    # Only a UUID is shown, as people swap the project ID and the API token.
    shown = user.get_secret_value() if re.fullmatch(AN_ID, user.get_secret_value()) else str(user)
    return origin, shown, SecretStr(f"Basic {encoded}"), tuple(SecretStr(h) for h in hidden if len(h) > 7)


def _value(argument: str, given: Masked) -> SecretStr:
    variable, source = VARIABLES[argument], f"the argument {argument}"
    if given is None:
        given, source = SecretStr(os.environ[variable]), f"the environment variable {variable}"
    if isinstance(given, type):
        raise TypeError(f"{argument} must be a str, not {given.__name__}")
    if not given:
        raise ConfigurationError(f"{source} is empty: give {argument} a value, or set {variable}")
    if given.get_secret_value() == str(given):
        raise ConfigurationError(f"{source} is the mask that a SecretStr shows; use its get_secret_value()")
    # `docker --env-file` keeps quotes, and the service would only say that the credentials are wrong.
    if not re.fullmatch("(?![\"'])[!-~]+", given.get_secret_value()):
        copied = f"was a quote or a line end copied into {argument} (or {variable})?"
        raise ConfigurationError(f"{source} has quotes, white space or characters other than ASCII; {copied}")
    return given


def _origin(given: SecretStr) -> str | None:
    # Raises nothing, as this frame holds the unmasked value, which may be an API token by mistake.
    space = given.get_secret_value().removesuffix("/")
    if re.fullmatch(LABEL, space):
        # A UUID or 40 characters without a hyphen are no name: a DNS lookup could expose a project ID or an API token.
        return None if re.fullmatch(rf"{AN_ID}|[^-]{{40,}}", space) else f"https://{space.lower()}.signalwire.com"
    try:
        url = httpx.URL(space if "://" in space else f"https://{space}")
        safe = url.scheme == "https" or url.host == "localhost" or ipaddress.ip_address(url.host).is_loopback
    except (httpx.InvalidURL, ValueError):
        return None
    return str(url) if safe and re.fullmatch(SPACE, space) and (url.port or 0) < 65536 else None
