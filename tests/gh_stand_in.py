"""A stand-in for GitHub's command `gh` that knows as much of pull requests as scripts/propose_update.py asks for."""

import json
import os
import sys

GH = """\
#!{python}
import json, pathlib, subprocess, sys
file = pathlib.Path({state!r})
state = json.loads(file.read_text())
state["calls"].append(sys.argv[1:])
command, options = sys.argv[1:3], sys.argv[3:]

def option(name):
    return options[options.index(name) + 1]

def git(*arguments):
    command = ["git", "--git-dir", state["remote"], *arguments]
    return subprocess.run(command, capture_output=True, text=True).stdout.strip()

def follow(number):
    # GitHub keeps the head of each pull request, whatever becomes of its branch.
    pull = state["pulls"][number]
    if pull["state"] == "OPEN" and not pull["isCrossRepository"]:
        pull["headRefOid"] = git("rev-parse", "refs/heads/update-spec")
        git("update-ref", "refs/pull/" + number + "/head", pull["headRefOid"])

if command == ["pr", "list"]:
    assert (option("--base"), option("--head"), option("--state")) == ("main", "update-spec", "all")
    for number in state["pulls"]:
        follow(number)
    fields = option("--json").split(",")
    shown = [{{"number": int(number), **pull}} for number, pull in reversed(state["pulls"].items())]
    print(json.dumps([{{field: pull[field] for field in fields}} for pull in shown]))
elif command == ["pr", "create"]:
    assert (option("--base"), option("--head")) == ("main", "update-spec")
    number = str(7 + len(state["pulls"]))
    state["pulls"][number] = {{
        "title": option("--title"), "body": pathlib.Path(option("--body-file")).read_text(),
        "state": "OPEN", "isCrossRepository": False, "headRefOid": "",
    }}
    follow(number)
    print("https://github.com/example/example/pull/" + number)
elif command == ["pr", "edit"]:
    state["pulls"][options[0]]["title"] = option("--title")
    if "--body-file" in options:
        state["pulls"][options[0]]["body"] = pathlib.Path(option("--body-file")).read_text()
elif command == ["pr", "close"]:
    follow(options[0])
    state["pulls"][options[0]] |= {{"state": "CLOSED", "comment": option("--comment")}}
elif command == ["run", "list"]:
    assert (option("--workflow"), option("--branch"), option("--json")) == ("ci.yml", "update-spec", "databaseId")
    print(json.dumps([{{"databaseId": 1}}] * state["runs"].count(option("--commit"))))
elif (*command, *options) == ("workflow", "run", "ci.yml", "--ref", "update-spec"):
    if state.pop("broken", False):
        file.write_text(json.dumps(state))
        sys.exit("HTTP 500")
    state["runs"].append(git("rev-parse", "refs/heads/update-spec"))
else:
    sys.exit("unexpected: " + " ".join(sys.argv))
file.write_text(json.dumps(state))
"""


def stand_in(folder, remote):
    """Put the stand-in for gh into a folder; return the environment that has it, and the file of its state."""
    state, gh = folder / "state.json", folder / "bin/gh"
    state.write_text(json.dumps({"pulls": {}, "calls": [], "runs": [], "remote": str(remote)}))
    gh.parent.mkdir()
    gh.write_text(GH.format(python=sys.executable, state=str(state)))
    gh.chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "MAKE", "MFLAGS"))}
    path = f"{gh.parent}{os.pathsep}{os.environ['PATH']}"
    return kept | {"PATH": path, "GIT_CONFIG_GLOBAL": os.devnull}, state
