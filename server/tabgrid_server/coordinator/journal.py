"""The trust policy with a memory: whatever it is told is kept, with all that follows from it.

Tell it, then send the ``step``: the store keeps steps in the order of their events, each with its
effects in one transaction. So what is durable is always a beginning of what happened, and a
process that dies goes on from there; ``trust.memory`` tells the policy all of it again.
"""

from __future__ import annotations

from .. import trust
from ..store.consequences import effects_of
from ..store.effects import Effect, TrustStep
from ..trust import instructions as do


class Journal:
    """``through`` is the number of the last event that ``policy`` was told before."""

    def __init__(self, policy: trust.Trust, through: int = 0) -> None:
        self.policy = policy
        self.through = through
        self._first = through + 1
        self._events: list[tuple[float, trust.Event]] = []
        self._effects: list[Effect] = []

    def tell(self, event: trust.Event, now: float) -> list[do.Instruction]:
        """``now`` is Unix seconds. What it says concerns others too: carry it out."""
        told = self.policy.handle(event, now)
        self.through += 1
        self._events.append((now, event))
        self._effects += effects_of(told, self.policy, now)
        return told

    def also(self, effect: Effect) -> None:
        """Keep this together with what was told last."""
        self._effects.append(effect)

    def step(self) -> TrustStep | None:
        """What there is to keep since the last step; whoever takes it must have it kept."""
        if not self._events:
            return None
        step = TrustStep(self._first, tuple(self._events), tuple(self._effects))
        self._first = self.through + 1
        self._events, self._effects = [], []
        return step
