"""pytest-xdist runs nothing where its workers collect different tests, so no name of a test may change between runs."""

import subprocess
import sys

import pytest


@pytest.mark.slow
def test_the_next_run_has_tests_of_the_same_names(request) -> None:
    """What a name takes from the clock, a process or the order of a set differs in a process that starts later."""
    items = request.session.items
    files = sorted({str(item.path) for item in items})
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *files]
    listed = subprocess.run(command, cwd=request.config.rootpath, capture_output=True, text=True)
    assert listed.returncode == 0, listed.stdout
    assert {item.nodeid for item in items} - set(listed.stdout.splitlines()) == set()
