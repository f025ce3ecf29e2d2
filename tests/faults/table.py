"""The faults: what a server does to a request, and what a client can see of it."""

from __future__ import annotations

import contextlib
import gzip
import json
import zlib
from typing import TYPE_CHECKING, Any

import attrs

from .server import Exchange, head, reply

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .server import Script

    Token = dict[str, Any]
    Body = Callable[[Token], bytes]

# What a client can see of an attempt: besides these, a status as a number.
TOKEN = "a whole token"
NO_TOKEN = "a success without a whole token"
BROKEN = "a success whose transfer broke off without a whole token"
LOST = "no answer after sending"
UNSENT = "nothing was sent"
Sight = str | int

MEBIBYTE = 1024 * 1024


@attrs.frozen
class Fault:
    """One way to fail.

    Attributes:
        sights: What a client may see of it; several where a race or the client's parser decides.
        slow: It ends with the client's timeout.
        secret_sent: A success came with the secret in plain text: the error must hold it.
        misplaced: The secret stands where HTTP has headers or chunk sizes; httpcore logs these at DEBUG.
        warm: The connection has served a request before.
        says: Its success has a body, which says nothing of a deletion.
        retry_after: The seconds that the answer asks to wait, at least and at most.
        options: Settings of the server.
    """

    name: str
    script: Script
    sights: tuple[Sight, ...]
    slow: bool = False
    secret_sent: bool = False
    misplaced: bool = False
    warm: bool = False
    says: bool = False
    retry_after: tuple[float, float] = (0, 0)
    options: dict[str, Any] = attrs.field(factory=dict)


def dump(token: Token) -> bytes:
    return json.dumps(token).encode()


