"""Mint and store, rotate, discard: coroutines that both clients share."""

import inspect
import logging
import os
import weakref
from collections.abc import Callable
from typing import Any, NoReturn, TypeAlias

from . import _operations
from ._attempt import text_of
from ._sending import Sender, Transport, run, tell
from .errors import RotationError, SignalWireError
from .models import ApiToken, Id

Store: TypeAlias = Callable[[ApiToken], object]


async def _refused(stored: object) -> None:
    # Or Python warns that it was never awaited.
    getattr(stored, "close", bool)()
    raise TypeError("store returned an awaitable, so nothing is stored; AsyncProjectTokens awaits it")


async def _entered(_new: object) -> NoReturn:
    raise RuntimeError("each temporary() is for one block, and a block of this one has begun before; call it again")


class Rotating(Sender[Transport]):
    """What mints, stores and deletes in one step."""

    async def _create(self, new: _operations.Call[ApiToken], store: Store | None, stays: str = "") -> ApiToken:
        """Mint a token and let `store` persist it: what cannot be stored is deleted. `stays` names what it replaces."""
        # Only a rotation must have one.
        if not callable(store) and (store is not None or stays):
            raise TypeError(f"store must be a function that takes the new token, not {type(store).__name__}")
        if store is not None and (inspect.isgeneratorfunction(store) or inspect.isasyncgenfunction(store)):
            raise TypeError("store is a generator function, and to call one does nothing; it must not yield")
        if store is not None and not self._transports.awaits and inspect.iscoroutinefunction(store):
            raise TypeError("store is a coroutine function; AsyncProjectTokens awaits it")
        process, held = os.getpid(), None
        try:
            created = held = await self._call(new)
            try:
                if store is not None and inspect.isawaitable(stored := store(created)):
                    await (stored if self._transports.awaits else _refused(stored))
            except Exception as failure:
                # A child of fork that leaves the store of its parent has nothing to delete or to say.
                if process == os.getpid():
                    going, held = await self._discard(created, failure, "store"), None
                    if going:
                        raise going from failure
                    text = f"the new token {created.id} was deleted again{stays}"
                    # As of a deletion: an inventory would take a second `create` for a token that exists.
                    tell(logging.INFO, text, _operations.delete(created.id), leaving=failure)
                raise
        except BaseException as failure:
            # What is stored must work, and nobody knows whether it is this one.
            if held and process == os.getpid():
                text = f"interrupted by {type(failure).__name__}: the new token {held.id} exists and may be stored"
                tell(logging.ERROR, f"{text}{stays}; delete what is not in use", new, held, leaving=failure)
            raise
        return created

    async def _rotate(self, token_id: Id, new: _operations.Call[ApiToken], store: Store) -> ApiToken:
        """Mint a token, let `store` persist it, and delete the old one."""
        old = _operations.delete(token_id)
        token = await self._create(new, store, f", and the old token {old.token_id} stays")
        try:
            await self._call(old, begun=True)
        except BaseException as failure:
            text = f"rotate failed: token {token.id} is stored and works, but the old token {old.token_id} may still "
            text += f"exist, check that it is gone: {type(failure).__name__}: {text_of(failure)}"
            tell(logging.ERROR, text, old, leaving=None if isinstance(failure, SignalWireError) else failure)
            if not isinstance(failure, SignalWireError):
                raise
            raise RotationError(text, operation="rotate", new_token_id=token.id, old_token_id=old.token_id) from failure
        return token

    async def _discard(self, token: ApiToken, leaving: BaseException | None, what: str) -> BaseException | None:
        """Delete a token that nobody needs, in the midst of a cancellation too; if that fails, one error says all.

        `leaving` is what ended `what`, the store or the block. Return what is to be raised, once all is told.
        """
        deletion, going = _operations.delete(token.id, missing_ok=True), None
        try:
            with self._transports.shield():
                try:
                    await self._call(deletion, begun=True)
                except self._transports.cancellation() as cancellation:
                    # One of asyncio itself comes through a shield.
                    going = cancellation
                    await self._call(deletion, begun=True)
        except BaseException as failure:  # noqa: BLE001 - the caller raises it
            ended = f"{what} failed with {type(leaving).__name__}, and then " if isinstance(leaving, Exception) else ""
            text = f"token {token.id} may still exist, delete it: {ended}{text_of(failure) or type(failure).__name__}"
            # An interruption goes on; before any other error goes that a token exists.
            going = going or (None if isinstance(leaving, Exception) else leaving)
            going = going if isinstance(failure, SignalWireError) else failure
            tell(logging.ERROR, text, deletion, leaving=going, token_name=token.name)
            if going is None:
                going, failure.args = failure, (text,)
                vars(failure)["may_have_applied"] = True
        return going


class AsyncTemporary:
    """A token for the time of a block, deleted on every way out."""

    def __init__(self, new: _operations.Call[ApiToken], mint: Callable[..., Any], discard: Callable[..., Any]) -> None:
        self._new, self._mint, self._discard, self._held = new, mint, discard, list[tuple[int, ApiToken]]()
        # An interruption at an end of a block, or a thread that ends with the process, leaves no time to delete.
        weakref.finalize(self, _warn, new, self._held)

    async def __aenter__(self) -> ApiToken:
        mint, self._mint = self._mint, _entered
        self._held.append((os.getpid(), await mint(self._new)))
        return self._held[-1][1]

    async def __aexit__(self, _kind: object, leaving: BaseException | None, _frames: object) -> None:
        process, token = self._held[-1]
        # A child of fork that leaves its parent's block deletes nothing.
        going = await self._discard(token, leaving, "the block") if process == os.getpid() else None
        self._held.pop()
        if going and going is not leaving:
            raise going


class Temporary:
    """The same, not awaited."""

    def __init__(self, new: _operations.Call[ApiToken], mint: Callable[..., Any], discard: Callable[..., Any]) -> None:
        self._inner = AsyncTemporary(new, mint, discard)

    def __enter__(self) -> ApiToken:
        return run(self._inner.__aenter__())

    def __exit__(self, kind: object, leaving: BaseException | None, frames: object) -> None:
        run(self._inner.__aexit__(kind, leaving, frames))


def _warn(new: _operations.Call[ApiToken], held: list[tuple[int, ApiToken]]) -> None:
    for token in (token for process, token in held if process == os.getpid()):
        text = f"token {token.id} may still exist, delete it: its block ended without a deletion"
        tell(logging.ERROR, text, new, token)
