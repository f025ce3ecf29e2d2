"""The pytest fixture `signalwire_space`. Every pytest run loads this, so nothing big is imported until it is used."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

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
    # After the test itself, unless that failed.
    space = item.stash.get(_SPACE, None)
    if space is not None and space.unused_faults:
        pytest.fail(
            f"{space.unused_faults} of the faults scripted by signalwire_space.fail_next() met no request; where that "
            "is intended, end the test with signalwire_space.clear_faults()",
            pytrace=False,
        )


@pytest.fixture
def _signalwire_guard(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let nothing leave this machine."""
    # A run that does not ask for it must not wait for what it imports; nor below.
    from ._network_guard import guard  # noqa: PLC0415

    allowed = list(request.config.getini(_NAME))
    for marker in request.node.iter_markers(_NAME):
        allowed += marker.args
    with guard(allowed):
        yield


@pytest.fixture
def signalwire_space(
    request: pytest.FixtureRequest,
    _signalwire_guard: None,  # before the next, so that a test's own patches are undone before the guard is
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[FakeSpace]:
    """Serve a fresh FakeSpace that `ProjectTokens()` finds by the environment, and let nothing leave this machine.

    `signalwire_space.tokens` is what exists, `signalwire_space.requests` what came, and `signalwire_space.fail_next()`
    scripts a fault; a fault that meets no request fails the test. The setting and the marker `signalwire_allow_hosts`
    let a test reach other hosts, such as a database's.

    Example:
        >>> def test_deploy(signalwire_space):
        ...     deploy()
        ...     assert [token.name for token in signalwire_space.tokens.values()] == ["ci-deploy"]
    """
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
