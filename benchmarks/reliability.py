"""Measures what this library and SignalWire's own SDK do when the network or the service fails.

The server of `tests/faults` plays each fault of the selection on every attempt of one `create`. What each client says
is compared with what the server carried out. Writes `docs/reliability.md`.
"""

from __future__ import annotations

import base64
import json
import os
import platform
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from threading import Timer
from typing import Any

import attrs

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from faults.server import FaultServer
from faults.table import FAULTS, Fault

PROJECT = "a1b2c3d4-e5f6-7890-abcd-ef1234567890"
API_TOKEN = "4tjCGnmAeQ0hwFmFDhwfgww880X2lsnuR60VMyasGR3hFpSyvu"  # noqa: S105 - from the service's documentation
BASIC = base64.b64encode(f"{PROJECT}:{API_TOKEN}".encode()).decode()
# Longer than all attempts of a call, of a second each, and the waits between them.
LIMIT = 10.0
ATTEMPTS = 9
SDK_PYTHON = ROOT / ".venv-sdk" / ("Scripts" if os.name == "nt" else "bin") / "python"
CLIENTS = {
    "signalwire-tokens": Path(sys.executable),
    "signalwire-sdk": SDK_PYTHON,
    "signalwire-sdk, retries=2": SDK_PYTHON,
}
SELECTION = {
    "Connections": [
        "refused",
        "never accepted",
        "reset, request unread",
        "close before minting",
        "close after minting",
        "reset after minting",
        "silent before minting",
        "silent after minting",
        "close in b'HTTP/1.1 200'",
        "silent in the headers",
        "close after a 100",
    ],
    "Statuses": [
        "400, JSON",
        "401, HTML",
        "422, JSON",
        "429, JSON",
        "429, Retry-After '1', before minting",
        "429, Retry-After '3600', before minting",
        "500, HTML, after minting",
        "502, HTML, before minting",
        "502, HTML, after minting",
        "503, empty, after minting",
        "503, Retry-After '1', after minting",
        "503, Retry-After '3600', after minting",
        "504, HTML, after minting",
        "520, HTML, after minting",
        "408, empty, after minting",
        "401 with a bomb",
        "500 of 10 MB",
    ],
    "Redirects to another host": ["301 after minting", "302 before minting", "307 before minting", "308 after minting"],
    "Answers that are no HTTP": [
        "garbage",
        "a body without a head",
        "a body for a header",
        "a header of 1 MB",
        "100,000 headers",
    ],
    "Successes": [
        "status 201",
        "unknown permissions",
        "UTF-8 with a BOM",
        "UTF-16",
        "gzip",
        "102 first",
        "status 204",
        "body b''",
        "HTML",
        "body b'null'",
        "id missing",
        "token missing",
        "token is None",
        "permissions is None",
        "broken UTF-8",
        "broken gzip",
        "a bomb",
        "10 MB behind the token",
        "10 MB in the token",
    ],
    "Transfers": [
        "close in the body, length",
        "close before the last byte, length",
        "close behind the token, length",
        "close before the last byte, chunked",
        "close before the last byte, no length",
        "hold before the last byte, length",
        "chunked in name only",
        "drip in the status line",
        "drip in the headers",
        "drip in the body",
        "drip in chunks",
        "102 for ever",
        "a body without end",
    ],
}


