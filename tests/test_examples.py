"""Every example does what it says, run as a program of its own against a served space."""

import ast
import base64
import json
import logging
import os
import re
import runpy
import shutil
import signal
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
import uvicorn
from interrupting import interrupt, until

from signalwire_tokens import ProjectTokens, SignalWireError

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="no shell scripts and no inherited sockets"),
]

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.fixture
def example(program, environment):
    return lambda name, *arguments, **options: program(EXAMPLES / name, *arguments, env=environment, **options)


@pytest.fixture
def old(space, environment):
    with ProjectTokens(environment["SIGNALWIRE_SPACE"], space.project_id, space.api_token) as tokens:
        return tokens.create("old", ["fax"])


@pytest.fixture
def stand_in(tmp_path, environment):
    """Put a stand-in for a command first on the PATH; it keeps its arguments, its input and its environment."""
    folder = tmp_path / "stand-in"
    folder.mkdir()
    environment["PATH"] = f"{folder}{os.pathsep}{environment['PATH']}"

    def stand_in(command, script) -> Path:
        begin = 'cd "$(dirname "$0")"; n=$(ls | wc -l); echo "$@" >> arguments; env >> environment\n'
        (folder / command).write_text(f"#!/bin/sh\n{begin}{script}")
        (folder / command).chmod(0o700)
        return folder

    return stand_in


def only(space):
    [token] = space.tokens.values()
    return token


def secret_of(space) -> str:
    return only(space).token.get_secret_value()


class TestRotateIntoGitHub:
    # Fails for the call that FAIL counts to, and for all from it on where it ends with a plus.
    GH = """
n=$(wc -l < arguments)
case "$FAIL" in *+) [ "$n" -lt "${FAIL%+}" ] || exit 1 ;; ?*) [ "$n" -ne "$FAIL" ] || exit 1 ;; esac
case "$1 $2" in
"secret set") cat > "secret-$3" ;;
"variable set") [ "$4" = --body ] && printf %s "$5" > "variable-$3" ;;
*) exit 2 ;;
esac
"""

    @pytest.fixture
    def gh(self, stand_in, old):
        folder = stand_in("gh", self.GH)
        (folder / "secret-SIGNALWIRE_CALLS_TOKEN").write_text(old.token.get_secret_value())
        (folder / "variable-SIGNALWIRE_CALLS_TOKEN_ID").write_text(str(old.id))
        return folder

    def held(self, gh) -> tuple[str, str]:
        return (gh / "variable-SIGNALWIRE_CALLS_TOKEN_ID").read_text(), (
            gh / "secret-SIGNALWIRE_CALLS_TOKEN"
        ).read_text()

    def test_github_has_the_new_secret_and_the_old_token_is_gone(self, example, space, old, gh) -> None:
        run = example("rotate_into_github.py", str(old.id))
        assert (run.returncode, run.stderr) == (0, "")
        assert old.id not in space.tokens
        assert self.held(gh) == (str(only(space).id), secret_of(space))
        assert secret_of(space) not in (gh / "arguments").read_text() + (gh / "environment").read_text() + run.stdout

    def test_the_name_of_the_managing_credential_is_never_overwritten(self, example, old, gh) -> None:
        example("rotate_into_github.py", str(old.id))
        script = (EXAMPLES / "rotate_into_github.py").read_text()
        names = [path.name for path in gh.glob("secret-*")]
        assert names
        assert not any(f"secrets.{name.removeprefix('secret-')} " in script for name in names)
        assert "secret-SIGNALWIRE_API_TOKEN" not in names

    @pytest.mark.parametrize("fails", ["1", "1+", "2"])
    def test_if_github_refuses_it_holds_the_old_token_which_stays(
        self, example, space, old, gh, environment, fails
    ) -> None:
        environment["FAIL"] = fails
        run = example("rotate_into_github.py", str(old.id))
        assert (run.returncode, list(space.tokens)) == (1, [old.id])
        assert run.stderr.startswith("not rotated: ")
        assert self.held(gh) == (str(old.id), old.token.get_secret_value())

    def test_if_github_fails_for_good_halfway_its_secret_still_works(
        self, example, space, old, gh, environment
    ) -> None:
        environment["FAIL"] = "2+"
        assert example("rotate_into_github.py", str(old.id)).returncode == 1
        assert list(space.tokens) == [old.id]
        assert self.held(gh)[1] == old.token.get_secret_value()

    @pytest.mark.usefixtures("gh")
    def test_an_old_token_that_stays_is_named(self, example, space) -> None:
        missing = uuid4()
        run = example("rotate_into_github.py", str(missing))
        assert (run.returncode, len(space.tokens)) == (1, 2)
        assert run.stderr.splitlines()[-1].startswith(f"delete {missing} by hand: ")


