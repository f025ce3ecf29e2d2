"""Take new versions of SignalWire's docs pages, with the client generated from them and all else, or change nothing.

Usage: python scripts/update_spec.py [SOURCE [SUMMARY]]

SOURCE is where the pages are, a folder or an https URL that ends in a slash; or the page create-token alone. Default:
where SignalWire publishes them. The summary, in Markdown, is printed, and written to SUMMARY. All work is done in a
copy of the repository; only when every step has passed are its results moved in.
"""

import contextlib
import copy
import difflib
import inspect
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
from ruamel.yaml import YAML

from apply_overlay import OverlayError, apply, apply_action, named, returned
from compare_specs import WORDING, Change, Severity, compare, followed, operations, resolved, success
from merge_specs import MergeError, merged
from name_values import NamingError, name_values
from vendor_spec import PAGES, PUBLISHED, PageError, Taken, take

ROOT = Path(__file__).parent.parent
OVERLAY, CONFIG, EFFECTIVE = "openapi-overlay.yaml", "generator-config.yaml", "generated/openapi.yaml"
# All that an update may change.
OUTPUTS = (*(name for page in PAGES for name in (page.copy, page.spec)), "generated", "tests/data/public-api.txt")
NOT_COPIED = (".git", ".venv*", "node_modules", "dist", "__pycache__", ".*_cache", ".hypothesis", ".coverage*")
# The tests that a new description may break. The others do not depend on it.
TESTS = ("generated", "models", "fake_space", "calls")
MEND = "To mend it: edit what is named above, and run the same command again. It changes nothing until all steps pass."


class StepError(Exception):
    """A step failed: its name, and why."""


@attrs.define
class Report:
    """What an update means.

    Attributes:
        source: Where the new descriptions come from.
        diff: The lines of the descriptions that differ.
        notes: Remarks about the pages.
        changes: What changed in the API's terms, the most severe first; None if that was not looked for.
        unoffered: What the new description has and the wrapper does not offer.
        places: The hand-written lines that a person must look at, and the tests that fail, each with the reason.
        failed: The step that failed and why, if one did.
    """

    source: str
    diff: str = ""
    notes: list[str] = attrs.field(factory=list)
    changes: list[Change] | None = None
    unoffered: list[str] = attrs.field(factory=list)
    places: list[str] = attrs.field(factory=list)
    failed: tuple[str, str] | None = None

    @property
    def breaking(self) -> list[Change]:
        """The changes that break callers, including those that may break them if the wrapper does not fit any more."""
        used = any(place.startswith("`wrapper/") for place in self.places)
        least = Severity.WARNING if used else Severity.BREAKING
        return [change for change in self.changes or () if change.severity >= least]

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
        return [f"**Nothing was updated: the step *{step}* failed.**", "", "``````", reason, "``````", "", MEND, ""]

    def markdown(self) -> str:
        """Return the report for a person."""
        if self.failed and self.failed[0] == "page":
            return "\n".join(["# SignalWire's docs pages could not be taken", "", *self._failure()])
        lines = ["# SignalWire's API description has changed", ""]
        bump = "" if self.changes is None else f" Version bump: **{self.bump}**."
        lines += [f"Source: {self.source}.{bump}", "", *self._failure()]
        for note in self.notes:
            lines += [note, ""]
        for heading, items in self._sections().items():
            if items:
                lines += [f"## {heading}", "", *items, ""]
        if self.diff:
            # Longer than any fence that a description could hold.
            lines += ["<details><summary>The descriptions, line by line</summary>", ""]
            lines += ["``````diff", self.diff, "``````", "", "</details>", ""]
        return "\n".join(lines)

    def _sections(self) -> dict[str, list[str]]:
        if self.changes is None:
            return {}
        others = [change for change in self.changes if change not in self.breaking]
        none = "Not looked for." if self.failed else "None."
        return {
            "Breaks callers": told(self.breaking) or ["Nothing does."],
            "Other changes": told(c for c in others if c.named) or ["None but in wording, if any."],
            "Changes that this tool cannot name": told(c for c in others if not c.named),
            "Described, but not offered by the wrapper": [f"- {item}" for item in self.unoffered],
            "Hand-written lines and tests that need a person": [f"- {place}" for place in self.places] or [none],
        }


def told(changes: Iterator[Change] | list[Change]) -> list[str]:
    """Return a line for each change; the same change at several places has one line."""
    places: dict[str, list[str]] = {}
    for change in changes:
        places.setdefault(change.message, []).append(f"`{change.location}`")
    return [f"- {', '.join(found)}: {message}" for message, found in places.items()]


def load(path: Path) -> Any:
    """Return a YAML document."""
    return YAML(typ="safe").load(path)


def load_with_lines(path: Path) -> Any:
    """Return a YAML document that knows its line numbers."""
    return YAML().load(path)


