"""Whom to trust how far. One method mutates: ``handle``."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from typing import Any, Literal

from . import events as e
from . import instructions as do
from .classes import DeviceClass
from .draws import draw
from .newcomers import Newcomers
from .policy import ONE, Policy
from .state import WORKING, Result, Strike, Unit
from .suspicion import Admitted, Suspicions
from .verdicts import Verdicts
from .waiting import weighed


class Trust(Verdicts):
    """All units of one grid: who is tested, checked, paid, paused, convicted and heard.

    Time is Unix seconds. Results live here while their pay is withheld; what is final is in
    the receipts.
    """

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.units: dict[e.UnitKey, Unit] = {}
        self.classes: dict[e.ClassKey, DeviceClass] = {}
        self.results: dict[str, Result] = {}
        self.strikes: dict[str, Strike] = {}
        #: Wallets with a standing conviction, and how many units of theirs it is.
        self.barred: dict[str, int] = {}
        self.suspicions = Suspicions()
        self.newcomers = Newcomers(policy)
        self.epoch = -1
        self._secret = b""
        self._agree_step = policy.agree_step
        self._mismatch_step = policy.mismatch_step
        self._release_idle_s = policy.release_idle_s
        self._conviction_at = policy.conviction_at
        self._by_wallet: dict[str, list[Unit]] = {}
        self._alarms: list[tuple[float, int, Literal["release", "forfeit"], Unit]] = []
        self._alarm_count = 0
        self._out: list[do.Instruction] = []
        self._handlers: dict[type, Callable[[Any, float], None]] = {
            e.EpochOpened: self._epoch_opened,
            e.UnitOffered: self._unit_offered,
            e.GoldensReturned: self._goldens_returned,
            e.ResultReturned: self._result_returned,
            e.Checked: self._checked,
            e.CheckAbandoned: self._check_abandoned,
            e.AppealFiled: self._appeal_filed,
            e.AppealHeard: self._appeal_heard,
            e.AppealCutShort: self._appeal_cut_short,
            e.AppealJudged: self._appeal_judged,
            e.BugConfirmed: self._bug_confirmed,
            e.ClassCleared: self._class_cleared,
            e.Ticked: self._ticked,
        }

    def handle(self, event: e.Event, now: float) -> list[do.Instruction]:
        """Take one event; say what to do. ``now`` is Unix seconds."""
        self._out = []
        self._handlers[type(event)](event, now)
        return self._out

    def next_alarm(self) -> float | None:
        """When ``Ticked`` is due, at the latest."""
        return self._alarms[0][0] if self._alarms else None

    def units_of(self, wallet: str) -> Sequence[Unit]:
        return self._by_wallet.get(wallet, ())

    # --- admission --------------------------------------------------------------------

    def _unit_offered(self, event: e.UnitOffered, now: float) -> None:
        unit = self.units.get(event.unit)
        if unit is not None and unit.state in WORKING:
            self._out.append(do.AdmitUnit(unit.key, "Tested before, and trusted since."))
            return
        refusal = self.refusal(event, now)
        if refusal is not None:
            self._out.append(do.RefuseUnit(event.unit, refusal))
            return
        kind = self._class(event.unit.kind)
        if unit is None:
            unit = self._new_unit(event.unit, kind)
        self.newcomers.enter(event.unit.wallet, event.address, now)
        unit.move("testing")
        reason = f"The first {self.policy.goldens} jobs are a test with known answers, unpaid."
        self._out.append(do.TestUnit(unit.key, self.policy.goldens, reason))

    def refusal(self, event: e.UnitOffered, now: float) -> str | None:
        """Why a unit that is not working would get no test now, or None if it would."""
        unit, kind = self.units.get(event.unit), self.classes.get(event.unit.kind)
        if event.unit.wallet in self.barred:
            return "This wallet returned wrong answers and takes no jobs unless an appeal succeeds."
        if kind is not None and kind.state == "quarantined":
            return (
                "Devices of this kind compute this model wrong at the moment. The operator is"
                " looking into it; it is no fault of yours."
            )
        if kind is not None and (unit is None or unit.state != "testing"):
            reason = kind.test_fault(self.policy, now)
            if reason is not None:
                return reason
        if unit is None and self._has_many(event.unit.wallet):
            return (
                f"This wallet has {self.policy.units_per_wallet} combinations of device and model"
                " already, and no more are counted. Use another wallet for further devices."
            )
        return self.newcomers.refusal(event.unit.wallet, event.address, now)

    def _has_many(self, wallet: str) -> bool:
        return len(self._by_wallet.get(wallet, ())) >= self.policy.units_per_wallet

    def _new_unit(self, key: e.UnitKey, kind: DeviceClass) -> Unit:
        unit = self.units[key] = Unit(key)
        kind.units.append(unit)
        self._by_wallet.setdefault(key.wallet, []).append(unit)
        return unit

    def _goldens_returned(self, event: e.GoldensReturned, now: float) -> None:
        unit = self.units[event.unit]
        if unit.state != "testing":
            return  # its class was quarantined meanwhile
        kind = self.classes[unit.kind]
        if not event.passed:
            unit.move("unsupported")
            kind.failed_tests[unit.key.wallet] = now
            reason = (
                "Known answers came out wrong: this model is not supported on this device. It"
                " counts for nothing; you can try again after an update of browser or driver."
            )
            self._out.append(do.RefuseUnit(unit.key, reason))
            return
        kind.failed_tests.pop(unit.key.wallet, None)
        unit.agreed = 0
        unit.proven_at = math.inf
        kind.proven.pop(unit.key.wallet, None)
        unit.move("probation")
        reason = f"The test is passed. The first {self.policy.probation_jobs} answers are checked."
        self._out.append(do.AdmitUnit(unit.key, reason))
        self._inherit_suspicion(unit)
        self._weigh(unit)

    def _inherit_suspicion(self, unit: Unit) -> None:
        """Nobody becomes a stranger again by calling his device another, or by a new test."""
        units = self._by_wallet[unit.key.wallet]
        others = [other for other in units if other.state == "suspected"]
        if others:
            unit.evidence = max(unit.evidence, *(other.evidence for other in others))
            self.suspicions.note(Admitted(unit.key, tuple(o.key for o in others)), units)
        if unit.evidence:
            self._suspect(unit)

    # --- answers ----------------------------------------------------------------------

    def _epoch_opened(self, event: e.EpochOpened, now: float) -> None:
        if event.epoch <= self.epoch:
            raise ValueError(f"epoch {event.epoch} was opened after epoch {self.epoch}")
        self.epoch, self._secret = event.epoch, event.secret

    def _result_returned(self, event: e.ResultReturned, now: float) -> None:
        if self.epoch < 0:
            raise ValueError("a result came before any epoch was opened: nothing can be drawn")
        unit = self.units[event.unit]
        state = unit.state
        if state not in WORKING:
            reason = f"The node's standing changed to {state} while it computed."
            self._out.append(do.RefuseResult(event.job, unit.key, reason))
            return
        if event.job in self.results or event.job in self.strikes:
            raise ValueError(f"job {event.job} was returned twice")
        pay = event.pay
        p = ONE
        if state == "proven" and not event.checked:
            p = self.policy.audit_probability(pay, unit.withheld)
        drawn = draw(self._secret, event.commit_hash)
        self._out.append(
            do.TakeResult(event.job, unit.key, self.epoch, p, drawn, p == ONE, pay, unit.withheld)
        )
        unit.jobs += 1
        release_s = self.policy.release_s if event.release_s is None else event.release_s
        result = Result(event.job, unit, pay, unit.jobs, now, p, drawn, release_s)
        self.results[event.job] = result
        unit.results.append(result)
        unit.withheld += pay
        if drawn < p:
            self._check(result, "audit", "Drawn for a check.")
            self._weigh(unit)
        self._release(unit, now)

    def _weigh(self, unit: Unit) -> None:
        """Hold whoever has too many answers waiting, and free whoever has not any more."""
        self._out += weighed(self._units_with(unit), self.policy)

    # --- pay --------------------------------------------------------------------------

    def _release(self, unit: Unit, now: float) -> None:
        """Let go of what was withheld for enough jobs and long enough, the oldest first."""
        if not unit.is_paid:
            return
        results = unit.results
        last = unit.jobs - self.policy.release_jobs
        jobs = []
        pay = 0
        while results:
            result = results[0]
            if result.check != "refuted":
                wait = result.release_s
                # A stranger's answer that no reference could look at proves nothing yet.
                proves_nothing = result.check == "unchecked" and unit.state != "proven"
                if (result.number > last or proves_nothing) and wait < self._release_idle_s:
                    wait = self._release_idle_s
                if now < result.at + wait:
                    self._alarm_release(unit, result.at + wait)
                    break
                if result.pending:
                    break
                jobs.append(result.job)
                pay += result.pay
                del self.results[result.job]
            results.popleft()
        if jobs:
            kept = min(unit.owed, pay)
            unit.owed -= kept
            unit.withheld -= pay - kept
            self._out.append(do.ReleasePay(unit.key, tuple(jobs), pay - kept))

    def _alarm_release(self, unit: Unit, at: float) -> None:
        if at < unit.alarm_at:
            unit.alarm_at = at
            self._alarm(at, "release", unit)

    def _forfeit(self, unit: Unit, now: float) -> None:
        """Take what a unit has that was convicted for good, and close its wallet's others."""
        if unit.state != "convicted" or not self._is_over(unit, now):
            return
        if unit.results:
            reason = "The time to appeal has passed."
            jobs = tuple(result.job for result in unit.results if result.check != "refuted")
            self._out.append(do.ForfeitPay(unit.key, jobs, unit.withheld, reason))
            unit.forfeited += unit.withheld
            self._empty(unit)
        for other in self._units_with(unit):
            self._close(other, now)

    def _empty(self, unit: Unit) -> None:
        for result in unit.results:
            self.results.pop(result.job, None)
        unit.results.clear()
        unit.withheld = unit.owed = 0

    def _close(self, unit: Unit, now: float) -> None:
        """Nothing more comes of any device of a wallet that is convicted for good: what was
        found right on its others is paid, and what nobody looked at is not."""
        if unit.state == "convicted" or not self._is_convicted_for_good(unit.key.wallet, now):
            return
        if not unit.results or any(result.pending for result in unit.results):
            return
        right = [result for result in unit.results if result.check == "agreed"]
        rest = tuple(result.job for result in unit.results if result.check == "unchecked")
        earned = sum(result.pay for result in right)
        pay = earned - min(unit.owed, earned)
        lost = unit.withheld - pay
        if right:
            jobs = tuple(result.job for result in right)
            self._out.append(do.ReleasePay(unit.key, jobs, pay))
        if rest:
            reason = "The wallet was convicted, and nobody could look at these answers."
            self._out.append(do.ForfeitPay(unit.key, rest, lost, reason))
            unit.forfeited += lost
        self._empty(unit)

    def _is_convicted_for_good(self, wallet: str, now: float) -> bool:
        if wallet not in self.barred:
            return False
        convicted = [unit for unit in self.units_of(wallet) if unit.state == "convicted"]
        return all(self._is_over(unit, now) for unit in convicted)

    @staticmethod
    def _is_over(unit: Unit, now: float) -> bool:
        """A convicted unit had its time to appeal, and nothing of it is left to be judged.

        An answer whose check is on its way is: should it be wrong, its user gets the price back.
        """
        return (
            now >= unit.appeal_until
            and not any(result.pending for result in unit.results)
            and not any(strike.state == "appealed" for strike in unit.strikes)
        )

    # --- time -------------------------------------------------------------------------

    def _ticked(self, event: e.Ticked, now: float) -> None:
        while self._alarms and self._alarms[0][0] <= now:
            _, _, kind, unit = heappop(self._alarms)
            if kind == "forfeit":
                self._forfeit(unit, now)
                continue
            unit.alarm_at = math.inf
            self._release(unit, now)

    def _alarm(self, at: float, kind: Literal["release", "forfeit"], unit: Unit) -> None:
        self._alarm_count += 1
        heappush(self._alarms, (at, self._alarm_count, kind, unit))

    def _class(self, key: e.ClassKey) -> DeviceClass:
        kind = self.classes.get(key)
        if kind is None:
            kind = self.classes[key] = DeviceClass(key)
        return kind

    def validate_state(self) -> None:
        """Raise AssertionError where the books disagree; called after every step of a test."""
        withheld = 0
        for key, unit in self.units.items():
            unit.validate()
            assert unit.key == key
            assert unit in self.classes[unit.kind].units
            for result in unit.results:
                withheld += result.check != "refuted"
                kept = self.results.get(result.job)
                assert kept is (None if result.check == "refuted" else result)
            quarantined = self.classes[unit.kind].state == "quarantined"
            assert not (quarantined and unit.state in WORKING)
            assert (unit.state == "quarantined") <= quarantined
        assert withheld == len(self.results)
        convicted: dict[str, int] = {}
        for unit in self.units.values():
            if unit.state == "convicted":
                convicted[unit.key.wallet] = convicted.get(unit.key.wallet, 0) + 1
        assert convicted == self.barred
        assert all(strike in strike.unit.strikes for strike in self.strikes.values())
        for wallet, units in self._by_wallet.items():
            self.suspicions.validate(wallet, units)
