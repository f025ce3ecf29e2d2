"""Take a new version of SignalWire's docs page: the spec, the client generated from it and what follows, or nothing.

Usage: python scripts/update_spec.py PAGE [SUMMARY]

PAGE is a path or an https URL of the page's Markdown. The summary, in Markdown, is printed, and written to SUMMARY.
All work is done in a copy of the repository; only when every step has passed are its results moved in.
"""

import contextlib
import copy
import difflib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import httpx
from openapi_spec_validator import validate
from openapi_spec_validator.validation.exceptions import OpenAPIValidationError, ValidatorDetectError
from ruamel.yaml import YAML
from specshift import Change, Severity, diff_specs

from apply_overlay import OverlayError, apply_action
from vendor_spec import PageError, extract, read_page

ROOT = Path(__file__).parent.parent
SPEC, OVERLAY, CONFIG, PAGE = (
    "openapi.yaml",
    "openapi-overlay.yaml",
    "generator-config.yaml",
    "tests/data/create-token.md",
)
# All that an update may change.
OUTPUTS = (PAGE, SPEC, "generated", "tests/data/public-api.txt")
NOT_COPIED = (".git", ".venv*", "node_modules", "dist", "__pycache__", ".*_cache", ".hypothesis", ".coverage*")


class StepError(Exception):
    """A step failed: its name, and why."""


@attrs.define
class Report:
    """What an update means.

    Attributes:
        page: Where the new spec comes from.
        diff: The lines of the page's spec that differ.
        changes: What changed in the API's terms, the gravest first.
        places: The hand-written lines that a person must look at, each with the reason.
        failed: The step that failed and why, if one did.
    """

    page: str
    diff: str
    changes: list[Change] = attrs.field(factory=list)
    places: list[str] = attrs.field(factory=list)
    failed: tuple[str, str] | None = None

    @property
    def breaking(self) -> list[Change]:
        """The changes that break callers; one that may is taken to do so where hand-written code does not fit."""
        least = Severity.WARNING if self.places else Severity.BREAKING
        return [change for change in self.changes if change.severity.rank >= least.rank]

    @property
    def bump(self) -> str:
        """The part of this library's version that the update raises."""
        if self.breaking:
            return "major"
        return "minor" if self.changes else "patch"

    def _failure(self) -> list[str]:
        if not self.failed:
            return []
        step, reason = self.failed
        return [f"**Nothing was updated: the step *{step}* failed.**", "", "``````", reason, "``````", ""]

    def markdown(self) -> str:
        """Return the report for a person."""

        def listed(heading: str, items: list[str], otherwise: str) -> list[str]:
            return [f"## {heading}", "", *([f"- {item}" for item in items] or [otherwise]), ""]

        breaking = [f"`{change.location}`: {change.message}" for change in self.breaking]
        others = [f"`{change.location}`: {change.message}" for change in self.changes[len(breaking) :]]
        return "\n".join(
            [
                "# SignalWire's API description has changed",
                "",
                f"Source: {self.page}. Version bump: **{self.bump}**.",
                "",
                *self._failure(),
                *listed("Breaks callers", breaking, "Nothing does."),
                *listed("Other changes", others, "None but in wording, if any."),
                *listed("Hand-written lines that need a person", self.places, "None."),
                "<details><summary>The page's spec, line by line</summary>",
                "",
                # Longer than any fence that a description could hold.
                "``````diff",
                self.diff,
                "``````",
                "",
                "</details>",
                "",
            ]
        )


def load(path: Path) -> Any:
    """Return a YAML document that knows its line numbers."""
    return YAML().load(path)


def references(document: Any) -> Iterator[str]:
    """Yield the names of the schemas that a document refers to."""
    if isinstance(document, dict):
        for key, value in document.items():
            if key == "$ref" and isinstance(value, str):
                yield value.removeprefix("#/components/schemas/")
            else:
                yield from references(value)
    elif isinstance(document, list):
        for value in document:
            yield from references(value)


