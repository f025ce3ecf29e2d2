"""The whole table of faults, for every operation and every client, once and for good."""

import base64
import contextlib
import logging
import pickle
import ssl
import threading
import time
import traceback
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar

import anyio
import attrs
import httpx
import httpx_aiohttp
import pytest
import trustme

from signalwire_tokens import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    AsyncProjectTokens,
    AuthenticationError,
    BadRequestError,
    InternalServerError,
    InvalidResponseError,
    NotFoundError,
    PermissionDeniedError,
    ProjectTokens,
    RateLimitError,
    SignalWireError,
    UnprocessableEntityError,
)

from .server import FaultServer
from .table import BROKEN, FAULTS, LOST, NO_TOKEN, TOKEN, UNSENT, Fault

PROJECT = "a1b2c3d4-e5f6-7890-abcd-ef1234567890"
API_TOKEN = "4tjCGnmAeQ0hwFmFDhwfgww880X2lsnuR60VMyasGR3hFpSyvu"
BASIC = base64.b64encode(f"{PROJECT}:{API_TOKEN}".encode()).decode()
# What a loaded machine may add to a call.
SLACK = 20.0
TESTS = str(Path(__file__).parent)

CALLS = {
    "create": lambda tokens, _: tokens.create("ci", ["fax"]),
    "update": lambda tokens, token_id: tokens.update(token_id, name="ci"),
    "delete": lambda tokens, token_id: tokens.delete(token_id),
}
KINDS = {
    400: BadRequestError,
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    422: UnprocessableEntityError,
    429: RateLimitError,
}
FLAVOURS = ("sync", "asyncio", "aiohttp")


class TooSlowError(BaseException):
    """The machine was so busy that a request timed out before the server had seen or answered it."""


