"""The sdist builds, without a network, the wheel that users install, and the wheel holds what it should and no more."""

import os
import subprocess
import sys
import tarfile
import zipfile
from email.parser import BytesParser
from pathlib import Path

import pytest

import signalwire_tokens

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
pytestmark = pytest.mark.slow
STEM = f"signalwire_tokens-{signalwire_tokens.__version__}"


def committed(*paths: str) -> set[str]:
    listed = subprocess.run(["git", "ls-files", *paths], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(listed.stdout.split())


@pytest.fixture(scope="module")
def dist(tmp_path_factory) -> Path:
    """Build the sdist, and the wheel from it, with what is installed."""
    made = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", made, ROOT]
    # Nobody listens there, so whatever asks a network fails.
    nowhere = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), "http://127.0.0.1:9")
    run = subprocess.run(command, env={**os.environ, **nowhere}, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    assert sorted(path.name for path in made.iterdir()) == [f"{STEM}-py3-none-any.whl", f"{STEM}.tar.gz"]
    return made


@pytest.fixture(scope="module")
def wheel(dist) -> zipfile.ZipFile:
    with zipfile.ZipFile(next(dist.glob("*.whl"))) as opened:
        yield opened


def test_the_wheel_holds_the_two_packages_and_its_metadata(wheel) -> None:
    modules = {path.split("/", 1)[1] for path in committed("generated/signalwire_rest", "wrapper/signalwire_tokens")}
    metadata = {"METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE"}
    assert {"signalwire_tokens/py.typed", "signalwire_rest/py.typed"} <= modules
    assert set(wheel.namelist()) == modules | {f"{STEM}.dist-info/{name}" for name in metadata}


def test_the_sdist_holds_what_the_wheel_is_made_from(dist) -> None:
    with tarfile.open(next(dist.glob("*.tar.gz"))) as sdist:
        names = {name.removeprefix(f"{STEM}/") for name in sdist.getnames()}
    assert names == {
        *committed("generated", "wrapper", ":(glob)*.yaml", "LICENSE", "README.md", "CHANGELOG.md", "pyproject.toml"),
        ".gitignore",
        "PKG-INFO",
    }


def test_the_metadata_is_complete(wheel) -> None:
    metadata = BytesParser().parsebytes(wheel.read(f"{STEM}.dist-info/METADATA"))
    assert (metadata["Name"], metadata["Version"]) == ("signalwire-tokens", signalwire_tokens.__version__)
    assert metadata["License-Expression"] == "MIT"
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert metadata["Summary"] == signalwire_tokens.__doc__.splitlines()[0].rstrip(".")
    needed = [line.split(";")[0] for line in metadata.get_all("Requires-Dist") if "extra ==" not in line]
    assert [line.split(">")[0].split("<")[0] for line in needed] == ["anyio", "attrs", "httpx", "sniffio"]
    assert all("https://" in url for url in metadata.get_all("Project-URL"))
    assert "Typing :: Typed" in metadata.get_all("Classifier")


@pytest.mark.parametrize(
    ("imports", "ignored"),
    [
        ("import signalwire_tokens", []),
        # anyio has a plugin too, and httpx imports anyio: that pytest warns of it is not ours to change.
        (
            "import signalwire_rest\nfrom signalwire_tokens import AsyncProjectTokens, ProjectTokens, testing",
            ["-W", "ignore:Module already imported so cannot be rewritten; anyio"],
        ),
    ],
)
def test_a_process_that_has_imported_it_may_run_pytest_with_warnings_as_errors(
    wheel, tmp_path, imports, ignored
) -> None:
    # Only where the wheel's own list of files is there does pytest know whose assertions it would rewrite.
    wheel.extractall(tmp_path / "site")  # noqa: S202 - the wheel was built here
    (tmp_path / "test_it.py").write_text("def test_it(signalwire_space): assert signalwire_space.tokens == {}\n")
    code = (
        f"import sys, pytest\n{imports}\n"
        "assert sys.modules['signalwire_tokens'].__file__.startswith(sys.argv[1])\n"
        f"sys.exit(pytest.main({['-W', 'error', *ignored, '-q', '-p', 'no:schemathesis']}))"
    )
    command = [sys.executable, "-W", "error", "-X", "dev", "-c", code, tmp_path / "site"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (0, ""), run.stdout
    assert "1 passed" in run.stdout
