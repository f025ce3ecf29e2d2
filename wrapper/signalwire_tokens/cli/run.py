"""The command `run`: it runs another command with a token that is deleted when that command ends."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any
from uuid import UUID

import click

from signalwire_tokens import Permission, PermissionName

from . import _options as options, signals, stores
from .calls import client
from .formats import access_to, shown
from .messages import INTERRUPTED, Failure, masked, printable, write

# The codes that `env` and `timeout` use for their own failures, apart from the codes of the command that they run.
ITSELF_FAILED, CANNOT_BE_RUN, NOT_FOUND = 125, 126, 127


class _NotStartedError(Failure):
    """COMMAND was not started, although a token was minted for it."""


class _UsageError(click.UsageError):
    exit_code = ITSELF_FAILED


class _Run(click.Command):
    """The only command that exits with another command's code, so its own failures have separate codes."""

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        try:
            return super().make_context(*args, **kwargs)
        except click.UsageError as error:
            hint = " Put -- before COMMAND." if isinstance(error, click.NoSuchOption) else ""
            raise _UsageError(error.format_message() + hint, error.ctx) from None

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except Failure as failure:
            if failure.code not in {INTERRUPTED, CANNOT_BE_RUN, NOT_FOUND}:
                failure.code = ITSELF_FAILED
            raise


@click.command(
    cls=_Run,
    epilog="""\b
Examples:
  signalwire-tokens run nightly -p fax -- ./send-faxes --all
  signalwire-tokens run tenant-7 -p calling --subproject ID -- python job.py

\b
Exit codes:
  that of COMMAND, or 128 and the number of the signal that ended it
  125  wrong usage, or no token exists, or one may exist: the message says which
  126  COMMAND cannot be run
  127  COMMAND cannot be found; nothing was sent
  130  interrupted before COMMAND began; no token exists
""",
)
@options.name
@options.mints
@options.subproject
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED, metavar="COMMAND [ARG]...")
def run(
    *, name: str, permissions: tuple[PermissionName, ...], subproject: UUID | None, command: tuple[str, ...]
) -> int:
    """Run COMMAND with a token called NAME, which is deleted when COMMAND has ended, however it ends.

    COMMAND finds it in the environment, as SIGNALWIRE_API_TOKEN, beside SIGNALWIRE_PROJECT_ID (with --subproject, the
    subproject's) and SIGNALWIRE_SPACE. Put -- before COMMAND. Signals are passed on to it. Standard error names the
    token before it starts. SIGKILL leaves the token. One that cannot be deleted is named, and the exit code is 125.
    """
    if shutil.which(command[0]) is None:
        path = Path(command[0])
        is_there = path.exists() if path.name != command[0] else shutil.which(command[0], os.F_OK)
        problem, code = ("cannot be run", CANNOT_BE_RUN) if is_there else ("cannot be found", NOT_FOUND)
        hint = "; -p takes one permission; repeat it" if command[0] in {*Permission} else ""
        # No shell takes it apart.
        hint = "; give the command and its arguments as words of their own" if " " in command[0] else hint
        raise Failure(f"{masked(command[0]) or repr('')} {problem}, so nothing was sent{hint}", code)
    codes: list[int] = []
    try:
        with (
            client("creating the token", mints=True) as (tokens, stop),
            tokens.temporary(name, permissions, subproject_id=subproject) as token,
        ):
            stop()
            # After SIGKILL, only this line says which token is left.
            write(f"{printable(f'created {shown(token, subproject)}; it is deleted when {command[0]} ends')}\n")
            codes.append(_run_with(access_to(token, subproject), command))
    except _NotStartedError as failure:
        raise Failure(f"{failure}; the token is deleted", failure.code) from None
    except Failure as failure:
        if codes:
            raise Failure(f"{command[0]} {stores.ended(codes[0])}, and then: {failure}", failure.code) from None
        raise
    return codes[0] if codes[0] >= 0 else 128 - codes[0]


def _run_with(access: dict[str, str], command: tuple[str, ...]) -> int:
    environment = {**os.environ, **access}
    # It would be the ID of another token.
    environment.pop("SIGNALWIRE_API_TOKEN_ID", None)
    with signals.passed_on() as wait_for:
        try:
            child = subprocess.Popen(command, env=environment)  # noqa: S603 - the user's own command
        except OSError as error:
            code = NOT_FOUND if isinstance(error, FileNotFoundError) else CANNOT_BE_RUN
            raise _NotStartedError(f"{command[0]} cannot be run: {error.strerror}", code) from None
        except ValueError:
            raise _NotStartedError("the secret has characters that no environment can hold", ITSELF_FAILED) from None
        return wait_for(child)
