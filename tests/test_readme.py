"""Every code block of the README runs."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from readme_blocks import blocks
from signalwire_tokens import Permission

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PYTHON = blocks(README, "python")


@pytest.fixture
def quick_start(program, environment, tmp_path):
    (tmp_path / "quick_start.py").write_text(PYTHON[0], encoding="utf-8")
    return lambda: program(tmp_path / "quick_start.py", env=environment)


@pytest.mark.parametrize("number", range(len(PYTHON)))
def test_a_python_block_runs(space, environment, program, tmp_path, number) -> None:
    (tmp_path / "block.py").write_text(PYTHON[number], encoding="utf-8")
    run = program(tmp_path / "block.py", env=environment)
    assert (run.returncode, run.stderr) == (0, "")
    # A block uses the space of the environment, unless it brings its own or only defines a test.
    own = re.search(r"FakeSpace\(\)|def test_", PYTHON[number])
    assert bool(space.requests) is (own is None)


def test_the_quick_start_does_what_it_says(space, quick_start) -> None:
    assert quick_start().stdout.split()[1:] == ["**********"]
    assert [(request.method, request.status // 100) for request in space.requests] == [("POST", 2), ("DELETE", 2)]
    assert len(re.findall(r"^.+$", PYTHON[0], re.MULTILINE)) == 6


def test_each_shell_block_is_run_somewhere() -> None:
    assert set(re.findall(r"^```(\w+)$", README, re.MULTILINE)) == {"bash", "python", "sh"}
    ci = "".join((ROOT / file).read_text(encoding="utf-8") for file in (".ci/run", "scripts/check_wheel.sh"))
    for number, block in enumerate(blocks(README, "bash"), 1):
        assert f"README.md bash {number}" in ci, block


def test_the_shell_section_mints_rotates_and_deletes(space, environment, tmp_path) -> None:
    [block] = blocks(README, "sh")
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    run = subprocess.run(["sh", "-eux"], input=block, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (run.returncode, run.stdout.split()) == (0, [*Permission]), run.stderr
    assert [(request.method, request.status // 100) for request in space.requests] == [
        ("POST", 2),
        ("PATCH", 2),
        ("POST", 2),
        ("DELETE", 2),
        ("DELETE", 2),
        ("POST", 2),
        ("DELETE", 2),
    ]
    assert space.tokens == {}
    # So it can be pasted again.
    assert list(tmp_path.iterdir()) == []
    assert not re.search(r"PT[0-9a-f]{48}", run.stdout + run.stderr)


def test_the_fixture_section_runs_in_pytest(tmp_path) -> None:
    [block] = [block for block in PYTHON if "signalwire_space" in block]
    (tmp_path / "test_block.py").write_text(block)
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:schemathesis"], cwd=tmp_path, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stdout
    assert "1 passed" in run.stdout


def test_no_link_is_relative() -> None:
    """PyPI shows the README too, without the files beside it."""
    assert re.findall(r"\]\((?!https?:)([^)]+)\)", README) == []


def test_each_file_that_is_named_exists() -> None:
    named = re.findall(r"`((?:docs|examples)/[\w/]+\.\w+|[A-Z]+\.md)`", README)
    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_the_faults_are_quoted_as_measured() -> None:
    measured = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    counts = re.findall(r"^\|[^|`]+((?:\| \d+ ){3}\|)$", measured, re.MULTILINE)
    assert counts
    assert re.findall(r"^\|[^|`]+((?:\| \d+ ){3}\|)$", README, re.MULTILINE) == counts
    for quoted in (r"faults, of (\d+),", r"signalwire-sdk ([\d.]+) "):
        assert re.search(quoted, README)[1] in measured[:800]


DEMO = ROOT / "examples" / "demo.py"


def test_the_demo_runs_and_shows_no_secret(program) -> None:
    run = program(DEMO)
    assert (run.returncode, run.stderr) == (0, "")
    lines = run.stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["No", "created", "changed", "deleted", "refused"]
    assert "calling, management, messaging" in lines[1]
    assert lines[1].endswith("secret **********")
    assert "HTTP 401" in lines[4]
    assert not re.search(r"PT[0-9a-f]{48}", run.stdout)


def test_the_demo_uses_a_real_space_if_one_is_named(space, environment, program) -> None:
    run = program(DEMO, env=environment)
    assert (run.returncode, run.stderr) == (0, "")
    used, created, *_ = run.stdout.splitlines()
    assert used.startswith(f"SIGNALWIRE_* variables set: using ProjectTokens(space='{environment['SIGNALWIRE_SPACE']}'")
    assert created.startswith("created")
    assert not re.search(r"PT[0-9a-f]{48}", run.stdout)
    assert [request.status // 100 for request in space.requests] == [2, 2, 2, 4]
    assert space.tokens == {}


def test_the_demo_leaves_nothing_behind_when_it_fails(space, environment, program, tmp_path) -> None:
    (tmp_path / "demo.py").write_text(DEMO.read_text(encoding="utf-8").replace("itself.update", "itself.nonsense"))
    with pytest.raises(AttributeError, match="nonsense"):
        program(tmp_path / "demo.py", env=environment)
    assert len(space.requests) == 2
    assert space.tokens == {}


def test_the_demo_says_in_one_line_what_is_missing() -> None:
    environment = {**os.environ, "SIGNALWIRE_SPACE": "example"}
    run = subprocess.run([sys.executable, DEMO], env=environment, capture_output=True, text=True)
    assert (run.returncode, run.stdout) == (1, "")
    assert re.fullmatch(r"demo: no value for project_id, api_token: .*\n", run.stderr)
