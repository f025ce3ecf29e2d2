"""What holds for every answer, not only for those that somebody thought of."""

import codecs
import gzip
import json

import anyio
import httpx
import httpx_aiohttp
import pytest
from hypothesis import HealthCheck, example, given, settings, strategies as st

from signalwire_tokens import AsyncProjectTokens, InvalidResponseError, ProjectTokens, SignalWireError

from .server import FaultServer, head

# The same examples on every run: a test that is red once in a while is no use.
settings.register_profile("same", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
SAME = settings.get_profile("same")
TLS = httpx.create_ssl_context()
ID = "0b1f1f9e-7c1d-4a70-9a3c-0f9f6e4c2d11"
CALLS = {
    "create": lambda tokens: tokens.create("ci", ["fax"]),
    "update": lambda tokens: tokens.update(ID, name="ci"),
    "delete": lambda tokens: tokens.delete(ID),
}


def call(flavour: str, operation: str, url: str, transport=None):
    """Make one call and return its result, or the documented error that it raised; any other goes on."""
    options = {"max_retries": 0, "timeout": 30.0}

    async def acall():
        if flavour == "aiohttp":
            async with httpx_aiohttp.AiohttpTransport(verify=TLS) as aiohttp_transport:
                tokens = AsyncProjectTokens(url, "project", "the-api-token", **options, transport=aiohttp_transport)
                return await CALLS[operation](tokens)
        async with AsyncProjectTokens(url, "project", "the-api-token", **options, transport=transport) as tokens:
            return await CALLS[operation](tokens)

    try:
        if flavour != "sync":
            return anyio.run(acall)
        with ProjectTokens(url, "project", "the-api-token", **options, transport=transport) as tokens:
            return CALLS[operation](tokens)
    except SignalWireError as error:
        return error


def answered(flavour: str, operation: str, status: int, headers: list[tuple[bytes, bytes]], pieces: list[bytes]):
    """Make one call that is answered so, in process."""

    class Body(httpx.SyncByteStream, httpx.AsyncByteStream):
        def __iter__(self):
            return iter(pieces)

        async def __aiter__(self):
            for piece in pieces:
                yield piece

    transport = httpx.MockTransport(lambda _: httpx.Response(status, headers=headers, stream=Body()))
    return call(flavour, operation, "example", transport)


def judge(result, operation: str) -> None:
    """Check that an outcome tells of itself what it must."""
    if isinstance(result, SignalWireError):
        assert result.operation == operation
        assert "the-api-token" not in str(result)
        assert str(result).isprintable()
    else:
        assert (result is None) is (operation == "delete")


flavours = pytest.mark.parametrize("flavour", ["sync", "asyncio"])
wire_flavours = pytest.mark.parametrize("flavour", ["sync", "asyncio", "aiohttp"])
operations = st.sampled_from(sorted(CALLS))
# As on the wire: a line end would end the header.
header_values = st.binary(max_size=20).map(lambda value: value.translate(None, b"\r\n\x00"))
header_names = st.sampled_from(
    [b"content-type", b"content-encoding", b"retry-after", b"location", b"x-request-id", b"set-cookie", b"date", b"x"]
)
known_values = st.sampled_from(
    [b"gzip", b"deflate", b"application/json", b"text/html; charset=utf-16", b"1e400", b"nan"]
)
headers = st.lists(st.tuples(header_names, header_values | known_values), max_size=5)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=10), children, max_size=3),
    max_leaves=5,
)
token_like = st.dictionaries(
    st.sampled_from(["id", "name", "permissions", "token", "error", "errors", "message", "code"]),
    json_values
    | st.just(ID)
    | st.lists(st.text(max_size=5) | st.dictionaries(st.text(max_size=9), json_values), max_size=3),
)
bodies = st.binary(max_size=200) | st.one_of(token_like, json_values).map(json.dumps).map(str.encode)


