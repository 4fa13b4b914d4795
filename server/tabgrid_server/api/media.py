"""The picture that a job drew, as a file."""

from __future__ import annotations

import hashlib
import time

from starlette.requests import Request
from starlette.responses import Response

from ..blobs.tickets import BadTicket
from ..errors import GridError, NotFound
from ..services import Services, services
from ..store import jobs as stored_jobs
from ..store.records import Job as StoredJob
from . import content
from .blobs import Expires, Signature
from .operations import Operation, operation
from .schemas.base import Request as Body

#: A picture never changes; the hour bounds how long a cache outlives its expiry.
MAX_AGE_S = 3_600
NO_PICTURE = "There is no such picture, or its address has expired."


class Expired(GridError):
    status, type, code = 410, "invalid_request_error", "expired"


class ImageQuery(Body, frozen=True):
    """Both or none: the signed address that a job's ``image`` names."""

    expires: Expires = 0
    signature: Signature | None = None


@operation(
    "GET",
    "/api/jobs/{job}/image.png",
    tag="Jobs",
    summary="The picture of a job: for its key, for a signed address, or of a public job",
    query=ImageQuery,
    returns=bytes,
    media="image/png",
    errors=(404, 410, 500, 503),
)
async def get_image(request: Request, query: ImageQuery) -> Response:
    at = services(request)
    stored = await at.store.read(stored_jobs.get, request.path_params["job"])
    if stored is None or not await _may_see(at, request, stored, query):
        raise NotFound(NO_PICTURE)
    if stored.expired_at is not None:
        raise Expired("This picture was kept for the time that its grid allows, and is gone.")
    if stored.output_digest and _known(request, stored.output_digest):
        return Response(status_code=304, headers=_headers(stored, stored.output_digest))
    output = await content.output_of(at, stored)
    picture = None if output is None else content.media(stored.connector, output)
    if picture is None or picture[0] != "image/png":
        raise NotFound(NO_PICTURE)
    digest = stored.output_digest or hashlib.sha256(picture[1]).hexdigest()
    headers = _headers(stored, digest)
    if _known(request, digest):
        return Response(status_code=304, headers=headers)
    return Response(picture[1], headers=headers, media_type="image/png")


async def _may_see(at: Services, request: Request, stored: StoredJob, query: ImageQuery) -> bool:
    if query.signature is None:
        return await content.may_read(at, request, stored)
    try:
        at.addresses.check("image", stored.id, query.expires, query.signature, time.time())
    except BadTicket:
        return stored.public
    return True


def _headers(stored: StoredJob, digest: str) -> dict[str, str]:
    return {
        "Cache-Control": f"{'public' if stored.public else 'private'}, max-age={MAX_AGE_S}",
        "ETag": f'"{digest}"',
        # The same address answers others with 404.
        "Vary": "Authorization",
        "Content-Disposition": f'inline; filename="{stored.id}.png"',
    }


def _known(request: Request, digest: str) -> bool:
    tags = request.headers.get("if-none-match", "").split(",")
    return f'"{digest}"' in {tag.strip().removeprefix("W/") for tag in tags}


OPERATIONS: tuple[Operation, ...] = (get_image,)
