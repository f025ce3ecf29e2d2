"""A token as text: for the shell, for a file, and for people."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from .stores import StoreError

if TYPE_CHECKING:
    from signalwire_tokens import ApiToken

# Characters that a shell, docker --env-file and GITHUB_ENV read alike; each has other rules for quotes.
_PLAIN = re.compile(r"[][A-Za-z0-9_@%+=:,./-]*")
_AN_ID = rb"""\s*["']?([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})"""
_HELD_ID = re.compile(rb'(?:SIGNALWIRE_API_TOKEN_ID=|"id":)' + _AN_ID, re.IGNORECASE)
_ASSIGNED = re.compile(rb"^\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)=", re.MULTILINE)
_OURS = {"SIGNALWIRE_API_TOKEN_ID", "SIGNALWIRE_SPACE", "SIGNALWIRE_PROJECT_ID", "SIGNALWIRE_API_TOKEN"}
_OURS |= {"space", "project_id", "id", "name", "permissions", "token"}
_HELD_PROJECT = re.compile(rb'(?:SIGNALWIRE_PROJECT_ID=|"project_id":)' + _AN_ID, re.IGNORECASE)


def access_to(token: ApiToken, subproject: UUID | None) -> dict[str, str]:
    """Return the variables that SignalWire's SDKs read."""
    return {
        "SIGNALWIRE_SPACE": _host(os.environ["SIGNALWIRE_SPACE"]),
        "SIGNALWIRE_PROJECT_ID": project(subproject),
        "SIGNALWIRE_API_TOKEN": token.token.get_secret_value(),
    }


def project(subproject: UUID | None) -> str:
    """Return the ID of the project that a token is for; an empty string if it is not set."""
    return str(subproject or os.environ.get("SIGNALWIRE_PROJECT_ID", ""))


def _host(space: str) -> str:
    """Return the host of a space. For its name, SignalWire's SDKs would send the credentials to another host."""
    host = space.removeprefix("https://").removesuffix("/")
    if not re.search("[.:]", space):
        return f"{host.lower()}.signalwire.com"
    # Without a dot or a port, this library would take it for a name.
    return host if re.search("[.:]", host) else space


def renderer(form: str, subproject: UUID | None) -> Callable[[ApiToken], bytes]:
    def render(token: ApiToken) -> bytes:
        access = access_to(token, subproject)
        space, project, secret = access.values()
        if form == "json":
            return as_json({"space": space, "project_id": project, **described(token), "token": secret})
        if form == "env":
            lines = {"SIGNALWIRE_API_TOKEN_ID": str(token.id), **access}
            for name, value in lines.items():
                if not _PLAIN.fullmatch(value):
                    raise StoreError(f"{name} has characters that not all readers of KEY=VALUE lines read alike")
            return "".join(f"{name}={value}\n" for name, value in lines.items()).encode()
        return secret.encode()

    return render


def described(token: ApiToken) -> dict[str, Any]:
    return {"id": str(token.id), "name": token.name, "permissions": list(token.permissions)}


def as_json(described: dict[str, Any]) -> bytes:
    return json.dumps(described).encode() + b"\n"


def shown(token: ApiToken, subproject: UUID | None = None) -> str:
    permissions = ", ".join(name if name.isprintable() else repr(name) for name in token.permissions)
    of = f", subproject {subproject}" if subproject else ""
    return f"token {token.id}, name {token.name!r}, permissions {permissions}{of}"


class Held(NamedTuple):
    """What an env or json file holds: the IDs of tokens and of their projects, and whether there is more in it."""

    form: str
    tokens: list[str]
    projects: list[str]
    more: bool


def held(content: bytes) -> Held:
    tokens, projects = ([each.decode().lower() for each in kind.findall(content)] for kind in (_HELD_ID, _HELD_PROJECT))
    form, names = "env", [name.decode() for name in _ASSIGNED.findall(content)]
    if b"SIGNALWIRE_API_TOKEN_ID=" not in content:
        form, names = "json", ["no single object"]
        with contextlib.suppress(ValueError, RecursionError):
            parsed = json.loads(content)
            names = [*parsed] if isinstance(parsed, dict) else names
    return Held(form, tokens, projects, len(tokens) > 1 or not _OURS.issuperset(names))
