"""Answers are run a second time by references: draws, audits, verdicts.

The shell around ``trust``: it tells the policy what was answered, has references run what the
policy wants checked, and keeps what they found. What the policy decides beyond that (fines,
pauses, convictions) is logged and counted; nothing acts on it yet, and the policy forgets what
it knows of nodes when the grid restarts.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import msgspec
import structlog

from tabgrid_models.connectors.base import Comparison
from tabgrid_wire.ids import new_id

from .. import metrics, scheduler, trust
from ..store import Check
from ..trust import instructions as do
from .draws import Draws
from .live import Answer, LiveJob, LiveNode
from .offers import Offer
from .receipts import Evidence, commit_hash

log = structlog.get_logger("tabgrid.auditing")

#: Answers that wait for a reference, and the bytes of their inputs and outputs. Where references
#: cannot keep up, memory would fill; what waits longest is then not checked.
WAITING = 1_000
WAITING_BYTES = 64 * 1024 * 1024


#: Nothing is withheld by it yet, so it remembers only as many answers as it decides by; and
#: nobody waits to be let in.
POLICY = trust.Policy(release_s=0, newcomers_per_day=2**53, newcomers_per_address=2**53)


class LiveAudit(msgspec.Struct):
    """An answer on its way through a reference."""

    id: str
    job: str
    purpose: do.Purpose
    offer: Offer
    input: Any
    input_bytes: bytes
    #: What the node said, and who it is.
    output: bytes
    dtype: str
    units: int
    wallet: str
    #: Kinds of devices of the references that have judged it.
    judged_on: frozenset[str] = frozenset()

    @property
    def size(self) -> int:
        return len(self.input_bytes) + len(self.output)

    def compare(self, reference: Any) -> Comparison:
        """How far the node's answer is from a reference's."""
        return self.offer.compare(reference, self.offer.output(self.output), self.dtype)


class Auditing:
    """``tell`` reaches the scheduler; ``keep`` writes a check down."""

    def __init__(
        self,
        draws: Draws,
        tell: Callable[[scheduler.Event], None],
        keep: Callable[[Check], None],
    ) -> None:
        self.draws = draws
        self.trust = trust.Trust(POLICY)
        #: By the audit's own id, which the scheduler and the reference know it by.
        self.audits: dict[str, LiveAudit] = {}
        self._tell = tell
        self._keep = keep
        self._size = 0

    def answered(
        self, job: LiveJob, node: LiveNode, answer: Answer, dtype: str, now: float
    ) -> Evidence | None:
        """Draw whether this answer is checked; if so, have it checked. None: it is no stranger's.

        ``now`` is Unix seconds.
        """
        if node.reference:
            return None  # the operator's own machine is what others are checked against
        unit = trust.UnitKey(node.wallet, job.offer.digest, dtype, node.hello.device_class)
        epoch, secret = self.draws.at(now)
        if epoch > self.trust.epoch:
            self.trust.handle(trust.EpochOpened(epoch, secret), now)
        if unit not in self.trust.units:
            # It has passed the self-test, or it would not hold the model.
            self.trust.handle(trust.UnitOffered(unit, node.link.address), now)
            self.trust.handle(trust.GoldensReturned(unit, True), now)
        event = trust.ResultReturned(job.id, unit, job.price.pay, commit_hash(job, node, answer))
        told = self.trust.handle(event, now)
        taken = told[0]
        # A node that would be excluded works on, so all it says is checked.
        p = taken.p if isinstance(taken, do.TakeResult) else trust.ONE
        audited = not isinstance(taken, do.TakeResult) or taken.audited
        if audited:
            self._submit(_audit(job, node, answer, dtype), now)
        self._note(told[1:])
        return Evidence(audited, p, epoch, self.draws.commitment(now).hex())

    def compared(
        self, audit: LiveAudit, node: LiveNode, comparison: Comparison, now: float
    ) -> None:
        """A reference has answered: keep the verdict, and ask a second one if need be."""
        if audit.id not in self.audits:
            return  # given up meanwhile
        self._forget(audit)
        verdict = "agreed" if comparison.agrees else "differed"
        metrics.AUDITS.labels(audit.purpose, verdict).inc()
        self._keep(
            Check(
                id=audit.id,
                job_id=audit.job,
                purpose=audit.purpose,
                auditor=node.wallet,
                device_class=node.hello.device_class,
                comparator_version=audit.offer.connector.comparator_version,
                # JSON and databases have no infinity; shapes that differ are as far as can be.
                distance=min(comparison.distance, 1e308),
                threshold=comparison.threshold,
                agreed=comparison.agrees,
                checked_at=now,
            )
        )
        told = self.trust.handle(trust.Checked(audit.job, comparison.agrees), now)
        if any(isinstance(t, do.CheckJob) and t.purpose == "second" for t in told):
            self._submit(_second(audit, node), now)
        self._note(told)
        self._decline(told, now)

    def gave_up(self, audit: LiveAudit, now: float) -> None:
        """No reference could run it."""
        self._forget(audit)
        metrics.AUDITS.labels(audit.purpose, "given up").inc()
        self._note(self.trust.handle(trust.CheckAbandoned(audit.job), now))

    def _submit(self, audit: LiveAudit, now: float) -> None:
        self.audits[audit.id] = audit
        self._size += audit.size
        offer = audit.offer
        event = scheduler.AuditSubmitted(
            audit.id, offer.grid, offer.digest, audit.units, audit.wallet, audit.judged_on
        )
        self._tell(event)
        while len(self.audits) > WAITING or self._size > WAITING_BYTES:
            oldest = next(iter(self.audits.values()))
            self._tell(scheduler.JobCancelled(oldest.id, "The references cannot keep up."))
            self.gave_up(oldest, now)

    def _forget(self, audit: LiveAudit) -> None:
        del self.audits[audit.id]
        self._size -= audit.size

    def _decline(self, told: list[do.Instruction], now: float) -> None:
        """Earlier answers are not at hand any more; they are not looked at again yet."""
        for instruction in told:
            if isinstance(instruction, do.CheckJob) and instruction.purpose in ("reaudit", "rerun"):
                self._note(self.trust.handle(trust.CheckAbandoned(instruction.job), now))

    @staticmethod
    def _note(told: list[do.Instruction]) -> None:
        for instruction in told:
            if isinstance(instruction, do.StrikeUnit | do.ConvictUnit | do.QuarantineClass):
                name = type(instruction).__name__
                metrics.TRUST_DECISIONS.labels(name).inc()
                log.warning("the trust policy would act", decision=name, why=instruction.reason)


def _new_id() -> str:
    return new_id("audit", int(time.time() * 1000), os.urandom(10))


def _audit(job: LiveJob, node: LiveNode, answer: Answer, dtype: str) -> LiveAudit:
    return LiveAudit(
        id=_new_id(),
        job=job.id,
        purpose="audit",
        offer=job.offer,
        input=job.input,
        input_bytes=job.input_bytes,
        output=answer.output,
        dtype=dtype,
        units=job.units,
        wallet=node.wallet,
    )


def _second(audit: LiveAudit, node: LiveNode) -> LiveAudit:
    """The same for a reference on another kind of device."""
    return msgspec.structs.replace(
        audit,
        id=_new_id(),
        purpose="second",
        judged_on=audit.judged_on | {node.hello.device_class},
    )
