"""Take SignalWire's docs pages as they are: the page and its OpenAPI description, byte for byte except for CRLF.

Usage: python scripts/vendor_spec.py [SOURCE]

SOURCE is where the pages are, a folder or an https URL that ends in a slash; or the page create-token alone. All are
taken, or none. Nothing is generated from them; `make update-spec` takes them with all that follows.
"""

import contextlib
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import httpx
from openapi_spec_validator import validate
from openapi_spec_validator.validation.exceptions import OpenAPIValidationError, ValidatorDetectError
from referencing.exceptions import Unresolvable
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from compare_specs import operations

PUBLISHED = "https://signalwire.com/docs/apis/rest/project-tokens/"
# A description is in a fenced block of any kind. Fences within its texts are indented, so they do not end it.
FENCED = re.compile(
    rb"^(?P<fence>(?P<mark>[`~])(?P=mark){2,})[^\n]*\n(?P<block>.*?)^(?P=fence)(?P=mark)*[ \t]*$",
    re.MULTILINE | re.DOTALL,
)
# The seconds to wait before each retry, unless the site names a wait, and the longest wait that it may name.
WAITS, LONGEST_WAIT = (2, 8, 30), 60
PASSING = frozenset({429, 500, 502, 503, 504})
MOST_REDIRECTS = 5


class PageError(Exception):
    """A page cannot be read, or is not the page that is wanted."""


class MissingPageError(PageError):
    """There is no such page."""


@attrs.frozen
class Page:
    """A docs page: its name, the operation that it describes, and where the description and the page are kept."""

    name: str
    method: str
    path: str
    spec: str

    @property
    def copy(self) -> str:
        """Where the page itself is kept."""
        return f"tests/data/{self.name}.md"


TOKEN = "/api/project/tokens/{token_id}"  # noqa: S105 - a path
PAGES = (
    Page("create-token", "post", "/api/project/tokens", "openapi.yaml"),
    Page("update-token", "patch", TOKEN, "openapi/update-token.yaml"),
    Page("delete-token", "delete", TOKEN, "openapi/delete-token.yaml"),
)


@attrs.frozen
class Taken:
    """A page that was read, its description, and a note about it."""

    page: Page
    content: bytes
    spec: bytes
    note: str = ""


def take(source: str, root: Path, sleep: Callable[[float], object] = time.sleep) -> tuple[list[Taken], list[str]]:
    """Return the pages at `source`, and notes about those that are not there.

    The page create-token must be there, and those that `root` has taken before. The overlay replaces any other.
    """
    if not (source.endswith("/") or Path(source).is_dir()):
        return [taken(PAGES[0], source, sleep)], []
    found, missing = [], []
    for page in PAGES:
        address = f"{source.removesuffix('/')}/{page.name}.md"
        try:
            found.append(taken(page, address, sleep))
        except MissingPageError as error:
            if page is PAGES[0] or (root / page.spec).exists():
                raise
            missing.append(f"There is no page {address}, so the overlay serves in its place ({error}).")
    return found, missing


def taken(page: Page, address: str, sleep: Callable[[float], object]) -> Taken:
    """Read one page; raise PageError if it is not the one that is wanted."""
    try:
        raw = read(address, sleep)
        content = raw.replace(b"\r\n", b"\n")
        spec = extract(content)
        check(page, spec)
    except PageError as error:
        raise type(error)(f"{address}: {error}") from error
    crlf = f"The lines of {address} end with CRLF; they are kept with LF." if content != raw else ""
    return Taken(page, content, spec, crlf)


def read(address: str, sleep: Callable[[float], object] = time.sleep) -> bytes:
    """Return the bytes at a path or an https URL; raise PageError if they cannot be had."""
    if "://" not in address:
        try:
            return Path(address).read_bytes()
        except OSError as error:
            raise (MissingPageError if isinstance(error, FileNotFoundError) else PageError)(error.strerror) from error
    if not address.startswith("https://"):
        raise PageError("not an https URL")
    try:
        with httpx.Client(timeout=30) as client:
            response = patiently(client, address, sleep)
    except (httpx.TransportError, httpx.InvalidURL) as error:
        raise PageError(str(error)) from error
    if response.is_success:
        return response.content
    answer = f"HTTP {response.status_code} {response.reason_phrase}"
    raise (MissingPageError if response.status_code in {404, 410} else PageError)(answer)


