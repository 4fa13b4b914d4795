"""The grid's own jobs: submit, poll, follow, cancel. Any connector, its own input."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from sse_starlette import EventSourceResponse
from starlette.requests import Request
from starlette.responses import Response

from ..coordinator import Caller, previews
from ..coordinator.live import LiveJob
from ..errors import GridError, NoSuchJob, NotFound
from ..services import Services, services
from ..store import Idempotency, Repeated
from ..store import idempotency as stored_names
from ..store import jobs as stored_jobs
from ..store.records import Job as StoredJob
from . import content
from .idempotency import REPLAYED, idempotency_of, same_or_refused
from .operations import Operation, operation
from .schemas.base import Address
from .schemas.base import Request as Body
from .schemas.jobs import Job, JobId, JobRequest, JobRow, Jobs, Preview
from .streams import stream_of

_encode = msgspec.json.Encoder().encode
_ENDED = ("done", "failed", "cancelled")


class BeingChecked(GridError):
    status, type, code = 409, "invalid_request_error", "being_checked"

    def __init__(self) -> None:
        super().__init__(
            "A node has done this job and its answer is being checked, so it is too late to call it"
            " off. You get it and pay for it once a reference agrees; if it is wrong, or nobody can"
            " check it, you pay nothing."
        )


class AlreadyEnded(GridError):
    status, type, code = 409, "invalid_request_error", "job_ended"


class JobsQuery(Body, frozen=True):
    limit: Annotated[int, Meta(ge=1, le=100)] = 25
    #: The last id of the page before.
    before: JobId | None = None
    wallet: Address | None = None


@operation(
    "POST",
    "/api/jobs",
    tag="Jobs",
    summary="Submit a job; with `Prefer: wait=SECONDS` the answer waits for its end (200). Sent "
    "again with the same `Idempotency-Key` it is the same job, charged once",
    body=JobRequest,
    returns=Job,
    status=202,
    also=200,
    auth="key",
    errors=(402, 404, 422, 429, 500, 503),
    repeatable=True,
)
async def submit_job(request: Request, body: JobRequest) -> Response:
    at = services(request)
    caller = await at.keys.required(request)
    name = idempotency_of(request, body)
    # Before anything that may have changed since: credit, queues, what is offered.
    if name is not None:
        named = await at.store.read(stored_names.find, caller.owner, name.key)
        if named is not None:
            return await _again(request, same_or_refused(named, name))
    try:
        live = await _submitted(request, caller, body, name)
    except Repeated as repeated:  # by a request that came at the same time
        assert name is not None
        return await _again(request, same_or_refused(repeated.named, name))
    return await _answer(request, live, {})


async def _submitted(
    request: Request, caller: Caller, body: JobRequest, name: Idempotency | None
) -> LiveJob:
    coordinator = services(request).coordinator
    offer = coordinator.offer_of(body.model)
    priced = await offer.price_in_time(offer.convert(body.input))
    return await coordinator.submit(
        caller,
        offer,
        priced,
        public=body.public,
        show_preview=body.show_preview,
        checked=body.checked,
        interactive=_wait(request) > 0,
        idempotency=name,
    )


async def _answer(request: Request, live: LiveJob, headers: dict[str, str]) -> Response:
    """At once, or at its end, as ``Prefer`` says."""
    seconds = _wait(request)
    if seconds:
        await asyncio.wait({live.ended}, timeout=seconds)
    status = 200 if live.ended.done() else 202
    return _response(_live_job(services(request), live), status, headers)


async def _again(request: Request, id: str) -> Response:
    """The job that this request is already, as far as it is by now."""
    at = services(request)
    live = await at.coordinator.again(id)
    if live is not None:
        return await _answer(request, live, REPLAYED)
    job = await _whole(at, *await _found(at, id))
    return _response(job, 200 if job.state in _ENDED else 202, REPLAYED)


def _response(job: Job, status: int, headers: dict[str, str]) -> Response:
    location = {"Location": f"/api/jobs/{job.id}"}
    return Response(_encode(job), status, headers | location, media_type="application/json")


def _wait(request: Request) -> int:
    """Seconds of ``Prefer: wait=…`` (RFC 7240), within what a request may take."""
    prefer = request.headers.get("prefer", "")
    found = re.search(r"(?:^|[,\s])wait=(\d{1,4})(?:$|[,;\s])", prefer)
    limit = services(request).settings.limits.request_s
    return min(int(found[1]), limit) if found else 0


def _live_job(at: Services, live: LiveJob) -> Job:
    """As far as it is, from memory: no query is needed for what we just did ourselves."""
    if not live.ended.done():
        return _job(live.row(), live.usage, live.input)
    outcome = live.ended.result()
    row = msgspec.structs.replace(
        live.row(), returned_at=live.returned_at, finished_at=live.finished_at,
        error=outcome.error or None,
    )  # fmt: skip
    if outcome.state != "done":
        return _job(row, live.usage, live.input)
    output = live.offer.output(outcome.output)
    return _job(row, live.usage, live.input, output, content.image_path(at, live))


@operation(
    "GET",
    "/api/jobs",
    tag="Jobs",
    summary="The newest jobs, without what is in them",
    query=JobsQuery,
    returns=Jobs,
)
async def list_jobs(request: Request, query: JobsQuery) -> Jobs:
    rows = await services(request).views.recent_jobs(query.limit, query.before, query.wallet)
    return Jobs(tuple(rows))


@operation(
    "GET",
    "/api/jobs/{job}",
    tag="Jobs",
    summary="A job; its output too, for the key that submitted it",
    returns=Job,
    errors=(404, 500, 503),
)
async def get_job(request: Request) -> Job:
    at = services(request)
    row, stored = await _found(at, request.path_params["job"])
    if not await content.may_read(at, request, stored):
        return _job(row, {})
    return await _whole(at, row, stored)


async def _whole(at: Services, row: JobRow, stored: StoredJob) -> Job:
    """With what is in it, for who may read that. Raises as ``content.output_of``."""
    input, output = await content.both_of(at, stored)
    image = None if output is None else content.image_path(at, stored)
    rerun = await content.rerun_of(at, stored)
    return _job(row, stored.usage, input, output, image, rerun)


@operation(
    "POST",
    "/api/jobs/{job}/cancel",
    tag="Jobs",
    summary="Call a job off and get its price back",
    returns=Job,
    auth="key",
    errors=(404, 409),
)
async def cancel_job(request: Request) -> Job:
    at = services(request)
    caller = await at.keys.required(request)
    row, stored = await _found(at, request.path_params["job"])
    if stored.owner != caller.owner:
        raise NotFound("There is no such job of this key.")
    if not await at.coordinator.cancel(row.id, "Cancelled by its owner."):
        if at.coordinator.is_held(row.id):
            raise BeingChecked
        raise AlreadyEnded("This job has its result or its end already.")
    row, stored = await _found(at, row.id)
    return _job(row, stored.usage)


@operation(
    "GET",
    "/api/jobs/{job}/events",
    tag="Jobs",
    summary="Follow a job: an event `job` at every change, until its end; for who may see "
    "its content, `preview` with a small picture as base64 of a PNG",
    returns=str,
    media="text/event-stream",
    errors=(404, 503),
)
async def follow_job(request: Request) -> EventSourceResponse:
    at = services(request)
    row, stored = await _found(at, request.path_params["job"])
    topics = [row.id]
    if await content.may_read(at, request, stored):
        topics.append(previews.topic(row.id))
    return stream_of(request, _changes(at, row, topics))


async def _changes(at: Services, row: JobRow, topics: list[str]) -> AsyncIterator[tuple[str, Any]]:
    followers = at.coordinator.followers
    with followers.listen(*topics, length=previews.QUEUE_LENGTH) as changes:
        # Read again: it may have ended between the first look and the first listen.
        row, _ = await _found(at, row.id)
        yield "job", row
        while row.state not in _ENDED:
            change = await changes.get()
            if isinstance(change, Preview):
                yield "preview", change
                continue
            row = change
            if row.state in _ENDED:
                row, _ = await _found(at, row.id)
            yield "job", row


async def _found(at: Services, id: str) -> tuple[JobRow, StoredJob]:
    stored = await at.store.read(stored_jobs.get, id)
    if stored is None:
        raise NoSuchJob()
    row = await at.views.job(id)
    assert row is not None
    return row, stored


def _job(
    row: JobRow,
    usage: dict[str, int],
    input: msgspec.Struct | None = None,
    output: msgspec.Struct | None = None,
    image: str | None = None,
    rerun: msgspec.Struct | None = None,
) -> Job:
    given, answered, again = (
        None if part is None else msgspec.to_builtins(part) for part in (input, output, rerun)
    )
    facts = msgspec.structs.asdict(row)
    return Job(**facts, usage=usage, input=given, output=answered, image=image, rerun=again)


OPERATIONS: tuple[Operation, ...] = (
    submit_job, list_jobs, get_job, cancel_job, follow_job,
)  # fmt: skip
