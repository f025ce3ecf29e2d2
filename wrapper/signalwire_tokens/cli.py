"""The command `signalwire-tokens`: mint, change, rotate and revoke API tokens from a shell (extra `cli`).

Exit codes: 0 done; 1 refused by the service, or not done and nothing left behind; 2 wrong usage or configuration;
3 outcome unknown: a token may live that nobody holds, or the old and the new one both live; 130 interrupted.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import logging
import os
import re
import shlex
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

try:
    import click
except ModuleNotFoundError:
    print("signalwire-tokens needs the extra cli: pip install 'signalwire-tokens[cli]'", file=sys.stderr)
    raise SystemExit(2) from None

from . import (
    ConfigurationError,
    InvalidResponseError,
    Permission,
    ProjectTokens,
    RotationError,
    SignalWireError,
    __version__,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from uuid import UUID

    from . import ApiToken

    Store = Callable[[bytes], None]

__all__ = ["main"]

DONE, NOT_DONE, WRONG_USAGE, UNKNOWN, INTERRUPTED = 0, 1, 2, 3, 130

# More than a token's description takes, so that a full disk shows before a token is minted.
_ROOM = 16 * 1024
_HELD_ID = re.compile(
    rb"""(?:SIGNALWIRE_API_TOKEN_ID=|"id":\s*)["']?([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})""", re.IGNORECASE
)
# Read alike by a shell, by docker --env-file and by GITHUB_ENV, none of which unquote as the others do.
_PLAIN = re.compile(r"[A-Za-z0-9_@%+=:,./-]+")
# No argument that is repeated for orientation is longer, and every secret is.
_SHOWN = 24
_CLEAR_LINE = "\r\x1b[K"
# What ends a command: Ctrl-C, a job that is cancelled, a terminal that is closed. Windows has no SIGHUP.
_ENDINGS = [number for number in signal.Signals if number.name in {"SIGINT", "SIGTERM", "SIGHUP"}]


class _CommandError(Exception):
    """What ends the command: one sentence, and an exit code."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


class _InterruptedError(OSError):
    """The command that was to store the secret failed, and an interruption had come."""


class _Id(click.types.UUIDParameterType):
    """An ID. What is none is not repeated: a secret is easily passed for an ID."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            needed = "TOKEN_ID is no UUID; pass the token's id, not its secret"
            if isinstance(param, click.Option):
                needed = f"{param.opts[0]} is no UUID; pass the subproject's id"
            raise click.UsageError(needed, ctx) from None


class _File(click.Path):
    """A file to write. What other commands take for standard output is no file here."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not value:
            raise click.UsageError("--out is empty; name a file", ctx)
        if value == "-":
            said = "leave --out out for standard output (`rotate`: use --exec); ./- for a file of that name"
            raise click.UsageError(said, ctx)
        return super().convert(value, param, ctx)


class _Commands(click.Group):
    """The commands, and a word on what is looked for among them."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        absent = {
            "list": "SignalWire has no call that lists tokens; see the dashboard",
            "revoke": "No such command 'revoke'; use delete",
        }
        if args[0] in absent:
            ctx.fail(absent[args[0]])
        return super().resolve_command(ctx, args)


