"""An endpoint that describes itself: what it takes, what it gives, what can go wrong.

``operation`` turns a typed handler into a Starlette route and keeps what OpenAPI needs, so
the description at ``/openapi.json`` cannot drift from what the code decodes and encodes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..errors import BadRequest, GridError

Auth = Literal["key", "session", None]
Handler = Callable[..., Awaitable[Any]]

_encode = msgspec.json.Encoder().encode


class TooLarge(GridError):
    status, type, code = 413, "invalid_request_error", "body_too_large"


class WrongMediaType(GridError):
    status, type, code = 415, "invalid_request_error", "unsupported_media_type"


class Operation(msgspec.Struct, frozen=True):
    """One method of one path."""

    method: str
    path: str
    summary: str
    tag: str
    handler: Handler
    returns: Any
    status: int
    media: str
    body: Any = None
    query: Any = None
    auth: Auth = None
    #: Another status of success with the same body.
    also: int | None = None
    #: Statuses besides success; 400 and 422 are added where something is decoded.
    errors: Sequence[int] = ()
    #: The handler reads a body of plain bytes itself.
    upload: bool = False
    #: It takes an ``Idempotency-Key``.
    repeatable: bool = False

    def route(self) -> Route:
        methods = [self.method]
        return Route(self.path, self._endpoint(), methods=methods)

    def _endpoint(self) -> Callable[[Request], Awaitable[Response]]:
        decode = msgspec.json.Decoder(self.body).decode if self.body is not None else None
        handler, query, status = self.handler, self.query, self.status

        async def endpoint(request: Request) -> Response:
            arguments: list[Any] = [request]
            if decode is not None:
                arguments.append(_decoded(decode, await read_body(request)))
            if query is not None:
                arguments.append(_query(query, request))
            result = await handler(*arguments)
            if isinstance(result, Response):
                return result
            if result is None:
                return Response(status_code=204)
            return Response(_encode(result), status, media_type="application/json")

        endpoint.__name__ = handler.__name__
        return endpoint


def operation(
    method: str,
    path: str,
    *,
    tag: str,
    summary: str,
    returns: Any,
    status: int = 200,
    media: str = "application/json",
    body: Any = None,
    query: Any = None,
    auth: Auth = None,
    also: int | None = None,
    errors: Sequence[int] = (),
    upload: bool = False,
    repeatable: bool = False,
) -> Callable[[Handler], Operation]:
    """Declare the decorated coroutine as an endpoint.

    It is called with the request, then the decoded ``body`` and ``query`` if declared, and
    returns ``returns``, a Response, or None for 204.
    """

    def wrap(handler: Handler) -> Operation:
        return Operation(
            method,
            path,
            summary,
            tag,
            handler,
            returns,
            status,
            media,
            body,
            query,
            auth,
            also,
            errors,
            upload,
            repeatable,
        )

    return wrap


async def read_body(request: Request) -> bytes:
    """The body, cut off as soon as it is larger than the limit allows."""
    media = request.headers.get("content-type", "application/json").partition(";")[0].strip()
    if media.lower() != "application/json":
        raise WrongMediaType(f"Send application/json, not {media!r}.")
    limit: int = request.app.state.settings.limits.body_bytes
    if int(request.headers.get("content-length") or 0) > limit:
        raise TooLarge(f"The body is larger than {limit} bytes.")
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise TooLarge(f"The body is larger than {limit} bytes.")
        chunks.append(chunk)
    return b"".join(chunks)


def _decoded(decode: Callable[[bytes], Any], body: bytes) -> Any:
    try:
        return decode(body)
    except msgspec.ValidationError as error:
        raise BadRequest(str(error), _param(str(error))) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadRequest(f"The body is not valid JSON in UTF-8: {error}") from error
    except RecursionError as error:
        raise BadRequest("The body is nested too deeply.") from error


def _query(kind: Any, request: Request) -> Any:
    try:
        return msgspec.convert(dict(request.query_params), kind, strict=False)
    except msgspec.ValidationError as error:
        raise BadRequest(f"Query: {error}", _param(str(error))) from error


def _param(error: str) -> str | None:
    """The field that msgspec's message names: "… - at `$.input[0]`" is ``input[0]``."""
    _, found, rest = error.rpartition("`$.")
    return rest.rstrip("`") if found else None