@pytest.fixture(scope="module")
def endpoint():
    """Serve AWS Secrets Manager."""
    from moto.server import ThreadedMotoServer  # takes a second, which other tests need not pay

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


class TestRotateIntoAWS:
    @pytest.fixture
    def vault(self, endpoint, environment, monkeypatch, old):
        names = ("AWS_ENDPOINT_URL", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
        environment.update(zip(names, (endpoint, "eu-west-1", "key", "secret"), strict=True))
        for name in names:
            monkeypatch.setenv(name, environment[name])
        import boto3

        vault = boto3.client("secretsmanager")
        vault.create_secret(
            Name="ci", SecretString=json.dumps({"id": str(old.id), "token": old.token.get_secret_value(), "other": 1})
        )
        yield vault
        vault.delete_secret(SecretId="ci", ForceDeleteWithoutRecovery=True)

    def test_it_holds_the_new_token_and_the_old_one_is_gone(self, example, space, old, vault) -> None:
        run = example("rotate_into_aws.py", "ci")
        assert run.returncode == 0, run.stderr
        assert old.id not in space.tokens
        held = json.loads(vault.get_secret_value(SecretId="ci")["SecretString"])
        assert held == {"id": str(only(space).id), "token": secret_of(space), "other": 1}
        assert secret_of(space) not in run.stdout + run.stderr

    def test_if_it_refuses_the_old_token_stays(self, example, space, old, vault) -> None:
        vault.delete_secret(SecretId="ci")
        run = example("rotate_into_aws.py", "ci")
        assert (run.returncode, list(space.tokens)) == (1, [old.id])
        assert "not rotated: " in run.stderr
        vault.restore_secret(SecretId="ci")

    @pytest.mark.parametrize("held", ["PT0", '{"token": "PT0"}', '["PT0"]', '{"id": "1"}'])
    def test_a_secret_without_the_id_of_a_token_is_told(self, example, space, old, vault, held) -> None:
        vault.put_secret_value(SecretId="ci", SecretString=held)
        run = example("rotate_into_aws.py", "ci")
        assert (run.returncode, list(space.tokens)) == (1, [old.id])
        assert run.stderr.startswith("not rotated: ci holds no JSON object with an `id`; ")


class Vault(BaseHTTPRequestHandler):
    """As much of Vault's KV engine, version 2, as a rotation asks for."""

    def do_GET(self) -> None:
        self.answer()

    def do_POST(self) -> None:
        sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        versions = self.server.versions
        fault, self.server.fault = self.server.fault, None
        if fault == "refused" or sent["options"]["cas"] != len(versions):
            self.answer(400)
        else:
            versions.append(sent["data"])
            if fault != "lost":
                self.answer()

    def answer(self, status=200) -> None:
        if self.headers["X-Vault-Token"] != "the-vault-token":
            status = 403
        found = self.path == "/v1/kv/data/ci/calls"
        versions = self.server.versions
        held = {"data": versions[-1], "metadata": {"version": len(versions)}}
        body = json.dumps({"data": held} if status == 200 and found else {"errors": ["no"]}).encode()
        self.send_response(status if found else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class TestRotateIntoVault:
    @pytest.fixture
    def vault(self, environment, old):
        server = ThreadingHTTPServer(("127.0.0.1", 0), Vault)
        first = {"id": str(old.id), "token": old.token.get_secret_value(), "other": 1}
        server.versions, server.fault = [first], None
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        environment.update(VAULT_ADDR=f"http://127.0.0.1:{server.server_port}", VAULT_TOKEN="the-vault-token")
        yield server
        server.shutdown()
        thread.join()
        server.server_close()

    @pytest.mark.parametrize("fault", [None, "lost"])
    def test_it_holds_the_new_token_and_the_old_one_is_gone(self, example, space, old, vault, fault) -> None:
        vault.fault = fault
        run = example("rotate_into_vault.py", "kv", "ci/calls")
        assert (run.returncode, run.stderr) == (0, "")
        assert old.id not in space.tokens
        assert vault.versions[1:] == [{"id": str(only(space).id), "token": secret_of(space), "other": 1}]

    def test_if_it_refuses_the_old_token_stays(self, example, space, old, vault) -> None:
        vault.fault = "refused"
        run = example("rotate_into_vault.py", "kv", "ci/calls")
        assert (run.returncode, list(space.tokens), len(vault.versions)) == (1, [old.id], 1)
        assert run.stderr.startswith("not rotated: ")

    @pytest.mark.usefixtures("vault")
    def test_where_it_refuses_to_be_read_nothing_is_minted(self, example, space, old, environment) -> None:
        environment["VAULT_TOKEN"] = "wrong"
        assert example("rotate_into_vault.py", "kv", "ci/calls").returncode == 1
        assert list(space.tokens) == [old.id]
        assert [request.method for request in space.requests] == ["POST"]

    @pytest.mark.usefixtures("vault")
    @pytest.mark.parametrize(("mount", "path"), [("kv", "kv/ci/calls"), ("secret", "ci/calls")])
    def test_a_wrong_path_is_named(self, example, space, old, mount, path) -> None:
        run = example("rotate_into_vault.py", mount, path)
        assert (run.returncode, list(space.tokens)) == (1, [old.id])
        assert run.stderr.startswith(f"not rotated: nothing is at {path} below {mount}; ")

    @pytest.mark.parametrize("held", [{"token": "PT0"}, {"id": "1"}])
    def test_a_secret_without_the_id_of_a_token_is_told(self, example, space, old, vault, held) -> None:
        vault.versions[:] = [held]
        run = example("rotate_into_vault.py", "kv", "ci/calls")
        assert (run.returncode, list(space.tokens), vault.versions) == (1, [old.id], [held])
        assert run.stderr.startswith("not rotated: the secret at ci/calls has no `id` of a token; ")


class TestRotateIntoKubernetes:
    KUBECTL = """
case "$*" in
"get secret ci --output=json") cat secret ;;
"replace --filename=-") cat > sent; [ "$FAIL" = refused ] && exit 1; cp sent secret; [ "$FAIL" != lost ] ;;
*) exit 2 ;;
esac
"""

    @staticmethod
    def data(token_id, secret) -> dict[str, str]:
        return {"SIGNALWIRE_API_TOKEN_ID": str(token_id), "SIGNALWIRE_API_TOKEN": secret, "OTHER": "kept"}

    @pytest.fixture
    def kubectl(self, stand_in, old):
        folder = stand_in("kubectl", self.KUBECTL)
        data = self.data(old.id, old.token.get_secret_value())
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "ci", "resourceVersion": "7"},
            "data": {key: base64.b64encode(value.encode()).decode() for key, value in data.items()},
        }
        (folder / "secret").write_text(json.dumps(secret))
        return folder

    @staticmethod
    def held(kubectl) -> dict[str, str]:
        secret = json.loads((kubectl / "secret").read_text())
        assert (secret["kind"], secret["metadata"]) == ("Secret", {"name": "ci", "resourceVersion": "7"})
        return {key: base64.b64decode(value).decode() for key, value in secret["data"].items()}

    @pytest.mark.parametrize("fault", ["", "lost"])
    def test_it_holds_the_new_token_and_the_old_one_is_gone(
        self, example, space, old, kubectl, environment, fault
    ) -> None:
        environment["FAIL"] = fault
        run = example("rotate_into_kubernetes.py", "ci")
        assert (run.returncode, run.stderr) == (0, "")
        assert old.id not in space.tokens
        secret = secret_of(space)
        assert self.held(kubectl) == self.data(only(space).id, secret)
        shown = (kubectl / "arguments").read_text() + (kubectl / "environment").read_text() + run.stdout
        assert secret not in shown
        assert base64.b64encode(secret.encode()).decode() not in shown

    def test_if_it_refuses_the_old_token_stays(self, example, space, old, kubectl, environment) -> None:
        environment["FAIL"] = "refused"
        run = example("rotate_into_kubernetes.py", "ci")
        assert (run.returncode, list(space.tokens)) == (1, [old.id])
        assert run.stderr.startswith("not rotated: ")
        assert self.held(kubectl) == self.data(old.id, old.token.get_secret_value())

    def test_a_secret_without_the_id_of_a_token_is_told(self, example, space, old, kubectl) -> None:
        (kubectl / "secret").write_text('{"data": {"password": ""}}')
        run = example("rotate_into_kubernetes.py", "ci")
        assert (run.returncode, list(space.tokens)) == (1, [old.id])
        assert run.stderr.startswith("not rotated: secret ci has no SIGNALWIRE_API_TOKEN_ID; ")

    def test_without_its_command_nothing_is_minted(self, example, space, environment) -> None:
        environment["PATH"] = ""
        run = example("rotate_into_kubernetes.py", "ci")
        assert (run.returncode, space.requests) == (1, [])
        assert run.stderr.startswith("not rotated: ")


