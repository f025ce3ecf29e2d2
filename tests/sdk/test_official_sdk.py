"""SignalWire's own SDK takes a fake space for a real one. It lives in an environment of its own."""

import json
import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PYTHON = ROOT / ".venv-sdk" / ("Scripts" if os.name == "nt" else "bin") / "python"

pytestmark = pytest.mark.skipif(not PYTHON.parent.exists(), reason="the SDK is not installed: make test-sdk")


def run(space, url, code):
    """Run code that has the SDK's client as `tokens`, and return what it prints as JSON."""
    environment = {
        **os.environ,
        # The SDK takes a host and speaks plain HTTP to loopback.
        "SIGNALWIRE_SPACE": url.removeprefix("http://"),
        "SIGNALWIRE_PROJECT_ID": space.project_id,
        "SIGNALWIRE_API_TOKEN": space.api_token.get_secret_value(),
    }
    code = f"import json\nfrom signalwire.rest import RestClient\ntokens = RestClient().project.tokens\n{code}"
    done = subprocess.run([PYTHON, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_it_creates_updates_and_deletes(space):
    with space.serve() as url:
        created, kept, changed = run(
            space,
            url,
            "created, kept = (tokens.create(name=name, permissions=['calling', 'fax']) for name in ('old', 'kept'))\n"
            "changed = tokens.update(created['id'], name='new', permissions=['video'])\n"
            "tokens.delete(created['id'])\n"
            "print(json.dumps([created, kept, changed]))",
        )
    assert [(request.method, request.status) for request in space.requests] == [
        ("POST", 200),
        ("POST", 200),
        ("PATCH", 200),
        ("DELETE", 204),
    ]
    assert (created["name"], created["permissions"]) == ("old", ["calling", "fax"])
    assert changed == created | {"name": "new", "permissions": ["video"]}
    [living] = space.tokens.values()
    assert kept == {
        "id": str(living.id),
        "name": "kept",
        "permissions": ["calling", "fax"],
        "token": living.token.get_secret_value(),
    }


def test_it_mints_for_a_subproject(space):
    subproject = space.add_subproject("tenant")
    with space.serve() as url:
        run(
            space, url, f"print(json.dumps(tokens.create(name='x', permissions=['fax'], subproject_id='{subproject}')))"
        )
    assert [token.project_id for token in space.tokens.values()] == [str(subproject)]


def test_it_understands_a_refusal(space):
    with space.serve() as url:
        refused = run(
            space,
            url,
            "from signalwire.rest import SignalWireRestError\n"
            "try:\n"
            "    tokens.create(name='x', permissions=['nonsense'])\n"
            "except SignalWireRestError as error:\n"
            "    print(json.dumps([error.status_code, str(error)]))",
        )
    assert refused[0] == 422
    assert "Permissions" in refused[1]
