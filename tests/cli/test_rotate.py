"""Rotating: the new secret is stored before the old token goes, and if that fails the old one stays."""

import json
import os
import re
import shutil
import signal

import pytest

from signalwire_tokens import SecretStr

from .shell import CREATE, UUID, Minting, only, secret_of


@pytest.fixture
def rotate(shell, old):
    return lambda *where, token=None, **options: shell(
        "rotate", str(token or old.id), "ci", "-p", "fax", *where, **options
    )


def secret_of_last(space) -> str:
    return list(space.tokens.values())[-1].token.get_secret_value()


def test_the_file_with_the_old_secret_is_replaced_at_once(rotate, space, old, file) -> None:
    assert (rotate("--out", str(file)).returncode, space.requests) == (2, [])
    run = rotate("--out", str(file), "--force")
    assert (run.returncode, run.stdout) == (0, "")
    assert old.id not in space.tokens
    assert file.read_text() == secret_of(space)
    assert [path.name for path in file.parent.iterdir()] == ["token"]
    assert run.stderr.startswith(f"created token {only(space).id}, name 'ci', permissions fax; ")
    assert run.stderr.endswith(f"the old token {old.id} is deleted\n")


@pytest.mark.parametrize("form", ["env", "json"])
def test_a_file_of_another_token_is_not_replaced(rotate, shell, space, old, tmp_path, form) -> None:
    file = tmp_path / "ci"
    assert shell(*CREATE, "--format", form, "--out", str(file)).returncode == 0
    [_, other] = space.tokens
    space.requests.clear()
    before = file.read_text()
    where = ("--format", form, "--out", "ci", "--force")
    run = rotate(*where, cwd=tmp_path)
    assert (run.returncode, space.requests, file.read_text()) == (2, [], before)
    assert run.stderr == f"Error: ci holds token {other}, not {old.id}; nothing was sent\n"
    assert rotate(*where, token=other, cwd=tmp_path).returncode == 0
    assert (other in space.tokens, secret_of_last(space) in file.read_text()) == (False, True)


@pytest.mark.parametrize("form", ["env", "json"])
def test_a_token_of_a_subproject_is_not_replaced_by_one_of_the_project(shell, space, tmp_path, form) -> None:
    tenant, where = space.add_subproject("tenant"), ("--format", form, "--out", "ci", "--force")
    assert shell(*CREATE, "--subproject", str(tenant), *where, cwd=tmp_path).returncode == 0
    token, before = only(space), (tmp_path / "ci").read_text()
    space.requests.clear()
    rotate = ("rotate", str(token.id), "ci", "-p", "fax", *where)
    run = shell(*rotate, cwd=tmp_path)
    assert (run.returncode, space.requests, (tmp_path / "ci").read_text()) == (2, [], before)
    says = f"ci holds a token of project {tenant}, not of SIGNALWIRE_PROJECT_ID; look at --subproject; nothing was sent"
    assert run.stderr == f"Error: {says}\n"
    run = shell(*rotate, "--subproject", UUID, cwd=tmp_path)
    assert (run.returncode, space.requests) == (2, [])
    assert f", not of subproject {UUID}; look at --subproject; " in run.stderr
    run = shell(*rotate, "--subproject", str(tenant).upper(), cwd=tmp_path)
    assert (run.returncode, only(space).project_id) == (0, str(tenant))
    assert f", subproject {tenant}; its secret is in ci, and the old token {token.id} is deleted\n" in run.stderr


@pytest.mark.parametrize(
    ("form", "edited"),
    [
        ("env", "export DATABASE_URL=x\n{}"),
        ("env", f"{{}}SIGNALWIRE_API_TOKEN_ID={UUID}\n"),
        ("json", '{{"DATABASE_URL": "x", "signalwire": {}}}'),
        ("json", f'{{}}{{{{"id": "{UUID}"}}}}'),
        ("json", '[{}, {{"KEY": 1}}]'),
    ],
)
def test_what_a_file_holds_beside_the_token_is_not_lost(shell, space, tmp_path, form, edited) -> None:
    where = ("--format", form, "--out", "ci", "--force")
    assert shell(*CREATE, *where, cwd=tmp_path).returncode == 0
    before = edited.format((tmp_path / "ci").read_text())
    (tmp_path / "ci").write_text(before)
    space.requests.clear()
    run = shell("rotate", str(only(space).id), "ci", "-p", "fax", *where, cwd=tmp_path)
    assert (run.returncode, space.requests, (tmp_path / "ci").read_text()) == (2, [], before)
    says = "ci also holds other values, which would be lost; name a file for the token alone; nothing was sent"
    assert run.stderr == f"Error: {says}\n"


