"""Mint and store, rotate, revoke: coroutines that both clients share."""

import inspect
import logging
import os
import weakref
from collections.abc import Callable
from typing import Any, NoReturn, TypeAlias

from . import _operations
from ._attempt import text_of
from ._sending import Sender, Transport, run
from .errors import RotationError, SignalWireError
from .models import ApiToken, Id

Store: TypeAlias = Callable[[ApiToken], object]
# A method of the client that a temporary token calls.
Method: TypeAlias = Callable[..., Any]


async def _refused(stored: object) -> None:
    # Closed, or Python warns that it was never awaited.
    getattr(stored, "close", bool)()
    raise TypeError("store returned an awaitable, so nothing is stored; AsyncProjectTokens awaits it")


async def _entered(_new: object) -> NoReturn:
    raise RuntimeError("this temporary() has been entered before; call temporary() for each block")


class Rotating(Sender[Transport]):
    """The calls that combine minting, storing and deleting."""

    async def _create(self, new: _operations.Call[ApiToken], store: Store | None, stays: str = "") -> ApiToken:
        """Mint a token, let `store` persist it, and delete it if that fails. `stays`: what to say of the old token."""
        # Only a rotation must have a store.
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
                # A forked child that leaves its parent's `store` must neither delete nor report the token.
                if process == os.getpid():
                    going, held = await self._revoke(created, failure, "store"), None
                    if going:
                        raise going from failure
                    text = f"the new token {created.id} was deleted again{stays}"
                    # Logged as a deletion: an inventory would read a second `create` as a token that exists.
                    self._log(logging.INFO, text, _operations.delete(created.id), leaving=failure)
                raise
        except BaseException as failure:
            # The stored token must work, and nobody knows whether it is this one: nothing is deleted.
            if held and process == os.getpid():
                text = f"interrupted by {type(failure).__name__}: the new token {held.id} exists and may be stored"
                self._log(logging.ERROR, f"{text}{stays}; delete what is not in use", new, held, leaving=failure)
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
            self._log(logging.ERROR, text, old, leaving=None if isinstance(failure, SignalWireError) else failure)
            if not isinstance(failure, SignalWireError):
                raise
            raise RotationError(text, operation="rotate", new_token_id=token.id, old_token_id=old.token_id) from failure
        return token

    async def _revoke(self, token: ApiToken, leaving: BaseException | None, what: str) -> BaseException | None:
        """Delete a token that nobody needs, even during a cancellation; if that fails, one error says everything.

        `leaving` is the exception that ended `what`, the store or the block. Return the exception to raise, if any.
        """
        deletion, going = _operations.delete(token.id, missing_ok=True), None
        try:
            with self._transports.shield():
                try:
                    await self._call(deletion, begun=True)
                except self._transports.cancellation() as cancellation:
                    # asyncio's own cancellation passes through a shield of anyio.
                    going = cancellation
                    await self._call(deletion, begun=True)
        except BaseException as failure:  # noqa: BLE001 - the caller raises it
            ended = f"{what} failed with {type(leaving).__name__}, and then " if isinstance(leaving, Exception) else ""
            text = f"token {token.id} may still exist, delete it: {ended}{text_of(failure) or type(failure).__name__}"
            # An interruption is raised as it is. Any other error gives way to the one that says that a token may exist.
            going = going or (None if isinstance(leaving, Exception) else leaving)
            going = going if isinstance(failure, SignalWireError) else failure
            self._log(logging.ERROR, text, deletion, leaving=going, token_name=token.name)
            if going is None:
                going, failure.args = failure, (text,)
                vars(failure)["may_have_applied"] = True
        return going


class AsyncTemporary:
    """A token for a block, deleted however the block ends."""

    def __init__(self, new: _operations.Call[ApiToken], mint: Method, revoke: Method, log: Method) -> None:
        self._new, self._mint, self._revoke, self._held = new, mint, revoke, list[tuple[int, ApiToken]]()
        # Nothing is deleted if the start or end of the block is interrupted, or if its thread ends with the process.
        weakref.finalize(self, _warn, new, self._held, log)

    async def __aenter__(self) -> ApiToken:
        mint, self._mint = self._mint, _entered
        # No call follows the minting: Python raises KeyboardInterrupt after calls.
        self._held += [(os.getpid(), await mint(self._new))]
        return self._held[-1][1]

    async def __aexit__(self, _kind: object, leaving: BaseException | None, _frames: object) -> None:
        process, token = self._held[-1]
        # A forked child that leaves its parent's block deletes nothing.
        going = await self._revoke(token, leaving, "the block") if process == os.getpid() else None
        self._held.pop()
        if going and going is not leaving:
            raise going


class Temporary:
    """The same for the sync client."""

    def __init__(self, new: _operations.Call[ApiToken], mint: Method, revoke: Method, log: Method) -> None:
        self._inner = AsyncTemporary(new, mint, revoke, log)

    def __enter__(self) -> ApiToken:
        return run(self._inner.__aenter__())

    def __exit__(self, kind: object, leaving: BaseException | None, frames: object) -> None:
        run(self._inner.__aexit__(kind, leaving, frames))


def _warn(new: _operations.Call[ApiToken], held: list[tuple[int, ApiToken]], log: Method) -> None:
    for token in (token for process, token in held if process == os.getpid()):
        text = f"token {token.id} may still exist, delete it: its block ended without a deletion"
        log(logging.ERROR, text, new, token)
