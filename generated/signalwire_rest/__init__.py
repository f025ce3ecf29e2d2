"""The low-level client, generated from SignalWire's API description.

PYTEST_DONT_REWRITE
"""

from typing import TYPE_CHECKING

__all__ = (
    "AuthenticatedClient",
    "Client",
)

if TYPE_CHECKING:
    from .client import AuthenticatedClient, Client
else:

    def __getattr__(name):
        global AuthenticatedClient, Client
        if name in __all__:
            from .client import AuthenticatedClient, Client

            return globals()[name]
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__():
        return [*globals(), *__all__]
