"""From what the trust policy tells to what the store is to do about it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ..trust import Instruction, Trust
from ..trust import instructions as do
from .effects import (
    Effect,
    Fine,
    Forfeit,
    Reinstate,
    Release,
    Restore,
    Strike,
    StrikeMoved,
    UnitMoved,
    Void,
)


def effects_of(told: Iterable[Instruction], trust: Trust, now: float) -> tuple[Effect, ...]:
    """The effects of what ``trust`` has just told, in order; ``now`` as it was told."""
    found: list[Effect] = []
    for each in told:
        effects = _EFFECTS.get(type(each))
        if effects is not None:
            found += effects(each, trust, now)
    return tuple(found)


def _struck(told: do.StrikeUnit, trust: Trust, now: float) -> Iterator[Effect]:
    yield Void(told.job, told.unit, told.pay, told.from_fines, told.reason, now)
    if told.fine:
        yield Fine(told.job, told.unit, told.fine, told.reason, now)
    pay, until = told.pay + told.from_fines, now + trust.policy.appeal_s
    yield Strike(told.job, told.unit, pay, told.fine, told.reason, now, until)


def _void(told: do.VoidJob, trust: Trust, now: float) -> Iterator[Effect]:
    yield Void(told.job, told.unit, told.pay, told.from_fines, told.reason, now)


def _released(told: do.ReleasePay, trust: Trust, now: float) -> Iterator[Effect]:
    yield Release(told.unit, told.jobs, told.pay, now)


def _forfeited(told: do.ForfeitPay, trust: Trust, now: float) -> Iterator[Effect]:
    yield Forfeit(told.unit, told.jobs, told.pay, told.reason, now)


def _reversed(told: do.ReverseStrike, trust: Trust, now: float) -> Iterator[Effect]:
    yield Restore(told.job, told.unit, told.pay, told.fine, told.withheld, told.reason, now)
    yield StrikeMoved(told.job, "reversed", told.reason, now)


def _lapsed(told: do.LapseStrike, trust: Trust, now: float) -> Iterator[Effect]:
    yield Restore(told.job, told.unit, 0, told.fine, told.withheld, told.reason, now)
    yield StrikeMoved(told.job, "lapsed", told.reason, now)


def _upheld(told: do.UpholdStrike, trust: Trust, now: float) -> Iterator[Effect]:
    yield StrikeMoved(told.job, "upheld", told.reason, now)


def _appealed(told: do.CheckJob, trust: Trust, now: float) -> Iterator[Effect]:
    if told.purpose == "appeal":
        yield StrikeMoved(told.job, "appealed", told.reason, now)


def _cleared(told: do.ClearJob, trust: Trust, now: float) -> Iterator[Effect]:
    unit = trust.units[told.unit]
    if unit.state == "proven" and unit.agreed == trust.policy.probation_jobs:
        reason = f"The first {trust.policy.probation_jobs} answers were right."
        yield UnitMoved(told.unit, "proven", reason, now)


def _moved(told: Any, trust: Trust, now: float) -> Iterator[Effect]:
    unit = trust.units.get(told.unit)
    if unit is not None:  # a stranger that is not let in is none yet
        yield UnitMoved(told.unit, unit.state, told.reason, now)


def _reinstated(told: do.RestoreUnit, trust: Trust, now: float) -> Iterator[Effect]:
    yield Reinstate(told.unit, told.pay, told.reason, now)
    yield from _moved(told, trust, now)


def _quarantined(told: do.QuarantineClass, trust: Trust, now: float) -> Iterator[Effect]:
    for unit in trust.classes[told.kind].units:
        if unit.state == "quarantined":
            yield UnitMoved(unit.key, "quarantined", told.reason, now)


def _reopened(told: do.ReopenClass, trust: Trust, now: float) -> Iterator[Effect]:
    for unit in trust.classes[told.kind].units:
        if unit.state == "untested":
            yield UnitMoved(unit.key, "untested", told.reason, now)


_EFFECTS: dict[type, Callable[[Any, Trust, float], Iterator[Effect]]] = {
    do.TestUnit: _moved,
    do.AdmitUnit: _moved,
    do.RefuseUnit: _moved,
    do.ClearJob: _cleared,
    do.CheckJob: _appealed,
    do.StrikeUnit: _struck,
    do.VoidJob: _void,
    do.PauseUnit: _moved,
    do.ResumeUnit: _moved,
    do.ReleasePay: _released,
    do.ConvictUnit: _moved,
    do.ForfeitPay: _forfeited,
    do.ReverseStrike: _reversed,
    do.LapseStrike: _lapsed,
    do.UpholdStrike: _upheld,
    do.RestoreUnit: _reinstated,
    do.QuarantineClass: _quarantined,
    do.ReopenClass: _reopened,
}
