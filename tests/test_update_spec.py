"""The steps of scripts/update_spec.py: what it reports of each kind of change, and how it puts results in place."""

import copy
from pathlib import Path

import pytest
from ruamel.yaml import YAML

import update_spec

ROOT = Path(__file__).parent.parent
SPEC = YAML(typ="safe").load(ROOT / "generated/openapi.yaml")
ENUM = ("components", "schemas", "Project.TokenPermission", "enum")
CREATE = ("paths", "/api/project/tokens", "post")
DELETE = ("paths", "/api/project/tokens/{token_id}")


def at(document, path):
    for key in path:
        document = document[key]
    return document


def dropped(schema, name):
    def drop(spec):
        found = at(spec, ("components", "schemas", schema))
        del found["properties"][name]
        found["required"].remove(name)

    return drop


def added(schema, name, *, required=False):
    def add(spec):
        found = at(spec, ("components", "schemas", schema))
        found["properties"][name] = {"type": "string"}
        found["required"] += [name] * required

    return add


QUERY = {"name": "dry_run", "in": "query", "schema": {"type": "boolean"}}
LISTING = {"operationId": "list-tokens", "responses": {"200": {"description": "All."}}}


@pytest.mark.parametrize(
    ("change", "severity", "said"),
    [
        pytest.param(lambda s: at(s, ENUM).append("new"), "info", "New enum values added: ['new']", id="value added"),
        pytest.param(
            lambda s: at(s, ENUM).remove("fax"), "breaking", "Enum values removed: ['fax']", id="value removed"
        ),
        pytest.param(added("Project.TokenResponse", "new"), "info", "New field added: 'new'", id="property added"),
        pytest.param(added("Project.CreateTokenRequest", "new"), "info", "New field added: 'new'", id="option added"),
        pytest.param(
            added("Project.CreateTokenRequest", "new", required=True),
            "breaking",
            "New required field added: 'new'",
            id="required property added",
        ),
        pytest.param(
            dropped("Project.TokenResponse", "token"),
            "breaking",
            "Field 'token' has been removed",
            id="property removed",
        ),
        pytest.param(
            dropped("Project.CreateTokenRequest", "name"), "warning", "Field 'name' is no longer", id="request property"
        ),
        pytest.param(
            lambda s: at(s, ("components", "schemas", "Project.TokenResponse", "required")).remove("token"),
            "breaking",
            "Field 'token' is no longer guaranteed",
            id="property not required any more",
        ),
        pytest.param(
            lambda s: at(s, DELETE).pop("delete"), "breaking", "HTTP method removed: DELETE", id="operation removed"
        ),
        pytest.param(
            lambda s: s["paths"].pop("/api/project/tokens"),
            "breaking",
            "Endpoint completely removed",
            id="path removed",
        ),
        pytest.param(
            lambda s: at(s, CREATE[:2]).update(get=LISTING), "info", "New HTTP method added: GET", id="operation added"
        ),
        pytest.param(
            lambda s: at(s, CREATE)["parameters"].append(QUERY),
            "info",
            "parameter added: 'dry_run'",
            id="parameter added",
        ),
        pytest.param(
            lambda s: at(s, DELETE)["delete"]["parameters"].clear(),
            "breaking",
            "Parameter 'token_id' (path) has been removed",
            id="parameter removed",
        ),
        pytest.param(
            lambda s: at(s, (*CREATE, "responses")).pop("422"), "warning", "Response '422'", id="answer removed"
        ),
    ],
)
def test_each_kind_of_change_is_reported(change, severity, said):
    new = copy.deepcopy(SPEC)
    change(new)
    changes = update_spec.compare(SPEC, new)
    assert {found.severity.value for found in changes if said in found.message} == {severity}
    report = update_spec.Report("page", "", changes)
    assert said in report.markdown()
    assert report.bump == ("major" if severity == "breaking" else "minor")


def test_what_may_break_callers_does_where_hand_written_code_relies_on_it():
    new = copy.deepcopy(SPEC)
    at(new, ENUM).append("new")
    dropped("Project.CreateTokenRequest", "name")(new)
    report = update_spec.Report("page", "", update_spec.compare(SPEC, new))
    assert (report.bump, report.breaking) == ("minor", [])
    report.places = ["`wrapper/signalwire_tokens/_operations.py:1` uses it"]
    assert report.bump == "major"
    assert ["'name'" in change.message for change in report.breaking] == [True]


def test_wording_alone_is_a_patch():
    new = copy.deepcopy(SPEC)
    at(new, CREATE)["description"] = "Mint a token."
    assert update_spec.compare(SPEC, new) == []
    assert update_spec.Report("page", "").bump == "patch"


def test_the_gravest_change_comes_first():
    new = copy.deepcopy(SPEC)
    at(new, ENUM).append("new")
    dropped("Project.TokenResponse", "token")(new)
    severities = [change.severity.value for change in update_spec.compare(SPEC, new)]
    assert severities == sorted(severities)


def test_an_action_that_refers_to_what_is_gone_does_not_fit():
    overlay = {
        "actions": [
            {"target": "$.a", "description": "Fits.", "update": {"b": 1}},
            {"target": "$", "description": "Dangles.", "update": {"c": [{"$ref": "#/components/schemas/Gone"}]}},
        ]
    }
    effective, misfits = update_spec.fit({"a": {}, "components": {"schemas": {}}}, overlay)
    assert effective["a"] == {"b": 1}
    assert misfits == {
        1: "action 2 (Dangles.), target $: refers to Gone, which the spec lacks; upstream has renamed or dropped it"
    }


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


@pytest.mark.parametrize("moves", range(2 * len(update_spec.OUTPUTS)))
def test_results_go_in_all_or_none(trees, monkeypatch, moves):
    root, work = trees
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
