"""What is remembered of units, their withheld results and strikes, and the moves allowed."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from typing import Literal

from .events import ClassKey, UnitKey

UnitState = Literal[
    "untested",  # not offered since it was first seen, or since its class was cleared
    "testing",
    "unsupported",  # computes wrong: no fault of its owner
    "probation",
    "proven",
    "suspected",
    "convicted",
    "quarantined",  # with its class
]
CheckState = Literal["unchecked", "checking", "disputed", "agreed", "refuted"]
StrikeState = Literal[
    "standing",
    "appealed",
    "upheld",
    "reversed",
    "lapsed",  # it was appealed, and too few references could look
]

UNIT_MOVES: frozenset[tuple[UnitState, UnitState]] = frozenset(
    {
        ("untested", "testing"),
        ("unsupported", "testing"),
        ("testing", "testing"),
        ("testing", "unsupported"),
        ("testing", "probation"),
        ("testing", "untested"),
        ("probation", "proven"),
        ("probation", "suspected"),
        ("proven", "suspected"),
        ("suspected", "probation"),
        ("suspected", "proven"),
        ("suspected", "convicted"),
        ("probation", "quarantined"),
        ("proven", "quarantined"),
        ("suspected", "quarantined"),
        ("quarantined", "untested"),
        # An appeal or a confirmed bug reversed the strikes.
        ("convicted", "probation"),
        ("convicted", "proven"),
        ("convicted", "suspected"),
        ("convicted", "quarantined"),
    }
)
CHECK_MOVES: frozenset[tuple[CheckState, CheckState]] = frozenset(
    {
        ("unchecked", "checking"),
        ("checking", "agreed"),
        ("checking", "disputed"),
        ("checking", "unchecked"),
        ("checking", "refuted"),  # of a unit no longer trusted: one reference is enough
        ("disputed", "agreed"),
        ("disputed", "unchecked"),
        ("disputed", "refuted"),
    }
)
STRIKE_MOVES: frozenset[tuple[StrikeState, StrikeState]] = frozenset(
    {
        ("standing", "appealed"),
        ("standing", "reversed"),
        ("appealed", "upheld"),
        ("appealed", "reversed"),
        ("appealed", "lapsed"),
        ("upheld", "reversed"),
    }
)
#: States in which a unit is given jobs.
WORKING: frozenset[UnitState] = frozenset({"probation", "proven", "suspected"})

#: Of these, whose answers prove nothing yet.
UNPROVEN: frozenset[UnitState] = WORKING - {"proven"}


class Result:
    """An answer whose pay is withheld."""

    __slots__ = ("at", "check", "drawn", "job", "number", "p", "pay", "release_s", "unit")

    def __init__(
        self,
        job: str,
        unit: Unit,
        pay: int,
        number: int,
        at: float,
        p: int,
        drawn: int,
        release_s: float,
    ) -> None:
        self.job = job
        self.unit = unit
        self.pay = pay
        #: Which answer of the unit this is, from 1.
        self.number = number
        self.at = at
        #: How surely it was to be checked; 1 where a check was not left to chance.
        self.p = p
        self.drawn = drawn
        #: For how long its pay is withheld at least.
        self.release_s = release_s
        self.check: CheckState = "unchecked"

    @property
    def pending(self) -> bool:
        return self.check == "checking" or self.check == "disputed"

    def move(self, to: CheckState) -> None:
        if (self.check, to) not in CHECK_MOVES:
            raise ValueError(f"job {self.job} cannot go from {self.check} to {to}")
        self.unit.pending -= self.pending
        self.check = to
        self.unit.pending += self.pending


class Strike:
    """A mismatch that a second reference confirmed."""

    __slots__ = ("appealed_at", "at", "fine", "job", "looks", "pay", "state", "unit")

    def __init__(self, job: str, unit: Unit, pay: int, fine: int, at: float) -> None:
        self.job = job
        self.unit = unit
        self.pay = pay
        self.fine = fine
        self.at = at
        self.state: StrikeState = "standing"
        self.appealed_at = math.inf
        #: What the references that decide the appeal have found so far.
        self.looks: list[bool] = []

    @property
    def stands(self) -> bool:
        """Whether it counts against its unit."""
        return self.state not in ("reversed", "lapsed")

    def move(self, to: StrikeState) -> None:
        if (self.state, to) not in STRIKE_MOVES:
            raise ValueError(f"the strike for {self.job} cannot go from {self.state} to {to}")
        self.state = to


class Unit:
    __slots__ = (
        "agreed", "alarm_at", "appeal_until", "checked_at", "evidence", "forfeited", "full", "jobs",
        "key", "kind", "owed", "pending", "proven_at", "results", "state", "strikes", "struck_at",
        "withheld",
    )  # fmt: skip

    def __init__(self, key: UnitKey) -> None:
        self.key = key
        self.kind: ClassKey = key.kind
        self.state: UnitState = "untested"
        #: Answers taken.
        self.jobs = 0
        #: Checks that agreed, since the last test.
        self.agreed = 0
        #: Log odds of a cheat against an honest node, never below 0; see ``Policy``.
        self.evidence = 0
        #: Results whose pay is withheld, the oldest first; refuted ones until their turn.
        self.results: deque[Result] = deque()
        #: What they pay, less what is owed, in base units.
        self.withheld = 0
        #: How many of them wait for a look, and whether those are too many for further jobs.
        self.pending = 0
        self.full = False
        #: Fines not yet taken from a release.
        self.owed = 0
        self.strikes: list[Strike] = []
        self.checked_at = self.struck_at = -math.inf
        self.proven_at = math.inf
        self.appeal_until = 0.0
        #: What a conviction took for good, in base units.
        self.forfeited = 0
        #: When the oldest result is looked at again, if no other answer comes before.
        self.alarm_at = math.inf

    def move(self, to: UnitState) -> None:
        if (self.state, to) not in UNIT_MOVES:
            raise ValueError(f"unit {self.key} cannot go from {self.state} to {to}")
        self.state = to

    @property
    def held(self) -> bool:
        """Whether it gets no jobs before some of its answers were looked at."""
        return self.full and self.state in UNPROVEN

    @property
    def is_paid(self) -> bool:
        """Whether what is withheld is let go in its time: also of a device that works no more,
        through no fault of its owner."""
        if self.state == "proven" or self.state == "probation":
            return True
        return self.state in ("untested", "testing", "unsupported") and not self.evidence

    def unchecked(self) -> Iterator[Result]:
        return (result for result in self.results if result.check == "unchecked")

    def validate(self) -> None:
        """Raise AssertionError where the unit's books disagree."""
        due = sum(result.pay for result in self.results if result.check != "refuted")
        assert self.withheld == due - self.owed, "withheld is not what the results pay"
        assert self.withheld >= 0, "fined beyond what is withheld"
        assert 0 <= self.owed <= sum(strike.fine for strike in self.strikes if strike.stands), (
            "more is kept back than what fines took"
        )
        assert self.evidence >= 0
        numbers = [result.number for result in self.results]
        assert numbers == sorted(numbers), "results out of order"
        assert self.pending == sum(result.pending for result in self.results)
        standing = sum(strike.stands for strike in self.strikes)
        assert self.state != "convicted" or standing, "convicted without a strike"
        if self.state in WORKING:
            assert (self.state == "suspected") == bool(self.evidence), "suspicion without evidence"
