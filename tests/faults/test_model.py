"""A space and a model side by side, with faults and interruptions: no token lives that nobody was told of."""

import itertools
import logging
import re

import anyio
import httpx
import pytest
from hypothesis import HealthCheck, settings, strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from signalwire_tokens import AsyncProjectTokens, NotFoundError, ProjectTokens, RotationError, SignalWireError
from signalwire_tokens.testing import FakeSpace

INTERRUPTED = "the call was left by an interruption"
# How errors and logs say that a token may live.
TOLD = re.compile(r"may exist|may still exist|still exists|stored and works|may be stored, and the old")
# Where an interruption may hit: before the request is read, before and after it is carried out.
POINTS = ("unsent", "sent", "applied")
FAULTS = [
    *({"status": status} for status in (400, 401, 403, 422, 429, 500, 502, 503, 504, 520)),
    *({"status": status, "applied": True} for status in (302, 408, 500, 502, 503, 504, 520)),
    *({"status": 200, "applied": True, "body": body} for body in ("", "<html>", '{"id": 7}')),
    *({kind: True, "applied": applied} for kind in ("disconnect", "timeout") for applied in (False, True)),
    {"status": 429, "headers": {"Retry-After": "3600"}},
]


class Records(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())


class StoreError(Exception):
    """A vault is down, or a job fails."""


class Model(RuleBasedStateMachine):
    """What is held, and what was told; a subclass makes the calls."""

    ids = Bundle("ids")

    def __init__(self) -> None:
        super().__init__()
        self.space = FakeSpace()
        self.held: dict[object, str] = {}
        self.told = Records()
        self.plan: list[str | None] = []
        self.interrupt_sleep = False
        self.faults_left = 0
        self._numbers = itertools.count()
        logging.getLogger("signalwire_tokens").addHandler(self.told)

    def teardown(self) -> None:
        logging.getLogger("signalwire_tokens").removeHandler(self.told)

    def call(self, method: str, *args, **kwargs):
        """Return the result, the error, or INTERRUPTED."""
        raise NotImplementedError

    def use_temporary(self, name: str, body):
        """Run `body` with the token; return None, the error, or INTERRUPTED."""
        raise NotImplementedError

    def is_quiet(self) -> bool:
        """Tell whether nothing is in the way of the next request."""
        return not self.faults_left and not any(self.plan)

    def lives(self, name: str) -> bool:
        return any(token.name == name for token in self.space.tokens.values())

    def name(self) -> str:
        # Of a fixed length, so that none is a part of another.
        return f"token-{next(self._numbers):06}"

    def done(self, outcome, before):
        """Keep what an error tells, and check that one which denies an effect is right."""
        if isinstance(outcome, SignalWireError):
            if outcome.may_have_applied:
                self.told.texts.append(str(outcome))
            elif outcome.operation in {"create", "update", "delete"} and before is not None:
                assert self.snapshot() == before, outcome
        return outcome

    def snapshot(self) -> dict:
        return {token_id: (token.name, token.permissions) for token_id, token in self.space.tokens.items()}

    def is_told(self, *names: object) -> bool:
        return any(TOLD.search(text) and str(name) in text for text in self.told.texts for name in names)

    @rule(fault=st.sampled_from(FAULTS), times=st.integers(1, 3))
    def fault(self, fault, times) -> None:
        self.space.fail_next(**fault, times=times)
        self.faults_left += times

    @rule(later=st.integers(0, 3), point=st.sampled_from(POINTS))
    def interruption(self, later, point) -> None:
        self.plan = [*[None] * later, point]

    @rule()
    def interruption_while_waiting(self) -> None:
        self.interrupt_sleep = True

    @rule(target=ids)
    def create(self):
        name, before = self.name(), self.snapshot()
        outcome = self.done(self.call("create", name, ["fax"]), before)
        if outcome is INTERRUPTED or isinstance(outcome, SignalWireError):
            return multiple()
        assert self.space.tokens[outcome.id].name == name
        assert self.space.tokens[outcome.id].token == outcome.token
        assert len(self.space.tokens) == len(before) + 1
        self.held[outcome.id] = name
        return outcome.id

    @rule(token_id=ids)
    def update(self, token_id) -> None:
        name, before = self.name(), self.snapshot()
        outcome = self.done(self.call("update", token_id, name=name), before)
        assert self.snapshot().keys() == before.keys()
        if outcome is not INTERRUPTED and not isinstance(outcome, SignalWireError):
            assert self.space.tokens[token_id].name == name == outcome.name

    @rule(token_id=consumes(ids) | ids, missing_ok=st.booleans())
    def delete(self, token_id, missing_ok) -> None:
        before = self.snapshot()
        outcome = self.done(self.call("delete", token_id, missing_ok=missing_ok), before)
        assert self.snapshot().keys() >= before.keys() - {token_id}
        if outcome is None:
            assert token_id not in self.space.tokens
        assert not (missing_ok and isinstance(outcome, NotFoundError))

    @rule(target=ids, token_id=ids, failing=st.sampled_from([None, StoreError, "interrupted"]))
    def rotate(self, token_id, failing):
        name, lived, stored, quiet = self.name(), token_id in self.space.tokens, [], False

        def store(token) -> None:
            nonlocal quiet
            quiet = self.is_quiet()
            if failing == "interrupted":
                # A cancellation comes at the next checkpoint, before the store has returned.
                self.interrupt()
            elif failing:
                raise failing
            else:
                stored.append(token)
                self.held[token.id] = name

        outcome = self.done(self.call("rotate", token_id, name, ["fax"], store=store), None)
        living = [token_id in self.space.tokens, *(token.id in self.space.tokens for token in stored)]
        # At every moment a stored token works.
        assert any(living) or not lived
        assert all(living[1:])
        if isinstance(outcome, RotationError):
            assert outcome.old_token_id == token_id
            assert outcome.new_token_id == stored[0].id
        assert not (isinstance(outcome, StoreError) and self.lives(name))
        # With nothing in the way, what could not be stored is deleted.
        assert not (quiet and failing is StoreError and self.lives(name))
        # An interrupted store may have stored the new one or not, so the old one must stay.
        assert living[0] or not (lived and failing == "interrupted")
        if hasattr(outcome, "token") and not isinstance(outcome, Exception):
            assert (outcome, living) == (stored[0], [False, True])
        return multiple(*(token.id for token in stored))

    @rule(failing=st.sampled_from([None, StoreError, "interrupted"]))
    def temporary(self, failing) -> None:
        name, quiet = self.name(), False

        def body(token) -> None:
            nonlocal quiet
            quiet = self.is_quiet()
            assert self.space.tokens[token.id].name == name
            if failing == "interrupted":
                self.interrupt()
            elif failing:
                raise failing

        outcome = self.done(self.use_temporary(name, body), None)
        assert not ((quiet or outcome is None or isinstance(outcome, StoreError)) and self.lives(name))

    @invariant()
    def every_token_that_lives_is_known(self) -> None:
        for token_id, token in self.space.tokens.items():
            assert token_id in self.held or self.is_told(token_id, token.name), self.told.texts

    def interrupt(self) -> None:
        raise NotImplementedError