@attrs.define
class Cell:
    """One call of the table, and what came of it."""

    fault: Fault
    operation: str
    flavour: str
    always: bool
    scripts: list = attrs.field(factory=list)
    server: FaultServer = None
    timeout: float = 30.0
    max_retries: int = 2
    waits: list[float] = attrs.field(factory=list)
    result: object = None
    error: BaseException | None = None
    seconds: float = 0.0
    client: str = ""
    tls: ClassVar[ssl.SSLContext] = None

    def __str__(self) -> str:
        return f"{self.operation}, {self.flavour}, {'always' if self.always else 'once'}"

    def run(self) -> None:
        """Make the call against a server of its own."""
        if self.fault.slow:
            # What the server sends must arrive in time on a loaded machine.
            self.timeout = 0.3 if {*self.fault.sights} <= {LOST, UNSENT} else 1.0
            self.max_retries = 1
        timeout, begun = self.timeout, time.time()
        while not self._run() and timeout < 60:
            # Once more, with more time for the server, and as if nothing had been.
            self.timeout, timeout = timeout * 4, timeout * 4
            self.waits, self.result, self.error = [], None, None
            for handler in logging.getLogger().handlers:
                handler.forget(threading.get_ident(), begun)

    def _run(self) -> bool:
        """Make the call; tell whether every request came in time to be seen."""
        opened_late = "opening" in self.fault.options
        scripts = self.scripts or ([] if opened_late else [self.fault.script] * (9 if self.always else 1))
        # On plain HTTP the sync client bounds each wait only.
        options = {"tls": Cell.tls, "name": "localhost"} if self.secured else self.fault.options
        with FaultServer(scripts, **options) as self.server:
            try:
                self._run_sync() if self.flavour == "sync" else anyio.run(self._run_async)
            except TooSlowError:
                return False
            seen = not self.countable or self.server.exchanges >= self.attempts
            answered = {LOST, UNSENT} & {*self.fault.sights} or not isinstance(self.error, APITimeoutError)
            return not self.fault.slow or bool(seen and answered)

    @property
    def countable(self) -> bool:
        """Whether the server sees each request as such.

        What is unsent need not reach it, and the script of a warm connection answers two requests.
        """
        return UNSENT not in self.fault.sights and not self.fault.warm

    @property
    def secured(self) -> bool:
        return self.flavour == "sync" and self.fault.name.startswith(("drip", "102 for ever"))

    def _waited(self, tokens, seconds: float) -> None:
        self.waits.append(seconds)
        unseen = self.countable and self.server.exchanges < len(self.waits)
        # A whole token is not waited for again; of a deletion it says nothing.
        late = TOKEN in self.fault.sights and self.operation != "delete"
        if self.fault.slow and (unseen or late):
            raise TooSlowError
        if not self.always:
            self.server.open()
            # The healthy answer must not be late on a loaded machine.
            tokens._timeout = 30.0

    def _run_sync(self) -> None:
        class Tokens(ProjectTokens):
            _sleep = staticmethod(lambda seconds: self._waited(tokens, seconds))
            _random = staticmethod(lambda: 0.5)

        options = {"timeout": self.timeout, "max_retries": self.max_retries}
        with Tokens(self.server.url, PROJECT, API_TOKEN, **options) as tokens:
            if self.fault.warm:
                tokens.update(self.server.token_id, name="w")
            with self._measured(tokens):
                self.result = CALLS[self.operation](tokens, self.server.token_id)

    async def _run_async(self) -> None:
        async def waited(seconds: float) -> None:
            self._waited(tokens, seconds)

        class Tokens(AsyncProjectTokens):
            _sleep = staticmethod(waited)
            _random = staticmethod(lambda: 0.5)

        async with contextlib.AsyncExitStack() as stack:
            transport = None
            if self.flavour == "aiohttp":
                transport = httpx_aiohttp.AiohttpTransport(verify=TRUSTED)
                await stack.enter_async_context(transport)
            options = {"timeout": self.timeout, "max_retries": self.max_retries, "transport": transport}
            tokens = Tokens(self.server.url, PROJECT, API_TOKEN, **options)
            await stack.enter_async_context(tokens)
            if self.fault.warm:
                await tokens.update(self.server.token_id, name="w")
            with self._measured(tokens):
                self.result = await CALLS[self.operation](tokens, self.server.token_id)

    @contextlib.contextmanager
    def _measured(self, tokens):
        start = time.monotonic()
        try:
            yield
        except Exception as error:  # noqa: BLE001 - judged later
            self.error = error
        self.seconds = time.monotonic() - start
        self.client = f"{tokens!r} {tokens} {vars(tokens)}"

    @property
    def attempts(self) -> int:
        return len(self.waits) + 1

    def may_repeat(self, sight: object) -> bool:
        if sight == UNSENT:
            return True
        if self.fault.retry_after[1] > 60:
            return False
        return sight == 429 or (self.operation != "create" and sight in {LOST, BROKEN, 502, 503, 504})

    def futures(self, number: int = 1, *, doubt: bool = False):
        """Yield what may come of the call: the attempts, the last sight or None for success, and what is in doubt."""
        own = self.always or number == 1
        sights = self.fault.sights if own else (TOKEN,)
        if own and self.operation == "delete" and self.flavour == "aiohttp" and self.fault.slow and UNSENT in sights:
            # Nothing tells when a transport that was passed in sends what has no body.
            sights = (*sights, LOST)
        if own and self.operation == "delete" and self.fault.says and TOKEN in sights:
            # A body says nothing of a deletion, whole or cut off.
            sights = (*(sight for sight in sights if sight != TOKEN), NO_TOKEN, BROKEN)
        for sight in sights:
            # A gateway may give a 408 after it has passed the request on.
            refused = isinstance(sight, int) and 400 <= sight < 500 and sight != 408
            unclear = not refused and sight != UNSENT
            silent = sight == NO_TOKEN and not self.fault.says
            gone = self.operation == "delete" and (silent or (sight == 404 and doubt))
            if sight == TOKEN or gone:
                yield number, None, False
            elif number <= self.max_retries and self.may_repeat(sight):
                yield from self.futures(number + 1, doubt=doubt or unclear)
            else:
                yield number, sight, doubt or unclear

    def outcome(self) -> tuple[int, object, bool]:
        """Return what came of the call, in the same terms."""
        match self.error:
            case None:
                sight = None
            case APIStatusError():
                sight = self.error.status_code
            case InvalidResponseError():
                sight = NO_TOKEN
            case _:
                sight = type(self.error)
        return self.attempts, sight, getattr(self.error, "may_have_applied", False)

    def problems(self):
        """Yield what is wrong with what came of the call."""
        server, error = self.server, self.error
        if not isinstance(error, SignalWireError | None):
            yield f"undocumented: {type(error)}"
            return
        if len(server.minted) > (self.operation == "create"):
            yield f"{len(server.minted)} tokens were minted"
        kind = APITimeoutError if self.fault.slow else APIConnectionError
        seen_as = {BROKEN: NO_TOKEN, LOST: kind, UNSENT: kind}
        expected = {(number, seen_as.get(sight, sight), doubt) for number, sight, doubt in self.futures()}
        if self.outcome() not in expected:
            yield f"{self.outcome()}, expected {expected}"
        if error is not None and error.operation != self.operation:
            yield f"the error is about {error.operation}"
        if error is not None and server.applied and not error.may_have_applied:
            yield "it was carried out, and the error denies it"
        if error is not None and error.may_have_applied == ("nothing was" in str(error)):
            yield "the message does not say what may have come of it"
        if error is None and not server.applied:
            yield "it was not carried out, and no error says so"
        if error is None and self.operation != "delete" and not self._is_ours(self.result.token):
            yield "the token is not the server's"
        yield from self._details()

    def _is_ours(self, secret) -> bool:
        return secret.get_secret_value() in self.server.secrets()

    def _details(self):
        server, error = self.server, self.error
        if isinstance(error, InvalidResponseError):
            body = error.body.get_secret_value()
            if len(body) > 1024 * 1024:
                yield f"{len(body)} characters of the body were kept"
            if self.fault.secret_sent and not any(secret in body for secret in server.secrets()):
                yield "the body that was kept lacks the secret"
            if self.fault.secret_sent and error.token is not None and not self._is_ours(error.token):
                yield "the token that could be read is not the server's"
        if isinstance(error, APIStatusError):
            wanted = InternalServerError if error.status_code >= 500 else KINDS.get(error.status_code, APIStatusError)
            if type(error) is not wanted:
                yield f"{error.status_code} is a {type(error)}"
        waits = [max(self.fault.retry_after[0], 0.5 * 0.5 * 2**number) for number in range(len(self.waits))]
        if self.waits != waits:
            yield f"waited {self.waits} s, expected {waits}"
        if self.seconds > self.attempts * self.timeout + SLACK:
            yield f"took {self.seconds:.1f} s"
        if self.countable and server.exchanges != self.attempts:
            yield f"{server.exchanges} requests for {self.attempts} attempts: {bytes(server.received)!r}"


