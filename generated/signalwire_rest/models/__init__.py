"""Contains all the data models used in inputs/outputs"""

from .create_token_request import CreateTokenRequest
from .permission import Permission
from .pub_sub_pub_sub_token_422_error import PubSubPubSubToken422Error
from .token_response import TokenResponse
from .types_status_codes_rest_api_error_item import TypesStatusCodesRestApiErrorItem
from .types_status_codes_status_code_401 import TypesStatusCodesStatusCode401
from .types_status_codes_status_code_401_error import TypesStatusCodesStatusCode401Error
from .types_status_codes_status_code_404 import TypesStatusCodesStatusCode404
from .types_status_codes_status_code_404_error import TypesStatusCodesStatusCode404Error
from .types_status_codes_status_code_422 import TypesStatusCodesStatusCode422
from .types_status_codes_status_code_500 import TypesStatusCodesStatusCode500
from .types_status_codes_status_code_500_error import TypesStatusCodesStatusCode500Error
from .update_token_request import UpdateTokenRequest

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
