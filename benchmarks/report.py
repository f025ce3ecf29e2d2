"""The measurements, compared with the bars and written as a page with a chart."""

import html
import os
import platform
from pathlib import Path
from typing import Any, NamedTuple

# How far a bar may be missed before `make bench-check` fails: load on the machine changes even paired ratios.
MARGIN = 0.10
PLAIN = "async_plain_httpx in an environment without sniffio"
LABELS = {
    "docs_snippet": "requests.post, as SignalWire's page shows it",
    "requests_session": "requests.Session",
    "official_sdk": "signalwire-sdk",
    "plain_httpx": "httpx.Client",
    "generated_client": "the generated client, signalwire_rest",
    "ours": "ProjectTokens",
    "raw_socket": "a raw socket",
    PLAIN: "httpx.AsyncClient, no sniffio",
    "async_plain_httpx": "httpx.AsyncClient, with sniffio",
    "async_ours": "AsyncProjectTokens",
    "async_ours_aiohttp": "AsyncProjectTokens over httpx-aiohttp",
    "async_httpx_aiohttp": "httpx-aiohttp",
    "async_raw_aiohttp": "aiohttp",
}


class Row(NamedTuple):
    """One bar of the table: `bar` is the most that `measured` may be, or the least if `least`."""

    what: str
    bar: float
    measured: float
    spread: str
    least: bool = False
    unit: str = ""

    @property
    def met(self) -> bool:
        return self.measured >= self.bar if self.least else self.measured <= self.bar

    @property
    def held(self) -> bool:
        return self.measured >= self.bar * (1 - MARGIN) if self.least else self.measured <= self.bar * (1 + MARGIN)

    def __str__(self) -> str:
        relation = "≥" if self.least else "≤"
        return f"{'met' if self.met else 'MISSED'}: {self.what}: {self.measured:.2f} (bar: {relation} {self.bar:g})"


def _row(what: str, bar: float, ratio: dict[str, float], *, least: bool = False) -> Row:
    return Row(what, bar, ratio["median"], f"{ratio['low']:.2f} to {ratio['high']:.2f}", least)


def rows(results: dict[str, Any]) -> list[Row]:
    sync, one, many = (results[key]["contenders"] for key in ("sync", "async_1", "async_64"))
    gathered = []
    for transport, key in (("default transport", "many"), ("extra `aiohttp`", "many_aiohttp")):
        what, it = f"10,000 calls gathered, {transport}:", results[key]
        gathered += [
            _row(f"{what} CPU per call against that at 1,000", 1.2, it["ratio"]),
            Row(f"{what} peak memory of the process", 150, it["peak"], "largest of the rounds", unit=" MB"),
        ]
    plain = "plain `httpx.AsyncClient` without `sniffio`"
    default, aiohttp = (many[name]["rate_ratio"] for name in ("async_ours", "async_ours_aiohttp"))
    packages = results["installed"]["packages"]
    return [
        _row("CPU per `create`, sync, against plain `httpx.Client`", 0.75, sync["ours"]["cpu_ratio"]),
        _row("CPU per `create`, sync, `signalwire-sdk` against ours", 1.45, sync["ours"]["sdk_ratio"], least=True),
        _row(f"CPU per `create`, async, 1 in flight, against {plain}", 0.65, one["async_ours"]["cpu_ratio"]),
        _row("throughput, 64 in flight, default transport, against the same", 4, default, least=True),
        _row("throughput, 64 in flight, extra `aiohttp`, against the same", 6, aiohttp, least=True),
        *gathered,
        _row("`import signalwire_tokens` against `import httpx`, CPU", 0.3, results["import"]["ratio"]),
        _row("second client of a process against the first `httpx.Client()`, CPU", 0.1, results["second"]["ratio"]),
        _row("process start to first token over TLS, against plain `httpx`", 1.15, results["first_token"]["ratio"]),
        Row("installed size with dependencies", 10, results["installed"]["megabytes"], "", unit=" MB"),
        Row("installed packages", 10, len(packages), ", ".join(packages)),
    ]


def _table(head: list[str], lines: list[list[str]]) -> str:
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [head, ["---"] * len(head), *lines])


