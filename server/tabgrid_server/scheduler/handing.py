"""Handing jobs out: which node gets which, and when a node is offered what waits."""

from __future__ import annotations

from collections.abc import Callable

from .alarms import Alarms
from .audits import Audits
from .failures import Failures
from .free import SURE_AFTER, FreeNodes
from .instructions import AssignJob, CancelLease, Instruction
from .lines import Lines
from .policy import Policy
from .state import Job, Lease, Node

#: What a job costs beside its units: messages both ways and a busy event loop.
OVERHEAD_S = 0.5


class Handing:
    """The books that all of the scheduler works on, and how a job comes to a node."""

    def __init__(self, policy: Policy, new_lease: Callable[[], str]) -> None:
        self.policy = policy
        self.nodes: dict[str, Node] = {}
        self.jobs: dict[str, Job] = {}
        self.leases: dict[str, Lease] = {}
        self._new_lease = new_lease
        self._lines = Lines()
        self._free = FreeNodes(policy.newcomers_turn)
        self._audits = Audits(self._may_audit)
        #: The operator's own, by id.
        self._references: dict[str, Node] = {}
        self._alarms = Alarms()
        self._failures = Failures(policy.rest_max_s)
        self._out: list[Instruction] = []

    # --- a job looks for a node ---------------------------------------------------------

    def _assign(self, job: Job, now: float) -> bool:
        if job.is_audit:
            node = self._free.take_for_audit(job, self.policy.audit_places, self._may_audit)
        else:
            node = self._take_sure(job) or self._free.take(job, job.avoid) or self._preempt(job)
        if node is None:
            return False
        self._lease(job, node, now)
        return True

    def _take_sure(self, job: Job) -> Node | None:
        """For a job that strangers failed: one that is known, if need be from an audit."""
        if job.attempts < SURE_AFTER:
            return None
        return self._free.take_sure(job) or self._preempt(job)

    def _preempt(self, job: Job) -> Node | None:
        """Call an audit off, so that its place is free for a user. It waits for another time."""
        lease = self._audits.to_preempt(job, self._free.all_keys)
        if lease is None:
            return None
        self._end_lease(lease.id)
        self._out.append(CancelLease(lease.node.id, lease.id, "A user needs this node."))
        lease.job.attempts -= 1
        self._audits.put(lease.job)
        return lease.node

    def _lease(self, job: Job, node: Node, now: float) -> None:
        expected = OVERHEAD_S + job.units / node.speeds[job.digest]
        seconds = self.policy.lease(expected)
        lease = Lease(self._new_lease(), job, node, now, expected, now + seconds)
        job.attempts += 1
        job.leases.append(lease.id)
        node.leases.add(lease.id)
        self.leases[lease.id] = lease
        if job.is_audit:
            node.audits += 1
            self._audits.running[lease.id] = lease
        if node.free:
            self._free.put(node)
        hedge_at = now + self.policy.hedge_after(self._patience(job, expected))
        if hedge_at < lease.expires and not job.is_audit:
            self._alarms.set(hedge_at, "hedge", lease.id)
        self._alarms.set(lease.expires, "lease", lease.id)
        self._out.append(AssignJob(node.id, job.id, lease.id, seconds, job.attempts))

    def _patience(self, job: Job, expected: float) -> float:
        """Seconds that are expected of a node, as far as its own word goes for it.

        How slow it is it says itself: one that claims to need for ever would keep a job for a
        whole lease, and a competitor would not be tried before that.
        """
        speeds = (node.speeds.get(job.digest, 0.0) for node in self._references.values())
        best = max(speeds, default=0.0)
        if not best:
            return expected
        return min(expected, self.policy.slowest * (OVERHEAD_S + job.units / best))

    # --- a node looks for a job ---------------------------------------------------------

    def _end_lease(self, lease_id: str) -> Lease:
        lease = self.leases.pop(lease_id)
        lease.job.leases.remove(lease_id)
        lease.node.leases.discard(lease_id)
        if self._audits.running.pop(lease_id, None) is not None:
            lease.node.audits -= 1
        return lease

    def _release(self, node: Node, now: float) -> None:
        """The node has a free place again."""
        if self.nodes.get(node.id) is node:
            self._offer(node, now)

    def _offer(self, node: Node, now: float) -> None:
        """Give a free node the jobs that wait for what it holds, the longest line first."""
        while node.free:
            job = self._next_for(node)
            if job is None:
                self._free.put(node)
                return
            self._free.remove(node)
            self._lease(job, node, now)

    def _next_for(self, node: Node) -> Job | None:
        may_audit = node.reference and node.audits < self.policy.audit_places
        if may_audit and (audit := self._audits.awaited_for(node, self._free.keys(node))):
            return audit
        job = self._lines.longest_first(self._free.keys(node))
        if job is None and may_audit:
            return self._audits.next_for(node, self._free.keys(node))
        return job

    def _may_audit(self, audit: Job, node: Node) -> bool:
        """A reference of another precision only where none of the answer's own is here."""
        if not audit.may_audit(node):
            return False
        if not audit.dtype or node.dtypes.get(audit.digest) == audit.dtype:
            return True
        key = (audit.grid, audit.digest)
        return not any(
            each.dtypes.get(audit.digest) == audit.dtype and key in self._free.keys(each)
            for each in self._references.values()
            if each.wallet != audit.not_wallet
        )

    def _offer_audits_of(self, reference: Node, now: float) -> None:
        """What waited for it may be for others, now that it is gone or computes otherwise."""
        if reference.reference:
            for each in list(self._references.values()):
                if each.free:
                    self._offer(each, now)
