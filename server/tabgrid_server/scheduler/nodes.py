"""What nodes tell of themselves, and what the trust policy says of them."""

from __future__ import annotations

from typing import Literal

from . import events as e
from .instructions import CancelLease
from .jobs import Jobs
from .state import Node


class Nodes(Jobs):
    # --- they come and go ---------------------------------------------------------------

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

    # --- how their answers are taken ----------------------------------------------------

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