class _PermissionName(click.Choice[str]):
    """Completes and lists permissions; the library refuses others, and says which was meant."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:  # noqa: ARG002
        return str(value)


def _not_itself(_ctx: click.Context, _param: click.Parameter, value: Any) -> Any:
    """Refuse the configured token as a name or a file: names are shown, and sent."""
    if value and str(value) == os.environ.get("SIGNALWIRE_API_TOKEN"):
        raise click.BadParameter("this is SIGNALWIRE_API_TOKEN itself; credentials are never arguments")
    return value


def _masked(text: str) -> str:
    """Leave out of a message each argument that may be a secret in the wrong place."""
    for word in sys.argv[1:]:
        # Whole, as --option=VALUE and as -oVALUE.
        for value in (word, word.partition("=")[2], word[2:]):
            if len(value) > _SHOWN or (value and value == os.environ.get("SIGNALWIRE_API_TOKEN")):
                text = text.replace(value, "...").replace(repr(value)[1:-1], "...")
    return text


def _say(text: str, *, nl: bool = True) -> None:
    # What was done is done, whether or not somebody reads of it.
    with contextlib.suppress(OSError):
        click.echo(text, err=True, nl=nl)


def _spins() -> bool:
    quiet = any(os.environ.get(name) for name in ("NO_COLOR", "CI")) or os.environ.get("TERM") == "dumb"
    return sys.stderr is not None and sys.stderr.isatty() and not quiet


@contextlib.contextmanager
def _spinner(label: str) -> Iterator[Callable[[], None]]:
    """Turn a wheel on a terminal until the end, or until what is yielded is called."""
    done = threading.Event()

    def spin() -> None:
        frames = itertools.cycle("|/-\\")
        while not done.wait(0.1):
            _say(f"{_CLEAR_LINE}{next(frames)} {label}", nl=False)
        _say(_CLEAR_LINE, nl=False)

    wheel = threading.Thread(target=spin if _spins() else done.wait, daemon=True)

    def stop() -> None:
        done.set()
        wheel.join()

    wheel.start()
    try:
        yield stop
    finally:
        stop()


def _finish_first() -> list[int]:
    """From here on let an interruption wait: half-way, it would leave a token behind. Return a list of what came."""
    came: list[int] = []

    def later(number: int, _frame: object) -> None:
        came.append(number)
        # Straight to the descriptor: the stream may be in use by what was interrupted.
        with contextlib.suppress(OSError, AttributeError):
            os.write(sys.stderr.fileno(), b"\nfinishing first, so that no token is left behind\n")

    for number in _ENDINGS:
        # As nohup wants it, also for a command that is run.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, later)
    return came


@contextlib.contextmanager
def _client(operation: str, *, mints: str | None = None) -> Iterator[ProjectTokens]:
    """Open a client from the environment, and end the command with the right exit code when a call fails.

    `mints` is the name of the token that is minted, if one is.
    """
    try:
        with ProjectTokens() as tokens:
            yield tokens
            # What was done must be said.
            _finish_first()
    except InvalidResponseError as error:
        known = f"; the ID in it was {error.token_id}" if error.token_id else ""
        raise _CommandError(f"{error}{known}", UNKNOWN) from None
    except SignalWireError as error:
        code = UNKNOWN if error.may_have_applied else NOT_DONE
        raise _CommandError(str(error), WRONG_USAGE if isinstance(error, ConfigurationError) else code) from None
    except (TypeError, ValueError) as error:
        raise _CommandError(_masked(str(error)), WRONG_USAGE) from None
    except KeyboardInterrupt:
        if mints is not None:
            raise _CommandError(
                f"interrupted while {operation}: a token of the name {mints!r} may live; look for it in the dashboard",
                UNKNOWN,
            ) from None
        raise _CommandError(f"interrupted while {operation}; run it again to be sure", INTERRUPTED) from None


@contextlib.contextmanager
def _file(path: Path, *, force: bool) -> Iterator[Store]:
    """Reserve a file and room in it, and yield what fills it: whole, synced and for its owner alone."""
    with contextlib.ExitStack() as undo:
        try:
            try:
                # Taken now, so that nobody else takes the name while the token is minted.
                os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
                undo.callback(path.unlink, missing_ok=True)
            except FileExistsError:
                if not force:
                    raise _CommandError(
                        f"{path} exists; name another file, or replace it with --force", WRONG_USAGE
                    ) from None
                if not stat.S_ISREG(path.lstat().st_mode):
                    raise _CommandError(f"{path} is no regular file; name another", WRONG_USAGE) from None
            descriptor, name = tempfile.mkstemp(prefix=".signalwire-tokens-", dir=path.parent)
            undo.callback(Path(name).unlink, missing_ok=True)
            file = undo.enter_context(os.fdopen(descriptor, "wb"))
            file.write(bytes(_ROOM))
            file.flush()
            os.fsync(descriptor)
        except OSError as error:
            raise _CommandError(
                f"{path} cannot be written, so nothing was sent: {error.strerror}", WRONG_USAGE
            ) from None

        def store(content: bytes) -> None:
            _finish_first()
            file.seek(0)
            file.write(content)
            file.truncate()
            os.fsync(descriptor)
            file.close()
            Path(name).replace(path)
            undo.pop_all()
            # Not every system can open or sync a directory; the file itself is synced.
            with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
                directory = os.open(path.parent, os.O_RDONLY)
                stack.callback(os.close, directory)
                os.fsync(directory)

        yield store


@contextlib.contextmanager
def _stdout(*, reveal: bool) -> Iterator[Store]:
    """Yield what writes to standard output, unless that is a terminal that may not see the secret."""
    if sys.stdout is None:
        raise _CommandError("standard output is closed, so nothing was sent; name a file with --out", WRONG_USAGE)
    terminal = sys.stdout.isatty()
    if terminal and not reveal:
        raise _CommandError(
            "standard output is a terminal, so nothing was sent; use --out FILE or a pipe, or show the secret "
            "with --reveal",
            WRONG_USAGE,
        )

    def store(content: bytes) -> None:
        # Not through sys.stdout, which would keep what it could not write and try again on exit.
        with open(sys.stdout.fileno(), "wb", closefd=False) as stdout:
            stdout.write(content)
            if terminal and not content.endswith(b"\n"):
                stdout.write(b"\n")

    yield store


@contextlib.contextmanager
def _command(line: str) -> Iterator[Store]:
    """Yield what hands the secret to a command on its standard input. No shell has part in it."""
    try:
        arguments = shlex.split(line)
    except ValueError as error:
        raise _CommandError(f"--exec cannot be read: {error}", WRONG_USAGE) from None
    if not arguments or shutil.which(arguments[0]) is None:
        raise _CommandError(
            f"--exec names no command that is there: {_masked(repr(line))}; nothing was sent", WRONG_USAGE
        )

    # One with white space in it was quoted.
    if any(re.fullmatch(r"\d*[<>|&;]\S*", argument) for argument in arguments):
        raise _CommandError(
            "--exec is run without a shell, and redirects and pipes are for one: write sh -c '...'; nothing was sent",
            WRONG_USAGE,
        )

    def store(content: bytes) -> None:
        # The terminal interrupts the command too, and it alone knows whether it has stored the secret.
        came = _finish_first()
        reading, writing = os.pipe()
        with (
            os.fdopen(reading, "rb") as left,
            subprocess.Popen(arguments, stdin=left) as command,  # noqa: S603 - the user's own command
            # Closed before the command is waited for, which may read to the end.
            os.fdopen(writing, "wb") as stdin,
        ):

            def write() -> None:
                with stdin:
                    stdin.write(content)

            def end(number: int, _frame: object) -> None:
                came.append(number)
                # One that runs as another user finishes by itself.
                with contextlib.suppress(OSError):
                    command.terminate()

            signal.signal(signal.SIGTERM, end)
            # One may have come while the command was started.
            end(signal.SIGTERM, None) if signal.SIGTERM in came else None
            # A pipe holds so little that writing may have to wait for the command.
            threading.Thread(target=write).start()
            command.wait()
            unread = left.read()
        if code := command.returncode:
            names = {number.value: number.name for number in signal.Signals}
            how = f"exited with {code}" if code > 0 else f"was ended by {names.get(-code, f'signal {-code}')}"
            raise (_InterruptedError if came else OSError)(f"{arguments[0]} {how}")
        if unread:
            raise OSError(f"{arguments[0]} did not read all of it")

    yield store


def _kept(out: Path | None, command: str | None, *, force: bool) -> contextlib.AbstractContextManager[Store] | None:
    """Choose what --out and --exec name; None for neither."""
    if out is not None and command is not None:
        raise click.UsageError("give one of --out and --exec, not both")
    if out is None and force:
        raise click.UsageError("--force goes with --out")
    if out is not None:
        return _file(out, force=force)
    return None if command is None else _command(command)


def _refuse_another(path: Path, token_id: UUID) -> None:
    """Refuse to replace an env or json file of another token than the one that is rotated."""
    held: list[str] = []
    # What cannot be read is no such file, or is refused when it is to be written.
    with contextlib.suppress(OSError):
        if path.is_file():
            with path.open("rb") as file:
                held = [found.decode().lower() for found in _HELD_ID.findall(file.read(_ROOM))]
    if held and str(token_id) not in held:
        raise _CommandError(f"{path} holds token {held[0]}, not {token_id}; nothing was sent", WRONG_USAGE)


def _rendered(token: ApiToken, form: str) -> bytes:
    secret = token.token.get_secret_value()
    if form == "json":
        described = {"id": str(token.id), "name": token.name, "permissions": list(token.permissions), "token": secret}
        return json.dumps(described).encode() + b"\n"
    if form == "env":
        if not _PLAIN.fullmatch(secret):
            raise ValueError("the secret has characters that not all readers of KEY=VALUE lines read alike")
        return f"SIGNALWIRE_API_TOKEN_ID={token.id}\nSIGNALWIRE_API_TOKEN={secret}\n".encode()
    return secret.encode()


def _described(token: ApiToken) -> str:
    permissions = ", ".join(name if name.isprintable() else repr(name) for name in token.permissions)
    return f"token {token.id}, name {token.name!r}, permissions {permissions}"


_permission = partial(
    click.option,
    "-p",
    "--permission",
    "permissions",
    multiple=True,
    type=_PermissionName([permission.value for permission in Permission]),
    metavar="PERMISSION",
)
_subproject = click.option("--subproject", type=_Id(), help="Mint for this subproject of the project.")
_out = click.option(
    "--out",
    type=_File(path_type=Path),
    callback=_not_itself,
    help="Write the secret to this file, whole, with mode 0600. It must be new, or --force given.",
)
_exec = click.option(
    "--exec",
    "command",
    metavar="COMMAND",
    help="Hand the secret to this command on its standard input; it must have stored it when it exits with 0. It is "
    "run without a shell.",
)
_force = click.option("--force", is_flag=True, help="Let --out replace a file, atomically.")
_format = click.option(
    "--format",
    "form",
    type=click.Choice(["text", "env", "json"]),
    default="text",
    show_default=True,
    help="text: the secret alone, without a line end unless on a terminal. env: SIGNALWIRE_API_TOKEN_ID and "
    "SIGNALWIRE_API_TOKEN as KEY=VALUE lines, for shells, docker --env-file and, once it is masked, GITHUB_ENV. "
    "json: an object with id, name, permissions and token.",
)


@click.group(
    cls=_Commands,
    epilog="""\b
