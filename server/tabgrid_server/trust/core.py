"""Whom to trust how far. One method mutates: ``handle``."""

from __future__ import annotations

import math
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any, Literal

from . import events as e
from . import instructions as do
from .classes import DeviceClass
from .draws import draw
from .newcomers import Newcomers
from .policy import ONE, Policy
from .state import WORKING, Result, Strike, Unit
from .verdicts import Verdicts


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
        self.newcomers = Newcomers(policy)
        self.epoch = -1
        self._secret = b""
        self._agree_step = policy.agree_step
        self._mismatch_step = policy.mismatch_step
        self._release_s = policy.release_s
        self._release_idle_s = max(policy.release_s, policy.release_idle_s)
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

    def is_full(self, key: e.UnitKey) -> bool:
        """Whether a unit has so much to lose that people who wait may be sent to it."""
        unit = self.units.get(key)
        return (
            unit is not None
            and unit.state == "proven"
            and len(unit.results) >= self.policy.release_jobs
        )

    # --- admission --------------------------------------------------------------------

    def _unit_offered(self, event: e.UnitOffered, now: float) -> None:
        unit = self.units.get(event.unit)
        if unit is not None and unit.state in WORKING:
            self._out.append(do.AdmitUnit(unit.key, "Tested before, and trusted since."))
            return
        kind = self._class(event.unit.kind)
        refusal = self._refusal(event, unit, kind, now)
        if refusal is not None:
            self._out.append(do.RefuseUnit(event.unit, refusal))
            return
        if unit is None:
            unit = self._new_unit(event.unit, kind)
        self.newcomers.enter(event.unit.wallet, event.address, now)
        unit.move("testing")
        reason = f"The first {self.policy.goldens} jobs are a test with known answers, unpaid."
        self._out.append(do.TestUnit(unit.key, self.policy.goldens, reason))

    def _refusal(
        self, event: e.UnitOffered, unit: Unit | None, kind: DeviceClass, now: float
    ) -> str | None:
        if event.unit.wallet in self.barred:
            return "This wallet returned wrong answers and takes no jobs unless an appeal succeeds."
        if kind.state == "quarantined":
            return (
                "Devices of this kind compute this model wrong at the moment. The operator is"
                " looking into it; it is no fault of yours."
            )
        if unit is None or unit.state != "testing":
            reason = kind.test_fault(self.policy, now)
            if reason is not None:
                return reason
        return self.newcomers.refusal(event.unit.wallet, event.address, now)

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
        p = self.policy.audit_probability(pay, unit.withheld) if state == "proven" else ONE
        drawn = draw(self._secret, event.commit_hash)
        self._out.append(
            do.TakeResult(event.job, unit.key, self.epoch, p, drawn, p == ONE, pay, unit.withheld)
        )
        unit.jobs += 1
        result = Result(event.job, unit, pay, unit.jobs, now, p, drawn)
        self.results[event.job] = result
        unit.results.append(result)
        unit.withheld += pay
        if drawn < p:
            self._check(result, "audit", "Drawn for a check.")
        self._release(unit, now)

    # --- pay --------------------------------------------------------------------------

    def _release(self, unit: Unit, now: float) -> None:
        """Let go of what was withheld for enough jobs and long enough, the oldest first."""
        if unit.state != "proven" and unit.state != "probation":
            return
        results = unit.results
        last = unit.jobs - self.policy.release_jobs
        jobs = []
        pay = 0
        while results:
            result = results[0]
            if result.check != "refuted":
                wait = self._release_s if result.number <= last else self._release_idle_s
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
        """The convicted had their time to appeal, and nothing is left to be judged."""
        if unit.state != "convicted" or now < unit.appeal_until:
            return
        if any(strike.state == "appealed" for strike in unit.strikes) or not unit.results:
            return
        reason = "The time to appeal has passed."
        self._out.append(do.ForfeitPay(unit.key, unit.withheld, reason))
        unit.forfeited += unit.withheld
        for result in unit.results:
            self.results.pop(result.job, None)
        unit.results.clear()
        unit.withheld = unit.owed = 0

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
