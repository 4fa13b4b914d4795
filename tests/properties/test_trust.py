"""Random lives of wallets: whatever is answered, checked and appealed in whatever order, the
money agrees with what was said, nobody is paid for an answer that was found wrong, and whoever
forgets everything but the events knows it all again."""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import count

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tabgrid_server.ledger import FINES, FORFEITS, withheld_of
from tabgrid_server.store.consequences import effects_of
from tabgrid_server.trust import (
    AppealCutShort,
    AppealFiled,
    AppealHeard,
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
    memory,
)
from tabgrid_server.trust import instructions as do
from tabgrid_server.trust.draws import draw
from tabgrid_server.trust.policy import DAY, HOUR
from tabgrid_server.trust.state import UNPROVEN, WORKING, Unit
from tests.support.trusted_money import TrustedMoney

UNITS = tuple(UnitKey(wallet, "d" * 64, "fp32", kind) for wallet in ("ann", "bob") for kind in "xy")
units = st.sampled_from(UNITS)
SUSPECT = ("suspected", "convicted", "quarantined")


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
            unproven_per_unit=st.sampled_from([1, 3, 20]),
            unproven_per_wallet=st.sampled_from([2, 60]),
            odds=st.sampled_from([2, 100, 10_000]),
            class_wallets=st.sampled_from([1, 2, 9]),
            class_window_s=st.sampled_from([HOUR, 3 * DAY]),
            newcomers_per_day=st.sampled_from([1, 9]),
            newcomers_per_address=st.sampled_from([1, 3]),
        )
    )
    def start(self, policy: Policy) -> None:
        # Read back once: whole numbers of seconds are floats then.
        self.trust = memory.load(memory.dump(Trust(policy)))
        self.now = 1_700_000_000.0
        self.numbers = count()
        self.secret = b""
        self.checks: Counter[str] = Counter()  # checks that were asked for
        self.appeals: set[str] = set()
        #: When they were filed, and what references said of them.
        self.filed: dict[str, float] = {}
        self.looks: defaultdict[str, list[bool]] = defaultdict(list)
        self.held: set[UnitKey] = set()
        self.refuted: set[str] = set()
        self.released: set[str] = set()
        self.agreed: set[str] = set()
        self.returned: dict[str, float] = {}
        self.money = TrustedMoney()
        # What would be kept: a snapshot, and the events since.
        self.kept = memory.dump(self.trust)
        self.events: list[tuple[float, str]] = []
        # As a ledger would book it, per unit.
        self.withheld: Counter[UnitKey] = Counter()
        self.fines: Counter[UnitKey] = Counter()
        self.open_epoch()
        self.begin(UNITS[0])

    def tell(self, event: Event) -> list[do.Instruction]:
        out = self.trust.handle(event, self.now)
        self.events.append((self.now, memory.text_of(event)))
        if isinstance(event, ResultReturned) and isinstance(out[0], do.TakeResult):
            self.money.settle(event.job, event.unit.wallet, event.pay)
        self.money.carry_out(effects_of(out, self.trust, self.now))
        for instruction in out:
            assert str(getattr(instruction, "reason", "a release needs none"))
            self.book(instruction)
            self.note_held(instruction)
        return out

    def book(self, told: do.Instruction) -> None:
        if isinstance(told, do.TakeResult):
            assert told.withheld == self.withheld[told.unit]
            self.withheld[told.unit] += told.pay
            self.returned[told.job] = self.now
        elif isinstance(told, do.ClearJob):
            self.agreed.add(told.job)
        elif isinstance(told, do.CheckJob):
            assert told.job not in self.released, "too late to check"
            if told.purpose == "appeal":
                self.appeals.add(told.job)
                self.filed[told.job] = self.now
            else:
                self.ask(told.job)
        elif isinstance(told, do.StrikeUnit):
            self.refuted.add(told.job)
            self.withheld[told.unit] -= told.pay + told.fine
            self.fines[told.unit] += told.fine - told.from_fines
        elif isinstance(told, do.VoidJob):
            self.refuted.add(told.job)
            self.withheld[told.unit] -= told.pay
            self.fines[told.unit] -= told.from_fines
        elif isinstance(told, do.ReleasePay):
            closed = told.unit.wallet in self.trust.barred and self.agreed.issuperset(told.jobs)
            assert closed or self.trust.units[told.unit].is_paid
            assert closed or self.trust.units[told.unit].state not in SUSPECT
            assert not self.refuted.intersection(told.jobs), "paid for a wrong answer"
            assert not any(self.checks[job] for job in told.jobs), "paid while it is checked"
            self.look_at_pay_of_strangers(told)
            self.released.update(told.jobs)
            self.withheld[told.unit] -= told.pay
        elif isinstance(told, do.ForfeitPay):
            assert self.now >= self.trust.units[told.unit].appeal_until
            assert not any(self.checks[job] for job in told.jobs), "lost while it is checked"
            self.withheld[told.unit] -= told.pay
        elif isinstance(told, do.ReverseStrike | do.LapseStrike):
            assert told.job in self.refuted
            self.withheld[told.unit] += told.withheld
            self.fines[told.unit] -= told.fine

    def look_at_pay_of_strangers(self, told: do.ReleasePay) -> None:
        if self.trust.units[told.unit].state != "proven":
            idle = self.trust.policy.release_idle_s
            fresh = {job for job in told.jobs if self.now < self.returned[job] + idle}
            assert fresh <= self.agreed, "a stranger is paid for what nobody looked at"

    def ask(self, job: str) -> None:
        assert not self.checks[job], "one check of a job at a time"
        self.checks[job] += 1

    def open_epoch(self) -> None:
        number = next(self.numbers)
        self.secret = number.to_bytes(32, "big")
        self.tell(EpochOpened(number, self.secret))

    @rule(unit=units, address=st.sampled_from(["home", "192.0.2.1", "2001:db8:0:1::/64"]))
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
            self.looks.pop(job, None)
            self.tell(AppealJudged(job, agreeing))

    @rule(data=st.data(), agreed=st.booleans())
    def hear_appeal(self, data: st.DataObject, agreed: bool) -> None:
        open = [job for job in sorted(self.appeals) if len(self.looks[job]) < 3]
        if open:
            job = data.draw(st.sampled_from(open))
            self.looks[job].append(agreed)
            self.tell(AppealHeard(job, agreed))

    @rule(data=st.data(), expired=st.booleans())
    def cut_an_appeal_short(self, data: st.DataObject, expired: bool) -> None:
        """Two that say the same decide; without them it lapses, unless its owner came too late."""
        if not self.appeals:
            return
        job = data.draw(st.sampled_from(sorted(self.appeals)))
        self.appeals.remove(job)
        strike, looks = self.trust.strikes[job], self.looks.pop(job, [])
        before, fine = strike.state, strike.fine
        in_time = self.filed[job] <= strike.at + self.trust.policy.appeal_s
        out = self.tell(AppealCutShort(job, expired))
        if before != "appealed":
            assert strike.state == before == "reversed", "a fault of the device was found"
            return
        if looks.count(True) >= 2:
            assert strike.state == "reversed"
        elif looks.count(False) >= 2 or (expired and not in_time):
            assert strike.state == "upheld"
        else:
            assert strike.state == "lapsed"
            (lapsed,) = [each for each in out if isinstance(each, do.LapseStrike)]
            assert lapsed.fine == fine

    @precondition(lambda self: len(self.refuted) > 2)
    @rule(unit=units)
    def confirm_a_bug(self, unit: UnitKey) -> None:
        if unit.kind in self.trust.classes:
            self.tell(BugConfirmed(unit.kind))
            assert all(
                not strike.stands
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

    @rule(snapshot=st.booleans())
    def restart(self, snapshot: bool) -> None:
        before = memory.dump(self.trust)
        events = [(at, memory.read_event(text)) for at, text in self.events]
        self.trust = memory.replayed(self.kept, events, Policy())
        assert memory.dump(self.trust) == before
        if snapshot:
            self.kept, self.events = before, []

    def note_held(self, told: do.Instruction) -> None:
        if isinstance(told, do.HoldUnit):
            assert told.unit not in self.held, "said twice"
            self.held.add(told.unit)
        elif isinstance(told, do.FreeUnit):
            self.held.remove(told.unit)

    def look_at_held(self, unit: Unit) -> None:
        """Who has too many answers waiting is held, and was told; who has few of them is not."""
        policy = self.trust.policy
        if unit.state not in UNPROVEN:
            self.held.discard(unit.key)
            assert not unit.held
            return
        assert unit.held == (unit.key in self.held)
        units = [each for each in self.trust.units_of(unit.key.wallet) if each.state in UNPROVEN]
        waiting = sum(each.pending for each in units)
        if unit.held:
            assert 2 * unit.pending >= policy.unproven_per_unit or (
                2 * waiting >= policy.unproven_per_wallet
            )
        else:
            assert unit.pending < policy.unproven_per_unit

    @invariant()
    def books_agree(self) -> None:
        if not hasattr(self, "trust"):
            return
        self.trust.validate_state()
        for key, unit in self.trust.units.items():
            assert unit.withheld == self.withheld[key]
            assert self.fines[key] >= 0
            self.look_at_held(unit)
        self.money.validate()
        for wallet in {key.wallet for key in self.trust.units}:
            mine = sum(u.withheld for key, u in self.trust.units.items() if key.wallet == wallet)
            assert self.money.has(withheld_of(wallet)) == mine
        strikes = self.trust.strikes.values()
        fines = sum(strike.fine for strike in strikes if strike.stands)
        assert self.money.has(FINES) == fines, "what is there is what can be given back"
        forfeits = sum(unit.forfeited for unit in self.trust.units.values())
        assert self.money.has(FORFEITS) == forfeits
        for job in self.refuted:
            assert ("void", job) in self.money.booked, "its user has the price back"
        for job, result in self.trust.results.items():
            assert result.pending == bool(self.checks[job])


TestLives = Lives.TestCase
TestLives.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