Examples:
  signalwire-tokens create ci -p calling -p messaging --out ci-token
  signalwire-tokens create ci -p fax --exec 'gh secret set SIGNALWIRE_API_TOKEN'
  signalwire-tokens rotate TOKEN_ID ci -p fax --out ci-token --force

\b
Exit codes:
    0  done
    1  refused by the service, or not done; nothing is left behind
    2  wrong usage or configuration; nothing was sent
    3  outcome unknown: a token may live that nobody holds, or both live
  130  interrupted; no token is left behind

\b
Completion (bash; zsh and fish alike):
  eval "$(_SIGNALWIRE_TOKENS_COMPLETE=bash_source signalwire-tokens)"
""",
)
@click.version_option(__version__)
def _cli() -> None:
    """Mint, change, rotate and revoke SignalWire API tokens.

    The space and the credentials come from SIGNALWIRE_SPACE, SIGNALWIRE_PROJECT_ID and SIGNALWIRE_API_TOKEN, never
    from arguments. Secrets go where they are asked to; all else is said on standard error.
    """


@_cli.command(
    epilog="""\b
Examples:
  signalwire-tokens create ci -p calling -p messaging --out ci-token
  signalwire-tokens create ci -p fax --format env --out ci.env
  signalwire-tokens create ci -p fax --exec 'docker secret create signalwire -'
