"""Mint and store, rotate, discard: coroutines that both clients share."""

import inspect
import logging
import os
from collections.abc import Callable
from typing import Any, TypeAlias, cast

from . import _operations
from ._sending import Sender, Transport, run, tell
from .errors import RotationError, SignalWireError
from .models import ApiToken, Id

Store: TypeAlias = Callable[[ApiToken], object]


async def _refused(stored: object) -> None:
    # Or Python warns that it was never awaited.
    getattr(stored, "close", bool)()
    raise TypeError("store returned an awaitable, so nothing is stored; AsyncProjectTokens awaits it")


class Rotating(Sender[Transport]):
    """What mints, stores and deletes in one step."""

    async def _create(self, new: _operations.Call[ApiToken], store: Store | None, stays: str = "") -> ApiToken:
        """Mint a token and let `store` persist it: what cannot be stored is deleted. `stays` names what it replaces."""
        # Only a rotation must have one.
        if not callable(store) and (store is not None or stays):
            raise TypeError(f"store must be a function that takes the new token, not {type(store).__name__}")
        if not self._transports.awaits and inspect.iscoroutinefunction(store):
            raise TypeError("store is a coroutine function; AsyncProjectTokens awaits it")
        process, created = os.getpid(), None
        try:
            created = await self._call(new)
            stored = store(created) if store else None
            if inspect.isawaitable(stored):
                await (stored if self._transports.awaits else _refused(stored))
        except BaseException as failure:
            # A child of fork that leaves the store of its parent has nothing to delete or to say.
            if created is None or process != os.getpid():
                raise
            if isinstance(failure, Exception):
                await self._discard(created, failure, "store")
                text = f"the new token {created.id} was deleted again{stays}"
                # As of a deletion: an inventory made of records would take a second `create` for a token that exists.
                tell(logging.INFO, text, _operations.delete(created.id), leaving=failure)
            else:
                # What is stored must work, and nobody knows whether it is this one.
                text = f"interrupted by {type(failure).__name__}: the new token {created.id} exists and may be stored"
                tell(logging.ERROR, f"{text}{stays}; delete what is not in use", new, created, leaving=failure)
            raise
        return created

    async def _rotate(self, token_id: Id, new: _operations.Call[ApiToken], store: Store) -> ApiToken:
        """Mint a token, let `store` persist it, and delete the old one."""
        old = _operations.delete(token_id)
        created = await self._create(new, store, f", and the old token {old.token_id} stays")
        try:
            await self._call(old)
        except BaseException as failure:
            state = f"the old token {old.token_id} may still exist, delete it: {type(failure).__name__}: {failure}"
            problem = f"rotate failed: token {created.id} is stored and works, but {state}"
            ours = isinstance(failure, SignalWireError)
            tell(logging.ERROR, problem, old, created, leaving=None if ours else failure)
            if not ours:
                raise
            ids = {"new_token_id": created.id, "old_token_id": old.token_id}
            raise RotationError(problem, operation="rotate", **ids) from failure
        return created

    async def _discard(self, token: ApiToken, leaving: BaseException | None, what: str) -> None:
        """Delete a token that nobody needs, in the midst of a cancellation too; if that fails, one error says all.

        `leaving` is what ended `what`, the store or the block.
        """
        deletion, cancelled = _operations.delete(token.id, missing_ok=True), None
        try:
            with self._transports.shield():
                try:
                    await self._call(deletion)
                except self._transports.cancellation() as cancellation:
                    # One of asyncio itself comes through a shield.
                    cancelled = cancellation
                    await self._call(deletion)
        except BaseException as failure:
            ended = f"{what} failed with {type(leaving).__name__}, and then " if isinstance(leaving, Exception) else ""
            text = f"token {token.id} may still exist, delete it: {ended}{str(failure) or type(failure).__name__}"
            # An interruption goes on; before any other error goes that a token exists.
            going = cancelled or (None if isinstance(leaving, Exception) else leaving)
            going = going if isinstance(failure, SignalWireError) else failure
            tell(logging.ERROR, text, deletion, token, leaving=going)
            if going is None:
                failure.args = (text,)
                vars(failure)["may_have_applied"] = True
            if going is None or going is failure:
                raise
        if cancelled is not None:
            raise cancelled


class AsyncTemporary:
    """A token for the time of a block, deleted on every way out."""

    _token: Any = None

    def __init__(self, new: _operations.Call[ApiToken], mint: Callable[..., Any], discard: Callable[..., Any]) -> None:
        self._new, self._mint, self._discard = new, mint, discard

    async def __aenter__(self) -> ApiToken:
        self._process, self._token = os.getpid(), await self._mint(self._new)
        return cast("ApiToken", self._token)

    async def __aexit__(self, _kind: object, leaving: BaseException | None, _frames: object) -> None:
        try:
            # A child of fork that leaves its parent's block deletes nothing.
            if self._process == os.getpid():
                await self._discard(self._token, leaving, "the block")
        except SignalWireError:
            self._token = None
            raise
        self._token = None

    def __del__(self) -> None:
        # An interruption at an end of a block leaves no time to delete.
        if self._token and self._process == os.getpid():
            text = f"token {self._token.id} may still exist, delete it: its block ended without a deletion"
            tell(logging.ERROR, text, self._new, self._token)


class Temporary:
    """The same, not awaited."""

    def __init__(self, new: _operations.Call[ApiToken], mint: Callable[..., Any], discard: Callable[..., Any]) -> None:
        self._inner = AsyncTemporary(new, mint, discard)

    def __enter__(self) -> ApiToken:
        return run(self._inner.__aenter__())

    def __exit__(self, kind: object, leaving: BaseException | None, frames: object) -> None:
        run(self._inner.__aexit__(kind, leaving, frames))
