"""A month of a grid under ``tabgrid_server.trust`` itself, with a clock that is made up.

Every place in the grid computes one job a round. References answer at once. The test of
admission cannot be told from jobs, so it costs rounds; cheats are honest in it all the same
(they know that a fresh wallet is tested first). Nobody is held up by the caps on newcomers.
"""

from __future__ import annotations

from collections import deque
from random import Random

from ...trust import (
    BugConfirmed,
    CheckAbandoned,
    Checked,
    ClassCleared,
    ClassKey,
    EpochOpened,
    Event,
    GoldensReturned,
    Policy,
    ResultReturned,
    Ticked,
    Trust,
    UnitKey,
    UnitOffered,
)
from ...trust import instructions as do
from ...trust.draws import secret_of
from ...trust.policy import DAY, ONE
from .nodes import POWER, Owner

ROUNDS_PER_DAY = 100
ROUND_S = DAY / ROUNDS_PER_DAY
#: Base units per job: fine enough that no fraction is lost.
PAY = 1_000_000
CLASSES = 6
DIGEST = "0" * 64
#: How long an operator needs to confirm a bug, and its maker to mend it.
CONFIRM_ROUNDS, MEND_ROUNDS = ROUNDS_PER_DAY, 3 * ROUNDS_PER_DAY
#: As many newcomers as come, so that the worst is seen.
POLICY = Policy(newcomers_per_day=1_000_000_000, newcomers_per_address=1_000_000_000)


class Place:
    """An owner's node: which unit it works as, and whether it may."""

    __slots__ = ("idle_until", "key", "kind", "owner", "tests", "working")

    def __init__(self, owner: Owner) -> None:
        self.owner = owner
        self.kind = f"class-{owner.place % CLASSES}"
        self.key = self._fresh()
        self.working = False
        self.tests = 0
        self.idle_until = 0

    def _fresh(self) -> UnitKey:
        self.owner.wallets += 1
        self.owner.answers = 0
        return UnitKey(f"{self.owner.place}/{self.owner.wallets}", DIGEST, "fp32", self.kind)

    def come_back(self) -> None:
        self.key = self._fresh()
        self.working = False


