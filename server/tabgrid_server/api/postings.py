"""The postings behind figures that belong to no single wallet."""

from __future__ import annotations

import time
from typing import Annotated, Literal

from msgspec import Meta
from starlette.requests import Request

from ..auth import client_address
from ..errors import NoSuchJob
from ..services import services
from ..store import jobs as stored_jobs
from .operations import Operation, operation
from .schemas.base import Request as Body
from .schemas.wallets import Postings


class PostingsQuery(Body, frozen=True):
    #: settled: what nodes earned. paid: what of it went on chain. refunded: jobs that failed.
    of: Literal["settled", "paid", "refunded"] = "settled"
    limit: Annotated[int, Meta(ge=1, le=500)] = 100
    #: The ``next`` of the page before.
    before: Annotated[int, Meta(ge=1, le=2**53 - 1)] | None = None


@operation(
    "GET",
    "/api/postings",
    tag="Statements",
    summary="Every posting behind a total of the grid, newest first",
    query=PostingsQuery,
    returns=Postings,
    errors=(429,),
)
async def list_postings(request: Request, query: PostingsQuery) -> Postings:
    at = services(request)
    # They cost reading, as statements do.
    at.public_requests.take(client_address(request), time.monotonic())
    return await at.views.postings(query.of, query.limit, query.before)


@operation(
    "GET",
    "/api/jobs/{job}/postings",
    tag="Statements",
    summary="Both sides of everything that moved for a job",
    returns=Postings,
    errors=(404,),
)
async def list_job_postings(request: Request) -> Postings:
    job, at = request.path_params["job"], services(request)
    if await at.store.read(stored_jobs.get, job) is None:
        raise NoSuchJob()
    return await at.views.job_postings(job)


OPERATIONS: tuple[Operation, ...] = (list_postings, list_job_postings)
