"""The two clients: public methods and their documentation. The logic is in the modules that this one imports."""

from __future__ import annotations

import time
from typing import Self

import anyio
import httpx

from . import _operations, _transport
from ._rotation import AsyncTemporary, Rotating, Store, Temporary
from ._sending import __version__ as __version__, run
from .models import ApiToken, Id, Permissions


class ProjectTokens(Rotating[httpx.BaseTransport]):
    """Creates, changes, rotates and deletes the API tokens of a SignalWire project.

    Safe to share between threads and over a fork. Close it, or use it as a context manager; calls in flight still
    finish. A call is retried only where that cannot mint twice: if its body was never sent, or after a 429; an update
    or a delete also after a 502, 503 or 504, a timeout or a broken connection.

    Args:
        space: The space's name (`example`), its host (`example.signalwire.com`) or its `https://` URL; plain
            `http://` for loopback hosts only. Default: the environment variable `SIGNALWIRE_SPACE`.
        project_id: The project's ID. Default: `SIGNALWIRE_PROJECT_ID`.
        api_token: An API token of the project with the `management` permission. Default: `SIGNALWIRE_API_TOKEN`.
        timeout: The limit in seconds for connecting to each address, and again for all the rest of an attempt. On
            plain HTTP and with a `transport`, it bounds each wait, and the whole body of the response. Default: 30.
        max_retries: How often a call is retried, after a wait of up to 60 seconds each time. Default: 2.
        transport: An `httpx` transport to send with, such as `httpx.HTTPTransport(proxy=...)`. All calls share it, and
            the client never closes it. Default: transports of the client's own, one for each call in flight.

    Raises:
        ConfigurationError: A value is missing, empty or malformed.
        TypeError, ValueError: An argument has the wrong type, or `timeout` or `max_retries` is out of range.

    Example:
        >>> with ProjectTokens("example", project_id, api_token) as tokens:
        ...     created = tokens.create("ci-deploy", [Permission.CALLING, "messaging"])
        ...     vault.write("signalwire/ci", created.token.get_secret_value())
    """

    _sleep, _transports_class = staticmethod(time.sleep), _transport.SyncTransports

    def create(
        self, name: str, permissions: Permissions, *, subproject_id: Id | None = None, store: Store | None = None
    ) -> ApiToken:
        """Mint a token. Store its secret at once: no call shows it again, except perhaps `update`.

        Args:
            name: The name of the token; not blank.
            permissions: One or more of `Permission`, as members or strings.
            subproject_id: A subproject of this project to mint for. Default: this project itself.
            store: A function that is called with the token, and must have persisted it when it returns. If it raises,
                the token is deleted and its error is raised. If it is interrupted or cancelled, the token stays; the
                log and a note on the exception name it. Default: the caller stores it.

        Raises:
            TypeError, ValueError: An argument is invalid; nothing was sent. Or `store` returned an awaitable, which
                counts as a failure of `store`.
            SignalWireError: The call failed, or the token could neither be stored nor deleted. If `may_have_applied` is
                true, a token of this name may exist.

        Example:
            >>> tokens.create("ci-deploy", [Permission.CALLING, "messaging"]).token
            SecretStr('**********')
        """
        return run(self._create(_operations.create(name, permissions, subproject_id), store))

    def update(self, token_id: Id, *, name: str | None = None, permissions: Permissions | None = None) -> ApiToken:
        """Change a token's name, its permissions, or both. Its secret stays the same.

        SignalWire documents that the response contains the secret, too. So this may recover a lost secret if the ID of
        the token is known; nobody has tried it on a live space.

        Args:
            token_id: The ID of the token.
            name: The new name. Default: unchanged.
            permissions: The permissions that replace the present ones. Default: unchanged.

        Raises:
            TypeError, ValueError: An argument is invalid, or there is nothing to change; nothing was sent.
            SignalWireError: The call failed; a `NotFoundError` if there is no such token.

        Example:
            >>> tokens.update(created.id, permissions=["calling"]).permissions
            (<Permission.CALLING: 'calling'>,)
        """
        return run(self._call(_operations.update(token_id, name, permissions)))

    def delete(self, token_id: Id, *, missing_ok: bool = False) -> None:
        """Delete a token. The service refuses its secret from then on. This cannot be undone.

        Args:
            token_id: The ID of the token.
            missing_ok: Whether to succeed if there is no such token. Default: raise a `NotFoundError`.

        Raises:
            TypeError, ValueError: `token_id` is no UUID; nothing was sent.
            SignalWireError: The call failed.

        Example:
            >>> tokens.delete(created.id)
        """
        run(self._call(_operations.delete(token_id, missing_ok=missing_ok)))

    def rotate(
        self, token_id: Id, name: str, permissions: Permissions, *, store: Store, subproject_id: Id | None = None
    ) -> ApiToken:
        """Replace an old token with a new one. At every moment, a stored token works.

        Args:
            token_id: The ID of the old token. It is deleted once the new one is stored.
            name, permissions, subproject_id: As for `create`; they are those of the new token.
            store: As for `create`. It must overwrite the old secret in its last step: if it raises after that, the
                token that it stored is deleted.

        Raises:
            TypeError, ValueError: As for `create`.
            RotationError: The new token is stored, but the old one could not be deleted.
            SignalWireError: The new token could not be created, or `store` failed and it could not be deleted.

        Example:
            >>> tokens.rotate(old_id, "ci", ["fax"], store=lambda new: vault.write("ci", new.token.get_secret_value()))
        """
        return run(self._rotate(token_id, _operations.create(name, permissions, subproject_id), store))

    def temporary(self, name: str, permissions: Permissions, *, subproject_id: Id | None = None) -> Temporary:
        """Mint a token for a `with` block, and delete it however the block ends. Arguments are those of `create`.

        The token stays if no Python code runs at the end: after `SIGKILL`, `os._exit` or a power cut. A forked child
        process deletes nothing. Each call is for one block: entering it again raises a `RuntimeError`.

        Raises:
            SignalWireError: The token could not be created; or it could not be deleted, and the error names its ID.

        Example:
            >>> with tokens.temporary("job", ["messaging"]) as token:
            ...     run_job(token.token.get_secret_value())
        """
        return Temporary(_operations.create(name, permissions, subproject_id), self._call, self._revoke, self._log)

    def close(self) -> None:
        """Close the idle connections; each call in flight closes its own. Closing twice does no harm."""
        run(self._transports.close())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncProjectTokens(Rotating[httpx.AsyncBaseTransport]):
    """Creates, changes, rotates and deletes the API tokens of a SignalWire project, with asyncio or trio.

    As `ProjectTokens`, awaited: see there. Safe to share between tasks and event loops, and over a fork. Close it, or
    use it as an async context manager. `transport` is an `httpx.AsyncBaseTransport`; `timeout` bounds a whole attempt.
    At most 64 calls of an event loop are in flight at once; the others wait, and their time begins with their turn.

    Example:
        >>> async with AsyncProjectTokens("example", project_id, api_token) as tokens:
        ...     created = await tokens.create("ci-deploy", [Permission.CALLING, "messaging"])
        ...     await vault.write("signalwire/ci", created.token.get_secret_value())
    """

    _sleep = staticmethod(lambda seconds: anyio.sleep(seconds))  # noqa: PLW0108 - anyio loads it on its first use
    _transports_class = _transport.AsyncTransports

    async def create(
        self, name: str, permissions: Permissions, *, subproject_id: Id | None = None, store: Store | None = None
    ) -> ApiToken:
        """Mint a token. As `ProjectTokens.create`, awaited; an awaitable that `store` returns is awaited, too."""
        return await self._create(_operations.create(name, permissions, subproject_id), store)

    async def update(
        self, token_id: Id, *, name: str | None = None, permissions: Permissions | None = None
    ) -> ApiToken:
        """Change a token's name, its permissions, or both. As `ProjectTokens.update`, awaited."""
        return await self._call(_operations.update(token_id, name, permissions))

    async def delete(self, token_id: Id, *, missing_ok: bool = False) -> None:
        """Delete a token. As `ProjectTokens.delete`, awaited."""
        await self._call(_operations.delete(token_id, missing_ok=missing_ok))

    async def rotate(
        self, token_id: Id, name: str, permissions: Permissions, *, store: Store, subproject_id: Id | None = None
    ) -> ApiToken:
        """Replace an old token with a new one. As `ProjectTokens.rotate`, awaited; `store` is as for `create`."""
        return await self._rotate(token_id, _operations.create(name, permissions, subproject_id), store)

    def temporary(self, name: str, permissions: Permissions, *, subproject_id: Id | None = None) -> AsyncTemporary:
        """Mint a token for an `async with` block. As `ProjectTokens.temporary`."""
        return AsyncTemporary(_operations.create(name, permissions, subproject_id), self._call, self._revoke, self._log)

    async def aclose(self) -> None:
        """Close the idle connections of this event loop. As `ProjectTokens.close`, awaited."""
        await self._transports.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()
