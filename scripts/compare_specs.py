"""Report what changed between two OpenAPI descriptions, in the terms of those who call the API.

Every difference but wording is reported. One that no rule here covers is reported as a change without a name.
"""

import json
import re
from collections.abc import Iterator, Mapping
from enum import IntEnum
from typing import Any

import attrs

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
WORDING = frozenset(
    {"description", "summary", "title", "example", "examples", "externalDocs", "tags", "info", "$comment"}
)
# A limit, and whether a greater value is stricter. None: any other value may be stricter.
LIMITS = {
    **dict.fromkeys(("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties", "uniqueItems"), True),
    **dict.fromkeys(("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"), False),
    **dict.fromkeys(("pattern", "multipleOf"), None),
}


class Severity(IntEnum):
    """What a change does to those who call the API."""

    INFO = 0
    WARNING = 1  # breaks those who rely on it
    BREAKING = 2


# How severe a change of a keyword is for those who send the value, and for those who read it.
KEYWORDS = {
    "format": (Severity.WARNING, Severity.WARNING),
    "default": (Severity.WARNING, Severity.INFO),
    "deprecated": (Severity.INFO, Severity.INFO),
    "readOnly": (Severity.WARNING, Severity.INFO),
    "writeOnly": (Severity.INFO, Severity.WARNING),
    "additionalProperties": (Severity.WARNING, Severity.INFO),
}


@attrs.frozen
class Change:
    """One change: how severe it is, where and what it is; `named` is false if no rule covers it."""

    severity: Severity
    location: str
    message: str
    named: bool = True


def compare(old: Any, new: Any) -> list[Change]:
    """Return what changed between two descriptions, the most severe first."""
    return sorted(dict.fromkeys(_Comparison(old, new).documents()), key=lambda change: -change.severity)


def operations(document: Any) -> dict[tuple[str, str], Any]:
    """Return the operations by method and path, without the names of parameters in the path."""
    return {
        (method, re.sub(r"\{[^}]*\}", "{}", path)): {**item[method], "path": path, "item": item}
        for path, item in document.get("paths", {}).items()
        for method in METHODS
        if method in item
    }


def followed(node: Any, document: Any) -> Any:
    """Return a node, or the node that its reference leads to."""
    while "$ref" in node:
        target = document
        for key in node["$ref"].removeprefix("#/").split("/"):
            target = target[key.replace("~1", "/").replace("~0", "~")]
        node = {**target, **{key: value for key, value in node.items() if key != "$ref"}}
    return node


def resolved(node: Any, document: Any) -> Any:
    """Return a schema as one mapping: references followed, allOf merged, and null only in the set of types."""
    node = followed(node, document)
    merged = {key: value for key, value in node.items() if key not in {"allOf", "const", "nullable", "type"}}
    types = node.get("type", ())
    kinds = ({types} if isinstance(types, str) else set(types)) | ({"null"} if node.get("nullable") else set())
    if "const" in node:
        merged["enum"] = [node["const"]]
    for part in (resolved(part, document) for part in node.get("allOf", ())):
        both = {
            "properties": {**merged.get("properties", {}), **part.get("properties", {})},
            "required": [*merged.get("required", ()), *part.get("required", ())],
        }
        merged = {**part, **merged, **{key: value for key, value in both.items() if value}}
        kinds |= merged.pop("type", set())
    for word in ("anyOf", "oneOf"):
        others = [variant for variant in merged.get(word, ()) if variant != {"type": "null"}]
        if len(others) == 1 < len(merged[word]):
            inner = resolved(others[0], document)
            merged = {**inner, **{key: value for key, value in merged.items() if key != word}}
            kinds |= {"null", *inner.get("type", ())}
    if "enum" in merged:
        merged["enum"] = [value for value in merged["enum"] if value is not None]
    return {**merged, "type": kinds} if kinds else merged


def success(responses: Mapping[Any, Any]) -> list[str]:
    """Return the statuses of a success."""
    return sorted(str(status) for status in responses if str(status).startswith("2"))


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)


