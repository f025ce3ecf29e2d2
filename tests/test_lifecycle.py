"""Interruptions, threads and forks: what an application does to a client beside calling it."""

import asyncio
import logging
import os
import signal
import sys
import threading
import time

import anyio
import httpx
import pytest

from signalwire_tokens import ApiToken, AsyncProjectTokens, ProjectTokens


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
            http_client = httpx.AsyncClient(transport=Slow())
            tokens = AsyncProjectTokens("example", space.project_id, space.api_token, http_client=http_client)
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

        def interrupt() -> None:
            while not space.requests:
                time.sleep(0.001)
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

        thread = threading.Thread(target=interrupt)
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            tokens.create("ci", ["fax"])
        thread.join()
    assert "create of token 'ci' failed: interrupted by KeyboardInterrupt" in warnings(caplog)[0]


def test_a_sync_wait_between_attempts_can_be_interrupted(space, caplog, monkeypatch) -> None:
    def sleep(_seconds):
        raise KeyboardInterrupt

    monkeypatch.setattr(ProjectTokens, "_sleep", staticmethod(sleep))
    http_client = httpx.Client(transport=space.transport)
    with ProjectTokens("example", space.project_id, space.api_token, http_client=http_client) as tokens:
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
