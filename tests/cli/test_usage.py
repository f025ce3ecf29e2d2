"""What is wrong with the arguments is told before anything is sent, and nothing that may be a secret is repeated."""

import os
import re

import pytest

from .shell import CREATE, UUID, only


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["create", "ci", "-p", "voice"], "did you mean 'calling'?"),
        (["create", "ci", "-p", "fax,calling"], "-p takes one permission; repeat it: -p fax -p calling\n"),
        (["create", "ci", "-p", "fax, calling"], "-p takes one permission; repeat it: -p fax -p calling\n"),
        (["create", "ci", "-p", "chat,a b"], "-p takes one permission; repeat it: -p fax -p calling\n"),
        (["create", "ci", "-p", "fax", "calling"], "-p takes one permission; repeat it: -p calling\n"),
        (["rotate", UUID, "ci", "-p", "fax", "chat", "video"], "repeat it: -p chat -p video\n"),
        (["update", UUID, "-p", "fax", "calling"], "repeat it: -p calling\n"),
        (["create", "ci", "-p", "fax", "deploy"], "unexpected extra arguments: deploy\n"),
        (["create", " ", "-p", "fax"], "name is blank; the service refuses a token without a name; nothing was sent\n"),
        (["create", "ci", "-p", "voice"], "video; nothing was sent\n"),
        (["update", UUID, "--name", ""], "name is blank"),
        (["create", "ci"], "Missing option '-p'"),
        (["create", "ci", "-p", "fax", "--subproject", "x"], "--subproject is no UUID; pass the subproject's id"),
        (["create", "ci", "-p", "fax", "--format", "yaml"], "'yaml' is not one of"),
        (["update", UUID], "nothing to change; give --name, -p or both"),
        (["update", "x", "--name", "y"], "TOKEN_ID is no UUID; pass the token's id, not its name or its secret"),
        (["create", "ci", "-p", "fax", "--out", ""], "--out is empty"),
        (
            ["create", "ci", "-p", "fax", "--out", "-"],
            "--out takes a file; `create` without it writes to standard output\n",
        ),
        (["rotate", UUID, "ci", "-p", "fax", "--out", "-", "--force"], "--out takes a file; "),
        (["delete"], "Missing argument"),
        (["list"], "SignalWire has no call that lists tokens; see the dashboard"),
        (["revoke", UUID], "use delete"),
        (["mint"], "No such command 'mint'; use create"),
        (["change"], "No such command 'change'; use update"),
        (["destroy"], "No such command 'destroy'"),
        (["delete", ""], "TOKEN_ID is empty; pass the token's id"),
        (["create", "ci", "-p", "fax", "--api-token", "x"], "No such option"),
    ],
)
def test_wrong_usage(shell, space, tmp_path, arguments, said) -> None:
    run = shell(*arguments, cwd=tmp_path)
    assert (run.returncode, run.stdout, space.requests, list(tmp_path.iterdir())) == (2, "", [], [])
    assert said in run.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["delete", "{}"], "TOKEN_ID is no UUID; pass the token's id, not its name or its secret"),
        (["rotate", "{}", "ci", "-p", "fax", "--out", "x"], "TOKEN_ID is no UUID"),
        (["update", "{}", "--name", "x"], "TOKEN_ID is no UUID"),
        (["update", UUID, "--name", "{}"], "this is SIGNALWIRE_API_TOKEN itself"),
        (["create", "{}", "-p", "fax"], "this is SIGNALWIRE_API_TOKEN itself"),
        (["rotate", UUID, "{}", "-p", "fax", "--out", "x"], "this is SIGNALWIRE_API_TOKEN itself"),
        (["create", "ci", "-p", "fax", "--out", "{}"], "this is SIGNALWIRE_API_TOKEN itself"),
        (["create", "ci", "-p", "fax", "--subproject", "{}"], "--subproject is no UUID"),
        (["create", "ci", "-p", "{}"], "unknown permission"),
        (["create", "ci", "-p{}"], "unknown permission"),
        (["create", "ci", "-p", "fax,{}"], "-p takes one permission; repeat it: -p fax -p calling\n"),
        (["create", "ci", "-p", "fax", "--format={}"], "is not one of"),
        (["rotate", UUID, "ci", "-p", "fax", "--exec", "{}"], "--exec names no command"),
        (["{}"], "No such command"),
        (["delete", UUID, "{}"], "unexpected extra argument"),
        (["delete", "--{}"], "No such option"),
        (["--{}"], "No such option"),
    ],
)
def test_a_secret_in_the_wrong_place_is_not_shown(shell, space, arguments, said, tmp_path) -> None:
    # A short one, which is known only as the one in use; longer ones are below.
    secret = shell.environment["SIGNALWIRE_API_TOKEN"] = "Pq7-x"
    run = shell(*(argument.format(secret) for argument in arguments), cwd=tmp_path)
    assert (run.returncode, run.stdout, space.requests, list(tmp_path.iterdir())) == (2, "", [], [])
    assert said in run.stderr
    assert secret not in run.stderr


