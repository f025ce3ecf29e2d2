from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import quote
from uuid import UUID

import httpx

from ... import errors
from ...types import Response

if TYPE_CHECKING:
    from ...client import AuthenticatedClient, Client
    from ...models.token_response import TokenResponse
    from ...models.types_status_codes_status_code_401 import (
        TypesStatusCodesStatusCode401,
    )
    from ...models.types_status_codes_status_code_404 import (
        TypesStatusCodesStatusCode404,
    )
    from ...models.types_status_codes_status_code_422 import (
        TypesStatusCodesStatusCode422,
    )
    from ...models.types_status_codes_status_code_500 import (
        TypesStatusCodesStatusCode500,
    )
    from ...models.update_token_request import UpdateTokenRequest


def _get_kwargs(
    token_id: UUID,
    *,
    body: UpdateTokenRequest,
) -> dict[str, Any]:
    headers: dict[str, Any] = {}

    _kwargs: dict[str, Any] = {
        "method": "patch",
        "url": "/api/project/tokens/{token_id}".format(
            token_id=quote(str(token_id), safe=""),
        ),
    }

    _kwargs["json"] = body.to_dict()

    headers["Content-Type"] = "application/json"

    _kwargs["headers"] = headers
    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> (
    TokenResponse
    | TypesStatusCodesStatusCode401
    | TypesStatusCodesStatusCode404
    | TypesStatusCodesStatusCode422
    | TypesStatusCodesStatusCode500
    | None
):

    from ...models.token_response import TokenResponse
    from ...models.types_status_codes_status_code_401 import (
        TypesStatusCodesStatusCode401,
    )
    from ...models.types_status_codes_status_code_404 import (
        TypesStatusCodesStatusCode404,
    )
    from ...models.types_status_codes_status_code_422 import (
        TypesStatusCodesStatusCode422,
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

    if response.status_code == 404:
        response_404 = TypesStatusCodesStatusCode404.from_dict(response.json())

        return response_404

    if response.status_code == 422:
        response_422 = TypesStatusCodesStatusCode422.from_dict(response.json())

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
    TokenResponse
    | TypesStatusCodesStatusCode401
    | TypesStatusCodesStatusCode404
    | TypesStatusCodesStatusCode422
    | TypesStatusCodesStatusCode500
]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    token_id: UUID,
    *,
    client: AuthenticatedClient,
    body: UpdateTokenRequest,
) -> Response[
    TokenResponse
    | TypesStatusCodesStatusCode401
    | TypesStatusCodesStatusCode404
    | TypesStatusCodesStatusCode422
    | TypesStatusCodesStatusCode500
]:
    """Update API token

     Change the name or the permissions of an API token. The secret stays the same. The token used to
    authenticate needs the management permission.

    Args:
        token_id (UUID):
        body (UpdateTokenRequest): What to change about an API token.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[TokenResponse | TypesStatusCodesStatusCode401 | TypesStatusCodesStatusCode404 | TypesStatusCodesStatusCode422 | TypesStatusCodesStatusCode500]
    """

    kwargs = _get_kwargs(
        token_id=token_id,
        body=body,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    token_id: UUID,
    *,
    client: AuthenticatedClient,
    body: UpdateTokenRequest,
) -> (
    TokenResponse
    | TypesStatusCodesStatusCode401
    | TypesStatusCodesStatusCode404
    | TypesStatusCodesStatusCode422
    | TypesStatusCodesStatusCode500
    | None
):
    """Update API token

     Change the name or the permissions of an API token. The secret stays the same. The token used to
    authenticate needs the management permission.

    Args:
        token_id (UUID):
        body (UpdateTokenRequest): What to change about an API token.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        TokenResponse | TypesStatusCodesStatusCode401 | TypesStatusCodesStatusCode404 | TypesStatusCodesStatusCode422 | TypesStatusCodesStatusCode500
    """

    return sync_detailed(
        token_id=token_id,
        client=client,
        body=body,
    ).parsed


async def asyncio_detailed(
    token_id: UUID,
    *,
    client: AuthenticatedClient,
    body: UpdateTokenRequest,
) -> Response[
    TokenResponse
    | TypesStatusCodesStatusCode401
    | TypesStatusCodesStatusCode404
    | TypesStatusCodesStatusCode422
    | TypesStatusCodesStatusCode500
]:
    """Update API token

     Change the name or the permissions of an API token. The secret stays the same. The token used to
    authenticate needs the management permission.

    Args:
        token_id (UUID):
        body (UpdateTokenRequest): What to change about an API token.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[TokenResponse | TypesStatusCodesStatusCode401 | TypesStatusCodesStatusCode404 | TypesStatusCodesStatusCode422 | TypesStatusCodesStatusCode500]
    """

    kwargs = _get_kwargs(
        token_id=token_id,
        body=body,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    token_id: UUID,
    *,
    client: AuthenticatedClient,
    body: UpdateTokenRequest,
) -> (
    TokenResponse
    | TypesStatusCodesStatusCode401
    | TypesStatusCodesStatusCode404
    | TypesStatusCodesStatusCode422
    | TypesStatusCodesStatusCode500
    | None
):
    """Update API token

     Change the name or the permissions of an API token. The secret stays the same. The token used to
    authenticate needs the management permission.

    Args:
        token_id (UUID):
        body (UpdateTokenRequest): What to change about an API token.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        TokenResponse | TypesStatusCodesStatusCode401 | TypesStatusCodesStatusCode404 | TypesStatusCodesStatusCode422 | TypesStatusCodesStatusCode500
    """

    return (
        await asyncio_detailed(
            token_id=token_id,
            client=client,
            body=body,
        )
    ).parsed
