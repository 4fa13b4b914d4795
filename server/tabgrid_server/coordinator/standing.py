"""Where each connected node stands: the scheduler and the node's owner are told as it changes.

The trust policy decides; this looks at what it says, finds the live nodes that it concerns, and
tells each of them once: the scheduler whether it gets jobs of a model, its owner why.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Literal, NamedTuple

import structlog

from .. import scheduler, trust
from ..trust import instructions as do
from .live import LiveNode
from .standing_words import Words

log = structlog.get_logger("tabgrid.standing")

#: How a unit stands in the policy's eyes, as far as its owner and the scheduler care.
Place = Literal["probation", "waiting", "proven", "paused", "convicted", "quarantined", "refused"]
#: In these it gets no jobs.
BARRED: frozenset[str] = frozenset({"convicted", "quarantined", "refused"})
#: Whoever leaves them for "refused" may try again now.
LIFTED: frozenset[str] = frozenset({"convicted", "quarantined"})


class Digests(NamedTuple):
    """Models of a node by where it stands: it gets no jobs of these, no further ones for now, and
    is proven."""

    barred: frozenset[str] = frozenset()
    held: frozenset[str] = frozenset()
    proven: frozenset[str] = frozenset()


def place_of(policy: trust.Trust, key: trust.UnitKey) -> Place:
    """Where a unit stands, known or not."""
    if key.wallet in policy.barred:
        return "convicted"
    kind = policy.classes.get(key.kind)
    if kind is not None and kind.state == "quarantined":
        return "quarantined"
    unit = policy.units.get(key)
    if unit is None or unit.state not in ("probation", "proven", "suspected"):
        return "refused"
    if unit.held:
        return "waiting"
    return "paused" if unit.state == "suspected" else unit.state


class Standings:
    """``policy`` gives the trust policy of now; ``tell`` reaches the scheduler."""

    def __init__(
        self,
        policy: Callable[[], trust.Trust],
        tell: Callable[[scheduler.Event], None],
        words: Words,
    ) -> None:
        self._policy = policy
        self._tell = tell
        self._words = words
        self._nodes: dict[trust.UnitKey, dict[str, LiveNode]] = {}
        self._units: dict[str, frozenset[trust.UnitKey]] = {}
        #: By node and unit: what was last said.
        self._said: dict[tuple[str, trust.UnitKey], Place] = {}
        #: Why live units are refused.
        self._refusals: dict[trust.UnitKey, str] = {}

    def ready(self, node: LiveNode, told: Iterable[do.Instruction], now: float) -> Digests:
        """A node is ready, and ``told`` is what the policy says of its models."""
        self._register(node)
        self._note_refusals(told)
        places: dict[str, Place] = {}
        for key in self._units[node.id]:
            place = places[key.digest] = place_of(self._policy(), key)
            if self._said.get((node.id, key)) != place:
                self._say(node, key, place, now)
        return Digests(
            barred=frozenset(digest for digest, place in places.items() if place in BARRED),
            held=frozenset(digest for digest, place in places.items() if place == "waiting"),
            proven=frozenset(digest for digest, place in places.items() if place == "proven"),
        )

    def left(self, node: LiveNode) -> None:
        for key in self._units.pop(node.id, ()):
            self._said.pop((node.id, key), None)
            nodes = self._nodes[key]
            del nodes[node.id]
            if not nodes:
                del self._nodes[key]
                self._refusals.pop(key, None)

    def follow(self, told: Iterable[do.Instruction], now: float) -> None:
        """The policy has spoken; ``now`` is Unix seconds."""
        told = list(told)
        self._note_refusals(told)
        struck = {each.unit: each for each in told if isinstance(each, do.StrikeUnit)}
        again = {each.kind for each in told if isinstance(each, do.ReopenClass)}
        # Whoever is told twice is told the end of it.
        for key in dict.fromkeys(key for each in told for key in self._concerned(each)):
            strike = struck.get(key)
            for node in list(self._nodes[key].values()):
                self._judge(node, key, strike, key.kind in again, now)

    def _judge(
        self,
        node: LiveNode,
        key: trust.UnitKey,
        strike: do.StrikeUnit | None,
        reopened: bool,
        now: float,
    ) -> None:
        before, place = self._said.get((node.id, key)), place_of(self._policy(), key)
        if place != before:
            self._tell(self._graded(node, key, place))
        if place == "refused" and (reopened or before in LIFTED):
            self._said[(node.id, key)] = place
            node.link.send(self._words.test_again(key))
        elif place != before or strike is not None:
            self._say(node, key, place, now, strike)

    def _graded(self, node: LiveNode, key: trust.UnitKey, place: Place) -> scheduler.Event:
        if place in BARRED:
            return scheduler.UnitBarred(node.id, key.digest, "The node's answers are not taken.")
        if place == "waiting":
            return scheduler.UnitHeld(node.id, key.digest)
        if place == "proven":
            return scheduler.UnitProven(node.id, key.digest)
        return scheduler.UnitAllowed(node.id, key.digest)

    def _say(
        self,
        node: LiveNode,
        key: trust.UnitKey,
        place: Place,
        now: float,
        strike: do.StrikeUnit | None = None,
    ) -> None:
        self._said[(node.id, key)] = place
        refusal = self._refusals.get(key, "")
        standing = self._words.standing(self._policy(), key, place, refusal, strike, now)
        node.link.send(standing)
        if place in BARRED or place == "paused":
            log.info("node told", node=node.id, model=key.digest, state=place)

    def _concerned(self, told: do.Instruction) -> Iterator[trust.UnitKey]:
        """Live units only."""
        if isinstance(told, do.QuarantineClass | do.ReopenClass):
            yield from [key for key in self._nodes if key.kind == told.kind]
        elif isinstance(told, do.ConvictUnit | do.RestoreUnit):
            # It is the wallet that gets no jobs any more, or gets them again.
            yield from [key for key in self._nodes if key.wallet == told.unit.wallet]
        elif not isinstance(told, do.RefuseAppeal) and told.unit in self._nodes:
            yield told.unit

    def _register(self, node: LiveNode) -> None:
        units = frozenset(
            trust.UnitKey(node.wallet, digest, model.dtype, node.hello.device_class)
            for digest, model in node.models.items()
        )
        gone = self._units.get(node.id, frozenset()) - units
        if gone:
            self.left(node)
        self._units[node.id] = units
        for key in units:
            self._nodes.setdefault(key, {})[node.id] = node

    def _note_refusals(self, told: Iterable[do.Instruction]) -> None:
        for each in told:
            if isinstance(each, do.RefuseUnit) and each.unit in self._nodes:
                self._refusals[each.unit] = each.reason
            elif isinstance(each, do.AdmitUnit):
                self._refusals.pop(each.unit, None)