class _Comparison:
    def __init__(self, old: Any, new: Any) -> None:
        self.old, self.new = old, new
        self.under_way: set[tuple[int, int, bool]] = set()

    def documents(self) -> Iterator[Change]:
        old, new = operations(self.old), operations(self.new)
        for method, path in old | new:
            where = f"{method.upper()} {(old | new)[method, path]['path']}"
            if (method, path) not in new:
                yield Change(Severity.BREAKING, where, "the operation is gone")
            elif (method, path) not in old:
                yield Change(Severity.INFO, where, "a new operation")
            else:
                yield from self.operation(old[method, path], new[method, path], where)
        handled = {"paths", "components", "servers", "security", "openapi"}
        yield from self.others(self.old, self.new, "the description", handled)

    def operation(self, old: Any, new: Any, where: str) -> Iterator[Change]:
        for key, name in (("path", "the path"), ("operationId", "the operation's name")):
            if old.get(key) != new.get(key):
                yield Change(Severity.INFO, where, f"{name} is {new.get(key)}, it was {old.get(key)}")
        if old.get("deprecated", False) != new.get("deprecated", False):
            yield Change(Severity.INFO, where, "deprecated" if new.get("deprecated") else "not deprecated any more")
        yield from self.surroundings(old, new, where)
        yield from self.parameters(old, new, where)
        yield from self.body(old.get("requestBody"), new.get("requestBody"), f"{where} request")
        yield from self.responses(old.get("responses", {}), new.get("responses", {}), where)
        handled = {"path", "item", "operationId", "deprecated", "security", "servers", "parameters", "requestBody"}
        yield from self.others(old, new, where, handled | {"responses"})
        yield from self.others(old["item"], new["item"], where, {*METHODS, "parameters", "servers"})

    def surroundings(self, old: Any, new: Any, where: str) -> Iterator[Change]:
        """Compare who may call an operation, and at which servers."""
        before, after = (
            {_text(way) for way in self.ways(operation, document)}
            for operation, document in ((old, self.old), (new, self.new))
        )
        if before != after:
            # Another way to authenticate does no harm, unless none was needed before.
            harmless = before < after and before != {"{}"}
            said = f"authentication is {' or '.join(sorted(after))}, it was {' or '.join(sorted(before))}"
            yield Change(Severity.INFO if harmless or "{}" in after else Severity.BREAKING, where, said)
        before, after = (
            self.servers(operation, document) for operation, document in ((old, self.old), (new, self.new))
        )
        if before != after:
            yield Change(Severity.WARNING, where, f"servers are {_text(after)}, they were {_text(before)}")

    @staticmethod
    def servers(operation: Any, document: Any) -> list[str]:
        """Return the servers of an operation: its own, else those of its path, else those of the description."""
        holders = (holder for holder in (operation, operation["item"], document) if "servers" in holder)
        return [server["url"] for server in next(holders, {"servers": []})["servers"]]

    @staticmethod
    def ways(operation: Any, document: Any) -> list[Any]:
        """Return the ways to authenticate, each with its schemes."""
        schemes = document.get("components", {}).get("securitySchemes", {})
        return [
            {
                name: {key: value for key, value in schemes.get(name, {}).items() if key not in WORDING}
                | {"scopes": scopes}
                for name, scopes in way.items()
            }
            for way in operation.get("security", document.get("security", ())) or [{}]
        ]

    def parameters(self, old: Any, new: Any, where: str) -> Iterator[Change]:
        before, after = self.named(old, self.old), self.named(new, self.new)
        for key in before | after:
            where_key = f"{where} {key[0]} parameter {(after | before)[key]['name']}"
            if key not in after:
                yield Change(Severity.BREAKING if before[key].get("required") else Severity.WARNING, where_key, "gone")
            elif key not in before:
                required = after[key].get("required")
                said = "a new parameter that is required" if required else "a new optional parameter"
                yield Change(Severity.BREAKING if required else Severity.INFO, where_key, said)
            else:
                yield from self.required(before[key], after[key], where_key)
                yield from self.schema(
                    before[key].get("schema", {}), after[key].get("schema", {}), where_key, sent=True
                )
                yield from self.others(
                    before[key], after[key], where_key, {"name", "in", "required", "schema"}, sent=True
                )

    @staticmethod
    def named(operation: Any, document: Any) -> dict[tuple[str, str], Any]:
        """Return the parameters by place and name, or for those in the path by position."""
        positions = re.findall(r"\{([^}]*)\}", operation["path"])
        found = {}
        for raw in (*operation["item"].get("parameters", ()), *operation.get("parameters", ())):
            parameter = resolved(raw, document)
            name = parameter["name"]
            inside = parameter["in"] == "path" and name in positions
            found[parameter["in"], str(positions.index(name)) if inside else name] = parameter
        return found

    @staticmethod
    def required(old: Any, new: Any, where: str) -> Iterator[Change]:
        if bool(old.get("required")) != bool(new.get("required")):
            required = new.get("required")
            said = "required now" if required else "optional now"
            yield Change(Severity.BREAKING if required else Severity.INFO, where, said)

    def body(self, old: Any, new: Any, where: str) -> Iterator[Change]:
        old, new = (node and resolved(node, document) for node, document in ((old, self.old), (new, self.new)))
        if old and new:
            yield from self.required(old, new, where)
            yield from self.content(old, new, where, sent=True)
            yield from self.others(old, new, where, {"required", "content"})
        elif old:
            yield Change(Severity.BREAKING, where, "the body is gone")
        elif new:
            required = new.get("required")
            said = "a body is required now" if required else "a body may be sent now"
            yield Change(Severity.BREAKING if required else Severity.INFO, where, said)

    def responses(self, old: Any, new: Any, where: str) -> Iterator[Change]:
        old, new = ({str(status): response for status, response in found.items()} for found in (old, new))
        before, after = success(old), success(new)
        if before != after and len(before) == len(after) == 1:
            # To a client, any success status means success.
            yield Change(Severity.WARNING, where, f"a success is {after[0]}, it was {before[0]}")
            new = {before[0] if status == after[0] else status: response for status, response in new.items()}
        for status in old | new:
            there = f"{where} response {status}"
            if status not in new:
                lost = status in before and not set(before) & set(after)
                yield Change(Severity.BREAKING if lost else Severity.WARNING, there, "gone")
            elif status not in old:
                yield Change(Severity.INFO, there, "a new response")
            else:
                yield from self.response(resolved(old[status], self.old), resolved(new[status], self.new), there)

    def response(self, old: Any, new: Any, where: str) -> Iterator[Change]:
        before, after = old.get("headers", {}), new.get("headers", {})
        for name in before | after:
            there = f"{where} header {name}"
            if name not in after:
                yield Change(Severity.WARNING, there, "gone")
            elif name not in before:
                yield Change(Severity.INFO, there, "a new header")
            else:
                header = resolved(before[name], self.old), resolved(after[name], self.new)
                yield from self.schema(*(found.get("schema", {}) for found in header), there, sent=False)
                yield from self.others(*header, there, {"schema"})
        yield from self.content(old, new, where, sent=False)
        yield from self.others(old, new, where, {"headers", "content"})

    def content(self, old: Any, new: Any, where: str, *, sent: bool) -> Iterator[Change]:
        before, after = old.get("content", {}), new.get("content", {})
        for kind in before | after:
            if kind not in after:
                yield Change(Severity.BREAKING, where, f"{kind} is gone")
            elif kind not in before:
                yield Change(Severity.INFO, where, f"{kind} is new")
            else:
                schemas = (found[kind].get("schema", {}) for found in (before, after))
                yield from self.schema(*schemas, where, sent=sent)
                yield from self.others(before[kind], after[kind], where, {"schema"})

    def schema(self, old: Any, new: Any, where: str, *, sent: bool) -> Iterator[Change]:
        pair = id(old), id(new), sent
        if pair in self.under_way:  # a schema that contains itself
            return
        self.under_way.add(pair)
        old, new = resolved(old, self.old), resolved(new, self.new)
        kinds, now = old.get("type", set()), new.get("type", set())
        if kinds != now:
            yield from self.types(kinds, now, where, sent=sent)
        if not kinds or not now or (kinds - {"null"}) & (now - {"null"}):
            yield from self.values(old.get("enum"), new.get("enum"), where, sent=sent)
            yield from self.properties(old, new, where, sent=sent)
            yield from self.schema_pair(old.get("items"), new.get("items"), f"{where}[]", sent=sent)
            yield from self.variants(old, new, where, sent=sent)
            yield from self.limits(old, new, where, sent=sent)
            handled = {"type", "enum", "properties", "required", "items", "anyOf", "oneOf", *LIMITS}
            yield from self.others(old, new, where, handled, sent=sent)
        self.under_way.discard(pair)

    def schema_pair(self, old: Any, new: Any, where: str, *, sent: bool) -> Iterator[Change]:
        if old is not None or new is not None:
            yield from self.schema(old or {}, new or {}, where, sent=sent)

    @staticmethod
    def types(old: set[str], new: set[str], where: str, *, sent: bool) -> Iterator[Change]:
        # A change fits senders if no type is refused now, and readers if no new type is returned. Empty means any type.
        fits = (not new or (bool(old) and old <= new)) if sent else (not old or (bool(new) and new <= old))
        null = old ^ new == {"null"}
        said = ("may be null now" if "null" in new else "not null any more") if null else ""
        said = said or f"the type is {' or '.join(sorted(new)) or 'any'}, it was {' or '.join(sorted(old)) or 'any'}"
        yield Change(Severity.INFO if fits else Severity.BREAKING, where, said)

    @staticmethod
    def values(old: list[Any] | None, new: list[Any] | None, where: str, *, sent: bool) -> Iterator[Change]:
        if old is None and new is not None:
            said = f"only {', '.join(map(_text, new))} from now on"
            yield Change(Severity.BREAKING if sent else Severity.INFO, where, said)
        elif old is not None and new is None:
            yield Change(Severity.WARNING, where, f"any value from now on, not only {', '.join(map(_text, old))}")
        elif old is not None and new is not None:
            for value in old:
                if value not in new:
                    yield Change(Severity.BREAKING, where, f"the value {_text(value)} is gone")
            for value in new:
                if value not in old:
                    yield Change(Severity.INFO, where, f"a new value: {_text(value)}")

    def properties(self, old: Any, new: Any, where: str, *, sent: bool) -> Iterator[Change]:
        before, after = old.get("properties", {}), new.get("properties", {})
        must, must_now = set(old.get("required", ())), set(new.get("required", ()))
        for name in before | after:
            there = f"{where}.{name}"
            if name not in after:
                yield Change(Severity.WARNING if sent else Severity.BREAKING, there, "the property is gone")
            elif name not in before:
                breaks = sent and name in must_now
                said = "a new property that is required" if name in must_now else "a new optional property"
                yield Change(Severity.BREAKING if breaks else Severity.INFO, there, said)
            else:
                if name in must_now - must:
                    said = "required now" if sent else "always there now"
                    yield Change(Severity.BREAKING if sent else Severity.INFO, there, said)
                if name in must - must_now:
                    said = "optional now" if sent else "not always there any more"
                    yield Change(Severity.INFO if sent else Severity.BREAKING, there, said)
                yield from self.schema(before[name], after[name], there, sent=sent)

    def variants(self, old: Any, new: Any, where: str, *, sent: bool) -> Iterator[Change]:
        for word in ("anyOf", "oneOf"):
            before, after = old.get(word, []), new.get(word, [])
            if len(before) == len(after):
                for number, pair in enumerate(zip(before, after, strict=True), 1):
                    yield from self.schema(*pair, f"{where} variant {number}", sent=sent)
                continue
            more = len(after) > len(before)
            said = f"{word} has {len(after)} variants, it had {len(before)}"
            # Harmless if more variants may be sent or fewer are returned, but not if all limits come or go.
            yield Change(Severity.INFO if more == sent and before and after else Severity.WARNING, where, said)

    @staticmethod
    def limits(old: Any, new: Any, where: str, *, sent: bool) -> Iterator[Change]:
        for word, greater_is_stricter in LIMITS.items():
            before, after = old.get(word), new.get(word)
            if before == after:
                continue
            if after is None:
                stricter = False
            elif before is None or greater_is_stricter is None:
                stricter = after is not False
            else:
                stricter = (after > before) == greater_is_stricter
            said = f"{word} is {_text(after)}, it was {_text(before)}".replace("null", "not there")
            yield Change(Severity.WARNING if stricter and sent else Severity.INFO, where, said)

    @staticmethod
    def others(old: Any, new: Any, where: str, handled: set[str], *, sent: bool = False) -> Iterator[Change]:
        """Compare the keywords of KEYWORDS, and all that no other rule covers."""
        for word in old | new:
            before, after = old.get(word), new.get(word)
            if word in handled or word in WORDING or before == after:
                continue
            effects = KEYWORDS.get(word)
            said = f"{word} is {_text(after)}, it was {_text(before)}".replace("null", "not there")
            yield Change(effects[not sent] if effects else Severity.INFO, where, said, named=effects is not None)
