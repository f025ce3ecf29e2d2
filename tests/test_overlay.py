"""scripts/apply_overlay.py is strict, and the committed overlay fits the committed spec action by action.

So are the merge of several descriptions and the naming of enum values, which go with it.
"""

import copy
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from openapi_spec_validator import validate
from pages import FROZEN, TOKEN, TOKENS, dumped
from ruamel.yaml import YAML

import apply_overlay
from apply_overlay import OverlayError
from merge_specs import MergeError, merged
from name_values import NamingError, name_values

ROOT = Path(__file__).parent.parent
SCRIPT = ROOT / "scripts/apply_overlay.py"
GENERATED = ROOT / "generated/openapi.yaml"


def load(path):
    return YAML(typ="safe").load(path)


SPECS = [ROOT / "openapi.yaml", *sorted((ROOT / "openapi").glob("*.yaml"))]
SPEC = merged({str(path): load(path) for path in SPECS})
OVERLAY = load(ROOT / "openapi-overlay.yaml")
ACTIONS = OVERLAY["actions"]


def apply(spec, *actions):
    return apply_overlay.apply(spec, {"overlay": "1.0.0", "actions": list(actions)})


def name(number, action):
    """Return how an error names an action."""
    return f"action {number} ({action['description']}), target {action['target']}: "


def run(*args):
    return subprocess.run([sys.executable, SCRIPT, *args], check=False, capture_output=True, text=True, timeout=60)


# What an action does.


@pytest.mark.parametrize(
    ("spec", "action", "expected"),
    [
        pytest.param(
            {"a": {"b": {"c": 1}}, "d": 2},
            {"target": "$.a", "update": {"b": {"e": [3]}, "f": 4}},
            {"a": {"b": {"c": 1, "e": [3]}, "f": 4}, "d": 2},
            id="update merges mappings, nested ones included",
        ),
        pytest.param({"a": 1}, {"target": "$", "update": {"b": 2}}, {"a": 1, "b": 2}, id="update of the root"),
        pytest.param(
            {"a": {"x": {}, "y": {}}},
            {"target": "$.a.*", "update": {"z": 1}},
            {"a": {"x": {"z": 1}, "y": {"z": 1}}},
            id="update of every match",
        ),
        pytest.param(
            {"a": [1]}, {"target": "$.a", "update": {"b": 2}}, {"a": [1, {"b": 2}]}, id="update appends to a list"
        ),
        pytest.param(
            {"a": [1]}, {"target": "$.a", "update": [2, 3]}, {"a": [1, [2, 3]]}, id="update appends a list as one entry"
        ),
        pytest.param(
            {"a": [1]}, {"target": "$['a','a']", "update": 2}, {"a": [1, 2]}, id="update of a node matched twice"
        ),
        pytest.param({"a": 1, "b": 2}, {"target": "$.a", "remove": True}, {"b": 2}, id="remove of a key"),
        pytest.param(
            {"a": [{"n": 1}, {"n": 2}, {"n": 1}, {"n": 3}]},
            {"target": "$.a[?@.n == 1]", "remove": True},
            {"a": [{"n": 2}, {"n": 3}]},
            id="remove of two list entries",
        ),
        pytest.param(
            {"a": list(range(12))},
            {"target": "$.a[10,2,2,-1]", "remove": True},
            {"a": [0, 1, 3, 4, 5, 6, 7, 8, 9]},
            id="remove of list entries in any order, one matched twice",
        ),
        pytest.param(
            {"a": [{"x": [1, 2]}, {"x": [3]}], "x": 4},
            {"target": "$..x", "remove": True},
            {"a": [{}, {}]},
            id="remove at several depths",
        ),
        pytest.param(
            {"a": {"x": {"x": 1}}, 200: {"x": 2}},
            {"target": "$..x", "remove": True},
            {"a": {}, 200: {}},
            id="remove of a node and what it holds",
        ),
        pytest.param({"a": 1}, {"target": "$.a", "remove": True, "update": {"b": 1}}, {}, id="remove wins over update"),
    ],
)
def test_an_action_applies(spec, action, expected):
    before = copy.deepcopy(spec)
    overlay = {"overlay": "1.0.0", "actions": [action]}
    overlay_before = copy.deepcopy(overlay)
    assert apply_overlay.apply(spec, overlay) == expected
    assert spec == before
    assert overlay == overlay_before


