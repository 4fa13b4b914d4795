"""Node owners of the simulation: when they lie, and what a reference says about it."""

from __future__ import annotations

from random import Random
from typing import Literal

Strategy = Literal[
    "honest",
    "lazy",  # lies from the first paid job on
    "sleeper-60",  # is honest in so many jobs of each wallet before
    "sleeper-150",
    "sleeper-400",
    "copying",  # returns what another node said, where it can see it
    "colluding",  # tells the same lie as the others of its ring
    "broken-driver",  # nobody lies, but one class of devices begins to compute wrong
]

#: Honest answers beyond a comparator's threshold, which stands at their 99.9th percentile, and
#: how many of those a second reference on another backend confirms.
HONEST_MISMATCH = 0.001
HONEST_CONFIRMED = 0.2
#: A device at the edge: as bad as the policy takes an honest node to be, each time confirmed.
NOISY_MISMATCH = 0.002
NOISY_CONFIRMED = 1.0
#: Every tenth honest wallet has such a one.
NOISY_EVERY = 10
#: The share of wrong answers that references tell from right ones. A wrong answer that passes
#: once passes always: asking again is no remedy.
POWER = 0.95

_SLEEP = {"sleeper-60": 60, "sleeper-150": 150, "sleeper-400": 400}


class Owner:
    """One place in the grid. A convicted owner comes back at once with a fresh wallet."""

    __slots__ = (
        "answers", "cheats", "confirmed", "earned", "lies", "mismatch", "place", "saved", "sleep",
        "strategy", "wallets",
    )  # fmt: skip

    def __init__(self, place: int, strategy: Strategy, rate: float, noisy: bool = False) -> None:
        self.place = place
        self.strategy = strategy
        self.cheats = strategy != "honest"
        self.sleep = _SLEEP.get(strategy, 0)
        #: Of the jobs after its sleep, the share that it lies in.
        self.lies = rate if self.cheats else 0.0
        self.mismatch = NOISY_MISMATCH if noisy else HONEST_MISMATCH
        self.confirmed = NOISY_CONFIRMED if noisy else HONEST_CONFIRMED
        self.wallets = 0
        #: Answers of the wallet at hand.
        self.answers = 0
        #: Answers that cost nothing to compute, of all wallets.
        self.saved = 0
        #: In job prices, of all wallets.
        self.earned = 0

    def lie(self, random: Random) -> bool:
        """Whether the next answer is a lie."""
        self.answers += 1
        if not self.lies or self.answers <= self.sleep:
            return False
        if self.lies < 1 and random.random() >= self.lies:
            return False
        self.saved += 1
        return True


def owners_of(count: int, cheaters: float, strategy: Strategy, rate: float) -> list[Owner]:
    """The first are the cheats; classes of devices are dealt out round the table."""
    liars = round(count * cheaters)
    owners = [Owner(place, strategy, rate) for place in range(liars)]
    for place in range(liars, count):
        owners.append(Owner(place, "honest", 0, noisy=place % NOISY_EVERY == 0))
    return owners
