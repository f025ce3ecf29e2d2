"""Creating a token: where its secret goes, and what is refused before one is minted."""

import errno
import json
import os
import re
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from signalwire_tokens import ApiToken, ProjectTokens, SecretStr
from signalwire_tokens.cli.formats import renderer

from .shell import COMMAND, CREATE, SECRET, UUID, Minting, only, secret_of


def test_a_pipe_gets_the_secret_alone_and_standard_error_the_rest(shell, space) -> None:
    run = shell.process(*CREATE)
    assert (run.returncode, run.stdout) == (0, secret_of(space))
    token = only(space)
    assert (token.name, token.permissions) == ("ci deploy", ("fax", "calling"))
    assert run.stderr == f"created token {token.id}, name 'ci deploy', permissions fax, calling\n"


def test_json_is_one_object(shell, space) -> None:
    run = shell(*CREATE, "--format", "json")
    assert run.stdout.endswith("}\n")
    assert json.loads(run.stdout) == {
        "space": shell.environment["SIGNALWIRE_SPACE"],
        "project_id": space.project_id,
        "id": str(only(space).id),
        "name": "ci deploy",
        "permissions": ["fax", "calling"],
        "token": secret_of(space),
    }


def test_env_lines_are_read_by_a_shell_as_they_stand(shell, space, tmp_path) -> None:
    file = tmp_path / "token.env"
    assert shell(*CREATE, "--format", "env", "--out", str(file)).returncode == 0
    assert file.read_text().splitlines() == [
        f"SIGNALWIRE_API_TOKEN_ID={only(space).id}",
        f"SIGNALWIRE_SPACE={shell.environment['SIGNALWIRE_SPACE']}",
        f"SIGNALWIRE_PROJECT_ID={space.project_id}",
        f"SIGNALWIRE_API_TOKEN={secret_of(space)}",
    ]
    script = f'. "{file}"; printf "%s %s" "$SIGNALWIRE_API_TOKEN_ID" "$SIGNALWIRE_API_TOKEN"'
    read = subprocess.run(["sh", "-ec", script], capture_output=True, text=True)
    assert read.stdout == f"{only(space).id} {secret_of(space)}"


@pytest.mark.parametrize("form", ["env", "json"])
def test_the_file_alone_is_enough(shell, space, tmp_path, form) -> None:
    assert shell("create", "a", "-p", "management", "--format", form, "--out", "a", cwd=tmp_path).returncode == 0
    text = (tmp_path / "a").read_text()
    read = json.loads(text) if form == "json" else dict(line.split("=") for line in text.splitlines())
    names = ("space", "project_id", "token") if form == "json" else shell.environment.keys() & read.keys()
    variables = ("SIGNALWIRE_SPACE", "SIGNALWIRE_PROJECT_ID", "SIGNALWIRE_API_TOKEN")
    own = dict(zip(variables, (read[n] for n in names), strict=True)) if form == "json" else read
    assert shell("delete", str(only(space).id), environment=own).returncode == 0
    assert space.tokens == {}


@pytest.mark.parametrize("form", ["env", "json"])
def test_for_a_subproject_the_file_names_it(shell, space, form) -> None:
    subproject = str(space.add_subproject("tenant"))
    run = shell(*CREATE, "--subproject", subproject, "--format", form)
    assert (run.returncode, only(space).project_id) == (0, subproject)
    assert subproject in run.stdout
    assert space.project_id not in run.stdout
    assert run.stderr.endswith(f", permissions fax, calling, subproject {subproject}\n")