def fit(spec: Any, overlay: Any) -> tuple[Any, dict[int, str]]:
    """Apply the actions that fit; return the result, and why the others, by index, do not."""
    misfits: dict[int, str] = {}
    result = spec
    for index, action in enumerate(overlay["actions"]):
        attempt = copy.deepcopy(result)
        try:
            apply_action(attempt, index + 1, action)
        except OverlayError as error:
            misfits[index] = str(error)
        else:
            result = attempt
    for index, action in enumerate(overlay["actions"]):
        missing = set(references(action.get("update"))) - result.get("components", {}).get("schemas", {}).keys()
        if index not in misfits and missing:
            misfits[index] = (
                f"action {index + 1} ({action['description']}), target {action['target']}: "
                f"refers to {', '.join(sorted(missing))}, which the spec lacks; upstream has renamed or dropped it"
            )
    return result, misfits


def compare(old: Any, new: Any) -> list[Change]:
    """Return what changed between two descriptions of the API, the gravest first."""
    return sorted(diff_specs(old, new).changes, key=lambda change: -change.severity.rank)


def run(step: str, command: list[str], cwd: Path, *, accept: tuple[int, ...] = (0,)) -> str:
    """Run a command in the copy, and not as a part of the make or the git that runs this; return what it prints."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("GIT_", "MAKE", "MFLAGS", "PYTHONPATH"))
    }
    done = subprocess.run(
        command,
        cwd=cwd,
        env=kept | {"PYTHONDONTWRITEBYTECODE": "1"},
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode not in accept:
        raise StepError(step, f"{' '.join(command)}\n{done.stdout[-4000:]}{done.stderr[-4000:]}".strip())
    return done.stdout


def interpreter(work: Path) -> str:
    """Return a Python that has all that this one has, except that the library is the copy's."""
    environment = work / ".venv"
    venv.create(environment, symlinks=os.name != "nt")
    base = {"base": str(environment), "platbase": str(environment)}
    python = str(Path(sysconfig.get_path("scripts", "venv", base), "python"))
    # A path file within a path that a path file names is not read: the editable install of this one stays out.
    Path(sysconfig.get_path("purelib", "venv", base), "tools.pth").write_text(sysconfig.get_path("purelib"))
    install = ["pip", "install", "--quiet", "--offline", "--no-deps", "--no-build-isolation", "--editable", "."]
    run("install", [sys.executable, "-m", "uv", *install, "--python", python], work)
    return python


def generate(work: Path) -> None:
    """Regenerate the client of the copy with the tools of this environment."""
    # Not remade: it is the environment that runs this.
    run("generate", ["make", "generate", f"VENV={sys.prefix}", f"--old-file={sys.prefix}/.ready"], work)


def misused(work: Path, python: str) -> list[str]:
    """Return the places in hand-written files that do not fit the generated client any more."""
    config = load(work / CONFIG)["class_overrides"]
    models = (work / "generated/signalwire_rest/models/__init__.py").read_text(encoding="utf-8")
    places = [
        f"`{CONFIG}:{config.lc.key(key)[0] + 1}` class_overrides key {key}: matches no schema"
        for key, value in config.items()
        if not re.search(rf"\b{value['class_name']}\b", models)
    ]
    plain = ["--no-pretty", "--no-error-summary", "--no-color-output", "--hide-error-context"]
    found = run("types", [python, "-m", "mypy", *plain], work, accept=(0, 1))
    for line in found.splitlines():
        place, _, problem = line.partition(": error: ")
        if problem:
            places.append(f"`{place}` {problem}")
    return places


