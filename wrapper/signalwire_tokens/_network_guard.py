"""Keep what a test connects to on this machine.

An audit hook sees all sockets of Python, whoever opens them and whatever has replaced their methods. It cannot be
removed, so it is added once, when it is first needed, and heeds the guards that are active. What it sees too late or
not at all is refused by methods that are replaced meanwhile: a socket looks names up before it tells of them, and
uvloop opens sockets of its own.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import ipaddress
import socket
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

_HERE = {"", "localhost", "ip6-localhost", "ip6-loopback"}

# The hosts that each active guard lets a test reach.
_guards: list[frozenset[str]] = []


@contextlib.contextmanager
def guard(allowed: Iterable[str]) -> Iterator[None]:
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
    """Yield a host as it is written, and its addresses: those are what is connected to."""
    yield _normal(host)
    # One that has none now is refused by its addresses later.
    with contextlib.suppress(OSError):
        for *_, address in socket.getaddrinfo(host, None):
            yield _normal(str(address[0]))


@functools.cache
def _add_hook() -> None:
    sys.addaudithook(_heed)


def _heed(event: str, args: tuple[Any, ...]) -> None:
    if _guards and event in _EVENTS:
        _EVENTS[event](*args)


# The events of going out. Names count: asking a name server is going out already.
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
    # Other families, such as Unix sockets, stay on this machine; what is connected sends without an address.
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
    """Yield the classes whose methods are replaced, and for each method what finds the address in its arguments."""
    yield (
        socket.socket,
        {
            "connect": lambda address: address,
            "connect_ex": lambda address: address,
            "sendto": lambda _data, *flags_and_address: flags_and_address[-1],
            "sendmsg": lambda _buffers, _ancillary=(), _flags=0, address=None: address,
        },
    )
    # Where it is installed, also for what imports it later.
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
            # One that others still call after its time is of no effect. What does not fit is refused by Python.
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
            # Not what somebody else has put there meanwhile.
            if vars(owner).get(name) is method:
                setattr(owner, name, before[name]) if name in before else delattr(owner, name)
