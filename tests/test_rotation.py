"""rotate and temporary: no token is left that nobody was told of, whatever fails in between."""

import contextlib
import logging
import sys
from uuid import uuid4

import anyio
import anyio.lowlevel
import pytest

from signalwire_tokens import (
    AsyncProjectTokens,
    InternalServerError,
    NotFoundError,
    ProjectTokens,
    RateLimitError,
    RotationError,
    SignalWireError,
    UnprocessableEntityError,
)


class VaultError(Exception):
    pass


@pytest.fixture
def old(tokens):
    return tokens.create("ci", ["fax"])


def errors(caplog) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]


class TestRotate:
    def test_the_new_token_is_stored_before_the_old_one_goes(self, tokens, space, old) -> None:
        stored = []

        def store(new) -> None:
            assert set(space.tokens) == {old.id, new.id}
            stored.append(new)

        new = tokens.rotate(old.id, "ci", ["fax", "video"], store=store)
        assert stored == [new]
        assert set(space.tokens) == {new.id}
        assert space.tokens[new.id].token == new.token
        assert new.permissions == ("fax", "video")

    def test_it_may_be_for_a_subproject(self, tokens, space, old) -> None:
        subproject = space.add_subproject("tenant")
        new = tokens.rotate(str(old.id), "ci", ["fax"], store=lambda _: None, subproject_id=subproject)
        assert space.tokens[new.id].project_id == str(subproject)

    def test_what_cannot_be_stored_is_deleted(self, tokens, space, old) -> None:
        failure = VaultError("full")

        def store(_new) -> None:
            raise failure

        with pytest.raises(VaultError) as caught:
            tokens.rotate(old.id, "ci", ["fax"], store=store)
        assert caught.value is failure
        assert "was deleted again, and the old token" in failure.__notes__[0]
        assert set(space.tokens) == {old.id}

    @pytest.mark.parametrize("interruption", [KeyboardInterrupt, SystemExit])
    def test_an_interruption_of_the_store_goes_on_and_spares_what_may_be_stored(
        self, space, interruption, caplog
    ) -> None:
        def store(_new) -> None:
            raise interruption

        with sync(space) as tokens:
            old = tokens.create("ci", ["fax"])
            with pytest.raises(interruption):
                tokens.rotate(old.id, "ci", ["fax"], store=store)
        assert len(space.tokens) == 2
        for token_id in space.tokens:
            assert str(token_id) in errors(caplog)[0]

    def test_a_new_token_that_cannot_be_deleted_either_is_named(self, tokens, space, old, caplog) -> None:
        failure = VaultError("full")

        def store(_new) -> None:
            space.fail_next(500)
            raise failure

        with pytest.raises(InternalServerError) as caught:
            tokens.rotate(old.id, "ci", ["fax"], store=store)
        left = next(token_id for token_id in space.tokens if token_id != old.id)
        # One error says both.
        assert str(caught.value).startswith(
            f"token {left} may still exist, delete it: store failed with VaultError, and"
        )
        assert "HTTP 500" in str(caught.value)
        assert caught.value.operation == "delete"
        assert caught.value.__context__ is failure
        assert errors(caplog) == [str(caught.value)]

    def test_a_refused_deletion_of_what_was_not_stored_says_that_a_token_lives(self, tokens, space, old) -> None:
        def store(_new) -> None:
            space.fail_next(429)
            raise VaultError("full")

        with pytest.raises(RateLimitError) as caught:
            tokens.rotate(old.id, "ci", ["fax"], store=store)
        assert caught.value.may_have_applied
        left = next(token_id for token_id in space.tokens if token_id != old.id)
        assert f"token {left} may still exist, delete it" in str(caught.value)

    def test_an_old_token_that_cannot_be_deleted_is_named(self, tokens, space, old, caplog) -> None:
        with pytest.raises(RotationError, match="is stored and works") as caught:
            tokens.rotate(old.id, "ci", ["fax"], store=lambda _: space.fail_next(500))
        error = caught.value
        assert error.old_token_id == old.id
        assert set(space.tokens) == {old.id, error.new_token_id}
        assert str(old.id) in str(error)
        assert str(error.new_token_id) in str(error)
        assert error.operation == "rotate"
        assert error.may_have_applied is True
        assert isinstance(error.__cause__, InternalServerError)
        assert errors(caplog) == [str(error)]

    def test_a_wrong_id_does_not_pass_for_a_rotation(self, tokens, space, old) -> None:
        says = r"stored and works, but .*\(nothing was deleted; no such token .* check the IDs"
        with pytest.raises(RotationError, match=says) as caught:
            tokens.rotate(uuid4(), "ci", ["fax"], store=lambda _: None)
        assert isinstance(caught.value.__cause__, NotFoundError)
        assert len(space.tokens) == 2
        assert old.id in space.tokens

    def test_without_a_new_token_nothing_is_stored_and_the_old_one_stays(self, tokens, space, old) -> None:
        space.fail_next(422)
        with pytest.raises(UnprocessableEntityError):
            tokens.rotate(old.id, "ci", ["fax"], store=pytest.fail)
        assert set(space.tokens) == {old.id}

    @pytest.mark.parametrize(
        ("args", "store", "error", "says"),
        [
            (("x", "ci", ["fax"]), print, ValueError, "token_id is no UUID"),
            ((str(uuid4()), "", ["fax"]), print, ValueError, "name is blank"),
            ((str(uuid4()), "ci", ["voice"]), print, ValueError, "'calling'"),
            ((str(uuid4()), "ci", ["fax"]), "vault", TypeError, "store must be a function .* not str"),
        ],
    )
    def test_bad_arguments_are_refused_unsent(self, tokens, space, args, store, error, says) -> None:
        with pytest.raises(error, match=says):
            tokens.rotate(*args, store=store)
        assert space.requests == []

    def test_a_coroutine_function_is_awaited_or_refused_unsent(self, flavour, tokens, space, old) -> None:
        stored = []

        async def store(new) -> None:
            await anyio.lowlevel.checkpoint()
            stored.append(new)

        if flavour.name == "sync":
            sent = len(space.requests)
            with pytest.raises(TypeError, match="AsyncProjectTokens"):
                tokens.rotate(old.id, "ci", ["fax"], store=store)
            assert len(space.requests) == sent
        else:
            assert tokens.rotate(old.id, "ci", ["fax"], store=store) == stored[0]
            assert set(space.tokens) == {stored[0].id}

    def test_a_store_may_be_false(self, tokens, space, old) -> None:
        class Kept(list):
            def __call__(self, token) -> None:
                self.append(token)

        # An empty list, as it is called.
        assert tokens.rotate(old.id, "ci", ["fax"], store=(kept := Kept())) == kept[0]
        assert set(space.tokens) == {kept[0].id}

    def test_a_generator_function_stores_nothing(self, tokens, space, old) -> None:
        def store(_token):
            yield pytest.fail("called")

        async def store_async(_token):
            yield pytest.fail("called")

        for generator in (store, store_async):
            with pytest.raises(TypeError) as caught:
                tokens.rotate(old.id, "ci", ["fax"], store=generator)
            says = "store is a generator function, and to call one does nothing; it must not yield"
            assert str(caught.value) == says
        assert set(space.tokens) == {old.id}

    def test_what_a_store_returns_to_be_awaited_is_awaited_or_has_failed(self, flavour, tokens, space, old) -> None:
        stored = []

        async def persist(new) -> None:
            await anyio.lowlevel.checkpoint()
            stored.append(new)

        def store(new):
            return persist(new)

        if flavour.name == "sync":
            with pytest.raises(TypeError, match="AsyncProjectTokens awaits it"):
                tokens.rotate(old.id, "ci", ["fax"], store=store)
            assert set(space.tokens) == {old.id}
        else:
            new = tokens.rotate(old.id, "ci", ["fax"], store=store)
            assert stored == [new]
            assert set(space.tokens) == {new.id}

    def test_a_future_has_failed_in_a_sync_client_too(self, space) -> None:
        class Future:
            def __await__(self):
                yield

        with sync(space) as tokens:
            old = tokens.create("ci", ["fax"])
            with pytest.raises(TypeError, match="AsyncProjectTokens awaits it"):
                tokens.rotate(old.id, "ci", ["fax"], store=lambda _: Future())
        assert set(space.tokens) == {old.id}

    @pytest.mark.parametrize("backend", ["asyncio", "trio"])
    def test_cancelled_while_it_stores(self, space, backend, caplog) -> None:
        async def main() -> None:
            async with asynchronous(space) as tokens:
                old = await tokens.create("ci", ["fax"])
                with anyio.CancelScope() as scope:

                    async def store(_new) -> None:
                        scope.cancel()
                        await anyio.sleep_forever()

                    await tokens.rotate(old.id, "ci", ["fax"], store=store)
                assert scope.cancelled_caught

        anyio.run(main, backend=backend)
        assert len(space.tokens) == 2
        for token_id in space.tokens:
            assert str(token_id) in errors(caplog)[0]

    @pytest.mark.parametrize("backend", ["asyncio", "trio"])
    def test_cancelled_before_the_old_one_is_deleted(self, space, backend, caplog) -> None:
        async def main() -> None:
            with space.serve() as url:
                async with AsyncProjectTokens(url, space.project_id, space.api_token) as tokens:
                    old = await tokens.create("ci", ["fax"])
                    with anyio.CancelScope() as scope:
                        await tokens.rotate(old.id, "ci", ["fax"], store=lambda _: scope.cancel())
                    assert scope.cancelled_caught

        anyio.run(main, backend=backend)
        assert len(space.tokens) == 2
        for token_id in space.tokens:
            assert str(token_id) in errors(caplog)[0]


