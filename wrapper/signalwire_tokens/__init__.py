"""Mint, change, rotate and revoke SignalWire API tokens without losing or leaking one."""

from ._client import AsyncProjectTokens, ProjectTokens, __version__
from .errors import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    ConfigurationError,
    ErrorDetail,
    InternalServerError,
    InvalidResponseError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    RotationError,
    SignalWireError,
    UnprocessableEntityError,
)
from .models import ApiToken, Permission, SecretStr, UnlistedPermission

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
    "ProjectTokens",
    "RateLimitError",
    "RotationError",
    "SecretStr",
    "SignalWireError",
    "UnlistedPermission",
    "UnprocessableEntityError",
    "__version__",
]
