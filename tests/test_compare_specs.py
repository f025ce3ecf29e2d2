"""scripts/compare_specs.py: each kind of change is told in the terms of those who call, and none is passed over."""

import copy

import pytest
from pages import FROZEN

from compare_specs import Change, Severity, compare

SPEC = FROZEN.effective
CREATE, TOKEN = "POST /api/project/tokens", "/api/project/tokens/{token_id}"
INFO, WARNING, BREAKING = Severity


def schema(spec, name):
    return spec["components"]["schemas"][f"Project.{name}"]


def create(spec):
    return spec["paths"]["/api/project/tokens"]["post"]


def response(spec):
    return create(spec)["responses"]["200"]


def name(spec, of="CreateTokenRequest"):
    return schema(spec, of)["properties"]["name"]


def added(of, what, *, required=False):
    def add(spec):
        schema(spec, of)["properties"]["new"] = what
        schema(spec, of).setdefault("required", []).extend(["new"] * required)

    return add


def dropped(of, what):
    def drop(spec):
        del schema(spec, of)["properties"][what]
        if what in schema(spec, of)["required"]:
            schema(spec, of)["required"].remove(what)

    return drop


def inlined(node, spec):
    """Return a node without references."""
    if isinstance(node, dict) and "$ref" in node:
        return inlined(spec["components"]["schemas"][node["$ref"].rpartition("/")[2]], spec)
    if isinstance(node, dict):
        return {key: inlined(value, spec) for key, value in node.items()}
    return [inlined(value, spec) for value in node] if isinstance(node, list) else node


STRING = {"type": "string"}
QUERY = {"name": "dry_run", "in": "query", "schema": {"type": "boolean"}}
HEADER = {"name": "Idempotency-Key", "in": "header", "schema": STRING}
LISTING = {"operationId": "list-tokens", "responses": {"200": {"description": "All."}}}
FEWER = {"type": "object", "properties": {"name": STRING}}


