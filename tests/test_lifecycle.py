"""Interruptions, threads and forks: what an application does to a client beside calling it."""

import asyncio
import contextlib
import gc
import itertools
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import anyio
import httpx
import pytest
from interrupting import meanwhile, send

import signalwire_tokens
from signalwire_tokens import APIConnectionError, ApiToken, AsyncProjectTokens, ProjectTokens


def warnings(caplog) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "signalwire_tokens"]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_create_cut_off_after_its_answer_names_the_id(space, backend, caplog) -> None:
    class Slow(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request):
            content = (await space.transport.handle_async_request(request)).content

            async def body():
                yield content
                scope.cancel()
                await anyio.sleep_forever()

            return httpx.Response(200, content=body())

    scope = None

    async def main() -> None:
        nonlocal scope
        with anyio.CancelScope() as scope:
            transport = Slow()
            tokens = AsyncProjectTokens("example", space.project_id, space.api_token, transport=transport)
            await tokens.create("ci", ["fax"])
        assert scope.cancelled_caught

    anyio.run(main, backend=backend)
    (token_id,) = space.tokens
    assert f"its ID is {token_id}" in warnings(caplog)[0]


@pytest.mark.parametrize("steps", range(12))
def test_a_create_cancelled_at_any_step_leaves_no_token_that_nobody_was_told_of(space, steps, caplog) -> None:
    caplog.set_level(logging.INFO)

    async def main(url: str) -> ApiToken | None:
        async with AsyncProjectTokens(url, space.project_id, space.api_token) as tokens:
            task = asyncio.create_task(tokens.create("ci", ["fax"]))
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            return (await asyncio.gather(task, return_exceptions=True))[0]

    with space.serve() as url:
        result = asyncio.run(main(url))
    told = isinstance(result, ApiToken) or "'ci'" in "".join(warnings(caplog))
    assert told or not space.tokens


@pytest.mark.skipif(sys.platform == "win32", reason="no POSIX signals")
def test_a_sync_call_interrupted_by_ctrl_c(space, caplog) -> None:
    space.fail_next(timeout=True, applied=True)
    with space.serve() as url, ProjectTokens(url, space.project_id, space.api_token) as tokens:
        with meanwhile(lambda: space.requests, lambda: send(signal.SIGINT)), pytest.raises(KeyboardInterrupt):
            tokens.create("ci", ["fax"])
    assert "create of token 'ci' failed: interrupted by KeyboardInterrupt" in warnings(caplog)[0]


def test_a_sync_wait_between_attempts_can_be_interrupted(space, caplog, monkeypatch) -> None:
    def sleep(_seconds):
        raise KeyboardInterrupt

    monkeypatch.setattr(ProjectTokens, "_sleep", staticmethod(sleep))
    transport = space.transport
    with ProjectTokens("example", space.project_id, space.api_token, transport=transport) as tokens:
        space.fail_next(429)
        with pytest.raises(KeyboardInterrupt):
            tokens.create("ci", ["fax"])
        # The service has refused it, so there is nothing to look for.
        assert "interrupted" not in "".join(warnings(caplog))
        created = tokens.create("ci", ["fax"])
        space.fail_next(503, applied=True)
        with pytest.raises(KeyboardInterrupt):
            tokens.delete(created.id)
    assert f"delete of token {created.id} failed: interrupted by KeyboardInterrupt" in warnings(caplog)[-1]


