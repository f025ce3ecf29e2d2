"""Mint, change, rotate and revoke SignalWire API tokens without losing or leaking one.

PYTEST_DONT_REWRITE: no assertion needs rewriting, so pytest must not warn if this was imported before it started.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._client import AsyncProjectTokens, ProjectTokens, __version__
    from .errors import *
    from .models import ApiToken, Permission, PermissionName, SecretStr, UnlistedPermission

__all__ = ["ApiToken", "AsyncProjectTokens", "Permission", "PermissionName", "ProjectTokens", "SecretStr"]
__all__ += ["UnlistedPermission", "__version__"]
__all__ += ["APIConnectionError", "APIStatusError", "APITimeoutError", "AuthenticationError", "BadRequestError"]
__all__ += ["ConfigurationError", "ErrorDetail", "InternalServerError", "InvalidResponseError", "NotFoundError"]
__all__ += ["PermissionDeniedError", "RateLimitError", "RotationError", "SignalWireError", "UnprocessableEntityError"]


def __getattr__(name: str) -> object:
    # Imported on first use: httpx is slow to load, and pytest loads this package in every run. The imports are literal,
    # so that tools that freeze an application see them.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import _client, errors, models  # noqa: PLC0415

    known = {**vars(_client), **vars(errors), **vars(models)}
    globals().update({public: known[public] for public in __all__})
    return globals()[name]


def __dir__() -> list[str]:
    return [*{*globals(), *__all__}]
