"""FakeSpace keeps to the spec that the client is generated from, whatever is sent to it."""

import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

TESTS = Path(__file__).parent


@pytest.mark.slow
def test_schemathesis_finds_nothing(space, tmp_path) -> None:
    with space.serve() as url:
        environment = {
            **os.environ,
            "SIGNALWIRE_PROJECT_ID": space.project_id,
            "SIGNALWIRE_API_TOKEN": space.api_token.get_secret_value(),
            "SCHEMATHESIS_HOOKS": str(TESTS / "schemathesis_hooks.py"),
            "SIGNALWIRE_SUBPROJECT_ID": str(space.add_subproject("child")),
        }
        schemathesis = shutil.which("schemathesis", path=Path(sys.executable).parent)
        config = ["--config-file", TESTS / "schemathesis.toml"]
        bounds = ["--max-examples", "30", "--seed", "1", "--generation-database", "none", "--no-color"]
        run = subprocess.run(
            [schemathesis, *config, "run", TESTS.parent / "generated" / "openapi.yaml", "--url", url, *bounds],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
    assert run.returncode == 0, run.stdout + run.stderr
    # It also exits with 0 when all that it saw was 401.
    seen = Counter((request.method, request.status) for request in space.requests)
    for call in (("POST", 200), ("PATCH", 200), ("DELETE", 204)):
        assert seen[call] > 5, seen
    for call in (("POST", 401), ("POST", 422), ("PATCH", 401), ("PATCH", 404), ("DELETE", 401), ("DELETE", 404)):
        assert seen[call] > 0, seen
    minted = [request.body for request in space.requests if (request.method, request.status) == ("POST", 200)]
    assert any("subproject_id" in body for body in minted)
