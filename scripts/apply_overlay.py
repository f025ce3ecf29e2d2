"""Apply an OpenAPI Overlay 1.0 document, strictly.

Usage: python scripts/apply_overlay.py SPEC OVERLAY OUTPUT

Stricter than the specification on purpose, so that an overlay which no longer fits its spec fails the build: a target
that matches nothing is an error, and an update may only add. To replace a value, remove it and add the new one.
"""

import copy
import sys
from pathlib import Path
from typing import Any

from jsonpath_rfc9535 import JSONPathError, find
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError


class OverlayError(Exception):
    """An action of the overlay does not fit the spec."""


def apply(spec: Any, overlay: Any) -> Any:
    """Return a copy of `spec` with the actions of `overlay` applied; raise OverlayError naming the one that fails."""
    result = copy.deepcopy(spec)
    if overlay.get("overlay") != "1.0.0":
        raise OverlayError(f"unsupported overlay version {overlay.get('overlay')!r}, expected '1.0.0'")
    for number, action in enumerate(overlay["actions"], 1):
        apply_action(result, number, action)
    return result


def apply_action(document: Any, number: int, action: Any) -> None:
    """Apply one action to `document` in place; raise OverlayError naming it if it does not fit."""
    name = f"action {number} ({action.get('description', 'no description')}), target {action['target']}"
    try:
        nodes = find(action["target"], document)
    except JSONPathError as error:
        raise OverlayError(f"{name}: {error}") from error
    if not nodes:
        raise OverlayError(f"{name}: matches nothing; upstream has changed, so adapt or drop the action")
    if not action.get("remove") and "update" not in action:
        raise OverlayError(f"{name}: neither removes nor updates")
    # A path may match a node twice, and in any order.
    values = {node.location: node.value for node in nodes}
    # From the back, so that removing one entry of a list does not move the others.
    for location in sorted(values, key=list_indices, reverse=True):
        if action.get("remove"):
            remove(document, location, name)
        else:
            add(values[location], action["update"], name)


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


def main(spec: str, overlay: str, output: str) -> None:
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096
    try:
        result = apply(yaml.load(Path(spec)), YAML(typ="safe").load(Path(overlay)))
    except (OverlayError, YAMLError, OSError) as error:
        sys.exit(f"apply_overlay: {error}")
    with Path(output).open("w", encoding="utf-8", newline="\n") as file:
        yaml.dump(result, file)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