@pytest.mark.parametrize(
    ("given", "host"),
    [
        ("example", "example.signalwire.com"),
        ("Example", "example.signalwire.com"),
        ("example/", "example.signalwire.com"),
        ("example.signalwire.com", "example.signalwire.com"),
        ("https://example.signalwire.com/", "example.signalwire.com"),
        ("https://example.swire.io:8443", "example.swire.io:8443"),
        ("https://intranet", "https://intranet"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
    ],
)
def test_the_space_is_written_as_sdks_take_it(monkeypatch, given, host) -> None:
    """SignalWire's SDKs would send the credentials to the host `example`."""
    monkeypatch.setenv("SIGNALWIRE_SPACE", given)
    monkeypatch.setenv("SIGNALWIRE_PROJECT_ID", UUID)
    token = ApiToken(uuid.UUID(UUID), "ci", (), SecretStr("secret"))
    assert json.loads(renderer("json", None)(token))["space"] == host
    # This library takes it for the same space.
    written, asked = (ProjectTokens(space, UUID, "an-api-token") for space in (host, given))
    assert repr(written) == repr(asked)


@pytest.mark.parametrize("form", ["env", "json"])
def test_a_token_whose_file_is_replaced_is_named(shell, space, tmp_path, form) -> None:
    where = ("--format", form, "--out", "ci", "--force")
    assert shell(*CREATE, *where, cwd=tmp_path).stderr.endswith("; its secret is in ci\n")
    first = only(space)
    says = f"; its secret is in ci; ci held token {first.id} before: delete that if nothing uses it\n"
    assert shell(*CREATE, *where, cwd=tmp_path).stderr.endswith(says)


def test_a_file_is_written_whole_for_its_owner_alone(shell, space, tmp_path) -> None:
    run = shell(*CREATE, "--out", str(tmp_path / "token"), umask=0)
    assert (run.returncode, run.stdout) == (0, "")
    assert [path.name for path in tmp_path.iterdir()] == ["token"]
    assert (tmp_path / "token").read_text() == secret_of(space)
    assert (tmp_path / "token").stat().st_mode & 0o777 == 0o600
    assert run.stderr.endswith(f"; its secret is in {tmp_path / 'token'}\n")
    assert not SECRET.search(run.stderr)


def test_a_file_can_be_read_by_its_owner_whatever_the_umask(shell, space, tmp_path) -> None:
    assert shell(*CREATE, "--out", "token", cwd=tmp_path, umask=0o777).returncode == 0
    assert (tmp_path / "token").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "token").read_text() == secret_of(space)


def test_an_existing_file_is_replaced_only_by_force(shell, space, tmp_path) -> None:
    file = tmp_path / "token"
    file.write_text("old")
    run = shell(*CREATE, "--out", str(file))
    assert (run.returncode, run.stderr) == (2, f"Error: {file} exists; name another file, or replace it with --force\n")
    assert (file.read_text(), space.requests) == ("old", [])
    assert shell(*CREATE, "--out", str(file), "--force").returncode == 0
    assert file.read_text() == secret_of(space)
    assert shell(*CREATE, "--out", str(tmp_path / "new"), "--force").returncode == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new", "token"]


@pytest.mark.parametrize("force", [(), ("--force",)])
@pytest.mark.parametrize("where", ["missing/token", "file/token", "", "link", "fifo", "x" * 300])
def test_a_file_that_cannot_be_written_is_refused_before_minting(shell, space, tmp_path, where, force) -> None:
    (tmp_path / "file").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    os.mkfifo(tmp_path / "fifo")
    before = sorted(tmp_path.iterdir())
    run = shell(*CREATE, "--out", str(tmp_path / where), *force)
    assert (run.returncode, run.stdout, space.requests) == (2, "", [])
    assert "Error: " in run.stderr
    assert (sorted(tmp_path.iterdir()), (tmp_path / "file").read_text()) == (before, "old")


@pytest.mark.parametrize("force", [(), ("--force",)])
@pytest.mark.parametrize("there", [True, False])
def test_a_link_is_told_from_other_things(shell, tmp_path, there, force) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "file")
    if there:
        (tmp_path / "file").touch()
    said = f"{tmp_path / 'link'} is a symbolic link; name the file that it points to"
    assert shell(*CREATE, "--out", str(tmp_path / "link"), *force).stderr == f"Error: {said}\n"
    os.mkfifo(tmp_path / "fifo")
    assert "fifo is no regular file; name another" in shell(*CREATE, "--out", str(tmp_path / "fifo"), *force).stderr


def test_a_full_disk_is_found_out_before_minting(shell, space, tmp_path) -> None:
    # No process may then write a file at all, nor can coverage.
    unmeasured = {name: value for name, value in shell.environment.items() if not name.startswith("COVERAGE")}
    run = subprocess.run(
        ["bash", "-c", 'ulimit -f 0; exec "$@"', "-", COMMAND, *CREATE, "--out", str(tmp_path / "token")],
        env=unmeasured,
        capture_output=True,
        text=True,
    )
    assert (run.returncode, space.requests, list(tmp_path.iterdir())) == (2, [], [])
    assert re.fullmatch(r"Error: .*token cannot be written, so nothing was sent: File too large\n", run.stderr)


@pytest.mark.skipif(not hasattr(os, "fchmod"), reason="no POSIX modes")
def test_a_file_system_without_modes_is_found_out_before_minting(shell, space, tmp_path, monkeypatch) -> None:
    def refuse(*_) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "fchmod", refuse)
    run = shell(*CREATE, "--out", str(tmp_path / "token"))
    assert (run.returncode, space.requests, list(tmp_path.iterdir())) == (2, [], [])
    says = r"Error: .*token cannot be written, so nothing was sent: Operation not permitted\n"
    assert re.fullmatch(says, run.stderr)


