"""The fixture as users have it: in a pytest run of its own."""

import os
import subprocess
import sys

import pytest

import signalwire_tokens

pytest_plugins = ["pytester"]
pytestmark = pytest.mark.slow

PLUGIN = ("-p", "signalwire_tokens._pytest_plugin")


@pytest.fixture
def run(pytester, monkeypatch):
    """Run a test file with the plugin and no other."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")

    def run(source):
        pytester.makepyfile(source)
        return pytester.runpytest_subprocess(*PLUGIN, "-W", "error")

    return run


def test_installing_the_library_is_enough(pytester, monkeypatch) -> None:
    monkeypatch.delenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", raising=False)
    pytester.makepyfile("def test_it(signalwire_space): assert signalwire_space.tokens == {}")
    pytester.runpytest_subprocess().assert_outcomes(passed=1)


def test_a_run_that_does_not_use_it_does_not_pay_for_it(pytester, monkeypatch) -> None:
    # The plugins of others may import what they like.
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makepyfile("def test_it(): pass")
    code = (
        "import sys, pytest\n"
        f"assert pytest.main({[*PLUGIN]!r}) == 0\n"
        "assert 'signalwire_tokens._pytest_plugin' in sys.modules\n"
        "print({'httpx', 'attrs', 'signalwire_rest'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout.splitlines()[-1:]) == (0, ["set()"]), done.stdout + done.stderr


def test_the_package_names_what_it_has_and_refuses_the_rest() -> None:
    assert {*signalwire_tokens.__all__} <= {*dir(signalwire_tokens)}
    assert not hasattr(signalwire_tokens, "nonsense")


def test_the_users_code_finds_the_space_by_the_environment(run) -> None:
    run(
        """
        import asyncio
        from signalwire_tokens import AsyncProjectTokens, ProjectTokens

        def test_sync(signalwire_space):
            with ProjectTokens() as tokens:
                created = tokens.create("ci", ["fax"])
            assert signalwire_space.tokens[created.id].name == "ci"

        def test_async_and_fresh(signalwire_space):
            assert signalwire_space.tokens == {}

            async def mint():
                async with AsyncProjectTokens() as tokens:
                    return await tokens.create("ci", ["fax"])

            created = asyncio.run(mint())
            assert list(signalwire_space.tokens) == [created.id]
        """
    ).assert_outcomes(passed=2)


def test_faults_are_scripted(run) -> None:
    run(
        """
        import pytest
        from signalwire_tokens import APITimeoutError, AuthenticationError, ProjectTokens

        def test_commit_then_timeout(signalwire_space):
            signalwire_space.fail_next(timeout=True, applied=True)
            with ProjectTokens(timeout=0.2) as tokens, pytest.raises(APITimeoutError) as raised:
                tokens.create("ci", ["fax"])
            assert raised.value.may_have_applied
            assert len(signalwire_space.tokens) == 1

        def test_refused(signalwire_space):
            signalwire_space.fail_next(401)
            with ProjectTokens() as tokens, pytest.raises(AuthenticationError):
                tokens.create("ci", ["fax"])
        """
    ).assert_outcomes(passed=2)


def test_nothing_leaves_the_machine(run, monkeypatch) -> None:
    # A proxy on this machine is no way out.
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    run(
        """
        import asyncio, socket, urllib.error, urllib.request
        import anyio, httpx, pytest, requests, trio
        from signalwire_tokens import APIConnectionError, ProjectTokens

        REFUSED = "signalwire_space lets nothing leave this machine"
        OUTSIDE = ["https://example.com", "http://192.0.2.1", "http://[2001:db8::1]"]

        @pytest.mark.parametrize("url", OUTSIDE)
        def test_httpx(signalwire_space, url):
            with pytest.raises(httpx.ConnectError, match=REFUSED):
                httpx.get(url)

        @pytest.mark.parametrize("run", [asyncio.run, trio.run])
        @pytest.mark.parametrize("url", OUTSIDE)
        def test_httpx_async(signalwire_space, url, run):
            async def get():
                async with httpx.AsyncClient() as client:
                    await client.get(url)

            with pytest.raises(httpx.ConnectError) as raised:
                run(get) if run is trio.run else run(get())
            links, link = [], raised.value
            while link:
                links.append(str(link))
                link = link.__cause__ or link.__context__
            assert any(REFUSED in text for text in links)

        def test_others(signalwire_space):
            with pytest.raises(requests.ConnectionError, match=REFUSED):
                requests.get("https://example.com")
            with pytest.raises(urllib.error.URLError, match=REFUSED):
                urllib.request.urlopen("http://example.com")
            with socket.socket() as raw, pytest.raises(ConnectionRefusedError, match=REFUSED):
                raw.connect_ex(("192.0.2.1", 80))
            with pytest.raises(ConnectionRefusedError, match=REFUSED):
                socket.getaddrinfo(host=b"example.com", port=80)

        def test_the_library_says_why(signalwire_space, monkeypatch):
            monkeypatch.setenv("SIGNALWIRE_SPACE", "example")
            with ProjectTokens(max_retries=0) as tokens, pytest.raises(APIConnectionError, match=REFUSED) as raised:
                tokens.create("ci", ["fax"])
            assert not raised.value.may_have_applied

        def test_this_machine_is_free(signalwire_space, tmp_path, monkeypatch):
            monkeypatch.chdir(tmp_path)  # the path of a Unix socket is short
            for host in ("127.0.0.1", "localhost", ""):
                with socket.create_server(("127.0.0.1", 0)) as server:
                    port = server.getsockname()[1]
                    socket.create_connection((host or "0.0.0.0", port), 5).close()
            with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as raw:
                assert raw.connect_ex(server.getsockname()) == 0
            with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as raw:
                server.bind("socket")
                server.listen()
                raw.connect("socket")
            assert socket.getaddrinfo(None, 80)
        """
    ).assert_outcomes(passed=12)


def test_everything_is_put_back(run, monkeypatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("SIGNALWIRE_SPACE", "mine")
    run(
        """
        import os, socket

        before = socket.getaddrinfo, socket.socket.connect, socket.socket.connect_ex

        def test_with(signalwire_space):
            assert "HTTPS_PROXY" not in os.environ
            assert os.environ["SIGNALWIRE_SPACE"].startswith("http://127.0.0.1:")

        def test_without():
            assert (socket.getaddrinfo, socket.socket.connect, socket.socket.connect_ex) == before
            assert os.environ["HTTPS_PROXY"] == "http://127.0.0.1:9"
            assert os.environ["SIGNALWIRE_SPACE"] == "mine"
            assert "SIGNALWIRE_API_TOKEN" not in os.environ
        """
    ).assert_outcomes(passed=2)


def test_it_explains_itself(pytester) -> None:
    shown = pytester.runpytest_subprocess("--fixtures", "-q")
    shown.stdout.fnmatch_lines(["signalwire_space*", "*Serve a fresh FakeSpace*"])
    assert os.environ.get("SIGNALWIRE_SPACE") is None