@pytest.mark.parametrize(
    ("change", "severity", "location", "message"),
    [
        # Operations.
        (lambda s: s["paths"][TOKEN].pop("delete"), BREAKING, f"DELETE {TOKEN}", "the operation is gone"),
        (lambda s: s["paths"].pop("/api/project/tokens"), BREAKING, CREATE, "the operation is gone"),
        (lambda s: s["paths"]["/api/project/tokens"].update(get=LISTING), INFO, "GET /api/project/tokens", "a new op"),
        (lambda s: create(s).update(operationId="mint"), INFO, CREATE, "name is mint, it was create-token"),
        (lambda s: create(s).update(deprecated=True), INFO, CREATE, "deprecated"),
        (lambda s: create(s).update(security=[]), INFO, CREATE, "authentication is {}, it was "),
        (lambda s: create(s).update(security=[{"SignalWireBasicAuth": []}, {}]), INFO, CREATE, "authentication is "),
        (lambda s: create(s).update(security=[{"Other": []}]), BREAKING, CREATE, "authentication is "),
        (lambda s: s["servers"][0].update(url="https://x"), WARNING, CREATE, 'servers are ["https://x"], they were '),
        # What is sent.
        (lambda s: create(s).update(parameters=[QUERY]), INFO, f"{CREATE} query parameter dry_run", "a new optional"),
        (
            lambda s: create(s).update(parameters=[{**HEADER, "required": True}]),
            BREAKING,
            f"{CREATE} header parameter Idempotency-Key",
            "a new parameter that is required",
        ),
        (lambda s: create(s).pop("requestBody"), BREAKING, f"{CREATE} request", "the body is gone"),
        (lambda s: create(s)["requestBody"].pop("required"), INFO, f"{CREATE} request", "optional now"),
        (
            lambda s: create(s)["requestBody"].update(content={"application/xml": {}}),
            BREAKING,
            f"{CREATE} request",
            "application/json is gone",
        ),
        (added("CreateTokenRequest", STRING), INFO, f"{CREATE} request.new", "a new optional property"),
        (
            added("CreateTokenRequest", STRING, required=True),
            BREAKING,
            f"{CREATE} request.new",
            "a new property that is required",
        ),
        (dropped("CreateTokenRequest", "name"), WARNING, f"{CREATE} request.name", "the property is gone"),
        (lambda s: name(s).update(type=["string", "null"]), INFO, f"{CREATE} request.name", "may be null now"),
        (lambda s: name(s).update(nullable=True), INFO, f"{CREATE} request.name", "may be null now"),
        (
            lambda s: schema(s, "CreateTokenRequest")["properties"].update(
                name={"anyOf": [{"type": "string", "minLength": 1}, {"type": "null"}]}
            ),
            INFO,
            f"{CREATE} request.name",
            "may be null now",
        ),
        (lambda s: name(s).update(type="integer"), BREAKING, f"{CREATE} request.name", "the type is integer, it was"),
        (lambda s: name(s).update(enum=["a"]), BREAKING, f"{CREATE} request.name", "only a from now on"),
        (lambda s: name(s).update(maxLength=9), WARNING, f"{CREATE} request.name", "maxLength is 9, it was not there"),
        (lambda s: name(s).update(minLength=2), WARNING, f"{CREATE} request.name", "minLength is 2, it was 1"),
        (lambda s: name(s).pop("minLength"), INFO, f"{CREATE} request.name", "minLength is not there, it was 1"),
        (lambda s: name(s).update(pattern="^a"), WARNING, f"{CREATE} request.name", "pattern is ^a, it was not there"),
        (
            lambda s: schema(s, "CreateTokenRequest")["properties"]["permissions"].update(uniqueItems=True),
            WARNING,
            f"{CREATE} request.permissions",
            "uniqueItems is true, it was not there",
        ),
        (lambda s: name(s).update(default="x"), WARNING, f"{CREATE} request.name", "default is x, it was not there"),
        (lambda s: name(s).update(readOnly=True), WARNING, f"{CREATE} request.name", "readOnly is true"),
        (lambda s: name(s).update(deprecated=True), INFO, f"{CREATE} request.name", "deprecated is true"),
        (
            lambda s: schema(s, "TokenPermission")["enum"].append("new"),
            INFO,
            f"{CREATE} request.permissions[]",
            "a new value: new",
        ),
        (
            lambda s: schema(s, "TokenPermission")["enum"].remove("fax"),
            BREAKING,
            f"{CREATE} request.permissions[]",
            "the value fax is gone",
        ),
        (
            lambda s: schema(s, "TokenPermission").pop("enum"),
            WARNING,
            f"{CREATE} request.permissions[]",
            "any value from now on, not only calling, ",
        ),
        # What comes.
        (
            lambda s: create(s)["responses"].update({"201": create(s)["responses"].pop("200")}),
            WARNING,
            CREATE,
            "a success is 201, it was 200",
        ),
        (lambda s: create(s)["responses"].pop("200"), BREAKING, f"{CREATE} response 200", "gone"),
        (lambda s: create(s)["responses"].pop("422"), WARNING, f"{CREATE} response 422", "gone"),
        (lambda s: create(s)["responses"].update({"429": {}}), INFO, f"{CREATE} response 429", "a new response"),
        (
            lambda s: response(s).update(headers={"X-Limit": {"schema": STRING}}),
            INFO,
            f"{CREATE} response 200 header X-Limit",
            "a new header",
        ),
        (added("TokenResponse", STRING), INFO, f"{CREATE} response 200.new", "a new optional property"),
        (
            added("TokenResponse", STRING, required=True),
            INFO,
            f"{CREATE} response 200.new",
            "a new property that is required",
        ),
        (dropped("TokenResponse", "token"), BREAKING, f"{CREATE} response 200.token", "the property is gone"),
        (
            lambda s: schema(s, "TokenResponse")["required"].remove("token"),
            BREAKING,
            f"{CREATE} response 200.token",
            "not always there any more",
        ),
        (
            lambda s: name(s, "TokenResponse").update(type=["string", "null"]),
            BREAKING,
            f"{CREATE} response 200.name",
            "may be null now",
        ),
        (
            lambda s: schema(s, "TokenResponse")["properties"]["id"].pop("format"),
            WARNING,
            f"{CREATE} response 200.id",
            "format is not there, it was uuid",
        ),
        (
            lambda s: schema(s, "TokenResponse")["properties"]["permissions"]["items"]["anyOf"].append(
                {"type": "integer"}
            ),
            WARNING,
            f"{CREATE} response 200.permissions[]",
            "anyOf has 3 variants, it had 2",
        ),
    ],
)
def test_a_change_is_named(change, severity, location, message):
    new = copy.deepcopy(SPEC)
    change(new)
    changes = compare(SPEC, new)
    found = [c for c in changes if c.location == location and message in c.message]
    assert [(c.severity, c.named) for c in found] == [(severity, True)], changes
    assert max(c.severity for c in changes) == severity