def sync(space) -> ProjectTokens:
    transport = space.transport
    return ProjectTokens("example", space.project_id, space.api_token, transport=transport, max_retries=0)


def asynchronous(space) -> AsyncProjectTokens:
    transport = space.transport
    return AsyncProjectTokens("example", space.project_id, space.api_token, transport=transport, max_retries=0)


@contextlib.contextmanager
def failing(space, failure: BaseException):
    """A block that raises, after which the space fails once."""
    yield
    space.fail_next(500)
    raise failure


class TestTemporary:
    @contextlib.contextmanager
    def opened(self, flavour, tokens, *args, **kwargs):
        """Enter and leave the context of either client."""
        context = getattr(tokens, "client", tokens).temporary(*args, **kwargs)
        with context if flavour.name == "sync" else tokens._portal.wrap_async_context_manager(context) as token:
            yield token

    def test_it_lives_as_long_as_the_block(self, flavour, tokens, space) -> None:
        subproject = space.add_subproject("tenant")
        with self.opened(flavour, tokens, "job", ["fax"], subproject_id=subproject) as token:
            assert space.tokens[token.id].project_id == str(subproject)
        assert space.tokens == {}

    @pytest.mark.parametrize("failure", [ValueError("the job's"), KeyboardInterrupt(), GeneratorExit()])
    def test_it_is_deleted_however_the_block_ends(self, flavour, tokens, space, failure) -> None:
        with pytest.raises(type(failure)), self.opened(flavour, tokens, "job", ["fax"]):
            raise failure
        assert space.tokens == {}

    def test_it_is_deleted_although_the_client_is_closed(self, flavour, tokens, space) -> None:
        with self.opened(flavour, tokens, "job", ["fax"]):
            tokens.close()
        assert space.tokens == {}

    def test_the_job_may_have_deleted_it(self, flavour, tokens, space) -> None:
        with self.opened(flavour, tokens, "job", ["fax"]) as token:
            tokens.delete(token.id)
        assert space.tokens == {}

    def test_one_that_cannot_be_deleted_is_named(self, flavour, tokens, space, caplog) -> None:
        with (
            pytest.raises(InternalServerError) as caught,
            self.opened(flavour, tokens, "job", ["fax"]) as token,
        ):
            space.fail_next(500)
        assert str(token.id) in str(caught.value)
        assert f"token {token.id} may still exist, delete it" in errors(caplog)[0]

    def test_that_comes_before_the_error_of_the_block(self, flavour, tokens, space) -> None:
        failure = VaultError("the job's")
        with (
            pytest.raises(InternalServerError) as caught,
            self.opened(flavour, tokens, "job", ["fax"]) as token,
            failing(space, failure),
        ):
            pass
        assert str(token.id) in str(caught.value)
        assert caught.value.__context__ is failure

    def test_it_is_told_in_the_midst_of_handling_another_error_too(self, flavour, tokens, space) -> None:
        try:
            sys.exit()
        except SystemExit:
            with pytest.raises(InternalServerError), self.opened(flavour, tokens, "job", ["fax"]):
                space.fail_next(500)

    def test_but_not_before_an_interruption(self, flavour, tokens, space, caplog) -> None:
        with (
            pytest.raises(KeyboardInterrupt),
            self.opened(flavour, tokens, "job", ["fax"]) as token,
            failing(space, KeyboardInterrupt()),
        ):
            pass
        assert f"token {token.id} may still exist, delete it" in errors(caplog)[0]

    def test_nothing_is_entered_without_a_token(self, flavour, tokens, space) -> None:
        space.fail_next(500)
        with pytest.raises(SignalWireError), self.opened(flavour, tokens, "job", ["fax"]):
            pytest.fail("entered")

    @pytest.mark.parametrize("backend", ["asyncio", "trio"])
    @pytest.mark.parametrize("waiting", [True, False])
    def test_a_cancellation_deletes_it_too(self, space, backend, waiting) -> None:
        async def main() -> None:
            with space.serve() as url:
                async with AsyncProjectTokens(url, space.project_id, space.api_token) as tokens:
                    with anyio.CancelScope() as scope:
                        async with tokens.temporary("job", ["fax"]):
                            assert len(space.tokens) == 1
                            scope.cancel()
                            if waiting:
                                await anyio.sleep_forever()

        anyio.run(main, backend=backend)
        assert space.tokens == {}
        assert [request.method for request in space.requests] == ["POST", "DELETE"]
