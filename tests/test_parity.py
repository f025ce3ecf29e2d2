"""The two clients are one: the same methods, the same arguments, and documentation for both."""

import inspect
import re

import pytest

from signalwire_tokens import AsyncProjectTokens, ProjectTokens


def public_methods(client) -> dict:
    return {name: m for name, m in inspect.getmembers(client, inspect.isfunction) if not name.startswith("_")}


SYNC, ASYNC = public_methods(ProjectTokens), public_methods(AsyncProjectTokens)
PAIRS = [("close", "aclose") if name == "close" else (name, name) for name in SYNC]


def test_both_have_the_same_methods() -> None:
    assert len(SYNC) >= 6
    assert set(ASYNC) == {theirs for _, theirs in PAIRS}


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_a_method_takes_the_same_arguments_and_gives_the_same(ours, theirs) -> None:
    mine, other = inspect.signature(SYNC[ours]), inspect.signature(ASYNC[theirs])
    assert mine.parameters == other.parameters
    assert mine.return_annotation == other.return_annotation.replace("Async", "")
    assert inspect.iscoroutinefunction(inspect.unwrap(ASYNC[theirs])) or ours == "temporary"


def test_both_are_made_from_the_same_arguments() -> None:
    mine, other = inspect.signature(ProjectTokens), inspect.signature(AsyncProjectTokens)
    assert str(mine) == str(other).replace("AsyncBaseTransport", "BaseTransport")


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_a_method_of_either_is_documented(ours, theirs) -> None:
    mine, other = inspect.getdoc(SYNC[ours]), inspect.getdoc(ASYNC[theirs])
    # The async one says what it is and sends the reader to its sister, unless there is nothing more to say.
    assert other == mine or f"As `ProjectTokens.{ours}`" in other
    for name in set(inspect.signature(SYNC[ours]).parameters) - {"self"}:
        assert re.search(rf"\b{name}\b", mine) or "Arguments are those of `create`" in mine, name


@pytest.mark.parametrize("client", [ProjectTokens, AsyncProjectTokens])
def test_a_client_says_what_it_is_made_from(client) -> None:
    doc = inspect.getdoc(client)
    assert "Example:" in doc
    for name in inspect.signature(client).parameters:
        assert re.search(rf"\b{name}\b", doc) or "As `ProjectTokens`, awaited: see there" in doc, name