@pytest.mark.parametrize(
    ("change", "location", "message"),
    [
        (lambda s: name(s).update(contentEncoding="base64"), f"{CREATE} request.name", "contentEncoding is base64"),
        (lambda s: create(s).update({"x-internal": True}), CREATE, "x-internal is true, it was not there"),
        (lambda s: create(s).update(callbacks={"a": {}}), CREATE, "callbacks is"),
        (lambda s: s["paths"][TOKEN].update({"x-a": 1}), f"DELETE {TOKEN}", "x-a is 1"),
        (lambda s: response(s).update(links={"a": {}}), f"{CREATE} response 200", "links is"),
        (lambda s: s.update(webhooks={}), "the description", "webhooks is {}, it was not there"),
    ],
)
def test_a_change_without_a_rule_is_told_too(change, location, message):
    new = copy.deepcopy(SPEC)
    change(new)
    found = [c for c in compare(SPEC, new) if c.location == location and message in c.message]
    assert [(c.severity, c.named) for c in found] == [(INFO, False)]


def test_wording_is_no_change():
    def reworded(node):
        if isinstance(node, dict):
            return {k: "new" if isinstance(v, str) and k in words else reworded(v) for k, v in node.items()}
        return [reworded(value) for value in node] if isinstance(node, list) else node

    words = {"description", "summary", "title"}
    new = reworded(SPEC)
    assert new != SPEC
    schema(new, "TokenResponse")["example"] = {"name": "x"}
    create(new)["tags"] = ["other"]
    assert compare(SPEC, new) == []


def test_how_a_schema_is_written_is_no_change():
    written = copy.deepcopy(SPEC)
    written["paths"] = inlined(written["paths"], written)
    assert compare(SPEC, written) == []
    del written["components"]["schemas"]
    assert compare(SPEC, written) == []

    split = copy.deepcopy(SPEC)
    whole = schema(split, "TokenResponse")
    parts = [
        {"type": "object", "required": [key], "properties": {key: part}} for key, part in whole["properties"].items()
    ]
    split["components"]["schemas"]["Project.TokenResponse"] = {"allOf": parts}
    assert compare(SPEC, split) == []


def test_the_name_of_a_parameter_of_the_path_is_no_other_path():
    new = copy.deepcopy(SPEC)
    item = new["paths"].pop(TOKEN)
    new["paths"]["/api/project/tokens/{id}"] = item
    for method in ("patch", "delete"):
        item[method]["parameters"][0]["name"] = "id"
    said = f"the path is /api/project/tokens/{{id}}, it was {TOKEN}"
    assert compare(SPEC, new) == [
        Change(INFO, f"{method} /api/project/tokens/{{id}}", said) for method in ("DELETE", "PATCH")
    ]


def test_a_parameter_may_be_of_the_whole_path():
    new = copy.deepcopy(SPEC)
    item = new["paths"][TOKEN]
    item["parameters"] = item["patch"].pop("parameters")
    del item["delete"]["parameters"]
    assert compare(SPEC, new) == []


def test_a_schema_that_holds_itself_ends():
    new = copy.deepcopy(SPEC)
    schema(new, "TokenResponse")["properties"]["parent"] = {"$ref": "#/components/schemas/Project.TokenResponse"}
    newer = copy.deepcopy(new)
    schema(newer, "TokenResponse")["properties"]["id"].pop("format")
    assert {c.message for c in compare(new, newer)} == {"format is not there, it was uuid"}


def test_the_gravest_change_comes_first():
    new = copy.deepcopy(SPEC)
    schema(new, "TokenPermission")["enum"].append("new")
    name(new)["maxLength"] = 9
    dropped("TokenResponse", "token")(new)
    severities = [change.severity for change in compare(SPEC, new)]
    assert severities == sorted(severities, reverse=True)
    assert set(severities) == {INFO, WARNING, BREAKING}
