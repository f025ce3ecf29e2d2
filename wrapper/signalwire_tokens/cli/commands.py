"""The commands. Each reads its arguments, calls the library once, and reports the outcome.

Exit codes are those of `docs/command-line.md`.
"""

from __future__ import annotations

import contextlib
import io
from contextlib import AbstractContextManager
from pathlib import Path
from uuid import UUID

import click

from signalwire_tokens import Permission, PermissionName

from . import _options as options, stores
from .calls import client, storing
from .formats import Held, as_json, described, held, project, renderer, shown
from .group import command_line
from .messages import DONE, NOT_DONE, WRONG_USAGE, Failure, log_lines, masked, printable
from .run import run

__all__ = ["command_line", "execute"]


def _held(path: Path | None) -> Held:
    """Return what an env or json file holds."""
    # A file that cannot be read is no such file, or is refused when it is to be written.
    with contextlib.suppress(OSError):
        if path and path.is_file():
            with path.open("rb") as file:
                return held(file.read(stores.ROOM))
    return held(b"")


def _refuse_another(path: Path, token_id: UUID, subproject: UUID | None, form: str) -> None:
    """Refuse to replace an env or json file that does not hold the token that is rotated, or holds more than that."""
    file, wanted, problem = _held(path), project(subproject).lower(), ""
    if not file.tokens:
        return
    if str(token_id) not in file.tokens:
        problem = f"holds token {file.tokens[0]}, not {token_id}"
    elif file.projects and wanted and wanted not in file.projects:
        # The variable is not repeated, as people mix up the project ID and the API token.
        of = f"subproject {subproject}" if subproject else "SIGNALWIRE_PROJECT_ID"
        problem = f"holds a token of project {file.projects[0]}, not of {of}; look at --subproject"
    elif file.more:
        problem = "also holds other values, which would be lost; name a file for the token alone"
    elif form != file.form:
        problem = f"has the format {file.form}; give --format {file.form}, or name another file"
    if problem:
        raise Failure(f"{path} {problem}; nothing was sent", WRONG_USAGE)


def _place(out: Path | None, command: str | None, *, force: bool) -> AbstractContextManager[stores.Store] | None:
    """Return the store that --out or --exec names; None for neither."""
    if out is not None and command is not None:
        raise click.UsageError("give one of --out and --exec, not both")
    if out is None and force:
        raise click.UsageError("--force goes with --out")
    if out is not None:
        return stores.file(out, force=force)
    return None if command is None else stores.command(command)


@command_line.command(
    cls=options.Permitting,
    epilog="""\b
Examples:
  signalwire-tokens create ci -p calling -p messaging --out ci-token
  signalwire-tokens create ci -p fax --format env --out ci.env
  signalwire-tokens create ci -p fax --exec 'docker secret create signalwire -'
""",
)
@options.name
@options.mints
@options.subproject
@options.out
@options.force
@options.exec_
@options.format_
@click.option("--reveal", is_flag=True, help="Show the secret although standard output is a terminal.")
def create(
    *,
    name: str,
    permissions: tuple[PermissionName, ...],
    subproject: UUID | None,
    out: Path | None,
    command: str | None,
    form: str,
    force: bool,
    reveal: bool,
) -> str:
    """Mint a token called NAME. Its secret goes to standard output, --out or --exec, and is never shown again.

    If it cannot be stored there, the token is deleted again. A pipe does not show whether its reader stored the secret:
    if the reader fails after reading, the token stays. Then delete the ID that standard error names, or use --exec.
    """
    place = _place(out, command, force=force) or stores.stdout(reveal=reveal)
    held_before = _held(out).tokens
    with place as store, client("creating the token", mints=True) as (tokens, stop):
        keep = storing(store, renderer(form, subproject), stop)
        created = tokens.create(name, permissions, subproject_id=subproject, store=keep)
    stored = f"; its secret is in {out}" if out else "; its secret is stored" if command else ""
    stored += "".join(f"; {out} held token {token} before: delete that if nothing uses it" for token in held_before)
    return f"created {shown(created, subproject)}{stored}"


