"""Print the fenced blocks of one language from a Markdown file, so that they can be run.

Usage: python scripts/readme_blocks.py FILE LANGUAGE [NUMBER]

NUMBER picks one block, counted from 1; without it all are printed.
"""

import re
import sys
from pathlib import Path


def blocks(markdown: str, language: str) -> list[str]:
    """Return the contents of the fenced blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", markdown, re.MULTILINE | re.DOTALL)


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    found = blocks(Path(sys.argv[1]).read_text(encoding="utf-8"), sys.argv[2])
    print("\n".join(found if len(sys.argv) == 3 else [found[int(sys.argv[3]) - 1]]))
