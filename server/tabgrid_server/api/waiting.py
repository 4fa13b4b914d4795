"""Wait for a job on behalf of an HTTP request; if the client goes, the job goes too."""

from __future__ import annotations

import asyncio
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


class JobFailed(GridError):
    """All attempts failed; the price was given back."""

    status: ClassVar[int] = 502
    code: ClassVar[str] = "job_failed"

    def __init__(self, reason: str) -> None:
        super().__init__(f"The job failed and nothing was charged: {reason}")


async def output_of(request: Request, coordinator: Coordinator, job: LiveJob) -> bytes:
    """The output of a job that is done. Raises why there is none."""
    seconds = coordinator.settings.limits.request_s
    gone = asyncio.ensure_future(_disconnected(request))
    waits: set[asyncio.Future[Any]] = {job.ended, gone, coordinator.stopping}
    try:
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        gone.cancel()
    if job.ended.done():
        return _output(job.ended.result())
    reason, error = _ended_early(gone.done(), coordinator, seconds)
    if not await coordinator.cancel(job.id, reason):
        # The answer came in this very moment: it is paid for, so give it.
        return _output(await job.ended)
    raise error


def _ended_early(gone: bool, coordinator: Coordinator, seconds: int) -> tuple[str, GridError]:
    if gone:
        return "The client left.", ClientGone("The client left.")
    if coordinator.stopping.done():
        return "The coordinator stopped before a node was free.", Draining()
    return f"No answer within {seconds} s.", TookTooLong(seconds)


def _output(outcome: Outcome) -> bytes:
    if outcome.state != "done":
        raise JobFailed(outcome.error)
    return outcome.output


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