"""
)
@click.argument("name", callback=_not_itself)
@_permission(required=True, help="What the token may do; repeat it for more. See `permissions`.")
@_subproject
@_out
@_force
@_exec
@_format
@click.option("--reveal", is_flag=True, help="Show the secret although standard output is a terminal.")
def create(
    *,
    name: str,
    permissions: tuple[str, ...],
    subproject: UUID | None,
    out: Path | None,
    command: str | None,
    form: str,
    force: bool,
    reveal: bool,
) -> None:
    """Mint a token called NAME. Its secret goes to standard output, --out or --exec, and is never shown again.

    If it cannot be stored there, the token is deleted again. A pipe does not tell whether its reader stored the secret:
    if the reader fails after reading, the token lives, so delete the ID that standard error names, or use --exec.
    """
    keep = _kept(out, command, force=force) or _stdout(reveal=reveal)
    with (
        keep as store,
        _client("creating the token", mints=name) as tokens,
        _spinner("creating the token") as stop,
    ):
        created = tokens.create(name, permissions, subproject_id=subproject)
        try:
            stop()
            store(_rendered(created, form))
        except BaseException as failure:  # noqa: BLE001 - whatever it is, the token must not outlive it unknown
            _finish_first()
            interrupted = isinstance(failure, (KeyboardInterrupt, _InterruptedError))
            silent = isinstance(failure, KeyboardInterrupt)
            problem = "interrupted" if silent else f"the secret could not be written: {failure}"
            try:
                tokens.delete(created.id, missing_ok=True)
            except SignalWireError as error:
                raise _CommandError(
                    f"{problem}; the new token {created.id} lives on, as deleting it failed too, so run "
                    f"'signalwire-tokens delete {created.id}': {error}",
                    UNKNOWN,
                ) from None
            raise _CommandError(
                f"{problem}; the new token was deleted again", INTERRUPTED if interrupted else NOT_DONE
            ) from None
    stored = f"; its secret is in {out}" if out else "; its secret is stored" if command else ""
    _say(f"created {_described(created)}{stored}")


@_cli.command(
    epilog="""\b
Examples:
  signalwire-tokens update TOKEN_ID --name ci-deploy
  signalwire-tokens update TOKEN_ID -p calling -p fax
