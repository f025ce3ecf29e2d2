"""Every example does what it says, as a process of its own against a served space."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from signalwire_tokens import ProjectTokens

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="no shell scripts and no inherited sockets"),
]

EXAMPLES = Path(__file__).parent.parent / "examples"
# Keeps what it was called with and what came on its standard input, and fails for FAIL.
FAKE_GH = """#!/bin/sh
[ "$2" = set ] || exit 2
cd "$(dirname "$0")"
printf '%s\\n' "$@" >> arguments
if [ "$1" = secret ]; then cat > "secret-$3"; env > environment; fi
[ "$1" != "$FAIL" ]
"""


@pytest.fixture
def example(environment):
    def example(name, *arguments, **options) -> subprocess.CompletedProcess:
        options = {"env": environment, "capture_output": True, "text": True, "timeout": 300, **options}
        return subprocess.run([sys.executable, EXAMPLES / name, *arguments], **options)

    return example


@pytest.fixture
def old(space, environment):
    with ProjectTokens(environment["SIGNALWIRE_SPACE"], space.project_id, space.api_token) as tokens:
        return tokens.create("old", ["fax"])


def only(space):
    [token] = space.tokens.values()
    return token


def secret_of(space) -> str:
    return only(space).token.get_secret_value()


class TestRotateIntoGitHub:
    @pytest.fixture
    def gh(self, tmp_path, environment):
        (tmp_path / "gh").write_text(FAKE_GH)
        (tmp_path / "gh").chmod(0o700)
        environment["PATH"] = f"{tmp_path}{os.pathsep}{environment['PATH']}"
        return tmp_path

    def test_github_has_the_new_secret_and_the_old_token_is_gone(self, example, space, old, gh) -> None:
        run = example("rotate_into_github.py", str(old.id))
        assert (run.returncode, run.stderr) == (0, "")
        assert old.id not in space.tokens
        assert (gh / "secret-SIGNALWIRE_API_TOKEN").read_text() == secret_of(space)
        assert (gh / "arguments").read_text().splitlines() == [
            *("secret", "set", "SIGNALWIRE_API_TOKEN"),
            *("variable", "set", "SIGNALWIRE_API_TOKEN_ID", "--body", str(only(space).id)),
        ]
        assert secret_of(space) not in (gh / "environment").read_text() + run.stdout

    @pytest.mark.parametrize("fails", ["secret", "variable"])
    @pytest.mark.usefixtures("gh")
    def test_if_github_refuses_the_old_token_stays(self, example, space, old, environment, fails) -> None:
        environment["FAIL"] = fails
        run = example("rotate_into_github.py", str(old.id))
        assert (run.returncode, list(space.tokens)) == (1, [old.id])
        assert run.stderr.startswith("not rotated: ")

    @pytest.mark.usefixtures("gh")
    def test_an_old_token_that_stays_is_named(self, example, space) -> None:
        missing = uuid4()
        run = example("rotate_into_github.py", str(missing))
        assert (run.returncode, len(space.tokens)) == (1, 1)
        assert run.stderr.splitlines()[-1].startswith(f"delete {missing} by hand: ")


class TestRotateIntoFile:
    def test_the_file_has_the_new_secret(self, example, space, old, tmp_path) -> None:
        (tmp_path / "token").write_text(old.token.get_secret_value())
        run = example("rotate_into_file.py", str(old.id), str(tmp_path / "token"))
        assert (run.returncode, run.stderr) == (0, "")
        assert (tmp_path / "token").read_text() == secret_of(space)
        assert old.id not in space.tokens
        assert [path.name for path in tmp_path.iterdir()] == ["token"]

    def test_if_it_cannot_be_written_the_old_token_stays(self, example, space, old, tmp_path) -> None:
        (tmp_path / "token").mkdir()
        run = example("rotate_into_file.py", str(old.id), str(tmp_path / "token"))
        assert (run.returncode, list(space.tokens)) == (1, [old.id])
        assert run.stderr.startswith("rotation failed: ")
        assert [path.name for path in tmp_path.iterdir()] == ["token"]


class TestTokenForLaterSteps:
    def test_later_steps_find_it_in_their_environment(self, example, space, environment, tmp_path) -> None:
        (tmp_path / "env").write_text("BEFORE=1\n")
        environment.update(GITHUB_ENV=str(tmp_path / "env"), GITHUB_RUN_ID="42")
        run = example("token_for_later_steps.py")
        assert (run.returncode, run.stderr) == (0, "")
        token = only(space)
        assert token.name == "github-run-42"
        lines = [f"SIGNALWIRE_TEST_TOKEN_ID={token.id}", f"SIGNALWIRE_TEST_TOKEN={secret_of(space)}"]
        assert (tmp_path / "env").read_text().splitlines() == ["BEFORE=1", *lines]
        # It shows nowhere but in the line that makes GitHub mask it.
        assert run.stdout.splitlines() == [f"::add-mask::{secret_of(space)}", f"later steps use {token.id}"]

    def test_a_file_that_cannot_be_written_costs_no_token(self, example, space, environment, tmp_path) -> None:
        environment.update(GITHUB_ENV=str(tmp_path), GITHUB_RUN_ID="42")
        run = example("token_for_later_steps.py")
        assert (run.returncode, space.tokens, len(space.requests)) == (1, {}, 2)

    def test_elsewhere_nothing_is_minted(self, example, space, environment) -> None:
        environment.pop("GITHUB_ENV", None)
        run = example("token_for_later_steps.py")
        assert (run.returncode, space.requests) == (1, [])
        assert run.stderr == "GITHUB_ENV is not set: this runs in GitHub Actions\n"


class TestTemporaryToken:
    @pytest.mark.parametrize("code", [0, 7])
    def test_it_lives_as_long_as_the_command(self, example, space, code) -> None:
        manager = space.api_token.get_secret_value()
        script = f'[ "$SIGNALWIRE_API_TOKEN" != {manager} ] && printf %s "$SIGNALWIRE_API_TOKEN"; exit {code}'
        run = example("temporary_token.py", "sh", "-c", script)
        assert (run.returncode, run.stderr, len(run.stdout)) == (code, "", 50)
        assert space.tokens == {}
        assert [request.method for request in space.requests] == ["POST", "DELETE"]

    def test_a_command_that_is_not_there_leaves_none(self, example, space) -> None:
        run = example("temporary_token.py", "no-such-command")
        assert (run.returncode, space.tokens) == (1, {})
        assert "no-such-command" in run.stderr


class TestUnknownOutcome:
    def test_without_trouble_nothing_is_said_of_it(self, example, space) -> None:
        run = example("unknown_outcome.py", "ci")
        assert (run.returncode, run.stderr) == (0, "")
        assert run.stdout == f"created {only(space).name} {only(space).id}\n"

    def test_strays_are_named_and_told_from_the_one_in_use(self, example, space) -> None:
        space.fail_next(disconnect=True, applied=True)
        space.fail_next(500)
        run = example("unknown_outcome.py", "ci")
        assert run.returncode == 0
        stray, used = space.tokens.values()
        created, first, second = run.stdout.splitlines()
        assert created == f"created {used.name} {used.id}"
        assert f"delete {stray.name} in the dashboard" in first
        assert "delete ci-" in second

    def test_a_stray_whose_id_came_is_deleted(self, example, space) -> None:
        space.fail_next(200, body={"id": str(uuid4())})
        run = example("unknown_outcome.py", "ci")
        assert run.returncode == 0
        assert [request.method for request in space.requests] == ["POST", "DELETE", "POST"]
        assert len(run.stdout.splitlines()) == 1

    def test_it_gives_up_and_says_what_to_look_for(self, example, space) -> None:
        space.fail_next(200, times=3, body="<html>")
        run = example("unknown_outcome.py", "ci")
        assert (run.returncode, len(space.requests)) == (1, 3)
        assert run.stderr.splitlines()[-1].count("ci-") == 3

    def test_a_refusal_is_no_unknown_outcome(self, example, space) -> None:
        space.fail_next(401)
        run = example("unknown_outcome.py", "ci")
        assert (run.returncode, len(space.requests)) == (1, 1)


class TestTenantTokens:
    def test_thousands_at_once_and_each_is_kept(self, example, space, tmp_path) -> None:
        tenants = [str(space.add_subproject("tenant")) for _ in range(2000)]
        file = tmp_path / "tokens.jsonl"
        run = example("tenant_tokens.py", str(file), input="\n".join(tenants))
        assert run.returncode == 0
        assert run.stderr.endswith("2000 minted, 0 failed, 0 to go \n")
        kept = [json.loads(line) for line in file.read_text().splitlines()]
        assert {line["subproject"] for line in kept} == {*tenants}
        living = {str(token.id): (token.project_id, token.token.get_secret_value()) for token in space.tokens.values()}
        assert {line["id"]: (line["subproject"], line["token"]) for line in kept} == living
        assert file.stat().st_mode & 0o777 == 0o600

    def test_it_goes_on_where_it_stopped(self, example, space, tmp_path) -> None:
        first, second, third = (str(space.add_subproject("tenant")) for _ in range(3))
        file = str(tmp_path / "tokens.jsonl")
        assert example("tenant_tokens.py", file, input=first).returncode == 0
        run = example("tenant_tokens.py", file, input=f"{first} {second} {second} {third}")
        assert run.stderr.endswith("2 minted, 0 failed, 0 to go \n")
        assert len(space.tokens) == 3

    def test_what_failed_is_named_and_does_not_stop_the_rest(self, example, space, tmp_path) -> None:
        tenants = [str(space.add_subproject("tenant")) for _ in range(20)]
        # The last in the list are minted for first, and meet the faults.
        space.fail_next(500, times=2)
        run = example("tenant_tokens.py", str(tmp_path / "tokens.jsonl"), input=" ".join([str(uuid4()), *tenants]))
        assert run.returncode == 1
        assert run.stderr.count("look in the dashboard first") == 2
        assert run.stderr.count("run again: ") == 1
        assert len(space.tokens) == 18

    @pytest.mark.skipif(sys.platform == "win32", reason="no POSIX signals")
    def test_where_an_interruption_left_it_open_neither(self, space, environment, tmp_path) -> None:
        # Coverage would deadlock if its bookkeeping is interrupted.
        environment.pop("COVERAGE_PROCESS_CONFIG", None)
        tenant = str(space.add_subproject("tenant"))
        file = tmp_path / "tokens.jsonl"
        space.fail_next(timeout=True, applied=True)
        command = [sys.executable, EXAMPLES / "tenant_tokens.py", file]
        with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as run:
            run.stdin.write(tenant.encode())
            run.stdin.close()
            while not space.requests:
                assert run.poll() is None
                time.sleep(0.005)
            run.send_signal(signal.SIGINT)
            assert run.wait(60) != 0
        assert json.loads(file.read_text()) == {"subproject": tenant, "unknown": only(space).name}

    def test_where_a_token_may_live_no_second_one_is_minted(self, example, space, tmp_path) -> None:
        tenant = str(space.add_subproject("tenant"))
        file = tmp_path / "tokens.jsonl"
        space.fail_next(disconnect=True, applied=True)
        assert example("tenant_tokens.py", str(file), input=tenant).returncode == 1
        assert example("tenant_tokens.py", str(file), input=tenant).returncode == 0
        assert json.loads(file.read_text()) == {"subproject": tenant, "unknown": only(space).name}
        file.write_text("")
        assert example("tenant_tokens.py", str(file), input=tenant).returncode == 0
        stray, used = space.tokens.values()
        assert stray.name != used.name


class TestFastAPI:
    @pytest.fixture
    def http(self, environment):
        with socket.create_server(("127.0.0.1", 0)) as listening:
            command = [sys.executable, "-m", "uvicorn", "fastapi_app:app", "--fd", str(listening.fileno())]
            with subprocess.Popen(
                command, cwd=EXAMPLES, env=environment, pass_fds=[listening.fileno()], stderr=subprocess.PIPE
            ) as server:
                port = listening.getsockname()[1]
                # The socket listens already, so the first request waits for the start.
                with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as http:
                    yield http
                server.terminate()
                server.communicate()

    def test_it_mints_for_a_tenant_and_deletes(self, http, space) -> None:
        tenant = space.add_subproject("tenant")
        wanted = {"name": "web", "permissions": ["messaging"]}
        answer = http.post(f"/tenants/{tenant}/tokens", json=wanted)
        assert (answer.status_code, answer.headers["cache-control"]) == (201, "no-store")
        assert answer.json() == {"id": str(only(space).id), "token": secret_of(space)}
        assert only(space).project_id == str(tenant)
        for _ in range(2):
            assert http.delete(f"/tokens/{answer.json()['id']}").status_code == 204
        assert space.tokens == {}
        assert http.post(f"/tenants/{tenant}/tokens", json={"name": "x", "permissions": ["voice"]}).status_code == 422

    def test_failures_are_told_apart(self, http, space) -> None:
        tenant = space.add_subproject("tenant")
        wanted = {"name": "web", "permissions": ["messaging"]}
        space.fail_next(500, applied=True)
        answer = http.post(f"/tenants/{tenant}/tokens", json=wanted)
        assert (answer.status_code, answer.json()["may_have_applied"]) == (502, True)
        space.fail_next(429, headers={"Retry-After": "120"})
        answer = http.post(f"/tenants/{tenant}/tokens", json=wanted)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "120")
        answer = http.post(f"/tenants/{uuid4()}/tokens", json=wanted)
        assert (answer.status_code, answer.json()["may_have_applied"]) == (502, False)


def test_every_example_is_tested() -> None:
    tests = Path(__file__).read_text(encoding="utf-8") + (EXAMPLES.parent / "tests" / "test_readme.py").read_text()
    assert [path.name for path in EXAMPLES.glob("*.py") if path.stem not in tests] == []