def _contenders(part: dict[str, Any]) -> str:
    lines = [
        [
            LABELS[name],
            f"{it['cpu'] * 1e6:,.0f} µs",
            f"{it['cpu_ratio']['median']:.2f} ({it['cpu_ratio']['low']:.2f} to {it['cpu_ratio']['high']:.2f})",
            f"{it['rate']:,.0f}",
            f"{it['rate_ratio']['median']:.2f} ({it['rate_ratio']['low']:.2f} to {it['rate_ratio']['high']:.2f})",
            f"{it['server']:.0%}",
        ]
        for name, it in part["contenders"].items()
    ]
    return _table(["", "CPU per token", "ratio", "tokens per second", "ratio", "server's core busy"], lines)


def _chart(results: dict[str, Any]) -> str:
    """Draw the CPU time per token of all contenders as horizontal bars; those of this library are filled."""
    groups = [("Sync, 1 in flight", "sync"), ("Async, 1 in flight", "async_1"), ("Async, 64 in flight", "async_64")]
    longest = max(it["cpu"] for _, key in groups for it in results[key]["contenders"].values()) * 1e6
    left, width, line, top = 300, 760, 22, 56
    parts, y = [], top
    for title, key in groups:
        parts.append(f'<text x="16" y="{y}" font-weight="bold">{title}</text>')
        y += 10
        for name, it in sorted(results[key]["contenders"].items(), key=lambda item: -item[1]["cpu"]):
            micros = it["cpu"] * 1e6
            length = micros / longest * (width - left - 80)
            fill = "#222" if "ours" in name else "#fff"
            parts.append(f'<text x="{left - 8}" y="{y + 13}" text-anchor="end">{html.escape(LABELS[name])}</text>')
            parts.append(f'<rect x="{left}" y="{y + 2}" width="{length:.1f}" height="14" fill="{fill}" stroke="#222"/>')
            parts.append(f'<text x="{left + length + 6:.1f}" y="{y + 13}">{micros:,.0f} µs</text>')
            y += line
        y += 26
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {y - 10}" role="img" '
        'font-family="sans-serif" font-size="12" fill="#222">\n'
        "<title>CPU time of the client for one token, in microseconds</title>\n"
        f'<rect width="{width}" height="{y - 10}" fill="#fff"/>\n'
        '<text x="16" y="24" font-size="15">CPU time of the client for one token, in microseconds: shorter is better; '
        "filled: this library</text>\n" + "\n".join(parts) + "\n</svg>\n"
    )


def _machine(results: dict[str, Any]) -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    model = next((line.split(": ")[1] for line in lines if line.startswith("model name")), platform.machine())
    load = (
        f" Load averages when it began and when it ended: {' and '.join(results['load'])}." if results["load"] else ""
    )
    return (
        f"{model}, {os.cpu_count()} cores, {platform.system()} {platform.release()}, "
        f"{platform.python_implementation()} {platform.python_version()}.{load}\n\n"
        + ", ".join(f"{name} {number}" for name, number in results["versions"].items())
        + "."
    )


def write(results: dict[str, Any], docs: Path) -> None:
    """Write the page and its chart."""
    (docs / "performance.svg").write_text(_chart(results))
    bars = [
        [
            row.what,
            f"{'≥' if row.least else '≤'} {row.bar:g}{row.unit}",
            f"{row.measured:.{0 if row.measured == int(row.measured) else 2}f}{row.unit}",
            row.spread,
            "yes" if row.met else "**no**",
        ]
        for row in rows(results)
    ]
    text = (Path(__file__).parent / "performance.md.in").read_text()
    sync, one, many = (results[key] for key in ("sync", "async_1", "async_64"))
    (docs / "performance.md").write_text(
        text.format(
            bars=_table(["what", "bar", "measured", "quartiles of the rounds", "met"], bars),
            machine=_machine(results),
            sync=_contenders(sync),
            async_1=_contenders(one),
            async_64=_contenders(many),
            rounds=sync["rounds"],
            count=sync["count"],
            rounds_64=many["rounds"],
            count_64=many["count"],
            margin=f"{MARGIN:.0%}",
        )
    )
