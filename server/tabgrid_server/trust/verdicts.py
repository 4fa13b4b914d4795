"""What follows from a check: clearing, striking, conviction, quarantine, and their undoing.

A part of ``Trust``, apart from it because one file would be too long for one reading.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from . import events as e
from . import instructions as do
from .classes import DeviceClass
from .newcomers import Newcomers
from .policy import ONE, Policy
from .state import WORKING, Result, Strike, Unit
from .suspicion import Agreed, Convicted, Struck, Suspicions

#: Why an appeal that nobody decided is granted, and what is not.
DOUBT = (
    "The doubt is the owner's: the strike is lifted and its fine given back. The job stays unpaid,"
    " for its user has the price back and nobody found the answer right."
)
#: A conviction lets its owner appeal strikes whose own time was over.
TOO_OLD = (
    "The appeal came after this strike's own time for it, and what was in the job had been let go"
    " by then: nobody can look any more."
)


class Verdicts:
    policy: Policy
    units: dict[e.UnitKey, Unit]
    classes: dict[e.ClassKey, DeviceClass]
    results: dict[str, Result]
    strikes: dict[str, Strike]
    barred: dict[str, int]
    suspicions: Suspicions
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

    def _close(self, unit: Unit, now: float) -> None:
        raise NotImplementedError

    def _weigh(self, unit: Unit) -> None:
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
            self._forfeit(result.unit, now)
        elif result.check == "checking":
            result.move("disputed")
            reason = "One reference disagrees with the node; a second one decides."
            self._out.append(do.CheckJob(result.job, result.unit.key, "second", reason))
        else:
            self._strike(result, now)
        self._weigh(result.unit)
        self._close(result.unit, now)

    def _check_abandoned(self, event: e.CheckAbandoned, now: float) -> None:
        result = self.results.get(event.job)
        if result is not None and result.pending:
            result.move("unchecked")
            self._weigh(result.unit)
            self._release(result.unit, now)
            self._forfeit(result.unit, now)
            self._close(result.unit, now)

    def _agree(self, result: Result, now: float) -> None:
        first = result.check == "checking"
        result.move("agreed")
        reason = "A reference agrees." if first else "A second reference agrees with the node."
        unit = result.unit
        self._out.append(do.ClearJob(result.job, unit.key, reason))
        if unit.state not in WORKING:
            self._forfeit(unit, now)
            return
        unit.checked_at = now
        unit.agreed += 1
        if unit.evidence:
            unit.evidence = max(0, unit.evidence - self._agree_step)
            self.suspicions.note(Agreed(unit.key, self._agree_step), self._units_with(unit))
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
        from_fines = result.pay - taken
        unit.owed -= from_fines
        self._spend_fines(unit, from_fines)
        return taken, from_fines

    @staticmethod
    def _spend_fines(unit: Unit, amount: int) -> None:
        """What of the fines went to a user is not there to be given back, should a strike fall."""
        for strike in reversed(unit.strikes):
            if strike.stands:
                part = min(strike.fine, amount)
                strike.fine -= part
                amount -= part

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
        entry = Struck(unit.key, strike.job, self._mismatch_step)
        self.suspicions.note(entry, self._units_with(unit))
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
        units = self._units_with(unit)
        others = [other for other in units if other.state in WORKING]
        keys = tuple(other.key for other in others)
        self.suspicions.note(Convicted(unit.key, keys, self._mismatch_step), units)
        for other in others:
            other.evidence = max(other.evidence, self._mismatch_step)
            self._suspect(other)
            self._rerun(other)

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
                self._weigh(unit)  # its wallet's other devices, which it kept waiting

    def _bug_confirmed(self, event: e.BugConfirmed, now: float) -> None:
        """The class was wrong, so none of its wallets was: strikes and convictions are undone."""
        kind = self.classes[event.kind]
        if kind.state == "open":
            self._quarantine(kind, "The operator confirmed a fault of this kind of device.", now)
        for unit in kind.units:
            for strike in unit.strikes:
                if strike.stands:
                    # The answer was wrong all the same: its user has the money back.
                    self._reverse(strike, 0, "A fault of the device, not of its owner.", now)

    def _class_cleared(self, event: e.ClassCleared, now: float) -> None:
        kind = self.classes[event.kind]
        kind.failed_tests.clear()
        if kind.state == "open":
            return
        kind.move("open")
        reason = "The operator lets this kind of device work again; it is tested anew."
        self._out.append(do.ReopenClass(kind.key, reason))
        for unit in kind.units:
            if unit.state == "quarantined":
                unit.move("untested")
                self._release(unit, now)

    # --- appeals ----------------------------------------------------------------------

    def _appeal_filed(self, event: e.AppealFiled, now: float) -> None:
        strike = self.strikes.get(event.job)
        refusal = self._appeal_refusal(strike, now)
        if strike is None or refusal is not None:
            self._out.append(do.RefuseAppeal(event.job, refusal or "There is no such strike."))
            return
        strike.move("appealed")
        strike.appealed_at = now
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
        reason = _words_of(event.agreeing, self.policy.appeal_references)
        if event.agreeing >= self.policy.appeal_agreeing:
            self._reverse(strike, strike.pay, reason, now)
        else:
            self._uphold(strike, reason)
        self._forfeit(strike.unit, now)

    def _appeal_heard(self, event: e.AppealHeard, now: float) -> None:
        strike = self.strikes[event.job]
        if strike.state == "appealed":
            strike.looks.append(event.agreed)

    def _appeal_cut_short(self, event: e.AppealCutShort, now: float) -> None:
        """Who looked decides, if that is enough. Else the doubt is the owner's, who was promised
        more; but nobody wins by waiting until what was in a job had to be let go."""
        strike = self.strikes[event.job]
        if strike.state != "appealed":
            return  # a confirmed bug was faster
        asked, needed = self.policy.appeal_references, self.policy.appeal_agreeing
        agreeing, looked = sum(strike.looks), len(strike.looks)
        if agreeing >= needed:
            self._reverse(strike, strike.pay, _words_of(agreeing, looked), now)
        elif looked - agreeing > asked - needed:
            self._uphold(strike, _words_of(agreeing, looked))
        elif event.expired and strike.appealed_at > strike.at + self.policy.appeal_s:
            self._uphold(strike, TOO_OLD)
        else:
            self._lapse(strike, looked, now)
        self._forfeit(strike.unit, now)

    def _uphold(self, strike: Strike, reason: str) -> None:
        strike.move("upheld")
        self._out.append(do.UpholdStrike(strike.job, strike.unit.key, reason))

    def _lapse(self, strike: Strike, looked: int, now: float) -> None:
        strike.move("lapsed")
        asked = self.policy.appeal_references
        who = f"Only {looked} of {asked} references" if looked else "No reference"
        reason = f"{who} could run the job again, so the appeal was not decided. {DOUBT}"
        withheld = self._fine_back(strike)
        told = do.LapseStrike(strike.job, strike.unit.key, strike.fine, withheld, reason)
        self._out.append(told)
        self._lifted(strike, reason, now)

    def _reverse(self, strike: Strike, pay: int, reason: str, now: float) -> None:
        strike.move("reversed")
        withheld = self._fine_back(strike)
        told = do.ReverseStrike(strike.job, strike.unit.key, pay, strike.fine, withheld, reason)
        self._out.append(told)
        self._lifted(strike, reason, now)

    @staticmethod
    def _fine_back(strike: Strike) -> int:
        """What of its fine is withheld again: it was taken of pay that waits still. Else a wait
        would be cut short, and a wrong answer's user repaid from where nothing is."""
        unit = strike.unit
        withheld = min(strike.fine, unit.owed)
        unit.owed -= withheld
        unit.withheld += withheld
        return withheld

    def _lifted(self, strike: Strike, reason: str, now: float) -> None:
        """It counts no more, and nothing that stands on it alone."""
        unit = strike.unit
        standing = (other.at for other in unit.strikes if other.stands)
        unit.struck_at = max(standing, default=-math.inf)
        self.suspicions.lift_strike(strike.job, self._units_with(unit))
        self._let_go(self._units_with(unit), reason, now)
        self._weigh(unit)

    def _let_go(self, units: Sequence[Unit], reason: str, now: float) -> None:
        """End what stands on no evidence any more, of all units of a wallet."""
        while freed := [unit for unit in units if self._is_freed(unit)]:
            self._restore(freed[0], reason)
        for unit in units:
            if unit.state == "suspected" and not unit.evidence:
                self._trust_again(unit, reason, now)
                self._release(unit, now)

    def _is_freed(self, unit: Unit) -> bool:
        """Nobody stays convicted for what another of his devices did."""
        if unit.state != "convicted":
            return False
        standing = any(strike.stands for strike in unit.strikes)
        return not standing or unit.evidence <= self._conviction_at

    def _restore(self, unit: Unit, reason: str) -> None:
        wallet = unit.key.wallet
        self.barred[wallet] -= 1
        if not self.barred[wallet]:
            del self.barred[wallet]
        self._give_back(unit, reason)
        quarantined = self.classes[unit.kind].state == "quarantined"
        unit.move("quarantined" if quarantined else "suspected")
        self.suspicions.lift_conviction(unit, self._units_with(unit))
        if wallet not in self.barred:
            for other in self._units_with(unit):
                if other.forfeited:
                    self._give_back(other, reason)

    def _give_back(self, unit: Unit, reason: str) -> None:
        self._out.append(do.RestoreUnit(unit.key, unit.forfeited, reason))
        unit.forfeited = 0

    def _units_with(self, unit: Unit) -> Sequence[Unit]:
        """All of its wallet's, itself included."""
        return self._by_wallet[unit.key.wallet]


def _words_of(agreeing: int, looked: int) -> str:
    return f"{agreeing} of {looked} references agree with the node."


def _nats(millionths: int) -> str:
    return f"{millionths / ONE:.2f}"
