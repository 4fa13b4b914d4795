"""The shell around the scheduler: tells it what happened, carries out what it says, keeps time."""

from __future__ import annotations

import asyncio
import os
import time

from tabgrid_wire import messages as wire
from tabgrid_wire.ids import new_id

from .. import metrics, scheduler
from . import policies
from .auditing import Auditing
from .background import BOOKING
from .booking import Booking
from .checking import LiveAudit
from .draws import Draws
from .live import LiveJob, LiveNode, Outcome
from .standing import Standings
from .standing_words import Words
from .state import State


class Dispatch:
    def __init__(self, state: State, booking: Booking, draws: Draws) -> None:
        self._state = state
        self._booking = booking
        self.scheduler = scheduler.Scheduler(
            policies.of_scheduling(state.settings.scheduling),
            lambda: new_id("lease", int(time.time() * 1000), os.urandom(10)),
        )
        self.auditing = Auditing(state, booking, draws, self.tell, self._waits)
        chain = state.settings.chain
        self.standings = Standings(
            lambda: self.auditing.policy, self.tell, Words(chain.symbol, chain.decimals)
        )
        self.auditing.follow.append(self.standings.follow)
        self._alarm = asyncio.Event()

    def tell(self, event: scheduler.Event) -> None:
        before = self.scheduler.next_alarm()
        for instruction in self.scheduler.handle(event, time.monotonic()):
            self._carry_out(instruction)
        if self.scheduler.next_alarm() != before:
            self._alarm.set()

    async def keep_time(self) -> None:
        """Wake the scheduler when it asked to be woken."""
        while True:
            due = self.scheduler.next_alarm()
            wait = None if due is None else max(0.0, due - time.monotonic())
            self._alarm.clear()
            try:
                # Not ``wait_for``: it takes a cancel for a wake-up that came in the same moment.
                async with asyncio.timeout(wait):
                    await self._alarm.wait()
            except TimeoutError:
                self.tell(scheduler.Ticked())

    def holds(self, node: LiveNode, lease_id: str, job_id: str) -> bool:
        """Whether the node may speak of this lease; late news is normal and only answered."""
        lease = self.scheduler.leases.get(lease_id)
        if lease is not None and lease.node.id == node.id and lease.job.id == job_id:
            return True
        metrics.STALE_RESULTS.inc()
        node.link.send(
            wire.Error("stale_lease", "This job was handed to another node.", lease=lease_id)
        )
        return False

    def job_of(self, node: LiveNode, lease_id: str) -> LiveJob | None:
        """The user's job that the node runs under this lease. None: an audit, or late news."""
        lease = self.scheduler.leases.get(lease_id)
        if lease is None or lease.node.id != node.id:
            return None
        return self._state.jobs.get(lease.job.id)

    def _waits(self, job: str) -> bool:
        """Whether it is in no node's hands."""
        known = self.scheduler.jobs.get(job)
        return known is not None and known.state == "queued"

    def _carry_out(self, instruction: scheduler.Instruction) -> None:
        if isinstance(instruction, scheduler.AssignJob):
            self._assign(instruction)
        elif isinstance(instruction, scheduler.CancelLease):
            node = self._state.nodes.get(instruction.node)
            if node is not None:
                node.link.send(wire.Cancel(instruction.lease, instruction.reason))
        elif instruction.job in self.auditing.audits:
            self.auditing.failed(self.auditing.audits[instruction.job])
        else:
            job = self._state.jobs[instruction.job]
            outcome = job.ending = Outcome("failed", error_code="failed", error=instruction.reason)
            self._state.background.spawn(self._booking.finish(job, outcome), BOOKING)

    def _assign(self, instruction: scheduler.AssignJob) -> None:
        node = self._state.nodes[instruction.node]
        audit = self.auditing.audits.get(instruction.job)
        if audit is not None:
            if node.link.minor < 1 or node.models[audit.offer.digest].dtype != audit.dtype:
                self.auditing.checking.whole(audit)
            self._send(instruction, audit, show_preview=False)
            return
        job = self._state.jobs[instruction.job]
        job.state, job.node, job.attempts = "running", node, instruction.attempt
        job.progress = None
        job.assigned_at = time.time()
        self._send(instruction, job, job.show_preview)
        self._state.publish(job)

    def _send(
        self, instruction: scheduler.AssignJob, work: LiveJob | LiveAudit, show_preview: bool
    ) -> None:
        """To a node an audit looks like any other job."""
        self._state.nodes[instruction.node].link.send(
            wire.Assign(
                instruction.lease,
                work.id,
                work.offer.grid,
                work.offer.digest,
                work.sent,
                int(instruction.seconds * 1000),
                upload=self._state.uploads.address(instruction.lease, instruction.seconds),
                show_preview=show_preview,
                task=work.task,
            )
        )
