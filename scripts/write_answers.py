"""Write what each operation answers when it succeeds, for FakeSpace: the status, and the smallest valid body.

Usage: python scripts/write_answers.py SPEC OUTPUT
"""

import re
import sys
from pathlib import Path
from typing import Any

from openapi_schema_validator import OAS31Validator
from ruamel.yaml import YAML

from compare_specs import followed, operations, resolved, success

HEAD = '''"""What each operation answers when it succeeds: the status, and the least body that the description allows.

Made by `make generate`.
"""

from typing import Any

'''
FORMATS = {
    "uuid": "00000000-0000-4000-8000-000000000000",
    "date-time": "2026-01-01T00:00:00Z",
    "date": "2026-01-01",
    "time": "00:00:00Z",
    "duration": "PT0S",
    "email": "name@example.com",
    "uri": "https://example.com/",
    "uri-reference": "https://example.com/",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "byte": "",
}


class NoExampleError(Exception):
    """No example of a schema could be made."""


def example(schema: Any, document: Any) -> Any:
    """Return the smallest value that a schema allows: what is required, and nothing else."""
    whole = resolved(schema, document)
    kinds = whole.get("type", set())
    if "object" in kinds or "properties" in whole:
        properties = whole.get("properties", {})
        return {name: example(properties.get(name, {}), document) for name in dict.fromkeys(whole.get("required", ()))}
    if "array" in kinds:
        return [example(whole.get("items", {}), document)] * whole.get("minItems", 0)
    if variants := [*whole.get("anyOf", ()), *whole.get("oneOf", ())]:
        return example(variants[0], document)
    return plain(whole, kinds)


def plain(schema: Any, kinds: set[str]) -> Any:
    """Return a value that is neither an object nor an array."""
    given = [schema[word] for word in ("example", "default") if word in schema]
    given += [*schema.get("examples", ()), *schema.get("enum", ())]
    if given or "null" in kinds:
        return given[0] if given else None
    if kinds & {"integer", "number"}:
        return schema.get("minimum", min(0, schema.get("maximum", 0)))
    return False if "boolean" in kinds else FORMATS.get(schema.get("format"), "x" * schema.get("minLength", 0))


def answer(operation: Any, document: Any) -> tuple[int, Any]:
    """Return the status and the body of an operation's success; raise NoExampleError if no valid body can be made."""
    statuses = success(operation["responses"])
    if not statuses:
        raise NoExampleError("it describes no success")
    response = followed({str(key): value for key, value in operation["responses"].items()}[statuses[0]], document)
    media = response.get("content", {}).get("application/json")
    if media is None:
        return int(statuses[0]), None
    schema = media.get("schema", {})
    try:
        body = example(schema, document)
    except RecursionError:
        raise NoExampleError("its schema must hold itself") from None
    validator = OAS31Validator({**schema, "components": document.get("components", {})})
    for error in validator.iter_errors(body):
        raise NoExampleError(f"{error.json_path} {error.message.splitlines()[0]}")
    if not isinstance(body, dict):
        raise NoExampleError("it is no object")
    return int(statuses[0]), body


def literal(body: Any) -> str:
    """Return a body as Python, a line for each property."""
    if body is None:
        return "None"
    return "".join(["{\n", *(f"        {key!r}: {value!r},\n" for key, value in body.items()), "    }"])


def constants(document: Any) -> str:
    """Return Python that has a constant for each operation, or a comment for one that has no valid body."""
    lines = []
    for operation in operations(document).values():
        name = re.sub(r"\W", "_", operation["operationId"]).upper()
        try:
            status, body = answer(operation, document)
        except NoExampleError as error:
            lines.append(f"# {name}: no example of its success: {error}; an action of the overlay may give one\n")
        else:
            lines.append(f"{name}: tuple[int, Any] = (\n    {status},\n    {literal(body)},\n)\n")
    return "".join(sorted(lines))


def main(spec: str, output: str) -> None:
    text = HEAD + constants(YAML(typ="safe").load(Path(spec)))
    Path(output).write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