class TestRotateWithGrace:
    def test_both_live_until_the_second_run(self, example, space, tmp_path) -> None:
        file = tmp_path / "token.json"
        for _ in range(2):
            assert example("rotate_with_grace.py", "mint", str(file)).returncode == 0
        first, second = space.tokens
        kept = json.loads(file.read_text())
        now = {"id": str(second), "token": space.tokens[second].token.get_secret_value(), "old": [str(first)]}
        assert kept == now | {"name": "service", "permissions": ["calling"]}
        assert file.stat().st_mode & 0o777 == 0o600
        run = example("rotate_with_grace.py", "delete", str(file))
        assert (run.returncode, list(space.tokens)) == (0, [second]), run.stderr
        assert json.loads(file.read_text()) == {**kept, "old": []}

    def test_a_second_run_that_was_cut_off_is_done_again(self, example, space, tmp_path) -> None:
        file = tmp_path / "token.json"
        file.write_text(json.dumps({"space": "example", "id": "i", "token": "t", "old": [str(uuid4())]}))
        assert example("rotate_with_grace.py", "delete", str(file)).returncode == 0
        assert json.loads(file.read_text())["old"] == []
        assert [request.status for request in space.requests] == [404]
        assert example("rotate_with_grace.py", "mint", str(file)).returncode == 0
        described = {"name": "service", "permissions": ["calling"]}
        held = {"space": "example", "id": str(only(space).id), "token": secret_of(space), "old": ["i"], **described}
        assert json.loads(file.read_text()) == held

    def test_if_it_cannot_be_written_what_is_in_use_stays(self, example, space, old, tmp_path) -> None:
        missing = tmp_path / "missing" / "token.json"
        run = example("rotate_with_grace.py", "mint", str(missing))
        assert (run.returncode, list(space.tokens)) == (1, [old.id])
        assert run.stderr.startswith("mint failed: ")

    def test_the_first_run_may_find_a_token_that_another_program_stored(self, example, old, tmp_path) -> None:
        file = tmp_path / "token.json"
        file.write_text(json.dumps({"id": str(old.id), "token": "PT0"}))
        assert example("rotate_with_grace.py", "mint", str(file)).returncode == 0
        assert json.loads(file.read_text())["old"] == [str(old.id)]

    def test_what_is_no_file_of_its_own_stays(self, example, space, tmp_path) -> None:
        (tmp_path / "notes").write_text("remember")
        run = example("rotate_with_grace.py", "mint", str(tmp_path / "notes"))
        assert (run.returncode, space.requests, (tmp_path / "notes").read_text()) == (1, [], "remember")
        assert run.stderr.startswith("mint failed: ")