@pytest.mark.parametrize(("form", "other"), [("env", "text"), ("env", "json"), ("json", "text"), ("json", "env")])
def test_a_file_keeps_its_format(shell, space, tmp_path, form, other) -> None:
    """Whoever reads it could not read another."""
    where = ("--out", "ci", "--force", "--format")
    assert shell(*CREATE, *where, form, cwd=tmp_path).returncode == 0
    before = (tmp_path / "ci").read_text()
    space.requests.clear()
    run = shell("rotate", str(only(space).id), "ci", "-p", "fax", *where, other, cwd=tmp_path)
    assert (run.returncode, space.requests, (tmp_path / "ci").read_text()) == (2, [], before)
    says = f"ci has the format {form}; give --format {form}, or name another file; nothing was sent"
    assert run.stderr == f"Error: {says}\n"


def test_a_project_that_is_missing_or_mixed_up_is_refused_and_not_repeated(shell, space, tmp_path) -> None:
    where = ("--format", "env", "--out", "ci", "--force")
    assert shell(*CREATE, *where, cwd=tmp_path).returncode == 0
    rotate = ("rotate", str(only(space).id), "ci", "-p", "fax", *where)
    # People swap the project ID and the API token.
    secret = space.api_token.get_secret_value()
    run = shell(*rotate, cwd=tmp_path, environment={"SIGNALWIRE_PROJECT_ID": secret})
    assert (run.returncode, secret in run.stderr) == (2, False)
    del shell.environment["SIGNALWIRE_PROJECT_ID"]
    run = shell(*rotate, cwd=tmp_path)
    assert (run.returncode, len(space.requests)) == (2, 1)
    assert run.stderr.startswith("Error: not set, or empty: SIGNALWIRE_PROJECT_ID;")


def test_what_is_no_regular_file_is_not_read(rotate, space, tmp_path) -> None:
    os.mkfifo(tmp_path / "fifo")
    run = rotate("--out", str(tmp_path / "fifo"), "--force")
    assert (run.returncode, space.requests) == (2, [])
    assert run.stderr.endswith("is no regular file; name another\n")


@pytest.mark.usefixtures("old")
def test_an_old_token_that_is_not_there_is_told(rotate, space, file) -> None:
    run = rotate("--out", str(file), "--force", token=UUID)
    [_, new] = space.tokens
    assert (run.returncode, file.read_text()) == (3, secret_of_last(space))
    assert re.fullmatch(rf"Error: rotate failed: .*{new} is stored.*{UUID}.*\n", run.stderr)


def test_at_every_moment_a_stored_token_works(rotate, space, old, file) -> None:
    stored = []

    class Watched(Minting):
        def __delitem__(self, key) -> None:
            stored.append((file.read_text(), key))
            super().__delitem__(key)

    space.tokens = Watched(lambda: stored.append((file.read_text(), None)), old)
    stored.clear()
    assert rotate("--out", str(file), "--force").returncode == 0
    assert stored == [(old.token.get_secret_value(), None), (secret_of(space), old.id)]


def test_a_command_gets_the_secret_on_its_standard_input_alone(rotate, space, old, tmp_path, script) -> None:
    kept = script('cat > in; printf "%s\\n" "$0" "$@" > arguments; env > environment')
    assert rotate("--exec", kept, cwd=tmp_path).returncode == 0
    assert (tmp_path / "in").read_text() == secret_of(space)
    assert (tmp_path / "arguments").read_text().splitlines()[1:] == ["one", "two three"]
    assert secret_of(space) not in (tmp_path / "environment").read_text()
    assert old.id not in space.tokens


@pytest.mark.usefixtures("old")
def test_what_the_command_prints_is_seen(shell, space) -> None:
    run = shell.process("rotate", str(only(space).id), "ci", "-p", "fax", "--exec", "sh -c 'cat >&2; echo stored'")
    assert (run.returncode, run.stdout, run.stderr[:50]) == (0, "stored\n", secret_of(space))


def test_a_command_may_want_another_format(rotate, space, tmp_path, script) -> None:
    rotate("--format", "json", "--exec", script("cat > in"), cwd=tmp_path)
    assert json.loads((tmp_path / "in").read_text())["token"] == secret_of(space)


@pytest.mark.parametrize(
    ("fails", "how"),
    [
        ("exit 7", "exited with 7"),
        ("kill -TERM $$", "was ended by SIGTERM"),
        ("cat > /dev/null; exit 1", "exited with 1"),
    ],
)
def test_a_command_that_fails_leaves_the_old_token(rotate, space, old, script, fails, how) -> None:
    run = rotate("--exec", script(fails))
    assert (run.returncode, run.stdout, list(space.tokens)) == (1, "", [old.id])
    assert re.fullmatch(rf"Error: the secret could not be stored: .* {how}; .* deleted.*{old.id}.*\n", run.stderr)


@pytest.mark.skipif(not hasattr(signal, "SIGRTMIN"), reason="every signal has a name")
def test_a_signal_without_a_name_is_numbered(rotate, space, old) -> None:
    run = rotate("--exec", "sh -c 'kill -36 $$'")
    assert (run.returncode, list(space.tokens)) == (1, [old.id])
    assert "sh was ended by signal 36;" in run.stderr


