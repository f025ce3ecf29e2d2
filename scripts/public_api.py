"""Watch the public surface of signalwire_tokens: write it down, or compare it with the last release.

Usage: python scripts/public_api.py write [--values]
       python scripts/public_api.py check

`write` renews tests/data/public-api.txt, which has a line for each public signature and enum value; with --values, only
the lines of enum values, which come from the spec. `check` fails if callers of the last tagged version break and the
changelog's section Unreleased has neither a section Changed nor a section Removed.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import griffe

ROOT = Path(__file__).parent.parent
SNAPSHOT = ROOT / "tests/data/public-api.txt"
SOURCES = ("wrapper", "generated")
MODULES = ("", "testing")


def surface() -> list[str]:
    """Return a line for each signature and enum value; the lines of values begin with `value`."""
    package = griffe.load(
        "signalwire_tokens",
        search_paths=[ROOT / folder for folder in SOURCES],
        resolve_aliases=True,
        resolve_external=True,
    )
    lines = []
    for name in MODULES:
        module = package[name] if name else package
        for public in module.exports:
            lines += describe(module[public], f"{module.path}.{public}")
    return sorted(lines)


def describe(member: griffe.Object | griffe.Alias, path: str) -> Iterator[str]:
    """Yield the lines of one public name, and of what it holds."""
    if member.is_function:
        yield f"{path}{member.signature(return_type=True).removeprefix(member.name)}"
    elif member.is_class:
        bases = [str(base) for base in member.bases]
        yield f"{path}({', '.join(bases)})"
        for name, inner in member.members.items():
            if "StrEnum" in str(bases) or "Enum" in bases:
                if inner.is_attribute:
                    yield f"value {path}.{name} = {inner.value}"
            elif inner.is_public or name == "__init__":
                yield from describe(inner, f"{path}.{name}")
    else:
        yield f"{path}: {member.annotation}" if member.annotation else path


def is_value(line: str) -> bool:
    return line.startswith("value ")


def write(*, values_only: bool) -> None:
    lines = surface()
    if values_only:
        kept = [line for line in SNAPSHOT.read_text(encoding="utf-8").splitlines() if not is_value(line)]
        lines = sorted(kept + [line for line in lines if is_value(line)])
    SNAPSHOT.write_text("\n".join([*lines, ""]), encoding="utf-8", newline="\n")


def git(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["git", *arguments], cwd=ROOT, check=False, capture_output=True, text=True)


def check() -> None:
    described = git("describe", "--tags", "--abbrev=0", "--match=v*")
    if described.returncode:
        print("public_api: no version is tagged yet, so there is nothing to break.")
        return
    tag = described.stdout.strip()
    searched = [option for folder in SOURCES for option in ("--search", folder)]
    griffe_check = [sys.executable, "-m", "griffe", "check", "signalwire_tokens", *searched, "--against", tag]
    broken = subprocess.run(griffe_check, cwd=ROOT, check=False).returncode != 0
    # griffe does not follow the enum into the generated package.
    written = git("show", f"{tag}:{SNAPSHOT.relative_to(ROOT).as_posix()}").stdout.splitlines()
    for line in set(filter(is_value, written)) - set(surface()):
        print(f"{line.removeprefix('value ')} was removed")
        broken = True
    if not broken:
        print(f"public_api: nothing breaks callers of {tag}.")
        return
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    unreleased = changelog.partition("## [Unreleased]")[2].partition("\n## [")[0]
    if not re.search("^### (Changed|Removed)$", unreleased, re.MULTILINE):
        sys.exit(f"public_api: callers of {tag} break, and CHANGELOG.md says neither Changed nor Removed in Unreleased")
    print(f"public_api: callers of {tag} break as CHANGELOG.md says.")


if __name__ == "__main__":
    if sys.argv[1:] == ["check"]:
        check()
    elif sys.argv[1:] in (["write"], ["write", "--values"]):
        write(values_only="--values" in sys.argv)
    else:
        sys.exit(__doc__)
