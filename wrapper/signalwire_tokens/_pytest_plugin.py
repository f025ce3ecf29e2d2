"""The pytest fixture `signalwire_space`, and the guard that keeps a test's connections on this machine.

Every pytest run loads this, so nothing big is imported until it is used.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import ipaddress
import socket
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .testing import FakeSpace

_NAME = "signalwire_allow_hosts"
_HELP = "hosts, by name or address, that a test with the fixture signalwire_space may reach beyond this machine"
_SPACE = pytest.StashKey["FakeSpace"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addini(_NAME, _HELP, type="linelist")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", f"{_NAME}(*hosts): {_HELP}")


@pytest.hookimpl(trylast=True)
def pytest_runtest_call(item: pytest.Item) -> None:
    # This runs after the test itself, unless the test failed.
    space = item.stash.get(_SPACE, None)
    if space is not None and space.unused_faults:
        pytest.fail(
            f"{space.unused_faults} of the faults scripted by signalwire_space.fail_next() met no request; where that "
            "is intended, end the test with signalwire_space.clear_faults()",
            pytrace=False,
        )


@pytest.fixture
def _signalwire_guard(request: pytest.FixtureRequest) -> Iterator[None]:
    """Refuse connections beyond this machine, except to hosts that are allowed."""
    allowed = list(request.config.getini(_NAME))
    for marker in request.node.iter_markers(_NAME):
        allowed += marker.args
    with _guard(allowed):
        yield


@pytest.fixture
def signalwire_space(
    request: pytest.FixtureRequest,
    _signalwire_guard: None,  # before the next, so that a test's own patches are undone before the guard is
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[FakeSpace]:
    """Serve a fresh FakeSpace that `ProjectTokens()` finds by the environment; refuse connections beyond the machine.

    `signalwire_space.tokens` holds the tokens that exist, and `signalwire_space.requests` the requests received.
    `signalwire_space.fail_next()` scripts a fault; a fault that meets no request fails the test. The setting and the
    marker `signalwire_allow_hosts` let a test reach other hosts, such as that of a database.

    Example:
        >>> def test_deploy(signalwire_space):
        ...     deploy()
        ...     assert [token.name for token in signalwire_space.tokens.values()] == ["ci-deploy"]
    """
    # Imported here, so that a run without this fixture does not wait for it.
    from .testing import FakeSpace  # noqa: PLC0415

    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        # A proxy on this machine would carry requests beyond it.
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    space = request.node.stash[_SPACE] = FakeSpace()
    with space.serve() as url:
        monkeypatch.setenv("SIGNALWIRE_SPACE", url)
        monkeypatch.setenv("SIGNALWIRE_PROJECT_ID", space.project_id)
        monkeypatch.setenv("SIGNALWIRE_API_TOKEN", space.api_token.get_secret_value())
        yield space


# An audit hook sees all sockets of Python, whoever opens them and whatever has replaced their methods. It cannot be
# removed, so it is added once, when it is first needed, and checks the guards that are active. It is called too late
# where a socket resolves a name itself, and not at all for the sockets of uvloop. So while a guard is active, the
# methods that do this are replaced, too.

_HERE = {"", "localhost", "ip6-localhost", "ip6-loopback"}

# The hosts that each active guard lets a test reach.
_guards: list[frozenset[str]] = []


@contextlib.contextmanager
def _guard(allowed: Iterable[str]) -> Iterator[None]:
    """Refuse connections beyond this machine, except to hosts that are allowed, by name or address."""
    hosts = frozenset(found for host in allowed for found in _addresses(host))
    _add_hook()
    _guards.append(hosts)
    try:
        with contextlib.ExitStack() as stack:
            for owner, finders in _owners():
                stack.enter_context(_replaced(owner, finders))
            yield
    finally:
        _guards.remove(hosts)


def _addresses(host: str) -> Iterator[str]:
    """Yield a host as it is written, and its addresses, as connections are made to addresses."""
    yield _normal(host)
    # If the name cannot be resolved now, connections to its addresses are refused later.
    with contextlib.suppress(OSError):
        for *_, address in socket.getaddrinfo(host, None):
            yield _normal(str(address[0]))


@functools.cache
def _add_hook() -> None:
    sys.addaudithook(_heed)


def _heed(event: str, args: tuple[Any, ...]) -> None:
    if _guards and event in _EVENTS:
        _EVENTS[event](*args)


# The events of an outgoing connection. Looking up a name is one, as it asks a name server.
_EVENTS: dict[str, Callable[..., None]] = {
    "socket.connect": lambda this, address: _heed_address(address, this.family),
    "socket.sendto": lambda this, address: _heed_address(address, this.family),
    "socket.sendmsg": lambda this, address: _heed_address(address, this.family),
    "socket.getaddrinfo": lambda host, *_: _refuse_beyond(host),
    "socket.gethostbyname": lambda host, *_: _refuse_beyond(host),
    "socket.gethostbyaddr": lambda host, *_: _refuse_beyond(host),
}
# For coverage: Python does not trace a hook otherwise.
_heed.__cantrace__ = True  # type: ignore[attr-defined]


def _heed_address(address: object, family: int) -> None:
    # Other families, such as Unix sockets, stay on this machine; a connected socket sends without an address.
    if isinstance(address, tuple) and address and family in {socket.AF_INET, socket.AF_INET6}:
        _refuse_beyond(address[0])


def _refuse_beyond(host: object) -> None:
    if isinstance(host, (bytes, bytearray)):
        host = host.decode(errors="replace")
    # None is this machine, and Python refuses other types by itself.
    if not isinstance(host, str) or _is_here(_normal(host)):
        return
    if not all(_normal(host) in allowed for allowed in _guards):
        raise ConnectionRefusedError(
            f"the fixture signalwire_space lets nothing leave this machine: {host} was refused; the setting or the "
            "marker signalwire_allow_hosts lets a test reach a host"
        )


def _normal(host: str) -> str:
    name = host.lower().removesuffix(".")
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return name
    return str(getattr(address, "ipv4_mapped", None) or address)


def _is_here(name: str) -> bool:
    with contextlib.suppress(ValueError):
        address = ipaddress.ip_address(name)
        return address.is_loopback or address.is_unspecified
    return name in _HERE


def _owners() -> Iterator[tuple[type, dict[str, Callable[..., object]]]]:
    """Yield the classes whose methods are replaced, and for each method a function that finds the address."""
    yield (
        socket.socket,
        {
            "connect": lambda address: address,
            "connect_ex": lambda address: address,
            "sendto": lambda _data, *flags_and_address: flags_and_address[-1],
            "sendmsg": lambda _buffers, _ancillary=(), _flags=0, address=None: address,
        },
    )
    # If it is installed; code that imports it later is guarded, too.
    with contextlib.suppress(ImportError):
        yield (
            importlib.import_module("uvloop").Loop,
            {
                "create_connection": lambda _protocol, host=None, *_, **__: (host,),
                "create_datagram_endpoint": lambda _protocol, _local_addr=None, remote_addr=None, **__: remote_addr,
                "getaddrinfo": lambda host, *_, **__: (host,),
            },
        )


@contextlib.contextmanager
def _replaced(owner: type, finders: dict[str, Callable[..., object]]) -> Iterator[None]:
    def guarded(original: Callable[..., Any], find: Callable[..., object]) -> Callable[..., Any]:
        @functools.wraps(original)
        def call(this: Any, *args: Any, **kwargs: Any) -> Any:
            # If others still call this after the guard has ended, it refuses nothing. Python refuses wrong arguments.
            with contextlib.suppress(TypeError, LookupError):
                _heed_address(find(*args, **kwargs), getattr(this, "family", socket.AF_INET))
            return original(this, *args, **kwargs)

        return call

    before = dict(vars(owner))
    ours = {name: guarded(getattr(owner, name), find) for name, find in finders.items()}
    for name, method in ours.items():
        setattr(owner, name, method)
    try:
        yield
    finally:
        for name, method in ours.items():
            # A method that somebody else has put there meanwhile stays.
            if vars(owner).get(name) is method:
                setattr(owner, name, before[name]) if name in before else delattr(owner, name)