def vendored(root: Path) -> Any:
    """Return the descriptions that a tree has, merged into one."""
    return merged({page.spec: load(root / page.spec) for page in PAGES if (root / page.spec).exists()})


# What a new description does to the overlay and the settings.


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
    removed = {}
    result = spec
    for index, action in enumerate(overlay["actions"]):
        attempt = copy.deepcopy(result)
        try:
            removed[index] = apply_action(attempt, index + 1, action)
        except OverlayError as error:
            misfits[index] = str(error)
        else:
            result = attempt
    known = result.get("components", {}).get("schemas", {}).keys()
    used = set(references(result))
    for index in removed:
        action = overlay["actions"][index]
        name = named(index + 1, action)
        if missing := set(references(action.get("update"))) - known:
            gone = ", ".join(sorted(missing))
            misfits[index] = f"{name}: refers to {gone}, which the spec lacks; upstream has renamed or dropped it"
        elif action["target"] == "$.components.schemas" and not action["update"].keys() & used:
            misfits[index] = f"{name}: nothing refers to {', '.join(action['update'])} any more; drop the action"
    return result, dict(sorted((misfits | returned(result, overlay, removed)).items()))


def renames(old: Any, new: Any) -> dict[str, str]:
    """Return the schemas that have another name now, by their old names."""
    before, after = (document.get("components", {}).get("schemas", {}) for document in (old, new))
    found = {}
    for name in before.keys() - after.keys():
        with contextlib.suppress(RecursionError):  # a schema that contains itself
            like = [n for n in after.keys() - before.keys() if shape(after[n], new) == shape(before[name], old)]
            if len(like) == 1:
                found[name] = like[0]
    return found


def shape(node: Any, document: Any) -> Any:
    """Return what a schema means, without names of schemas and without wording."""
    if isinstance(node, list):
        return [shape(value, document) for value in node]
    if not isinstance(node, dict):
        return node
    return {
        key: {name: shape(inner, document) for name, inner in value.items()}
        if key == "properties"
        else shape(value, document)
        for key, value in followed(node, document).items()
        if key not in WORDING
    }


def setting(schema: str) -> str:
    """Return the name by which the generator's settings know a schema."""
    return "".join(re.findall("[A-Za-z0-9]+", schema))


def rename(work: Path, names: dict[str, str]) -> Iterator[str]:
    """Put new names of schemas into the overlay and the settings, and yield the lines that had the old ones."""
    for file, as_known in ((OVERLAY, str), (CONFIG, setting)):
        lines = (work / file).read_text(encoding="utf-8").splitlines()
        for old, new in names.items():
            name = re.compile(rf"(?<![\w.]){re.escape(as_known(old))}(?!\.?\w)")
            for number, line in enumerate(lines):
                if name.search(line):
                    lines[number] = name.sub(as_known(new), line)
                    yield f"`{file}:{number + 1}` names {as_known(old)}, which is {as_known(new)} now"
        (work / file).write_text("\n".join([*lines, ""]), encoding="utf-8", newline="\n")


def unmatched(work: Path, effective: Any) -> Iterator[str]:
    """Yield the settings for schemas that are not there."""
    config = load_with_lines(work / CONFIG)["class_overrides"]
    known = {setting(name) for name in effective.get("components", {}).get("schemas", {})}
    for key in config:
        if key not in known:
            yield f"`{CONFIG}:{config.lc.key(key)[0] + 1}` class_overrides key {key}: matches no schema"


def not_offered(document: Any) -> list[str]:
    """Return what a description has and the wrapper lacks; methods, arguments and fields are compared by name."""
    try:
        from signalwire_tokens import ApiToken, ProjectTokens  # noqa: PLC0415 - while it is being mended, it may not work
    except ImportError as error:
        return [f"Not looked for, as the wrapper cannot be imported: {error}"]
    found = []
    for (method, _), operation in operations(document).items():
        where = f"`{method.upper()} {operation['path']}`"
        name = operation.get("operationId", "")
        offered = getattr(ProjectTokens, re.split("[-_]", name)[0] or "?", None)
        if offered is None:
            found.append(f"{where}: the operation {name}")
            continue
        taken = inspect.signature(offered).parameters
        parameters = [resolved(parameter, document) for parameter in operation.get("parameters", ())]
        found += [
            f"{where}: the {parameter['in']} parameter {parameter['name']}"
            for parameter in parameters
            if parameter["in"] != "path" and re.sub(r"\W", "_", parameter["name"]).lower() not in taken
        ]
        body = properties(followed(operation.get("requestBody", {}), document), document)
        found += [f"{where}: the property {name} of the request" for name in body if name not in taken]
        own = {field.name for field in attrs.fields(ApiToken)}
        for status in success(operation.get("responses", {})):
            body = properties(followed(operation["responses"][status], document), document)
            found += [f"{where}: the property {name} of the response" for name in body if name not in own]
    return found


