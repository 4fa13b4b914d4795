"""What follows from a check: clearing, striking, conviction, quarantine, and their undoing.

A part of ``Trust``, apart from it because one file would be too long for one reading.
"""

from __future__ import annotations

import math
from typing import Literal

from . import events as e
from . import instructions as do
from .classes import DeviceClass
from .newcomers import Newcomers
from .policy import ONE, Policy
from .state import WORKING, Result, Strike, Unit


class Verdicts:
    policy: Policy
    units: dict[e.UnitKey, Unit]
    classes: dict[e.ClassKey, DeviceClass]
    results: dict[str, Result]
    strikes: dict[str, Strike]
    barred: dict[str, int]
    newcomers: Newcomers
    _agree_step: int
    _mismatch_step: int
    _conviction_at: int
    _by_wallet: dict[str, list[Unit]]
    _out: list[do.Instruction]

    def _release(self, unit: Unit, now: float) -> None:
        raise NotImplementedError

    def _forfeit(self, unit: Unit, now: float) -> None:
        raise NotImplementedError

    def _alarm(self, at: float, kind: Literal["release", "forfeit"], unit: Unit) -> None:
        raise NotImplementedError

    # --- checks -----------------------------------------------------------------------

    def _check(self, result: Result, purpose: do.Purpose, reason: str) -> None:
        result.move("checking")
        self._out.append(do.CheckJob(result.job, result.unit.key, purpose, reason))

    def _checked(self, event: e.Checked, now: float) -> None:
        result = self.results.get(event.job)
        if result is None or not result.pending:
            return  # forfeited or abandoned while the reference computed
        if event.agreed:
            self._agree(result, now)
        elif result.unit.state not in WORKING:
            self._void(result)
        elif result.check == "checking":
            result.move("disputed")
            reason = "One reference disagrees with the node; a second one decides."
            self._out.append(do.CheckJob(result.job, result.unit.key, "second", reason))
        else:
            self._strike(result, now)

    def _check_abandoned(self, event: e.CheckAbandoned, now: float) -> None:
        result = self.results.get(event.job)
        if result is not None and result.pending:
            result.move("unchecked")
            self._release(result.unit, now)

    def _agree(self, result: Result, now: float) -> None:
        first = result.check == "checking"
        result.move("agreed")
        reason = "A reference agrees." if first else "A second reference agrees with the node."
        unit = result.unit
        self._out.append(do.ClearJob(result.job, unit.key, reason))
        if unit.state not in WORKING:
            return
        unit.checked_at = now
        unit.agreed += 1
        unit.evidence = max(0, unit.evidence - self._agree_step)
        if unit.state == "suspected" and not unit.evidence:
            self._trust_again(unit, "Enough answers were right since.", now)
        elif unit.state == "probation" and unit.agreed >= self.policy.probation_jobs:
            self._prove(unit, now)
        self._release(unit, now)

    def _prove(self, unit: Unit, now: float) -> None:
        unit.move("proven")
        unit.proven_at = min(unit.proven_at, now)
        self.classes[unit.kind].proven[unit.key.wallet] = unit
        self.newcomers.proven(unit.key.wallet)

    def _trust_again(self, unit: Unit, reason: str, now: float) -> None:
        unit.move("probation")
        self._out.append(do.ResumeUnit(unit.key, reason))
        if unit.agreed >= self.policy.probation_jobs:
            self._prove(unit, now)

    def _void(self, result: Result) -> None:
        """Take a wrong answer back from a unit that has lost its trust already."""
        result.move("refuted")
        taken, from_fines = self._take_pay(result)
        reason = "A reference disagrees, and the unit is not trusted any more."
        self._out.append(do.VoidJob(result.job, result.unit.key, taken, from_fines, reason))

    def _take_pay(self, result: Result) -> tuple[int, int]:
        """Take a refuted result's pay back. Returns what of it is withheld and what is fined."""
        unit = result.unit
        del self.results[result.job]
        taken = min(result.pay, unit.withheld)
        unit.withheld -= taken
        unit.owed -= result.pay - taken
        return taken, result.pay - taken

    # --- strikes ----------------------------------------------------------------------

    def _strike(self, result: Result, now: float) -> None:
        """Two references say that the answer is wrong."""
        result.move("refuted")
        unit = result.unit
        taken, from_fines = self._take_pay(result)
        fine = min(unit.withheld, self.policy.fine(result.pay, result.p))
        unit.withheld -= fine
        unit.owed += fine
        strike = Strike(result.job, unit, result.pay, fine, now)
        unit.strikes.append(strike)
        self.strikes[result.job] = strike
        unit.checked_at = unit.struck_at = now
        unit.evidence += self._mismatch_step
        reason = (
            f"Two references computed another answer. The job is not paid and {fine} are taken"
            f" as a fine. Evidence {_nats(unit.evidence)}; above {_nats(self._conviction_at)}"
            f" convicts. You can appeal within {self.policy.appeal_s / 3600:.0f} hours."
        )
        self._out.append(do.StrikeUnit(result.job, unit.key, taken, from_fines, fine, reason))
        self._draw_consequences(unit, now)

    def _draw_consequences(self, unit: Unit, now: float) -> None:
        kind = self.classes[unit.kind]
        fault = kind.fault(self.policy, now)
        if fault is not None:
            self._quarantine(kind, fault, now)
        elif unit.evidence > self._conviction_at:
            self._suspect(unit)
            self._convict(unit, now)
        else:
            self._suspect(unit)
            self._reaudit(unit)

    def _suspect(self, unit: Unit) -> None:
        if unit.state != "suspected":
            unit.move("suspected")
            reason = (
                "A wrong answer was confirmed. Every answer is checked and nothing is released"
                " until enough of them are right."
            )
            self._out.append(do.PauseUnit(unit.key, reason))

    def _reaudit(self, unit: Unit) -> None:
        """Those with the lowest draws, so that nobody can choose or foresee which."""
        lowest = sorted(unit.unchecked(), key=lambda result: (result.drawn, result.number))
        for result in lowest[: self.policy.reaudits]:
            result.p = ONE
            self._check(result, "reaudit", "The unit was struck; withheld results are rechecked.")

    def _rerun(self, unit: Unit) -> None:
        for result in list(unit.unchecked()):
            result.p = ONE
            self._check(result, "rerun", "The unit is not trusted any more.")

    def _convict(self, unit: Unit, now: float) -> None:
        unit.move("convicted")
        unit.appeal_until = now + self.policy.appeal_s
        wallet = unit.key.wallet
        self.barred[wallet] = self.barred.get(wallet, 0) + 1
        reason = (
            f"{len(unit.strikes)} confirmed wrong answers make evidence {_nats(unit.evidence)},"
            f" above {_nats(self._conviction_at)}: such a run happens to an honest node less"
            f" than once in {self.policy.odds} checks."
        )
        self._out.append(do.ConvictUnit(unit.key, unit.withheld, unit.appeal_until, reason))
        self._rerun(unit)
        self._alarm(unit.appeal_until, "forfeit", unit)
        for other in self._by_wallet[wallet]:
            if other.state in ("probation", "proven"):
                other.evidence += self._mismatch_step
                self._suspect(other)

    # --- classes ----------------------------------------------------------------------

    def _quarantine(self, kind: DeviceClass, reason: str, now: float) -> None:
        kind.move("quarantined")
        self._out.append(do.QuarantineClass(kind.key, reason))
        for unit in kind.units:
            if unit.state == "testing":
                unit.move("untested")
            elif unit.state in WORKING:
                unit.move("quarantined")
                self._rerun(unit)

    def _bug_confirmed(self, event: e.BugConfirmed, now: float) -> None:
        """The class was wrong, so none of its wallets was: strikes and convictions are undone."""
        kind = self.classes[event.kind]
        if kind.state == "open":
            self._quarantine(kind, "The operator confirmed a fault of this kind of device.", now)
        for unit in kind.units:
            for strike in unit.strikes:
                if strike.state != "reversed":
                    # The answer was wrong all the same: its user has the money back.
                    self._reverse(strike, 0, "A fault of the device, not of its owner.", now)
            if unit.state == "quarantined":
                unit.evidence = 0

    def _class_cleared(self, event: e.ClassCleared, now: float) -> None:
        kind = self.classes[event.kind]
        kind.failed_tests.clear()
        if kind.state == "open":
            return
        kind.move("open")
        for unit in kind.units:
            if unit.state == "quarantined":
                unit.move("untested")

    # --- appeals ----------------------------------------------------------------------

    def _appeal_filed(self, event: e.AppealFiled, now: float) -> None:
        strike = self.strikes.get(event.job)
        refusal = self._appeal_refusal(strike, now)
        if strike is None or refusal is not None:
            self._out.append(do.RefuseAppeal(event.job, refusal or "There is no such strike."))
            return
        strike.move("appealed")
        count = self.policy.appeal_references
        reason = f"The owner appeals; {self.policy.appeal_agreeing} of {count} references decide."
        self._out.append(do.CheckJob(strike.job, strike.unit.key, "appeal", reason, count))

    def _appeal_refusal(self, strike: Strike | None, now: float) -> str | None:
        if strike is None:
            return "No answer for this job was found wrong."
        if strike.state != "standing":
            return f"This strike was appealed before: it is {strike.state}."
        until = max(strike.at + self.policy.appeal_s, strike.unit.appeal_until)
        return None if now <= until else "The time to appeal has passed."

    def _appeal_judged(self, event: e.AppealJudged, now: float) -> None:
        strike = self.strikes[event.job]
        if strike.state != "appealed":
            return  # a confirmed bug was faster
        asked = self.policy.appeal_references
        reason = f"{event.agreeing} of {asked} references agree with the node."
        if event.agreeing >= self.policy.appeal_agreeing:
            self._reverse(strike, strike.pay, reason, now)
        else:
            strike.move("upheld")
            self._out.append(do.UpholdStrike(strike.job, strike.unit.key, reason))
        self._forfeit(strike.unit, now)

    def _reverse(self, strike: Strike, pay: int, reason: str, now: float) -> None:
        strike.move("reversed")
        unit = strike.unit
        self._out.append(do.ReverseStrike(strike.job, unit.key, pay, strike.fine, reason))
        unit.evidence = max(0, unit.evidence - self._mismatch_step)
        standing = (other.at for other in unit.strikes if other.state != "reversed")
        unit.struck_at = max(standing, default=-math.inf)
        if unit.state == "convicted" and unit.evidence <= self._conviction_at:
            self._restore(unit, reason, now)
        elif unit.state == "suspected" and not unit.evidence:
            self._trust_again(unit, reason, now)

    def _restore(self, unit: Unit, reason: str, now: float) -> None:
        wallet = unit.key.wallet
        self.barred[wallet] -= 1
        if not self.barred[wallet]:
            del self.barred[wallet]
        self._out.append(do.RestoreUnit(unit.key, unit.forfeited, reason))
        unit.forfeited = 0
        if self.classes[unit.kind].state == "quarantined":
            unit.move("quarantined")
            return
        unit.move("suspected")
        if not unit.evidence:
            self._trust_again(unit, reason, now)


def _nats(millionths: int) -> str:
    return f"{millionths / ONE:.2f}"
