"""The scheduler. One method mutates: ``handle``."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any, Literal

from . import events as e
from .audits import Audits
from .free import FreeNodes
from .instructions import AssignJob, CancelLease, FailJob, Instruction
from .policy import Policy
from .queue import FairQueue
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
        self._queues: dict[tuple[str, str], FairQueue] = {}
        self._waiting: dict[tuple[str, str], int] = {}
        self._free = FreeNodes()
        self._audits = Audits()
        self._alarms: list[tuple[float, int, Literal["lease", "hedge", "rest"], str]] = []
        self._alarm_count = 0
        self._out: list[Instruction] = []
        self._handlers: dict[type, Callable[[Any, float], None]] = {
            e.NodeJoined: self._node_joined,
            e.NodeReady: self._node_ready,
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
        return self._alarms[0][0] if self._alarms else None

    @property
    def queued(self) -> int:
        return sum(self._waiting.values())

    @property
    def running(self) -> int:
        return len(self.jobs) - self.queued - self.audits

    @property
    def audits(self) -> int:
        """Waiting and running."""
        return len(self._audits) + len(self._audits.running)

    def waiting_for(self, grid: str, digest: str) -> int:
        return self._waiting.get((grid, digest), 0)

    def serving(self, grid: str, digest: str) -> int:
        """How many nodes could take such a job now or when they are free again."""
        return self._free.holders(grid, digest)

    # --- nodes ------------------------------------------------------------------------

    def _node_joined(self, event: e.NodeJoined, now: float) -> None:
        if event.node in self.nodes:
            raise ValueError(f"node {event.node} joined twice")
        self.nodes[event.node] = Node(
            event.node, event.wallet, event.grids, event.reference, event.device_class
        )

    def _node_ready(self, event: e.NodeReady, now: float) -> None:
        node = self.nodes[event.node]
        if node.state == "draining":
            return
        self._free.forget(node)
        node.speeds, node.capacity = event.speeds, event.capacity
        node.move("resting" if now < node.resting_until else "ready")
        self._free.learn(node)
        self._offer(node, now)

    def _node_paused(self, event: e.NodePaused, now: float) -> None:
        self._withdraw(self.nodes[event.node], "paused")

    def _node_draining(self, event: e.NodeDraining, now: float) -> None:
        self._withdraw(self.nodes[event.node], "draining")

    def _withdraw(self, node: Node, to: Literal["paused", "draining"]) -> None:
        if node.state != "draining":
            self._free.forget(node)
            node.move(to)

    def _node_left(self, event: e.NodeLeft, now: float) -> None:
        node = self.nodes.pop(event.node)
        self._free.forget(node)
        for lease_id in list(node.leases):
            lease = self._end_lease(lease_id)
            lease.job.last_reason = "The node that ran it left."
            self._retry(lease.job, now)

    # --- jobs -------------------------------------------------------------------------

    def _job_submitted(self, event: e.JobSubmitted, now: float) -> None:
        if event.job in self.jobs:
            raise ValueError(f"job {event.job} was submitted twice")
        job = Job(event.job, event.owner, event.grid, event.digest, event.units)
        self.jobs[job.id] = job
        if not self._assign(job, now):
            self._enqueue(job).push(job.owner, job.id, job.units)

    def _audit_submitted(self, event: e.AuditSubmitted, now: float) -> None:
        if event.audit in self.jobs:
            raise ValueError(f"audit {event.audit} was submitted twice")
        audit = Job(event.audit, "", event.grid, event.digest, event.units)
        audit.not_wallet = event.wallet
        audit.not_device_classes = event.not_device_classes
        self.jobs[audit.id] = audit
        if not self._assign(audit, now):
            self._audits.put(audit)

    def _job_cancelled(self, event: e.JobCancelled, now: float) -> None:
        job = self.jobs.get(event.job)
        if job is not None:
            self._end_job(job, event.reason, now)

    def _result_accepted(self, event: e.ResultAccepted, now: float) -> None:
        lease = self._end_lease(event.lease)
        lease.node.strikes = lease.node.rests = 0
        self._end_job(lease.job, "Another node was faster.", now)
        self._release(lease.node, now)

    def _attempt_failed(self, event: e.AttemptFailed, now: float) -> None:
        lease = self._end_lease(event.lease)
        lease.job.last_reason = event.reason
        if event.blame:
            lease.job.avoid.add(lease.node.id)
            self._strike(lease.node, now)
        if event.retry:
            self._retry(lease.job, now)
        else:
            self._fail(lease.job, now)
        self._release(lease.node, now)

    def _end_job(self, job: Job, reason: str, now: float) -> None:
        """Forget the job and call off whoever still runs it."""
        if job.waiting:
            self._dequeue(job)
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
            self._enqueue(job).push_front(job.owner, job.id)

    # --- leases -----------------------------------------------------------------------

    def _assign(self, job: Job, now: float) -> bool:
        if job.is_audit:
            node = self._free.take_for_audit(job, self.policy.audit_places)
        else:
            node = self._free.take(job.grid, job.digest, job.avoid)
            if node is None:
                node = self._preempt(job)
        if node is None:
            return False
        self._lease(job, node, now)
        return True

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
        hedge_at = now + self.policy.hedge_after(expected)
        if hedge_at < lease.expires and not job.is_audit:
            self._alarm(hedge_at, "hedge", lease.id)
        self._alarm(lease.expires, "lease", lease.id)
        self._out.append(AssignJob(node.id, job.id, lease.id, seconds, job.attempts))

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
        lines = [(n, key) for key in self._free.keys(node) if (n := self._waiting.get(key, 0))]
        for _, key in sorted(lines, reverse=True):
            job = self._pop(key)
            if job is not None:
                return job
        if node.reference and node.audits < self.policy.audit_places:
            return self._audits.next_for(node, self._free.keys(node))
        return None

    def _pop(self, key: tuple[str, str]) -> Job | None:
        queue = self._queues[key]
        while (job_id := queue.pop()) is not None:
            job = self.jobs.get(job_id)
            if job is not None:
                self._dequeue(job)
                return job
        return None

    # --- time -------------------------------------------------------------------------

    def _ticked(self, event: e.Ticked, now: float) -> None:
        while self._alarms and self._alarms[0][0] <= now:
            _, _, kind, subject = heappop(self._alarms)
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
            node = self._free.take(job.grid, job.digest, job.avoid | {lease.node.id}, strict=True)
            if node is not None:
                self._lease(job, node, now)

    def _strike(self, node: Node, now: float) -> None:
        node.strikes += 1
        if node.strikes < self.policy.strikes or node.state != "ready":
            return
        node.resting_until = now + self.policy.rest(node.rests)
        node.rests, node.strikes = node.rests + 1, 0
        self._free.remove(node)
        node.move("resting")
        self._alarm(node.resting_until, "rest", node.id)

    def _wake(self, node_id: str, now: float) -> None:
        node = self.nodes.get(node_id)
        if node is not None and node.state == "resting" and now >= node.resting_until:
            node.move("ready")
            self._offer(node, now)

    def _alarm(self, at: float, kind: Literal["lease", "hedge", "rest"], subject: str) -> None:
        self._alarm_count += 1
        heappush(self._alarms, (at, self._alarm_count, kind, subject))

    def _enqueue(self, job: Job) -> FairQueue:
        key = (job.grid, job.digest)
        job.waiting = True
        self._waiting[key] = self._waiting.get(key, 0) + 1
        queue = self._queues.get(key)
        if queue is None:
            queue = self._queues[key] = FairQueue()
        return queue

    def _dequeue(self, job: Job) -> None:
        if job.is_audit:
            self._audits.remove(job)
            return
        job.waiting = False
        self._waiting[(job.grid, job.digest)] -= 1

    def validate_state(self) -> None:
        """Raise AssertionError where the books disagree; called after every step of a test."""
        for lease in self.leases.values():
            assert lease.id in lease.job.leases
            assert lease.id in lease.node.leases
            assert self.jobs[lease.job.id] is lease.job
            assert self.nodes[lease.node.id] is lease.node
        waiting: dict[tuple[str, str], int] = {}
        for job in self.jobs.values():
            assert job.attempts <= self.policy.attempts
            assert len(job.leases) <= 2
            assert all(lease in self.leases for lease in job.leases)
            assert job.waiting == (job.state == "queued")
            if job.waiting and not job.is_audit:
                key = (job.grid, job.digest)
                waiting[key] = waiting.get(key, 0) + 1
        assert waiting == {key: n for key, n in self._waiting.items() if n}
        assert {a.id for a in self._audits} == {
            job.id for job in self.jobs.values() if job.is_audit and job.waiting
        }
        for lease in self.leases.values():
            assert (lease.id in self._audits.running) == lease.job.is_audit
            assert not lease.job.is_audit or lease.node.reference
        for node in self.nodes.values():
            assert node.audits == sum(self.leases[id].job.is_audit for id in node.leases)
            assert node.audits <= self.policy.audit_places
            assert all(lease in self.leases for lease in node.leases)
            assert self._free.contains(node) == node.free
            for key in self._free.keys(node):
                assert not (node.free and waiting.get(key)), "a job waits while a node is free"
