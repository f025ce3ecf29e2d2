"""Extract the OpenAPI description from SignalWire's docs page into openapi.yaml, byte for byte.

Usage: python scripts/vendor_spec.py PAGE [OUTPUT [COPY]]

PAGE is a path or an https URL of the page's Markdown; OUTPUT defaults to openapi.yaml. COPY is a file for the page.
"""

import re
import sys
from pathlib import Path

import httpx
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

# The block holds indented fences of its own, so only a fence in column 0 ends it.
BLOCK = re.compile(rb"^```ya?ml[ \t]*\r?\n(.*?)^```[ \t]*\r?$", re.MULTILINE | re.DOTALL)


class PageError(Exception):
    """The page does not hold exactly one OpenAPI description."""


def read_page(page: str) -> bytes:
    """Return the bytes of `page`, a path or an https URL."""
    if "://" not in page:
        return Path(page).read_bytes()
    if not page.startswith("https://"):
        raise PageError(f"{page} is not an https URL")
    return httpx.get(page, timeout=30).raise_for_status().content


def extract(page: bytes) -> bytes:
    """Return the one OpenAPI block of a Markdown page; raise PageError where there is none, or more than one."""
    blocks = [block for block in BLOCK.findall(page) if re.search(rb"^openapi:", block, re.MULTILINE)]
    if len(blocks) != 1:
        raise PageError(f"expected exactly one fenced yaml block with an OpenAPI description, found {len(blocks)}")
    try:
        document = YAML(typ="safe").load(blocks[0])
    except (YAMLError, ValueError) as error:  # ValueError: a date that does not exist
        raise PageError(f"the OpenAPI block is not valid YAML: {error}") from error
    if not isinstance(document, dict) or not {"openapi", "info", "paths"} <= document.keys():
        raise PageError("the OpenAPI block lacks openapi, info or paths")
    return blocks[0]


def main(page: str, output: str = "openapi.yaml", page_copy: str | None = None) -> None:
    try:
        content = read_page(page)
        spec = extract(content)
    except (PageError, OSError, httpx.HTTPError, httpx.InvalidURL) as error:
        sys.exit(f"vendor_spec: {page}: {error}")
    Path(output).write_bytes(spec)
    if page_copy:
        Path(page_copy).write_bytes(content)


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3, 4):
        sys.exit(__doc__)
    main(*sys.argv[1:])