class TestRotateManagementToken:
    @pytest.fixture
    def file(self, environment, space, tmp_path):
        with ProjectTokens(environment["SIGNALWIRE_SPACE"], space.project_id, space.api_token) as tokens:
            old = tokens.create("management", ["management"])
        # What the environment holds is not used.
        environment["SIGNALWIRE_API_TOKEN"] = "PT-of-nobody"
        file = tmp_path / "token.json"
        held = {"space": "example", "id": str(old.id), "token": old.token.get_secret_value()}
        file.write_text(json.dumps(held))
        return file

    def test_the_new_token_deletes_the_old_one(self, example, space, file) -> None:
        run = example("rotate_management_token.py", str(file))
        assert (run.returncode, run.stderr) == (0, "")
        # What else the file holds stays.
        described = {"name": "management", "permissions": ["management"]}
        held = {"space": "example", "id": str(only(space).id), "token": secret_of(space), **described}
        assert json.loads(file.read_text()) == held
        # And again, with what is stored now.
        assert example("rotate_management_token.py", str(file)).returncode == 0
        assert json.loads(file.read_text())["token"] == secret_of(space)

    def test_without_management_nothing_is_minted(self, example, space, file, tmp_path) -> None:
        script = (EXAMPLES / "rotate_management_token.py").read_text()
        assert "[Permission.MANAGEMENT]" in script
        shutil.copy(EXAMPLES / "rotate_into_file.py", tmp_path)
        (tmp_path / "changed.py").write_text(script.replace("[Permission.MANAGEMENT]", "[Permission.FAX]"))
        shutil.copy(EXAMPLES / "rotate_into_file.py", tmp_path)
        run = example(tmp_path / "changed.py", str(file))
        assert (run.returncode, len(space.requests)) == (1, 1)
        assert "would lack `management`" in run.stderr

    @pytest.mark.parametrize("held", ["PT0", '{"token": "PT0"}', '{"id": "1", "token": "PT0"}'])
    def test_a_file_without_the_id_of_a_token_is_told(self, example, space, file, held) -> None:
        file.write_text(held)
        run = example("rotate_management_token.py", str(file))
        assert (run.returncode, len(space.requests), file.read_text()) == (1, 1, held)
        assert run.stderr == f"not rotated: {file} is no JSON object with `id` and `token`\n"


