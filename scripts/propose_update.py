"""Take a new version of the docs page and propose it as a pull request.

Usage: python scripts/propose_update.py PAGE

For a clean checkout of main whose remote `origin` may be pushed to, and with `gh` at hand. Opens one pull request or
refreshes it; one that proposes the same already is left alone. The working tree keeps what the update changed.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
BASE, BRANCH = "main", "update-spec"
TITLE = "Follow SignalWire's API description"
STALE = "`generated/` is not what the spec, the overlay and the generator's settings give; this regenerates it.\n"
# The limit of a pull request's description is 65,536 characters.
LONGEST = 60_000
AUTHOR = {
    f"GIT_{role}_{field}": value
    for role in ("AUTHOR", "COMMITTER")
    for field, value in (
        ("NAME", "github-actions[bot]"),
        ("EMAIL", "41898282+github-actions[bot]@users.noreply.github.com"),
    )
}


def call(*command: str, **env: str) -> str:
    """Run a command, showing what it says of errors; return what it prints."""
    return subprocess.run(
        command, cwd=ROOT, env=os.environ | env, check=True, stdout=subprocess.PIPE, text=True
    ).stdout.strip()


def make(*arguments: str) -> None:
    """Make a target with the environment that runs this, and not as a part of the make that does."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    environment = (f"VENV={sys.prefix}", f"--old-file={sys.prefix}/.ready")
    subprocess.run(["make", *arguments, *environment], cwd=ROOT, env=env, check=True)


def snapshot(index: Path) -> str:
    """Return the tree of all that is in the working tree, through an index of its own."""
    env = {"GIT_INDEX_FILE": str(index)}
    call("git", "read-tree", "HEAD", **env)
    call("git", "add", "--all", **env)
    return call("git", "write-tree", **env)


def propose(tree: str, body: Path) -> str:
    """Propose a tree, and return what was done."""
    listed = call("git", "ls-remote", "origin", f"refs/heads/{BRANCH}")
    there = listed.split()[0] if listed else ""
    if there:
        call("git", "fetch", "--quiet", "origin", there)
    pulls = call(
        "gh",
        "pr",
        "list",
        "--base",
        BASE,
        "--head",
        BRANCH,
        "--state",
        "open",
        "--json",
        "number",
        "--jq",
        ".[].number",
    ).split()
    same = bool(there) and call("git", "rev-parse", f"{there}^{{tree}}") == tree
    if same and pulls:
        return f"Pull request {pulls[0]} proposes the same; left alone."
    if not same:
        commit = call("git", "commit-tree", tree, "-p", "HEAD", "-m", TITLE, **AUTHOR)
        call(
            "git", "push", "--quiet", f"--force-with-lease={BRANCH}:{there}", "origin", f"{commit}:refs/heads/{BRANCH}"
        )
    text = ("--title", TITLE, "--body-file", str(body))
    if pulls:
        call("gh", "pr", "edit", pulls[0], *text)
        done = f"Refreshed pull request {pulls[0]}."
    else:
        done = f"Opened {call('gh', 'pr', 'create', '--base', BASE, '--head', BRANCH, *text)}."
    # GitHub starts no workflow for what a workflow pushes.
    call("gh", "workflow", "run", "ci.yml", "--ref", BRANCH)
    return done


def main(page: str) -> None:
    if call("git", "status", "--porcelain"):
        sys.exit("propose_update: the working tree has changes of its own; commit or remove them first")
    with tempfile.TemporaryDirectory(prefix="propose-update-") as folder:
        body = Path(folder, "summary.md")
        try:
            make("update-spec", f"PAGE={page}", f"SUMMARY={body}")
            make("generate")
        finally:
            if body.exists() and os.environ.get("GITHUB_STEP_SUMMARY"):
                with Path(os.environ["GITHUB_STEP_SUMMARY"]).open("a", encoding="utf-8") as file:
                    file.write(body.read_text(encoding="utf-8"))
        tree = snapshot(Path(folder, "index"))
        if tree == call("git", "rev-parse", "HEAD^{tree}"):
            print("Nothing to propose.")
            return
        text = body.read_text(encoding="utf-8") if body.exists() else STALE
        cut = "\n\nThe rest is in the log of the run.\n" if len(text) > LONGEST else ""
        body.write_text(text[:LONGEST] + cut, encoding="utf-8", newline="\n")
        print(propose(tree, body))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    try:
        main(sys.argv[1])
    except subprocess.CalledProcessError as error:
        sys.exit(f"propose_update: `{' '.join(error.cmd[:3])} ...` failed with exit code {error.returncode}")