def properties(holder: Any, document: Any) -> list[str]:
    """Return the names of the properties of a body."""
    schema = holder.get("content", {}).get("application/json", {}).get("schema", {})
    return list(resolved(schema, document).get("properties", {}))


# The steps, in a copy of the repository.


def run(step: str, command: list[str], cwd: Path, *, accept: tuple[int, ...] = (0,)) -> str:
    """Run a command in the copy, without the variables of a make or a git that runs this; return what it prints."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("GIT_", "MAKE", "MFLAGS", "PYTHONPATH", "PYTEST_"))
    }
    done = subprocess.run(
        command,
        cwd=cwd,
        env=kept | {"PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "160"},
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode not in accept:
        raise StepError(step, f"{' '.join(command)}\n{done.stdout[-4000:]}{done.stderr[-4000:]}".strip())
    return done.stdout


def interpreter(work: Path) -> str:
    """Return a Python that has the packages of this one, but the library of the copy."""
    environment = work / ".venv"
    venv.create(environment, symlinks=os.name != "nt")
    base = {"base": str(environment), "platbase": str(environment)}
    python = str(Path(sysconfig.get_path("scripts", "venv", base), "python"))
    # Python reads no .pth file in a directory that a .pth file names, so the editable install of this one stays out.
    Path(sysconfig.get_path("purelib", "venv", base), "tools.pth").write_text(sysconfig.get_path("purelib"))
    install = ["pip", "install", "--quiet", "--offline", "--no-deps", "--no-build-isolation", "--editable", "."]
    run("install", [sys.executable, "-m", "uv", *install, "--python", python], work)
    return python


def generate(work: Path) -> None:
    """Regenerate the client of the copy with the tools of this environment."""
    # `--old-file`: make must not rebuild the environment that runs this.
    run("generate", ["make", "generate", f"VENV={sys.prefix}", f"--old-file={sys.prefix}/.ready"], work)


def misused(work: Path, python: str) -> list[str]:
    """Return the hand-written lines that do not fit the generated client any more."""
    plain = ["--no-pretty", "--no-error-summary", "--no-color-output", "--hide-error-context"]
    found = run("types", [python, "-m", "mypy", *plain], work, accept=(0, 1))
    errors = (line.partition(": error: ") for line in found.splitlines())
    answers = (work / "generated/signalwire_rest/answers.py").read_text(encoding="utf-8")
    reasons = dict(re.findall(r"^# (\w+): (no example .*)$", answers, re.MULTILINE))
    return [
        " ".join(
            [f"`{place}` {problem}", *(f"({reason})" for name, reason in reasons.items() if f'"{name}"' in problem)]
        )
        for place, _, problem in errors
        if problem
    ]


def examine(work: Path, python: str, report: Report) -> None:
    """Fill in the report; raise StepError where the hand-written files do not fit the new descriptions."""
    try:
        spec = vendored(work)
    except MergeError as error:
        raise StepError("merge", str(error)) from error
    before = load(ROOT / EFFECTIVE)
    report.places += rename(work, renames(vendored(ROOT), spec))
    overlay = load_with_lines(work / OVERLAY)
    effective, misfits = fit(spec, overlay)
    report.places += [f"`{OVERLAY}:{overlay['actions'].lc.item(i)[0] + 1}` {problem}" for i, problem in misfits.items()]
    report.places += unmatched(work, effective)
    # For a trial, schemas that actions refer to stay, so that the wrapper is checked as if the actions were mended.
    schemas = effective.get("components", {}).get("schemas", {})
    for name in set(references(effective)) - schemas.keys():
        schemas[name] = before["components"]["schemas"].get(name, {})
    report.changes = changes(work, before, effective) if misfits else compare(before, effective)
    report.unoffered = not_offered(effective)
    overlaid = list(report.places)
    try:
        name_values(effective)
    except NamingError as error:
        raise StepError("names", str(error)) from error
    if misfits:
        trial(work, effective)
    try:
        generate(work)
        report.places += misused(work, python)
    except StepError:
        if not overlaid:
            raise
    if overlaid:
        raise StepError("overlay", "\n".join(overlaid))
    if report.places:
        raise StepError("types", "hand-written lines use what the description has no more")


def changes(work: Path, before: Any, effective: Any) -> list[Change]:
    """Return what changed if the overlay does not fit: compare the pages, and for new pages, the effective specs."""
    known = [page for page in PAGES if (ROOT / page.spec).exists()]
    new = [page for page in PAGES if page not in known and (work / page.spec).exists()]
    paged = compare(vendored(ROOT), merged({page.spec: load(work / page.spec) for page in known}))
    shown = tuple(
        f"{method.upper()} {operation['path']}"
        for page in new
        for (method, _), operation in operations(load(work / page.spec)).items()
    )
    return [*paged, *(change for change in compare(before, effective) if change.location.startswith(shown))]


def trial(work: Path, effective: Any) -> None:
    """Prepare the copy to be generated from a description as it is, without an overlay."""
    for page in PAGES:
        (work / page.spec).unlink(missing_ok=True)
    YAML().dump(effective, work / PAGES[0].spec)
    (work / OVERLAY).write_text("overlay: 1.0.0\nactions: []\n", encoding="utf-8")


def check(work: Path, python: str, report: Report) -> None:
    """Run the tests that a new description may break; raise StepError if one fails."""
    tests = [f"tests/test_{name}.py" for name in TESTS]
    options = ["-q", "--tb=short", "-rfE", "-p", "no:cacheprovider", "-m", "not slow", "-k", "not served and not shell"]
    said = run("tests", [python, "-m", "pytest", *options, *tests], work, accept=(0, 1))
    for test, reason in re.findall(r"^(?:FAILED|ERROR) (.+?)(?: - (.*))?$", said, re.MULTILINE):
        report.places.append(f"`{test}` {reason}".rstrip())
    if re.search(r"^\d+ (failed|error)", said.strip().rpartition("\n")[2]):
        raise StepError("tests", said[said.find("\n__") :][-4000:].strip())


def follows(root: Path) -> bool:
    """Return whether the effective description of a tree is what its pages and its overlay give."""
    try:
        result = apply(vendored(root), load(root / OVERLAY))
        name_values(result)
    except (OverlayError, MergeError, NamingError):
        return False
    return bool(result == load(root / EFFECTIVE))


def update(source: str, work: Path) -> Report | None:
    """Carry out all steps in `work`, and move in what they made; return None if there is nothing new."""
    report = Report(source)
    try:
        found, report.notes = take(source, ROOT)
    except PageError as error:
        report.failed = ("page", str(error))
        return report
    report.notes += [one.note for one in found if one.note]
    report.diff = "\n".join(line for one in found for line in differing(one))
    if not report.diff and follows(ROOT):
        for note in report.notes:
            print(note)
        return None
    try:
        shutil.copytree(ROOT, work, ignore=shutil.ignore_patterns(*NOT_COPIED), symlinks=True, dirs_exist_ok=True)
        for one in found:
            for target, content in ((one.page.spec, one.spec), (one.page.copy, one.content)):
                (work / target).parent.mkdir(parents=True, exist_ok=True)
                (work / target).write_bytes(content)
        python = interpreter(work)
        examine(work, python, report)
        run("public API", [python, "scripts/public_api.py", "write", "--values"], work)
        check(work, python, report)
        move_in(work)
    except StepError as error:
        report.failed = error.args
    except OSError as error:
        report.failed = ("files", str(error))
    return report


def differing(one: Taken) -> Iterator[str]:
    """Yield the lines of a description that differ from what is here."""
    here = ROOT / one.page.spec
    lines = (
        text.decode(errors="replace").splitlines() for text in (here.read_bytes() if here.exists() else b"", one.spec)
    )
    return difflib.unified_diff(*lines, one.page.spec, one.page.spec, n=2, lineterm="")


def move_in(work: Path) -> None:
    """Put the results of the copy in place, all of them or none."""
    outputs = [output for output in OUTPUTS if (work / output).exists()]
    with tempfile.TemporaryDirectory(prefix=".update-spec-", dir=ROOT) as staging, contextlib.ExitStack() as undo:
        old, new = Path(staging, "old"), Path(staging, "new")
        for output in outputs:
            for folder in (old, new):
                (folder / output).parent.mkdir(parents=True, exist_ok=True)
            if (work / output).is_dir():
                shutil.copytree(work / output, new / output)
            else:
                shutil.copy(work / output, new / output)
        for output in outputs:
            target = ROOT / output
            if not target.parent.exists():
                target.parent.mkdir()
                undo.callback(target.parent.rmdir)
            if target.exists():
                target.rename(old / output)
                undo.callback((old / output).replace, target)
            (new / output).rename(target)
            undo.callback(target.rename, new / output)
        undo.pop_all()


def failure(step: str, reason: str) -> str:
    return f"update_spec: nothing was changed, step '{step}' failed: {reason}"


def main(source: str = PUBLISHED, summary: str | None = None) -> None:
    with tempfile.TemporaryDirectory(prefix="update-spec-") as folder:
        report = update(source or PUBLISHED, Path(folder, "repository"))
    if report is None:
        print(f"What {source or PUBLISHED} shows is here already: nothing to update.")
        return
    print(report.markdown())
    if summary:
        Path(summary).write_text(report.markdown(), encoding="utf-8", newline="\n")
    if report.failed:
        sys.exit(failure(*report.failed))


if __name__ == "__main__":
    if len(sys.argv) > 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
