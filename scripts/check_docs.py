"""Open every page of the built documentation in headless Chromium: as a phone and a desktop, light and dark.

Usage: python scripts/check_docs.py DIRECTORY

Fails on an error in the console, a request to another host, a page wider than the screen, a dark page that is not dark,
a link within the documentation that leads nowhere, and a search that finds nothing. Chromium is looked for on the PATH;
without it nothing is checked.
"""

from __future__ import annotations

import shutil
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urldefrag

from playwright.sync_api import Error, sync_playwright

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

SCREENS = {"phone": {"width": 390, "height": 844}, "desktop": {"width": 1440, "height": 900}}
SWITCHES = (
    "--no-sandbox",  # root may not use it, and CI is root
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # A request to another host fails at once, and is reported.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)


class QuietHandler(SimpleHTTPRequestHandler):
    """Serves files without a log."""

    def log_message(self, *_: object) -> None:
        """Stay quiet."""


def look(browser: Browser, base: str, pages: list[str]) -> list[str]:
    """Open the pages, search, and return what is wrong."""
    with browser:
        return check(browser, base, pages) + found(browser.new_page(), f"{base}search.html?q=rotate")


def check(browser: Browser, base: str, pages: list[str]) -> list[str]:
    """Open the pages and return what is wrong with them."""
    problems: list[str] = []
    targets: dict[str, set[str]] = {}
    links: set[tuple[str, str]] = set()
    for screen, size in SCREENS.items():
        for scheme in ("light", "dark"):
            context = browser.new_context(viewport=size, color_scheme=scheme)
            page = context.new_page()

            def note(problem: str, kind: str = f"{screen}, {scheme}", page: Page = page) -> None:
                problems.append(f"{page.url.removeprefix(base)} ({kind}): {problem}")

            context.on("console", lambda message, note=note: message.type == "error" and note(message.text))
            context.on("weberror", lambda error, note=note: note(str(error.error)))
            context.on("request", lambda request, note=note: is_here(request.url, base) or note(f"asks {request.url}"))
            for name in pages:
                page.goto(base + name)
                for problem in looks(page, dark=scheme == "dark"):
                    note(problem)
                targets[base + name] = set(page.evaluate("[...document.querySelectorAll('[id]')].map(e => e.id)"))
                links |= {(name, link) for link in page.evaluate("[...document.links].map(a => a.href)")}
            page.wait_for_load_state("networkidle")
            context.close()
    for name, link in sorted(links):
        url, fragment = urldefrag(link)
        if url.startswith(base) and (url not in targets or unquote(fragment) not in {"", *targets[url]}):
            problems.append(f"{name}: the link to {link.removeprefix(base)} leads nowhere")
    return problems


def is_here(url: str, base: str) -> bool:
    """Return whether a request stays within the documentation."""
    return url.startswith((base, "data:"))


def looks(page: Page, *, dark: bool) -> Iterator[str]:
    """Yield what is wrong with the look of an open page."""
    width, screen = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    if width > screen:
        yield f"it is {width} pixels wide, and the screen {screen}"
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/[0-9]+/g).slice(0, 3)")
    if (sum(map(int, colour)) < 3 * 128) != dark:
        yield f"its background is rgb({', '.join(colour)})"


def found(page: Page, url: str) -> list[str]:
    """Search and return what is wrong with the result."""
    page.goto(url)
    page.wait_for_selector("#search-results .search-summary:not(:empty)")
    return [] if page.locator("#search-results li").count() else [f"{url} finds nothing"]


def main(directory: Path) -> None:
    """Check the documentation in a directory."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        print("documentation not looked at: there is no chromium on the PATH")
        return
    paths = (path.relative_to(directory).as_posix() for path in directory.rglob("*.html"))
    pages = sorted(path for path in paths if not path.startswith("_"))  # _static is the theme's own
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=str(directory)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    base = f"http://127.0.0.1:{server.server_port}/"
    with sync_playwright() as playwright:
        launch = partial(playwright.chromium.launch, executable_path=chromium, args=list(SWITCHES))
        try:
            problems = look(launch(), base, pages)
        except Error as error:
            # A browser may crash because the machine is busy. If it crashes again, the check fails.
            print(f"the browser failed, once more with a new one: {error}")
            problems = look(launch(), base, pages)
    server.shutdown()
    if problems or not pages:
        sys.exit("\n".join(problems) or f"there is no page in {directory}")
    print(f"{len(pages)} pages, each on a phone and a desktop, light and dark: no problem found")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
