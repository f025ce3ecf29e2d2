"""The fixture as users have it: in a pytest run of its own."""

import os
import re
import subprocess
import sys

import pytest

import signalwire_tokens

pytest_plugins = ["pytester"]
pytestmark = pytest.mark.slow

PLUGIN = ("-p", "signalwire_tokens._pytest_plugin")
GUARDED = """
import contextlib, socket
import pytest

REFUSED = "signalwire_space lets nothing leave this machine"
refused = lambda: pytest.raises(ConnectionRefusedError, match=REFUSED)
"""


@pytest.fixture
def run(pytester, monkeypatch):
    """Run a test file with the plugin and those that are named."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")

    def run(source, *options):
        pytester.makepyfile(source)
        return pytester.runpytest_inprocess(*PLUGIN, "-W", "error", "--strict-markers", *options)

    return run


def test_installing_the_library_is_enough(pytester, monkeypatch) -> None:
    monkeypatch.delenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", raising=False)
    pytester.makepyfile("def test_it(signalwire_space): assert signalwire_space.tokens == {}")
    pytester.runpytest_subprocess("-p", "no:schemathesis", "-p", "no:hypothesispytest").assert_outcomes(passed=1)


def test_a_run_that_does_not_use_it_does_not_pay_for_it(pytester, monkeypatch) -> None:
    # The plugins of others may import what they like.
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makepyfile("def test_it(): pass")
    code = (
        "import sys, pytest\n"
        f"assert pytest.main({[*PLUGIN]!r}) == 0\n"
        "assert 'signalwire_tokens._pytest_plugin' in sys.modules\n"
        "print({'httpx', 'attrs', 'signalwire_rest', 'uvloop'} & {*sys.modules})"
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
        from signalwire_tokens import APIConnectionError, AuthenticationError, ProjectTokens

        def test_commit_then_disconnect(signalwire_space):
            signalwire_space.fail_next(disconnect=True, applied=True)
            with ProjectTokens() as tokens, pytest.raises(APIConnectionError) as raised:
                tokens.create("ci", ["fax"])
            assert raised.value.may_have_applied
            assert len(signalwire_space.tokens) == 1

        def test_refused(signalwire_space):
            signalwire_space.fail_next(401)
            with ProjectTokens() as tokens, pytest.raises(AuthenticationError):
                tokens.create("ci", ["fax"])
        """
    ).assert_outcomes(passed=2)


def test_a_fault_that_meets_no_request_fails_the_test(run) -> None:
    result = run(
        """
        import pytest

        def test_forgotten(signalwire_space):
            signalwire_space.fail_next(503, times=2)

        def test_on_purpose(signalwire_space):
            signalwire_space.fail_next(503)
            assert signalwire_space.unused_faults == 1
            signalwire_space.clear_faults()

        def test_fails_for_another_reason(signalwire_space):
            signalwire_space.fail_next(503)
            raise ZeroDivisionError

        @pytest.fixture
        def scripted(signalwire_space):
            signalwire_space.fail_next(503)

        @pytest.mark.usefixtures("scripted")
        def test_in_a_fixture():
            pass
        """
    )
    result.assert_outcomes(passed=1, failed=3)
    result.stdout.fnmatch_lines(["2 of the faults scripted by*met no request*signalwire_space.clear_faults()*"])
    # The summary, which is not cut short in CI, repeats them.
    assert len(re.findall(r"^\d of the faults .* met no request", result.stdout.str(), re.MULTILINE)) == 2


