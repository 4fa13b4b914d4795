"""Answers that nobody sees before a reference agreed: their users asked and pay for that.

    returned -> a reference agrees                     settled, and delivered
             -> two differ, the second as a whole      settled, found wrong and given back at once;
                                                       the second one's own answer is delivered
             -> none could run it                     refunded whole

Its user cannot call it off any more: the node has done the work, and is paid if it was right.
Until then nothing is booked and the trust policy knows nothing of it: a process that dies hands
the job out again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec
import structlog

from .. import scheduler, trust
from ..store import Check
from ..store.effects import Found
from ..trust import instructions as do
from .background import BOOKING
from .booking import Booking
from .checking import LiveAudit, Wanted
from .live import Answer, LiveJob, LiveNode, Outcome
from .state import State

if TYPE_CHECKING:
    from .auditing import Auditing

log = structlog.get_logger("tabgrid.holding")

NOT_CHECKED = (
    "None of the operator's references could check the answer, so it is not delivered. Try again"
    " later, or without checked."
)


class Held(msgspec.Struct):
    """An answer of the right form, and what references found so far."""

    job: LiveJob
    node: LiveNode
    answer: Answer
    dtype: str
    checks: list[Check]


class Holding:
    """``tell`` reaches the scheduler."""

    def __init__(
        self,
        auditing: Auditing,
        state: State,
        booking: Booking,
        tell: Callable[[scheduler.Event], None],
    ) -> None:
        self._auditing = auditing
        self._state = state
        self._booking = booking
        self._tell = tell
        self._held: dict[str, Held] = {}

    def __contains__(self, job: object) -> bool:
        return job in self._held

    def hold(self, job: LiveJob, node: LiveNode, answer: Answer, dtype: str) -> None:
        """Have a reference look at it before anybody else does."""
        now = job.returned_at = time.time()
        wanted = Wanted(job.id, "delivery", now)
        self._held[job.id] = Held(job, node, answer, dtype, [])
        audit = self._auditing.at_hand(wanted, job, node, answer, dtype)
        audit.awaited = True
        self._auditing.checking.want_now(audit)
        self._state.publish(job)

    def judged(
        self, audit: LiveAudit, node: LiveNode, answer: Answer, check: Check, now: float
    ) -> None:
        """``answer`` is what the reference ``node`` says."""
        held = self._held[audit.job]
        held.checks.append(check)
        if not check.agreed and len(held.checks) == 1:
            self._auditing.checking.again(audit, Wanted(audit.job, "second", now), node, False)
            return
        del self._held[audit.job]
        why = self._auditing.standing(held.node, held.job.offer.digest)
        if why is not None:
            self._hand_out_again(held, why)
        else:
            self._settle(held, None if check.agreed else answer, now)

    def gave_up(self, job: str) -> None:
        """No reference could run it."""
        held = self._let_go(job)
        outcome = Outcome("failed", error_code="not_checked", error=NOT_CHECKED)
        held.job.ending = outcome
        self._state.background.spawn(self._booking.finish(held.job, outcome), BOOKING)

    def call_off(self, job: str, reason: str) -> bool:
        """This process ends while its user waits. False: it was not held."""
        if job not in self._held:
            return False
        self._let_go(job)
        self._auditing.checking.call_off(job, reason)
        return True

    def _let_go(self, job: str) -> Held:
        held = self._held.pop(job)
        blob = held.answer.result.blob
        if blob is not None:
            self._state.uploads.booked(blob.digest)
        return held

    def _hand_out_again(self, held: Held, why: str) -> None:
        """The node lost its standing meanwhile: no answer of its is taken."""
        log.info("an answer that was held is not taken", job=held.job.id, why=why)
        job, blob = held.job, held.answer.result.blob
        if blob is not None:
            self._state.uploads.booked(blob.digest)
        job.state, job.node, job.returned_at = "queued", None, None
        offer = job.offer
        self._tell(scheduler.JobSubmitted(job.id, job.owner, offer.grid, offer.digest, job.units))
        self._state.publish(job)

    def _settle(self, held: Held, right: Answer | None, now: float) -> None:
        """Book the answer with what the policy makes of it; ``right`` is what is so instead."""
        auditing, job = self._auditing, held.job
        told, evidence = auditing.took(job, held.node, held.answer, held.dtype, now)
        taken = auditing.journal.step()
        for check in held.checks:
            told += auditing.journal.tell(trust.Checked(job.id, check.agreed), now)
            auditing.journal.also(Found(check))
        blob, output = None, held.answer.output
        if right is not None:
            blob, output = auditing.answered_instead(job.id, right, now), right.output
        judged = auditing.journal.step()
        # What it would have checked of this job has been.
        auditing.carry_out([each for each in told if not _asks_for(each, job.id)], now)
        work = self._booking.settle_held(
            job, held.node, held.answer, held.dtype, evidence, taken, judged, blob, output
        )
        self._state.background.spawn(work, BOOKING)
        auditing.send()


def _asks_for(instruction: do.Instruction, job: str) -> bool:
    return isinstance(instruction, do.CheckJob) and instruction.job == job
