"""The public surface is the one written down, and breaking a released one is said in the changelog."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import public_api

ROOT = Path(__file__).parent.parent
WRITTEN = public_api.SNAPSHOT.read_text(encoding="utf-8").splitlines()


def test_the_public_signatures_are_those_written_down():
    """A change is deliberate: `make public-api`, and a line in CHANGELOG.md."""
    signatures, written = (
        [line for line in x if not public_api.is_value(line)] for x in (public_api.surface(), WRITTEN)
    )
    assert signatures == written


def test_no_value_that_is_written_down_is_gone():
    """A value that the spec gains needs no hand; one that it loses breaks callers."""
    values = set(filter(public_api.is_value, WRITTEN))
    assert values
    assert values <= set(public_api.surface())


@pytest.fixture
def released(tmp_path):
    """Copy what is checked into a repository of its own, with one tagged version."""
    for folder in ("generated", "scripts", "wrapper"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "tests/data").mkdir(parents=True)
    shutil.copy(public_api.SNAPSHOT, tmp_path / "tests/data")
    (tmp_path / "CHANGELOG.md").write_text("## [Unreleased]\n\n## [0.1.0]\n\n### Changed\n", encoding="utf-8")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", "--all")
    git(tmp_path, "commit", "--quiet", "--message=Release")
    git(tmp_path, "tag", "v0.1.0")
    return tmp_path


def git(cwd, *arguments):
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.com")
    subprocess.run(["git", *identity, *arguments], cwd=cwd, env=environment(), check=True)


def environment():
    return {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}


def check(cwd):
    command = [sys.executable, cwd / "scripts/public_api.py", "check"]
    return subprocess.run(command, env=environment(), capture_output=True, text=True)


def change(released, old, new):
    client = released / "wrapper/signalwire_tokens/_client.py"
    code = client.read_text(encoding="utf-8")
    assert old in code
    client.write_text(code.replace(old, new), encoding="utf-8")


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("git"), reason="git is not on the PATH"),
]


def test_the_check_passes_where_no_version_is_tagged(released):
    git(released, "tag", "--delete", "v0.1.0")
    done = check(released)
    assert (done.returncode, done.stdout) == (
        0,
        "public_api: no version is tagged yet, so there is nothing to break.\n",
    )


def test_what_is_added_breaks_nobody(released):
    change(released, "missing_ok: bool = False", "missing_ok: bool = False, added: int = 0")
    done = check(released)
    assert (done.returncode, done.stdout) == (0, "public_api: nothing breaks callers of v0.1.0.\n")


def test_a_break_must_stand_in_the_changelog(released):
    change(released, "subproject_id", "child_id")
    done = check(released)
    assert done.returncode == 1
    assert "subproject_id" in done.stdout + done.stderr
    assert "callers of v0.1.0 break, and CHANGELOG.md says neither" in done.stderr
    (released / "CHANGELOG.md").write_text("## [Unreleased]\n\n### Changed\n\n- Renamed.\n", encoding="utf-8")
    assert check(released).returncode == 0


def test_a_value_that_is_gone_breaks_callers(released):
    enum = released / "generated/signalwire_rest/models/permission.py"
    enum.write_text(enum.read_text(encoding="utf-8").replace('    FAX = "fax"\n', ""), encoding="utf-8")
    done = check(released)
    assert done.returncode == 1
    assert "signalwire_tokens.Permission.FAX = 'fax' was removed" in done.stdout
