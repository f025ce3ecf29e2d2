"""--out over a file that is there: who could read it still can, or nothing is sent."""

import errno
import os
import stat
import struct
import subprocess
import sys

import pytest

from .shell import CREATE, only, secret_of

as_root = pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="only root gives files away")


def access(path) -> tuple[int, int, int]:
    there = path.stat()
    return there.st_uid, there.st_gid, stat.S_IMODE(there.st_mode)


def rotated(shell, space, file, **options):
    return shell("rotate", str(only(space).id), "ci", "-p", "fax", "--out", str(file), "--force", **options)


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644, 0o400])
def test_the_mode_stays(shell, space, file, mode) -> None:
    file.chmod(mode)
    assert rotated(shell, space, file, umask=0o077).returncode == 0
    assert (access(file)[2], file.read_text()) == (mode, secret_of(space))


@as_root
@pytest.mark.usefixtures("old")
def test_owner_and_group_stay(shell, space, file) -> None:
    os.chown(file, 1234, 5678)
    file.chmod(0o640)
    assert rotated(shell, space, file).returncode == 0
    assert (access(file), file.read_text()) == ((1234, 5678, 0o640), secret_of(space))


@as_root
def test_what_an_access_list_lets_in_stays_in(shell, space, file) -> None:
    # Version 2; user::rw-, user:1234:r--, group::---, mask::r--, other::---.
    entries = [(1, 6, 0xFFFFFFFF), (2, 4, 1234), (4, 0, 0xFFFFFFFF), (16, 4, 0xFFFFFFFF), (32, 0, 0xFFFFFFFF)]
    parts = [struct.pack("<HHI", *entry) for entry in entries]
    try:
        os.setxattr(file, "system.posix_acl_access", struct.pack("<I", 2) + b"".join(parts))
    except OSError:
        pytest.skip("a file system without access lists")
    before = os.getxattr(file, "system.posix_acl_access")
    assert rotated(shell, space, file).returncode == 0
    assert os.getxattr(file, "system.posix_acl_access") == before


def not_permitted(*_) -> None:
    raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))


@pytest.mark.parametrize("command", ["create", "rotate"])
@pytest.mark.parametrize("does", [not_permitted, lambda *_: None], ids=["refuses", "ignores"])
def test_what_the_file_system_does_not_keep_is_refused_before_minting(
    shell, space, file, monkeypatch, command, does
) -> None:
    monkeypatch.setattr(os, "fchown", does)
    monkeypatch.setattr(os, "fchmod", does)
    file.chmod(0o640)
    before = file.read_text(), list(space.tokens)
    arguments = CREATE if command == "create" else ("rotate", str(only(space).id), "ci", "-p", "fax")
    run = shell(*arguments, "--out", str(file), "--force")
    assert (run.returncode, space.requests, (file.read_text(), list(space.tokens))) == (2, [], before)
    assert "and mode 0640, which a file in its place cannot get (" in run.stderr
    assert [path.name for path in file.parent.iterdir()] == ["token"]


@pytest.mark.parametrize("name", ["O_PATH", "fchmod"])
def test_a_system_that_lacks_such_things_replaces_files_all_the_same(shell, space, file, monkeypatch, name) -> None:
    monkeypatch.delattr(os, name)
    assert rotated(shell, space, file).returncode == 0
    assert file.read_text() == secret_of(space)


@as_root
def test_what_only_root_can_keep_is_refused_before_minting(shell, space, file, tmp_path) -> None:
    # Another user's file in a directory that everybody may write to, and this user no longer root.
    os.chown(file, 1234, 1234)
    file.chmod(0o640)
    file.parent.chmod(0o777)
    for directory in (tmp_path, *tmp_path.parents[:3]):
        directory.chmod(directory.stat().st_mode | 0o711)
    arguments = ("rotate", str(only(space).id), "ci", "-p", "fax")
    before = file.read_text(), list(space.tokens)
    # What click loads late may be in a directory that nobody cannot read.
    as_nobody = "import difflib, os\nfrom signalwire_tokens.cli import commands, main\n"
    as_nobody += "os.setgid(65534)\nos.setuid(65534)\nmain()"
    # Its own coverage could not be written.
    shell.environment.pop("COVERAGE_PROCESS_CONFIG", None)
    run = shell.process(*arguments, "--out", str(file), "--force", command=(sys.executable, "-c", as_nobody))
    assert (run.returncode, space.requests) == (2, [])
    assert run.stderr == (
        f"Error: {file} has owner 1234, group 1234 and mode 0640, which a file in its place cannot get (Operation not "
        "permitted), so nothing was sent; run this as the owner or as root, or name another file\n"
    )
    assert ((file.read_text(), list(space.tokens)), access(file)) == (before, (1234, 1234, 0o640))
    assert [path.name for path in file.parent.iterdir()] == ["token"]


def test_a_file_that_is_mounted_is_refused_before_minting(shell, space, file) -> None:
    mounted = ("unshare", "--mount", "sh", "-ec", 'mount --bind "$0" "$0"; exec "$@"', str(file))
    try:
        trial = subprocess.run([*mounted, "true"], capture_output=True)
    except FileNotFoundError:
        pytest.skip("no unshare")
    if trial.returncode:
        pytest.skip("mounting is not allowed here")
    before = file.read_text()
    rotate = ("rotate", str(only(space).id), "ci", "-p", "fax", "--out", str(file), "--force")
    run = shell.process(*rotate, command=(*mounted, sys.executable, "-m", "signalwire_tokens"))
    assert (run.returncode, space.requests, file.read_text()) == (2, [], before)
    assert run.stderr.startswith(f"Error: {file} is mounted by itself")
    assert [path.name for path in file.parent.iterdir()] == ["token"]
