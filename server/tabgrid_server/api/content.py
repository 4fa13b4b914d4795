"""What is in a job, and who may see it: its owner, anybody if it is public."""

from __future__ import annotations

import time
from typing import Any

import msgspec
from starlette.requests import Request

from tabgrid_models.connectors import connector
from tabgrid_models.connectors.base import AnyConnector, HasMedia

from ..coordinator.live import LiveJob
from ..services import Services
from ..store import evidence as stored_evidence
from ..store import jobs as stored_jobs
from ..store.effects import Answered
from ..store.records import Job as StoredJob
from ..store.records import JobContent


async def may_read(at: Services, request: Request, stored: StoredJob) -> bool:
    """Raises ``Unauthorized`` for a key that is none."""
    if stored.public:
        return True
    if "authorization" not in request.headers:
        return False
    return (await at.keys.required(request)).owner == stored.owner


async def output_of(at: Services, stored: StoredJob) -> msgspec.Struct | None:
    """The connector's output; None where there is none, yet or any more.

    Raises ``BlobsUnavailable`` and ``BlobDamaged`` where it lies in a store that fails.
    """
    _, output = await both_of(at, stored)
    return output


async def both_of(
    at: Services, stored: StoredJob
) -> tuple[msgspec.Struct | None, msgspec.Struct | None]:
    """Input and output, as ``output_of``; for an algorithm that is gone, None and None."""
    kept = await at.store.read(stored_jobs.content, stored.id)
    try:
        algorithm = connector(stored.connector)
    except LookupError:
        return None, None
    if kept is None:
        return None, None
    # What expired is kept as no bytes at all.
    input = msgspec.msgpack.decode(kept.input, type=algorithm.Input) if kept.input else None
    return input, await _output(at, algorithm, kept)


async def rerun_of(at: Services, stored: StoredJob) -> msgspec.Struct | None:
    """What a reference answered instead, if the job's answer was found wrong.

    Raises as ``output_of``.
    """
    if stored.refuted is None:
        return None
    kept = await at.store.read(stored_evidence.rerun_of, stored.id)
    try:
        return None if kept is None else await _output(at, connector(stored.connector), kept)
    except LookupError:
        return None


async def _output(
    at: Services, algorithm: AnyConnector, kept: JobContent | Answered
) -> msgspec.Struct | None:
    encoded = kept.output
    if encoded is None and kept.output_digest is not None:
        encoded = await at.keeper.get(kept.output_digest)
    output: msgspec.Struct | None = None
    if encoded:
        output = msgspec.msgpack.decode(encoded, type=algorithm.Output)
    return output


def media(algorithm: str, output: msgspec.Struct) -> tuple[str, bytes] | None:
    """Content type and bytes, where an output is at heart a file."""
    found = connector(algorithm)
    return found.media(output) if isinstance(found, HasMedia) else None


def image_path(at: Services, job: StoredJob | LiveJob) -> str | None:
    """Where the picture of a job that is done can be had without a key; None if it is none.

    Give it only to who may read the job: the address carries the permission.
    """
    algorithm = job.connector if isinstance(job, StoredJob) else job.offer.manifest.connector
    if not _draws(algorithm):
        return None
    path = f"/api/jobs/{job.id}/image.png"
    if job.public:
        return path
    expires = int(time.time()) + at.settings.blobs.link_s
    return f"{path}?{at.addresses.query('image', job.id, expires)}"


def _draws(algorithm: str) -> bool:
    try:
        found: Any = connector(algorithm)
    except LookupError:
        return False
    return isinstance(found, HasMedia)
