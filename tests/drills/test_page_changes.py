"""What `make update-spec` does when the docs page changes: each expected change, on a copy of the repository."""

import json
import os
import re
import shutil
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import pytest
from gh_stand_in import stand_in
from ruamel.yaml import YAML

from update_spec import NOT_COPIED, OUTPUTS
from vendor_spec import extract

ROOT = Path(__file__).parent.parent.parent
MARKDOWN = (ROOT / "tests/data/create-token.md").read_bytes()
SPEC = extract(MARKDOWN)
OVERLAY = YAML(typ="safe").load(ROOT / "openapi-overlay.yaml")["actions"]
OPERATIONS = "wrapper/signalwire_tokens/_operations.py"

pytestmark = pytest.mark.skipif(
    not shutil.which("make") or os.name == "nt", reason="make, with POSIX paths, is not on the PATH"
)


class Repository:
    """A copy of the repository, and what it held before."""

    def __init__(self, folder):
        self.root = folder / "repository"
        self.page = folder / "page.md"
        self.summary_file = folder / "summary.md"
        shutil.copytree(ROOT, self.root, ignore=shutil.ignore_patterns(*NOT_COPIED), symlinks=True)
        self.before = self.files()

    def files(self):
        return {
            path.relative_to(self.root).as_posix(): path.read_bytes()
            for path in self.root.rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        }

    def run(self, *command, **options):
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "MAKE", "MFLAGS"))}
        paths = os.pathsep.join(str(self.root / source) for source in ("generated", "wrapper"))
        kept |= {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": paths}
        return subprocess.run(command, cwd=self.root, env=kept, capture_output=True, text=True, timeout=600, **options)

    def update(self, page):
        """Run the target on this page, with the environment that runs the tests."""
        self.page.write_bytes(page)
        venv = (f"VENV={sys.prefix}", f"--old-file={sys.prefix}/.ready")
        return self.run("make", "update-spec", *venv, f"PAGE={self.page}", f"SUMMARY={self.summary_file}")

    def assert_updated(self, page):
        """Update to a page, and assert that no file changed that a hand wrote; return the summary and what changed."""
        done = self.update(page)
        assert done.returncode == 0, done.stdout + done.stderr
        after = self.files()
        changed = {name for name in self.before.keys() | after.keys() if self.before.get(name) != after.get(name)}
        assert {name for name in changed if not name.startswith("generated/")} <= set(OUTPUTS)
        assert (after["openapi.yaml"], after["tests/data/create-token.md"]) == (extract(page), page)
        summary = self.summary_file.read_text(encoding="utf-8")
        assert summary in done.stdout
        assert "## Hand-written lines that need a person\n\nNone.\n" in summary
        return summary, changed

    def assert_refused(self, page, step):
        """Try to update, and assert that it fails in this step and changes nothing; return what it says."""
        done = self.update(page)
        assert done.returncode != 0
        assert f"update_spec: nothing was changed, step '{step}' failed: " in done.stderr
        assert "Traceback" not in done.stderr
        assert self.files() == self.before
        return done.stderr, self.summary_file.read_text(encoding="utf-8") if self.summary_file.exists() else ""


@pytest.fixture
def repository(tmp_path):
    return Repository(tmp_path)


def replaced(old, new, *, times=1):
    """Return the page with a change of its spec."""
    assert SPEC.count(old) == times
    return MARKDOWN.replace(SPEC, SPEC.replace(old, new))


def edited(edit):
    """Return the page with its spec edited as a document."""
    yaml = YAML()
    document = yaml.load(SPEC)
    edit(document)
    stream = BytesIO()
    yaml.dump(document, stream)
    return MARKDOWN.replace(SPEC, stream.getvalue())


def section(summary, heading):
    return summary.partition(f"## {heading}\n")[2].partition("\n## ")[0].partition("\n<details>")[0]


def places(summary, file):
    """Return the text of each line of a file that the summary wants a person to look at."""
    text = (ROOT / file).read_text(encoding="utf-8").splitlines()
    found = re.findall(
        rf"^- `{re.escape(file)}:(\d+)` ", section(summary, "Hand-written lines that need a person"), re.MULTILINE
    )
    return [text[int(number) - 1] for number in found]


def test_the_page_that_is_vendored_changes_nothing(repository):
    done = repository.update(MARKDOWN)
    assert (done.returncode, done.stdout) == (
        0,
        f"openapi.yaml is what {repository.page} shows: nothing to update.\n",
    )
    assert repository.files() == repository.before
    assert not repository.summary_file.exists()


def test_a_permission_more_needs_no_hand(repository):
    page = replaced(b"        - fax\n", b"        - fax\n        - hologram\n")
    summary, changed = repository.assert_updated(page)
    assert "Version bump: **minor**" in summary
    assert "New enum values added: ['hologram']" in section(summary, "Other changes")
    assert "+        - hologram" in summary
    assert "generated/signalwire_rest/models/permission.py" in changed
    assert (
        b"value signalwire_tokens.Permission.HOLOGRAM = 'hologram'" in repository.files()["tests/data/public-api.txt"]
    )

    use = """
        from signalwire_tokens import Permission, ProjectTokens, testing
        assert testing.__file__.startswith(%r), testing.__file__
        space = testing.FakeSpace()
        with space.serve() as url, ProjectTokens(url, space.project_id, space.api_token) as tokens:
            created = tokens.create("new", [Permission.HOLOGRAM, "hologram", "fax"])
        assert created.permissions == (Permission.HOLOGRAM, Permission.FAX), created
        assert space.tokens[created.id].permissions == ("hologram", "fax")
    """
    use = re.sub(r"^ {8}", "", use, flags=re.MULTILINE) % str(repository.root)
    done = repository.run(sys.executable, "-c", use)
    assert done.returncode == 0, done.stderr
    for page in documented(repository):
        assert "hologram" in page


def documented(repository):
    """Return the permissions as a reader finds them: by what the README tells to run, and on the page about them."""
    readme = (repository.root / "README.md").read_text(encoding="utf-8")
    [lister] = re.findall(r"`(print\(\*Permission\))`", readme)
    table = "runpy.run_path('docs/conf.py')['permission_table']([*Permission])"
    for show in (lister, f"import runpy; print({table})"):
        code = f"from signalwire_tokens import Permission\n{show}"
        yield repository.run(sys.executable, "-c", code, check=True).stdout


def test_properties_more_need_no_hand(repository):
    def grow(spec):
        schemas = spec["components"]["schemas"]
        schemas["Project.TokenResponse"]["properties"]["expires_at"] = {"type": "string", "format": "date-time"}
        schemas["Project.CreateTokenRequest"]["properties"]["note"] = {"type": "string"}

    summary, changed = repository.assert_updated(edited(grow))
    assert "Version bump: **minor**" in summary
    assert "New field added: 'expires_at'" in section(summary, "Other changes")
    assert "New field added: 'note'" in section(summary, "Other changes")
    assert {
        f"generated/signalwire_rest/models/{name}.py" for name in ("token_response", "create_token_request")
    } < changed


def test_an_error_schema_of_another_name_stays_in_the_generated_client(repository):
    page = replaced(b"PubSub.PubSubToken422Error", b"Project.ProjectToken422Error", times=3)
    summary, changed = repository.assert_updated(page)
    assert "Version bump: **patch**" in summary
    vendored = {"openapi.yaml", "tests/data/create-token.md"}
    assert {name for name in changed if not name.startswith("generated/")} == vendored
    assert "generated/signalwire_rest/models/project_project_token_422_error.py" in changed


@pytest.mark.parametrize("operation", ["update-token", "delete-token"])
def test_an_operation_that_the_overlay_also_adds_names_the_action_to_drop(repository, operation):
    [number] = [n for n, a in enumerate(OVERLAY, 1) if a["description"].startswith(f"The operation {operation},")]
    action = OVERLAY[number - 1]

    def adopt(spec):
        spec["paths"].update(action["update"])
        # What the operation refers to comes with it.
        for added in (a["update"] for a in OVERLAY if a["target"] == "$.components.schemas"):
            spec["components"]["schemas"].update(added)

    error, summary = repository.assert_refused(edited(adopt), "overlay")
    assert f"action {number} ({action['description']}), target $.paths: the spec already has" in error
    assert "drop the action" in error
    assert f"  - target: {action['target']}" in places(summary, "openapi-overlay.yaml")


@pytest.mark.parametrize("name", ["name", "token"])
def test_a_required_property_less_names_the_line_that_uses_it(repository, name):
    def drop(spec):
        schema = spec["components"]["schemas"]["Project.TokenResponse"]
        del schema["properties"][name]
        schema["required"].remove(name)

    _, summary = repository.assert_refused(edited(drop), "types")
    assert "Version bump: **major**" in summary
    assert f"response 200 > field '{name}'`: " in section(summary, "Breaks callers")
    assert any(f".{name}" in line for line in places(summary, OPERATIONS)), summary


def test_a_request_property_less_names_the_line_that_sends_it(repository):
    def drop(spec):
        del spec["components"]["schemas"]["Project.CreateTokenRequest"]["properties"]["subproject_id"]

    _, summary = repository.assert_refused(edited(drop), "types")
    assert "Version bump: **major**" in summary
    assert "Field 'subproject_id' is no longer accepted" in section(summary, "Breaks callers")
    assert places(summary, OPERATIONS)


def test_an_operation_less_names_the_line_that_calls_it(repository):
    def drop(spec):
        spec["paths"] = {"/api/project/other": spec["paths"]["/api/project/tokens"]}
        spec["paths"]["/api/project/other"]["post"]["operationId"] = "create-other"

    _, summary = repository.assert_refused(edited(drop), "overlay")
    assert "Endpoint completely removed: /api/project/tokens" in section(summary, "Breaks callers")
    assert any("create_token" in line for line in places(summary, OPERATIONS)), summary
    assert any("/api/project/tokens" in line for line in places(summary, "openapi-overlay.yaml"))


def test_an_operation_of_another_name_names_the_line_that_calls_it(repository):
    page = replaced(b"operationId: create-token", b"operationId: mint-token")
    _, summary = repository.assert_refused(page, "types")
    assert "Version bump: **patch**" in summary
    assert any("create_token" in line for line in places(summary, OPERATIONS)), summary


def test_a_schema_of_another_name_names_the_setting_that_overrides_it(repository):
    page = replaced(b"Project.TokenResponse", b"Project.Token", times=3)
    error, summary = repository.assert_refused(page, "overlay")
    assert "matches nothing" in error
    assert places(summary, "generator-config.yaml") == ["  ProjectTokenResponse:"]
    assert any("Project.TokenResponse" in line for line in places(summary, "openapi-overlay.yaml"))
    assert any("TokenResponse" in line for line in places(summary, OPERATIONS))


def test_a_permission_less_breaks_callers_and_fails_the_tests(repository):
    page = replaced(b"        - fax\n", b"")
    error, summary = repository.assert_refused(page, "tests")
    assert "Version bump: **major**" in summary
    assert "Enum values removed: ['fax']" in section(summary, "Breaks callers")
    assert "**Nothing was updated: the step *tests* failed.**" in summary
    assert "1 failed" in error


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(b"<!doctype html>\n<html><body><p>Sign in</p></body></html>\n", id="HTML"),
        pytest.param(b"", id="empty"),
        pytest.param(MARKDOWN[: len(MARKDOWN) // 4], id="cut short"),
        pytest.param(MARKDOWN + b"\n```yaml\n" + SPEC + b"```\n", id="two specs"),
        pytest.param(MARKDOWN.replace(b"\npaths:\n", b"\npaths:\n  - none\nx-paths:\n"), id="no OpenAPI"),
    ],
)
def test_a_page_that_is_not_the_page_is_refused(repository, page):
    error, summary = repository.assert_refused(page, "page")
    assert str(repository.page) in error
    assert summary == ""


def test_a_page_that_cannot_be_read_is_refused(repository):
    venv = (f"VENV={sys.prefix}", f"--old-file={sys.prefix}/.ready")
    done = repository.run("make", "update-spec", *venv, "PAGE=https://127.0.0.1:9/create-token.md")
    assert done.returncode != 0
    assert "nothing was changed, step 'page' failed: https://127.0.0.1:9/create-token.md: " in done.stderr
    assert repository.files() == repository.before


@pytest.mark.skipif(not shutil.which("git"), reason="git is not on the PATH")
def test_a_change_goes_all_the_way_to_a_pull_request(repository, tmp_path):
    env, state = stand_in(tmp_path)
    page = repository.page
    page.write_bytes(replaced(b"PubSub.PubSubToken422Error", b"Project.ProjectToken422Error", times=3))
    remote = tmp_path / "remote.git"
    git = ("git", "-c", "user.name=t", "-c", "user.email=t@example.com")
    for command in (
        ("init", "--quiet", "--initial-branch=main"),
        ("add", "--all"),
        ("commit", "--quiet", "--message=t"),
        ("clone", "--quiet", "--bare", ".", str(remote)),
        ("remote", "add", "origin", str(remote)),
    ):
        subprocess.run([*git, *command], cwd=repository.root, env=env, check=True)
    propose = ["make", "propose-update", f"VENV={sys.prefix}", f"--old-file={sys.prefix}/.ready", f"PAGE={page}"]
    done = subprocess.run(propose, cwd=repository.root, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("Opened https://github.com/example/example/pull/7.\n")
    [[_, body]] = json.loads(state.read_text())[0].values()
    assert "Version bump: **patch**" in body
    proposed = subprocess.run(
        ["git", "diff", "--name-only", "main", "update-spec"], cwd=remote, env=env, check=True, stdout=subprocess.PIPE
    )
    names = set(proposed.stdout.decode().splitlines())
    assert {"openapi.yaml", "generated/openapi.yaml", "tests/data/create-token.md"} < names
    assert {name for name in names if not name.startswith("generated/")} <= set(OUTPUTS)
