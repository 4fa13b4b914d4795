"""What wallets failed at lately, beyond the connections they did it on.

Else a node that fails every job would come back under a new id and begin with a clean slate: a
job that waits could meet nobody but it, as often as it may be handed out.
"""

from __future__ import annotations

import msgspec

from .state import Node

#: Wallets remembered; of more, those that have been away for longest begin anew.
REMEMBERED = 10_000


class Failed(msgspec.Struct, frozen=True):
    strikes: int
    rests: int
    resting_until: float


class Failures:
    def __init__(self, keep_s: float) -> None:
        self._keep_s = keep_s
        self._by_wallet: dict[str, Failed] = {}

    def left(self, node: Node, now: float) -> None:
        """Keep what this node had against it."""
        if node.reference or not (node.strikes or node.rests):
            return
        self._by_wallet.pop(node.wallet, None)  # to the end of the line
        # Even if it was not resting: coming back must cost more than staying.
        until = max(node.resting_until, now)
        self._by_wallet[node.wallet] = Failed(node.strikes, node.rests, until)
        while len(self._by_wallet) > REMEMBERED:
            del self._by_wallet[next(iter(self._by_wallet))]

    def joined(self, node: Node, now: float) -> None:
        """Give it to a node of the same wallet, if that is not too long ago."""
        known = self._by_wallet.pop(node.wallet, None)
        if known is None or known.resting_until + self._keep_s < now:
            return
        node.strikes, node.rests = known.strikes, known.rests
        node.resting_until = known.resting_until
