"""What lets the tests run in several processes at once."""

import socket
import subprocess
import sys

import pytest
from faults.server import FaultServer


@pytest.mark.slow
def test_the_next_run_has_tests_of_the_same_names(request) -> None:
    """pytest-xdist runs nothing where its workers collect different names.

    What a name takes from the clock, a process or the order of a set differs in a process that starts later.
    """
    items = request.session.items
    files = sorted({str(item.path) for item in items})
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *files]
    listed = subprocess.run(command, cwd=request.config.rootpath, capture_output=True, text=True)
    assert listed.returncode == 0, listed.stdout
    assert {item.nodeid for item in items} - set(listed.stdout.splitlines()) == set()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems share ports in other ways")
def test_a_port_that_nobody_listens_on_is_given_to_no_other_process(free_port) -> None:
    """What is sent to it would count as a request of whatever test got it."""
    with FaultServer(opening="closed") as server:
        for port in (free_port, int(server.url.rpartition(":")[2])):
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", port), 5)
            # Without SO_REUSEADDR, as the system shares no port that it chooses itself.
            with socket.socket() as other, pytest.raises(OSError, match="in use"):
                other.bind(("127.0.0.1", port))
