"""What the scheduler remembers of nodes, jobs and leases, and the moves that are allowed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

NodeState = Literal["joining", "ready", "resting", "paused", "draining"]
JobState = Literal["queued", "running"]

#: Every move of a node; leaving is possible from everywhere.
NODE_MOVES: frozenset[tuple[NodeState, NodeState]] = frozenset(
    {
        ("joining", "ready"),
        ("joining", "resting"),
        ("joining", "paused"),
        ("joining", "draining"),
        ("ready", "ready"),
        ("ready", "paused"),
        ("ready", "resting"),
        ("ready", "draining"),
        ("resting", "ready"),
        ("resting", "resting"),
        ("resting", "paused"),
        ("resting", "draining"),
        ("paused", "paused"),
        ("paused", "ready"),
        ("paused", "resting"),
        ("paused", "draining"),
        ("draining", "draining"),
    }
)


class Node:
    __slots__ = (
        "answers", "audits", "barred", "capacity", "device_class", "dtypes", "free_since", "grids",
        "held", "id", "leases", "proven", "reference", "resting_until", "rests", "speeds", "state",
        "strikes", "wallet",
    )  # fmt: skip

    def __init__(
        self, id: str, wallet: str, grids: frozenset[str], reference: bool, device_class: str = ""
    ) -> None:
        self.id = id
        self.wallet = wallet
        self.grids = grids
        self.reference = reference
        self.device_class = device_class
        #: How many of its leases are audits.
        self.audits = 0
        self.state: NodeState = "joining"
        self.speeds: Mapping[str, float] = {}
        self.dtypes: Mapping[str, str] = {}
        self.capacity = 0
        #: Digests of models of which it gets no jobs, of those of which it gets no further ones
        #: for now, and of those whose answers are proven.
        self.barred: set[str] = set()
        self.held: set[str] = set()
        self.proven: set[str] = set()
        #: Its turn among the free nodes: lower waits longer.
        self.free_since = 0
        self.leases: set[str] = set()
        self.strikes = 0
        #: That were taken from it since one last made up for a failure.
        self.answers = 0
        self.rests = 0
        self.resting_until = 0.0

    def move(self, to: NodeState) -> None:
        if (self.state, to) not in NODE_MOVES:
            raise ValueError(f"node {self.id} cannot go from {self.state} to {to}")
        self.state = to

    @property
    def free(self) -> bool:
        return self.state == "ready" and len(self.leases) < self.capacity


class Job:
    __slots__ = (
        "attempts", "avoid", "digest", "dtype", "grid", "id", "interactive", "last_reason",
        "leases", "not_device_classes", "not_wallet", "owner", "units", "waiting",
    )  # fmt: skip

    def __init__(self, id: str, owner: str, grid: str, digest: str, units: int) -> None:
        self.id = id
        self.owner = owner
        self.grid = grid
        self.digest = digest
        self.units = units
        #: Somebody waits for it.
        self.interactive = False
        self.attempts = 0
        self.leases: list[str] = []
        #: Wallets that failed it; asked again only when nobody else is left.
        self.avoid: set[str] = set()
        self.last_reason = ""
        #: Of an audit: whose answer it is, and what it was audited with before.
        self.not_wallet = ""
        self.not_device_classes: frozenset[str] = frozenset()
        #: And its precision.
        self.dtype = ""
        #: In a queue. Neither this nor a lease only inside one step of the scheduler.
        self.waiting = False

    @property
    def is_audit(self) -> bool:
        return bool(self.not_wallet)

    def may_audit(self, node: Node) -> bool:
        """Whether this reference may judge the answer. Not its own; a second one elsewhere."""
        return node.wallet != self.not_wallet and node.device_class not in self.not_device_classes

    @property
    def state(self) -> JobState:
        return "running" if self.leases else "queued"


class Lease:
    __slots__ = ("expected", "expires", "id", "job", "node", "started")

    def __init__(
        self, id: str, job: Job, node: Node, started: float, expected: float, expires: float
    ) -> None:
        self.id = id
        self.job = job
        self.node = node
        self.started = started
        self.expected = expected
        self.expires = expires