@command_line.command(
    cls=options.Permitting,
    epilog="""\b
Examples:
  signalwire-tokens update TOKEN_ID --name ci-deploy
  signalwire-tokens update TOKEN_ID -p calling -p fax
""",
)
@options.token_id
@options.new_name
@options.permission(help="What the token may do from now on; repeat it for more.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="text: a line on standard error. json: also an object with id, name and permissions on standard output.",
)
def update(token_id: UUID, name: str | None, permissions: tuple[PermissionName, ...], form: str) -> str:
    """Change the name or the permissions of a token. Its secret stays."""
    if name is None and not permissions:
        raise click.UsageError("nothing to change; give --name, -p or both")
    printed = stores.stdout(reveal=True) if form == "json" else contextlib.nullcontext()
    with printed as write:
        with client("changing the token") as (tokens, _):
            changed = tokens.update(token_id, name=name, permissions=permissions or None)
        if write:
            try:
                write(as_json(described(changed)))
            except OSError as error:
                problem = f"standard output cannot be written: {error.strerror}"
                raise Failure(f"changed {shown(changed)}; {problem}", NOT_DONE) from None
    return f"changed {shown(changed)}"


@command_line.command(
    cls=options.Permitting,
    epilog="""\b
Examples:
  signalwire-tokens rotate TOKEN_ID ci -p fax --out ci-token --force
  signalwire-tokens rotate TOKEN_ID ci -p fax --exec 'gh secret set SIGNALWIRE_API_TOKEN'
""",
)
@options.token_id
@options.name
@options.mints
@options.subproject
@options.out
@options.force
@options.exec_
@options.format_
def rotate(
    *,
    token_id: UUID,
    name: str,
    permissions: tuple[PermissionName, ...],
    subproject: UUID | None,
    out: Path | None,
    command: str | None,
    form: str,
    force: bool,
) -> str:
    """Mint a token called NAME, store its secret, and only then delete the old token TOKEN_ID.

    At every moment, a stored token works. If storing fails, the new token is deleted again and the old one stays.
    """
    place = _place(out, command, force=force)
    if place is None:
        raise click.UsageError("give one of --out and --exec: the old token is deleted once the new one is stored")
    if out and force:
        _refuse_another(out, token_id, subproject, form)
    with place as store, client("rotating the token", mints=True) as (tokens, stop):
        keep = storing(store, renderer(form, subproject), stop)
        created = tokens.rotate(token_id, name, permissions, store=keep, subproject_id=subproject)
    stored = f"its secret is in {out}" if out else "its secret is stored"
    return f"created {shown(created, subproject)}; {stored}, and the old token {token_id} is deleted"


@command_line.command(
    epilog="""\b
Examples:
  signalwire-tokens delete TOKEN_ID
  signalwire-tokens delete TOKEN_ID --missing-ok
"""
)
@options.token_id
@click.option("--missing-ok", is_flag=True, help="It is fine if there is no such token.")
def delete(token_id: UUID, *, missing_ok: bool) -> str:
    """Delete a token: whoever uses it is refused from then on. This cannot be undone."""
    with client("deleting the token") as (tokens, _):
        tokens.delete(token_id, missing_ok=missing_ok)
    return f"token {token_id} is deleted, or there was none" if missing_ok else f"deleted token {token_id}"


@command_line.command()
def permissions() -> None:
    """List the permissions that a token can have. Needs no credentials."""
    for permission in Permission:
        click.echo(permission.value)


command_line.add_command(run)


def execute() -> tuple[int, str]:
    """Run the command that the arguments name. Return its exit code, and the message for standard error."""
    try:
        with log_lines():
            result = command_line.main(prog_name="signalwire-tokens", standalone_mode=False)
    except click.ClickException as error:
        shown = io.StringIO()
        error.show(shown)
        return error.exit_code, printable(masked(shown.getvalue()), keep="\n\t")
    except Failure as failure:
        return failure.code, f"Error: {printable(str(failure))}\n"
    except click.Abort:
        # click's name for it, if it comes between the reading of the arguments and the command.
        raise KeyboardInterrupt from None
    if isinstance(result, str):
        return DONE, f"{printable(result)}\n"
    return result or DONE, ""