class TestNothingLeavesTheMachine:
    def test_sockets(self, run) -> None:
        run(
            GUARDED
            + """
OUTSIDE = [(socket.AF_INET, "192.0.2.1"), (socket.AF_INET, "example.com"), (socket.AF_INET6, "2001:db8::1")]

@pytest.mark.parametrize(("family", "host"), OUTSIDE)
def test_raw(signalwire_space, family, host):
    with socket.socket(family) as tcp:
        for connect in (tcp.connect, tcp.connect_ex):
            with refused():
                connect((host, 80))
    with socket.socket(family, socket.SOCK_DGRAM) as udp:
        with refused():
            udp.connect((host, 9))
        with refused():
            udp.sendto(b"x", (host, 9))
        with refused():
            udp.sendto(b"x", 0, (host, 9))
        with refused():
            udp.sendmsg([b"x"], [], 0, (host, 9))

@pytest.mark.parametrize("host", ["example.com", b"example.com", "EXAMPLE.com.", "192.0.2.1"])
def test_names(signalwire_space, host):
    with refused():
        socket.getaddrinfo(host, 80)

@pytest.mark.parametrize("look_up", [socket.gethostbyname, socket.gethostbyname_ex, socket.gethostbyaddr])
def test_older_names(signalwire_space, look_up):
    with refused():
        look_up("example.com")

def test_what_python_refuses_by_itself(signalwire_space):
    with socket.socket() as tcp, pytest.raises(TypeError):
        tcp.connect("example.com")
    with socket.socket() as tcp, pytest.raises(TypeError):
        tcp.connect((7, 80))
    with socket.socket() as tcp, refused():
        tcp.connect((bytearray(b"example.com"), 80))
"""
        ).assert_outcomes(passed=11)

    def test_clients(self, run, monkeypatch) -> None:
        # A proxy on this machine is no way out.
        monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
        run(
            GUARDED
            + """
import asyncio, urllib.error, urllib.request
import aiohttp, httpx, requests, trio
from signalwire_tokens import APIConnectionError, ProjectTokens

OUTSIDE = ["https://example.com", "http://192.0.2.1", "http://[2001:db8::1]"]

def chain(error):
    while error:
        yield str(error)
        error = error.__cause__ or error.__context__

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
    assert any(REFUSED in text for text in chain(raised.value))

@pytest.mark.parametrize("url", OUTSIDE)
def test_aiohttp(signalwire_space, url):
    async def get():
        async with aiohttp.ClientSession() as client:
            await client.get(url)

    with pytest.raises(aiohttp.ClientConnectionError) as raised:
        asyncio.run(get())
    assert any(REFUSED in text for text in chain(raised.value))

def test_others(signalwire_space):
    with pytest.raises(requests.ConnectionError, match=REFUSED):
        requests.get("https://example.com")
    with pytest.raises(urllib.error.URLError, match=REFUSED):
        urllib.request.urlopen("http://example.com")

def test_the_library_says_why(signalwire_space, monkeypatch):
    monkeypatch.setenv("SIGNALWIRE_SPACE", "example")
    with ProjectTokens(max_retries=0) as tokens, pytest.raises(APIConnectionError, match=REFUSED) as raised:
        tokens.create("ci", ["fax"])
    assert not raised.value.may_have_applied
"""
        ).assert_outcomes(passed=14)

    def test_uvloop(self, run) -> None:
        pytest.importorskip("uvloop")
        run(
            GUARDED
            + """
import asyncio
import aiohttp, uvloop
from signalwire_tokens import AsyncProjectTokens

REAL = {name: getattr(uvloop.Loop, name) for name in ("create_connection", "create_datagram_endpoint", "getaddrinfo")}
HOSTS = ["192.0.2.1", "example.com", "2001:db8::1"]

@pytest.mark.parametrize("host", HOSTS)
def test_refused(signalwire_space, host):
    async def leave():
        loop = asyncio.get_running_loop()
        for leaving in (
            lambda: loop.create_connection(asyncio.Protocol, host, 80),
            lambda: loop.create_connection(asyncio.Protocol, host=host, port=80),
            lambda: loop.create_datagram_endpoint(asyncio.DatagramProtocol, remote_addr=(host, 9)),
            lambda: loop.getaddrinfo(host, 80),
            lambda: asyncio.open_connection(host, 80),
        ):
            with refused():
                await leaving()
        with socket.socket() as tcp:
            tcp.setblocking(False)
            with refused():
                await loop.sock_connect(tcp, (host, 80))
        async with aiohttp.ClientSession() as client:
            with pytest.raises(aiohttp.ClientConnectionError):
                await client.get(f"http://[{host}]" if ":" in host else f"http://{host}")

    uvloop.run(leave())

def test_here(signalwire_space):
    async def stay():
        loop = asyncio.get_running_loop()
        async with AsyncProjectTokens() as tokens:
            await tokens.create("ci", ["fax"])
        transport, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0))
        transport.close()
        assert await loop.getaddrinfo("localhost", 80)

    uvloop.run(stay())
    assert len(signalwire_space.tokens) == 1

def test_put_back():
    assert {name: getattr(uvloop.Loop, name) for name in REAL} == REAL
    assert not REAL.keys() & vars(uvloop.Loop).keys()

@pytest.fixture
def wrapped_before(monkeypatch):
    monkeypatch.setattr(uvloop.Loop, "getaddrinfo", lambda *_: "before")

def test_beside_others(wrapped_before, signalwire_space, monkeypatch):
    uvloop.Loop.create_connection = lambda *_: "meanwhile"

def test_what_others_put_there_stays():
    assert uvloop.Loop.create_connection() == "meanwhile"
    del uvloop.Loop.create_connection
    assert not REAL.keys() & vars(uvloop.Loop).keys()
"""
        ).assert_outcomes(passed=7)

    def test_without_uvloop(self, run, monkeypatch) -> None:
        monkeypatch.setitem(sys.modules, "uvloop", None)
        run("def test_it(signalwire_space): pass").assert_outcomes(passed=1)

    def test_this_machine_is_free(self, run) -> None:
        run(
            GUARDED
            + """
@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "localhost", "LocalHost", "localhost.", "0.0.0.0", ""])
def test_tcp(signalwire_space, host):
    with socket.create_server(("", 0)) as server, contextlib.suppress(socket.gaierror if host == "localhost." else ()):
        socket.create_connection((host or "0.0.0.0", server.getsockname()[1]), 5).close()
        with socket.socket() as raw:
            assert raw.connect_ex((host, server.getsockname()[1])) == 0

def test_tcp_6(signalwire_space):
    if not socket.has_dualstack_ipv6():
        pytest.skip("no IPv6")
    with socket.create_server(("", 0), family=socket.AF_INET6, dualstack_ipv6=True) as server:
        for host in ("::1", "::ffff:127.0.0.1", "::"):
            with socket.socket(socket.AF_INET6) as raw:
                raw.connect((host, server.getsockname()[1]))

def test_udp(signalwire_space):
    with socket.socket(type=socket.SOCK_DGRAM) as server, socket.socket(type=socket.SOCK_DGRAM) as raw:
        server.bind(("127.0.0.1", 0))
        raw.sendto(b"1", server.getsockname())
        raw.sendmsg([b"2"], [], 0, server.getsockname())
        raw.connect(server.getsockname())
        raw.sendmsg([b"3"])
        assert [server.recv(9) for _ in range(3)] == [b"1", b"2", b"3"]

def test_unix(signalwire_space, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the path of a Unix socket is short
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as raw:
        server.bind("socket")
        server.listen()
        raw.connect("socket")

def test_names(signalwire_space):
    assert socket.getaddrinfo(None, 80)
    for look_up in (socket.gethostbyname, lambda name: socket.getaddrinfo(name, 80)):
        for name in ("localhost", "LOCALHOST", "localhost.", "ip6-localhost"):
            # Not every machine has the last one.
            with contextlib.suppress(socket.gaierror):
                assert look_up(name)
"""
        ).assert_outcomes(passed=11)