class SyncModel(Model, httpx.BaseTransport):
    """Interrupts by KeyboardInterrupt."""

    def interrupt(self) -> None:
        raise KeyboardInterrupt

    def handle_request(self, request):
        point = self.plan.pop(0) if self.plan else None
        if point == "unsent":
            raise KeyboardInterrupt
        request.read()
        if point == "sent":
            raise KeyboardInterrupt
        self.faults_left = max(0, self.faults_left - 1)
        response = self.space.transport.handle_request(request)
        if point == "applied":
            raise KeyboardInterrupt
        return response

    def _sleep(self, _seconds: float) -> None:
        interrupted, self.interrupt_sleep = self.interrupt_sleep, False
        if interrupted:
            raise KeyboardInterrupt

    def _tokens(self) -> ProjectTokens:
        tokens = ProjectTokens("example", self.space.project_id, self.space.api_token, transport=self)
        tokens._sleep = self._sleep
        return tokens

    def call(self, method, *args, **kwargs):
        try:
            return getattr(self._tokens(), method)(*args, **kwargs)
        except (SignalWireError, StoreError) as error:
            return error
        except KeyboardInterrupt:
            return INTERRUPTED

    def use_temporary(self, name, body):
        try:
            with self._tokens().temporary(name, ["fax"]) as token:
                body(token)
        except (SignalWireError, StoreError) as error:
            return error
        except KeyboardInterrupt:
            return INTERRUPTED


class AsyncModel(Model, httpx.AsyncBaseTransport):
    """Interrupts by cancelling the task that makes the call."""

    def interrupt(self) -> None:
        self._scope.cancel()

    async def _interrupt(self) -> None:
        self._scope.cancel()
        # Passes in the deletions that are shielded.
        await anyio.lowlevel.checkpoint()

    async def handle_async_request(self, request):
        # As any real transport: a cancelled task gets no further.
        await anyio.lowlevel.checkpoint()
        point = self.plan.pop(0) if self.plan else None
        if point == "unsent":
            await self._interrupt()
        await request.aread()
        if point == "sent":
            await self._interrupt()
        self.faults_left = max(0, self.faults_left - 1)
        response = await self.space.transport.handle_async_request(request)
        if point == "applied":
            await self._interrupt()
        return response

    async def _sleep(self, _seconds: float) -> None:
        interrupted, self.interrupt_sleep = self.interrupt_sleep, False
        if interrupted:
            await self._interrupt()

    def _run(self, use):
        async def main():
            transport = self
            tokens = AsyncProjectTokens("example", self.space.project_id, self.space.api_token, transport=transport)
            tokens._sleep = self._sleep
            with anyio.CancelScope() as self._scope:
                try:
                    return await use(tokens)
                except (SignalWireError, StoreError) as error:
                    return error
            return INTERRUPTED

        return anyio.run(main)

    def call(self, method, *args, store=None, **kwargs):
        if store is not None:

            async def awaited(token) -> None:
                await anyio.lowlevel.checkpoint()
                store(token)
                await anyio.lowlevel.checkpoint()

            kwargs["store"] = awaited
        return self._run(lambda tokens: getattr(tokens, method)(*args, **kwargs))

    def use_temporary(self, name, body):
        async def use(tokens):
            async with tokens.temporary(name, ["fax"]) as token:
                body(token)
                await anyio.lowlevel.checkpoint()

        return self._run(use)


@pytest.mark.parametrize("model", [SyncModel, AsyncModel])
def test_no_token_lives_that_nobody_was_told_of(model) -> None:
    run_state_machine_as_test(
        model,
        settings=settings(
            derandomize=True,
            deadline=None,
            max_examples=150,
            stateful_step_count=20,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
