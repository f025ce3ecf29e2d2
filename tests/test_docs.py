"""Every code block of the documentation runs, and so does every example in a docstring."""

import ast
import asyncio
import contextlib
import doctest
import inspect
import io
import re
import subprocess
import sys
from pathlib import Path
from types import FunctionType

import pytest

import signalwire_tokens
from readme_blocks import blocks
from signalwire_tokens import AsyncProjectTokens, Permission, ProjectTokens, testing

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PYTHON = [
    pytest.param(block, id=f"{page.stem}-{number}")
    for page in sorted((ROOT / "docs").glob("*.md"))
    for number, block in enumerate(blocks(page.read_text(encoding="utf-8"), "python"), 1)
    # Those run in its tests.
    if block not in blocks(README, "python")
]


@pytest.mark.parametrize("block", PYTHON)
def test_a_python_block_runs(environment, program, tmp_path, block) -> None:
    file = tmp_path / "test_block.py"
    file.write_text(block, encoding="utf-8")
    tests = "signalwire_space" in block
    # What would change this process runs in one of its own.
    if tests or re.search(r"^import (logging|signal)$", block, re.MULTILINE):
        command = [sys.executable, *(["-m", "pytest", "-q", "-p", "no:schemathesis"] if tests else []), file]
        run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    else:
        run = program(file, env=environment)
    assert (run.returncode, run.stderr) == (0, ""), run.stdout
    assert "1 passed" in run.stdout or not tests
    assert not re.search(r"PT[0-9a-f]{48}", run.stdout)


def test_the_command_line_page_shows_what_the_readme_runs() -> None:
    page = (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8")
    assert blocks(page, "sh") == blocks(README, "sh")


def test_the_recipes_show_every_example() -> None:
    recipes = (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8")
    shown = re.findall(r"^```\{literalinclude\} \.\./examples/(.*)$", recipes, re.MULTILINE)
    assert sorted(shown) == sorted(path.name for path in (ROOT / "examples").glob("*.py"))


def test_a_permission_that_the_spec_gains_is_shown_by_itself() -> None:
    # In a process of its own, as the settings import the library anew.
    table = "import conf; print(conf.permission_table([*conf.signalwire_tokens.Permission, 'brand_new']))"
    command = [sys.executable, "-c", table]
    run = subprocess.run(command, cwd=ROOT / "docs", capture_output=True, text=True, check=True)
    rows = run.stdout.splitlines()[2:]
    assert [row.split("`")[1] for row in rows] == [*Permission, "brand_new"]
    assert rows[-1] == "| `brand_new` | *not described yet* | unchecked |"
    assert "messages" in rows[[*Permission].index("messaging")]


def documented() -> list:
    """The public classes and their public methods, whose docstrings have examples."""
    modules = (signalwire_tokens, testing)
    classes = [thing for m in modules for name in m.__all__ if inspect.isclass(thing := getattr(m, name))]
    methods = [m for c in classes for name, m in inspect.getmembers(c, inspect.isfunction) if not name.startswith("_")]
    return [thing for thing in dict.fromkeys([*classes, *methods]) if ">>>" in (inspect.getdoc(thing) or "")]


class Vault(dict):
    write = dict.__setitem__


class AsyncVault(dict):
    async def write(self, key, secret) -> None:
        self[key] = secret


@pytest.mark.parametrize("thing", documented(), ids=lambda thing: thing.__qualname__)
def test_the_example_of_a_docstring_runs(space, environment, thing) -> None:
    url, text = environment["SIGNALWIRE_SPACE"], inspect.getdoc(thing)

    def at_hand(client):
        return lambda given, *args: client(url if given == "example" else given, *args)

    with ProjectTokens(url, space.project_id, space.api_token) as tokens:
        created = tokens.create("before", ["fax"])
        names = {
            **vars(testing),
            **{name: getattr(signalwire_tokens, name) for name in signalwire_tokens.__all__},
            "ProjectTokens": at_hand(ProjectTokens),
            "AsyncProjectTokens": at_hand(AsyncProjectTokens),
            "project_id": space.project_id,
            "api_token": space.api_token,
            "space": space,
            "tokens": tokens,
            "created": created,
            "old_id": created.id,
            "vault": AsyncVault() if "await vault" in text else Vault(),
            "run_job": len,
        }
        for example in doctest.DocTestParser().get_examples(text):
            shown = printed(example.source, names)
            # An example that is about something else leaves out what the interpreter would show.
            assert not example.want or without_chance(shown) == without_chance(example.want), example.source


def printed(source: str, names: dict) -> str:
    """Run a statement as the interactive interpreter does, `await` included, and return what it prints."""
    code = compile(source, "<example>", "single", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    with contextlib.redirect_stdout(io.StringIO()) as stdout:
        result = FunctionType(code, names)()
        if inspect.iscoroutine(result):
            asyncio.run(result)
    return stdout.getvalue()


def without_chance(text: str) -> str:
    return re.sub(r"(?<=127\.0\.0\.1:)[0-9]+", "PORT", text)
