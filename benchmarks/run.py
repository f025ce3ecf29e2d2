"""Measure this library beside other ways to create a token. Write docs/performance.md, or with --check test the bars.

Run by `make bench` and `make bench-check`, which set up what is compared.
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import certifi
import report
import trustme
from report import PLAIN

HERE = Path(__file__).parent
BENCH = Path(sys.prefix)
WITHOUT_SNIFFIO = BENCH / "without-sniffio"
# One core for the server and another for the clients, if there are two.
CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
SERVER_CORE, CLIENT_CORE = (CORES[0], CORES[1]) if len(CORES) > 1 else (-1, -1)
CREDENTIALS = "'3e5f0000-0000-4000-8000-000000000000', 'PT0'"

Result = dict[str, float]


def python(environment: Path) -> str:
    return str(environment / "bin" / "python")


@contextlib.contextmanager
def serving(*certificate: str) -> Iterator[int]:
    """Run the server; yield its port."""
    with subprocess.Popen(
        [sys.executable, str(HERE / "server.py"), str(SERVER_CORE), *certificate],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        yield int(server.stdout.readline())
        server.stdin.close()


class Workers:
    """The processes that the contenders run in: one for each environment."""

    def __init__(self, port: int, stack: contextlib.ExitStack) -> None:
        self._port = port
        self._stack = stack
        self._running: dict[Path, subprocess.Popen[str]] = {}

    def run(self, contender: str, count: int, width: int) -> Result:
        name, _, without_sniffio = contender.partition(" ")
        environment = WITHOUT_SNIFFIO if without_sniffio else BENCH
        if environment not in self._running:
            command = [python(environment), str(HERE / "contenders.py"), str(CLIENT_CORE), str(self._port)]
            self._running[environment] = self._stack.enter_context(
                subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            )
            self._stack.callback(self._running[environment].stdin.close)
        worker = self._running[environment]
        print(json.dumps([name, count, width]), file=worker.stdin, flush=True)
        return json.loads(worker.stdout.readline())


def spread(values: list[float]) -> dict[str, float]:
    """Return the median and the quartiles around it."""
    low, middle, high = statistics.quantiles(values, n=4)
    return {"low": low, "median": middle, "high": high}


def compare(contenders: list[str], reference: str, rounds: int, count: int, width: int) -> dict[str, Any]:
    """Let the contenders create `count` tokens each, in turn, `rounds` times."""
    runs: dict[str, list[Result]] = {name: [] for name in contenders}
    with serving() as port, contextlib.ExitStack() as stack:
        workers = Workers(port, stack)
        for _ in range(rounds):
            for name in contenders:
                runs[name].append(workers.run(name, count, width))
    each = {
        name: {
            "cpu": statistics.median(r["cpu"] / r["count"] for r in results),
            "rate": statistics.median(r["count"] / r["wall"] for r in results),
            # The share of its core that the server needs while this contender calls as fast as it can.
            "server": statistics.median(r["server"] / r["wall"] for r in results),
            "cpu_ratio": spread([r["cpu"] / p["cpu"] for r, p in zip(results, runs[reference], strict=True)]),
            "rate_ratio": spread([p["wall"] / r["wall"] for r, p in zip(results, runs[reference], strict=True)]),
        }
        for name, results in runs.items()
    }
    if "official_sdk" in runs:
        pairs = zip(runs["official_sdk"], runs["ours"], strict=True)
        each["ours"]["sdk_ratio"] = spread([sdk["cpu"] / mine["cpu"] for sdk, mine in pairs])
    return {"contenders": each, "rounds": rounds, "count": count}


def many(contender: str, rounds: int) -> dict[str, Any]:
    """Gather 1,000 and 10,000 calls in turn; return the ratio of the costs per call and the peak memory."""
    ratios, peaks = [], []
    with serving() as port:
        for _ in range(rounds):
            # A new process each time, as the system reports only the peak memory of a whole process.
            with contextlib.ExitStack() as stack:
                workers = Workers(port, stack)
                small = workers.run(contender, 1_000, 1_000)
                large = workers.run(contender, 10_000, 10_000)
                ratios.append((large["cpu"] / 10_000) / (small["cpu"] / 1_000))
                peaks.append(large["peak"] / 1024)
    return {"ratio": spread(ratios), "peak": max(peaks)}


def fresh(code: str, **environment: str) -> Result:
    """Run code in a new process; return its duration, its CPU time, and the number that it printed, if any."""
    started, before = time.perf_counter(), os.times()
    run = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return {"wall": time.perf_counter() - started, "cpu": cpu, "said": float(run.stdout or 0)}


def alternate(ours: Callable[[], float], theirs: Callable[[], float], rounds: int, turns: int = 1) -> dict[str, Any]:
    """Run both in turn, `turns` times a round. In each round, the median of each side counts."""
    # The first run may have to read from the disk what later runs find in memory.
    ours(), theirs()
    pairs = []
    for _ in range(rounds):
        both = [(ours(), theirs()) for _ in range(turns)]
        pairs.append([statistics.median(times) for times in zip(*both, strict=True)])
    return {
        "ratio": spread([mine / other for mine, other in pairs]),
        "ours": statistics.median(mine for mine, _ in pairs),
        "theirs": statistics.median(other for _, other in pairs),
    }


def timed(setup: str, statement: str) -> Callable[[], float]:
    """Return a function that times a statement, in CPU seconds of a new process."""
    code = f"import time\n{setup}\nstart = time.process_time()\n{statement}\nprint(time.process_time() - start)"
    return lambda: fresh(code)["said"]


def first_token(rounds: int) -> dict[str, Any]:
    """Time the first token over TLS from the start of the process, with the CA certificates of certifi and one more."""
    with tempfile.TemporaryDirectory() as folder:
        ca, bundle, key = trustme.CA(), Path(folder, "ca.pem"), Path(folder, "server.pem")
        bundle.write_bytes(Path(certifi.where()).read_bytes() + ca.cert_pem.bytes())
        ca.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(key))
        with serving(str(key), str(key)) as port:
            url = f"https://localhost:{port}"
            body = "{'name': 'ci-deploy', 'permissions': ['calling', 'messaging']}"
            theirs = f"import httpx\nhttpx.Client().post('{url}/api/project/tokens', json={body}, auth=({CREDENTIALS}))"
            ours = (
                "from signalwire_tokens import ProjectTokens\n"
                f"ProjectTokens('{url}', {CREDENTIALS}).create('ci-deploy', ['calling', 'messaging'])"
            )
            return alternate(
                lambda: fresh(ours, SSL_CERT_FILE=str(bundle))["wall"],
                lambda: fresh(theirs, SSL_CERT_FILE=str(bundle))["wall"],
                rounds,
                turns=5,
            )


def installed(wheel: Path) -> dict[str, Any]:
    """Install only the wheel into a new environment; return the installed size, and the packages."""
    with tempfile.TemporaryDirectory() as folder:
        uv = str(BENCH / "bin" / "uv")
        subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, folder], check=True)
        subprocess.run([uv, "pip", "install", "--quiet", "--python", folder, str(wheel)], check=True)
        site = next(Path(folder, "lib").glob("python*/site-packages"))
        size = sum(path.stat().st_size for path in site.rglob("*") if path.is_file())
        packages = sorted(path.name.split("-")[0] for path in site.glob("*.dist-info"))
    return {"megabytes": size / 1e6, "packages": packages}


def measure(scale: float) -> dict[str, Any]:
    """Measure everything; `scale` multiplies the numbers of rounds."""

    def rounds(number: int) -> int:
        return max(3, round(number * scale))

    if CLIENT_CORE >= 0:
        # New processes stay on the clients' core, too; the server chooses its own.
        os.sched_setaffinity(0, {CLIENT_CORE})
    load = Path("/proc/loadavg").read_text().split()[:3] if Path("/proc/loadavg").exists() else []
    sync = ["plain_httpx", "docs_snippet", "requests_session", "official_sdk", "generated_client", "ours", "raw_socket"]
    one = [PLAIN, "async_plain_httpx", "async_ours", "async_ours_aiohttp", "async_httpx_aiohttp", "async_raw_aiohttp"]
    space = f"'example', {CREDENTIALS}"
    results = {
        "load": load,
        "sync": compare(sync, "plain_httpx", rounds(60), 50, 1),
        "async_1": compare(one, PLAIN, rounds(60), 50, 1),
        "async_64": compare(one, PLAIN, rounds(20), 512, 64),
        "many": many("async_ours", rounds(5)),
        "many_aiohttp": many("async_ours_aiohttp", rounds(5)),
        "import": alternate(timed("", "import signalwire_tokens"), timed("", "import httpx"), rounds(20)),
        "second": alternate(
            timed(
                f"from signalwire_tokens import ProjectTokens\nfirst = ProjectTokens({space})",
                f"ProjectTokens({space})",
            ),
            timed("import httpx", "httpx.Client()"),
            rounds(20),
        ),
        "first_token": first_token(rounds(20)),
        "installed": installed(next((BENCH / "dist").glob("*.whl"))),
    }
    names = ["aiohttp", "anyio", "attrs", "h11", "httpcore", "httpx", "httpx-aiohttp", "requests", "signalwire-sdk"]
    names += ["signalwire-tokens", "sniffio", "urllib3"]
    results["versions"] = {name: version(name) for name in names}
    if Path("/proc/loadavg").exists():
        results["load"] = [results["load"][0], Path("/proc/loadavg").read_text().split()[1]]
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="hold the bars, with their margins; write nothing")
    parser.add_argument("--scale", type=float, default=1.0, help="stretch the numbers of rounds by this")
    parser.add_argument("--save", type=Path, help="keep the raw results in this file, as JSON")
    arguments = parser.parse_args()
    results = measure(arguments.scale)
    if arguments.save:
        arguments.save.write_text(json.dumps(results))
    if not arguments.check:
        report.write(results, HERE.parent / "docs")
    for row in report.rows(results):
        print(row)
    missed = [row for row in report.rows(results) if not row.held]
    if arguments.check and missed:
        raise SystemExit(f"missed by more than the margin: {', '.join(row.what for row in missed)}")


if __name__ == "__main__":
    main()
