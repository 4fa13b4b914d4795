"""Random lives of wallets: whatever is answered, checked and appealed in whatever order, the
money agrees with what was said, and nobody is paid for an answer that was found wrong."""

from __future__ import annotations

from collections import Counter
from itertools import count

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tabgrid_server.trust import (
    AppealFiled,
    AppealJudged,
    BugConfirmed,
    CheckAbandoned,
    Checked,
    ClassCleared,
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
from tabgrid_server.trust import instructions as do
from tabgrid_server.trust.draws import draw
from tabgrid_server.trust.policy import DAY, HOUR
from tabgrid_server.trust.state import WORKING

UNITS = tuple(UnitKey(wallet, "d" * 64, "fp32", kind) for wallet in ("ann", "bob") for kind in "xy")
units = st.sampled_from(UNITS)


class Lives(RuleBasedStateMachine):
    @initialize(
        policy=st.builds(
            Policy,
            probation_jobs=st.integers(1, 3),
            release_jobs=st.integers(0, 4),
            release_s=st.sampled_from([0, HOUR, 3 * DAY]),
            reaudits=st.integers(0, 3),
            margin=st.sampled_from([1, 10]),
            least_audit=st.sampled_from([50_000, 500_000]),
            odds=st.sampled_from([2, 100, 10_000]),
            class_wallets=st.sampled_from([1, 2, 9]),
            class_window_s=st.sampled_from([HOUR, 3 * DAY]),
            newcomers_per_day=st.sampled_from([1, 9]),
        )
    )
    def start(self, policy: Policy) -> None:
        self.trust = Trust(policy)
        self.now = 1_700_000_000.0
        self.numbers = count()
        self.secret = b""
        self.checks: Counter[str] = Counter()  # checks that were asked for
        self.appeals: set[str] = set()
        self.refuted: set[str] = set()
        self.released: set[str] = set()
        # As a ledger would book it, per unit.
        self.withheld: Counter[UnitKey] = Counter()
        self.fines: Counter[UnitKey] = Counter()
        self.open_epoch()
        self.begin(UNITS[0])

    def tell(self, event: Event) -> list[do.Instruction]:
        out = self.trust.handle(event, self.now)
        for instruction in out:
            assert str(getattr(instruction, "reason", "a release needs none"))
            self.book(instruction)
        return out

    def book(self, told: do.Instruction) -> None:
        if isinstance(told, do.TakeResult):
            assert told.withheld == self.withheld[told.unit]
            self.withheld[told.unit] += told.pay
        elif isinstance(told, do.CheckJob):
            assert told.job not in self.released, "too late to check"
            (self.appeals.add if told.purpose == "appeal" else self.ask)(told.job)
        elif isinstance(told, do.StrikeUnit):
            self.refuted.add(told.job)
            self.withheld[told.unit] -= told.pay + told.fine
            self.fines[told.unit] += told.fine - told.from_fines
        elif isinstance(told, do.VoidJob):
            self.refuted.add(told.job)
            self.withheld[told.unit] -= told.pay
            self.fines[told.unit] -= told.from_fines
        elif isinstance(told, do.ReleasePay):
            assert self.trust.units[told.unit].state in ("probation", "proven")
            assert not self.refuted.intersection(told.jobs), "paid for a wrong answer"
            assert not any(self.checks[job] for job in told.jobs), "paid while it is checked"
            self.released.update(told.jobs)
            self.withheld[told.unit] -= told.pay
        elif isinstance(told, do.ForfeitPay):
            assert self.now >= self.trust.units[told.unit].appeal_until
            self.withheld[told.unit] -= told.pay
        elif isinstance(told, do.ReverseStrike):
            assert told.job in self.refuted

    def ask(self, job: str) -> None:
        assert not self.checks[job], "one check of a job at a time"
        self.checks[job] += 1

    def open_epoch(self) -> None:
        number = next(self.numbers)
        self.secret = number.to_bytes(32, "big")
        self.tell(EpochOpened(number, self.secret))

    @rule(unit=units, address=st.sampled_from(["home", "office"]))
    def offer(self, unit: UnitKey, address: str) -> None:
        (told,) = self.tell(UnitOffered(unit, address))
        assert isinstance(told, do.TestUnit | do.AdmitUnit | do.RefuseUnit)

    @rule(unit=units, passed=st.booleans())
    def test(self, unit: UnitKey, passed: bool) -> None:
        if unit in self.trust.units:
            self.tell(GoldensReturned(unit, passed))

    @rule(unit=units)
    def begin(self, unit: UnitKey) -> None:
        self.offer(unit, unit.wallet)
        self.test(unit, True)

    def working(self) -> list[UnitKey]:
        return [key for key, unit in sorted(self.trust.units.items()) if unit.state in WORKING]

    @precondition(lambda self: self.working())
    @rule(data=st.data(), pay=st.integers(0, 3), copies=st.integers(1, 8))
    def answer(self, data: st.DataObject, pay: int, copies: int) -> None:
        unit = data.draw(st.sampled_from(self.working()))
        for _ in range(copies):
            job = f"job-{next(self.numbers)}"
            told = self.tell(ResultReturned(job, unit, pay, job.encode()))[0]
            assert isinstance(told, do.TakeResult)
            assert told.drawn == draw(self.secret, job.encode())
            assert told.audited == bool(self.checks[job])

    @rule(unit=units)
    def answer_late(self, unit: UnitKey) -> None:
        if unit in self.trust.units and unit not in self.working():
            (told,) = self.tell(ResultReturned("late", unit, 1, b"c"))
            assert isinstance(told, do.RefuseResult)

    @rule(data=st.data(), agreed=st.sampled_from([True, True, False]), copies=st.integers(1, 8))
    def judge(self, data: st.DataObject, agreed: bool, copies: int) -> None:
        for _ in range(copies):
            asked = sorted(+self.checks)
            if asked:
                job = data.draw(st.sampled_from(asked))
                self.checks[job] -= 1
                self.tell(Checked(job, agreed))

    @rule(data=st.data())
    def refute(self, data: st.DataObject) -> None:
        """Whoever is asked about a job says that it is wrong."""
        asked = sorted(+self.checks)
        if asked:
            job = data.draw(st.sampled_from(asked))
            while self.checks[job]:
                self.checks[job] -= 1
                self.tell(Checked(job, False))

    @rule()
    def agree_to_all(self) -> None:
        while asked := sorted(+self.checks):
            self.checks[asked[0]] -= 1
            self.tell(Checked(asked[0], True))

    @rule(data=st.data())
    def abandon(self, data: st.DataObject) -> None:
        asked = sorted(+self.checks)
        if asked:
            job = data.draw(st.sampled_from(asked))
            self.checks[job] -= 1
            self.tell(CheckAbandoned(job))

    @rule(data=st.data())
    def appeal(self, data: st.DataObject) -> None:
        if self.refuted:
            self.tell(AppealFiled(data.draw(st.sampled_from(sorted(self.refuted)))))

    @rule(data=st.data(), agreeing=st.integers(0, 3))
    def judge_appeal(self, data: st.DataObject, agreeing: int) -> None:
        if self.appeals:
            job = data.draw(st.sampled_from(sorted(self.appeals)))
            self.appeals.remove(job)
            self.tell(AppealJudged(job, agreeing))

    @precondition(lambda self: len(self.refuted) > 2)
    @rule(unit=units)
    def confirm_a_bug(self, unit: UnitKey) -> None:
        if unit.kind in self.trust.classes:
            self.tell(BugConfirmed(unit.kind))
            assert all(
                strike.state == "reversed"
                for strike in self.trust.strikes.values()
                if strike.unit.kind == unit.kind
            )

    @rule(unit=units)
    def clear(self, unit: UnitKey) -> None:
        if unit.kind in self.trust.classes:
            self.tell(ClassCleared(unit.kind))

    @rule(seconds=st.sampled_from([1, HOUR, DAY, 3 * DAY, 31 * DAY]))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.open_epoch()
        self.tell(Ticked())
        alarm = self.trust.next_alarm()
        assert alarm is None or alarm > self.now

    @invariant()
    def books_agree(self) -> None:
        if not hasattr(self, "trust"):
            return
        self.trust.validate_state()
        for key, unit in self.trust.units.items():
            assert unit.withheld == self.withheld[key]
            assert self.fines[key] >= 0
        for job, result in self.trust.results.items():
            assert result.pending == bool(self.checks[job])


TestLives = Lives.TestCase
TestLives.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
