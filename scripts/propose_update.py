"""Take new versions of the docs pages and propose them as a pull request.

Usage: python scripts/propose_update.py [SOURCE]

Needs a clean checkout of main, a remote `origin` that it may push to, and `gh`. Keeps one pull request: opens it,
refreshes it, and withdraws it when there is nothing to propose any more. One that already proposes the same, or that
has commits of somebody else, is left alone. What somebody closed is not proposed again. The working tree keeps what the
update changed.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
BASE, BRANCH, CI = "main", "update-spec", "ci.yml"
TITLE = "Follow SignalWire's API description"
# This title marks a pull request that this script closed: the same may be proposed again.
WITHDRAWN = f"Withdrawn: {TITLE}"
STALE = "`generated/` is not what the spec, the overlay and the generator's settings give; this regenerates it.\n"
# The limit of a pull request's description is 65,536 characters.
LONGEST = 60_000
NAME, EMAIL = "github-actions[bot]", "41898282+github-actions[bot]@users.noreply.github.com"
AUTHOR = {
    f"GIT_{role}_{field}": value
    for role in ("AUTHOR", "COMMITTER")
    for field, value in (("NAME", NAME), ("EMAIL", EMAIL))
}


def call(*command: str, **env: str) -> str:
    """Run a command and return what it prints; its standard error is shown."""
    return subprocess.run(
        command, cwd=ROOT, env=os.environ | env, check=True, stdout=subprocess.PIPE, text=True
    ).stdout.strip()


def succeeds(*command: str) -> bool:
    """Return whether a command exits with 0; what it prints is dropped."""
    return subprocess.run(command, cwd=ROOT, check=False, capture_output=True).returncode == 0


def make(*arguments: str) -> None:
    """Make a target with the environment that runs this, and not as a part of the make that runs this."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    environment = (f"VENV={sys.prefix}", f"--old-file={sys.prefix}/.ready")
    subprocess.run(["make", *arguments, *environment], cwd=ROOT, env=env, check=True)


def snapshot(index: Path) -> str:
    """Return a tree of all that is in the working tree, made with a separate index."""
    env = {"GIT_INDEX_FILE": str(index)}
    call("git", "read-tree", "HEAD", **env)
    call("git", "add", "--all", **env)
    return call("git", "write-tree", **env)


def fetched_branch() -> str:
    """Fetch the commit that the branch is at and return it; an empty string if there is no such branch."""
    listed = call("git", "ls-remote", "origin", f"refs/heads/{BRANCH}")
    there = listed.split()[0] if listed else ""
    if there:
        call("git", "fetch", "--quiet", "origin", there)
    return there


def pull_requests() -> list[Any]:
    """Return the pull requests of the branch, the newest first, without those of forks with a branch of that name."""
    fields = "number,state,title,headRefOid,isCrossRepository"
    listed = call("gh", "pr", "list", "--base", BASE, "--head", BRANCH, "--state", "all", "--json", fields)
    return [pull for pull in json.loads(listed) if not pull["isCrossRepository"]]


def others(there: str, pulls: list[Any]) -> str:
    """Return who else has commits on the branch, unless a pull request with them was closed or merged."""
    if not there or any(pull["headRefOid"] == there and pull["state"] != "OPEN" for pull in pulls):
        return ""
    commits = call("git", "log", "--format=%ae%x09%ce%x09%an", f"HEAD..{there}").splitlines()
    names = {
        name for author, committer, name in (line.split("\t") for line in commits) if {author, committer} != {EMAIL}
    }
    return ", ".join(sorted(names))


def refused(tree: str, pulls: list[Any]) -> int | None:
    """Return the pull request that proposed the same and that somebody closed."""
    changed = call("git", "diff", "--name-only", "HEAD", tree).splitlines()
    for pull in pulls:
        # What else has changed on main since then does not matter.
        if (
            (pull["state"], pull["title"]) == ("CLOSED", TITLE)
            and succeeds("git", "fetch", "--quiet", "origin", f"refs/pull/{pull['number']}/head")
            and succeeds("git", "diff", "--quiet", tree, "FETCH_HEAD", "--", *changed)
        ):
            return int(pull["number"])
    return None


