"""Audits that wait for a reference, per grid and model. Users always go first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from .state import Job, Lease, Node

Key = tuple[str, str]

#: Waiting audits that are looked at for one free reference. They are nearly all alike; only
#: second ones, and answers of the reference's own wallet, are for others.
LOOKED_AT = 64


class Audits:
    def __init__(self) -> None:
        # In order of arrival; a dict, since one may be called off in the middle.
        self._waiting: dict[Key, dict[str, Job]] = {}
        self.running: dict[str, Lease] = {}

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    def __iter__(self) -> Iterator[Job]:
        return (audit for line in self._waiting.values() for audit in line.values())

    def put(self, audit: Job) -> None:
        audit.waiting = True
        self._waiting.setdefault((audit.grid, audit.digest), {})[audit.id] = audit

    def remove(self, audit: Job) -> None:
        audit.waiting = False
        del self._waiting[(audit.grid, audit.digest)][audit.id]

    def next_for(self, node: Node, keys: tuple[Key, ...]) -> Job | None:
        """Remove and return an audit that this reference may run."""
        for key in keys:
            line = self._waiting.get(key, {})
            for _, audit in zip(range(LOOKED_AT), line.values(), strict=False):
                if audit.may_audit(node):
                    self.remove(audit)
                    return audit
        return None

    def to_preempt(self, job: Job, held: Mapping[str, tuple[Key, ...]]) -> Lease | None:
        """The audit that began last on a node that this user's job could run on instead.

        ``held`` is what each node holds, by its id.
        """
        key = (job.grid, job.digest)
        for lease in reversed(self.running.values()):
            node = lease.node
            if node.state == "ready" and key in held[node.id] and node.id not in job.avoid:
                return lease
        return None