def patiently(client: httpx.Client, address: str, sleep: Callable[[float], object]) -> httpx.Response:
    """Get an address, and retry failures that may be temporary."""
    for wait in WAITS:
        named = ""
        with contextlib.suppress(httpx.TransportError):
            response = ask(client, address)
            if response.status_code not in PASSING:
                return response
            named = response.headers.get("retry-after", "")
        sleep(min(int(named), LONGEST_WAIT) if re.fullmatch(r"[0-9]{1,6}", named) else wait)
    return ask(client, address)


def ask(client: httpx.Client, address: str) -> httpx.Response:
    """Get an address, and follow redirects within the same site."""
    response = client.get(address)
    for _ in range(MOST_REDIRECTS):
        following = response.next_request
        if following is None:
            return response
        if (following.url.scheme, following.url.netloc) != (response.url.scheme, response.url.netloc):
            raise PageError(f"it leads to another site, {following.url}")
        response = client.send(following)
    raise PageError(f"more than {MOST_REDIRECTS} redirects")


def extract(page: bytes) -> bytes:
    """Return the one OpenAPI block of a Markdown page; raise PageError if there is none, or more than one."""
    blocks = [
        found["block"] for found in FENCED.finditer(page) if re.search(rb"^openapi:", found["block"], re.MULTILINE)
    ]
    if len(blocks) != 1:
        raise PageError(f"expected exactly one fenced block with an OpenAPI description, found {len(blocks)}")
    return blocks[0]


def check(page: Page, spec: bytes) -> None:
    """Raise PageError unless this is a valid description, and that of this page."""
    try:
        document = YAML(typ="safe").load(spec)
    except (YAMLError, ValueError) as error:  # ValueError: a date that does not exist
        raise PageError(f"the OpenAPI block is not valid YAML: {error}") from error
    if not isinstance(document, dict) or not {"openapi", "info", "paths"} <= document.keys():
        raise PageError("the OpenAPI block lacks openapi, info or paths")
    try:
        validate(document)
    except OpenAPIValidationError as error:
        path = list(error.absolute_path)
        what = f"{where(spec, path)}{'.'.join(map(str, path))}: {error.message.splitlines()[0]}"
        raise PageError(f"not valid OpenAPI: {what.removeprefix(': ')}") from error
    except Unresolvable as error:
        raise PageError(f"not valid OpenAPI: nothing is at the reference {error.ref}") from error
    except (ValidatorDetectError, TypeError, KeyError) as error:
        raise PageError(f"not valid OpenAPI: {error}") from error
    wanted = {(page.method, re.sub(r"\{[^}]*\}", "{}", page.path))}
    found = operations(document)
    if not wanted <= found.keys():
        described = ", ".join(f"{method.upper()} {operation['path']}" for (method, _), operation in found.items())
        raise PageError(f"this page describes {described or 'no operation'}, not {page.method.upper()} {page.path}")


def where(spec: bytes, path: list[Any]) -> str:
    """Return the line of a part of a block, or of the nearest part around it that has a line."""
    document = YAML().load(spec)  # knows its lines
    line = 0
    for key in path:
        try:
            line = (document.lc.item if isinstance(key, int) else document.lc.key)(key)[0] + 1
            document = document[key]
        except (AttributeError, LookupError, TypeError):
            break
    return f"line {line} of the block, " if line else ""


def main(source: str = PUBLISHED) -> None:
    root = Path()
    try:
        found, notes = take(source, root)
    except PageError as error:
        sys.exit(f"vendor_spec: nothing was taken: {error}")
    for one in found:
        for target, content in ((one.page.spec, one.spec), (one.page.copy, one.content)):
            (root / target).parent.mkdir(parents=True, exist_ok=True)
            (root / target).write_bytes(content)
    for note in filter(None, (*notes, *(one.note for one in found))):
        print(note)
    print(f"Taken: {', '.join(one.page.spec for one in found)}.")
    print("Next: mend what does not fit, and run `make update-spec` for all that follows from it.")


if __name__ == "__main__":
    if len(sys.argv) > 2:
        sys.exit(__doc__)
    main(*sys.argv[1:])
