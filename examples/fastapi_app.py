"""An endpoint that mints tokens for tenants: `uvicorn fastapi_app:app`.

Put your own authentication in front of it: whoever reaches it gets tokens.
"""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated
from uuid import UUID

from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from signalwire_tokens import (
    AsyncProjectTokens,
    NotFoundError,
    Permission,
    RateLimitError,
    SignalWireError,
    UnprocessableEntityError,
)

logger = logging.getLogger(__name__)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    # One client for the whole process: it keeps its connections, and wrong settings fail at the start.
    async with AsyncProjectTokens() as tokens:
        app.state.tokens = tokens
        yield


app = FastAPI(lifespan=lifespan)


def client(request: Request) -> AsyncProjectTokens:
    tokens: AsyncProjectTokens = request.app.state.tokens
    return tokens


Tokens = Annotated[AsyncProjectTokens, Depends(client)]


class Wanted(BaseModel):
    name: str
    permissions: list[Permission]


class Minted(BaseModel):
    id: UUID
    # A plain string: this response is the one place where the secret belongs.
    token: str


@app.post("/tenants/{subproject_id}/tokens", status_code=201)
async def create(subproject_id: UUID, wanted: Wanted, tokens: Tokens, response: Response) -> Minted:
    # Caches and proxies must not keep the secret.
    response.headers["Cache-Control"] = "no-store"
    try:
        created = await tokens.create(wanted.name, wanted.permissions, subproject_id=subproject_id)
    except SignalWireError:
        raise
    except ValueError as error:
        # Such as a blank name; nothing was sent.
        raise HTTPException(422, str(error)) from None
    return Minted(id=created.id, token=created.token.get_secret_value())


@app.delete("/tokens/{token_id}", status_code=204)
async def delete(token_id: UUID, tokens: Tokens) -> None:
    # A caller that retries because the first response was lost gets a success.
    await tokens.delete(token_id, missing_ok=True)


@app.exception_handler(SignalWireError)
async def failed(_: Request, error: SignalWireError) -> JSONResponse:
    # The text of an error holds no secret, but callers need no details of what is behind this service.
    if isinstance(error, NotFoundError):
        return JSONResponse({"detail": "no such token"}, 404)
    if isinstance(error, UnprocessableEntityError):
        return JSONResponse({"detail": "SignalWire refused it, such as a subproject that is not there"}, 422)
    if isinstance(error, RateLimitError):
        return JSONResponse({"detail": "try again later"}, 503, {"Retry-After": str(int(error.retry_after or 1))})
    # Such as a 401 after the token in use was deleted. The library logs only unknown outcomes.
    logger.error("%s", error)
    # A caller that retries blindly would mint a second token.
    return JSONResponse({"detail": "SignalWire failed", "may_have_applied": error.may_have_applied}, 502)