class TestAllowedHosts:
    TEST = (
        GUARDED
        + """
def reach(host):
    # Whatever becomes of it there.
    with socket.socket(type=socket.SOCK_DGRAM) as udp, contextlib.suppress(OSError):
        udp.setblocking(False)
        try:
            udp.sendto(b"x", (host, 9))
        except ConnectionRefusedError as error:
            return str(error)

def test_setting(signalwire_space):
    assert reach("192.0.2.1") is None
    assert REFUSED in reach("192.0.2.2")

@pytest.mark.signalwire_allow_hosts("192.0.2.2", "2001:DB8:0::1")
def test_marker(signalwire_space):
    assert reach("192.0.2.1") is None
    assert reach("192.0.2.2") is None
    assert REFUSED in reach("192.0.2.3")
    assert socket.getaddrinfo("2001:db8::1", 80)

@pytest.fixture
def names(monkeypatch):
    real = socket.getaddrinfo
    def look_up(host, *args):
        return [(None, None, None, None, ("192.0.2.7", 0))] if host == "Database" else real(host, *args)
    monkeypatch.setattr(socket, "getaddrinfo", look_up)

@pytest.mark.signalwire_allow_hosts("Database", "nowhere.invalid")
def test_a_name(names, signalwire_space):
    assert reach("192.0.2.7") is None
    assert REFUSED in reach("192.0.2.8")
    with pytest.raises(socket.gaierror):
        socket.gethostbyname("nowhere.invalid.")
"""
    )

    def test_the_setting_and_the_marker_let_a_test_reach_them(self, run, pytester) -> None:
        pytester.makeini("[pytest]\nsignalwire_allow_hosts =\n    192.0.2.1\n")
        run(self.TEST).assert_outcomes(passed=3)

    def test_toml(self, run, pytester) -> None:
        pytester.makepyprojecttoml('[tool.pytest]\nsignalwire_allow_hosts = ["192.0.2.1"]\n')
        run(self.TEST, "-k", "test_setting").assert_outcomes(passed=1)

    def test_the_marker_explains_itself(self, run) -> None:
        run("", "--markers").stdout.fnmatch_lines(["@pytest.mark.signalwire_allow_hosts(*hosts): hosts, by name *"])


