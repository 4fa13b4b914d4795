"""What others do, in the same simulation: no check, a quorum of two, adaptive replication."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from .nodes import Owner

#: BOINC's adaptive replication: so many valid answers in a row, then one in as many is checked.
TRUSTED_AFTER = 10
RIGHT, RING = "right", "the lie of the ring"


Replicate = Callable[[int, Random], bool]


class Replication:
    """Each job goes to a place in turn; ``replicate`` says whether others compute it too.

    Then as many compute it as are needed for two that agree. Lies of a ring agree, others
    never do, and a copying node says what the first one said.
    """

    def __init__(self, owners: list[Owner], seed: int, replicate: Replicate) -> None:
        self.random = Random(seed)
        self.owners = owners
        self.replicate = replicate
        self.answers = self.checks = 0
        self.delivered_wrong = self.settled_wrong = 0
        #: Nobody is ever convicted.
        self.wrongful = self.lifted = 0
        #: Answers in a row that were not found wrong, by place.
        self.valid = [0] * len(owners)
        self.computed = [0] * len(owners)

    def run(self, rounds: int) -> None:
        for _ in range(rounds):
            for owner in self.owners:
                self._job(owner)

    def _job(self, first: Owner) -> None:
        self.answers += 1
        self.computed[first.place] += 1
        if not self.replicate(self.valid[first.place], self.random):
            self._accept([first], first.lie(self.random))
            return
        second = self._other([first])
        words = [self._first_words(first, second)]
        asked = [first]
        said = {words[0]: [first]}
        while len(said[words[-1]]) < 2:
            other = self._other(asked) if len(asked) > 1 else second
            asked.append(other)
            self.checks += 1
            self.computed[other.place] += 1
            words.append(self._words(other, words[0]))
            said.setdefault(words[-1], []).append(other)
        for loser in asked:
            if loser not in said[words[-1]]:
                self.valid[loser.place] = 0
        self._accept(said[words[-1]], words[-1] != RIGHT)

    def _other(self, asked: list[Owner]) -> Owner:
        while True:
            other = self.owners[self.random.randrange(len(self.owners))]
            if other not in asked:
                return other

    def _first_words(self, first: Owner, second: Owner) -> str:
        # Where every job has two, a ring's member asks the others who has it too, and lies when
        # it is one of them.
        if self.replicate is always and first.strategy == "colluding":
            return self._words(first, "") if second.strategy == "colluding" else RIGHT
        return self._words(first, "")

    def _words(self, owner: Owner, first: str) -> str:
        if first and owner.strategy == "copying":
            owner.saved += 1
            return first
        if first == RING and owner.strategy == "colluding":
            owner.saved += 1
            return RING
        # One of a ring that every job has two of says alone what is right.
        alone = bool(first) and self.replicate is always and owner.strategy == "colluding"
        if alone or not owner.lie(self.random):
            return RIGHT
        return RING if owner.strategy == "colluding" else f"noise of {owner.place}"

    def _accept(self, agreed: list[Owner], wrong: bool) -> None:
        self.delivered_wrong += wrong
        self.settled_wrong += wrong
        for owner in agreed:
            owner.earned += 1
            self.valid[owner.place] += 1


def never(valid: int, random: Random) -> bool:
    return False


def always(valid: int, random: Random) -> bool:
    return True


def adaptive(valid: int, random: Random) -> bool:
    return valid < TRUSTED_AFTER or random.random() * valid < 1


POLICIES: dict[str, Replicate] = {
    "no-check": never,
    "quorum-2": always,
    "adaptive": adaptive,
}
