"""Docs pages for tests: the one that is here with changes, and those of the sibling operations, emulated."""

import copy
from io import StringIO
from pathlib import Path

from ruamel.yaml import YAML

from vendor_spec import PAGES, extract

ROOT = Path(__file__).parent.parent
MARKDOWN = (ROOT / PAGES[0].copy).read_bytes()
SPEC = YAML(typ="safe").load(ROOT / PAGES[0].spec)
EFFECTIVE = YAML(typ="safe").load(ROOT / "generated/openapi.yaml")
TOKENS, TOKEN = PAGES[0].path, PAGES[1].path


def dumped(document):
    stream = StringIO()
    yaml = YAML(typ="safe")
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False
    yaml.representer.ignore_aliases = lambda _: True
    yaml.dump(document, stream)
    return stream.getvalue()


def edited(*edits):
    """Return the description with changes."""
    document = copy.deepcopy(SPEC)
    for edit in edits:
        edit(document)
    return document


def markdown(document):
    """Return a page that shows a description."""
    return MARKDOWN.replace(extract(MARKDOWN), dumped(document).encode())


def create(spec):
    return spec["paths"][TOKENS]["post"]


def schema(spec, name):
    return spec["components"]["schemas"][f"Project.{name}"]


def renamed(old, new):
    """Give a schema another name."""

    def rename(spec):
        text = dumped(spec)
        assert old in text
        spec.clear()
        spec.update(YAML(typ="safe").load(text.replace(old, new)))

    return rename


def inlined(name):
    """Put a schema in the place of each reference to it."""

    def inline(spec):
        inner = spec["components"]["schemas"].pop(name)

        def replaced(node):
            if isinstance(node, dict) and node.get("$ref") == f"#/components/schemas/{name}":
                return copy.deepcopy(inner)
            if isinstance(node, dict):
                return {key: replaced(value) for key, value in node.items()}
            return [replaced(value) for value in node] if isinstance(node, list) else node

        spec.update(replaced(dict(spec)))

    return inline


def sibling(page):
    """Return the description of a page for another operation, in the manner of the first."""
    operation = copy.deepcopy(EFFECTIVE["paths"][page.path][page.method])
    del operation["security"]
    operation["tags"] = create(SPEC)["tags"]
    operation["parameters"].append(copy.deepcopy(create(SPEC)["parameters"][0]))
    operation["description"] = "In upstream's own words."
    schemas = copy.deepcopy(EFFECTIVE["components"]["schemas"])
    schemas["Project.TokenResponse"] = schema(SPEC, "TokenResponse")
    if "422" in operation["responses"]:
        # Upstream names one for all.
        operation["responses"]["422"] = create(SPEC)["responses"]["422"]
        for limits in schema({"components": {"schemas": schemas}}, "UpdateTokenRequest")["properties"].values():
            limits.pop("minLength", None)
            limits.pop("minItems", None)
    document = {**SPEC, "paths": {page.path: {page.method: operation}}}
    used, looked = set(references(document["paths"])), set()
    while used - looked:
        looked, used = set(used), used | set(references([schemas[name] for name in used]))
    kept = {name: schemas[name] for name in schemas if name in used}
    return {**document, "components": {**SPEC["components"], "schemas": kept}}


def references(node):
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"].rpartition("/")[2]
        node = list(node.values())
    if isinstance(node, list):
        for value in node:
            yield from references(value)