"""
)
@click.argument("token_id", type=_Id())
@click.option("--name", callback=_not_itself, help="The new name.")
@_permission(help="What the token may do from now on; repeat it for more.")
def update(token_id: UUID, name: str | None, permissions: tuple[str, ...]) -> None:
    """Change the name or the permissions of a token. Its secret stays."""
    with _client("changing the token") as tokens, _spinner("changing the token"):
        changed = tokens.update(token_id, name=name, permissions=permissions or None)
    _say(f"changed {_described(changed)}")


@_cli.command(
    epilog="""\b
Examples:
  signalwire-tokens rotate TOKEN_ID ci -p fax --out ci-token --force
  signalwire-tokens rotate TOKEN_ID ci -p fax --exec 'gh secret set SIGNALWIRE_API_TOKEN'
"""
)
@click.argument("token_id", type=_Id())
@click.argument("name", callback=_not_itself)
@_permission(required=True, help="What the new token may do; repeat it for more. See `permissions`.")
@_subproject
@_out
@_force
@_exec
@_format
def rotate(
    *,
    token_id: UUID,
    name: str,
    permissions: tuple[str, ...],
    subproject: UUID | None,
    out: Path | None,
    command: str | None,
    form: str,
    force: bool,
) -> None:
    """Mint a token called NAME, store its secret, and only then delete the old token TOKEN_ID.

    At every moment one that is stored works. If storing fails, the new token is deleted again and the old one stays.
    """
    keep = _kept(out, command, force=force)
    if keep is None:
        raise click.UsageError("give one of --out and --exec: the old token is deleted once the new one is stored")
    if out and force:
        _refuse_another(out, token_id)
    minted: list[ApiToken] = []
    with (
        keep as store,
        _client("rotating the token", mints=name) as tokens,
        _spinner("rotating the token") as stop,
    ):

        def keep_new(token: ApiToken) -> None:
            minted.append(token)
            try:
                stop()
                store(_rendered(token, form))
            except (OSError, ValueError, KeyboardInterrupt) as failure:
                interrupted = isinstance(failure, (KeyboardInterrupt, _InterruptedError))
                problem = str(failure) or "interrupted"
                raise _CommandError(
                    f"the secret could not be stored: {problem}; the new token was deleted again, the old one stays",
                    INTERRUPTED if interrupted else NOT_DONE,
                ) from None

        try:
            created = tokens.rotate(token_id, name, permissions, store=keep_new, subproject_id=subproject)
        except SignalWireError as error:
            if not minted or isinstance(error, RotationError):
                raise
            new = minted[0].id
            raise _CommandError(
                f"the secret could not be stored, and the new token {new} lives on beside the old one, as deleting it "
                f"failed too, so run 'signalwire-tokens delete {new}': {error}",
                UNKNOWN,
            ) from None
    _say(f"created {_described(created)}; its secret is stored, and the old token {token_id} is deleted")


@_cli.command(
    epilog="""\b
Example:
  signalwire-tokens delete TOKEN_ID
"""
)
@click.argument("token_id", type=_Id())
def delete(token_id: UUID) -> None:
    """Delete a token: whoever uses it is refused from then on. This cannot be undone."""
    with _client("deleting the token") as tokens, _spinner("deleting the token"):
        tokens.delete(token_id)
    _say(f"deleted token {token_id}")


@_cli.command()
def permissions() -> None:
    """List the permissions that a token can have. Needs no credentials."""
    for permission in Permission:
        click.echo(permission.value)


def _end(number: int, _frame: object) -> None:
    # Another one must not interrupt the clearing up.
    _finish_first()
    # What is logged of an interruption names it.
    raise type(signal.Signals(number).name, (KeyboardInterrupt,), {})


def main() -> None:
    """Run the command `signalwire-tokens` and exit.

    Example:
        >>> main()
    """
    # A job that is cancelled and a terminal that is closed must not leave a token behind either.
    for number in _ENDINGS:
        # As nohup wants it.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _end)
    logging.basicConfig(format=f"{_CLEAR_LINE if _spins() else ''}%(message)s")
    # Retries are told as they come; an error is told once, at the end.
    logging.getLogger().handlers[0].addFilter(lambda record: record.levelno < logging.ERROR)
    try:
        sys.exit(_cli.main(prog_name="signalwire-tokens", standalone_mode=False))
    except click.ClickException as error:
        shown = io.StringIO()
        error.show(shown)
        _say(_masked(shown.getvalue()), nl=False)
        sys.exit(error.exit_code)
    except _CommandError as error:
        _say(f"Error: {error}")
        sys.exit(error.code)
    except click.Abort:
        _say("Error: interrupted; nothing was sent")
        sys.exit(INTERRUPTED)
