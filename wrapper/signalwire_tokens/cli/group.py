"""The command as a whole: its name, its help, and failures in which nothing is sent."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from signalwire_tokens import __version__

from .messages import INTERRUPTED, NOT_DONE, Failure


@contextlib.contextmanager
def _printing() -> Iterator[None]:
    """Turn exceptions into failures where nothing is sent: while arguments are read, or help or permissions printed."""
    try:
        yield
    except (OSError, KeyboardInterrupt) as error:
        _give_up_stdout()
        if isinstance(error, OSError):
            raise Failure(f"standard output cannot be written: {error.strerror}", NOT_DONE) from None
        raise Failure("interrupted; nothing was sent", INTERRUPTED) from None


def _give_up_stdout() -> None:
    # On exit, Python would try to write what is left. A closed stream is None.
    with contextlib.suppress(AttributeError), Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())


class _Commands(click.Group):
    """The commands, and advice on others that people look for."""

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        with _printing():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        with _printing():
            return super().invoke(ctx)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        instead = {"mint": "create", "change": "update", "revoke": "delete"}.get(args[0])
        if instead:
            ctx.fail(f"No such command {args[0]!r}; use {instead}")
        if args[0] == "list":
            ctx.fail("SignalWire has no call that lists tokens; see the dashboard")
        return super().resolve_command(ctx, args)


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="""\b
Examples:
  signalwire-tokens create ci -p calling -p messaging --out ci-token
  signalwire-tokens create ci -p fax --exec 'gh secret set SIGNALWIRE_API_TOKEN'
  signalwire-tokens rotate TOKEN_ID ci -p fax --out ci-token --force
  signalwire-tokens run nightly -p fax -- ./send-faxes --all

\b
Exit codes:
    0  done
    1  refused by the service, or not done; no new token exists
    2  wrong usage or configuration; nothing was sent
    3  outcome unknown: a token may exist that nobody holds, or both exist
  130  interrupted; no new token exists
`run` exits with the code of COMMAND, or with 125, 126, 127 or 130: see `run --help`.

\b
Completion (bash; zsh and fish alike):
  eval "$(_SIGNALWIRE_TOKENS_COMPLETE=bash_source signalwire-tokens)"
""",
)
@click.version_option(__version__)
def command_line() -> None:
    """Mint, change, rotate and revoke SignalWire API tokens.

    The space and the credentials come from SIGNALWIRE_SPACE, SIGNALWIRE_PROJECT_ID and SIGNALWIRE_API_TOKEN, never
    from arguments. Secrets go only where you send them; messages go to standard error.
    """
