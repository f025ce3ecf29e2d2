"""scripts/propose_update.py with a real remote and a stand-in for GitHub's `gh`: one pull request, kept up to date."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from gh_stand_in import stand_in

ROOT = Path(__file__).parent.parent
PAGE = "page.md"
# Takes the page as the real one does; what the real one does with a page is drilled elsewhere.
MAKEFILE = """\
update-spec:
\t@test -f "$(PAGE)" || { echo "no page" >&2; exit 1; }
\t@cmp -s "$(PAGE)" openapi.yaml || printf '# Summary of %s\\n' "`cat $(PAGE)`" > "$(SUMMARY)"
\t@cp "$(PAGE)" openapi.yaml
generate:
\t@cat openapi.yaml overlay > generated
"""
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name == "nt", reason="the stand-in for gh is a script"),
    pytest.mark.skipif(not (shutil.which("git") and shutil.which("make")), reason="git or make is not on the PATH"),
]


class Project:
    """A clone of a bare remote, and a GitHub that knows its pull requests."""

    def __init__(self, folder):
        self.remote, self.clone, self.step_summary = (folder / name for name in ("remote.git", "clone", "summary.md"))
        self.env, self.state = stand_in(folder)
        self.env["GITHUB_STEP_SUMMARY"] = str(self.step_summary)
        subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", self.remote], check=True)
        self.git("clone", "--quiet", self.remote, self.clone, cwd=folder)
        (self.clone / "scripts").mkdir()
        shutil.copy(ROOT / "scripts/propose_update.py", self.clone / "scripts")
        for name, text in {"Makefile": MAKEFILE, "openapi.yaml": "one", "overlay": "+", "generated": "one+"}.items():
            (self.clone / name).write_text(text)
        (self.clone / ".gitignore").write_text(PAGE)
        self.push_main("Begin")

    def git(self, *arguments, cwd=None):
        command = ["git", "-c", "user.name=t", "-c", "user.email=t@example.com", *arguments]
        done = subprocess.run(command, cwd=cwd or self.clone, env=self.env, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def push_main(self, message):
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", f"--message={message}")
        self.git("push", "--quiet", "origin", "HEAD:main")

    def propose(self, page):
        """Run it on a clean checkout of main, as the workflow does."""
        self.git("reset", "--quiet", "--hard")
        self.git("clean", "--quiet", "--force", "-x")
        if page is not None:
            (self.clone / PAGE).write_text(page)
        command = [sys.executable, "scripts/propose_update.py", PAGE]
        return subprocess.run(command, cwd=self.clone, env=self.env, capture_output=True, text=True)

    @property
    def pulls(self):
        return json.loads(self.state.read_text())[0]

    def calls(self):
        """Return what gh was asked for since the last time, but for the listing."""
        pulls, calls = json.loads(self.state.read_text())
        self.state.write_text(json.dumps([pulls, []]))
        return [call[:2] for call in calls if call[:2] != ["pr", "list"]]

    def branches(self):
        listed = self.git("for-each-ref", "--format=%(refname:short) %(objectname)", cwd=self.remote)
        return dict(line.split() for line in listed.splitlines())

    def proposed(self, file):
        return self.git("show", f"update-spec:{file}", cwd=self.remote)


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


def assert_done(done, text):
    assert (done.returncode, done.stdout) == (0, text + "\n"), done.stderr


OPENED = "Opened https://github.com/example/example/pull/7."


def test_nothing_new_proposes_nothing(project):
    assert_done(project.propose("one"), "Nothing to propose.")
    assert (project.pulls, set(project.branches())) == ({}, {"main"})


def test_a_change_opens_a_pull_request(project):
    assert_done(project.propose("two"), OPENED)
    assert project.pulls == {"7": ["Follow SignalWire's API description", "# Summary of two\n"]}
    assert (project.proposed("openapi.yaml"), project.proposed("generated")) == ("two", "two+")
    assert project.git("rev-parse", "update-spec^", cwd=project.remote) == project.branches()["main"]
    assert project.git("log", "-1", "--format=%an %cn", "update-spec", cwd=project.remote) == " ".join(
        ["github-actions[bot]"] * 2
    )
    assert project.calls() == [["pr", "create"], ["workflow", "run"]]
    assert project.step_summary.read_text() == "# Summary of two\n"


def test_an_identical_one_is_left_alone(project):
    project.propose("two")
    branches, _ = project.branches(), project.calls()
    assert_done(project.propose("two"), "Pull request 7 proposes the same; left alone.")
    assert (project.branches(), project.calls()) == (branches, [])


@pytest.mark.parametrize("moved", ["page", "main"])
def test_an_open_one_is_refreshed(project, moved):
    project.propose("two")
    project.calls()
    if moved == "main":
        project.git("reset", "--quiet", "--hard")
        (project.clone / "elsewhere").write_text("new")
        project.push_main("Go on")
    assert_done(project.propose("three" if moved == "page" else "two"), "Refreshed pull request 7.")
    assert project.calls() == [["pr", "edit"], ["workflow", "run"]]
    assert list(project.pulls) == ["7"]
    assert project.git("rev-parse", "update-spec^", cwd=project.remote) == project.branches()["main"]
    if moved == "page":
        assert project.pulls["7"][1] == "# Summary of three\n"
        assert project.proposed("generated") == "three+"
    else:
        assert project.proposed("elsewhere") == "new"


def test_a_closed_one_is_opened_anew(project):
    project.propose("two")
    project.state.write_text("[{}, []]")
    assert_done(project.propose("two"), OPENED)
    assert project.calls() == [["pr", "create"], ["workflow", "run"]]


def test_settings_that_changed_are_proposed_too(project):
    (project.clone / "overlay").write_text("-")
    project.push_main("Change the overlay alone")
    assert_done(project.propose("one"), OPENED)
    assert project.proposed("generated") == "one-"
    assert project.pulls["7"][1].startswith("`generated/` is not what")


def test_a_page_that_cannot_be_read_fails_loudly(project):
    done = project.propose(None)
    assert done.returncode == 1
    assert "no page\n" in done.stderr
    assert "propose_update: `make update-spec PAGE=page.md ...` failed" in done.stderr
    assert (project.pulls, set(project.branches())) == ({}, {"main"})


def test_a_branch_that_moved_meanwhile_is_not_overwritten(project):
    """Somebody pushes to the branch between the look and the push."""
    hook = project.clone / ".git/hooks/pre-push"
    hook.write_text(f"#!/bin/sh\ngit --git-dir='{project.remote}' branch --force update-spec main\n")
    hook.chmod(0o755)
    done = project.propose("two")
    assert done.returncode == 1
    assert "`git push --quiet ...` failed" in done.stderr
    assert project.pulls == {}
    assert project.branches()["update-spec"] == project.branches()["main"]


def test_a_tree_with_changes_of_its_own_is_refused(project):
    project.git("reset", "--quiet", "--hard")
    (project.clone / "mine").write_text("unfinished")
    command = [sys.executable, "scripts/propose_update.py", PAGE]
    done = subprocess.run(command, cwd=project.clone, env=project.env, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert "changes of its own" in done.stderr


def test_a_summary_too_long_for_github_is_cut(project):
    page = "x" * 70_000
    assert_done(project.propose(page), OPENED)
    body = project.pulls["7"][1]
    assert len(body) < 65_536
    assert body.endswith("The rest is in the log of the run.\n")
