"""The arguments and options of the command, and what each refuses."""

from __future__ import annotations

import os
import re
from functools import partial
from pathlib import Path
from typing import Any

import click

from signalwire_tokens import Permission

# Names in some scripts and emojis contain these invisible joiners.
_JOINERS = "\u200c\u200d"


class _Id(click.types.UUIDParameterType):
    """An ID. An invalid one is not repeated, as it may be a secret by mistake."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            named, needed = "TOKEN_ID", "the token's id, not its name or its secret"
            if isinstance(param, click.Option):
                named, needed = param.opts[0], "the subproject's id"
            problem = "is no UUID" if value else "is empty"
            raise click.UsageError(f"{named} {problem}; pass {needed}", ctx) from None


class _File(click.Path):
    """A file to write. `-`, which means standard output to other commands, is refused."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not value:
            raise click.UsageError("--out is empty; name a file", ctx)
        if value == "-":
            raise click.UsageError("--out takes a file; `create` without it writes to standard output", ctx)
        return super().convert(value, param, ctx)


def _repeat(permissions: list[str]) -> str:
    return f"-p takes one permission; repeat it: {' '.join(f'-p {name}' for name in permissions)}"


class _PermissionName(click.Choice[str]):
    """Completes and lists permissions. The library refuses others, and suggests a valid one."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:  # noqa: ARG002
        several = re.split(r"[\s,]+", value.strip(" ,"))
        if len(several) > 1:
            # Other words than permissions are not repeated, as they may be a secret.
            each = several if {*several} <= {*self.choices} else ["fax", "calling"]
            raise click.UsageError(_repeat(each), ctx)
        return str(value)


class Permitting(click.Command):
    """A command with -p, which takes one permission, although people may pass several."""

    allow_extra_args = True

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        extra = super().parse_args(ctx, args)
        if extra and not ctx.resilient_parsing:
            if {*extra} <= {*Permission}:
                ctx.fail(_repeat(extra))
            ctx.fail(f"unexpected extra arguments: {' '.join(extra)}")
        return extra


def _not_itself(_ctx: click.Context, _param: click.Parameter, value: Any) -> Any:
    """Refuse the configured token as a name or a file name: names are shown and sent."""
    if value and str(value) == os.environ.get("SIGNALWIRE_API_TOKEN"):
        raise click.BadParameter("this is SIGNALWIRE_API_TOKEN itself; credentials are never arguments")
    return value


def _name(ctx: click.Context, param: click.Parameter, value: Any) -> Any:
    """Refuse a name that the dashboard or a terminal would not show as it is."""
    if value and any(not char.isprintable() and char not in _JOINERS for char in value):
        raise click.BadParameter("it has a control character, an invisible one, or bytes that are not UTF-8")
    return _not_itself(ctx, param, value)


permission = partial(
    click.option,
    "-p",
    "--permission",
    "permissions",
    multiple=True,
    type=_PermissionName([permission.value for permission in Permission]),
    metavar="PERMISSION",
)
mints = permission(required=True, help="What the token may do; repeat it for more. See `permissions`.")
name = click.argument("name", callback=_name)
new_name = click.option("--name", callback=_name, help="The new name.")
token_id = click.argument("token_id", type=_Id())
subproject = click.option("--subproject", type=_Id(), help="Mint for this subproject of the project.")
out = click.option(
    "--out",
    type=_File(path_type=Path, readable=False),
    callback=_not_itself,
    help="Write the secret to this file, whole, with mode 0600. It must be new, or --force given.",
)
exec_ = click.option(
    "--exec",
    "command",
    metavar="COMMAND",
    help="Hand the secret to this command on its standard input. It counts as stored once the command has read all of "
    "it and exited with 0. It is run without a shell.",
)
force = click.option(
    "--force", is_flag=True, help="Let --out replace a file, in one step. Its owner, group and mode stay."
)
format_ = click.option(
    "--format",
    "form",
    type=click.Choice(["text", "env", "json"]),
    default="text",
    show_default=True,
    help="text: the secret alone, without a line end unless on a terminal. env: SIGNALWIRE_SPACE, "
    "SIGNALWIRE_PROJECT_ID, SIGNALWIRE_API_TOKEN_ID and SIGNALWIRE_API_TOKEN as KEY=VALUE lines, for shells, docker "
    "--env-file and, once the secret is masked, GITHUB_ENV. json: an object with space, project_id, id, name, "
    "permissions and token.",
)
