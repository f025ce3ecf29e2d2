import traceback

import httpx
import pytest

from signalwire_tokens import AsyncProjectTokens, ConfigurationError, ProjectTokens, SecretStr
from signalwire_tokens.testing import FakeSpace

# The vector that SignalWire documents.
PROJECT = "a1b2c3d4-e5f6-7890-abcd-ef1234567890"
TOKEN = "4tjCGnmAeQ0hwFmFDhwfgww880X2lsnuR60VMyasGR3hFpSyvu"
BASIC = (
    "Basic YTFiMmMzZDQtZTVmNi03ODkwLWFiY2QtZWYxMjM0NTY3ODkwOjR0akNHbm1BZVEwaHdGbUZEaHdmZ3d3ODgwWDJsc251"
    "UjYwVk15YXNHUjNoRnBTeXZ1"
)


def sent(flavour, *args, **kwargs):
    """Return the request that a client made with these arguments sends."""
    requests = []

    def respond(request):
        requests.append(request)
        return httpx.Response(204)

    transport = httpx.MockTransport(respond)
    with flavour.connect(*args, transport=transport, **kwargs) as tokens:
        tokens.delete("a1b2c3d4-e5f6-7890-abcd-ef1234567890")
    return requests[0]


@pytest.mark.parametrize("token", [TOKEN, SecretStr(TOKEN)])
def test_basic_authentication_is_as_documented(flavour, token) -> None:
    assert sent(flavour, "example", PROJECT, token).headers["authorization"] == BASIC


def test_what_is_left_out_comes_from_the_environment(flavour, monkeypatch) -> None:
    monkeypatch.setenv("SIGNALWIRE_SPACE", "example.signalwire.com")
    monkeypatch.setenv("SIGNALWIRE_PROJECT_ID", PROJECT)
    monkeypatch.setenv("SIGNALWIRE_API_TOKEN", TOKEN)
    request = sent(flavour)
    assert request.url.host == "example.signalwire.com"
    assert request.headers["authorization"] == BASIC


def test_arguments_win_over_the_environment(flavour, monkeypatch) -> None:
    monkeypatch.setenv("SIGNALWIRE_SPACE", "other")
    monkeypatch.setenv("SIGNALWIRE_PROJECT_ID", "other")
    monkeypatch.setenv("SIGNALWIRE_API_TOKEN", "other")
    request = sent(flavour, "example", PROJECT, TOKEN)
    assert request.url.host == "example.signalwire.com"
    assert request.headers["authorization"] == BASIC


@pytest.mark.parametrize(
    ("space", "origin"),
    [
        ("example", "https://example.signalwire.com"),
        ("my-space", "https://my-space.signalwire.com"),
        ("example/", "https://example.signalwire.com"),
        ("example.signalwire.com", "https://example.signalwire.com"),
        ("example.swire.io", "https://example.swire.io"),
        ("example.test:8443", "https://example.test:8443"),
        ("https://example.signalwire.com", "https://example.signalwire.com"),
        ("https://example.signalwire.com/", "https://example.signalwire.com"),
        ("https://localhost:8443", "https://localhost:8443"),
        ("http://localhost:8000", "http://localhost:8000"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("http://[::1]:8000", "http://[::1]:8000"),
    ],
)
def test_a_space_names_its_origin(flavour, space, origin) -> None:
    request = sent(flavour, space, PROJECT, TOKEN)
    assert str(request.url) == f"{origin}/api/project/tokens/{PROJECT}"
    assert request.headers["host"] == origin.partition("://")[2]


@pytest.mark.parametrize(
    "space",
    [
        "http://example.signalwire.com",
        "http://127.0.0.1.example.com",
        "http://[2001:db8::1]",
        "https://example.signalwire.com/api",
        "https://example.signalwire.com?x=1",
        "https://example.signalwire.com#x",
        "https://user:hunter2@example.signalwire.com",
        "user:hunter2@example.signalwire.com",
        "https://example.signalwire.com:99999",
        "https://example.signalwire.com:",
        "https://",
        "ftp://example.signalwire.com",
        "HTTPS//example",
        "exam_ple",
        "example..com",
        "-example",
        "example.com/path",
        "example//",
        f"{TOKEN}/",
        "a" * 64,
        PROJECT,
        TOKEN,
        "exämple",
        "999.1.1.1",
        "https://[:::]",
        "example\n",
        " ",
        "",
    ],
)
def test_anything_else_is_refused_unsent_and_not_repeated(flavour, space) -> None:
    with pytest.raises(ConfigurationError, match=r"\bspace\b.*SIGNALWIRE_SPACE") as caught:
        sent(flavour, space, PROJECT, TOKEN)
    assert isinstance(caught.value, ValueError)
    assert caught.value.may_have_applied is False
    shown = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=False).format())
    assert "hunter2" not in str(caught.value)
    assert TOKEN not in shown.replace("TOKEN", "")