def test_the_secret_of_another_token_is_not_shown_either(shell, space) -> None:
    other = "PT" + "0123456789abcdef" * 3
    for arguments in (["delete", other], ["create", "ci", "-p", other], [other], ["delete", UUID, other]):
        run = shell(*arguments)
        assert (run.returncode, run.stdout, space.requests) == (2, "", [])
        assert other not in run.stderr


def test_a_long_path_and_a_long_command_are_shown(shell) -> None:
    path = "/there/is/nothing/of/this/name/here/at/all"
    assert f"Error: {path} cannot be found" in shell("run", "x", "-p", "fax", "--", path).stderr
    assert f": {path}\n" in shell(*CREATE, "--exec", f"{path} secret set NAME").stderr


def test_missing_variables_are_named(shell, space) -> None:
    del shell.environment["SIGNALWIRE_API_TOKEN"]
    run = shell(*CREATE)
    assert (run.returncode, space.requests) == (2, [])
    assert re.fullmatch(r"Error: not set, or empty: SIGNALWIRE_API_TOKEN; export .*; nothing was sent\n", run.stderr)
    del shell.environment["SIGNALWIRE_SPACE"]
    assert "not set, or empty: SIGNALWIRE_SPACE, SIGNALWIRE_API_TOKEN;" in shell("delete", UUID).stderr


@pytest.mark.parametrize(("variable", "value"), [("SPACE", "a b"), ("PROJECT_ID", ""), ("API_TOKEN", "x\n")])
def test_a_malformed_variable_is_named(shell, space, variable, value) -> None:
    run = shell(*CREATE, environment={f"SIGNALWIRE_{variable}": value})
    assert (run.returncode, space.requests) == (2, [])
    assert re.fullmatch(rf"Error: .*SIGNALWIRE_{variable}.*\n", run.stderr)


def test_what_is_for_python_is_left_out(shell) -> None:
    run = shell(*CREATE, environment={"SIGNALWIRE_SPACE": "http://example.com"})
    assert run.returncode == 2
    assert run.stderr.endswith("(http:// for loopback only); nothing was sent\n")


@pytest.mark.parametrize(
    "name",
    ["two\nlines", "\x1b[2K", "abc\u202efdp", "soft\u00adhyphen", os.fsdecode(b"\xff")],
    ids=["line", "escape", "bidirectional", "invisible", "bytes"],
)
@pytest.mark.parametrize("command", ["create", "update", "rotate", "run"])
def test_a_name_that_does_not_show_itself_is_refused(shell, space, name, command) -> None:
    run = shell(
        *{
            "create": ("create", name, "-p", "fax"),
            "update": ("update", UUID, "--name", name),
            "rotate": ("rotate", UUID, name, "-p", "fax", "--exec", "cat"),
            "run": ("run", name, "-p", "fax", "--", "true"),
        }[command]
    )
    assert (run.returncode, space.requests) == (125 if command == "run" else 2, [])
    assert "it has a control character, an invisible one, or bytes that are not UTF-8" in run.stderr
    assert all(line.isprintable() for line in run.stderr.splitlines())


@pytest.mark.parametrize("name", ["Größe 7", "ファクス", "👩\u200d💻 laptop", "नमस्\u200cते"])
def test_a_name_of_any_script_is_sent_as_it_is(shell, space, name) -> None:
    assert shell("create", name, "-p", "fax").returncode == 0
    assert only(space).name == name


@pytest.mark.parametrize("argument", ["a\x07b", "a\u202eb", os.fsdecode(b"a\xff")])
def test_what_a_terminal_would_act_on_is_shown_escaped(shell, argument, tmp_path) -> None:
    for arguments in (
        [argument],
        ["delete", UUID, argument],
        ["delete", f"--{argument}"],
        [*CREATE, "--out", f"missing/{argument}"],
        [*CREATE, "--exec", argument],
        ["run", "ci", "-p", "fax", argument],
    ):
        run = shell(*arguments, cwd=tmp_path)
        assert all(line.isprintable() for line in run.stderr.splitlines())
        assert "a\\" in run.stderr


def test_no_argument_can_forge_a_line(shell) -> None:
    run = shell(*CREATE, "--out", "missing/a\ncreated token")
    assert (run.returncode, run.stderr.count("\n")) == (2, 1)


def test_what_the_service_calls_a_permission_cannot_forge_a_line(shell, space) -> None:
    described = {"id": UUID, "name": "x", "token": "PT0", "permissions": ["fax", "\x1b[2K\nError: forged"]}
    space.fail_next(200, body=described)
    run = shell("update", UUID, "--name", "x")
    assert (run.returncode, run.stderr.count("\n"), "\x1b" in run.stderr) == (0, 1, False)