def test_a_sync_client_is_shared_by_threads(space) -> None:
    with space.serve() as url, ProjectTokens(url, space.project_id, space.api_token) as tokens:
        made = []
        threads = [
            threading.Thread(target=lambda: made.extend([tokens.create("ci", ["fax"]) for _ in range(10)]))
            for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert {token.id: token.token for token in made} == {t.id: t.token for t in space.tokens.values()}
    assert len(made) == 80


def test_an_async_client_is_shared_by_tasks(space) -> None:
    async def main(url: str) -> list[ApiToken]:
        async with AsyncProjectTokens(url, space.project_id, space.api_token) as tokens:
            return await asyncio.gather(*(tokens.create("ci", ["fax"]) for _ in range(200)))

    with space.serve() as url:
        made = asyncio.run(main(url))
    assert {token.id: token.token for token in made} == {t.id: t.token for t in space.tokens.values()}
    assert len(made) == 200


class Interrupting(logging.Handler):
    """Ctrl-C while the first record is handled."""

    def __init__(self, told: list[str]) -> None:
        super().__init__()
        self.told = told

    def emit(self, record) -> None:
        if not self.told and record.levelno == logging.INFO:
            self.told.append("")
            raise KeyboardInterrupt
        self.told.append(record.getMessage())


def test_an_interruption_after_the_answer_names_the_id(space, caplog, monkeypatch) -> None:
    log = logging.getLogger("signalwire_tokens")
    told = []
    monkeypatch.setattr(log, "handlers", [Interrupting(told)])
    caplog.set_level(logging.INFO, log.name)
    transport = space.transport
    with (
        ProjectTokens("example", space.project_id, space.api_token, transport=transport) as tokens,
        pytest.raises(KeyboardInterrupt),
    ):
        tokens.create("ci", ["fax"])
    (token_id,) = space.tokens
    assert f"its ID is {token_id}" in told[-1]


def test_what_the_caller_is_handling_stays_his_own(flavour) -> None:
    def respond(_request):
        raise httpx.ReadError("")

    with flavour.answering(respond) as tokens, pytest.raises(APIConnectionError) as caught:  # noqa: PT012 - within a block of the caller
        try:
            raise ValueError("the password is hunter2")  # noqa: TRY301 - for its frames
        except ValueError as failure:
            own, frames = failure, failure.__traceback__
            tokens.create("ci", ["fax"])
    assert own.__traceback__ is frames
    assert "hunter2" not in str(caught.value)


def test_a_transport_may_raise_what_the_caller_is_handling(flavour) -> None:
    failure = httpx.ReadError("the line is dead")

    def respond(_request):
        raise failure

    with flavour.answering(respond) as tokens, pytest.raises(APIConnectionError, match="the line is dead"):  # noqa: PT012 - within a block of the caller
        try:
            raise failure
        except httpx.ReadError:
            tokens.create("ci", ["fax"])


def test_a_group_of_failures_after_sending_becomes_one_error(flavour) -> None:
    def respond(request):
        request.read() if flavour.name == "sync" else None
        raise ExceptionGroup('what came: "PT0"', [ValueError("x")])

    with flavour.answering(respond) as tokens, pytest.raises(APIConnectionError) as caught:
        tokens.create("ci", ["fax"])
    assert "PT0" not in str(caught.value)
    assert caught.value.__context__ is None


def test_every_address_of_a_host_is_tried(space, monkeypatch) -> None:
    real = socket.getaddrinfo
    tried = []

    def several(host, port, *args, **kwargs):
        tried.append(host)
        answers = ["127.0.0.2", "127.0.0.1"] if host == "localhost" else [host]
        return [entry for answer in answers for entry in real(answer, port, *args, **kwargs)]

    monkeypatch.setattr(socket, "getaddrinfo", several)
    with space.serve() as url:
        name = url.replace("127.0.0.1", "localhost")
        with ProjectTokens(name, space.project_id, space.api_token, max_retries=0) as tokens:
            tokens.create("ci", ["fax"])
    assert tried == ["localhost"]
    assert len(space.requests) == 1


def test_a_client_works_in_one_event_loop_after_another(space) -> None:
    async def use() -> None:
        await tokens.create("ci", ["fax"])
        await tokens.create("ci", ["fax"])
        await tokens.aclose() if len(space.tokens) == 4 else None

    with space.serve() as url:
        tokens = AsyncProjectTokens(url, space.project_id, space.api_token)
        with asyncio.Runner() as first, asyncio.Runner() as second:
            first.run(use())
            second.run(use())
            first.run(tokens.aclose())
    assert len(space.tokens) == 4


def test_a_transport_that_cannot_be_closed_costs_nothing(space, monkeypatch) -> None:
    async def main(url: str) -> ApiToken:
        tokens = AsyncProjectTokens(url, space.project_id, space.api_token)

        real = httpx.AsyncHTTPTransport.aclose

        async def fail(transport) -> None:
            await real(transport)
            raise OSError

        monkeypatch.setattr(httpx.AsyncHTTPTransport, "aclose", fail)
        call = asyncio.create_task(tokens.create("ci", ["fax"]))
        while not space.requests:  # noqa: ASYNC110 - the server is in another thread
            await asyncio.sleep(0)
        await tokens.aclose()
        return await call

    with space.serve() as url:
        created = asyncio.run(main(url))
    assert created.id in space.tokens


@pytest.mark.parametrize("failing", [True, False])
def test_what_has_begun_goes_on_when_the_client_is_closed(flavour, space, failing) -> None:
    def store(_token) -> None:
        tokens.close()
        if failing:
            raise LookupError

    async def store_async(_token) -> None:
        await tokens.client.aclose()
        if failing:
            raise LookupError

    with flavour.on(space) as tokens:
        old = tokens.create("ci", ["fax"])
        with contextlib.suppress(LookupError):
            tokens.rotate(old.id, "ci", ["fax"], store=store if flavour.name == "sync" else store_async)
        # Of the old and the new one, the one that is stored.
        assert (set(space.tokens) == {old.id}) is failing
        assert len(space.tokens) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="no fork on Windows")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_client_survives_a_fork(space, kind) -> None:
    def use(tokens) -> None:
        if kind == "sync":
            tokens.create("ci", ["fax"])
        else:
            loop.run_until_complete(tokens.create("ci", ["fax"]))

    loop = asyncio.new_event_loop()
    with space.serve() as url:
        client = ProjectTokens if kind == "sync" else AsyncProjectTokens
        tokens = client(url, space.project_id, space.api_token)
        use(tokens)
        child = os.fork()
        if child == 0:
            # Never back into pytest, whatever happens.
            status = 1
            try:
                if kind == "async":
                    loop = asyncio.new_event_loop()
                use(tokens)
                status = 0
            finally:
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
        # The parent's kept connection still works, as the child did not touch it.
        use(tokens)
        if kind == "sync":
            tokens.close()
        else:
            loop.run_until_complete(tokens.aclose())
    loop.close()
    assert len(space.tokens) == 3


