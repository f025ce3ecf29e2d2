"""Mint and store, rotate, discard: coroutines that both clients share."""

from __future__ import annotations

import inspect
import logging
import os
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from . import _operations
from ._sending import run, tell
from .errors import NotFoundError, RotationError, SignalWireError
from .models import ApiToken

if TYPE_CHECKING:
    from types import TracebackType

    from ._operations import Call
    from ._sending import Sender

Store: TypeAlias = Callable[[ApiToken], object]


async def create(
    sender: Sender, new: Call[ApiToken], store: Store | None, *, old: str = "", awaits: bool = True
) -> ApiToken:
    """Mint a token and let `store` persist it, as one step: what cannot be stored is deleted. `old`: what it replaces."""
    if store is not None and not callable(store):
        raise TypeError(f"store must be a function that takes the new token, not {type(store).__name__}")
    if not awaits and inspect.iscoroutinefunction(store):
        raise TypeError("store is a coroutine function; AsyncProjectTokens awaits it")
    process, created = os.getpid(), None
    stays = f", and the old {old} stays" if old else ""
    try:
        created = await sender.call(new)
        stored = store(created) if store else None
        if inspect.isawaitable(stored):
            await sender.settle(stored)
    except BaseException as failure:
        if created is None:
            raise
        if isinstance(failure, Exception):
            await discard(sender, created, process, failure, "store")
            tell(logging.INFO, f"the new token {created.id} was deleted again{stays}", new, created, leaving=failure)
        else:
            # What is stored must work, and nobody knows whether it is this one.
            cut = f"interrupted by {type(failure).__name__}: the new token {created.id} exists and may be stored{stays}"
            tell(logging.ERROR, f"{cut}; delete what is not in use", new, created, leaving=failure)
        raise
    return created


async def rotate(
    sender: Sender, old: Call[None], new: Call[ApiToken], store: Store, *, awaits: bool = True
) -> ApiToken:
    """Mint a token, let `store` persist it, and delete the old one."""
    if store is None:
        raise TypeError("store must be a function that takes the new token, not NoneType")
    created = await create(sender, new, store, old=f"token {old.token_id}", awaits=awaits)
    try:
        await sender.call(old)
    except BaseException as failure:
        state = f"the old token {old.token_id} may still exist, delete it: {type(failure).__name__}: {failure}"
        if isinstance(failure, NotFoundError):
            state = (
                f"there is no token {old.token_id}: it was deleted before, or the ID is wrong and the one meant "
                "still exists"
            )
        problem = f"rotate failed: token {created.id} is stored and works, but {state}"
        leaving = None if isinstance(failure, SignalWireError) else failure
        tell(logging.ERROR, problem, old, created, leaving=leaving)
        if leaving:
            raise
        ids = {"new_token_id": created.id, "old_token_id": old.token_id}
        raise RotationError(problem, operation="rotate", **ids) from failure
    return created


async def discard(sender: Sender, token: ApiToken, process: int, leaving: BaseException | None, what: str) -> None:
    """Delete a token that nobody needs, in the midst of a cancellation too; if that fails, one error says all.

    `leaving` is what ended the store or the block; `what` names which. A child of fork deletes nothing of its parent's.
    """
    if process != os.getpid():
        return
    deletion = _operations.delete(token.id, missing_ok=True)
    try:
        with sender.shield():
            await sender.call(deletion)
    except BaseException as failure:
        ended = f"{what} failed with {type(leaving).__name__}, and then " if isinstance(leaving, Exception) else ""
        text = f"token {token.id} may still exist, delete it: {ended}{str(failure) or type(failure).__name__}"
        interrupting = next((e for e in (failure, leaving) if not isinstance(e, Exception | None)), None)
        tell(logging.ERROR, text, deletion, token, leaving=interrupting)
        # An interruption goes on; before any other error goes that a token exists.
        if isinstance(failure, SignalWireError) and interrupting is None:
            failure.may_have_applied = True
            failure.args = (text,)
        if interrupting is None or interrupting is failure:
            raise


class _Temporary:
    """A token for the time of a block."""

    def __init__(self, sender: Sender, new: Call[ApiToken]) -> None:
        self._sender = sender
        self._new = new

    async def _enter(self) -> ApiToken:
        self._process = os.getpid()
        self._token = token = await self._sender.call(self._new)
        # An interruption at the very end of a block, or a thread that ends with the process, leaves no time to delete.
        self._net = weakref.finalize(self, _warn, self._new, token, self._process)
        return token

    async def _leave(self, leaving: BaseException | None) -> None:
        try:
            await discard(self._sender, self._token, self._process, leaving, "the block")
        except SignalWireError:
            self._net.detach()
            raise
        self._net.detach()


def _warn(new: Call[ApiToken], token: ApiToken, process: int) -> None:
    if process == os.getpid():
        text = f"token {token.id} may still exist, delete it: its block was left without a deletion"
        tell(logging.ERROR, text, new, token)


class Temporary(_Temporary):
    """A context manager that deletes its token on every way out."""

    def __enter__(self) -> ApiToken:
        return run(self._enter())

    def __exit__(self, kind: object, leaving: BaseException | None, frames: TracebackType | None) -> None:
        run(self._leave(leaving))


class AsyncTemporary(_Temporary):
    """The same, awaited."""

    async def __aenter__(self) -> ApiToken:
        return await self._enter()

    async def __aexit__(self, kind: object, leaving: BaseException | None, frames: TracebackType | None) -> None:
        await self._leave(leaving)