def test_actions_apply_in_order():
    remove = {"target": "$.a", "remove": True}
    add = {"target": "$", "update": {"a": 2}}
    assert apply({"a": 1}, remove, add) == {"a": 2}
    with pytest.raises(OverlayError):
        apply({"a": 1}, add, remove)


def test_the_result_shares_nothing_with_its_inputs():
    spec, update = {"a": {"b": []}}, {"c": {"d": []}}
    result = apply(spec, {"target": "$.a", "update": update}, {"target": "$.a.c.d", "update": 1})
    result["a"]["b"].append(2)
    assert (spec, update) == ({"a": {"b": []}}, {"c": {"d": []}})


@pytest.mark.parametrize(
    ("spec", "action", "reason"),
    [
        pytest.param({"a": 1}, {"target": "$.b", "update": {}}, "matches nothing", id="update without a match"),
        pytest.param({"a": 1}, {"target": "$.b", "remove": True}, "matches nothing", id="remove without a match"),
        pytest.param(
            {"a": [1]}, {"target": "$.a[?@ == 2]", "remove": True}, "matches nothing", id="filter without a match"
        ),
        pytest.param({"a": {"b": 1}}, {"target": "$.a", "update": {"b": 2}}, "already has 'b'", id="other value there"),
        pytest.param({"a": {"b": 1}}, {"target": "$.a", "update": {"b": 1}}, "already has 'b'", id="same value there"),
        pytest.param({"a": {"b": 1}}, {"target": "$", "update": {"a": {"b": 2}}}, "already has 'b'", id="nested"),
        pytest.param({"a": {"b": [1]}}, {"target": "$.a", "update": {"b": [2]}}, "already has 'b'", id="list there"),
        pytest.param({"a": 1}, {"target": "$.a", "update": {"b": 1}}, "only a mapping", id="update of a scalar"),
        pytest.param({"a": {}}, {"target": "$.a", "update": 1}, "only a mapping", id="scalar into a mapping"),
        pytest.param({"a": 1}, {"target": "$", "remove": True}, "would remove the whole document", id="the root"),
        pytest.param({"a": 1}, {"target": "$.a[", "remove": True}, "unbalanced brackets", id="invalid JSONPath"),
        pytest.param({"a": 1}, {"target": "a", "remove": True}, "'$'", id="JSONPath without a root"),
        pytest.param({"a": {}}, {"target": "$.a", "updates": {"b": 1}}, "neither removes nor updates", id="misspelt"),
    ],
)
def test_an_action_that_does_not_fit_fails_by_name(spec, action, reason):
    action = {"description": "What it is for.", **action}
    before = copy.deepcopy(spec)
    with pytest.raises(OverlayError) as caught:
        apply(spec, {"target": "$", "update": {"fits": True}}, action)
    assert str(caught.value).startswith(name(2, action))
    assert reason in str(caught.value).removeprefix(name(2, action))
    assert spec == before


@pytest.mark.parametrize("version", ["1.1.0", "1.0", 1.0, None], ids=repr)
def test_another_overlay_version_is_refused(version):
    with pytest.raises(OverlayError, match=re.escape(f"unsupported overlay version {version!r}")):
        apply_overlay.apply({}, {"overlay": version, "actions": []})


# The committed overlay.


every_action = pytest.mark.parametrize("index", range(len(ACTIONS)), ids=lambda index: f"{index + 1}")


@every_action
def test_every_action_says_what_it_is_for(index):
    assert ACTIONS[index]["description"].endswith(".")
    assert set(ACTIONS[index]) in ({"target", "description", "update"}, {"target", "description", "remove"})


@every_action
def test_an_action_applied_a_second_time_fails(index):
    """So none is without effect, and none would hide that upstream has made the same change."""
    action = ACTIONS[index]
    with pytest.raises(OverlayError, match="^" + re.escape(name(index + 2, action))):
        apply(SPEC, *ACTIONS[: index + 1], action)


