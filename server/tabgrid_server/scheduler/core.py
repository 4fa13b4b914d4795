"""The scheduler. One method mutates: ``handle``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from . import events as e
from .alarms import Alarms
from .audits import LOOKED_AT, Audits
from .failures import Failures
from .free import SURE_AFTER, FreeNodes
from .instructions import AssignJob, CancelLease, FailJob, Instruction
from .lines import Lines
from .policy import Policy
from .state import Job, Lease, Node

#: What a job costs beside its units: messages both ways and a busy event loop.
OVERHEAD_S = 0.5


class Scheduler:
    """All nodes, waiting jobs and leases of one coordinator.

    ``new_lease`` makes unique lease ids; it is the only thing handed in besides time.
    """

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

    # --- nodes ------------------------------------------------------------------------

    def _node_joined(self, event: e.NodeJoined, now: float) -> None:
        if event.node in self.nodes:
            raise ValueError(f"node {event.node} joined twice")
        node = Node(event.node, event.wallet, event.grids, event.reference, event.device_class)
        self._failures.joined(node, now)
        self.nodes[node.id] = node
        if node.reference:
            self._references[node.id] = node
        if now < node.resting_until:
            self._alarms.set(node.resting_until, "rest", node.id)

    def _node_ready(self, event: e.NodeReady, now: float) -> None:
        node = self.nodes[event.node]
        if node.state == "draining":
            return
        self._free.forget(node)
        node.speeds, node.capacity = event.speeds, event.capacity
        node.barred, node.held = set(event.barred), set(event.held)
        node.proven = set(event.proven)
        node.dtypes = event.dtypes
        node.move("resting" if now < node.resting_until else "ready")
        self._free.learn(node)
        self._call_off_barred(node, "The node is not trusted any more.", now)
        self._offer(node, now)
        self._offer_audits_of(node, now)

    def _unit_barred(self, event: e.UnitBarred, now: float) -> None:
        self._grade(event.node, event.digest, barred=True)
        node = self.nodes[event.node]
        self._call_off_barred(node, event.reason, now)
        self._offer(node, now)

    def _unit_held(self, event: e.UnitHeld, now: float) -> None:
        self._grade(event.node, event.digest, held=True)
        self._offer(self.nodes[event.node], now)

    def _unit_allowed(self, event: e.UnitAllowed, now: float) -> None:
        self._grade(event.node, event.digest)
        self._offer(self.nodes[event.node], now)

    def _unit_proven(self, event: e.UnitProven, now: float) -> None:
        self._grade(event.node, event.digest, proven=True)
        self._offer(self.nodes[event.node], now)

    def _grade(
        self,
        node_id: str,
        digest: str,
        *,
        barred: bool = False,
        held: bool = False,
        proven: bool = False,
    ) -> None:
        node = self.nodes[node_id]
        known = self._free.forget(node)
        grades = ((node.barred, barred), (node.held, held), (node.proven, proven))
        for graded, holds in grades:
            graded.discard(digest)
            if holds:
                graded.add(digest)
        if known:
            self._free.learn(node)

    def _call_off_barred(self, node: Node, reason: str, now: float) -> None:
        """Nobody wants the answers that it computes now: others get the jobs, at once."""
        for lease_id in list(node.leases):
            if self.leases[lease_id].job.digest in node.barred:
                lease = self._end_lease(lease_id)
                lease.job.last_reason = reason
                # It was no fault of the job's.
                lease.job.attempts -= 1
                self._out.append(CancelLease(node.id, lease_id, reason))
                self._retry(lease.job, now)

    def _node_paused(self, event: e.NodePaused, now: float) -> None:
        self._withdraw(self.nodes[event.node], "paused", now)

    def _node_draining(self, event: e.NodeDraining, now: float) -> None:
        self._withdraw(self.nodes[event.node], "draining", now)

    def _withdraw(self, node: Node, to: Literal["paused", "draining"], now: float) -> None:
        if node.state != "draining":
            self._free.forget(node)
            node.move(to)
            self._offer_audits_of(node, now)

    def _node_left(self, event: e.NodeLeft, now: float) -> None:
        node = self.nodes[event.node]
        if node.leases and node.state == "ready":
            # A closed tab may do that now and then; whoever makes a habit of it rests.
            self._strike(node, now)
        del self.nodes[node.id]
        self._references.pop(node.id, None)
        self._free.forget(node)
        self._failures.left(node, now)
        for lease_id in list(node.leases):
            lease = self._end_lease(lease_id)
            lease.job.avoid.add(node.wallet)
            lease.job.last_reason = "The node that ran it left."
            self._retry(lease.job, now)
        self._offer_audits_of(node, now)

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

    # --- jobs -------------------------------------------------------------------------

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

    def _result_accepted(self, event: e.ResultAccepted, now: float) -> None:
        lease = self._end_lease(event.lease)
        self._make_up(lease.node)
        self._strike_overtaken(lease, now)
        self._end_job(lease.job, "Another node was faster.", now)
        self._release(lease.node, now)

    def _strike_overtaken(self, faster: Lease, now: float) -> None:
        """Whoever had a long start and lost it all the same held its user up.

        Else a node that never answers were given the next job as soon as the last one was taken
        from it, for ever: its leases never run out, since a competitor answers before.
        """
        for lease_id in faster.job.leases:
            lease = self.leases[lease_id]
            if lease.started < faster.started:
                self._strike(lease.node, now)

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

    # --- leases -----------------------------------------------------------------------

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

    # --- time -------------------------------------------------------------------------

    def _ticked(self, event: e.Ticked, now: float) -> None:
        for kind, subject in self._alarms.due(now):
            if kind == "lease":
                self._lease_expired(subject, now)
            elif kind == "hedge":
                self._hedge(subject, now)
            else:
                self._wake(subject, now)

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
