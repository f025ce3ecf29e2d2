"""Run the core's tests with httpx2 in the place of httpx, in a copy that is renamed throughout.

Usage: PYTHON tests/httpx2/run.py, in the project's root, with the Python of an environment that has httpx2 and no httpx

The generator emits httpx2 from its next version on; the day it comes, the wrapper has to follow at once.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

# The core's tests and the fault table.
TESTS = (
    "answers",
    "calls",
    "credentials",
    "lifecycle",
    "messages",
    "models",
    "parity",
    "promises",
    "retries",
    "rotation",
    "transports",
    "turns",
    "wire",
)
RENAMED = {r"\bhttpx\b": "httpx2", r"\bhttpcore\b": "httpcore2"}
# What is made for httpx alone: a transport, in whose place its own is used, and mocks, whose tests are left out.
MADE_FOR_HTTPX = {"httpx_aiohttp": "from httpx2 import AsyncHTTPTransport as AiohttpTransport\n", "respx": ""}
LEFT_OUT = "not aiohttp and not test_respx and not test_pytest_httpx"


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="renamed-") as folder:
        copy = Path(folder)
        for name in ("generated", "wrapper", "tests"):
            shutil.copytree(name, copy / name, ignore=shutil.ignore_patterns("node_modules", "__pycache__"))
        shutil.copy("pyproject.toml", copy)
        for path in copy.rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            for old, new in RENAMED.items():
                text = re.sub(old, new, text)
            path.write_text(text, encoding="utf-8")
        for name, text in MADE_FOR_HTTPX.items():
            (copy / f"tests/{name}.py").write_text(text, encoding="utf-8")
        sources = os.pathsep.join(str(copy / name) for name in ("generated", "wrapper", "tests"))
        tests = [f"tests/test_{name}.py" for name in TESTS]
        command = [sys.executable, "-m", "pytest", "-q", "--numprocesses=auto", "--dist=worksteal", "-k", LEFT_OUT]
        return subprocess.run(
            [*command, *tests, "tests/faults"], cwd=copy, env=os.environ | {"PYTHONPATH": sources}, check=False
        ).returncode


if __name__ == "__main__":
    sys.exit(main())