def examine(work: Path, python: str, report: Report) -> None:
    """Fill in the report; raise StepError where the hand-written files do not fit the new spec."""
    overlay = load(work / OVERLAY)
    effective, misfits = fit(load(work / SPEC), overlay)
    report.changes = compare(load(ROOT / "generated/openapi.yaml"), effective)
    report.places = [f"`{OVERLAY}:{overlay['actions'].lc.item(i)[0] + 1}` {problem}" for i, problem in misfits.items()]
    if misfits:
        # Those that fit still give a client to hold the hand-written code against, so that all is said at once.
        overlay["actions"] = [action for index, action in enumerate(overlay["actions"]) if index not in misfits]
        YAML().dump(overlay, work / OVERLAY)
    try:
        generate(work)
        used = misused(work, python)
    except StepError:
        if not misfits:
            raise
        used = []
    report.places += used
    if misfits:
        raise StepError("overlay", "\n".join(misfits.values()))
    if used:
        raise StepError("types", "hand-written lines use what the spec has no more")


def update(page: str, work: Path) -> Report | None:
    """Carry out all steps in `work`, and move in what they made; return None if the spec has not changed."""
    try:
        content = read_page(page)
        spec = extract(content)
    except (PageError, OSError, httpx.HTTPError, httpx.InvalidURL) as error:
        raise StepError("page", f"{page}: {error}") from error
    try:
        validate(YAML(typ="safe").load(spec))
    except (OpenAPIValidationError, ValidatorDetectError, TypeError) as error:
        raise StepError("page", f"{page}: not an OpenAPI description: {error}") from error
    before = (ROOT / SPEC).read_bytes()
    if spec == before:
        return None
    lines = (text.decode(errors="replace").splitlines() for text in (before, spec))
    report = Report(page, "\n".join(difflib.unified_diff(*lines, SPEC, SPEC, n=2, lineterm="")))
    try:
        shutil.copytree(ROOT, work, ignore=shutil.ignore_patterns(*NOT_COPIED), symlinks=True, dirs_exist_ok=True)
        (work / PAGE).write_bytes(content)
        (work / SPEC).write_bytes(spec)
        python = interpreter(work)
        examine(work, python, report)
        run("public API", [python, "scripts/public_api.py", "write", "--values"], work)
        # Faults and the SDK are of the wrapper and the wire, whatever the spec says.
        apart = [f"--ignore=tests/{folder}" for folder in ("drills", "faults", "sdk")]
        run("tests", [python, "-m", "pytest", "-q", "-x", "-m", "not slow", *apart], work)
        move_in(work)
    except StepError as error:
        report.failed = error.args
    except OSError as error:
        report.failed = ("files", str(error))
    return report


def move_in(work: Path) -> None:
    """Put the results of the copy in place, all of them or none."""
    with tempfile.TemporaryDirectory(prefix=".update-spec-", dir=ROOT) as staging:
        old, new = Path(staging, "old"), Path(staging, "new")
        for output in OUTPUTS:
            for folder in (old, new):
                (folder / output).parent.mkdir(parents=True, exist_ok=True)
            if (work / output).is_dir():
                shutil.copytree(work / output, new / output)
            else:
                shutil.copy(work / output, new / output)
        with contextlib.ExitStack() as undo:
            for output in OUTPUTS:
                (ROOT / output).rename(old / output)
                undo.callback((old / output).replace, ROOT / output)
                (new / output).rename(ROOT / output)
                undo.callback((ROOT / output).rename, new / output)
            undo.pop_all()


def failure(step: str, reason: str) -> str:
    return f"update_spec: nothing was changed, step '{step}' failed: {reason}"


def main(page: str, summary: str | None = None) -> None:
    with tempfile.TemporaryDirectory(prefix="update-spec-") as folder:
        try:
            report = update(page, Path(folder, "repository"))
        except StepError as error:
            sys.exit(failure(*error.args))
    if report is None:
        print(f"{SPEC} is what {page} shows: nothing to update.")
        return
    print(report.markdown())
    if summary:
        Path(summary).write_text(report.markdown(), encoding="utf-8", newline="\n")
    if report.failed:
        sys.exit(failure(*report.failed))


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    main(*sys.argv[1:])
