"""Audits that wait for a reference, per grid and model. Users always go first, and audits that
a user waits for go with them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from .state import Job, Lease, Node

Key = tuple[str, str]

#: Waiting audits that are looked at for one free reference. They are nearly all alike; only
#: second ones, and answers of the reference's own wallet, are for others.
LOOKED_AT = 64


class Audits:
    """``may`` says whether a reference may run an audit now."""

    def __init__(self, may: Callable[[Job, Node], bool]) -> None:
        self._may = may
        # In order of arrival; a dict, since one may be called off in the middle.
        self._waiting: dict[Key, dict[str, Job]] = {}
        #: Those among them that a user waits for.
        self._awaited: dict[Key, dict[str, Job]] = {}
        self.running: dict[str, Lease] = {}

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    def __iter__(self) -> Iterator[Job]:
        return (audit for line in self._waiting.values() for audit in line.values())

    def put(self, audit: Job) -> None:
        audit.waiting = True
        key = (audit.grid, audit.digest)
        self._waiting.setdefault(key, {})[audit.id] = audit
        if audit.interactive:
            self._awaited.setdefault(key, {})[audit.id] = audit

    def remove(self, audit: Job) -> None:
        audit.waiting = False
        key = (audit.grid, audit.digest)
        del self._waiting[key][audit.id]
        if audit.interactive:
            del self._awaited[key][audit.id]

    def next_for(self, node: Node, keys: tuple[Key, ...]) -> Job | None:
        """Remove and return an audit that this reference may run."""
        return self._first(self._waiting, node, keys)

    def awaited_for(self, node: Node, keys: tuple[Key, ...]) -> Job | None:
        """The same, of those that users wait for."""
        return self._first(self._awaited, node, keys)

    def _first(
        self, lines: Mapping[Key, dict[str, Job]], node: Node, keys: tuple[Key, ...]
    ) -> Job | None:
        for key in keys:
            line = lines.get(key, {})
            for _, audit in zip(range(LOOKED_AT), line.values(), strict=False):
                if self._may(audit, node):
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
            if lease.job.interactive:
                continue
            if node.state == "ready" and key in held[node.id] and node.wallet not in job.avoid:
                return lease
        return None
