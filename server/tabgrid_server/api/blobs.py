"""Where nodes send outputs that are too large for a frame."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Annotated, Any

from msgspec import Meta
from starlette.requests import ClientDisconnect, Request

from tabgrid_wire.messages import Identifier

from ..errors import BadRequest, GridError, NotFound
from ..services import services
from .operations import Operation, operation
from .schemas.base import Request as Body
from .waiting import ClientGone

_DIGEST = re.compile("[0-9a-f]{64}")
_SIGNATURE = "^[0-9a-f]{64}$"
#: Unix seconds that every machine can hold, so that the signature decides and not an overflow.
Expires = Annotated[int, Meta(ge=0, le=2**53 - 1)]
Signature = Annotated[str, Meta(pattern=_SIGNATURE)]


class LengthRequired(GridError):
    status, type, code = 411, "invalid_request_error", "length_required"


class UploadQuery(Body, frozen=True):
    """As the assignment's ``upload`` has it."""

    lease: Identifier
    expires: Expires
    signature: Signature


@operation(
    "PUT",
    "/api/blobs/{digest}",
    tag="Nodes",
    summary="Send the output of a job, at the signed address that its assignment carries",
    query=UploadQuery,
    upload=True,
    returns=None,
    status=204,
    errors=(403, 404, 408, 409, 410, 411, 413, 422, 503),
)
async def put_blob(request: Request, query: UploadQuery) -> None:
    digest = request.path_params["digest"]
    if not _DIGEST.fullmatch(digest):
        raise NotFound("A blob is named by its SHA-256 in lower-case hex.")
    uploads = services(request).coordinator.uploads
    uploads.check(query.lease, query.expires, query.signature)
    await uploads.receive(query.lease, digest, _announced(request), _chunks(request))


def _announced(request: Request) -> int:
    length: Any = request.headers.get("content-length")
    if length is None:
        raise LengthRequired("Send Content-Length: how much will come decides whether it may.")
    if not length.isascii() or not length.isdigit() or len(length) > 15:
        raise BadRequest("Content-Length is not a number of bytes.")
    return int(length)


async def _chunks(request: Request) -> AsyncIterator[bytes]:
    try:
        async for chunk in request.stream():
            yield chunk
    except ClientDisconnect as error:
        raise ClientGone("The connection ended before the upload did.") from error


OPERATIONS: tuple[Operation, ...] = (put_blob,)
