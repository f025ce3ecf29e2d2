"""The low-level client, generated from SignalWire's API description.

PYTEST_DONT_REWRITE
"""

from .client import AuthenticatedClient, Client

__all__ = (
    "AuthenticatedClient",
    "Client",
)