def test_a_refused_mint_leaves_no_file(shell, space, tmp_path) -> None:
    space.fail_next(401)
    run = shell(*CREATE, "--out", str(tmp_path / "token"))
    assert (run.returncode, list(tmp_path.iterdir())) == (1, [])
    refused = r"Error: create of token 'ci deploy' failed: HTTP 401.*\(nothing was minted; .*management permission.*\n"
    assert re.fullmatch(refused, run.stderr)


def test_a_refused_mint_leaves_the_old_file(shell, space, tmp_path) -> None:
    (tmp_path / "token").write_text("old")
    space.fail_next(422)
    assert shell(*CREATE, "--out", str(tmp_path / "token"), "--force").returncode == 1
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


def test_a_command_gets_the_secret_on_its_standard_input(shell, space, tmp_path, script) -> None:
    run = shell(*CREATE, "--exec", script("cat > in"), cwd=tmp_path)
    assert (run.returncode, (tmp_path / "in").read_text()) == (0, secret_of(space))
    assert run.stderr.endswith("; its secret is stored\n")


def test_a_command_that_fails_after_reading_leaves_no_token(shell, space) -> None:
    run = shell(*CREATE, "--exec", "sh -c 'cat > /dev/null; exit 1'")
    assert (run.returncode, run.stdout, space.tokens) == (1, "", {})
    assert [request.method for request in space.requests] == ["POST", "DELETE"]
    assert re.fullmatch(r"Error: the secret could not be stored: sh exited with 1; .* deleted.*\n", run.stderr)


@pytest.mark.parametrize("where", [("--out", "a", "--exec", "cat"), ("--exec", "cat", "--force"), ("--exec", "")])
def test_one_place_is_enough(shell, space, tmp_path, where) -> None:
    run = shell(*CREATE, *where, cwd=tmp_path)
    assert (run.returncode, run.stdout, space.requests) == (2, "", [])
    assert re.search("Error: (give one of --out and --exec|--force goes|--exec names no)", run.stderr)


def test_force_is_for_files(shell, space) -> None:
    run = shell(*CREATE, "--force")
    assert (run.returncode, space.requests) == (2, [])
    assert "--force goes with --out" in run.stderr


@pytest.mark.parametrize(
    ("fault", "code", "said"),
    [
        ({"status": 403}, 1, "HTTP 403"),
        ({"status": 422}, 1, "HTTP 422"),
        ({"status": 500}, 3, "may exist"),
        ({"disconnect": True, "applied": True}, 3, "may exist"),
        ({"status": 200, "body": {"id": UUID}}, 3, UUID),
        ({"status": 200, "body": "<html>"}, 3, "may exist"),
    ],
)
def test_the_exit_code_tells_refused_from_unknown(shell, space, fault, code, said) -> None:
    space.fail_next(**fault)
    run = shell(*CREATE)
    assert (run.returncode, run.stdout, len(space.requests)) == (code, "", 1)
    assert re.fullmatch(r"Error: .*\n", run.stderr)
    assert run.stderr.count(said) == 1


def test_no_service_is_not_done(shell, free_port) -> None:
    # An answer of 429 would wait for its time; a refused connection waits for half a second at most.
    run = shell(*CREATE, environment={"SIGNALWIRE_SPACE": f"http://127.0.0.1:{free_port}"})
    assert (run.returncode, run.stdout) == (1, "")
    assert "nothing was sent" in run.stderr.splitlines()[-1]


