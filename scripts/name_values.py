"""Give each value of an enum a distinct Python name, by the extension x-enum-varnames that the generator reads.

Without it, the generator names a value that does not begin with a letter by its position, so the name changes when
other values come or go. And of two values with the same name it loses one.
"""

import re
from collections.abc import Iterator
from typing import Any

NAMES = "x-enum-varnames"


class NamingError(Exception):
    """Values of an enum have no distinct names."""


def name_values(document: Any) -> None:
    """Name in place the values of each enum that needs it; raise NamingError if names are missing or not distinct."""
    problems = []
    for place, enum in enums(document):
        values = [value for value in enum["enum"] if value is not None]
        if not all(isinstance(value, str) for value in values):
            continue  # the generator names a number by its value
        names = enum.get(
            NAMES, [value.upper() if value[:1].isalpha() else f"VALUE_{value.upper()}" for value in values]
        )
        if len(names) != len(values):
            problems.append(f"{place} has {len(values)} values, and {len(names)} names in {NAMES}")
            continue
        problems += [f"{place}: {problem}" for problem in alike(values, names)]
        if not all(value[:1].isalpha() for value in values):
            enum[NAMES] = names
    if problems:
        raise NamingError("\n".join(problems))


def enums(node: Any, *place: object) -> Iterator[tuple[str, Any]]:
    """Yield each enum in a document, and where it is."""
    if isinstance(node, dict):
        if isinstance(node.get("enum"), list):
            yield ".".join(map(str, place)), node
        for key, value in node.items():
            yield from enums(value, *place, key)
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from enums(value, *place, index)


def alike(values: list[str], names: list[str]) -> Iterator[str]:
    """Yield a problem for each value to which the generator gives the name of another."""
    taken: dict[str, str] = {}
    for value, name in zip(values, names, strict=True):
        known = "".join(char for char in name if char.isidentifier() or char.isdecimal() or char in ". _-")
        member = "_".join(re.findall("[^. _-]+", known)).upper()
        if member in taken:
            yield (
                f"the values {taken[member]!r} and {value!r} would both be {member}; "
                f"give all values names with {NAMES}, by an action of the overlay"
            )
        taken.setdefault(member, value)
