"""Docs pages for tests: one with changes, and those of the sibling operations, emulated."""

import copy
from io import StringIO
from pathlib import Path

from ruamel.yaml import YAML

from apply_overlay import apply
from vendor_spec import PAGES, extract

ROOT = Path(__file__).parent.parent
TOKENS, TOKEN = PAGES[0].path, PAGES[1].path


def dumped(document):
    stream = StringIO()
    yaml = YAML(typ="safe")
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False
    yaml.representer.ignore_aliases = lambda _: True
    yaml.dump(document, stream)
    return stream.getvalue()


class Upstream:
    """The page create-token as it is in a file, and what an overlay makes of it."""

    def __init__(self, page, overlay):
        self.markdown = page.read_bytes()
        self.spec = YAML(typ="safe").load(extract(self.markdown))
        self.effective = apply(self.spec, YAML(typ="safe").load(overlay))

    def edited(self, *edits):
        """Return the description with changes."""
        document = copy.deepcopy(self.spec)
        for edit in edits:
            edit(document)
        return document

    def page(self, document):
        """Return a page that shows a description."""
        return self.markdown.replace(extract(self.markdown), dumped(document).encode())

    def sibling(self, page):
        """Return the description of a page for another operation, in the manner of the first."""
        operation = copy.deepcopy(self.effective["paths"][page.path][page.method])
        del operation["security"]
        operation["tags"] = create(self.spec)["tags"]
        operation["parameters"].append(copy.deepcopy(create(self.spec)["parameters"][0]))
        operation["description"] = "In upstream's own words."
        schemas = copy.deepcopy(self.effective["components"]["schemas"])
        schemas["Project.TokenResponse"] = schema(self.spec, "TokenResponse")
        if "422" in operation["responses"]:
            # Upstream names one for all.
            operation["responses"]["422"] = create(self.spec)["responses"]["422"]
            for limits in schemas["Project.UpdateTokenRequest"]["properties"].values():
                limits.pop("minLength", None)
                limits.pop("minItems", None)
        used, looked = set(references(operation)), set()
        while used - looked:
            looked, used = set(used), used | set(references([schemas[name] for name in used]))
        kept = {name: schemas[name] for name in schemas if name in used}
        paths = {page.path: {page.method: operation}}
        return {**self.spec, "paths": paths, "components": {**self.spec["components"], "schemas": kept}}


# As it was once: what the tools do with a page must not depend on the page that is here.
FROZEN = Upstream(ROOT / "tests/data/upstream/create-token.md", ROOT / "tests/data/upstream/openapi-overlay.yaml")


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


def references(node):
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"].rpartition("/")[2]
        node = list(node.values())
    if isinstance(node, list):
        for value in node:
            yield from references(value)