class Worker:
    """A process that makes calls with one of the clients, killed and restarted if a call takes too long."""

    def __init__(self, client: str) -> None:
        self._client = client
        self._start()

    def _start(self) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - our own script
            [CLIENTS[self._client], Path(__file__).with_name("reliability_worker.py"), self._client],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "SIGNALWIRE_PROJECT_ID": PROJECT, "SIGNALWIRE_API_TOKEN": API_TOKEN},
        )

    def call(self, url: str) -> dict[str, Any] | None:
        """Mint a token at `url` and return the outcome, or None if it took longer than the limit."""
        assert self._process.stdin is not None  # noqa: S101 - for the type checker
        assert self._process.stdout is not None  # noqa: S101 - as above
        timer = Timer(LIMIT, self._process.kill)
        timer.start()
        self._process.stdin.write(json.dumps(url) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        in_time = timer.is_alive()
        timer.cancel()
        if in_time and line.endswith("\n"):
            return json.loads(line)
        self.close()
        self._start()
        return None

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()


@attrs.frozen
class Outcome:
    """What a client did under a fault, as a caller sees it and as the server knows it."""

    minted: int
    learns: str
    is_true: bool
    shown: str
    seconds: float | None
    followed: bool

    def __str__(self) -> str:
        duration = f"> {LIMIT:.0f} s" if self.seconds is None else f"{self.seconds:.1f} s"
        minted = f"**{self.minted}**" if self.minted > 1 else str(self.minted)
        extra = ["follows it"] * self.followed + [f"**shows the {self.shown}**"] * bool(self.shown)
        learns = self.learns if self.is_true else f"**{self.learns}**"
        return "; ".join([f"{minted} minted", learns, *extra, duration])


def learned(answer: dict[str, Any] | None, server: FaultServer, elsewhere: FaultServer) -> tuple[str, bool]:
    """Return what a caller learns, and whether it is true of what the server did."""
    minted = len(server.minted)
    if answer is None:
        return "nothing in time", False
    held, claim = answer.get("held"), answer.get("may_have_applied")
    if "result" in answer:
        token = answer["result"].get("token") if isinstance(answer["result"], dict) else None
        if token in elsewhere.minted.values():
            return "success, with another host's token", False
        return ("the token", True) if token in server.minted.values() else ("success, without a token", False)
    if held and any(secret in held for secret in server.minted.values()):
        return "an error that holds the token", True
    if claim is not None:
        return ("an error: may have minted", True) if claim else ("an error: minted nothing", not minted)
    denied = "failed to reach the server" in answer["text"]
    says = "an error: failed to reach the server" if denied else "an error that says nothing of a token"
    return says, not minted


def leaked(answer: dict[str, Any] | None, server: FaultServer) -> str:
    """Name the secrets that an error shows."""
    names = {API_TOKEN: "API token", BASIC: "API token", **dict.fromkeys(server.minted.values(), "new token")}
    for part, where in (("text", "in the text"), ("report", "to an error reporter")):
        found = {name for secret, name in names.items() if answer and secret in answer.get(part, "")}
        if found:
            return f"{' and the '.join(sorted(found))} {where}"
    return ""


def measure(client: str, faults: list[Fault]) -> list[Outcome]:
    """Play every fault to one client."""
    worker = Worker(client)
    # The first call imports and builds what later ones share.
    with FaultServer() as server:
        answer = worker.call(server.url)
        if not answer or "result" not in answer:
            raise SystemExit(f"{client} cannot mint a token on a healthy server: {answer}")
    outcomes = []
    for fault in faults:
        scripts = [] if "opening" in fault.options else [fault.script] * ATTEMPTS
        with FaultServer(name="localhost") as elsewhere, FaultServer(scripts, **fault.options) as server:
            server.elsewhere = elsewhere.url
            answer = worker.call(server.url)
        learns, is_true = learned(answer, server, elsewhere)
        seconds = answer["seconds"] if answer else None
        followed = elsewhere.connections > 0
        outcomes.append(Outcome(len(server.minted), learns, is_true, leaked(answer, server), seconds, followed))
    worker.close()
    return outcomes


def row(*cells: object) -> str:
    """Return a row of a Markdown table."""
    return f"| {' | '.join(str(cell).replace('|', chr(92) + '|') for cell in cells)} |"


def page(results: dict[str, dict[str, Outcome]]) -> str:
    """Return the page about the measurement."""
    summary = {
        "more than one token for one call": lambda outcome: outcome.minted > 1,
        "an untrue result, or an error that says nothing of a token that exists": lambda outcome: (
            not outcome.is_true and outcome.seconds is not None
        ),
        "a secret in the text of an error": lambda outcome: outcome.shown.endswith("in the text"),
        "a secret in the local variables of a traceback": lambda outcome: outcome.shown.endswith("reporter"),
        "a redirect to another host followed": lambda outcome: outcome.followed,
        f"no end within {LIMIT:.0f} seconds": lambda outcome: outcome.seconds is None,
    }
    lines = [
        PAGE.format(
            faults=sum(map(len, SELECTION.values())),
            limit=f"{LIMIT:.0f}",
            ours=version("signalwire-tokens"),
            sdk=sdk_version(),
            python=platform.python_version(),
        ),
        row("Faults that led to", *results),
        row(*["---"] * (len(results) + 1)),
    ]
    for title, counts in summary.items():
        lines.append(row(title, *(sum(map(counts, outcomes.values())) for outcomes in results.values())))
    for group, names in SELECTION.items():
        lines += ["", f"## {group}", "", row("Fault", *results), row(*["---"] * (len(results) + 1))]
        lines += [row(f"`{name}`", *(outcomes[name] for outcomes in results.values())) for name in names]
    return "\n".join(lines) + "\n"


PAGE = """\
<!-- Written by `make reliability`; do not edit. -->

# Reliability

What one call of `create` does under {faults} faults of the network or the service. This library {ours} is measured
beside SignalWire's own Python SDK (`signalwire-sdk` {sdk}), as it comes and with `retries=2`, which makes as many
attempts as this library. All ran on Python {python}.

## How to read it

A server on a raw loopback socket plays the fault on every attempt of the call, and counts the tokens that it mints. A
cell says how many tokens it minted for the one call, what the caller is told, whether an error shows a secret, and how
long the call took with a timeout of one second. Bold is what should not be:

- more than one token minted for one call: nobody knows the secrets of the others;
- an untrue result, or an error that says nothing of a token that exists (no call lists tokens);
- a secret *in the text* of an error or its traceback, which goes into logs, or shown *to an error reporter*, which also
  prints the local variables of each frame;
- no end: the call was stopped after {limit} seconds, and what it would have said is unknown.
  All of this runs over plain HTTP, where a sync client bounds each wait by itself. Over TLS it bounds them
  together, and ends in time where the headers drip.

*An error: may have minted* is this library's `may_have_applied`. Only the server knows the truth there, so it also
stands where nothing was minted. *An error: minted nothing* is a promise, which is checked against the server's count. A
`4xx` counts as a refusal, except for `408`. Faults have the names of `tests/faults/table.py`. The tests play all of
them, and more, to `create`, `update` and `delete`, in sync, in async and over aiohttp.

## How to repeat it

`make reliability` installs the SDK into an environment of its own, measures for about three minutes, and writes this
page. It needs no account and connects to loopback only. Durations vary with the machine, and so does what ends in time.
The other numbers should not vary.

## In sum
"""


def sdk_version() -> str:
    """Return the version of the SDK that is measured."""
    code = "import importlib.metadata as m; print(m.version('signalwire-sdk'))"
    return subprocess.run([SDK_PYTHON, "-c", code], capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603 - our own environment


def main() -> None:
    """Measure, and write the page."""
    by_name = {fault.name: fault for fault in FAULTS}
    faults = [by_name[name] for names in SELECTION.values() for name in names]
    with ThreadPoolExecutor() as pool:
        outcomes = pool.map(lambda client: measure(client, faults), CLIENTS)
        results = {
            client: {fault.name: outcome for fault, outcome in zip(faults, each, strict=True)}
            for client, each in zip(CLIENTS, outcomes, strict=True)
        }
    (ROOT / "docs").mkdir(exist_ok=True)
    (ROOT / "docs" / "reliability.md").write_text(page(results), encoding="utf-8")


if __name__ == "__main__":
    main()
