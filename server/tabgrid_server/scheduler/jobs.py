"""What becomes of jobs: taken, answered, failed, tried again, ended; and what a node's failures
lead to."""

from __future__ import annotations

from . import events as e
from .handing import Handing
from .instructions import CancelLease, FailJob
from .state import Job, Lease, Node


class Jobs(Handing):
    # --- they come and end --------------------------------------------------------------

    def _job_submitted(self, event: e.JobSubmitted, now: float) -> None:
        if event.job in self.jobs:
            raise ValueError(f"job {event.job} was submitted twice")
        job = Job(event.job, event.owner, event.grid, event.digest, event.units)
        job.interactive = event.interactive
        self.jobs[job.id] = job
        if not self._assign(job, now):
            self._lines.put(job)

    def _audit_submitted(self, event: e.AuditSubmitted, now: float) -> None:
        if event.audit in self.jobs:
            raise ValueError(f"audit {event.audit} was submitted twice")
        audit = Job(event.audit, "", event.grid, event.digest, event.units)
        audit.not_wallet = event.wallet
        audit.not_device_classes = event.not_device_classes
        audit.dtype = event.dtype
        audit.interactive = event.interactive
        self.jobs[audit.id] = audit
        if not self._assign(audit, now):
            self._audits.put(audit)

    def _job_cancelled(self, event: e.JobCancelled, now: float) -> None:
        job = self.jobs.get(event.job)
        if job is not None:
            self._end_job(job, event.reason, now)

    def _end_job(self, job: Job, reason: str, now: float) -> None:
        """Forget the job and call off whoever still runs it."""
        if job.waiting:
            (self._audits if job.is_audit else self._lines).remove(job)
        del self.jobs[job.id]
        for lease_id in list(job.leases):
            lease = self._end_lease(lease_id)
            self._out.append(CancelLease(lease.node.id, lease_id, reason))
            self._release(lease.node, now)

    def _fail(self, job: Job, now: float) -> None:
        self._out.append(FailJob(job.id, job.last_reason))
        self._end_job(job, job.last_reason, now)

    # --- attempts -----------------------------------------------------------------------

    def _result_accepted(self, event: e.ResultAccepted, now: float) -> None:
        lease = self._end_lease(event.lease)
        self._make_up(lease.node)
        self._strike_overtaken(lease, now)
        self._end_job(lease.job, "Another node was faster.", now)
        self._release(lease.node, now)

    def _attempt_failed(self, event: e.AttemptFailed, now: float) -> None:
        lease = self._end_lease(event.lease)
        lease.job.last_reason = event.reason
        # Whoever could not do it will hardly do it now; the wallet, since a node that comes back
        # has a new id.
        lease.job.avoid.add(lease.node.wallet)
        if event.blame:
            self._strike(lease.node, now)
        self._retry(lease.job, now)
        self._release(lease.node, now)

    def _lease_expired(self, lease_id: str, now: float) -> None:
        lease = self.leases.get(lease_id)
        if lease is None:
            return
        reason = "The node did not answer in time."
        self._out.append(CancelLease(lease.node.id, lease_id, reason))
        self._attempt_failed(e.AttemptFailed(lease_id, reason), now)

    def _hedge(self, lease_id: str, now: float) -> None:
        """A straggler gets a competitor, if a place is free that nobody waits for."""
        lease = self.leases.get(lease_id)
        if lease is None or len(lease.job.leases) > 1:
            return
        job = lease.job
        if job.attempts < self.policy.attempts:
            node = self._free.take(job, job.avoid, other_than=lease.node)
            if node is not None:
                self._lease(job, node, now)

    def _retry(self, job: Job, now: float) -> None:
        """Hand the job out again, unless another copy of it still runs."""
        if job.leases:
            return
        if job.attempts >= self.policy.attempts:
            self._fail(job, now)
        elif not self._assign(job, now):
            self._wait_again(job)

    def _wait_again(self, job: Job) -> None:
        if job.is_audit:
            self._audits.put(job)
        else:
            self._lines.put_back(job)

    # --- whose fault it was -------------------------------------------------------------

    def _strike_overtaken(self, faster: Lease, now: float) -> None:
        """Whoever had a long start and lost it all the same held its user up.

        Else a node that never answers were given the next job as soon as the last one was taken
        from it, for ever: its leases never run out, since a competitor answers before.
        """
        for lease_id in faster.job.leases:
            lease = self.leases[lease_id]
            if lease.started < faster.started:
                self._strike(lease.node, now)

    def _make_up(self, node: Node) -> None:
        """Some answers take one failure back, then one rest: a single answer that took them all
        would let a node sit on two of every three jobs for ever."""
        if not (node.strikes or node.rests):
            return
        node.answers += 1
        if node.answers < self.policy.answers_per_strike:
            return
        node.answers = 0
        if node.strikes:
            node.strikes -= 1
        else:
            node.rests -= 1

    def _strike(self, node: Node, now: float) -> None:
        node.strikes += 1
        if node.strikes < self.policy.strikes or node.state != "ready":
            return
        node.resting_until = now + self.policy.rest(node.rests)
        node.rests, node.strikes = node.rests + 1, 0
        self._free.remove(node)
        node.move("resting")
        self._alarms.set(node.resting_until, "rest", node.id)

    def _wake(self, node_id: str, now: float) -> None:
        node = self.nodes.get(node_id)
        if node is not None and node.state == "resting" and now >= node.resting_until:
            node.move("ready")
            self._offer(node, now)