@flavours
@settings(SAME, max_examples=300)
@given(
    operation=operations,
    status=st.integers(100, 999),
    headers=headers,
    pieces=st.lists(bodies, max_size=3) | bodies.map(gzip.compress).map(lambda body: [body]),
)
def test_any_status_headers_and_body_give_a_documented_outcome(flavour, operation, status, headers, pieces) -> None:
    judge(answered(flavour, operation, status, headers, pieces), operation)


@wire_flavours
@settings(SAME, max_examples=150)
@given(
    operation=operations,
    answer=st.binary(max_size=300)
    | st.builds(lambda junk, rest: head(200)[:junk] + rest, st.integers(0, 40), st.binary(max_size=99))
    | st.builds(
        lambda status, headers, body: b"HTTP/1.1 %03d x\r\n%b\r\n%b" % (status, headers, body),
        st.integers(0, 999),
        st.lists(st.tuples(st.binary(max_size=9), st.binary(max_size=9))).map(
            lambda pairs: b"".join(b"%b: %b\r\n" % pair for pair in pairs)
        ),
        bodies,
    ),
)
def test_any_bytes_on_the_wire_give_a_documented_outcome(flavour, operation, answer) -> None:
    def script(exchange) -> None:
        exchange.read()
        exchange.send(answer)
        exchange.close()

    with FaultServer([script] * 3) as server:
        judge(call(flavour, operation, server.url), operation)


text = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
tokens = st.fixed_dictionaries(
    {
        "id": st.just(ID),
        "name": st.just("ci"),
        "permissions": st.lists(text, min_size=1, max_size=4),
        # Blank or a mask, it is no secret.
        "token": text.filter(lambda secret: any(map(str.isalnum, secret))),
    }
)
ENCODINGS = {
    "utf-8": str.encode,
    "utf-8 with a BOM": lambda text: codecs.BOM_UTF8 + text.encode(),
    "utf-16": lambda text: text.encode("utf-16"),
    "utf-16-le": lambda text: text.encode("utf-16-le"),
    "utf-32": lambda text: text.encode("utf-32"),
}


@flavours
@settings(SAME, max_examples=200)
@given(
    operation=st.sampled_from(["create", "update"]),
    status=st.integers(200, 299),
    token=tokens,
    more=st.dictionaries(
        text.filter(lambda key: key not in {"id", "name", "permissions", "token"}), json_values, max_size=3
    ),
    encoding=st.sampled_from(sorted(ENCODINGS)),
    ascii_only=st.booleans(),
    zipped=st.booleans(),
    headers=st.lists(
        st.tuples(header_names.filter(lambda name: name != b"content-encoding"), header_values), max_size=3
    ),
    cuts=st.lists(st.integers(0, 400), max_size=3).map(sorted),
)
def test_a_token_in_a_success_always_arrives(
    flavour, operation, status, token, more, encoding, ascii_only, zipped, headers, cuts
) -> None:
    body = ENCODINGS[encoding](json.dumps({**more, **token}, ensure_ascii=ascii_only))
    if zipped:
        body, headers = gzip.compress(body), [*headers, (b"content-encoding", b"gzip")]
    pieces = [body[start:end] for start, end in zip([0, *cuts], [*cuts, None], strict=True)]
    created = answered(flavour, operation, status, headers, pieces)
    assert not isinstance(created, SignalWireError), created
    assert str(created.id) == token["id"]
    assert (created.name, list(created.permissions)) == (token["name"], token["permissions"])
    assert created.token.get_secret_value() == token["token"]


@flavours
@settings(SAME, max_examples=200)
@given(status=st.integers(200, 299), body=bodies | tokens.map(json.dumps).map(str.encode), cut=st.integers(1, 30))
@example(status=200, body=b"\xed\xa0\x80\xff", cut=1)
def test_whatever_a_success_holds_is_kept_byte_for_byte(flavour, status, body, cut) -> None:
    body = body[:-cut]
    result = answered(flavour, "create", status, [], [body])
    if isinstance(result, InvalidResponseError):
        assert result.may_have_applied
        assert result.body.get_secret_value().encode("utf-8", "surrogateescape") == body
    else:
        assert json.loads(body)["token"] == result.token.get_secret_value()
