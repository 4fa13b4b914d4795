"""What to do about it, in the imperative, and why. Carried out in order, by the coordinator."""

from __future__ import annotations

from typing import Literal

import msgspec

from .events import ClassKey, UnitKey
from .policy import ONE, percent

#: audit: drawn. second: another reference, on another backend, decides a mismatch. reaudit:
#: a withheld result of a unit that was just struck. rerun: every unchecked withheld result of
#: a unit that is no longer trusted. appeal: the owner asked.
#: "delivery" is asked for by a user, not by the policy: before the answer is delivered.
Purpose = Literal["audit", "second", "reaudit", "rerun", "appeal", "delivery"]


class _Instruction(msgspec.Struct, frozen=True, gc=False):
    pass


class TestUnit(_Instruction, frozen=True):
    """Give the unit this many inputs with known answers, unpaid, that it cannot tell from jobs."""

    unit: UnitKey
    goldens: int
    reason: str


class AdmitUnit(_Instruction, frozen=True):
    """Give the unit jobs from now on."""

    unit: UnitKey
    reason: str


class RefuseUnit(_Instruction, frozen=True):
    """Give the unit no jobs, and tell its owner why."""

    unit: UnitKey
    reason: str


class TakeResult(_Instruction, frozen=True):
    """Book the pay as withheld, with these figures in the receipt.

    ``wait``: hold the answer back until ``ClearJob``, or ``StrikeUnit`` and another answer.
    """

    job: str
    unit: UnitKey
    epoch: int
    #: Probability of a check and what was drawn, in millionths; checked if drawn < p.
    p: int
    drawn: int
    wait: bool
    #: What the decision stood on, in base units.
    pay: int
    withheld: int

    @property
    def audited(self) -> bool:
        return self.drawn < self.p

    @property
    def reason(self) -> str:
        if self.p == ONE:
            return "Checked, as every answer of a unit in probation or under suspicion."
        verdict = "Checked" if self.audited else "Not checked"
        return (
            f"{verdict}: drawn {self.drawn} of a million, and below {self.p} ({percent(self.p)})"
            f" is checked; the unit has {self.withheld} withheld and the job pays {self.pay}."
        )


class RefuseResult(_Instruction, frozen=True):
    """Do not take the answer; hand the job to another node, and blame nobody."""

    job: str
    unit: UnitKey
    reason: str


class CheckJob(_Instruction, frozen=True):
    """Have so many references run the job, each on another backend, and compare."""

    job: str
    unit: UnitKey
    purpose: Purpose
    reason: str
    references: int = 1


class ClearJob(_Instruction, frozen=True):
    """The answer was checked and is right."""

    job: str
    unit: UnitKey
    reason: str


class StrikeUnit(_Instruction, frozen=True):
    """The answer is wrong: refund its user; take ``pay`` and ``fine`` from what is withheld."""

    job: str
    unit: UnitKey
    pay: int
    #: What earlier fines had taken of the job's pay already: give it to the user from there.
    from_fines: int
    fine: int
    reason: str


class VoidJob(_Instruction, frozen=True):
    """The answer is wrong: refund its user; take ``pay`` from what is withheld. No strike."""

    job: str
    unit: UnitKey
    pay: int
    from_fines: int
    reason: str


class PauseUnit(_Instruction, frozen=True):
    """Release nothing of the unit's and check all it does; its owner should know why."""

    unit: UnitKey
    reason: str


class ResumeUnit(_Instruction, frozen=True):
    unit: UnitKey
    reason: str


class HoldUnit(_Instruction, frozen=True):
    """Give the unit no further job until ``FreeUnit``: too many of its answers wait for a look."""

    unit: UnitKey
    reason: str


class FreeUnit(_Instruction, frozen=True):
    """Give the unit jobs again, if nothing else speaks against it."""

    unit: UnitKey
    reason: str


class ReleasePay(_Instruction, frozen=True):
    """Let ``pay`` be claimed, what these jobs earned less what fines took of it."""

    unit: UnitKey
    jobs: tuple[str, ...]
    pay: int


class ConvictUnit(_Instruction, frozen=True):
    """Give its wallet no more jobs. What is withheld is forfeited later unless restored."""

    unit: UnitKey
    withheld: int
    appeal_until: float
    reason: str


class ForfeitPay(_Instruction, frozen=True):
    """Take ``pay`` for good, what these jobs earned less what fines took of it."""

    unit: UnitKey
    jobs: tuple[str, ...]
    pay: int
    reason: str


class ReverseStrike(_Instruction, frozen=True):
    """Give the fine back, and the pay where the answer was right: to be claimed at once, but for
    what the fine took of pay that waits still. That waits again."""

    job: str
    unit: UnitKey
    pay: int
    fine: int
    #: Of the fine: what is withheld again.
    withheld: int
    reason: str


class LapseStrike(_Instruction, frozen=True):
    """Nobody could look again: the doubt is the owner's. Give the fine back; the job stays unpaid,
    since its user has the price back and nobody found the answer right."""

    job: str
    unit: UnitKey
    fine: int
    #: Of the fine: what is withheld again.
    withheld: int
    reason: str


class UpholdStrike(_Instruction, frozen=True):
    job: str
    unit: UnitKey
    reason: str


class RefuseAppeal(_Instruction, frozen=True):
    job: str
    reason: str


class RestoreUnit(_Instruction, frozen=True):
    """The conviction is lifted; the wallet may work again and gets back what was forfeited."""

    unit: UnitKey
    pay: int
    reason: str


class QuarantineClass(_Instruction, frozen=True):
    """Give no unit of the class any job, call an operator, and strike nobody for it."""

    kind: ClassKey
    reason: str


class ReopenClass(_Instruction, frozen=True):
    """Its units may work again once they have passed the test anew; ask them to take it."""

    kind: ClassKey
    reason: str


Instruction = (
    TestUnit
    | AdmitUnit
    | RefuseUnit
    | TakeResult
    | RefuseResult
    | CheckJob
    | ClearJob
    | StrikeUnit
    | VoidJob
    | PauseUnit
    | ResumeUnit
    | HoldUnit
    | FreeUnit
    | ReleasePay
    | ConvictUnit
    | ForfeitPay
    | ReverseStrike
    | LapseStrike
    | UpholdStrike
    | RefuseAppeal
    | RestoreUnit
    | QuarantineClass
    | ReopenClass
)
