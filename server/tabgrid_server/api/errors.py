"""Every refusal as OpenAI's error object, with the status and ``Retry-After`` that fit."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec
import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from tabgrid_models.connectors.base import InvalidInput

from ..errors import BadRequest, GridError
from ..ledger import InsufficientFunds
from ..store import StoreUnavailable
from .schemas.errors import ErrorBody, ErrorDetail

log = structlog.get_logger("tabgrid.api")

_encode = msgspec.json.Encoder().encode


def error_response(
    status: int,
    message: str,
    type: str,
    code: str | None = None,
    param: str | None = None,
    retry_after: int | None = None,
) -> Response:
    headers = {"Retry-After": str(retry_after)} if retry_after is not None else None
    if status == 401:
        headers = {"WWW-Authenticate": "Bearer"}
    body = ErrorBody(ErrorDetail(message, type, code, param))
    return Response(_encode(body), status, headers, media_type="application/json")


async def on_grid_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, GridError)
    code = error.reason or error.code if isinstance(error, BadRequest) else error.code
    retry = error.retry_after
    response = error_response(error.status, str(error), error.type, code, error.param, retry)
    if not error.again:
        # OpenAI's clients heed it, and would repeat a 5xx otherwise.
        response.headers["X-Should-Retry"] = "false"
    return response


async def on_invalid_input(request: Request, error: Exception) -> Response:
    assert isinstance(error, InvalidInput)
    message, kind = str(error), "invalid_request_error"
    return error_response(400, message, kind, "invalid_input", error.param)


async def on_no_funds(request: Request, error: Exception) -> Response:
    assert isinstance(error, InsufficientFunds)
    message = (
        f"This costs {error.needed} base units and the key has {error.available} left. "
        "Make a new key on the playground page, or add credit."
    )
    return error_response(402, message, "insufficient_quota", "insufficient_quota")


async def on_store_unavailable(request: Request, error: Exception) -> Response:
    log.error("store unavailable", why=str(error))
    message = "The grid cannot keep anything right now; nothing was charged. Try again soon."
    return error_response(503, message, "server_error", "store_unavailable", retry_after=10)


#: Instead of Starlette's own two words.
PLAIN = {
    404: "Nothing is at this address. /openapi.json lists what there is.",
    405: "This address does not take this method. /openapi.json says which it takes.",
}


async def on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    kind = "invalid_request_error" if error.status_code < 500 else "server_error"
    message = PLAIN.get(error.status_code, error.detail)
    response = error_response(error.status_code, message, kind)
    response.headers.update(error.headers or {})
    return response


async def on_bug(request: Request, error: Exception) -> Response:
    """The log has the traceback; the user gets a sentence, never our inside."""
    message = "Something broke on our side; it is in the log under this request's id."
    return error_response(500, message, "server_error", "internal")


Handler = Callable[[Request, Exception], Awaitable[Response]]

HANDLERS: dict[type[Exception], Handler] = {
    GridError: on_grid_error,
    InvalidInput: on_invalid_input,
    InsufficientFunds: on_no_funds,
    StoreUnavailable: on_store_unavailable,
}
