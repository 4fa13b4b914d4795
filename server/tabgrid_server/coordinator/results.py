"""Answers of nodes: looked through, then accepted, judged against another's, or refused."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

import structlog

from tabgrid_models.connectors.base import HasMedia, InvalidOutput
from tabgrid_wire import messages as wire
from tabgrid_wire.commitment import output_digest

from .. import metrics, scheduler
from ..blobs import BlobDamaged, BlobsUnavailable
from . import verify
from .background import BOOKING, CHECKING
from .booking import Booking
from .checking import Judged, LiveAudit
from .dispatch import Dispatch
from .live import Answer, LiveJob, LiveNode
from .state import State

log = structlog.get_logger("tabgrid.coordinator")

Finding = TypeVar("Finding")


class Results:
    def __init__(self, state: State, dispatch: Dispatch, booking: Booking) -> None:
        self._state = state
        self._dispatch = dispatch
        self._booking = booking
        #: Leases whose answer is being looked through.
        self._checking: set[str] = set()

    def returned(self, node: LiveNode, result: wire.Result) -> None:
        """Check a result; book it if it is one, else hold it against the node."""
        if not self._dispatch.holds(node, result.lease, result.job):
            return
        audit = self._dispatch.auditing.audits.get(result.job)
        if audit is not None:
            self._state.background.spawn(self._judge(audit, node, result), CHECKING)
            return
        job = self._state.jobs[result.job]
        if result.blob or result.trace_blob or isinstance(job.offer.connector, HasMedia):
            self._state.background.spawn(self._look_through(job, node, result), BOOKING)
            return
        answer = Answer(result, result.output, output_digest(result.output), result.trace)
        try:
            self._accept(node, answer, verify.check_answer(job, node, answer))
        except InvalidOutput as error:
            self._refuse(node, result, error)

    async def _look_through(self, job: LiveJob, node: LiveNode, result: wire.Result) -> None:
        def check(answer: Answer) -> tuple[Answer, str]:
            return answer, verify.check_answer(job, node, answer)

        found = await self._in_thread(node, result, check)
        if found is not None:
            self._accept(node, *found)

    async def _judge(self, audit: LiveAudit, node: LiveNode, result: wire.Result) -> None:
        """Compare a reference's answer with the node's."""

        def compare(answer: Answer) -> tuple[Answer, Judged]:
            return answer, audit.judge(node, answer)

        found = await self._in_thread(node, result, compare)
        if found is not None:
            answer, judged = found
            self._dispatch.tell(scheduler.ResultAccepted(result.lease))
            self._dispatch.auditing.compared(audit, node, answer, judged, time.time())

    async def _in_thread(
        self, node: LiveNode, result: wire.Result, look: Callable[[Answer], Finding]
    ) -> Finding | None:
        """What ``look`` finds, in a thread: answers have megabytes, or kilobytes that unfold
        to them. None if there is nothing to go on with: refused, late, or said twice.
        """
        if result.lease in self._checking:
            return None  # said twice: the first one counts
        self._checking.add(result.lease)
        try:
            answer = await self._answer(result)
            found = await asyncio.to_thread(look, answer)
        except (InvalidOutput, BlobDamaged, BlobsUnavailable) as error:
            if self._dispatch.holds(node, result.lease, result.job):
                self._refuse(node, result, error)
            return None
        finally:
            self._checking.discard(result.lease)
        # Meanwhile the lease may have run out.
        return found if self._dispatch.holds(node, result.lease, result.job) else None

    async def _answer(self, result: wire.Result) -> Answer:
        trace = result.trace
        if result.trace_blob is not None:
            trace = await self._state.uploads.output_of(result.lease, result.trace_blob)
        if result.blob is None:
            return Answer(result, result.output, output_digest(result.output), trace)
        output = await self._state.uploads.output_of(result.lease, result.blob)
        return Answer(result, output, bytes.fromhex(result.blob.digest), trace)

    def _refuse(self, node: LiveNode, result: wire.Result, error: Exception) -> None:
        """A wrong answer is the node's fault; a store that cannot be read is not."""
        blame = isinstance(error, InvalidOutput)
        metrics.ATTEMPTS_FAILED.labels("invalid_output" if blame else "storage").inc()
        why = getattr(error, "why", str(error))
        log.warning("result refused", node=node.id, job=result.job, why=why)
        node.link.send(wire.Error("invalid_result", str(error)[:500], lease=result.lease))
        reason = f"A node's answer was wrong: {error}" if blame else str(error)
        self._dispatch.tell(scheduler.AttemptFailed(result.lease, reason, blame))

    def _accept(self, node: LiveNode, answer: Answer, dtype: str) -> None:
        result = answer.result
        job = self._state.jobs[result.job]
        auditing = self._dispatch.auditing
        standing = auditing.standing(node, job.offer.digest)
        if standing is not None:
            self._decline(node, job, result, standing)
            return
        job.state, job.node = "returned", node
        self._state.uploads.accepted(result.lease, result.blob)
        self._dispatch.tell(scheduler.ResultAccepted(result.lease))
        if job.checked and auditing.on and not node.reference:
            auditing.holding.hold(job, node, answer, dtype)
            return
        evidence = auditing.answered(job, node, answer, dtype, time.time())
        step = auditing.journal.step()
        settling = self._booking.settle(job, node, answer, dtype, evidence, step)
        self._state.background.spawn(settling, BOOKING)

    def _decline(self, node: LiveNode, job: LiveJob, result: wire.Result, why: str) -> None:
        """The node lost its standing while it computed: others get the job, nobody is blamed."""
        node.link.send(wire.Error("not_taken", why[:500], lease=result.lease))
        self._dispatch.tell(scheduler.UnitBarred(node.id, job.offer.digest, why))