# The files whose functions an interruption is tried in.
CORE = str(Path(signalwire_tokens.__file__).parent / "_")


class InterruptAt:
    """Raises KeyboardInterrupt where Python looks for signals: as a function begins, or one written in C ends."""

    def __init__(self, instant: int) -> None:
        self.left = instant

    def __call__(self, frame, event, _about) -> None:
        if event in {"call", "c_return"} and frame.f_code.co_filename.startswith(CORE):
            if self.left == 0:
                sys.setprofile(None)
                raise KeyboardInterrupt
            self.left -= 1


@pytest.fixture
def quick_collections() -> Iterator[None]:
    """Exclude what earlier tests have left from garbage collections, which would be slow with it."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


def test_ctrl_c_that_leaves_a_lock_of_the_http_library_taken_does_not_hang() -> None:
    code = """
import sys
from signalwire_tokens import ProjectTokens
from signalwire_tokens.testing import FakeSpace

space = FakeSpace()

def interrupting(instant):
    def profile(_frame, event, function):
        nonlocal instant
        if event == "c_return" and function.__name__ == "acquire" and space.tokens:
            if instant == 0:
                sys.setprofile(None)
                raise KeyboardInterrupt
            instant -= 1
    return profile

with space.serve() as url, ProjectTokens(url, space.project_id, space.api_token, max_retries=0) as tokens:
    for instant in range(99):
        space.tokens.clear()
        sys.setprofile(interrupting(instant))
        try:
            tokens.create("ci", ["fax"])
            break
        except KeyboardInterrupt as interrupt:
            print("may exist" in interrupt.__notes__[0])
        finally:
            sys.setprofile(None)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert {*run.stdout.split()} == {"True"}, run.stderr


def _stored_nowhere(_token) -> None:
    raise LookupError


def _within(tokens, name) -> None:
    with tokens.temporary(name, ["fax"]):
        pass


@pytest.mark.parametrize(
    "act",
    [
        lambda tokens, name, _: tokens.create(name, ["fax"]),
        lambda tokens, name, kept: tokens.create(name, ["fax"], store=kept),
        lambda tokens, name, _: tokens.create(name, ["fax"], store=_stored_nowhere),
        lambda tokens, name, kept: tokens.rotate(UUID(int=1), name, ["fax"], store=kept),
        lambda tokens, name, _: tokens.rotate(UUID(int=1), name, ["fax"], store=_stored_nowhere),
        lambda tokens, name, _: _within(tokens, name),
    ],
    ids=["create", "create and store", "create and fail", "rotate", "rotate and fail", "temporary"],
)
@pytest.mark.parametrize("served", [True, False])
@pytest.mark.usefixtures("quick_collections")
@pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_interruption_at_any_instant_leaves_no_token_that_nobody_was_told_of(space, act, served, caplog) -> None:
    kept: dict[UUID, ApiToken] = {}
    created, name = None, ""

    def minted() -> set[UUID]:
        # Not what the server was late with, after an earlier interruption.
        return {token.id for token in list(space.tokens.values()) if token.name == name}

    with (
        space.serve() as url,
        ProjectTokens(
            url, space.project_id, space.api_token, max_retries=0, transport=None if served else space.transport
        ) as tokens,
    ):
        for instant in itertools.count():
            caplog.clear()
            space.tokens.clear()
            name = f"job-{instant}"
            kept.clear()
            interrupt, error = InterruptAt(instant), None
            sys.setprofile(interrupt)
            try:
                created = act(tokens, name, lambda token: kept.update({token.id: token}))
            except BaseException as leaving:  # noqa: BLE001 - as the test wants it
                error = leaving
            finally:
                sys.setprofile(None)
            if interrupt.left >= 0 and not isinstance(error, KeyboardInterrupt):
                break
            assert isinstance(error, KeyboardInterrupt), instant
            if minted() - kept.keys():
                # What is left of a block tells when it is collected.
                error.__traceback__ = None
                gc.collect()
            told = f"{getattr(error, '__notes__', '')}{caplog.text}"
            untold = {token for token in minted() - kept.keys() if str(token) not in told}
            assert not untold or f"'{name}'" in told, instant
            assert not minted() or "nothing was minted" not in told, instant
    # There were some, and the last run, which nothing interrupted, left what it should.
    assert instant > 30
    assert minted() <= {*kept, *([created.id] if created else [])}