@pytest.mark.parametrize(
    "index", [pytest.param(i, id=f"{i + 1}") for i, action in enumerate(ACTIONS) if action["target"] != "$"]
)
def test_an_action_whose_target_is_gone_fails(index):
    action = ACTIONS[index]
    gone = {"target": action["target"], "description": "Upstream dropped it.", "remove": True}
    with pytest.raises(OverlayError, match="^" + re.escape(name(index + 2, action)) + "matches nothing"):
        apply(SPEC, *ACTIONS[:index], gone, action)


def replaces(index):
    """Tell whether an action adds anew what the action before it removes."""
    before = ACTIONS[index - 1]
    return bool(before.get("remove")) and before["target"].startswith(ACTIONS[index]["target"])


@every_action
def test_an_action_that_upstream_has_adopted_fails(index):
    """The whole overlay names exactly the action to drop."""
    adopted = ACTIONS[index - 1 : index + 1] if replaces(index) else [ACTIONS[index]]
    index = ACTIONS.index(adopted[0])
    with pytest.raises(OverlayError, match="^" + re.escape(name(index + 1, ACTIONS[index]))):
        apply(apply(SPEC, *adopted), *ACTIONS)


def test_what_upstream_words_otherwise_is_replaced_all_the_same():
    reworded = copy.deepcopy(SPEC)
    reworded["servers"] = [{"url": "https://{space}.example.com"}, {"url": "https://other.example.com"}]
    reworded["paths"]["/api/project/tokens"]["post"]["tags"] = ["Project Tokens", "tokens"]
    assert apply(reworded, *ACTIONS) == apply(SPEC, *ACTIONS)


ONCE = load(ROOT / "tests/data/upstream/openapi-overlay.yaml")["actions"]


@pytest.mark.parametrize("method", ["patch", "delete"])
def test_an_operation_that_upstream_has_under_another_parameter_names_the_action(method):
    [index] = [i for i, action in enumerate(ONCE) if action["description"].startswith("The operation update-token,")]
    upstream = copy.deepcopy(FROZEN.spec)
    upstream["paths"][f"{TOKENS}/{{id}}"] = {method: {"operationId": f"{method}-it", "tags": ["t"]}}
    same = f"the path {TOKEN} is there already as {TOKENS}/{{id}}; drop the action"
    with pytest.raises(OverlayError, match="^" + re.escape(name(index + 1, ONCE[index]) + same)):
        apply(upstream, *ONCE)


def test_an_operation_held_twice_names_the_action():
    upstream = copy.deepcopy(FROZEN.spec)
    upstream["paths"]["/other"] = {"delete": {"operationId": "delete-token", "tags": ["t"]}}
    reason = f"DELETE {TOKEN} has the operationId delete-token that DELETE /other has; drop the action"
    with pytest.raises(OverlayError, match=re.escape(reason)):
        apply(upstream, *ONCE)


# Several descriptions.

PART = {"openapi": "3.1.0", "paths": {"/a": {"get": {"tags": ["t"]}}}, "components": {"schemas": {"A": {"x": 1}}}}


def test_descriptions_are_united():
    other = {
        "openapi": "3.1.0",
        "paths": {"/a": {"put": {}}, "/b": {}},
        "components": {"schemas": {"A": {"x": 1}, "B": 2}},
    }
    assert merged({"one": PART, "two": other, "three": {"openapi": "3.1.0"}}) == {
        "openapi": "3.1.0",
        "paths": {"/a": {"get": {"tags": ["t"]}, "put": {}}, "/b": {}},
        "components": {"schemas": {"A": {"x": 1}, "B": 2}},
    }


def test_all_that_descriptions_disagree_on_is_told():
    second = {"openapi": "3.1.0", "components": {"schemas": {"A": {"x": 2}}}}
    third = {
        "openapi": "3.1.0",
        "paths": {"/a": {"get": {"tags": ["t", "u"]}}},
        "components": {"schemas": {"A": {"x": 2}}},
    }
    with pytest.raises(MergeError) as caught:
        merged({"one": PART, "two": second, "three": third})
    assert set(str(caught.value).splitlines()) == {
        "one and two disagree on components.schemas.A.x: 1 and 2",
        "one and three disagree on components.schemas.A.x: 1 and 2",
        "one and three disagree on paths./a.get.tags: ['t'] and ['t', 'u']",
    }


