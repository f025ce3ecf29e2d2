"""The same cases for every client: each test gets `connect`, which yields a client whose calls are plain calls."""

import contextlib
import io
import os
import runpy
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal

from signalwire_tokens import AsyncProjectTokens, ProjectTokens
from signalwire_tokens.testing import FakeSpace


class Plain:
    """An AsyncProjectTokens whose methods are called without await, in an event loop of its own."""

    def __init__(self, client: AsyncProjectTokens, portal: BlockingPortal) -> None:
        self.client = client
        self._portal = portal

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self.client, {"close": "aclose"}.get(name, name))
        return lambda *args, **kwargs: self._portal.call(lambda: method(*args, **kwargs))

    def __repr__(self) -> str:
        return repr(self.client)


class Flavour:
    """One way to call the service: sync, or async on one of the event loops that httpx knows."""

    def __init__(self, name: str) -> None:
        self.name = name

    @contextlib.contextmanager
    def connect(self, *args: Any, **kwargs: Any) -> Iterator[Any]:
        """Open a client with these arguments. Calls are sent once, unless `max_retries` says otherwise."""
        kwargs = {"max_retries": 0, **kwargs}
        if self.name == "sync":
            with ProjectTokens(*args, **kwargs) as tokens:
                yield tokens
        else:
            with start_blocking_portal(self.name) as portal:
                tokens = portal.call(lambda: AsyncProjectTokens(*args, **kwargs))
                with portal.wrap_async_context_manager(tokens) as entered:
                    yield Plain(entered, portal)

    def on(self, space: FakeSpace, **kwargs: Any) -> AbstractContextManager[Any]:
        """Open a client on a fake space in this process."""
        return self.connect(
            "example",
            space.project_id,
            space.api_token,
            transport=space.transport,
            **kwargs,
        )

    def answering(
        self, respond: Callable[[httpx.Request], httpx.Response], **kwargs: Any
    ) -> AbstractContextManager[Any]:
        """Open a client that `respond` answers."""
        return self.connect("example", "project", "the-api-token", transport=httpx.MockTransport(respond), **kwargs)


@pytest.fixture(params=["sync", "asyncio", "trio"])
def flavour(request: pytest.FixtureRequest) -> Flavour:
    return Flavour(request.param)


@pytest.fixture
def space() -> FakeSpace:
    return FakeSpace()


@pytest.fixture
def environment(space: FakeSpace) -> Iterator[dict[str, str]]:
    """What a process needs in its environment to find the space, which is served."""
    with space.serve() as url:
        yield {
            **os.environ,
            "SIGNALWIRE_SPACE": url,
            "SIGNALWIRE_PROJECT_ID": space.project_id,
            "SIGNALWIRE_API_TOKEN": space.api_token.get_secret_value(),
        }


@pytest.fixture
def program(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a Python file as a program in this process, as starting another takes half a second."""

    def program(
        file: Path,
        *arguments: str,
        env: dict[str, str] | None = None,
        input: str = "",  # noqa: A002 - as of subprocess.run
    ) -> subprocess.CompletedProcess[str]:
        before, known, code = dict(os.environ), {*sys.modules}, 0
        with monkeypatch.context() as patched:
            os.environ.update(env or {})
            patched.setattr(sys, "argv", [str(file), *arguments])
            patched.setattr(sys, "stdin", io.StringIO(input))
            patched.syspath_prepend(file.parent)
            capfd.readouterr()
            try:
                runpy.run_path(str(file), run_name="__main__")
            except SystemExit as leaving:
                code = leaving.code or 0
            finally:
                os.environ.clear()
                os.environ.update(before)
                # The next program imports its neighbours anew.
                for name in {*sys.modules} - known:
                    if Path(getattr(sys.modules[name], "__file__", None) or "").parent == file.parent:
                        del sys.modules[name]
            output, errors = capfd.readouterr()
        if isinstance(code, str):
            code, errors = 1, f"{errors}{code}\n"
        return subprocess.CompletedProcess([str(file), *arguments], code, output, errors)

    return program


@pytest.fixture
def tokens(flavour: Flavour, space: FakeSpace) -> Iterator[Any]:
    with flavour.on(space) as client:
        yield client


@pytest.fixture(scope="module")
def free_port() -> Iterator[int]:
    """A TCP port of the loopback interface that nobody listens on.

    It stays bound: no server in another process may be given it and hear what these tests send. A server that these
    tests start can listen on it, with SO_REUSEADDR, as most servers do; not on macOS, where it is let go.
    """
    with socket.socket() as kept:
        kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        kept.bind(("127.0.0.1", 0))
        port = kept.getsockname()[1]
        if sys.platform == "darwin":
            kept.close()
        yield port


@pytest.fixture(autouse=True)
def no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep a developer's own credentials out of the tests."""
    for name in ("SIGNALWIRE_SPACE", "SIGNALWIRE_PROJECT_ID", "SIGNALWIRE_API_TOKEN"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True, scope="session")
def heeded_signals() -> None:
    """Heed the signals that tests send, in this process and its children: in the background, shells ignore them."""
    for number in (number for number in signal.Signals if number.name in {"SIGINT", "SIGQUIT", "SIGHUP"}):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
