"""How it was decided which answers are checked, and what came out."""

from __future__ import annotations

import time

from starlette.requests import Request

from ..coordinator.draws import FIRST_DAY
from ..errors import NotFound
from ..services import services
from ..store import checks as stored_checks
from ..store import jobs as stored_jobs
from .operations import Operation, operation
from .schemas import Check, Checks, Draws


@operation(
    "GET",
    "/api/draws",
    tag="Receipts",
    summary="What decides which answers are checked, and how to draw again",
    returns=Draws,
)
async def get_draws(request: Request) -> Draws:
    public = services(request).coordinator.draws.public(time.time())
    return Draws(
        anchor=public.anchor.hex(),
        epoch=public.epoch,
        first_day=FIRST_DAY,
        commitment=public.commitment.hex(),
        revealed=public.revealed,
        secret=public.secret.hex() if public.secret else None,
    )


@operation(
    "GET",
    "/api/jobs/{job}/checks",
    tag="Receipts",
    summary="What references found when they ran a job again",
    returns=Checks,
    errors=(404,),
)
async def get_checks(request: Request) -> Checks:
    job, store = request.path_params["job"], services(request).store
    if await store.read(stored_jobs.get, job) is None:
        raise NotFound("No job has this id. Ids begin with job_ and are case-sensitive.")
    found = await store.read(stored_checks.of_job, job)
    return Checks(
        tuple(
            Check(
                job=check.job_id,
                purpose=check.purpose,
                auditor=check.auditor,
                device_class=check.device_class,
                comparator_version=check.comparator_version,
                distance=check.distance,
                threshold=check.threshold,
                agreed=check.agreed,
                checked_at=check.checked_at,
            )
            for check in found
        )
    )


OPERATIONS: tuple[Operation, ...] = (get_draws, get_checks)
