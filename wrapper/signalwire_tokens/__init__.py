"""Mint, change, rotate and revoke SignalWire API tokens without losing or leaking one."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._client import AsyncProjectTokens, ProjectTokens, __version__
    from .errors import *
    from .models import ApiToken, Permission, PermissionName, SecretStr, UnlistedPermission

__all__ = [
    "APIConnectionError",
    "APIStatusError",
    "APITimeoutError",
    "ApiToken",
    "AsyncProjectTokens",
    "AuthenticationError",
    "BadRequestError",
    "ConfigurationError",
    "ErrorDetail",
    "InternalServerError",
    "InvalidResponseError",
    "NotFoundError",
    "Permission",
    "PermissionDeniedError",
    "PermissionName",
    "ProjectTokens",
    "RateLimitError",
    "RotationError",
    "SecretStr",
    "SignalWireError",
    "UnlistedPermission",
    "UnprocessableEntityError",
    "__version__",
]


def __getattr__(name: str) -> object:
    # Imported on first use: httpx is slow to load, and pytest loads this package in every run.
    if name in __all__:
        modules = (import_module(f".{module}", __name__) for module in ("errors", "models", "_client"))
        globals()[name] = found = next(getattr(module, name) for module in modules if hasattr(module, name))
        return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *__all__]