@pytest.mark.parametrize(
    ("name", "variable", "position"),
    [
        ("space", "SIGNALWIRE_SPACE", 0),
        ("project_id", "SIGNALWIRE_PROJECT_ID", 1),
        ("api_token", "SIGNALWIRE_API_TOKEN", 2),
    ],
)
class TestEachValue:
    def test_missing(self, flavour, name, variable, position) -> None:
        args = ["example", PROJECT, TOKEN]
        args[position] = None
        with pytest.raises(ConfigurationError, match=rf"{name}.*{variable}"):
            sent(flavour, *args)

    def test_empty_never_falls_back(self, flavour, monkeypatch, name, variable, position) -> None:
        monkeypatch.setenv(variable, "set")
        args = ["example", PROJECT, TOKEN]
        args[position] = ""
        with pytest.raises(ConfigurationError, match=rf"argument {name} is empty.*{variable}"):
            sent(flavour, *args)

    def test_empty_variable(self, flavour, monkeypatch, name, variable, position) -> None:
        monkeypatch.setenv(variable, "")
        args = ["example", PROJECT, TOKEN]
        args[position] = None
        with pytest.raises(ConfigurationError, match=rf"variable {variable} is empty.*{name}"):
            sent(flavour, *args)

    @pytest.mark.parametrize("spoilt", ["{}\n", " {}", "{}\u00e9", "a b", "a\x7fb", '"{}"', "'{}'"])
    def test_quotes_white_space_and_other_scripts(self, flavour, name, variable, position, spoilt) -> None:
        args = ["example", PROJECT, TOKEN]
        args[position] = spoilt.format(args[position])
        with pytest.raises(ConfigurationError, match=rf"argument {name}.*{variable}"):
            sent(flavour, *args)

    def test_wrong_type(self, flavour, name, variable, position) -> None:  # noqa: ARG002 - of the class
        args = ["example", PROJECT, TOKEN]
        args[position] = 7
        with pytest.raises(TypeError, match=f"{name} must be a str, not int"):
            sent(flavour, *args)


def test_a_project_id_with_a_colon_would_shift_into_the_token(flavour) -> None:
    with pytest.raises(ConfigurationError, match=r"project_id.*SIGNALWIRE_PROJECT_ID.*colon"):
        sent(flavour, "example", "a:b", TOKEN)


@pytest.mark.parametrize("space", ["https://user:hunter2@example.com", 7])
@pytest.mark.parametrize("token", ["the-secret", b"the-secret", ""])
@pytest.mark.parametrize("client", [ProjectTokens, AsyncProjectTokens])
def test_no_traceback_shows_the_token_even_with_locals(client, space, token) -> None:
    def fail() -> Exception:
        try:
            client(space, PROJECT, token)
        except (ConfigurationError, TypeError) as error:
            return error
        raise AssertionError

    error = fail()
    # The frames of this test hold its own constants; those of the library must not.
    error.__traceback__ = error.__traceback__.tb_next
    shown = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    assert "_credentials.py" in shown
    assert "the-secret" not in shown
    assert "hunter2" not in shown


def test_repr_and_vars_of_a_client_are_safe_to_log(flavour) -> None:
    space = FakeSpace()
    with flavour.on(space) as tokens:
        client = getattr(tokens, "client", tokens)
        shown = f"{client!r} {vars(client)!r}"
    assert "example.signalwire.com" in shown
    assert space.project_id in shown
    assert space.api_token.get_secret_value() not in shown
    assert "Basic" not in shown


def test_a_token_passed_for_the_project_id_is_not_shown(flavour) -> None:
    with flavour.connect("example", "PT-secret", PROJECT) as tokens:
        client = getattr(tokens, "client", tokens)
        assert "PT-secret" not in f"{client!r} {vars(client)!r}"


@pytest.mark.parametrize(
    ("variable", "value"),
    [("ALL_PROXY", "socks5://127.0.0.1:9"), ("HTTPS_PROXY", "ftp://user:hunter2@127.0.0.1:9")],
)
def test_a_proxy_that_cannot_be_used_is_told_at_once(flavour, monkeypatch, variable, value) -> None:
    monkeypatch.setenv(variable, value)
    with (
        pytest.raises(ConfigurationError, match="look at HTTPS_PROXY and ALL_PROXY: ") as caught,
        flavour.connect("example", PROJECT, TOKEN),
    ):
        pass
    assert "hunter2" not in str(caught.value)
    assert caught.value.__context__ is None


@pytest.mark.parametrize("password", ["hunter2#x", "hunter2/x", "hunter2?x"])
def test_no_part_of_a_proxys_password_is_told(flavour, monkeypatch, password) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://user:{password}@proxy.example.com:3128")
    with pytest.raises(ConfigurationError, match="InvalidURL") as caught, flavour.connect("example", PROJECT, TOKEN):
        pass
    shown = "".join(traceback.TracebackException.from_exception(caught.value).format()).replace(password, "")
    assert "hunter" not in shown


@pytest.mark.parametrize(
    ("timeout", "error"),
    [
        *((number, ValueError) for number in (0, -1, 10**400, float("nan"), float("inf"))),
        *((other, TypeError) for other in ("30", None, True)),
    ],
)
def test_a_timeout_is_a_positive_number_of_seconds(flavour, timeout, error) -> None:
    with pytest.raises(error, match="timeout must be"):
        sent(flavour, "example", PROJECT, TOKEN, timeout=timeout)


@pytest.mark.parametrize(
    ("client", "brought"), [(ProjectTokens, httpx.AsyncClient), (AsyncProjectTokens, httpx.Client)]
)
def test_a_client_of_the_other_kind_is_refused(client, brought) -> None:
    with pytest.raises(TypeError, match=r"transport must be an httpx\.\w+, not a <class 'httpx\.\w+'>"):
        client("example", PROJECT, TOKEN, transport=brought())


def test_the_user_agent_names_the_library(flavour) -> None:
    agent = sent(flavour, "example", PROJECT, TOKEN).headers["user-agent"]
    assert agent.startswith("signalwire-tokens/0.")
    assert f" httpx/{httpx.__version__}" in agent
