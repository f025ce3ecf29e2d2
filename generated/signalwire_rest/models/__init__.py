"""Contains all the data models used in inputs/outputs"""

from typing import TYPE_CHECKING

__all__ = (
    "CreateTokenRequest",
    "Permission",
    "PubSubPubSubToken422Error",
    "TokenResponse",
    "TypesStatusCodesRestApiErrorItem",
    "TypesStatusCodesStatusCode401",
    "TypesStatusCodesStatusCode401Error",
    "TypesStatusCodesStatusCode404",
    "TypesStatusCodesStatusCode404Error",
    "TypesStatusCodesStatusCode422",
    "TypesStatusCodesStatusCode500",
    "TypesStatusCodesStatusCode500Error",
    "UpdateTokenRequest",
)

if TYPE_CHECKING:
    from .create_token_request import CreateTokenRequest
    from .permission import Permission
    from .pub_sub_pub_sub_token_422_error import PubSubPubSubToken422Error
    from .token_response import TokenResponse
    from .types_status_codes_rest_api_error_item import TypesStatusCodesRestApiErrorItem
    from .types_status_codes_status_code_401 import TypesStatusCodesStatusCode401
    from .types_status_codes_status_code_401_error import (
        TypesStatusCodesStatusCode401Error,
    )
    from .types_status_codes_status_code_404 import TypesStatusCodesStatusCode404
    from .types_status_codes_status_code_404_error import (
        TypesStatusCodesStatusCode404Error,
    )
    from .types_status_codes_status_code_422 import TypesStatusCodesStatusCode422
    from .types_status_codes_status_code_500 import TypesStatusCodesStatusCode500
    from .types_status_codes_status_code_500_error import (
        TypesStatusCodesStatusCode500Error,
    )
    from .update_token_request import UpdateTokenRequest
else:

    def __getattr__(name):
        if name == "CreateTokenRequest":
            global CreateTokenRequest
            from .create_token_request import CreateTokenRequest
        if name == "Permission":
            global Permission
            from .permission import Permission
        if name == "PubSubPubSubToken422Error":
            global PubSubPubSubToken422Error
            from .pub_sub_pub_sub_token_422_error import PubSubPubSubToken422Error
        if name == "TokenResponse":
            global TokenResponse
            from .token_response import TokenResponse
        if name == "TypesStatusCodesRestApiErrorItem":
            global TypesStatusCodesRestApiErrorItem
            from .types_status_codes_rest_api_error_item import (
                TypesStatusCodesRestApiErrorItem,
            )
        if name == "TypesStatusCodesStatusCode401":
            global TypesStatusCodesStatusCode401
            from .types_status_codes_status_code_401 import (
                TypesStatusCodesStatusCode401,
            )
        if name == "TypesStatusCodesStatusCode401Error":
            global TypesStatusCodesStatusCode401Error
            from .types_status_codes_status_code_401_error import (
                TypesStatusCodesStatusCode401Error,
            )
        if name == "TypesStatusCodesStatusCode404":
            global TypesStatusCodesStatusCode404
            from .types_status_codes_status_code_404 import (
                TypesStatusCodesStatusCode404,
            )
        if name == "TypesStatusCodesStatusCode404Error":
            global TypesStatusCodesStatusCode404Error
            from .types_status_codes_status_code_404_error import (
                TypesStatusCodesStatusCode404Error,
            )
        if name == "TypesStatusCodesStatusCode422":
            global TypesStatusCodesStatusCode422
            from .types_status_codes_status_code_422 import (
                TypesStatusCodesStatusCode422,
            )
        if name == "TypesStatusCodesStatusCode500":
            global TypesStatusCodesStatusCode500
            from .types_status_codes_status_code_500 import (
                TypesStatusCodesStatusCode500,
            )
        if name == "TypesStatusCodesStatusCode500Error":
            global TypesStatusCodesStatusCode500Error
            from .types_status_codes_status_code_500_error import (
                TypesStatusCodesStatusCode500Error,
            )
        if name == "UpdateTokenRequest":
            global UpdateTokenRequest
            from .update_token_request import UpdateTokenRequest
        if name in __all__:
            return globals()[name]
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__():
        return [*globals(), *__all__]