def test_everything_is_put_back(run, monkeypatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("SIGNALWIRE_SPACE", "mine")
    run(
        """
        import os, socket

        before = socket.getaddrinfo, socket.socket, {**vars(socket.socket)}

        def test_with(signalwire_space):
            assert "HTTPS_PROXY" not in os.environ
            assert os.environ["SIGNALWIRE_SPACE"].startswith("http://127.0.0.1:")

        def test_with_a_patch_of_its_own(signalwire_space, monkeypatch):
            monkeypatch.setattr(socket.socket, "connect", None)
            monkeypatch.setenv("SIGNALWIRE_SPACE", "other")

        def test_with_an_earlier_patch(monkeypatch, signalwire_space):
            monkeypatch.setenv("SIGNALWIRE_SPACE", "other")

        def test_without():
            assert (socket.getaddrinfo, socket.socket, vars(socket.socket)) == before
            assert os.environ["HTTPS_PROXY"] == "http://127.0.0.1:9"
            assert os.environ["SIGNALWIRE_SPACE"] == "mine"
            assert "SIGNALWIRE_API_TOKEN" not in os.environ
            with socket.socket(type=socket.SOCK_DGRAM) as udp:
                try:
                    udp.sendto(b"x", ("192.0.2.1", 9))
                except OSError as error:
                    assert "signalwire_space" not in str(error)
        """
    ).assert_outcomes(passed=4)


def test_beside_pytest_socket(run) -> None:
    pytest.importorskip("pytest_socket")
    run(
        GUARDED
        + """
import pytest_socket

REAL = socket.socket, socket.getaddrinfo

@pytest.fixture
def hosts_allowed():
    pytest_socket.socket_allow_hosts(["127.0.0.1"])
    yield
    pytest_socket._remove_restrictions()

def test_ours_first(signalwire_space, hosts_allowed):
    with pytest.raises(pytest_socket.SocketConnectBlockedError), socket.socket() as raw:
        raw.connect(("192.0.2.1", 80))

def test_theirs_first(hosts_allowed, signalwire_space):
    with refused(), socket.socket() as raw:
        raw.connect(("192.0.2.1", 80))

@pytest.mark.enable_socket
def test_enabled(socket_enabled, signalwire_space):
    with refused(), socket.socket() as raw:
        raw.connect(("192.0.2.1", 80))

def test_no_trace():
    assert (socket.socket, socket.getaddrinfo) == REAL
    assert socket.socket.connect is pytest_socket._true_connect
    assert not {"connect_ex", "sendto", "sendmsg"} & vars(socket.socket).keys()
""",
        "-p",
        "pytest_socket",
        "-W",
        "ignore:A test tried to use",
    ).assert_outcomes(passed=4)


@pytest.mark.parametrize("plugin", ["pytest_httpx", "respx.plugin"])
def test_beside_mocks_of_httpx_a_refused_connection_has_sent_nothing(run, plugin) -> None:
    pytest.importorskip(plugin)
    fixture = "httpx_mock" if plugin == "pytest_httpx" else "respx_mock"
    run(
        f"""
        import pytest
        from signalwire_tokens import APIConnectionError, ProjectTokens

        @pytest.mark.httpx_mock(should_mock=lambda request: False)
        def test_it(signalwire_space, {fixture}, monkeypatch):
            if {fixture == "respx_mock"}:
                {fixture}.route(host="example.signalwire.com").pass_through()
            monkeypatch.setenv("SIGNALWIRE_SPACE", "example")
            refused = pytest.raises(APIConnectionError, match="lets nothing leave this machine")
            with ProjectTokens(max_retries=1) as tokens, refused as raised:
                tokens.create("ci", ["fax"])
            assert not raised.value.may_have_applied
            assert "nothing was sent" in str(raised.value)
        """,
        "-p",
        plugin,
        "-o",
        "markers=httpx_mock respx",
    ).assert_outcomes(passed=1)


def test_it_explains_itself(run) -> None:
    run("", "--fixtures").stdout.fnmatch_lines(["signalwire_space*", "*Serve a fresh FakeSpace*"])
    assert os.environ.get("SIGNALWIRE_SPACE") is None
