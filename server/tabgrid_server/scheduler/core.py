"""The scheduler. One method mutates: ``handle``.

What it does lies in three layers, each on the books of the one before: ``handing`` (which node
gets which job), ``jobs`` (what becomes of them), ``nodes`` (who may have any).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import events as e
from .audits import LOOKED_AT
from .instructions import Instruction
from .nodes import Nodes
from .policy import Policy
from .state import Job, Lease, Node


class Scheduler(Nodes):
    """All nodes, waiting jobs and leases of one coordinator.

    ``new_lease`` makes unique lease ids; it is the only thing handed in besides time.
    """

    def __init__(self, policy: Policy, new_lease: Callable[[], str]) -> None:
        super().__init__(policy, new_lease)
        self._handlers: dict[type, Callable[[Any, float], None]] = {
            e.NodeJoined: self._node_joined,
            e.NodeReady: self._node_ready,
            e.UnitBarred: self._unit_barred,
            e.UnitHeld: self._unit_held,
            e.UnitAllowed: self._unit_allowed,
            e.UnitProven: self._unit_proven,
            e.NodePaused: self._node_paused,
            e.NodeDraining: self._node_draining,
            e.NodeLeft: self._node_left,
            e.JobSubmitted: self._job_submitted,
            e.AuditSubmitted: self._audit_submitted,
            e.JobCancelled: self._job_cancelled,
            e.ResultAccepted: self._result_accepted,
            e.AttemptFailed: self._attempt_failed,
            e.Ticked: self._ticked,
        }

    def handle(self, event: e.Event, now: float) -> list[Instruction]:
        """Take one event; say what to do. ``now`` is monotonic seconds."""
        self._out = []
        self._handlers[type(event)](event, now)
        return self._out

    def next_alarm(self) -> float | None:
        """When ``Ticked`` is due, at the latest."""
        return self._alarms.next

    def _ticked(self, event: e.Ticked, now: float) -> None:
        for kind, subject in self._alarms.due(now):
            if kind == "lease":
                self._lease_expired(subject, now)
            elif kind == "hedge":
                self._hedge(subject, now)
            else:
                self._wake(subject, now)

    # --- how it stands ------------------------------------------------------------------

    @property
    def queued(self) -> int:
        return len(self._lines)

    @property
    def running(self) -> int:
        return len(self.jobs) - self.queued - self.audits

    @property
    def audits(self) -> int:
        """Waiting and running."""
        return len(self._audits) + len(self._audits.running)

    def waiting_for(self, grid: str, digest: str) -> int:
        return self._lines.length((grid, digest))

    def serving(self, grid: str, digest: str) -> int:
        """How many nodes could take such a job now or when they are free again."""
        return self._free.holders(grid, digest)

    def speeds(self, grid: str, digest: str) -> list[float]:
        """Units per second of the nodes that are given such jobs, the slowest first."""
        key = (grid, digest)
        ready = (node for node in self.nodes.values() if node.state == "ready")
        return sorted(node.speeds[digest] for node in ready if key in self._free.keys(node))

    def validate_state(self) -> None:
        """Raise AssertionError where the books disagree; called after every step of a test."""
        waiting = [job for job in self.jobs.values() if job.waiting]
        self._lines.validate_state(job for job in waiting if not job.is_audit)
        assert {a.id for a in self._audits} == {job.id for job in waiting if job.is_audit}
        for lease in self.leases.values():
            self._validate_lease(lease)
        for job in self.jobs.values():
            self._validate_job(job)
        for node in self.nodes.values():
            self._validate_node(node)

    def _validate_lease(self, lease: Lease) -> None:
        assert lease.id in lease.job.leases
        assert lease.id in lease.node.leases
        assert self.jobs[lease.job.id] is lease.job
        assert self.nodes[lease.node.id] is lease.node
        assert (lease.id in self._audits.running) == lease.job.is_audit
        assert lease.job.digest not in lease.node.barred, "a barred node computes"
        assert not lease.job.is_audit or lease.node.reference

    def _validate_job(self, job: Job) -> None:
        assert job.attempts <= self.policy.attempts
        assert len(job.leases) <= 2
        assert all(lease in self.leases for lease in job.leases)
        assert job.waiting == (job.state == "queued")

    def _validate_node(self, node: Node) -> None:
        assert node.audits == sum(self.leases[id].job.is_audit for id in node.leases)
        assert node.audits <= self.policy.audit_places
        assert all(lease in self.leases for lease in node.leases)
        assert self._free.contains(node) == node.free
        assert not node.proven & (node.barred | node.held)
        lengths = [self._lines.length(key) for key in self._free.keys(node)]
        assert not (node.free and any(lengths)), "a job waits while a node is free"
        if node.reference and node.free and node.audits < self.policy.audit_places:
            keys = self._free.keys(node)
            seen = [each for each in self._audits if (each.grid, each.digest) in keys][:LOOKED_AT]
            fitting = [audit.id for audit in seen if self._may_audit(audit, node)]
            assert not fitting, "an audit waits while a reference is free"
