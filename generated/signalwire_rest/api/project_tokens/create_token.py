from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import httpx

from ... import errors
from ...types import Response

if TYPE_CHECKING:
    from ...client import AuthenticatedClient, Client
    from ...models.create_token_request import CreateTokenRequest
    from ...models.pub_sub_pub_sub_token_422_error import PubSubPubSubToken422Error
    from ...models.token_response import TokenResponse
    from ...models.types_status_codes_status_code_401 import (
        TypesStatusCodesStatusCode401,
    )
    from ...models.types_status_codes_status_code_500 import (
        TypesStatusCodesStatusCode500,
    )


def _get_kwargs(
    *,
    body: CreateTokenRequest,
) -> dict[str, Any]:
    headers: dict[str, Any] = {}

    _kwargs: dict[str, Any] = {
        "method": "post",
        "url": "/api/project/tokens",
    }

    _kwargs["json"] = body.to_dict()

    headers["Content-Type"] = "application/json"

    _kwargs["headers"] = headers
    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> (
    PubSubPubSubToken422Error
    | TokenResponse
    | TypesStatusCodesStatusCode401
    | TypesStatusCodesStatusCode500
    | None
):
    from ...models.pub_sub_pub_sub_token_422_error import PubSubPubSubToken422Error
    from ...models.token_response import TokenResponse
    from ...models.types_status_codes_status_code_401 import (
        TypesStatusCodesStatusCode401,
    )
    from ...models.types_status_codes_status_code_500 import (
        TypesStatusCodesStatusCode500,
    )

    if response.status_code == 200:
        response_200 = TokenResponse.from_dict(response.json())

        return response_200

    if response.status_code == 401:
        response_401 = TypesStatusCodesStatusCode401.from_dict(response.json())

        return response_401

    if response.status_code == 422:
        response_422 = PubSubPubSubToken422Error.from_dict(response.json())

        return response_422

    if response.status_code == 500:
        response_500 = TypesStatusCodesStatusCode500.from_dict(response.json())

        return response_500

    if client.raise_on_unexpected_status:
        raise errors.UnexpectedStatus(response.status_code, response.content)
    else:
        return None


def _build_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> Response[
    PubSubPubSubToken422Error
    | TokenResponse
    | TypesStatusCodesStatusCode401
    | TypesStatusCodesStatusCode500
]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    *,
    client: AuthenticatedClient,
    body: CreateTokenRequest,
) -> Response[
    PubSubPubSubToken422Error
    | TokenResponse
    | TypesStatusCodesStatusCode401
    | TypesStatusCodesStatusCode500
]:
    """Create API token

     Generate an API Token for a project to be used to authenticate requests within the project.

    #### Permissions

    The API token used to authenticate must have the following scope(s) enabled to make a successful
    request: _Management_.

    [Learn more about API scopes](/docs/platform/your-signalwire-api-space).

    #### Token Permissions

    You must set the functions allowed by this API Token by selecting which types of requests this API
    Token is allowed to make.

    Valid options are: calling, chat, datasphere, fax, management, messaging, numbers, pubsub, storage,
    tasking, and video

    Args:
        body (CreateTokenRequest): Request body for creating a new API Token.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[PubSubPubSubToken422Error | TokenResponse | TypesStatusCodesStatusCode401 | TypesStatusCodesStatusCode500]
    """

    kwargs = _get_kwargs(
        body=body,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    *,
    client: AuthenticatedClient,
    body: CreateTokenRequest,
) -> (
    PubSubPubSubToken422Error
    | TokenResponse
    | TypesStatusCodesStatusCode401
    | TypesStatusCodesStatusCode500
    | None
):
    """Create API token

     Generate an API Token for a project to be used to authenticate requests within the project.

    #### Permissions

    The API token used to authenticate must have the following scope(s) enabled to make a successful
    request: _Management_.

    [Learn more about API scopes](/docs/platform/your-signalwire-api-space).

    #### Token Permissions

    You must set the functions allowed by this API Token by selecting which types of requests this API
    Token is allowed to make.

    Valid options are: calling, chat, datasphere, fax, management, messaging, numbers, pubsub, storage,
    tasking, and video

    Args:
        body (CreateTokenRequest): Request body for creating a new API Token.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        PubSubPubSubToken422Error | TokenResponse | TypesStatusCodesStatusCode401 | TypesStatusCodesStatusCode500
    """

    return sync_detailed(
        client=client,
        body=body,
    ).parsed


async def asyncio_detailed(
    *,
    client: AuthenticatedClient,
    body: CreateTokenRequest,
) -> Response[
    PubSubPubSubToken422Error
    | TokenResponse
    | TypesStatusCodesStatusCode401
    | TypesStatusCodesStatusCode500
]:
    """Create API token

     Generate an API Token for a project to be used to authenticate requests within the project.

    #### Permissions

    The API token used to authenticate must have the following scope(s) enabled to make a successful
    request: _Management_.

    [Learn more about API scopes](/docs/platform/your-signalwire-api-space).

    #### Token Permissions

    You must set the functions allowed by this API Token by selecting which types of requests this API
    Token is allowed to make.

    Valid options are: calling, chat, datasphere, fax, management, messaging, numbers, pubsub, storage,
    tasking, and video

    Args:
        body (CreateTokenRequest): Request body for creating a new API Token.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[PubSubPubSubToken422Error | TokenResponse | TypesStatusCodesStatusCode401 | TypesStatusCodesStatusCode500]
    """

    kwargs = _get_kwargs(
        body=body,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    *,
    client: AuthenticatedClient,
    body: CreateTokenRequest,
) -> (
    PubSubPubSubToken422Error
    | TokenResponse
    | TypesStatusCodesStatusCode401
    | TypesStatusCodesStatusCode500
    | None
):
    """Create API token

     Generate an API Token for a project to be used to authenticate requests within the project.

    #### Permissions

    The API token used to authenticate must have the following scope(s) enabled to make a successful
    request: _Management_.

    [Learn more about API scopes](/docs/platform/your-signalwire-api-space).

    #### Token Permissions

    You must set the functions allowed by this API Token by selecting which types of requests this API
    Token is allowed to make.

    Valid options are: calling, chat, datasphere, fax, management, messaging, numbers, pubsub, storage,
    tasking, and video

    Args:
        body (CreateTokenRequest): Request body for creating a new API Token.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        PubSubPubSubToken422Error | TokenResponse | TypesStatusCodesStatusCode401 | TypesStatusCodesStatusCode500
    """

    return (
        await asyncio_detailed(
            client=client,
            body=body,
        )
    ).parsed
