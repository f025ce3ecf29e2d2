"""What `make update-spec` does with new pages from end to end, on a copy of the repository.

What it says of each single change is tested step by step in test_update_spec.py.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from gh_stand_in import stand_in
from pages import TOKENS, Upstream, create, dumped, inlined, renamed, schema
from ruamel.yaml import YAML

from update_spec import NOT_COPIED, OUTPUTS, OVERLAY
from vendor_spec import PAGES, extract

ROOT = Path(__file__).parent.parent.parent
WRAPPER = "wrapper/signalwire_tokens"
HERE = Upstream(ROOT / PAGES[0].copy, ROOT / OVERLAY)
ENVIRONMENT = (f"VENV={sys.prefix}", f"--old-file={sys.prefix}/.ready")

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
        return subprocess.run(command, cwd=self.root, env=kept, capture_output=True, text=True, timeout=140, **options)

    def update(self, page, source=None):
        """Run the target on this page, with the environment that runs the tests."""
        self.page.write_bytes(page)
        return self.run(
            "make", "update-spec", *ENVIRONMENT, f"PAGE={source or self.page}", f"SUMMARY={self.summary_file}"
        )

    def assert_updated(self, page, source=None):
        """Update to a page, and assert that no file changed that a hand wrote; return the summary and what changed."""
        done = self.update(page, source)
        assert done.returncode == 0, done.stdout + done.stderr
        after = self.files()
        changed = {name for name in self.before.keys() | after.keys() if self.before.get(name) != after.get(name)}
        assert {name for name in changed if not name.startswith("generated/")} <= set(OUTPUTS)
        summary = self.summary_file.read_text(encoding="utf-8")
        assert summary in done.stdout
        assert "## Hand-written lines and tests that need a person\n\nNone.\n" in summary
        return summary, changed

    def assert_refused(self, page, step, source=None):
        """Try to update, and assert that it fails in this step and changes nothing; return what it says."""
        before = self.files()
        done = self.update(page, source)
        assert done.returncode != 0
        assert f"update_spec: nothing was changed, step '{step}' failed: " in done.stderr
        assert "Traceback" not in done.stderr
        assert self.files() == before
        summary = self.summary_file.read_text(encoding="utf-8")
        assert f"**Nothing was updated: the step *{step}* failed.**" in summary
        assert "a person\n\nNone." not in summary
        return summary


@pytest.fixture
def repository(tmp_path):
    return Repository(tmp_path)


def section(summary, heading):
    return summary.partition(f"## {heading}\n")[2].partition("\n## ")[0].partition("\n<details>")[0]


def places(summary, file=WRAPPER):
    """Return the text of each line of a file, or of the files in a folder, that a person must look at."""
    shown = section(summary, "Hand-written lines and tests that need a person")
    found = re.findall(rf"^- `({re.escape(file)}[^`:]*):(\d+)` ", shown, re.MULTILINE)
    return [(ROOT / name).read_text(encoding="utf-8").splitlines()[int(number) - 1] for name, number in found]


def test_the_page_that_is_vendored_changes_nothing(repository):
    done = repository.update(HERE.markdown)
    assert (done.returncode, done.stdout) == (
        0,
        f"What {repository.page} shows is here already: nothing to update.\n",
    )
    assert repository.files() == repository.before
    assert not repository.summary_file.exists()


def grown(spec):
    """Change all that needs no hand."""
    schema(spec, "TokenPermission")["enum"][3:3] = ["10dlc", "hologram"]
    schema(spec, "TokenResponse")["properties"] |= {
        "expires_at": {"type": "string", "format": "date-time"},
        "note": {"type": "string"},
    }
    schema(spec, "TokenResponse")["required"].append("expires_at")
    schema(spec, "CreateTokenRequest")["properties"]["expires_at"] = {"type": "string", "format": "date-time"}
    schema(spec, "CreateTokenRequest")["properties"]["subproject_id"]["type"] = ["string", "null"]
    schema(spec, "CreateTokenRequest")["properties"]["name"]["maxLength"] = 255
    create(spec)["parameters"].append({"name": "Idempotency-Key", "in": "header", "schema": {"type": "string"}})
    create(spec)["responses"]["201"] = create(spec)["responses"].pop("200")
    create(spec)["tags"] = ["Project Tokens"]
    spec["servers"] = [{"url": "https://{your_space}.signalwire.com", "variables": {"your_space": {"default": "x"}}}]
    shown = {"description": "All.", "content": {"application/json": {"schema": {"type": "array", "items": {}}}}}
    shown["content"]["application/json"]["schema"]["items"]["$ref"] = "#/components/schemas/Project.TokenResponse"
    spec["paths"][TOKENS]["get"] = {
        "operationId": "list-tokens",
        "tags": ["Project Tokens"],
        "parameters": create(HERE.spec)["parameters"],
        "responses": {"200": shown},
    }


def test_what_fits_needs_no_hand(repository):
    spec = dumped(HERE.edited(grown, renamed("PubSub.PubSubToken422Error", "Project.TokenStatusCode422"))).encode()
    page = HERE.markdown.replace(
        b"```yaml\n" + extract(HERE.markdown) + b"```\n", b'````YAML title="spec"\n' + spec + b"````\n"
    )
    summary, changed = repository.assert_updated(page.replace(b"\n", b"\r\n"))
    assert "Version bump: **minor**" in summary
    assert summary.count("end with CRLF; they are kept with LF.") == 1
    others = section(summary, "Other changes")
    for said in (
        "a new value: 10dlc",
        "response 201.expires_at",
        "a success is 201, it was 200",
        "request.subproject_id`: may be null now",
        "request.name`: maxLength is 255, it was not there",
    ):
        assert said.replace("response 201", "response 200") in others
    unoffered = section(summary, "Described, but not offered by the wrapper").strip().splitlines()
    assert sorted(unoffered) == [
        f"- `GET {TOKENS}`: the operation list-tokens",
        f"- `PATCH {TOKENS}/{{token_id}}`: the property expires_at of the response",
        f"- `PATCH {TOKENS}/{{token_id}}`: the property note of the response",
        f"- `POST {TOKENS}`: the header parameter Idempotency-Key",
        f"- `POST {TOKENS}`: the property expires_at of the request",
        f"- `POST {TOKENS}`: the property expires_at of the response",
        f"- `POST {TOKENS}`: the property note of the response",
    ]
    after = repository.files()
    assert (after["openapi.yaml"], after[PAGES[0].copy]) == (spec, page)
    assert "generated/signalwire_rest/models/permission.py" in changed
    for name, value in (("HOLOGRAM", "hologram"), ("VALUE_10DLC", "10dlc")):
        line = f"value signalwire_tokens.Permission.{name} = '{value}'"
        assert line.encode() in after["tests/data/public-api.txt"]

    use = """
        from signalwire_tokens import Permission, ProjectTokens, testing
        assert testing.__file__.startswith(%r), testing.__file__
        space = testing.FakeSpace()
        with space.serve() as url, ProjectTokens(url, space.project_id, space.api_token) as tokens:
            created = tokens.create("new", [Permission.HOLOGRAM, "10dlc", "fax"])
        assert created.permissions == (Permission.HOLOGRAM, Permission.VALUE_10DLC, Permission.FAX), created
        assert space.tokens[created.id].permissions == ("hologram", "10dlc", "fax")
        assert space.requests[-1].status == 201
    """
    use = re.sub(r"^ {8}", "", use, flags=re.MULTILINE) % str(repository.root)
    done = repository.run(sys.executable, "-c", use)
    assert done.returncode == 0, done.stderr
    table = "import runpy; print(runpy.run_path('docs/conf.py')['permission_table']([*Permission]))"
    shown = repository.run(sys.executable, "-c", f"from signalwire_tokens import Permission\n{table}", check=True)
    assert "hologram" in shown.stdout
    again = repository.update(page.replace(b"\n", b"\r\n"))
    assert (again.returncode, again.stdout.endswith("nothing to update.\n")) == (0, True), again.stdout


def test_all_pages_are_taken_once_the_overlay_says_nothing_of_their_operations(repository, tmp_path):
    site = tmp_path / "site"
    site.mkdir()
    for page in PAGES:
        content = HERE.markdown if page is PAGES[0] else HERE.page(HERE.sibling(page))
        (site / f"{page.name}.md").write_bytes(content)
    summary = repository.assert_refused(b"", "overlay", site)
    overlay = repository.root / OVERLAY
    document = YAML(typ="safe").load(overlay)
    numbers = {
        int(number) for number in re.findall(r"^- `openapi-overlay.yaml:\d+` action (\d+) ", summary, re.MULTILINE)
    }
    assert len(places(summary, OVERLAY)) == len(numbers) == 5, summary
    document["actions"] = [action for n, action in enumerate(document["actions"], 1) if n not in numbers]
    overlay.write_text(dumped(document), encoding="utf-8")

    repository.before = repository.files()
    summary, changed = repository.assert_updated(b"", site)
    assert {page.spec for page in PAGES[1:]} | {page.copy for page in PAGES[1:]} < changed
    assert not {PAGES[0].spec, PAGES[0].copy} & changed
    assert "In upstream's own words." in (repository.root / "generated/openapi.yaml").read_text(encoding="utf-8")
    again = repository.update(b"", site)
    assert (again.returncode, again.stdout) == (0, f"What {site} shows is here already: nothing to update.\n")
    # One page alone is held against the others that are here.
    again = repository.update(HERE.markdown)
    assert again.stdout == f"What {repository.page} shows is here already: nothing to update.\n"


def test_what_was_vendored_by_hand_is_brought_to_its_end(repository):
    """`make vendor` takes the page alone, and the update the rest, with its summary."""
    page = HERE.page(HERE.edited(lambda spec: schema(spec, "TokenPermission")["enum"].append("hologram")))
    repository.page.write_bytes(page)
    done = repository.run("make", "vendor", *ENVIRONMENT, f"PAGE={repository.page}", check=True)
    assert "Taken: openapi.yaml.\nNext: " in done.stdout
    assert repository.files()["openapi.yaml"] == extract(page)
    summary, changed = repository.assert_updated(page)
    assert "a new value: hologram" in summary
    assert {"openapi.yaml", "generated/signalwire_rest/models/permission.py"} < changed


def test_a_required_property_less_names_the_line_that_uses_it(repository):
    def drop(spec):
        del schema(spec, "TokenResponse")["properties"]["token"]
        schema(spec, "TokenResponse")["required"].remove("token")

    summary = repository.assert_refused(HERE.page(HERE.edited(drop)), "types")
    assert "Version bump: **major**" in summary
    assert "response 200.token`" in section(summary, "Breaks callers")
    assert any(".token" in line for line in places(summary)), summary


def test_a_request_property_less_names_the_line_that_sends_it(repository):
    def drop(spec):
        del schema(spec, "CreateTokenRequest")["properties"]["subproject_id"]

    summary = repository.assert_refused(HERE.page(HERE.edited(drop)), "types")
    assert "Version bump: **major**" in summary
    assert "request.subproject_id`: the property is gone" in section(summary, "Breaks callers")
    assert places(summary)


def test_a_format_less_names_the_line_that_relies_on_it(repository):
    def drop(spec):
        del schema(spec, "TokenResponse")["properties"]["id"]["format"]

    summary = repository.assert_refused(HERE.page(HERE.edited(drop)), "types")
    assert "Version bump: **major**" in summary
    assert "response 200.id`" in section(summary, "Breaks callers")
    assert any(".id" in line for line in places(summary)), summary


def test_what_fake_space_cannot_answer_names_its_line_and_says_why(repository):
    def grow(spec):
        schema(spec, "TokenResponse")["properties"]["region"] = {"type": "string", "pattern": "^[a-z]{2}$"}
        schema(spec, "TokenResponse")["required"].append("region")

    summary = repository.assert_refused(HERE.page(HERE.edited(grow)), "types")
    assert all("from signalwire_rest.answers import" in line for line in places(summary)), summary
    assert (
        "(no example of its success: $.region '' does not match '^[a-z]{2}$'; an action of the overlay may" in summary
    )


def test_an_operation_of_another_name_names_the_line_that_calls_it(repository):
    summary = repository.assert_refused(
        HERE.page(HERE.edited(lambda spec: create(spec).update(operationId="mint-token"))), "types"
    )
    assert "Nothing does." in section(summary, "Breaks callers")
    assert any("create_token" in line for line in places(summary)), summary
    assert any("CREATE_TOKEN" in line for line in places(summary)), summary


def test_an_enum_inline_names_lines_of_the_overlay_and_the_settings_alone(repository):
    summary = repository.assert_refused(HERE.page(HERE.edited(inlined("Project.TokenPermission"))), "overlay")
    assert "Version bump: **patch**" in summary
    assert places(summary, "generator-config.yaml") == ["  ProjectTokenPermission:"]
    assert places(summary, OVERLAY)
    assert places(summary) == []


def test_a_schema_of_another_name_names_lines_of_the_overlay_and_the_settings_alone(repository):
    summary = repository.assert_refused(
        HERE.page(HERE.edited(renamed("Project.TokenResponse", "Project.Token"))), "overlay"
    )
    assert "Version bump: **patch**" in summary
    assert places(summary, "generator-config.yaml") == ["  ProjectTokenResponse:"]
    assert all("Project.TokenResponse" in line for line in places(summary, OVERLAY))
    assert places(summary) == []


def test_a_permission_less_breaks_callers_and_names_the_lines_that_have_it(repository):
    page = HERE.page(HERE.edited(lambda spec: schema(spec, "TokenPermission")["enum"].remove("fax")))
    summary = repository.assert_refused(page, "types")
    assert "Version bump: **major**" in summary
    assert "the value fax is gone" in section(summary, "Breaks callers")
    assert all("fax" in line.lower() for line in places(summary, "")), summary


def test_tests_that_fail_are_named(repository):
    def change(spec):
        create(spec)["responses"]["400"] = create(spec)["responses"].pop("422")

    summary = repository.assert_refused(HERE.page(HERE.edited(change)), "tests")
    shown = section(summary, "Hand-written lines and tests that need a person").strip().splitlines()
    assert shown
    assert all(re.match(r"- `tests/test_fake_space\.py::.+` \S", line) for line in shown), summary


def test_a_page_that_cannot_be_read_is_told(repository):
    summary = repository.assert_refused(b"<!doctype html>\n", "page")
    assert f"{repository.page}: expected exactly one fenced block" in summary


@pytest.mark.skipif(not shutil.which("git"), reason="git is not on the PATH")
def test_a_change_goes_all_the_way_to_a_pull_request(repository, tmp_path):
    remote = tmp_path / "remote.git"
    env, state = stand_in(tmp_path, remote)
    page = repository.page
    page.write_bytes(HERE.page(HERE.edited(renamed("PubSub.PubSubToken422Error", "Project.TokenStatusCode422"))))
    git = ("git", "-c", "user.name=t", "-c", "user.email=t@example.com")
    for command in (
        ("init", "--quiet", "--initial-branch=main"),
        ("add", "--all"),
        ("commit", "--quiet", "--message=t"),
        ("clone", "--quiet", "--bare", ".", str(remote)),
        ("remote", "add", "origin", str(remote)),
    ):
        subprocess.run([*git, *command], cwd=repository.root, env=env, check=True)
    propose = ["make", "propose-update", *ENVIRONMENT, f"PAGE={page}"]
    done = subprocess.run(propose, cwd=repository.root, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("Opened https://github.com/example/example/pull/7.\n")
    [pull] = json.loads(state.read_text())["pulls"].values()
    assert "Version bump: **patch**" in pull["body"]
    proposed = subprocess.run(
        ["git", "diff", "--name-only", "main", "update-spec"], cwd=remote, env=env, check=True, stdout=subprocess.PIPE
    )
    names = set(proposed.stdout.decode().splitlines())
    assert {"openapi.yaml", "generated/openapi.yaml", "tests/data/create-token.md"} < names
    assert {name for name in names if not name.startswith("generated/")} <= set(OUTPUTS)
