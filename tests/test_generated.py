"""generated/ is exactly what the generator makes of the committed inputs, under the names the wrapper counts on."""

import importlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from uuid import UUID

import httpx
import pytest
from ruamel.yaml import YAML

import signalwire_rest.models
from signalwire_rest.answers import CREATE_TOKEN
from signalwire_rest.api.project_tokens import create_token
from signalwire_rest.models import Permission, TokenResponse

ROOT = Path(__file__).parent.parent
GENERATED = ROOT / "generated"
INPUTS = ("Makefile", "generator-config.yaml", "openapi-overlay.yaml", "openapi.yaml", "pyproject.toml")
OVERRIDES = YAML(typ="safe").load(ROOT / "generator-config.yaml")["class_overrides"]

needs_make = pytest.mark.skipif(
    not shutil.which("make") or os.name == "nt", reason="make, with POSIX paths, is not on the PATH"
)
needs_git = pytest.mark.skipif(not shutil.which("git"), reason="git is not on the PATH")


# What is in it.


@pytest.mark.parametrize("old", OVERRIDES)
def test_every_class_override_takes_effect(old):
    new = OVERRIDES[old]["class_name"]
    module = importlib.import_module(f"signalwire_rest.models.{OVERRIDES[old]['module_name']}")
    assert getattr(module, new) is getattr(signalwire_rest.models, new)
    assert new in signalwire_rest.models.__all__
    old_module = re.sub(r"(?<!^)(?=[A-Z])", "_", old).lower()
    for path in GENERATED.rglob("*.py"):
        assert not re.search(rf"\b({old}|{old_module})\b", path.stem + "\n" + path.read_text(encoding="utf-8")), path


def test_the_permissions_are_those_of_the_published_spec():
    schemas = YAML(typ="safe").load(ROOT / "openapi.yaml")["components"]["schemas"]
    assert {permission.value for permission in Permission} == set(schemas["Project.TokenPermission"]["enum"])


def test_a_response_keeps_permissions_the_spec_does_not_know():
    token_id = "2b9f8e3c-5d0f-4a53-8a9c-5f1f6a1f0c11"
    body = {**CREATE_TOKEN[1], "id": token_id, "permissions": ["calling", "unlisted"]}
    response = TokenResponse.from_dict(body)
    assert response.id == UUID(token_id)
    assert [(type(permission), permission) for permission in response.permissions] == [
        (Permission, Permission.CALLING),
        (str, "unlisted"),
    ]
    assert response.to_dict()["permissions"] == body["permissions"]


@pytest.mark.parametrize("package", ["signalwire_rest", "signalwire_rest.models"])
def test_a_package_has_its_names_before_they_are_loaded(package):
    code = f"import {package} as package\nnames = set(package.__all__)\nassert names and names <= set(dir(package))\n"
    code += f"from {package} import *\nassert names <= set(globals())\nassert names <= set(vars(package))\n"
    code += "assert all(globals()[name].__name__ == name for name in names)\nprint(hasattr(package, 'Misspelt'))"
    assert run(sys.executable, "-c", code, cwd=ROOT).stdout == "False\n"


def test_the_generated_client_works_by_itself():
    space, (status, said) = "https://example.signalwire.com", CREATE_TOKEN
    transport = httpx.MockTransport(lambda _: httpx.Response(status, json=said))
    with httpx.Client(base_url=space, transport=transport) as http:
        client = signalwire_rest.AuthenticatedClient(space, "t").set_httpx_client(http)
        request = signalwire_rest.models.CreateTokenRequest("ci", [Permission.FAX])
        response = create_token.sync_detailed(client=client, body=request)
    assert (response.status_code, response.parsed) == (status, TokenResponse.from_dict(said))


# How it is made.


@pytest.fixture
def copy(tmp_path):
    """Copy what generating needs out of the working tree."""
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in INPUTS:
        shutil.copy(ROOT / file, copy)
    for folder in filter(lambda folder: (ROOT / folder).exists(), ("generated", "openapi", "scripts")):
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


@pytest.fixture
def clone(copy):
    """Commit the copy to a repository of its own."""
    shutil.copy(ROOT / ".gitattributes", copy)
    shutil.copy(ROOT / ".gitignore", copy)
    run("git", "init", "--quiet", cwd=copy)
    commit(copy)
    return copy


