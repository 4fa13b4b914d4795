"""How it was decided which answers are checked, and what came out."""

from __future__ import annotations

import time
from hashlib import sha256
from typing import Annotated, Literal

from msgspec import Meta
from starlette.requests import Request

from ..coordinator.draws import FIRST_DAY
from ..errors import NoSuchJob, NotFound
from ..inspection import check_view, given_up_view
from ..services import services
from ..store import checks as stored_checks
from ..store import jobs as stored_jobs
from .grid import is_address
from .operations import Operation, operation
from .schemas.base import Request as Body
from .schemas.checks import Checks, Draws, DrawSecret, Evidence, GivenUpChecks, JobChecks
from .schemas.health import Health
from .schemas.trust import WalletRecord


class ChecksQuery(Body, frozen=True):
    #: The last id of the page before.
    after: Annotated[str, Meta(max_length=64)] = ""
    #: A check is about 500 bytes: a page of a thousand stays under a megabyte.
    limit: Annotated[int, Meta(ge=1, le=1_000)] = 1_000


@operation(
    "GET",
    "/api/draws",
    tag="Receipts",
    summary="What decides which answers are checked, and how to draw again",
    returns=Draws,
)
async def get_draws(request: Request) -> Draws:
    coordinator = services(request).coordinator
    public, policy = coordinator.draws.public(time.time()), coordinator.auditing.policy.policy
    return Draws(
        anchor=public.anchor.hex(),
        epoch=public.epoch,
        first_day=FIRST_DAY,
        commitment=public.commitment.hex(),
        revealed=public.revealed,
        secret=public.secret.hex() if public.secret else None,
        always=policy.probation_jobs,
        least=policy.least_audit,
        within_s=coordinator.settings.trust.check_within_s,
    )


@operation(
    "GET",
    "/api/draws/{epoch}",
    tag="Receipts",
    summary="The secret of a day that is over; 404 while it may still decide",
    returns=DrawSecret,
    errors=(404,),
)
async def get_secret(request: Request) -> DrawSecret:
    at, text = services(request).coordinator.draws, request.path_params["epoch"]
    epoch = int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else -1
    secret = at.secret_of(epoch, time.time())
    if secret is None:
        raise NotFound("Of this day no secret is told: days have numbers, and must be over.")
    return DrawSecret(epoch, secret.hex(), sha256(secret).hexdigest())


@operation(
    "GET",
    "/api/checks",
    tag="Receipts",
    summary="What references found, of all jobs, by pages",
    query=ChecksQuery,
    returns=Checks,
)
async def list_checks(request: Request, query: ChecksQuery) -> Checks:
    store = services(request).store
    found = await store.read(stored_checks.after, query.after, query.limit)
    return Checks(tuple(map(check_view, found)))


@operation(
    "GET",
    "/api/checks/given-up",
    tag="Receipts",
    summary="Checks that were to be made and were not, and why, of all jobs, by pages",
    query=ChecksQuery,
    returns=GivenUpChecks,
)
async def list_given_up(request: Request, query: ChecksQuery) -> GivenUpChecks:
    store = services(request).store
    found = await store.read(stored_checks.given_up_after, query.after, query.limit)
    return GivenUpChecks(tuple(map(given_up_view, found)))


@operation(
    "GET",
    "/api/jobs/{job}/checks",
    tag="Receipts",
    summary="What references found when they ran a job again, and what none of them ran",
    returns=JobChecks,
    errors=(404,),
)
async def get_checks(request: Request) -> JobChecks:
    job, store = request.path_params["job"], services(request).store
    if await store.read(stored_jobs.get, job) is None:
        raise NoSuchJob()
    found = await store.read(stored_checks.of_job, job)
    given_up = await store.read(stored_checks.given_up_of_job, job)
    return JobChecks(tuple(map(check_view, found)), tuple(map(given_up_view, given_up)))


@operation(
    "GET",
    "/api/jobs/{job}/evidence",
    tag="Receipts",
    summary="Whether a job's answer was drawn and checked, and what came out",
    returns=Evidence,
    errors=(404,),
)
async def get_evidence(request: Request) -> Evidence:
    job, at = request.path_params["job"], services(request)
    if await at.store.read(stored_jobs.get, job) is None:
        raise NoSuchJob()
    return await at.views.evidence(job, await at.views.receipt(job))


@operation(
    "GET",
    "/api/wallets/{address}/record",
    tag="Receipts",
    summary="A wallet's jobs and checks, by model, precision and class of device",
    returns=WalletRecord,
    errors=(404,),
)
async def get_record(request: Request) -> WalletRecord:
    address = request.path_params["address"]
    if not is_address(address):
        raise NotFound("This is not a Solana address: those are 32-44 base58 characters.")
    return await services(request).views.record(address)


class HealthQuery(Body, frozen=True):
    by: Literal["hour", "day"] = "hour"


@operation(
    "GET",
    "/api/grids/{grid}/health",
    tag="Receipts",
    summary="How often a grid's answers are checked and found wrong, over time and by class",
    query=HealthQuery,
    returns=Health,
    errors=(404,),
)
async def get_health(request: Request, query: HealthQuery) -> Health:
    found = await services(request).views.health(request.path_params["grid"], query.by)
    if found is None:
        raise NotFound("There is no such grid here; /api/grids has those that are.")
    return found


OPERATIONS: tuple[Operation, ...] = (
    get_draws, get_secret, list_checks, list_given_up, get_checks, get_evidence, get_record,
    get_health,
)  # fmt: skip