# The names of enum values.


def named_values(*values, **more):
    document = {"components": {"schemas": {"E": {"type": "string", "enum": list(values), **more}}}}
    name_values(document)
    return document["components"]["schemas"]["E"].get("x-enum-varnames")


def test_values_that_begin_with_a_letter_need_no_names():
    assert named_values("fax", "a-b", "a c", None) is None
    assert named_values(1, 2) is None


@pytest.mark.parametrize("others", [(), ("fax",), ("a", "20dlc")])
def test_a_value_is_named_by_itself_whatever_comes_with_it(others):
    assert named_values(*others, "10dlc", "-x", None)[len(others) :] == ["VALUE_10DLC", "VALUE_-X"]


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (("fax", "FAX"), "the values 'fax' and 'FAX' would both be FAX; give all values names with x-enum-varnames"),
        (("a-b", "c", "a b"), "the values 'a-b' and 'a b' would both be A_B; "),
        (("+", "-"), "the values '+' and '-' would both be VALUE; "),
        (("10dlc", "value_10dlc"), "the values '10dlc' and 'value_10dlc' would both be VALUE_10DLC; "),
    ],
)
def test_values_of_one_name_are_refused(values, reason):
    with pytest.raises(NamingError, match="^" + re.escape(f"components.schemas.E: {reason}")):
        named_values(*values)


def test_names_that_were_given_are_kept():
    names = ["FAX", "FAX_LOUD", "TEN"]
    assert named_values("fax", "FAX", "10dlc", **{"x-enum-varnames": names}) == names
    with pytest.raises(NamingError, match="2 values, and 1 names in x-enum-varnames"):
        named_values("fax", "FAX", **{"x-enum-varnames": ["FAX"]})


# The command.


def test_the_generated_spec_is_what_the_command_writes(tmp_path):
    output = tmp_path / "openapi.yaml"
    command = run(ROOT / "openapi-overlay.yaml", output, *SPECS)
    assert (command.returncode, command.stderr) == (0, "")
    assert output.read_bytes() == GENERATED.read_bytes()
    expected = apply(SPEC, *ACTIONS)
    name_values(expected)
    assert load(output) == expected


def test_the_command_fails_and_leaves_the_output_alone(tmp_path):
    output = tmp_path / "openapi.yaml"
    output.write_bytes(b"the last good spec\n")
    command = run(ROOT / "openapi-overlay.yaml", output, GENERATED)
    assert command.returncode == 1
    # The header parameter is the first thing that cannot be removed again.
    [index] = [i for i, action in enumerate(ACTIONS) if "Authorization" in action["target"]]
    assert command.stderr.startswith(f"apply_overlay: {name(index + 1, ACTIONS[index])}matches nothing")
    assert "Traceback" not in command.stderr
    assert output.read_bytes() == b"the last good spec\n"


def test_the_generated_spec_is_valid_openapi():
    validate(load(GENERATED))


@pytest.mark.slow
def test_redocly_reads_the_overlay_alike(tmp_path):
    """A second implementation of the Overlay specification comes to the same result."""
    if not shutil.which("node"):
        pytest.skip("node is not on the PATH")
    redocly = shutil.which("redocly", path=str(ROOT / "tests/node/node_modules/.bin"))
    if not redocly:
        problem = "redocly is not installed: npm ci --prefix tests/node --ignore-scripts"
        pytest.fail(problem) if os.environ.get("CI") else pytest.skip(problem)
    spec, output = tmp_path / "openapi.yaml", tmp_path / "bundle.yaml"
    spec.write_text(dumped(SPEC), encoding="utf-8")
    subprocess.run(
        [redocly, "bundle", spec, "--overlay", ROOT / "openapi-overlay.yaml", "--output", output],
        check=True,
        cwd=tmp_path,
        env=os.environ | {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"},
        capture_output=True,
        timeout=60,
    )
    theirs = load(output)
    name_values(theirs)
    assert theirs == load(GENERATED)