def test_a_command_that_cannot_run_leaves_the_old_token(rotate, space, old, tmp_path) -> None:
    program = tmp_path / "program"
    program.write_bytes(b"\x7fELF")
    program.chmod(0o700)
    run = rotate("--exec", str(program))
    assert (run.returncode, list(space.tokens)) == (1, [old.id])
    assert f"{program} cannot be run: Exec format error;" in run.stderr


@pytest.mark.parametrize("reads", ["exit 0", "head -c 9 > /dev/null", "exec 0<&-"])
@pytest.mark.parametrize("form", [(), ("--format", "json")])
def test_a_command_that_does_not_read_the_secret_has_not_stored_it(shell, space, old, script, reads, form) -> None:
    # The long name is more than a pipe holds.
    name = "x" * 100_000 if form else "ci"
    run = shell("rotate", str(old.id), name, "-p", "fax", *form, "--exec", script(reads))
    assert (run.returncode, list(space.tokens)) == (1, [old.id])
    assert re.search(r"did not read all of it; .* deleted", run.stderr)


def test_what_was_quoted_for_a_shell_is_left_to_it(rotate, space, tmp_path) -> None:
    assert rotate("--exec", "sh -c '</dev/stdin cat >in'", cwd=tmp_path).returncode == 0
    assert (tmp_path / "in").read_text() == secret_of(space)


def test_a_command_gets_more_than_a_pipe_holds(shell, space, old, tmp_path, script) -> None:
    name = "x" * 100_000
    much = ("rotate", str(old.id), name, "-p", "fax", "--format", "json")
    assert (shell(*much, "--exec", script("cat > in"), cwd=tmp_path).returncode, len(space.tokens)) == (0, 1)
    assert json.loads((tmp_path / "in").read_text())["name"] == name


@pytest.mark.parametrize("command", ["", "no-such-command x", "'", "/", "cat > in", "cat 2>&1", "cat | cat"])
def test_no_command_is_refused_before_minting(rotate, space, command) -> None:
    run = rotate("--exec", command)
    assert (run.returncode, run.stdout, space.requests) == (2, "", [])
    assert re.fullmatch(r"Error: --exec .*\n", run.stderr)


@pytest.mark.parametrize(
    "where", [(), ("--out", "a", "--exec", "cat"), ("--exec", "cat", "--force"), ("--out", "no/file")]
)
def test_one_place_is_needed(rotate, space, where) -> None:
    run = rotate(*where)
    assert (run.returncode, space.requests) == (2, [])
    assert "Error: " in run.stderr


def test_a_file_that_cannot_be_replaced_leaves_the_old_token(rotate, space, old, file) -> None:
    space.tokens = Minting(lambda: shutil.rmtree(file.parent), old)
    run = rotate("--out", str(file), "--force")
    assert (run.returncode, list(space.tokens)) == (1, [old.id])
    assert re.search(rf"deleted.*{old.id}", run.stderr)


def test_a_refused_mint_changes_nothing(rotate, space, old, file) -> None:
    space.fail_next(403)
    run = rotate("--out", str(file), "--force")
    assert (run.returncode, list(space.tokens)) == (1, [old.id])
    assert file.read_text() == old.token.get_secret_value()
    assert re.fullmatch(r"Error: create of token 'ci' failed: HTTP 403.*\n", run.stderr)


def lock_out(space):
    def change() -> None:
        space.api_token = SecretStr("changed")

    return change


def test_an_old_token_that_may_still_exist_is_named(rotate, space, old, file) -> None:
    space.tokens = Minting(lock_out(space))
    run = rotate("--out", str(file), "--force")
    assert (run.returncode, file.read_text()) == (3, secret_of(space))
    assert re.fullmatch(
        rf"Error: rotate failed: token {only(space).id} is stored and works, but the old token {old.id} may still "
        rf"exist, check that it is gone: delete of token {old.id} failed: HTTP 401.*\n",
        run.stderr,
    )


@pytest.mark.usefixtures("old")
def test_a_new_token_that_still_exists_is_named(rotate, space) -> None:
    space.tokens = Minting(lock_out(space))
    run = rotate("--exec", "sh -c 'exit 1'")
    assert run.returncode == 3
    assert re.fullmatch(rf"Error: .*: sh exited with 1; token {only(space).id} may still exist.*\n", run.stderr)


def test_retries_are_told_as_they_come(shell, space, old) -> None:
    space.fail_next(429, headers={"Retry-After": "0"})
    run = shell("delete", str(old.id))
    assert (run.returncode, space.tokens) == (0, {})
    told, done = run.stderr.splitlines()
    assert "429" in told
    assert done == f"deleted token {old.id}"
