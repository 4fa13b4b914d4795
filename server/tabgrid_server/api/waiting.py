"""Wait for jobs on behalf of an HTTP request; if the client goes, they go too."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, ClassVar

from starlette.requests import Request

from ..coordinator import Coordinator
from ..coordinator.live import LiveJob, Outcome
from ..errors import Draining, GridError


class ClientGone(GridError):
    """Nobody reads this answer. 499 is nginx's word for it, in logs only."""

    status: ClassVar[int] = 499
    code: ClassVar[str] = "client_closed_request"


class TookTooLong(GridError):
    status: ClassVar[int] = 504
    code: ClassVar[str] = "timeout"
    retry_after = 10

    def __init__(self, seconds: int) -> None:
        super().__init__(
            f"No node answered within {seconds} s; the job was cancelled and nothing charged. "
            "Submit to /api/jobs if you can wait longer."
        )


class StillChecked(GridError):
    """The answer is there, and whoever asked for a check has to wait for it."""

    status: ClassVar[int] = 504
    code: ClassVar[str] = "being_checked"
    again = False

    def __init__(self, seconds: int, jobs: Sequence[str]) -> None:
        where = " and ".join(f"/api/jobs/{job}" for job in jobs)
        super().__init__(
            f"A node has answered, and after {seconds} s its answer is being checked still. It is"
            f" too late to call that off: fetch it at {where}. It is charged once a reference"
            " agrees; if it is wrong, or nobody can check it, it costs nothing. Sent again, this"
            " request would be another job."
        )


class JobFailed(GridError):
    """All attempts failed; the price was given back."""

    status: ClassVar[int] = 502
    code: ClassVar[str] = "job_failed"

    def __init__(self, reason: str) -> None:
        super().__init__(f"The job failed and nothing was charged: {reason}")


async def output_of(request: Request, coordinator: Coordinator, job: LiveJob) -> bytes:
    """The output of a job that is done. Raises why there is none."""
    (outcome,) = await outcomes_of(request, coordinator, [job])
    return outcome.output


async def outcomes_of(
    request: Request, coordinator: Coordinator, jobs: Sequence[LiveJob]
) -> list[Outcome]:
    """How each job ended; one is done at least, or it is raised why none is.

    Whoever leaves, or waits too long, has what is not done called off and its price back.
    What was done by then is paid for, so it is given; what is done and being checked goes on, and
    its outcome is ``returned``.
    """
    seconds = coordinator.settings.limits.request_s
    gone = asyncio.ensure_future(_disconnected(request))
    ended = asyncio.ensure_future(asyncio.wait([job.ended for job in jobs]))
    waits: set[asyncio.Future[Any]] = {ended, gone, coordinator.stopping}
    try:
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        gone.cancel()
        ended.cancel()
    if all(job.ended.done() for job in jobs):
        return _some_done([job.ended.result() for job in jobs])
    reason, error = _ended_early(gone.done(), coordinator, seconds)
    outcomes = [await _called_off(coordinator, job, reason) for job in jobs]
    checked = [job.id for job, end in zip(jobs, outcomes, strict=True) if end.state == "returned"]
    if checked and not gone.done() and not any(each.state == "done" for each in outcomes):
        raise StillChecked(seconds, checked)
    if all(outcome.state in ("cancelled", "returned") for outcome in outcomes):
        raise error
    return _some_done(outcomes)


async def call_off(coordinator: Coordinator, jobs: Sequence[LiveJob], reason: str) -> None:
    """Cancel what can be cancelled, and let the rest be."""
    for job in jobs:
        await coordinator.cancel(job.id, reason)


async def _called_off(coordinator: Coordinator, job: LiveJob, reason: str) -> Outcome:
    """False from ``cancel`` says that the answer came in this very moment: wait it out, unless it
    is being checked, which may take long."""
    stopping = coordinator.stopping.done()
    if not await coordinator.cancel(job.id, reason, held=stopping) and coordinator.is_held(job.id):
        text = f"It is drawn and being checked still; /api/jobs/{job.id} will have it."
        return Outcome("returned", error_code=StillChecked.code, error=text)
    return await job.ended


def _ended_early(gone: bool, coordinator: Coordinator, seconds: int) -> tuple[str, GridError]:
    if gone:
        return "The client left.", ClientGone("The client left.")
    if coordinator.stopping.done():
        return "The coordinator stopped before a node was free.", Draining()
    return f"No answer within {seconds} s.", TookTooLong(seconds)


def _some_done(outcomes: list[Outcome]) -> list[Outcome]:
    if not any(outcome.state == "done" for outcome in outcomes):
        raise JobFailed(outcomes[0].error)
    return outcomes


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
