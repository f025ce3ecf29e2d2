"""Make one description of the API: merge the pages' descriptions, apply the overlay, name the values of enums.

Usage: python scripts/apply_overlay.py OVERLAY OUTPUT SPEC...

The overlay is an OpenAPI Overlay 1.0 document. It is applied more strictly than the specification requires, so that one
that no longer fits fails the build: a target that matches nothing is an error, an update may only add, a removed value
must not be added again unchanged, and no operation may exist twice. To replace a value, remove it and add the new one.
"""

import copy
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from jsonpath_rfc9535 import JSONPathError, find
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from compare_specs import METHODS
from merge_specs import MergeError, merged
from name_values import NamingError, name_values


class OverlayError(Exception):
    """An action of the overlay does not fit the spec."""


def apply(spec: Any, overlay: Any) -> Any:
    """Return a copy of `spec` with the actions of `overlay` applied; raise OverlayError naming the one that fails."""
    result = copy.deepcopy(spec)
    if overlay.get("overlay") != "1.0.0":
        raise OverlayError(f"unsupported overlay version {overlay.get('overlay')!r}, expected '1.0.0'")
    removed = {index: apply_action(result, index + 1, action) for index, action in enumerate(overlay["actions"])}
    for problem in returned(result, overlay, removed).values():
        raise OverlayError(problem)
    return result


def returned(result: Any, overlay: Any, removed: Mapping[int, Mapping[tuple[int | str, ...], Any]]) -> dict[int, str]:
    """Return, by index, why an action that removed something had no effect on the result."""
    return {
        index: f"{named(index + 1, overlay['actions'][index])}: it comes back the same; drop this and what adds it"
        for index, values in removed.items()
        if values and all(is_at(result, location, value) for location, value in values.items())
    }


def named(number: int, action: Any) -> str:
    """Return how errors name an action."""
    return f"action {number} ({action.get('description', 'no description')}), target {action['target']}"


def apply_action(document: Any, number: int, action: Any) -> dict[tuple[int | str, ...], Any]:
    """Apply one action to `document` in place, and return what it removed; raise OverlayError if it does not fit."""
    name = named(number, action)
    try:
        nodes = find(action["target"], document)
    except JSONPathError as error:
        raise OverlayError(f"{name}: {error}") from error
    if not nodes:
        raise OverlayError(f"{name}: matches nothing; upstream has changed, so adapt or drop the action")
    if not action.get("remove") and "update" not in action:
        raise OverlayError(f"{name}: neither removes nor updates")
    twice = set(held_twice(document))
    # A path may match a node twice, and in any order.
    values = {node.location: node.value for node in nodes}
    # From the back, so that removing one entry of a list does not move the others.
    for location in sorted(values, key=list_indices, reverse=True):
        if action.get("remove"):
            remove(document, location, name)
        else:
            add(values[location], action["update"], name)
    for problem in held_twice(document):
        if problem not in twice:
            raise OverlayError(f"{name}: {problem}; drop the action, or adapt it")
    return values if action.get("remove") else {}


def held_twice(document: Any) -> Iterator[str]:
    """Yield a problem for each path that differs only in a parameter's name, and each operationId that is repeated."""
    paths: dict[str, str] = {}
    names: dict[str, str] = {}
    holder = document.get("paths") if isinstance(document, dict) else None
    for path, item in (holder or {}).items():
        same = paths.setdefault(re.sub(r"\{[^}]*\}", "{}", path), path)
        if same != path:
            yield f"the path {path} is there already as {same}"
        for method in METHODS:
            operation = item.get(method) if isinstance(item, dict) else None
            if operation and "operationId" in operation:
                here = f"{method.upper()} {path}"
                there = names.setdefault(operation["operationId"], here)
                if there != here:
                    yield f"{here} has the operationId {operation['operationId']} that {there} has"


def is_at(document: Any, location: tuple[int | str, ...], value: Any) -> bool:
    """Return whether this value is at this place."""
    try:
        for key in location:
            document = document[key]
    except (LookupError, TypeError):
        return False
    return document == value


def list_indices(location: tuple[Any, ...]) -> list[int]:
    """Return a sort key that puts the entries of one list in order, and what is inside a node after it."""
    return [key if isinstance(key, int) else 0 for key in location]


def remove(document: Any, location: tuple[Any, ...], name: str) -> None:
    """Remove what is at `location`."""
    if not location:
        raise OverlayError(f"{name}: would remove the whole document")
    parent = document
    for key in location[:-1]:
        parent = parent[key]
    del parent[location[-1]]


def add(target: Any, update: Any, name: str) -> None:
    """Append `update` to the list `target`, or merge it into the mapping `target`."""
    if not isinstance(target, list):
        merge(target, update, name)
    elif update in target:
        raise OverlayError(f"{name}: the spec already has this entry there; drop the action")
    else:
        target.append(copy.deepcopy(update))


def merge(target: Any, update: Any, name: str) -> None:
    """Add `update` to the mapping `target`, mappings within mappings included."""
    if not isinstance(target, dict) or not isinstance(update, dict):
        raise OverlayError(f"{name}: only a mapping can be merged into a mapping")
    for key, value in update.items():
        if key not in target:
            target[key] = copy.deepcopy(value)
        elif isinstance(target[key], dict) and isinstance(value, dict):
            merge(target[key], value, name)
        else:
            raise OverlayError(
                f"{name}: the spec already has {key!r} there; drop the action, or remove the value first"
            )


def main(overlay: str, output: str, *specs: str) -> None:
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096
    try:
        result = apply(merged({spec: yaml.load(Path(spec)) for spec in specs}), YAML(typ="safe").load(Path(overlay)))
        name_values(result)
    except (OverlayError, MergeError, NamingError, YAMLError, OSError) as error:
        sys.exit(f"apply_overlay: {error}")
    with Path(output).open("w", encoding="utf-8", newline="\n") as file:
        yaml.dump(result, file)


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