def run(*command, cwd, **env):
    """Run a command, and not as a part of the make or the git hook that may have started the tests."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "MAKE", "MFLAGS"))}
    return subprocess.run(command, check=True, cwd=cwd, env=kept | env, capture_output=True, text=True, timeout=120)


def make(target, cwd, **env):
    """Make a target with the tools of the environment the tests run in, which --old-file keeps from being remade."""
    return run("make", target, f"VENV={sys.prefix}", f"--old-file={sys.prefix}/.ready", cwd=cwd, **env)


def commit(cwd):
    run("git", "add", "--all", "--force", cwd=cwd)
    run("git", "-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "--quiet", "--message=t", cwd=cwd)


def files(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


@pytest.mark.slow
@needs_make
@pytest.mark.parametrize("seed", ["1", "2"])
def test_generating_anew_gives_what_is_committed_and_deletes_what_is_stale(copy, seed):
    shutil.rmtree(copy / "generated/signalwire_rest")
    (copy / "generated/openapi.yaml").write_bytes(b"")
    for stale in (".stale", "stale/stale.py", "signalwire_rest/stale.py", "signalwire_rest/models/stale.py"):
        (copy / "generated" / stale).parent.mkdir(parents=True, exist_ok=True)
        (copy / "generated" / stale).write_bytes(b"")
    make("generate", copy, PYTHONHASHSEED=seed)
    assert files(copy / "generated") == files(GENERATED)


@pytest.mark.slow
@needs_make
def test_a_failing_overlay_leaves_generated_alone(copy):
    (copy / "openapi.yaml").write_bytes((GENERATED / "openapi.yaml").read_bytes())
    with pytest.raises(subprocess.CalledProcessError) as caught:
        make("generate", copy)
    assert "apply_overlay: action " in caught.value.stderr
    assert files(copy / "generated") == files(GENERATED)


@pytest.mark.slow
@needs_make
def test_new_permissions_need_no_hand_edit_and_have_names_of_their_own(copy):
    spec = copy / "openapi.yaml"
    before = spec.read_bytes()
    new = b"        - 9dlc\n        - fax\n        - 10dlc\n        - unlisted\n"
    spec.write_bytes(before.replace(b"        - fax\n", new))
    assert spec.read_bytes() != before
    make("generate", copy)
    members = "from signalwire_rest.models import Permission, permission\nprint(permission.__file__)\n"
    members += "print(*(f'{p.name}={p.value}' for p in Permission))"
    path, values = run(sys.executable, "-c", members, cwd=copy, PYTHONPATH=str(copy / "generated")).stdout.splitlines()
    assert Path(path).is_relative_to(copy)
    names = {permission.name: permission.value for permission in Permission}
    names |= {"UNLISTED": "unlisted", "VALUE_9DLC": "9dlc", "VALUE_10DLC": "10dlc"}
    assert set(values.split()) == {f"{name}={value}" for name, value in names.items()}


def index(cwd):
    return run("git", "ls-files", "--stage", cwd=cwd).stdout


@pytest.mark.slow
@needs_make
@needs_git
def test_the_check_passes_when_nothing_has_changed(clone):
    (clone / "generated/untracked.py").write_bytes(b"")
    before = index(clone)
    make("check-generated", clone)
    assert index(clone) == before
    assert run("git", "status", "--porcelain", cwd=clone).stdout == ""


@pytest.mark.slow
@needs_make
@needs_git
def test_the_check_shows_what_was_edited_or_added_by_hand(clone):
    edited = (
        "generated/signalwire_rest/models/permission.py",
        "generated/signalwire_rest/extra.py",
        "generated/extra.py",
    )
    for file in edited:
        with (clone / file).open("a", encoding="utf-8", newline="\n") as target:
            target.write("by_hand = True\n")
    commit(clone)
    before = index(clone)
    with pytest.raises(subprocess.CalledProcessError) as caught:
        make("check-generated", clone)
    for file in edited:
        assert f"--- a/{file}\n" in caught.value.stdout
    assert caught.value.stdout.count("\n-by_hand = True\n") == len(edited)
    assert index(clone) == before
    assert run("git", "diff", "--cached", "--name-only", cwd=clone).stdout == ""