class Simulation:
    def __init__(
        self, owners: list[Owner], seed: int, bug_rate: float = 0.0, given_up: float = 0.0
    ) -> None:
        self.random = Random(seed)
        self.root = self.random.randbytes(32)
        self.trust = Trust(POLICY)
        self.places = [Place(owner) for owner in owners]
        self.place_of: dict[str, Place] = {}
        self.round = 0
        self.answers = self.checks = 0
        self.delivered_wrong = self.settled_wrong = 0
        #: Convictions of the honest that stand, and that were lifted.
        self.wrongful = self.lifted = 0
        #: Wrong answers whose pay may still come, and whether references see it.
        self.wrong: dict[str, bool] = {}
        self.bug_rate = bug_rate
        #: The share of drawn checks that no reference gets to.
        self.given_up = given_up
        self.bug_from = -1
        self.confirm_at = self.clear_at = -1
        self.broken = ClassKey(DIGEST, "fp32", "class-0")

    def run(self, rounds: int) -> None:
        """Let every place compute so many jobs."""
        if self.bug_rate:
            self.bug_from = rounds // 3  # when the wallets are proven: admission finds no bug
        for self.round in range(rounds):
            if self.round % ROUNDS_PER_DAY == 0:
                day = self.round // ROUNDS_PER_DAY
                self._tell(EpochOpened(day, secret_of(self.root, day)))
            self._look_after_bugs()
            for place in self.places:
                if not (place.working or place.tests) and self.round >= place.idle_until:
                    self._offer(place)
                if place.working:
                    self._answer(place)
                elif place.tests:
                    self._test(place)
            self._tell(Ticked())
        self._settle_the_rest()

    def _offer(self, place: Place) -> None:
        self.place_of[place.key.wallet] = place
        self._tell(UnitOffered(place.key, place.key.wallet))

    def _test(self, place: Place) -> None:
        place.tests -= 1
        if not place.tests:
            passed = not (self._buggy(place) and self.random.random() < self.bug_rate * POWER)
            self._tell(GoldensReturned(place.key, passed))

    def _answer(self, place: Place) -> None:
        number = self.answers
        job = str(number)
        wrong = place.owner.lie(self.random)
        if not wrong and self._buggy(place):
            wrong = self.random.random() < self.bug_rate
        event = ResultReturned(job, place.key, PAY, number.to_bytes(8, "big"))
        out = self.trust.handle(event, self.round * ROUND_S)
        self.answers += 1
        if wrong:
            found = self.wrong[job] = self.random.random() < POWER
            taken = out[0]
            assert isinstance(taken, do.TakeResult)
            # Who waited for the check is told nothing wrong, unless the check errs.
            self.delivered_wrong += not (taken.wait and found)
        if len(out) > 1:
            self._carry_out(out)

    def _buggy(self, place: Place) -> bool:
        return 0 <= self.bug_from <= self.round and place.key.kind == self.broken

    def _tell(self, event: Event) -> None:
        self._carry_out(self.trust.handle(event, self.round * ROUND_S))

    def _carry_out(self, instructions: list[do.Instruction]) -> None:
        todo = deque(instructions)
        while todo:
            told = todo.popleft()
            if isinstance(told, do.CheckJob):
                todo.extend(self.trust.handle(self._look(told), self.round * ROUND_S))
            elif isinstance(told, do.ReleasePay):
                self._pay(told.unit, told.jobs, told.pay)
            else:
                self._obey(told)

    def _look(self, told: do.CheckJob) -> Checked | CheckAbandoned:
        lost = self.given_up and told.purpose == "audit" and self.random.random() < self.given_up
        if lost:
            waited = self.trust.results[told.job].p == ONE
            self.delivered_wrong += waited and self.wrong.get(told.job, False)
            return CheckAbandoned(told.job)
        self.checks += told.references
        found = self.wrong.get(told.job)
        if found is not None:
            return Checked(told.job, not found)
        owner = self.place_of[told.unit.wallet].owner
        chance = owner.confirmed if told.purpose == "second" else owner.mismatch
        return Checked(told.job, self.random.random() >= chance)

    def _pay(self, unit: UnitKey, jobs: tuple[str, ...], pay: int) -> None:
        self.place_of[unit.wallet].owner.earned += pay
        for job in jobs:
            self.settled_wrong += self.wrong.pop(job, None) is not None

    def _obey(self, told: do.Instruction) -> None:
        if isinstance(told, do.TestUnit):
            self.place_of[told.unit.wallet].tests = told.goldens
        elif isinstance(told, do.AdmitUnit):
            self.place_of[told.unit.wallet].working = True
        elif isinstance(told, do.RefuseUnit):
            self.place_of[told.unit.wallet].idle_until = self.round + ROUNDS_PER_DAY
        elif isinstance(told, do.ConvictUnit):
            self._convicted(self.place_of[told.unit.wallet])
        elif isinstance(told, do.RestoreUnit):
            owner = self.place_of[told.unit.wallet].owner
            owner.earned += told.pay
            self.wrongful -= not owner.cheats
            self.lifted += not owner.cheats
        elif isinstance(told, do.ReverseStrike):
            self.place_of[told.unit.wallet].owner.earned += told.pay + told.fine
        elif isinstance(told, do.QuarantineClass):
            self.confirm_at = self.round + CONFIRM_ROUNDS
            self.clear_at = self.round + MEND_ROUNDS
            for place in self.places:
                if place.key.kind == told.kind:
                    place.working, place.tests = False, 0

    def _convicted(self, place: Place) -> None:
        self.wrongful += not place.owner.cheats
        place.come_back()

    def _look_after_bugs(self) -> None:
        """The operator confirms what is true: a class whose devices are sound is just cleared."""
        for kind in [k for k, c in self.trust.classes.items() if c.state == "quarantined"]:
            if self.round == self.confirm_at and kind == self.broken and self.bug_rate:
                self._tell(BugConfirmed(kind))
            elif self.round >= self.clear_at:
                if kind == self.broken:
                    self.bug_from = -1
                self._tell(ClassCleared(kind))

    def _settle_the_rest(self) -> None:
        """Whoever was not found out by now will be paid."""
        for unit in self.trust.units.values():
            if unit.state != "convicted":
                jobs = tuple(r.job for r in unit.results if r.check != "refuted")
                self._pay(unit.key, jobs, unit.withheld)