def full(_) -> None:
    raise OSError("the vault is full")


class TestTokenInventory:
    @pytest.fixture
    def inventory(self, tmp_path):
        names = runpy.run_path(str(EXAMPLES / "token_inventory.py"))
        handler = names["keep"](str(tmp_path / "tokens.jsonl"))
        yield names
        names["logger"].removeHandler(handler)
        names["logger"].setLevel(logging.NOTSET)
        handler.close()

    @pytest.fixture
    def tokens(self, environment, space):
        with ProjectTokens(environment["SIGNALWIRE_SPACE"], space.project_id, space.api_token) as tokens:
            yield tokens

    @pytest.mark.usefixtures("inventory")
    def test_it_tells_what_exists_and_who_minted_it(self, example, space, tokens, tmp_path) -> None:
        kept, gone = tokens.create("kept", ["fax"]), tokens.create("gone", ["fax"])
        tokens.update(kept.id, permissions=["fax", "video"])
        tokens.delete(gone.id)
        with pytest.raises(OSError, match="full"):
            tokens.create("unstored", ["fax"], store=full)
        run = example("token_inventory.py", str(tmp_path / "tokens.jsonl"))
        assert run.stdout.startswith(
            f"{kept.id}  kept  fax,video  of project {space.project_id}, 0 days old, minted by "
        )
        assert len(run.stdout.splitlines()) == 1
        for token in (kept, gone):
            assert token.token.get_secret_value() not in (tmp_path / "tokens.jsonl").read_text()

    @pytest.mark.usefixtures("inventory")
    def test_a_token_minted_elsewhere_is_told_as_far_as_it_is_known(
        self, example, space, old, tokens, tmp_path
    ) -> None:
        # As of one that was minted before the file was there.
        (tmp_path / "tokens.jsonl").write_text("")
        tokens.update(old.id, name="ours")
        run = example("token_inventory.py", str(tmp_path / "tokens.jsonl"))
        assert run.stdout.startswith(
            f"{old.id}  ours  (permissions unknown)  of project {space.project_id}, 0 days old"
        )

    @pytest.mark.usefixtures("inventory")
    def test_it_finds_what_an_unknown_outcome_left(self, example, space, tokens, tmp_path) -> None:
        space.fail_next(disconnect=True, applied=True)
        space.fail_next(401)
        for name in ("lost", "refused"):
            with pytest.raises(SignalWireError):
                tokens.create(name, ["fax"])
        token = tokens.create("found", ["fax"])
        # A retry that leads to success leaves nothing to look for.
        space.fail_next(503)
        tokens.update(token.id, name="renamed")
        run = example("token_inventory.py", str(tmp_path / "tokens.jsonl"))
        token, look = run.stdout.splitlines()
        assert "renamed" in token
        assert look.startswith("look in the dashboard: create of token 'lost' failed: ")

    @pytest.mark.usefixtures("inventory")
    def test_a_call_that_was_interrupted_before_it_did_anything_changes_nothing(
        self, example, space, tokens, tmp_path, monkeypatch
    ) -> None:
        def sleep(_seconds) -> None:
            raise KeyboardInterrupt

        kept = tokens.create("kept", ["fax"])
        monkeypatch.setattr(ProjectTokens, "_sleep", staticmethod(sleep))
        space.fail_next(429, times=2)
        for call in (lambda: tokens.update(kept.id, name="renamed"), lambda: tokens.delete(kept.id)):
            with pytest.raises(KeyboardInterrupt):
                call()
        [line] = example("token_inventory.py", str(tmp_path / "tokens.jsonl")).stdout.splitlines()
        assert line.startswith(f"{kept.id}  kept  fax  ")

    @pytest.mark.usefixtures("inventory")
    def test_a_stray_is_not_forgotten_over_a_token_of_the_same_name(self, example, space, tokens, tmp_path) -> None:
        tenant = space.add_subproject("tenant")
        space.fail_next(disconnect=True, applied=True, times=2)
        for _ in range(2):
            with pytest.raises(SignalWireError):
                tokens.create("api", ["fax"], subproject_id=tenant)
        tokens.create("api", ["fax"], subproject_id=tenant)
        # A retry that is refused again left nothing.
        space.fail_next(429, headers={"Retry-After": "0"}, times=3)
        with pytest.raises(SignalWireError):
            tokens.create("refused", ["fax"])
        run = example("token_inventory.py", str(tmp_path / "tokens.jsonl"))
        token, *strays = run.stdout.splitlines()
        assert f"of project {tenant}" in token
        assert [line.partition(" failed: ")[0] for line in strays] == [
            "look in the dashboard: create of token 'api'"
        ] * 2


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

    def test_what_is_no_id_is_refused(self, example, space, tmp_path) -> None:
        run = example("rotate_into_file.py", "1", str(tmp_path / "token"))
        assert (run.returncode, space.requests, [*tmp_path.iterdir()]) == (1, [], [])
        assert run.stderr.startswith("rotation failed: ")


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

    @pytest.mark.parametrize("body", [{"id": "1"}, {"token": "PT0"}])
    def test_a_stray_whose_id_did_not_come_is_named(self, example, space, body) -> None:
        space.fail_next(200, body=body)
        run = example("unknown_outcome.py", "ci")
        assert run.returncode == 0
        assert [request.method for request in space.requests] == ["POST", "POST"]
        stray = space.requests[0].body["name"]
        assert f"delete {stray} in the dashboard" in run.stdout
        assert stray in run.stderr

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
    def test_hundreds_at_once_and_each_is_kept(self, example, space, tmp_path) -> None:
        tenants = [str(space.add_subproject("tenant")) for _ in range(500)]
        file = tmp_path / "tokens.jsonl"
        run = example("tenant_tokens.py", str(file), input="\n".join(tenants))
        assert run.returncode == 0
        assert run.stderr.endswith("500 minted, 0 failed, 0 to go \n")
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
        space.fail_next(429, headers={"Retry-After": "61"})
        run = example("tenant_tokens.py", str(tmp_path / "tokens.jsonl"), input=" ".join([str(uuid4()), *tenants]))
        assert run.returncode == 1
        assert run.stderr.count("look in the dashboard first") == 2
        assert run.stderr.count("run again: ") == 1
        # A subproject that is not there.
        assert run.stderr.count("refused: ") == 1
        assert len(space.tokens) == 17

    def test_what_is_no_id_is_refused_before_anything_is_minted(self, example, space, tmp_path) -> None:
        run = example("tenant_tokens.py", str(tmp_path / "tokens.jsonl"), input=f"{uuid4()} name {uuid4()} 7")
        assert (run.returncode, space.requests, [*tmp_path.iterdir()]) == (1, [], [])
        assert run.stderr == "no UUIDs, so nothing was minted: name, 7\n"

    def test_a_setting_that_is_missing_is_named(self, example, environment, tmp_path) -> None:
        del environment["SIGNALWIRE_API_TOKEN"]
        run = example("tenant_tokens.py", str(tmp_path / "tokens.jsonl"), input=str(uuid4()))
        assert (run.returncode, run.stderr.count("\n")) == (1, 1)
        assert "api_token" in run.stderr

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
            until(lambda: space.requests or run.poll() is not None)
            interrupt(run, signal.SIGINT)
            assert run.wait(60) != 0
        assert json.loads(file.read_text()) == {"subproject": tenant, "unknown": only(space).name}

    def test_where_a_token_may_live_no_second_one_is_minted(self, example, space, tmp_path) -> None:
        tenant = str(space.add_subproject("tenant"))
        file = tmp_path / "tokens.jsonl"
        space.fail_next(disconnect=True, applied=True)
        assert example("tenant_tokens.py", str(file), input=tenant).returncode == 1
        name = only(space).name
        # Not forgotten by a run that mints nothing.
        again = example("tenant_tokens.py", str(file), input=tenant)
        assert (again.returncode, len(space.tokens)) == (1, 1)
        assert again.stderr.endswith(f"{tenant}: left out: token {name} may exist, look in the dashboard\n")
        assert json.loads(file.read_text()) == {"subproject": tenant, "unknown": name}
        file.write_text("")
        assert example("tenant_tokens.py", str(file), input=tenant).returncode == 0
        stray, used = space.tokens.values()
        assert stray.name != used.name


