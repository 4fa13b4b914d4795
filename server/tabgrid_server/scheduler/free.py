"""Which nodes are free, per grid and model: taken in the order in which they became free.

So work is shared evenly among volunteers. The operator's reference nodes stand in a second
line that is asked only when the first is empty.
"""

from __future__ import annotations

from collections.abc import Mapping, Set

from .state import Job, Node

Key = tuple[str, str]


class FreeNodes:
    def __init__(self) -> None:
        # Dicts keep insertion order and delete in O(1): a queue that one can leave anywhere.
        self._lines: dict[Key, tuple[dict[str, Node], dict[str, Node]]] = {}
        self._keys: dict[str, tuple[Key, ...]] = {}
        self._holders: dict[Key, int] = {}
        self._free: set[str] = set()

    def learn(self, node: Node) -> None:
        """From now on the node holds the models of its ``speeds``."""
        keys = tuple((grid, digest) for grid in node.grids for digest in node.speeds)
        self._keys[node.id] = keys
        for key in keys:
            self._holders[key] = self._holders.get(key, 0) + 1

    def forget(self, node: Node) -> None:
        self.remove(node)
        for key in self._keys.pop(node.id, ()):
            self._holders[key] -= 1

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
        for key in self.keys(node):
            lines = self._lines.setdefault(key, ({}, {}))
            lines[node.reference][node.id] = node

    def remove(self, node: Node) -> None:
        if node.id not in self._free:
            return
        self._free.discard(node.id)
        for key in self.keys(node):
            self._lines[key][node.reference].pop(node.id, None)

    def take(self, grid: str, digest: str, avoid: Set[str], *, strict: bool = False) -> Node | None:
        """Remove and return the next free node; one in ``avoid`` only if not ``strict``."""
        second_choice = None
        for line in self._lines.get((grid, digest), ()):
            for node in line.values():
                if node.id not in avoid:
                    self.remove(node)
                    return node
                second_choice = second_choice or node
        if second_choice is None or strict:
            return None
        self.remove(second_choice)
        return second_choice

    def take_for_audit(self, audit: Job, places: int) -> Node | None:
        """Remove and return the next free reference that may run this audit beside its others."""
        _, references = self._lines.get((audit.grid, audit.digest), ({}, {}))
        for node in references.values():
            if node.audits < places and audit.may_audit(node):
                self.remove(node)
                return node
        return None
