"""The steps of scripts/update_spec.py: what it reports of a change of the pages, and how it puts results in place.

Each change is one of a page, an overlay and settings as they were once, held against the wrapper as it is; nothing is
generated from it. Whole updates are drilled elsewhere.
"""

import copy
import functools
import re
import shutil
import sys
from pathlib import Path

import pytest
from pages import FROZEN, TOKEN, TOKENS, create, dumped, inlined, renamed, schema
from ruamel.yaml import YAML

import update_spec
from compare_specs import Change, Severity
from vendor_spec import PAGES, extract
from write_answers import NoExampleError, answer, constants

ONCE = Path(__file__).parent / "data/upstream"
INFO, WARNING, BREAKING = Severity
TOLD = ("Version bump", "Breaks callers", "Hand-written")
ACTIONS = YAML(typ="safe").load(ONCE / update_spec.OVERLAY)["actions"]


@functools.cache
def parsed(content):
    return YAML(typ="safe").load(content)


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A repository as it was once, as far as descriptions go."""
    root = tmp_path / "root"
    (root / "generated").mkdir(parents=True)
    for name in (update_spec.OVERLAY, update_spec.CONFIG):
        shutil.copy(ONCE / name, root)
    (root / "openapi.yaml").write_bytes(extract(FROZEN.markdown))
    (root / update_spec.EFFECTIVE).write_text(dumped(FROZEN.effective), encoding="utf-8")
    monkeypatch.setattr(update_spec, "ROOT", root)
    # What every test reads is parsed once.
    monkeypatch.setattr(update_spec, "load", lambda path: copy.deepcopy(parsed(path.read_bytes())))
    return root


@pytest.fixture
def examined(root, tmp_path, monkeypatch):
    """Return what is reported of changed pages, and the step that fails, without generating anything."""
    monkeypatch.setattr(update_spec, "generate", lambda _: None)
    monkeypatch.setattr(update_spec, "misused", lambda *_: [])

    def examine(*edits, siblings=(), overlay=None):
        work = tmp_path / "work"
        shutil.copytree(root, work, dirs_exist_ok=True)
        (work / "openapi").mkdir(exist_ok=True)
        (work / PAGES[0].spec).write_text(dumped(FROZEN.edited(*edits)), encoding="utf-8")
        for page in siblings:
            (work / page.spec).write_text(dumped(FROZEN.sibling(page)), encoding="utf-8")
        if overlay is not None:
            (work / update_spec.OVERLAY).write_text(overlay, encoding="utf-8")
        report = update_spec.Report("page")
        try:
            update_spec.examine(work, "python", report)
        except update_spec.StepError as error:
            report.failed = error.args
        return report

    return examine


def named(report, file):
    """Return the number of each line of a file that is named, with what is said of it."""
    found = (re.fullmatch(rf"`{re.escape(file)}:(\d+)` (.*)", place, re.DOTALL) for place in report.places)
    return {int(match[1]): match[2] for match in found if match}


def texts(report, file):
    """Return the lines of a file that are named."""
    lines = (ONCE / file).read_text(encoding="utf-8").splitlines()
    return [lines[number - 1].strip() for number in named(report, file)]


def grown(of, what, *, required=False):
    def grow(spec):
        schema(spec, of)["properties"]["expires_at"] = what
        schema(spec, of)["required"] += ["expires_at"] * required

    return grow


def listing(spec):
    shown = copy.deepcopy(create(spec)["responses"]["200"])
    spec["paths"][TOKENS]["get"] = {"operationId": "list-tokens", "tags": ["t"], "responses": {"200": shown}}


def header(spec):
    create(spec)["parameters"].append({"name": "Idempotency-Key", "in": "header", "schema": {"type": "string"}})


def limited(spec):
    schema(spec, "CreateTokenRequest")["properties"]["name"]["maxLength"] = 255
    schema(spec, "CreateTokenRequest")["properties"]["permissions"]["uniqueItems"] = True
    schema(spec, "TokenResponse")["properties"]["name"]["deprecated"] = True
    create(spec)["responses"]["200"]["headers"] = {"X-RateLimit": {"schema": {"type": "integer"}}}


def nullable(spec):
    schema(spec, "CreateTokenRequest")["properties"]["subproject_id"]["type"] = ["string", "null"]


def permission(*values):
    return lambda spec: schema(spec, "TokenPermission")["enum"].extend(values)


def answered(status):
    def answer(spec):
        responses = create(spec)["responses"]
        create(spec)["responses"] = {status if key == "200" else key: value for key, value in responses.items()}

    return answer


def cosmetics(spec):
    create(spec)["tags"] = ["Project Tokens"]
    spec["servers"] = [{"url": "https://{your_space}.signalwire.com", "variables": {"your_space": {"default": "x"}}}]


DATE = {"type": "string", "format": "date-time"}
PROJECT_422 = "Project.TokenStatusCode422"


@pytest.mark.parametrize(
    ("edit", "bump", "said"),
    [
        (lambda _: None, "patch", []),
        (cosmetics, "patch", []),
        (renamed("PubSub.PubSubToken422Error", PROJECT_422), "patch", []),
        (permission("10dlc", "hologram"), "minor", ["a new value: 10dlc", "a new value: hologram"]),
        (grown("TokenResponse", DATE, required=True), "minor", ["expires_at`: a new property that is required"]),
        (grown("CreateTokenRequest", DATE), "minor", ["request.expires_at`: a new optional property"]),
        (listing, "minor", [f"- `GET {TOKENS}`: a new operation"]),
        (header, "minor", ["header parameter Idempotency-Key`: a new optional parameter"]),
        (answered("201"), "minor", [f"- `POST {TOKENS}`: a success is 201, it was 200"]),
        (nullable, "minor", ["request.subproject_id`: may be null now"]),
        (
            limited,
            "minor",
            [
                "request.name`: maxLength is 255, it was not there",
                "request.permissions`: uniqueItems is true, it was not there",
                "response 200.name`: deprecated is true, it was not there",
                "response 200 header X-RateLimit`: a new header",
            ],
        ),
        (lambda s: create(s).update(deprecated=True), "minor", [f"- `POST {TOKENS}`: deprecated"]),
        (
            lambda s: create(s).update({"x-mode": "fast"}),
            "minor",
            ["## Changes that this tool cannot name", "x-mode is"],
        ),
    ],
)
def test_a_change_that_fits_is_told_and_needs_no_hand(examined, edit, bump, said):
    report = examined(edit)
    assert (report.failed, report.places, report.bump) == (None, [], bump)
    text = report.markdown()
    for line in said or ["None but in wording, if any."]:
        assert line in text
    assert "## Breaks callers\n\nNothing does.\n" in text
    assert "## Hand-written lines and tests that need a person\n\nNone.\n" in text


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (grown("CreateTokenRequest", DATE), f"`POST {TOKENS}`: the property expires_at of the request"),
        (grown("TokenResponse", DATE), f"`POST {TOKENS}`: the property expires_at of the response"),
        (header, f"`POST {TOKENS}`: the header parameter Idempotency-Key"),
        (listing, f"`GET {TOKENS}`: the operation list-tokens"),
    ],
)
def test_what_the_wrapper_does_not_offer_is_told(examined, edit, said):
    assert said in examined(edit).markdown().partition("## Described, but not offered by the wrapper\n")[2]
    assert "but not offered" not in examined(cosmetics).markdown()


def test_a_wrapper_that_is_being_mended_is_told_as_such(examined, monkeypatch):
    monkeypatch.setitem(sys.modules, "signalwire_tokens", None)
    [said] = examined(listing).unoffered
    assert said.startswith("Not looked for, as the wrapper cannot be imported: ")


@pytest.mark.parametrize(
    ("values", "said"),
    [(("FAX",), "'fax' and 'FAX' would both be FAX"), (("a-b", "a b"), "'a-b' and 'a b' would both be A_B")],
)
def test_values_of_one_name_are_refused_by_name(examined, values, said):
    step, reason = examined(permission(*values)).failed
    assert step == "names"
    assert f"components.schemas.Project.TokenPermission: the values {said}" in reason


def test_a_schema_of_another_name_names_every_line_that_has_the_old_one(examined):
    report = examined(renamed("Project.TokenResponse", "Project.Token"))
    assert (report.failed[0], report.changes, report.bump) == ("overlay", [], "patch")
    text = (ONCE / update_spec.OVERLAY).read_text(encoding="utf-8").splitlines()
    assert sorted(named(report, update_spec.OVERLAY)) == [
        n for n, t in enumerate(text, 1) if "Project.TokenResponse" in t
    ]
    assert set(named(report, update_spec.OVERLAY).values()) == {
        "names Project.TokenResponse, which is Project.Token now"
    }
    assert texts(report, update_spec.CONFIG) == ["ProjectTokenResponse:"]
    assert list(named(report, update_spec.CONFIG).values()) == ["names ProjectTokenResponse, which is ProjectToken now"]
    assert len(report.places) == len(text) - len([t for t in text if "Project.TokenResponse" not in t]) + 1


def test_an_enum_inline_names_every_place(examined):
    report = examined(inlined("Project.TokenPermission"))
    # Nothing changed for those who call.
    assert (report.failed[0], report.changes, report.bump) == ("overlay", [], "patch")
    said = " ".join(named(report, update_spec.OVERLAY).values())
    assert "items['$ref']: matches nothing" in said
    dangling = [a for a in ACTIONS if "Project.TokenPermission" in str(a.get("update"))]
    assert said.count("refers to Project.TokenPermission, which the spec lacks") == len(dangling)
    assert texts(report, update_spec.CONFIG) == ["ProjectTokenPermission:"]


def test_a_response_in_parts_names_the_action_that_does_not_fit(examined):
    def split(spec):
        whole = schema(spec, "TokenResponse")
        base = {key: whole.pop(key) for key in ("type", "properties", "required")}
        whole["allOf"] = [base, {"type": "object"}]

    report = examined(split)
    assert (report.failed[0], report.changes, report.bump) == ("overlay", [], "patch")
    assert "matches nothing" in report.failed[1]
    for line in texts(report, update_spec.OVERLAY):
        assert line.startswith("- target: $.components.schemas['Project.TokenResponse'].properties.permissions")


@pytest.mark.parametrize("method", ["patch", "delete"])
def test_an_operation_under_another_parameter_names_the_action_to_drop(examined, method):
    def publish(spec):
        page = next(page for page in PAGES if page.method == method)
        document = FROZEN.sibling(page)
        operation = document["paths"][page.path][method]
        operation["parameters"][0]["name"] = "id"
        spec["paths"]["/api/project/tokens/{id}"] = {method: operation}
        spec["components"]["schemas"] |= document["components"]["schemas"]

    report = examined(publish)
    assert report.failed[0] == "overlay"
    reason = f"the path {TOKEN} is there already as {TOKENS}/{{id}}; drop the action"
    shown = [said for said in named(report, update_spec.OVERLAY).values() if reason in said]
    assert [re.search(r"The operation (\w+)", said)[1] for said in shown] == ["update", "delete"]


def test_the_first_update_that_reads_the_sibling_pages_names_the_actions_to_drop(examined):
    report = examined(siblings=PAGES[1:])
    assert report.failed[0] == "overlay"
    described = ("The body of the update ", "The answer for a ", "The answer to ", "The operation u", "The operation d")
    dropped = [a for a in ACTIONS if a["description"].startswith(described)]
    assert len(dropped) == len(described)
    assert [said.partition(" (")[0] for said in named(report, update_spec.OVERLAY).values()] == [
        f"action {ACTIONS.index(action) + 1}" for action in dropped
    ]
    assert all("drop the action" in said for said in named(report, update_spec.OVERLAY).values())
    assert len(report.places) == len(dropped)
    # Upstream's words are held against those of the overlay.
    assert Change(INFO, f"PATCH {TOKEN} request.name", "minLength is not there, it was 1") in report.changes
    assert all(change.location.startswith(f"PATCH {TOKEN}") for change in report.changes)

    overlay = YAML(typ="safe").load(ONCE / update_spec.OVERLAY)
    overlay["actions"] = [action for action in overlay["actions"] if action not in dropped]
    mended = examined(siblings=PAGES[1:], overlay=dumped(overlay))
    assert (mended.failed, mended.places, mended.changes) == (None, [], report.changes)
    # Most of the overlay stands in for the pages.
    assert 2.5 * len(dumped(overlay).splitlines()) < len((ONCE / update_spec.OVERLAY).read_text().splitlines())


def test_pages_that_disagree_are_refused_by_name(examined):
    def disagree(spec):
        schema(spec, "TokenResponse")["properties"]["name"]["description"] = "Other."

    report = examined(disagree, siblings=PAGES[1:2])
    assert report.failed[0] == "merge"
    # What was not looked for is not told.
    assert not [said for said in TOLD if said in report.markdown()]
    where = "components.schemas.Project.TokenResponse.properties.name.description"
    assert report.failed[1].startswith(f"openapi.yaml and openapi/update-token.yaml disagree on {where}: 'Other.' and ")


def test_an_action_that_upstream_has_adopted_is_named(examined):
    report = examined(lambda spec: create(spec)["requestBody"].update(required=True))
    [(_, said)] = named(report, update_spec.OVERLAY).items()
    assert "requestBody: the spec already has 'required' there; drop the action" in said


def test_what_a_test_says_comes_with_its_name():
    """And a change that may break callers does, where the wrapper relies on it."""
    report = update_spec.Report("page", changes=[Change(WARNING, "POST /a", "gone"), Change(INFO, "POST /a", "new")])
    assert report.bump == "minor"
    report.places = ["`tests/test_x.py::test_y` AssertionError"]
    assert report.bump == "minor"
    report.places += ["`wrapper/signalwire_tokens/testing.py:1` uses it"]
    assert (report.bump, [change.message for change in report.breaking]) == ("major", ["gone"])
    report.failed = ("tests", "1 failed")
    text = report.markdown()
    assert "**Nothing was updated: the step *tests* failed.**\n\n``````\n1 failed\n``````\n\nTo mend it: " in text
    assert "person\n\n- `tests/test_x.py::test_y` AssertionError\n- `wrapper/" in text


def test_a_page_that_cannot_be_taken_is_told_as_such(tmp_path):
    (tmp_path / "page.md").write_bytes(b"")
    report = update_spec.update(str(tmp_path / "page.md"), tmp_path / "work")
    text = report.markdown()
    assert text.startswith(
        "# SignalWire's docs pages could not be taken\n\n**Nothing was updated: the step *page* failed"
    )
    assert f"{tmp_path}/page.md: expected exactly one fenced block" in text
    assert "Hand-written" not in text


@pytest.mark.usefixtures("root")
def test_crlf_alone_is_nothing_new(tmp_path, capsys):
    (tmp_path / "page.md").write_bytes(FROZEN.markdown.replace(b"\n", b"\r\n"))
    assert update_spec.update(str(tmp_path / "page.md"), tmp_path / "work") is None
    assert capsys.readouterr().out == f"The lines of {tmp_path}/page.md end with CRLF; they are kept with LF.\n"


# What FakeSpace answers.


def changed(*edits):
    document = copy.deepcopy(FROZEN.effective)
    for edit in edits:
        edit(document)
    return document


def answered_by(*edits):
    """Return the status and the body of a success of create-token."""
    document = changed(*edits)
    return answer(create(document), document)


def needing(what):
    return grown("TokenResponse", what, required=True)


@pytest.mark.parametrize(
    ("what", "value"),
    [
        (DATE, "2026-01-01T00:00:00Z"),
        ({"type": "string", "minLength": 3}, "xxx"),
        ({"type": "string", "pattern": "^a$", "example": "a"}, "a"),
        ({"type": "integer", "minimum": 3}, 3),
        ({"type": "number", "maximum": -2}, -2),
        ({"type": "boolean"}, False),
        ({"type": ["string", "null"]}, None),
        ({"anyOf": [{"type": "null"}, {"type": "string"}]}, None),
        ({"const": "x"}, "x"),
        ({"type": "array", "minItems": 2, "items": {"type": "boolean"}}, [False, False]),
        ({"$ref": "#/components/schemas/Project.TokenPermission"}, "calling"),
        (
            {"allOf": [{"type": "object", "properties": {"a": DATE, "b": DATE}, "required": ["b"]}]},
            {"b": "2026-01-01T00:00:00Z"},
        ),
    ],
)
def test_a_property_that_must_be_there_has_an_example(what, value):
    status, body = answered_by(needing(what))
    assert (status, body["expires_at"]) == (200, value)


def test_a_property_that_need_not_be_there_is_not():
    assert answered_by(grown("TokenResponse", DATE)) == answered_by()


def test_the_status_is_the_documented_one():
    assert answered_by(answered("201")) == (201, answered_by()[1])
    assert answer(FROZEN.effective["paths"][TOKEN]["delete"], FROZEN.effective) == (204, None)


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (needing({"type": "string", "pattern": "^a$"}), "$.expires_at '' does not match"),
        (needing({"$ref": "#/components/schemas/Project.TokenResponse"}), "its schema must hold itself"),
        (lambda s: create(s)["responses"].pop("200"), "it describes no success"),
        (lambda s: s["components"]["schemas"].update({"Project.TokenResponse": {"type": "array"}}), "it is no object"),
    ],
)
def test_what_has_no_example_says_why(edit, reason):
    document = changed(edit)
    with pytest.raises(NoExampleError, match=re.escape(reason)):
        answer(create(document), document)
    assert f"# CREATE_TOKEN: no example of its success: {reason}" in constants(document)
    assert "\nDELETE_TOKEN: tuple[int, Any] = (\n" in constants(document)


# How results go in.


@pytest.fixture
def trees(tmp_path, monkeypatch):
    """Return a tree and the copy whose results are to go into it."""
    root, work = tmp_path / "root", tmp_path / "work"
    for folder in (root, work):
        for output in update_spec.OUTPUTS:
            path = folder / output / ("file" if "." not in output else "")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(folder.name)
    (work / "elsewhere").write_text("work")
    monkeypatch.setattr(update_spec, "ROOT", root)
    return root, work


def contents(folder):
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_results_go_in_and_nothing_else(trees):
    root, work = trees
    update_spec.move_in(work)
    assert set(contents(root).values()) == {"work"}
    assert "elsewhere" not in contents(root)


def test_results_that_were_not_there_before_go_in_and_those_that_are_not_made_stay(trees):
    root, work = trees
    shutil.rmtree(root / "openapi")
    (work / "tests/data/delete-token.md").unlink()
    update_spec.move_in(work)
    assert (root / "openapi/update-token.yaml").read_text() == "work"
    assert (root / "tests/data/delete-token.md").read_text() == "root"


@pytest.mark.parametrize("new", [False, True])
@pytest.mark.parametrize("moves", range(2 * len(update_spec.OUTPUTS)))
def test_results_go_in_all_or_none(trees, monkeypatch, moves, new):
    root, work = trees
    if new:
        shutil.rmtree(root / "openapi")
        moves = min(moves, 2 * len(update_spec.OUTPUTS) - 3)
    before = contents(root)
    rename, done = Path.rename, []

    def break_off(path, target):
        if len(done) == moves:
            done.append(None)
            raise OSError("disk full")
        done.append(path)
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", break_off)
    with pytest.raises(OSError, match="disk full"):
        update_spec.move_in(work)
    assert contents(root) == before
    assert (root / "openapi").exists() != new
