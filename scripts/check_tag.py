"""Fail unless a tag names the version to be released, and the changelog has its section.

Usage: python scripts/check_tag.py TAG
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def main(tag: str) -> None:
    client = (ROOT / "wrapper/signalwire_tokens/_sending.py").read_text(encoding="utf-8")
    version = re.search(r'^__version__ = "(.+)"$', client, re.MULTILINE)
    if not version or tag != f"v{version[1]}":
        sys.exit(f"check_tag: the tag is {tag!r}, and the version is {version and version[1]!r}")
    if f"\n## [{version[1]}]" not in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"):
        sys.exit(f"check_tag: CHANGELOG.md has no section [{version[1]}]")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