def connections() -> Iterator[Fault]:  # noqa: C901 - a list
    """Connections that fail before or instead of an answer."""

    def ending(end: str, *, unread: bool = False, applied: bool = False, said: bytes = b"") -> Script:
        def script(exchange: Exchange) -> None:
            if unread:
                exchange.await_whole()
            else:
                exchange.read()
            if applied:
                exchange.apply()
            exchange.send(said)
            getattr(exchange, end)()

        return script

    yield Fault("refused", Exchange.close, (UNSENT,), options={"opening": "closed"})
    yield Fault("never accepted", Exchange.close, (UNSENT,), slow=True, options={"opening": "full"})
    for end in ("close", "reset"):
        # The client may have begun to send.
        yield Fault(f"{end} at accept", getattr(Exchange, end), (UNSENT, LOST), options={"at_accept": True})
        yield Fault(f"{end}, request unread", ending(end, unread=True), (LOST,))
        yield Fault(f"{end} before minting", ending(end), (LOST,))
        yield Fault(f"{end} after minting", ending(end, applied=True), (LOST,))
    yield Fault("silent, request unread", ending("hold", unread=True), (LOST,), slow=True)
    yield Fault("silent before minting", ending("hold"), (LOST,), slow=True)
    yield Fault("silent after minting", ending("hold", applied=True), (LOST,), slow=True)
    for said in (b"H", b"HTTP/1.1 200", b"HTTP/1.1 200 OK\r\nContent-Le", b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n"):
        yield Fault(f"close in {said!r}", ending("close", applied=True, said=said), (LOST,))
    yield Fault(
        "silent in the headers", ending("hold", applied=True, said=b"HTTP/1.1 200 OK\r\nA: "), (LOST,), slow=True
    )
    yield Fault("close after a 100", ending("close", applied=True, said=head(100)), (LOST,))
    yield Fault("silent after a 100", ending("hold", applied=True, said=head(100)), (LOST,), slow=True)

    def stale(wait: bytes = b"") -> Script:
        def script(exchange: Exchange) -> None:
            warm_up(exchange)
            exchange.send(wait)
            exchange.close()

        return script

    # An event loop may not yet have noticed.
    yield Fault("closed while idle", stale(), (TOKEN, LOST), warm=True)
    yield Fault("408 while idle", stale(reply(408, b"", "Connection: close")), (TOKEN, LOST, 408), warm=True)
    for end in ("close", "reset"):

        def reused(exchange: Exchange, end: str = end) -> None:
            warm_up(exchange)
            exchange.await_whole()
            getattr(exchange, end)()

        yield Fault(f"{end} as it is reused", reused, (LOST,), warm=True)


def warm_up(exchange: Exchange) -> None:
    """Answer the request that opened the connection, which is none of those that count."""
    exchange.read()
    exchange.send(reply(200, dump({"id": exchange.server.token_id, "name": "w", "permissions": [], "token": "w"})))


def garbage() -> Iterator[Fault]:
    """Answers that are no HTTP, or doubtful HTTP; some parsers put up with some."""

    def garbled(top: bytes, body: Body = dump) -> Script:
        def script(exchange: Exchange) -> None:
            exchange.read()
            _, token = exchange.apply()
            content = body(token)
            exchange.send(top.replace(b"LENGTH", str(len(content)).encode()) + content)
            exchange.close()

        return script

    yield Fault("garbage", garbled(b"garbage\r\n\r\n", lambda _: b""), (LOST,))
    yield Fault("binary garbage", garbled(bytes(range(256)) * 8, lambda _: b""), (LOST,))
    yield Fault("a TLS alert", garbled(b"\x15\x03\x03\x00\x02\x02\x28", lambda _: b""), (LOST,))
    yield Fault(
        "HTTP/2 frames",
        garbled(b"\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x64"),
        (LOST,),
        misplaced=True,
    )
    yield Fault("a body without a head", garbled(b""), (LOST,), misplaced=True)
    yield Fault(
        "a body for a header",
        garbled(b"HTTP/1.1 200 OK\r\n", lambda token: dump(token) + b"\r\n\r\n"),
        (LOST,),
        misplaced=True,
    )
    yield Fault("a header of 1 MB", garbled(b"HTTP/1.1 200 OK\r\nA: " + b"x" * 1_000_000 + b"\r\n\r\n"), (LOST,))
    yield Fault("100,000 headers", garbled(b"HTTP/1.1 200 OK\r\n" + b"A: x\r\n" * 100_000 + b"\r\n"), (LOST,))
    for line in (b"HTTP/1.1 2000 OK", b"HTTP/1.1 2 OK", b"HTTP/1.1 OK", b"HTTP/9.9 200 OK", b"ICY 200 OK"):
        yield Fault(repr(line), garbled(line + b"\r\nContent-Length: LENGTH\r\n\r\n"), (LOST, TOKEN, 2))
    yield Fault("status 0", garbled(b"HTTP/1.1 000 OK\r\nContent-Length: LENGTH\r\n\r\n"), (LOST, 0))
    yield Fault("status 999", garbled(b"HTTP/1.1 999 OK\r\nContent-Length: LENGTH\r\n\r\n"), (LOST, 999))
    yield Fault(
        "status 101", garbled(b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"), (LOST, 101)
    )
    for line in (
        *(b"no colon", b"A\x00: x", b"A: x\x00", b": x", b"A : x", b" folded", b"A: \xff\xfe", b"A: x\r\n folded"),
        *(b"Content-Length: x", b"Content-Length: -1", b"Content-Length: 1", b"Content-Length: 99999999999999999999"),
        *(b"Transfer-Encoding: x", b"Transfer-Encoding: chunked, chunked", b"Transfer-Encoding: gzip, chunked"),
    ):
        top = b"HTTP/1.1 200 OK\r\nContent-Length: LENGTH\r\n" + line + b"\r\n\r\n"
        yield Fault(f"header {line!r}", garbled(top), (LOST, TOKEN, NO_TOKEN))


def bodies() -> Iterator[Fault]:  # noqa: C901 - a list
    """Successes whose body is odd."""

    def giving(body: Body, *headers: str, status: int = 200, first: bytes = b"") -> Script:
        def script(exchange: Exchange) -> None:
            exchange.read()
            _, token = exchange.apply()
            exchange.send(first + reply(status, body(token), *headers))

        return script

    def holds(name: str, body: Body = dump, *headers: str, **kwargs: Any) -> Fault:
        return Fault(name, giving(body, *headers, **kwargs), (TOKEN,))

    def lacks(name: str, body: Body, *headers: str, secret_sent: bool = True, **kwargs: Any) -> Fault:
        return Fault(name, giving(body, *headers, **kwargs), (NO_TOKEN,), secret_sent=secret_sent)

    for status in (201, 202, 203, 206, 226, 299):
        yield holds(f"status {status}", status=status)
    for status in (100, 102, 103, 199):
        yield holds(f"{status} first", first=head(status, "Link: </x>; rel=preload") * 3)
    yield holds("more keys", lambda token: dump({"created_at": "now", "more": [{"token": "x"}], **token}))
    yield holds("unknown permissions", lambda token: dump({**token, "permissions": ["fsa", "fax"]}))
    yield holds("UTF-8 with a BOM", lambda token: b"\xef\xbb\xbf" + dump(token))
    yield holds(
        "UTF-16", lambda token: json.dumps(token).encode("utf-16"), "Content-Type: application/json; charset=utf-8"
    )
    yield holds("UTF-16 without a BOM", lambda token: json.dumps(token).encode("utf-16-be"))
    yield holds("UTF-32", lambda token: json.dumps(token).encode("utf-32"))
    yield holds("as HTML", dump, "Content-Type: text/html")
    yield lacks("broken UTF-8", lambda token: dump({**token, "name": "é"}).replace(b"\\u00e9", b"\xe9"))
    yield lacks("HTML", lambda _: b"<html><title>Sign in</title></html>", "Content-Type: text/html", secret_sent=False)
    yield lacks("HTML around the token", lambda token: b"<pre>" + dump(token) + b"</pre>")
    for body in (b"", b"null", b"[]", b"{}", b"7", b'"x"', b"\x00", b"[" * 100_000, b"1" * 10_000, b"NaN"):
        yield lacks(f"body {body[:9]!r}", lambda _, body=body: body, secret_sent=False)
    yield lacks("the token in a list", lambda token: dump([token]))
    yield lacks("two tokens", lambda token: dump(token) * 2)
    yield lacks("status 204", lambda _: b"", status=204, secret_sent=False)
    yield lacks("status 205", lambda _: b"", status=205, secret_sent=False)
    for key in ("id", "name", "permissions", "token"):
        yield lacks(
            f"{key} missing",
            lambda token, key=key: dump({k: v for k, v in token.items() if k != key}),
            secret_sent=key != "token",
        )
        for value in (None, 7, True, [], [7], {}, "" if key in {"id", "token"} else [None], [["x"]]):
            if (key, value) != ("permissions", []):
                yield lacks(
                    f"{key} is {value!r}",
                    lambda token, key=key, value=value: dump({**token, key: value}),
                    secret_sent=key != "token",
                )
    yield lacks("id is no UUID", lambda token: dump({**token, "id": "x"}))
    yield lacks("permissions is a string", lambda token: dump({**token, "permissions": "fax"}))

    yield holds("gzip", lambda token: gzip.compress(dump(token)), "Content-Encoding: gzip")
    yield holds("GZip", lambda token: gzip.compress(dump(token)), "Content-Encoding: GZip")
    yield holds("deflate", lambda token: zlib.compress(dump(token)), "Content-Encoding: deflate")
    yield holds("gzip in name only", dump, "Content-Encoding: gzip")
    yield holds("an unknown encoding", dump, "Content-Encoding: zstd-like")
    yield holds("gzip, then garbage", lambda token: gzip.compress(dump(token)) + b"garbage", "Content-Encoding: gzip")
    yield lacks(
        "broken gzip",
        lambda token: gzip.compress(dump(token))[:12] + bytes(99),
        "Content-Encoding: gzip",
        secret_sent=False,
    )
    yield lacks(
        "half a gzip", lambda token: gzip.compress(dump(token))[:30], "Content-Encoding: gzip", secret_sent=False
    )
    yield lacks("brotli", lambda _: b"\x8b\x03\x80{}\x03", "Content-Encoding: br", secret_sent=False)
    bomb = gzip.compress(b" " * 50 * MEBIBYTE, compresslevel=1)
    spaces = b" " * 8 * MEBIBYTE
    gzipped = "Content-Encoding: gzip"
    yield holds("a bomb behind the token", lambda token: gzip.compress(dump(token) + spaces, 1), gzipped)
    yield lacks("a bomb", lambda _: bomb, gzipped, secret_sent=False)
    yield holds("10 MB behind the token", lambda token: dump(token) + b" " * 10_000_000)
    yield lacks("10 MB in the token", lambda token: dump({**token, "more": "x" * 10_000_000}))
    yield lacks("10 MB before the token", lambda token: b" " * 10_000_000 + dump(token), secret_sent=False)


def transfers() -> Iterator[Fault]:  # noqa: C901, PLR0915 - a list
    """Successes whose transfer breaks off, stalls or never ends."""

    def breaking(end: str, *headers: str, body: Body = dump, chunked: bool = False, tail: bytes = b"") -> Script:
        def script(exchange: Exchange) -> None:
            exchange.read()
            _, token = exchange.apply()
            content = body(token)
            if chunked:
                content = b"%x\r\n%b\r\n" % (len(content), content)
                headers_sent = ("Transfer-Encoding: chunked", *headers)
            else:
                headers_sent = headers
            exchange.send(head(200, *headers_sent) + content + tail)
            getattr(exchange, end)()

        return script

    def half(token: Token) -> bytes:
        return dump(token)[:70]

    def most(token: Token) -> bytes:
        return dump(token)[:-1]

    long = "Content-Length: 100000"
    for end in ("close", "hold"):
        slow = end == "hold"
        for framing, headers, chunked in (("length", (long,), False), ("chunked", (), True), ("no length", (), False)):
            kwargs: dict[str, Any] = {"chunked": chunked}
            # Without a length, closing is the end.
            sights = (NO_TOKEN,) if (end, framing) == ("close", "no length") else (BROKEN,)
            yield Fault(
                f"{end} in the body, {framing}", breaking(end, *headers, body=half, **kwargs), sights, slow=slow
            )
            yield Fault(
                f"{end} before the last byte, {framing}",
                breaking(end, *headers, body=most, **kwargs),
                sights,
                slow=slow,
                secret_sent=True,
            )
            yield Fault(f"{end} behind the token, {framing}", breaking(end, *headers, **kwargs), (TOKEN,), slow=slow)
    # The reset may overtake what was sent.
    yield Fault("reset in the body", breaking("reset", long, body=most), (BROKEN, LOST))
    yield Fault("close before the body", breaking("close", long, body=lambda _: b""), (BROKEN,))
    yield Fault("silent before the body", breaking("hold", long, body=lambda _: b""), (BROKEN,), slow=True)
    # A parser may refuse head and body at once.
    yield Fault("chunked in name only", breaking("close", "Transfer-Encoding: chunked"), (BROKEN, LOST), misplaced=True)
    yield Fault("a chunk size that is none", breaking("close", chunked=True, tail=b"zz\r\n"), (TOKEN, LOST))
    yield Fault(
        "a chunk size with the token",
        breaking("close", chunked=True, body=half, tail=b'"token": "PTxx"\r\n'),
        (BROKEN, LOST),
    )
    yield Fault(
        "an answer too many", breaking("close", "Content-Length: 0", body=lambda _: reply(500)), (NO_TOKEN, LOST)
    )

    def dripping(top: bytes, body: Body, framing: Callable[[bytes], bytes] = bytes, at_once: int = 0) -> Script:
        def script(exchange: Exchange) -> None:
            exchange.read()
            _, token = exchange.apply()
            content = framing(body(token))
            exchange.send(top + content[:at_once])
            exchange.drip(content[at_once:])

        return script

    def endless(token: Token) -> bytes:
        return dump({"more": "x" * 1200, **token})

    def chunks(content: bytes) -> bytes:
        return b"".join(b"1\r\n%c\r\n" % byte for byte in content)

    minute = b"A: " + b"x" * 1200
    yield Fault("drip in the status line", dripping(b"", lambda _: b"HTTP/1.1 200 " + b"x" * 1200), (LOST,), slow=True)
    yield Fault("drip in the headers", dripping(b"HTTP/1.1 200 OK\r\n", lambda _: minute), (LOST,), slow=True)
    yield Fault("drip in the body", dripping(head(200, "Content-Length: 2000"), endless), (BROKEN,), slow=True)
    yield Fault("drip until the end", dripping(head(200), endless), (BROKEN,), slow=True)
    chunked = head(200, "Transfer-Encoding: chunked")
    yield Fault("drip in chunks", dripping(chunked, endless, chunks), (BROKEN,), slow=True)
    yield Fault("drip in a chunk", dripping(chunked + b"7d0\r\n", endless), (BROKEN,), slow=True)
    yield Fault("drip in a chunk's size", dripping(chunked, lambda _: b"1;" + b"x" * 1200), (BROKEN,), slow=True)
    yield Fault(
        "drip behind the token",
        dripping(head(200, "Content-Length: 2000"), lambda token: dump(token).ljust(1500), at_once=400),
        (TOKEN,),
        slow=True,
    )

    def processing(exchange: Exchange) -> None:
        exchange.read()
        exchange.apply()
        exchange.drip(head(102) * 1200, len(head(102)))

    yield Fault("102 for ever", processing, (LOST,), slow=True)

    def flood(exchange: Exchange) -> None:
        exchange.read()
        exchange.apply()
        exchange.send(head(200))
        with contextlib.suppress(OSError):
            while not exchange.server.stopping.is_set():
                exchange.send(b"x" * 65536)
        exchange.close()

    yield Fault("a body without end", flood, (NO_TOKEN,))


SHAPES = {
    "JSON": b'{"errors": [{"type": "t", "code": "c", "message": "No.", "attribute": "name", "url": "u"}]}',
    "HTML": b"<html><h1>Bad gateway</h1></html>",
    "empty": b"",
    "wrong shape": b'{"errors": {"errors": [7]}, "error": [null]}',
}
CLIENT_ERRORS = [
    400,
    401,
    402,
    403,
    404,
    405,
    406,
    408,
    409,
    410,
    412,
    413,
    414,
    415,
    418,
    421,
    422,
    423,
    425,
    426,
    428,
    429,
    431,
    451,
    499,
]
SERVER_ERRORS = [500, 501, 502, 503, 504, 505, 507, 508, 511, 520, 521, 522, 523, 524, 525, 526, 527, 530, 598, 599]


def statuses() -> Iterator[Fault]:  # noqa: C901 - a list
    """Statuses that are no success."""

    def failing(status: int, body: bytes, *headers: str, applied: bool = False, end: str = "") -> Script:
        def script(exchange: Exchange) -> None:
            exchange.read()
            if applied:
                exchange.apply()
            exchange.send(reply(status, body, *headers))
            if end:
                getattr(exchange, end)()

        return script

    for shape, body in SHAPES.items():
        # Any other client error after minting would be a lie that no client can see through.
        yield Fault(f"408, {shape}, after minting", failing(408, body, applied=True), (408,))
        for status in CLIENT_ERRORS:
            yield Fault(f"{status}, {shape}", failing(status, body), (status,))
        for status in SERVER_ERRORS:
            for applied, when in ((False, "before"), (True, "after")):
                yield Fault(f"{status}, {shape}, {when} minting", failing(status, body, applied=applied), (status,))
    for status in (401, 500):
        yield Fault(f"{status} of 10 MB", failing(status, b"x" * 10_000_000, applied=status == 500), (status,))
        bomb = gzip.compress(b'{"error": "' + b"x" * 50 * MEBIBYTE, compresslevel=1)
        yield Fault(f"{status} with a bomb", failing(status, bomb, "Content-Encoding: gzip"), (status,))
        yield Fault(f"{status} in UTF-16", failing(status, '{"error": "No."}'.encode("utf-16")), (status,))

    def early(exchange: Exchange) -> None:
        exchange.await_whole()
        exchange.send(reply(413, b"", "Connection: close"))
        exchange.reset()

    yield Fault("413 before the request is read, then a reset", early, (413, LOST))

    for value, least, most in (
        ("0", 0, 0),
        ("1", 1, 1),
        ("60", 60, 60),
        ("61", 61, 61),
        ("3600", 3600, 3600),
        ("1.5", 1.5, 1.5),
        ("Thu, 01 Jan 2099 00:00:00 GMT", 3600, 1e10),
        ("Sat, 01 Jan 2000 00:00:00 GMT", 0, 0),
        *((nonsense, 0, 0) for nonsense in ("soon", "-1", "1e9", "1.", "", "inf", "nan", "1, 2", "9" * 400)),
    ):
        for status, applied in ((429, False), (503, False), (503, True), (500, True)):
            script = failing(status, SHAPES["JSON"], f"Retry-After: {value}", applied=applied)
            when = "after" if applied else "before"
            yield Fault(
                f"{status}, Retry-After {value[:40]!r}, {when} minting", script, (status,), retry_after=(least, most)
            )


def redirects() -> Iterator[Fault]:
    """Redirects; ELSEWHERE stands for another host, which must get nothing."""

    def moved(status: int, location: str, *, applied: bool) -> Script:
        def script(exchange: Exchange) -> None:
            exchange.read()
            if applied:
                exchange.apply()
            exchange.send(reply(status, b"", f"Location: {location.replace('ELSEWHERE', exchange.server.elsewhere)}"))

        return script

    for status in (300, 301, 302, 303, 304, 305, 307, 308):
        for applied, when in ((False, "before"), (True, "after")):
            yield Fault(f"{status} {when} minting", moved(status, "ELSEWHERE/", applied=applied), (status,))
    for location in ("/api/project/tokens", "", "::", "http://[", "file:///etc/passwd", "//"):
        # httpx reads the Location of a redirect that it does not follow, and fails if it cannot.
        sights = (302, LOST) if location == "::" else (302,)
        yield Fault(f"302 to {location!r}", moved(302, location, applied=True), sights)


EMPTY = {"body b''", "status 204", "status 205", "an answer too many", "garbage", "binary garbage", "a TLS alert"}
FAULTS: list[Fault] = [
    attrs.evolve(fault, says=faults in {garbage, bodies, transfers} and fault.name not in EMPTY)
    for faults in (connections, garbage, bodies, transfers, statuses, redirects)
    for fault in faults()
]