class TestFastAPI:
    @pytest.fixture
    def http(self, environment, monkeypatch):
        for variable in ("SIGNALWIRE_SPACE", "SIGNALWIRE_PROJECT_ID", "SIGNALWIRE_API_TOKEN"):
            monkeypatch.setenv(variable, environment[variable])
        app = runpy.run_path(str(EXAMPLES / "fastapi_app.py"))["app"]
        server = uvicorn.Server(uvicorn.Config(app, log_config=None))
        with socket.create_server(("127.0.0.1", 0)) as listening:
            thread = threading.Thread(target=server.run, args=([listening],))
            thread.start()
            # The socket listens already, so the first request waits for the start.
            with httpx.Client(base_url=f"http://127.0.0.1:{listening.getsockname()[1]}", timeout=60) as http:
                yield http
            server.should_exit = True
            thread.join()

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

    def test_failures_are_told_apart(self, http, space, caplog) -> None:
        tenant = space.add_subproject("tenant")
        wanted = {"name": "web", "permissions": ["messaging"]}
        space.fail_next(500, applied=True)
        answer = http.post(f"/tenants/{tenant}/tokens", json=wanted)
        assert (answer.status_code, answer.json()["may_have_applied"]) == (502, True)
        space.fail_next(429, headers={"Retry-After": "120"})
        answer = http.post(f"/tenants/{tenant}/tokens", json=wanted)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "120")
        space.fail_next(401)
        answer = http.post(f"/tenants/{tenant}/tokens", json=wanted)
        assert (answer.status_code, answer.json()["may_have_applied"]) == (502, False)
        # What the caller is not told is in the log of the service.
        assert [record.levelname for record in caplog.records if "HTTP 401" in record.getMessage()] == ["ERROR"]
        space.tokens.clear()

    def test_what_the_caller_got_wrong_is_his(self, http, space) -> None:
        tenant, wanted = space.add_subproject("tenant"), {"name": "web", "permissions": ["messaging"]}
        assert http.post(f"/tenants/{uuid4()}/tokens", json=wanted).status_code == 422
        for wrong in ({"name": " "}, {"name": "a\0"}, {"permissions": []}):
            answer = http.post(f"/tenants/{tenant}/tokens", json={**wanted, **wrong})
            assert (answer.status_code, next(iter(wrong)) in answer.json()["detail"]) == (422, True)
        assert len(space.requests) == 1


USAGES = {
    path.name: usage
    for path in sorted(EXAMPLES.glob("*.py"))
    for usage in re.findall(rf"`{re.escape(path.name)} ([^`<]*[^`< ])", path.read_text(encoding="utf-8"))[:1]
}


@pytest.mark.parametrize(
    ("name", "given"),
    [
        *((name, 0) for name in USAGES),
        *((name, len(usage.split()) + 1) for name, usage in USAGES.items() if not usage.endswith("...")),
    ],
)
def test_with_wrong_arguments_it_shows_how_it_is_used(example, space, name, given) -> None:
    run = example(name, *["x"] * given)
    assert (run.returncode, run.stdout, space.requests) == (1, "", [])
    assert run.stderr.strip() == ast.get_docstring(ast.parse((EXAMPLES / name).read_text()), clean=False).strip()
    assert USAGES[name] in run.stderr


def test_every_example_is_tested() -> None:
    tests = Path(__file__).read_text(encoding="utf-8") + (EXAMPLES.parent / "tests" / "test_readme.py").read_text()
    assert [path.name for path in EXAMPLES.glob("*.py") if path.stem not in tests] == []
