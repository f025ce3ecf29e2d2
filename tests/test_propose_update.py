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
TITLE, WITHDRAWN = "Follow SignalWire's API description", "Withdrawn: Follow SignalWire's API description"
# Takes the page as the real one does; what the real one does with a page is drilled elsewhere.
MAKEFILE = """\
update-spec:
\t@test -f "$(PAGE)" || { echo "no page" | tee "$(SUMMARY)" >&2; exit 1; }
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
        self.env, self.file = stand_in(folder, self.remote)
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
        command = ["git", "-c", "user.name=Jane", "-c", "user.email=jane@example.com", *arguments]
        done = subprocess.run(command, cwd=cwd or self.clone, env=self.env, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def push_main(self, message):
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", f"--message={message}")
        self.git("push", "--quiet", "origin", "HEAD:main")

    def go_on(self):
        """Change something else on main."""
        self.git("reset", "--quiet", "--hard")
        (self.clone / "elsewhere").write_text("new")
        self.push_main("Go on")

    def push_to_branch(self):
        """Let a person add a commit to the branch."""
        self.git("reset", "--quiet", "--hard")
        self.git("fetch", "--quiet", "origin", "update-spec")
        self.git("checkout", "--quiet", "FETCH_HEAD")
        (self.clone / "wrapper").write_text("mended")
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message=Mend the wrapper")
        self.git("push", "--quiet", "origin", "HEAD:update-spec")
        self.git("checkout", "--quiet", "main")

    def propose(self, page):
        """Run it on a clean checkout of main, as the workflow does."""
        self.git("reset", "--quiet", "--hard")
        self.git("clean", "--quiet", "--force", "-x")
        if page is not None:
            (self.clone / PAGE).write_text(page)
        command = [sys.executable, "scripts/propose_update.py", PAGE]
        return subprocess.run(command, cwd=self.clone, env=self.env, capture_output=True, text=True)

    @property
    def state(self):
        return json.loads(self.file.read_text())

    @property
    def pulls(self):
        return self.state["pulls"]

    def change(self, number=None, **fields):
        """Change what GitHub knows, of a pull request or of all."""
        state = self.state
        (state["pulls"][number] if number else state).update(fields)
        self.file.write_text(json.dumps(state))

    def calls(self):
        """Return what gh was asked to do since the last time."""
        calls = self.state["calls"]
        self.change(calls=[])
        return [call[:2] for call in calls if call[1] != "list"]

    def branches(self):
        listed = self.git("for-each-ref", "--format=%(refname:short) %(objectname)", "refs/heads", cwd=self.remote)
        return dict(line.split() for line in listed.splitlines())

    def proposed(self, file):
        return self.git("show", f"update-spec:{file}", cwd=self.remote)


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


def assert_done(done, text):
    assert (done.returncode, done.stdout) == (0, text + "\n"), done.stderr


OPENED = "Opened https://github.com/example/example/pull/7."
LEFT = "The branch update-spec has commits of Jane; left alone, though there is something to propose."


def test_nothing_new_proposes_nothing(project):
    assert_done(project.propose("one"), "Nothing to propose.")
    assert (project.pulls, set(project.branches()), project.calls()) == ({}, {"main"}, [])


def test_a_change_opens_a_pull_request_and_one_that_proposes_the_same_is_left_alone(project):
    assert_done(project.propose("two"), OPENED)
    [pull] = project.pulls.values()
    assert (pull["title"], pull["body"], pull["state"]) == (TITLE, "# Summary of two\n", "OPEN")
    assert (project.proposed("openapi.yaml"), project.proposed("generated")) == ("two", "two+")
    assert project.git("rev-parse", "update-spec^", cwd=project.remote) == project.branches()["main"]
    assert project.git("log", "-1", "--format=%an %cn", "update-spec", cwd=project.remote) == " ".join(
        ["github-actions[bot]"] * 2
    )
    assert project.calls() == [["pr", "create"], ["workflow", "run"]]
    assert project.state["runs"] == [project.branches()["update-spec"]]
    assert project.step_summary.read_text() == f"# Summary of two\n\n{OPENED}\n"

    branches = project.branches()
    assert_done(project.propose("two"), "Pull request 7 proposes the same; left alone.")
    assert (project.branches(), project.calls()) == (branches, [])


@pytest.mark.parametrize("moved", ["page", "main"])
def test_an_open_one_is_refreshed(project, moved):
    project.propose("two")
    project.calls()
    if moved == "main":
        project.go_on()
    assert_done(project.propose("three" if moved == "page" else "two"), "Refreshed pull request 7.")
    assert project.calls() == [["pr", "edit"], ["workflow", "run"]]
    assert list(project.pulls) == ["7"]
    assert project.git("rev-parse", "update-spec^", cwd=project.remote) == project.branches()["main"]
    if moved == "page":
        assert project.pulls["7"]["body"] == "# Summary of three\n"
        assert project.proposed("generated") == "three+"
    else:
        assert project.proposed("elsewhere") == "new"


@pytest.mark.parametrize("page", ["two", "three"])
def test_a_branch_that_a_person_works_on_is_left_alone(project, page):
    project.propose("two")
    project.push_to_branch()
    branches, _ = project.branches(), project.calls()
    assert_done(project.propose(page), LEFT)
    assert (project.branches(), project.calls()) == (branches, [])
    assert LEFT in project.step_summary.read_text()


def test_a_branch_that_was_merged_is_taken_again(project):
    """Squashed, so that its commits are not on main."""
    project.propose("two")
    project.push_to_branch()
    project.propose("two")  # GitHub knows the head
    project.change("7", state="MERGED")
    project.git("reset", "--quiet", "--hard")
    for name, text in {"openapi.yaml": "two", "generated": "two+", "wrapper": "mended"}.items():
        (project.clone / name).write_text(text)
    project.push_main("Follow SignalWire's API description (#7)")
    assert_done(project.propose("two"), "Nothing to propose.")
    assert_done(project.propose("three"), OPENED.replace("7", "8"))


def test_one_of_a_fork_is_not_taken_for_ours(project):
    foreign = {"title": "Mine", "body": "Mine.", "state": "OPEN", "isCrossRepository": True, "headRefOid": "0" * 40}
    project.change(pulls={"6": foreign})
    assert_done(project.propose("two"), OPENED.replace("7", "8"))
    assert_done(project.propose("one"), "Nothing to propose; withdrew pull request 8.")
    assert project.pulls["6"] == foreign


def test_one_is_withdrawn_when_the_page_is_as_before_and_opened_anew_when_it_changes_again(project):
    project.propose("two")
    project.calls()
    assert_done(project.propose("one"), "Nothing to propose; withdrew pull request 7.")
    assert project.calls() == [["pr", "edit"], ["pr", "close"]]
    assert (project.pulls["7"]["state"], project.pulls["7"]["title"]) == ("CLOSED", WITHDRAWN)
    assert project.pulls["7"]["comment"] == "`main` has all that the docs pages show now."
    assert set(project.branches()) == {"main"}
    assert_done(project.propose("one"), "Nothing to propose.")
    assert_done(project.propose("two"), OPENED.replace("7", "8"))


def test_one_that_a_person_works_on_is_not_withdrawn(project):
    project.propose("two")
    project.push_to_branch()
    said = "Nothing to propose; pull request 7 has commits of Jane, so it is left alone."
    assert_done(project.propose("one"), said)
    assert project.pulls["7"]["state"] == "OPEN"
    assert set(project.branches()) == {"main", "update-spec"}


@pytest.mark.parametrize("branch", ["kept", "deleted"])
def test_what_somebody_closed_is_not_proposed_again_and_something_else_is(project, branch):
    project.propose("two")
    project.change("7", state="CLOSED")
    if branch == "deleted":
        project.git("push", "--quiet", "origin", ":update-spec")
    project.go_on()
    project.calls()
    said = "Pull request 7 proposed the same and was closed; not proposed again."
    assert_done(project.propose("two"), said)
    assert project.calls() == []
    assert_done(project.propose("three"), OPENED.replace("7", "8"))
    assert project.proposed("openapi.yaml") == "three"


def test_ci_that_could_not_be_started_is_started_the_next_time(project):
    project.change(broken=True)
    done = project.propose("two")
    assert done.returncode == 1
    assert "propose_update: `gh workflow run ...` failed with exit code 1" in done.stderr
    assert (list(project.pulls), project.state["runs"]) == (["7"], [])
    project.calls()
    assert_done(project.propose("two"), "Pull request 7 proposes the same; left alone.")
    assert project.calls() == [["workflow", "run"]]
    assert project.state["runs"] == [project.branches()["update-spec"]]


def test_settings_that_changed_are_proposed_too(project):
    (project.clone / "overlay").write_text("-")
    project.push_main("Change the overlay alone")
    assert_done(project.propose("one"), OPENED)
    assert project.proposed("generated") == "one-"
    assert project.pulls["7"]["body"].startswith("`generated/` is not what")


def test_a_page_that_cannot_be_read_fails_loudly(project):
    done = project.propose(None)
    assert done.returncode == 1
    assert "no page\n" in done.stderr
    assert "propose_update: `make update-spec PAGE=page.md ...` failed" in done.stderr
    assert project.step_summary.read_text() == "no page\n"
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
    assert_done(project.propose("x" * 70_000), OPENED)
    body = project.pulls["7"]["body"]
    assert len(body) < 65_536
    assert body.endswith("The rest is in the log of the run.\n")