class TestAfterMinting:
    """A secret that cannot be stored: the token is deleted again, or named."""

    def test_a_pipe_that_nobody_reads(self, shell, space) -> None:
        reading, writing = os.pipe()
        space.tokens = Minting(lambda: os.close(reading))
        run = shell(*CREATE, stdout=writing)
        os.close(writing)
        assert (run.returncode, space.tokens) == (1, {})
        assert re.fullmatch(r"Error: the secret could not be stored: Broken pipe; .* deleted.*\n", run.stderr)

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
    def test_a_full_disk_behind_standard_output(self, shell, space) -> None:
        with Path("/dev/full").open("w") as full:
            run = shell(*CREATE, stdout=full.fileno())
        assert (run.returncode, space.tokens) == (1, {})
        assert re.search(r"No space left on device; .* deleted", run.stderr)

    def test_a_directory_that_went_away(self, shell, space, tmp_path) -> None:
        import shutil

        (tmp_path / "gone").mkdir()
        space.tokens = Minting(lambda: shutil.rmtree(tmp_path / "gone"))
        run = shell(*CREATE, "--out", str(tmp_path / "gone" / "token"))
        assert (run.returncode, space.tokens) == (1, {})
        assert re.fullmatch(r"Error: .*No such file or directory; .* deleted.*\n", run.stderr)

    def test_a_directory_that_became_a_file(self, shell, space, tmp_path) -> None:
        # Nor can what was begun there be removed.
        place = tmp_path / "place"
        place.mkdir()
        space.tokens = Minting(lambda: (place.rename(tmp_path / "moved"), place.touch()))
        run = shell(*CREATE, "--out", str(place / "token"))
        assert (run.returncode, space.tokens) == (1, {})
        assert re.fullmatch(r"Error: the secret could not be stored: Not a directory; .* deleted.*\n", run.stderr)

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
    def test_a_disk_that_is_full_all_the_same(self, shell, space, tmp_path) -> None:
        def fill() -> None:
            [new] = tmp_path.glob(".*")
            held = [path for path in Path("/proc/self/fd").iterdir() if path.exists() and path.samefile(new)]
            os.dup2(full.fileno(), int(held[0].name))

        with Path("/dev/full").open("w") as full:
            space.tokens = Minting(fill)
            run = shell(*CREATE, "--out", str(tmp_path / "token"))
        assert (run.returncode, space.tokens, list(tmp_path.iterdir())) == (1, {}, [])
        says = r"Error: the secret could not be stored: No space left on device; .* deleted.*\n"
        assert re.fullmatch(says, run.stderr)

    def test_a_token_that_still_exists_is_named(self, shell, space) -> None:
        reading, writing = os.pipe()

        def break_all() -> None:
            os.close(reading)
            space.api_token = SecretStr("changed")

        space.tokens = Minting(break_all)
        run = shell(*CREATE, stdout=writing)
        os.close(writing)
        assert run.returncode == 3
        assert re.fullmatch(
            rf"Error: the secret could not be stored: Broken pipe; token {only(space).id} may still exist, delete it: "
            rf"delete of token {only(space).id} failed: HTTP 401.*\n",
            run.stderr,
        )

    def test_a_secret_that_no_env_file_can_hold(self, shell, space) -> None:
        body = {"id": UUID, "name": "ci deploy", "permissions": ["fax"], "token": "a b"}
        space.fail_next(200, body=body)
        run = shell(*CREATE, "--format", "env")
        assert (run.returncode, run.stdout) == (1, "")
        assert [request.method for request in space.requests] == ["POST", "DELETE"]
        assert re.search(r"SIGNALWIRE_API_TOKEN has characters .* alike; .* deleted", run.stderr)

    def test_a_secret_that_is_no_text(self, shell, space, tmp_path) -> None:
        space.fail_next(200, body={"id": UUID, "name": "ci deploy", "permissions": ["fax"], "token": "a\ud800"})
        run = shell(*CREATE, "--out", "token", cwd=tmp_path)
        assert (run.returncode, list(tmp_path.iterdir())) == (1, [])
        assert [request.method for request in space.requests] == ["POST", "DELETE"]
        assert re.search(r"could not be stored: it has characters that cannot be written; .* deleted", run.stderr)

    def test_no_command_is_started_that_would_read_nothing(self, shell, space, tmp_path) -> None:
        # As where no more threads are allowed: a command that gets an empty standard input might store that.
        limited = (
            "import sys, threading\n"
            'def refuse(thread): raise RuntimeError("can\'t start new thread")\n'
            "threading.Thread.start = refuse\n"
            "from signalwire_tokens.cli import main\n"
            "main()"
        )
        (tmp_path / "vault").write_text("old")
        run = shell.process(
            *CREATE, "--exec", "sh -c 'cat > vault'", command=(sys.executable, "-c", limited), cwd=tmp_path
        )
        assert (run.returncode, (tmp_path / "vault").read_text(), space.tokens) == (1, "old", {})
        assert re.fullmatch(r"Error: .*sh was not started: can't start new thread; .* deleted.*\n", run.stderr)


def test_closed_standard_output_is_refused_before_minting(shell, space) -> None:
    run = shell.process(command=("sh", "-c", 'exec "$@" >&-', "-", COMMAND, *CREATE))
    assert (run.returncode, space.requests) == (2, [])
    assert "--out" in run.stderr


def test_closed_standard_error_costs_nothing(shell, space) -> None:
    run = shell.process(command=("sh", "-c", 'exec "$@" 2>&-', "-", COMMAND, *CREATE))
    assert (run.returncode, run.stdout) == (0, secret_of(space))


def test_standard_error_that_nobody_reads_costs_nothing(shell, space, broken) -> None:
    run = shell.process(*CREATE, stdout=subprocess.PIPE, stderr=broken, capture_output=False)
    assert (run.returncode, run.stdout) == (0, secret_of(space))
    space.fail_next(401)
    assert shell(*CREATE, stderr=broken).returncode == 1
    assert shell("create", stderr=broken).returncode == 2
