"""Help, version, permissions, completion: all that needs no credentials."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from signalwire_tokens import Permission, __version__

from .shell import COMMAND, UUID, Shell


@pytest.fixture
def bare():
    return Shell(dict(os.environ))


@pytest.mark.parametrize("module", ["signalwire_tokens", "signalwire_tokens.cli"])
def test_python_runs_the_same_command(bare, module) -> None:
    run = bare.process("delete", "x", command=(sys.executable, "-m", module))
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr.startswith("Usage: signalwire-tokens delete ")


def test_the_permissions_are_listed_without_credentials(bare) -> None:
    run = bare("permissions")
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.split() == [*Permission]


@pytest.mark.parametrize("command", ["create", "update", "rotate", "delete", "run"])
@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_has_examples(bare, command, option) -> None:
    run = bare(command, option)
    assert (run.returncode, run.stderr) == (0, "")
    assert f"  signalwire-tokens {command} " in run.stdout


def test_help_says_when_a_token_stays(bare) -> None:
    said = " ".join(bare("run", "--help").stdout.split())
    assert "SIGKILL leaves the token. One that cannot be deleted is named, and the exit code is 125." in said


def test_help_has_the_exit_codes(bare) -> None:
    run = bare("-h")
    codes = run.stdout.partition("Exit codes:\n")[2].splitlines()[:5]
    assert [re.split(" {2,}", line.strip())[0] for line in codes] == ["0", "1", "2", "3", "130"]
    assert bare("--version").stdout.split()[-1] == __version__


@pytest.mark.parametrize("arguments", [["--help"], ["create", "-h"], ["--version"], ["permissions"]])
@pytest.mark.parametrize("where", ["pipe", "disk"])
def test_what_cannot_be_printed_is_told(bare, broken, arguments, where) -> None:
    if where == "disk" and not Path("/dev/full").exists():
        pytest.skip("no /dev/full")
    with Path("/dev/full" if where == "disk" else os.devnull).open("w") as full:
        run = bare(*arguments, stdout=full.fileno() if where == "disk" else broken)
    reason = "No space left on device" if where == "disk" else "Broken pipe"
    assert (run.returncode, run.stderr) == (1, f"Error: standard output cannot be written: {reason}\n")


def test_python_has_nothing_to_add_when_it_exits(bare, broken) -> None:
    run = bare.process("permissions", stdout=broken, stderr=subprocess.PIPE, capture_output=False)
    assert (run.returncode, run.stderr) == (1, "Error: standard output cannot be written: Broken pipe\n")


def test_bash_completes() -> None:
    if subprocess.run(["bash", "-c", "((BASH_VERSINFO[0] * 100 + BASH_VERSINFO[1] >= 404))"]).returncode:
        pytest.skip("Click completes in bash 4.4 or newer")
    script = """
        source /dev/stdin <<< "$(_SIGNALWIRE_TOKENS_COMPLETE=bash_source signalwire-tokens)"
        complete_words() {
            COMPREPLY=(); COMP_WORDS=(signalwire-tokens "$@"); COMP_CWORD=$#
            _signalwire_tokens_completion signalwire-tokens
            echo "${COMPREPLY[*]}"
        }
        complete_words cr
        complete_words create ci -p c
        complete_words create ci --format ''
        complete_words create --for
    """
    environment = {**os.environ, "PATH": f"{Path(COMMAND).parent}{os.pathsep}{os.environ['PATH']}"}
    run = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True)
    assert run.stdout.splitlines() == ["create", "calling chat", "text env json", "--force --format"]
    assert run.stderr == ""


def test_another_module_that_is_missing_is_a_fault(bare, monkeypatch) -> None:
    # Other tests in this process may have loaded it.
    monkeypatch.delitem(sys.modules, "signalwire_tokens.cli.commands", raising=False)
    monkeypatch.setitem(sys.modules, "uuid", None)
    with pytest.raises(ModuleNotFoundError, match="uuid"):
        bare("permissions")


def test_without_the_extra_it_says_how_to_get_it() -> None:
    code = "import sys; sys.modules['click'] = None; from signalwire_tokens.cli import main; main()"
    run = subprocess.run([sys.executable, "-c", code, "delete", UUID], capture_output=True, text=True)
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr == "signalwire-tokens needs the extra cli: pip install 'signalwire-tokens[cli]'\n"
