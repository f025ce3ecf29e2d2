"""A stand-in for GitHub's command `gh` that knows as much of pull requests as scripts/propose_update.py asks for."""

import os
import sys

GH = """\
#!{python}
import json, pathlib, sys
state = pathlib.Path({state!r})
pulls, calls = json.loads(state.read_text())
calls.append(sys.argv[1:])
command, options = sys.argv[1:3], sys.argv[3:]
def option(name):
    return options[options.index(name) + 1]
if command == ["pr", "list"]:
    assert (option("--base"), option("--head"), option("--state")) == ("main", "update-spec", "open")
    assert (option("--json"), option("--jq")) == ("number", ".[].number")
    print(*pulls, sep="\\n")
elif command in (["pr", "create"], ["pr", "edit"]):
    number = options[0] if command[1] == "edit" else "7"
    pulls[number] = [option("--title"), pathlib.Path(option("--body-file")).read_text()]
    print("https://github.com/example/example/pull/" + number)
else:
    assert (*command, *options) == ("workflow", "run", "ci.yml", "--ref", "update-spec"), sys.argv
state.write_text(json.dumps([pulls, calls]))
"""


def stand_in(folder):
    """Put the stand-in for gh into a folder; return the environment that has it, and its state."""
    state, gh = folder / "state.json", folder / "bin/gh"
    state.write_text("[{}, []]")
    gh.parent.mkdir()
    gh.write_text(GH.format(python=sys.executable, state=str(state)))
    gh.chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "MAKE", "MFLAGS"))}
    path = f"{gh.parent}{os.pathsep}{os.environ['PATH']}"
    return kept | {"PATH": path, "GIT_CONFIG_GLOBAL": os.devnull}, state
