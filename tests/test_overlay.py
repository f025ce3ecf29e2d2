"""scripts/apply_overlay.py is strict, and the committed overlay fits the committed spec action by action."""

import copy
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from openapi_spec_validator import validate
from ruamel.yaml import YAML

ROOT = Path(__file__).parent.parent
SCRIPT = ROOT / "scripts/apply_overlay.py"
GENERATED = ROOT / "generated/openapi.yaml"


def load(path):
    return YAML(typ="safe").load(path)


def load_script():
    spec = importlib.util.spec_from_file_location("apply_overlay", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


apply_overlay = load_script()
OverlayError = apply_overlay.OverlayError
SPEC = load(ROOT / "openapi.yaml")
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


@every_action
def test_an_action_that_upstream_has_adopted_fails(index):
    """The whole overlay names exactly the action to drop."""
    action = ACTIONS[index]
    try:
        upstream = apply(SPEC, action)
    except OverlayError:
        # It replaces what the action before it removes, so upstream must have removed that first.
        assert ACTIONS[index - 1]["remove"]
        index -= 1
        upstream = apply(SPEC, ACTIONS[index])
    with pytest.raises(OverlayError, match="^" + re.escape(name(index + 1, ACTIONS[index]))):
        apply(upstream, *ACTIONS)


# The command.


def test_the_generated_spec_is_what_the_command_writes(tmp_path):
    output = tmp_path / "openapi.yaml"
    command = run(ROOT / "openapi.yaml", ROOT / "openapi-overlay.yaml", output)
    assert (command.returncode, command.stderr) == (0, "")
    assert output.read_bytes() == GENERATED.read_bytes()
    assert load(output) == apply(SPEC, *ACTIONS)


def test_the_command_fails_and_leaves_the_output_alone(tmp_path):
    output = tmp_path / "openapi.yaml"
    output.write_bytes(b"the last good spec\n")
    command = run(GENERATED, ROOT / "openapi-overlay.yaml", output)
    assert command.returncode == 1
    # The published server is the first thing that cannot be removed again.
    assert command.stderr.startswith(f"apply_overlay: {name(1, ACTIONS[0])}matches nothing")
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
    output = tmp_path / "bundle.yaml"
    subprocess.run(
        [redocly, "bundle", ROOT / "openapi.yaml", "--overlay", ROOT / "openapi-overlay.yaml", "--output", output],
        check=True,
        cwd=tmp_path,
        env=os.environ | {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"},
        capture_output=True,
        timeout=60,
    )
    assert load(output) == load(GENERATED)