def start_ci(commit: str) -> None:
    """Start CI unless it was started: GitHub starts no workflow for what a workflow pushes."""
    listed = call("gh", "run", "list", "--workflow", CI, "--branch", BRANCH, "--commit", commit, "--json", "databaseId")
    if not json.loads(listed):
        call("gh", "workflow", "run", CI, "--ref", BRANCH)


def propose(tree: str, body: Path) -> str:
    """Propose a tree, and return what was done."""
    there, pulls = fetched_branch(), pull_requests()
    number = next((str(pull["number"]) for pull in pulls if pull["state"] == "OPEN"), "")
    if names := others(there, pulls):
        return f"The branch {BRANCH} has commits of {names}; left alone, though there is something to propose."
    if not number and (closed := refused(tree, pulls)):
        return f"Pull request {closed} proposed the same and was closed; not proposed again."
    same = bool(there) and call("git", "rev-parse", f"{there}^{{tree}}") == tree
    if same and number:
        start_ci(there)
        return f"Pull request {number} proposes the same; left alone."
    commit = there if same else call("git", "commit-tree", tree, "-p", "HEAD", "-m", TITLE, **AUTHOR)
    if not same:
        lease = f"--force-with-lease={BRANCH}:{there}"
        call("git", "push", "--quiet", lease, "origin", f"{commit}:refs/heads/{BRANCH}")
    text = ("--title", TITLE, "--body-file", str(body))
    if number:
        call("gh", "pr", "edit", number, *text)
        done = f"Refreshed pull request {number}."
    else:
        done = f"Opened {call('gh', 'pr', 'create', '--base', BASE, '--head', BRANCH, *text)}."
    start_ci(commit)
    return done


def withdraw() -> str:
    """Close the pull request, as there is nothing to propose any more; return what was done."""
    there, pulls = fetched_branch(), pull_requests()
    number = next((str(pull["number"]) for pull in pulls if pull["state"] == "OPEN"), "")
    if not number:
        return "Nothing to propose."
    if names := others(there, pulls):
        return f"Nothing to propose; pull request {number} has commits of {names}, so it is left alone."
    call("gh", "pr", "edit", number, "--title", WITHDRAWN)
    call("gh", "pr", "close", number, "--comment", f"`{BASE}` has all that the docs pages show now.")
    call("git", "push", "--quiet", f"--force-with-lease={BRANCH}:{there}", "origin", f":refs/heads/{BRANCH}")
    return f"Nothing to propose; withdrew pull request {number}."


def report(text: str) -> None:
    """Append a text to the summary of the run that GitHub shows."""
    if os.environ.get("GITHUB_STEP_SUMMARY"):
        with Path(os.environ["GITHUB_STEP_SUMMARY"]).open("a", encoding="utf-8") as file:
            file.write(text)


def main(source: str = "") -> None:
    if call("git", "status", "--porcelain"):
        sys.exit("propose_update: the working tree has changes of its own; commit or remove them first")
    with tempfile.TemporaryDirectory(prefix="propose-update-") as folder:
        body = Path(folder, "summary.md")
        try:
            make("update-spec", f"PAGE={source}", f"SUMMARY={body}")
            make("generate")
        finally:
            if body.exists():
                report(body.read_text(encoding="utf-8"))
        tree = snapshot(Path(folder, "index"))
        if tree == call("git", "rev-parse", "HEAD^{tree}"):
            done = withdraw()
        else:
            text = body.read_text(encoding="utf-8") if body.exists() else STALE
            cut = "\n\nThe rest is in the log of the run.\n" if len(text) > LONGEST else ""
            body.write_text(text[:LONGEST] + cut, encoding="utf-8", newline="\n")
            done = propose(tree, body)
        print(done)
        report(f"\n{done}\n")


if __name__ == "__main__":
    if len(sys.argv) > 2:
        sys.exit(__doc__)
    try:
        main(*sys.argv[1:])
    except subprocess.CalledProcessError as error:
        sys.exit(f"propose_update: `{' '.join(error.cmd[:3])} ...` failed with exit code {error.returncode}")
