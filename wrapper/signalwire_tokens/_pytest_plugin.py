"""The pytest fixture `signalwire_space`. Every pytest run loads this, so nothing big is imported until it is used."""

from __future__ import annotations

import ipaddress
import socket
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .testing import FakeSpace


@pytest.fixture
def signalwire_space(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSpace]:
    """Serve a fresh FakeSpace that `ProjectTokens()` finds by the environment, and let nothing leave this machine.

    `signalwire_space.tokens` is what lives, `signalwire_space.requests` what came, and `signalwire_space.fail_next()`
    scripts a fault.

    Example:
        >>> def test_deploy(signalwire_space):
        ...     deploy()
        ...     assert [token.name for token in signalwire_space.tokens.values()] == ["ci-deploy"]
    """
    from .testing import FakeSpace  # noqa: PLC0415 - a run that does not ask for it must not wait for httpx

    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        # A proxy on this machine would carry requests beyond it.
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    space = FakeSpace()
    with space.serve() as url:
        monkeypatch.setenv("SIGNALWIRE_SPACE", url)
        monkeypatch.setenv("SIGNALWIRE_PROJECT_ID", space.project_id)
        monkeypatch.setenv("SIGNALWIRE_API_TOKEN", space.api_token.get_secret_value())
        _stay_here(monkeypatch)
        yield space


def _stay_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse connections beyond this machine, and names too: asking a name server is going out already."""
    getaddrinfo = socket.getaddrinfo

    def guarded_getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
        _refuse_beyond(host)
        return getaddrinfo(host, *args, **kwargs)

    def guarded(connect: Any) -> Any:
        def connect_here(connecting: socket.socket, address: Any) -> Any:
            _refuse_beyond(_host(connecting, address))
            return connect(connecting, address)

        return connect_here

    monkeypatch.setattr(socket, "getaddrinfo", guarded_getaddrinfo)
    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, guarded(getattr(socket.socket, name)))


def _host(connecting: socket.socket, address: Any) -> Any:
    # Other families, such as Unix sockets, stay on this machine.
    return address[0] if connecting.family in {socket.AF_INET, socket.AF_INET6} else "localhost"


def _refuse_beyond(host: Any) -> None:
    name = host.decode() if isinstance(host, bytes) else host
    try:
        here = not name or name == "localhost" or _is_local(ipaddress.ip_address(name))
    except ValueError:
        here = False
    if not here:
        raise ConnectionRefusedError(
            f"the fixture signalwire_space lets nothing leave this machine: {name} was refused"
        )


def _is_local(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    return address.is_loopback or address.is_unspecified
