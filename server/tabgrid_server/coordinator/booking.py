"""What must be kept is written until it is written; then whoever waits is told.

A job ends here: settled, or refunded. Until that is durable nobody reads that it has ended.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import structlog

from tabgrid_wire import messages as wire
from tabgrid_wire.messages import Blob

from .. import metrics
from ..store import (
    AlreadyFinished,
    Conflict,
    GivenUp,
    NewJob,
    Refund,
    StoreUnavailable,
    TrustStep,
)
from ..store import checks as stored_checks
from ..store import jobs as stored_jobs
from ..store.effects import Void
from .background import BOOKING
from .live import Answer, LiveJob, LiveNode, Outcome
from .receipts import Evidence, settlement_of
from .rows import row_of
from .state import State

log = structlog.get_logger("tabgrid.coordinator")

#: Waits between attempts to book a result while the store cannot write (disk full, say).
RETRY_S = (0.2, 0.5, 1, 2, 5)
NOT_BOOKED = "The grid could not write down its answer, so it is not charged."


class Booking:
    def __init__(self, state: State) -> None:
        self._state = state

    async def settle(
        self,
        job: LiveJob,
        node: LiveNode,
        answer: Answer,
        dtype: str,
        evidence: Evidence | None,
        step: TrustStep | None,
    ) -> None:
        """Book the pay, the receipt, and what the trust policy made of it; then answer."""
        await self._settle(job, node, answer, dtype, evidence, step)
        self._deliver(job, node, answer.output)

    async def settle_held(
        self,
        job: LiveJob,
        node: LiveNode,
        answer: Answer,
        dtype: str,
        evidence: Evidence,
        taken: TrustStep | None,
        judged: TrustStep | None,
        blob: Blob | None,
        output: bytes,
    ) -> None:
        """The same of an answer that was held, with what references found of it. ``output`` is
        delivered: its own, or a reference's, which is kept as ``blob`` if that is not None."""
        try:
            await self._settle(job, node, answer, dtype, evidence, taken)
        except Exception:
            if judged is not None:  # as in there: without this step no later one is kept
                await self._keep_step(judged, blob)
            raise
        if judged is not None:
            await self._keep_step(judged, blob)
        self._deliver(job, node, output)

    async def _settle(
        self,
        job: LiveJob,
        node: LiveNode,
        answer: Answer,
        dtype: str,
        evidence: Evidence | None,
        step: TrustStep | None,
    ) -> None:
        state = self._state
        now = job.finished_at = time.time()
        job.returned_at = job.returned_at or now
        settlement = settlement_of(job, node, answer, dtype, now, evidence, step)
        try:
            await self._write(state.store.settle, settlement, job.id)
        except Exception:
            # Whatever is wrong with the settlement: without its step no later one is kept, and
            # without an end of the job somebody waits for it for ever.
            if step is not None:
                await self._write(state.store.trust_step, step, job.id)
            await self.finish(job, Outcome("failed", error_code="not_booked", error=NOT_BOOKED))
            raise
        finally:
            if answer.result.blob is not None:
                state.uploads.booked(answer.result.blob.digest)

    def _deliver(self, job: LiveJob, node: LiveNode, output: bytes) -> None:
        state, now = self._state, time.time()
        node.jobs_done += 1
        job.state = "done"
        state.figures.done(now, now - job.submitted_at)
        self._leave(job, Outcome("done", output))
        symbol, release_s = state.settings.chain.symbol, job.offer.settings.release_s
        node.link.send(wire.Settled(job.id, job.price.pay, symbol, release_s))

    async def finish(self, job: LiveJob, outcome: Outcome) -> None:
        """End a job without a result: refund, then tell whoever waits."""
        job.ending = outcome
        finished_at = time.time()
        refund = Refund(
            job_id=job.id,
            state="cancelled" if outcome.state == "cancelled" else "failed",
            error_code=outcome.error_code,
            error=outcome.error,
            attempts=job.attempts,
            finished_at=finished_at,
        )
        try:
            await self._write(self._state.store.refund, refund, job.id)
        except Exception as error:
            # The job is open until the next start takes it up; nobody need wait for that.
            if not job.ended.done():
                job.ended.set_exception(error)
            raise
        job.state, job.finished_at = outcome.state, finished_at
        if outcome.state == "failed":
            self._state.figures.failed()
        self._leave(job, outcome)

    async def refund_orphan(self, stored: NewJob) -> None:
        """Of a job whose model this grid no longer has."""
        refund = Refund(
            job_id=stored.id,
            state="failed",
            error_code="model_gone",
            error=f"This grid no longer offers {stored.model}.",
            attempts=0,
            finished_at=time.time(),
        )
        await self._write(self._state.store.refund, refund, stored.id)

    def keep_given_up(self, fact: GivenUp) -> None:
        """Of a check that the trust policy need not hear of."""

        async def write(fact: GivenUp) -> None:
            await self._state.store.write(stored_checks.give_up, fact)

        self._state.background.spawn(self._write(write, fact, fact.job_id), BOOKING)

    def keep_step(self, step: TrustStep, blob: Blob | None = None) -> None:
        """What the trust policy was told without a settlement. ``blob``: one that it refers to."""
        self._state.background.spawn(self._keep_step(step, blob), BOOKING)

    async def _keep_step(self, step: TrustStep, blob: Blob | None) -> None:
        await self._write(self._state.store.trust_step, step, "")
        if blob is not None:
            self._state.uploads.booked(blob.digest)
        for effect in step.effects:
            if isinstance(effect, Void):
                await self._retract(effect.job_id)

    async def _retract(self, job_id: str) -> None:
        """Tell whoever watches that an answer turned out to be wrong."""
        job = await self._state.store.read(stored_jobs.get, job_id)
        if job is not None:
            self._state.publish_row(row_of(job))

    def _leave(self, job: LiveJob, outcome: Outcome) -> None:
        state = self._state
        state.jobs.pop(job.id, None)
        state.jobs_of[job.owner] -= 1
        if not state.jobs_of[job.owner]:
            del state.jobs_of[job.owner]
        metrics.JOBS_ENDED.labels(job.offer.grid, outcome.state).inc()
        metrics.JOB_SECONDS.labels(job.offer.grid).observe(time.time() - job.submitted_at)
        state.publish(job)
        if not job.ended.done():
            job.ended.set_result(outcome)

    @staticmethod
    async def _write(write: Any, command: Any, job_id: str) -> None:
        """Write until it is written: what was computed must not be lost to a full disk."""
        for attempt in range(1_000_000):
            try:
                await write(command)
                return
            except AlreadyFinished:
                log.warning("job had its end already", job=job_id)
                return
            except (StoreUnavailable, Conflict) as error:
                if isinstance(error, Conflict) and attempt >= len(RETRY_S):
                    raise  # a race is lost once or twice; this is none
                wait = RETRY_S[min(attempt, len(RETRY_S) - 1)]
                log.error("cannot book; trying again", job=job_id, why=str(error), wait_s=wait)
                await asyncio.sleep(wait)
