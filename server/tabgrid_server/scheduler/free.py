"""Which nodes are free, per grid and model: taken in the order in which they became free.

So work is shared evenly among volunteers of one standing. Whoever waits for an answer gets it
rather from a proven node than from a newcomer; yet every so many-th such job is a newcomer's,
since only who works can be proven. The operator's reference nodes stand in a line of their own
that is asked when the others are empty.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set

from .state import Job, Node

Key = tuple[str, str]
#: Attempts after which a job is no longer risked on a newcomer, while anybody else is free or
#: busy with an audit: four strangers who refuse together could else end any job.
SURE_AFTER = 2
#: Free nodes of one key. Dicts keep insertion order and delete in O(1): a queue that one can
#: leave anywhere.
Line = dict[str, Node]


class Lines:
    """The free nodes of one key, by their standing."""

    __slots__ = ("_jobs", "_turn", "newcomers", "proven", "references")

    def __init__(self, turn: int) -> None:
        self.proven: Line = {}
        self.newcomers: Line = {}
        self.references: Line = {}
        self._turn = turn
        #: That somebody waits for and that both could have had.
        self._jobs = 0

    def of(self, node: Node, digest: str) -> Line:
        if node.reference:
            return self.references
        return self.proven if digest in node.proven else self.newcomers

    def asked(self, job: Job) -> tuple[Line, Line, Line]:
        """In the order in which they are asked for a job."""
        proven, newcomers = self.proven, self.newcomers
        if job.attempts >= SURE_AFTER:
            return proven, self.references, newcomers
        if proven and newcomers and self._newcomer_goes_first(job.interactive):
            return newcomers, proven, self.references
        return proven, newcomers, self.references

    def _newcomer_goes_first(self, interactive: bool) -> bool:
        """Where nobody waits for the answer, whoever was free for longer."""
        if not interactive:
            return _first(self.newcomers).free_since < _first(self.proven).free_since
        self._jobs += 1
        return self._jobs % self._turn == 0


class FreeNodes:
    def __init__(self, newcomers_turn: int) -> None:
        self._lines: dict[Key, Lines] = {}
        self._keys: dict[str, tuple[Key, ...]] = {}
        self._holders: dict[Key, int] = {}
        self._free: set[str] = set()
        self._newcomers_turn = newcomers_turn
        self._puts = 0

    def learn(self, node: Node) -> None:
        """From now on the node holds the models of its ``speeds``, but for those it may not run."""
        digests = [each for each in node.speeds if each not in node.barred | node.held]
        keys = tuple((grid, digest) for grid in node.grids for digest in digests)
        self._keys[node.id] = keys
        for key in keys:
            self._holders[key] = self._holders.get(key, 0) + 1

    def forget(self, node: Node) -> bool:
        """Whether it was known. Before its standing changes: that says in which line it is."""
        self.remove(node)
        known = self._keys.pop(node.id, None)
        for key in known or ():
            self._holders[key] -= 1
        return known is not None

    @property
    def all_keys(self) -> Mapping[str, tuple[Key, ...]]:
        """What each node holds, by its id."""
        return self._keys

    def keys(self, node: Node) -> tuple[Key, ...]:
        return self._keys.get(node.id, ())

    def holders(self, grid: str, digest: str) -> int:
        return self._holders.get((grid, digest), 0)

    def contains(self, node: Node) -> bool:
        return node.id in self._free

    def put(self, node: Node) -> None:
        """To the end of every line; does nothing where it stands in one."""
        if node.id in self._free:
            return
        self._free.add(node.id)
        self._puts += 1
        node.free_since = self._puts
        for key in self.keys(node):
            self._at(key).of(node, key[1])[node.id] = node

    def remove(self, node: Node) -> None:
        if node.id not in self._free:
            return
        self._free.discard(node.id)
        for key in self.keys(node):
            self._at(key).of(node, key[1]).pop(node.id, None)

    def take(self, job: Job, avoid: Set[str], *, other_than: Node | None = None) -> Node | None:
        """Remove and return the next free node; of a wallet in ``avoid`` if there is no other.

        ``other_than``: to run it a second time beside this node, on none that is to be avoided.
        """
        lines = self._lines.get((job.grid, job.digest))
        if lines is None:
            return None
        second_choice = None
        for line in lines.asked(job):
            for node in line.values():
                if node.wallet not in avoid and node is not other_than:
                    self.remove(node)
                    return node
                second_choice = second_choice or node
        if second_choice is None or other_than is not None:
            return None
        self.remove(second_choice)
        return second_choice

    def take_sure(self, job: Job) -> Node | None:
        """Remove and return a free node that is proven, or the operator's own."""
        lines = self._lines.get((job.grid, job.digest))
        for line in (lines.proven, lines.references) if lines else ():
            for node in line.values():
                if node.wallet not in job.avoid:
                    self.remove(node)
                    return node
        return None

    def take_for_audit(
        self, audit: Job, places: int, may: Callable[[Job, Node], bool]
    ) -> Node | None:
        """Remove and return the next free reference that may run this audit beside its others."""
        lines = self._lines.get((audit.grid, audit.digest))
        for node in lines.references.values() if lines else ():
            if node.audits < places and may(audit, node):
                self.remove(node)
                return node
        return None

    def _at(self, key: Key) -> Lines:
        lines = self._lines.get(key)
        if lines is None:
            lines = self._lines[key] = Lines(self._newcomers_turn)
        return lines


def _first(line: Line) -> Node:
    return next(iter(line.values()))