class Records(logging.Handler):
    """Keeps all that was logged, as a handler could show it."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    def forget(self, thread: int, since: float) -> None:
        """Drop what a thread has logged since a time."""
        with self.lock:
            self.records[:] = [r for r in self.records if r.thread != thread or r.created < since]


TRUSTED = httpx.create_ssl_context()


@pytest.fixture(scope="module", autouse=True)
def authority(tmp_path_factory):
    """A certificate authority that the clients trust, and a server of it."""
    ca, path = trustme.CA(), tmp_path_factory.mktemp("authority") / "ca.pem"
    ca.cert_pem.write_to_path(path)
    Cell.tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ca.issue_cert("localhost").configure_cert(Cell.tls)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(path))
        yield


@pytest.fixture(scope="module", autouse=True)
def elsewhere():
    """Another host, where redirects lead."""
    with FaultServer(name="localhost") as server:
        FaultServer.elsewhere = server.url
        yield server
    FaultServer.elsewhere = ""


@pytest.fixture(scope="module", params=FAULTS, ids=lambda fault: fault.name)
def ran(request):
    """All cells of a fault after their calls, and what was logged and warned meanwhile."""
    fault = request.param
    cells = [Cell(fault, operation, flavour, always=False) for operation in CALLS for flavour in FLAVOURS]
    if not fault.warm:
        # Where nothing is sent again it makes no difference what the server would do next.
        repeated = [cell for cell in cells if any(map(cell.may_repeat, fault.sights))]
        cells += [attrs.evolve(cell, always=True, waits=[]) for cell in repeated]
    # Those that wait may wait together; the others would only contend for the interpreter.
    workers = len(cells) if fault.slow else 1
    handler = Records()
    root = logging.getLogger()
    before = root.handlers, root.level
    # In the place of pytest's own handlers, which format every record.
    root.handlers = [handler]
    # Not the attribute: loggers remember what is enabled until setLevel is called.
    root.setLevel(logging.DEBUG)
    try:
        with warnings.catch_warnings(record=True) as caught, ThreadPoolExecutor(workers) as pool:
            warnings.simplefilter("always")
            list(pool.map(Cell.run, cells))
    finally:
        root.handlers = before[0]
        root.setLevel(before[1])
    return cells, handler.records, caught


def test_the_outcome_is_told_truly_and_nothing_is_minted_twice(ran, elsewhere) -> None:
    cells, records, _ = ran
    assert not elsewhere.connections
    problems = [f"{cell}: {problem}; {cell.error!r}" for cell in cells for problem in cell.problems()]
    assert not problems, "\n".join(problems)
    warnings = [record for record in records if (record.name, record.levelname) == ("signalwire_tokens", "WARNING")]
    retries = [record for record in warnings if hasattr(record, "retry_in")]
    assert len(retries) == sum(len(cell.waits) for cell in cells)
    # What a token may have come of is logged, too.
    unknown = [cell for cell in cells if getattr(cell.error, "may_have_applied", False)]
    assert len(warnings) - len(retries) == len(unknown)
    successes = [record for record in records if (record.name, record.levelname) == ("signalwire_tokens", "INFO")]
    assert len(successes) == sum((cell.error is None) + cell.fault.warm for cell in cells)


def shown(error: BaseException):
    """Yield all that a log, an error reporter or a pickle could make of an error and what is behind it."""
    seen = []
    pending = [error]
    while pending:
        link = pending.pop()
        if link is None or any(link is known for known in seen):
            continue
        seen.append(link)
        pending += [link.__cause__, link.__context__, *getattr(link, "exceptions", ())]
        yield f"{link} {link!r} {link.args} {vars(link)} {getattr(link, '__notes__', '')}"
        stack = traceback.StackSummary.extract(traceback.walk_tb(link.__traceback__), capture_locals=True)
        # The frames of the tests hold the secrets.
        yield "".join(traceback.StackSummary.from_list([f for f in stack if not f.filename.startswith(TESTS)]).format())
    yield "".join(traceback.format_exception(error))
    yield repr(pickle.dumps(error))


def test_no_secret_is_shown(ran) -> None:
    cells, records, caught = ran
    texts = {f"{cell}: what the client shows": cell.client for cell in cells}
    texts |= {f"{cell}: what the error shows": "\n".join(shown(cell.error)) for cell in cells if cell.error}
    texts |= {f"warning {number}": str(warning) for number, warning in enumerate(caught)}
    for number, record in enumerate(records):
        # Its text is not ours to change.
        if cells[0].fault.misplaced and record.name.startswith("httpcore") and ".failed exception=" in record.msg:
            continue
        texts[f"log record {number} of {record.name}"] = f"{record.getMessage()} {vars(record)}"
    secrets = {API_TOKEN, BASIC, BASIC[4:-4]}.union(*(cell.server.secrets() for cell in cells))
    leaks = []
    if any(secret in "\n".join(texts.values()) for secret in secrets):
        for where, text in texts.items():
            found = next((secret for secret in secrets if secret in text), None)
            if found:
                start = text.index(found)
                leaks.append(f"{where}: ...{text[max(0, start - 200) : start + 20]!r}...")
    assert not leaks, "\n".join(leaks[:5])


LIMITED = "429, JSON"
CLOSED = "close after minting"
CUT = "close before the last byte, length"
BUSY = "503, HTML, before minting"


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize(
    ("operation", "faults", "outcome"),
    [
        ("create", [LIMITED, LIMITED], (3, None, False)),
        ("create", [LIMITED, CLOSED], (2, APIConnectionError, True)),
        ("create", [LIMITED, BUSY], (2, 503, True)),
        ("create", [LIMITED, CUT], (2, NO_TOKEN, True)),
        ("update", [CLOSED, CUT], (3, None, False)),
        ("update", [CLOSED, "401, JSON"], (2, 401, True)),
        ("update", [BUSY, "404, JSON"], (2, 404, True)),
        ("update", [CUT, "422, JSON"], (2, 422, True)),
        ("update", [LIMITED, "404, JSON"], (2, 404, False)),
        ("update", [CLOSED, LIMITED, LIMITED], (3, 429, True)),
        ("update", [CLOSED, "429, Retry-After '3600', before minting"], (2, 429, True)),
        ("delete", [CLOSED], (2, None, False)),
        ("delete", [BUSY, "404, HTML"], (2, None, False)),
        ("delete", [BUSY, LIMITED, "404, empty"], (3, None, False)),
        ("delete", [LIMITED, "404, JSON"], (2, 404, False)),
        ("delete", ["404, JSON"], (1, 404, False)),
        ("delete", [CLOSED, "403, HTML"], (2, 403, True)),
    ],
)
def test_a_doubt_once_raised_stays(flavour, operation, faults, outcome) -> None:
    by_name = {fault.name: fault for fault in FAULTS}
    scripts = [by_name[name].script for name in faults]
    cell = Cell(by_name[faults[0]], operation, flavour, always=False, scripts=scripts)
    cell.run()
    assert cell.outcome() == outcome
    assert len(cell.server.minted) <= 1
