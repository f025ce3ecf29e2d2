"""Merge descriptions of parts of one API, strictly: where two describe the same, they must agree."""

from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Any


class MergeError(Exception):
    """Two descriptions disagree."""


def merged(documents: Mapping[str, Any]) -> Any:
    """Return the union of documents, which are given by name; raise MergeError naming every disagreement."""
    problems = [
        f"{first} and {second} disagree on {place}"
        for first, second in combinations(documents, 2)
        for place in disagreements(documents[first], documents[second])
    ]
    if problems:
        raise MergeError("\n".join(problems))
    result, *others = documents.values()
    for other in others:
        unite(result, other)
    return result


def disagreements(one: Any, other: Any, *place: object) -> Iterator[str]:
    """Yield the places where two documents disagree."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in one.keys() & other.keys():
            yield from disagreements(one[key], other[key], *place, key)
    elif one != other:
        yield f"{'.'.join(map(str, place))}: {one!r} and {other!r}"


def unite(target: Any, source: Any) -> None:
    """Add to a mapping what it lacks, mappings within mappings included."""
    for key, value in source.items():
        if key not in target:
            target[key] = value
        elif isinstance(value, dict):
            unite(target[key], value)
