"""What speaks against the units of one wallet, and because of what.

Evidence rises with strikes and falls with right answers, never below 0. Part of it is not a
unit's own: a conviction makes the wallet's other units suspected, and a new device begins as
suspected as the others are. So that a strike or conviction which turns out to be an error can be
lifted with all that came from it, and nothing else, what happened is kept in order as long as any
of it counts: without what is lifted it is gone through again. Amounts are millionths of a nat.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

import msgspec

from .events import UnitKey
from .state import Unit


class _Entry(msgspec.Struct, array_like=True, tag=True):
    unit: UnitKey


class Struck(_Entry):
    job: str
    step: int


class Agreed(_Entry):
    """Right answers in a row, and what all of them take."""

    step: int


class Convicted(_Entry):
    """Its wallet's ``others`` are suspected as after a strike, unless they are more so."""

    others: tuple[UnitKey, ...]
    step: int


class Admitted(_Entry):
    """It begins as suspected as the most suspected of ``others``."""

    others: tuple[UnitKey, ...]


Entry: TypeAlias = Struck | Agreed | Convicted | Admitted


def evidence(entries: Iterable[Entry]) -> dict[UnitKey, int]:
    """What they come to; a unit that is not named has nothing against it."""
    found: dict[UnitKey, int] = {}
    for each in entries:
        before = found.get(each.unit, 0)
        if isinstance(each, Struck):
            found[each.unit] = before + each.step
        elif isinstance(each, Agreed):
            found[each.unit] = max(0, before - each.step)
        elif isinstance(each, Admitted):
            found[each.unit] = max(before, *(found.get(other, 0) for other in each.others))
        else:
            for other in each.others:
                found[other] = max(found.get(other, 0), each.step)
    return found


class Suspicions:
    """Of every wallet with evidence against any unit. ``units`` are all of the wallet's."""

    def __init__(self, kept: dict[str, list[Entry]] | None = None) -> None:
        self.entries = kept or {}

    def note(self, entry: Entry, units: Sequence[Unit]) -> None:
        """Keep what has just changed the units' evidence, for as long as there is any."""
        entries = self.entries.setdefault(entry.unit.wallet, [])
        last = entries[-1] if entries else None
        if isinstance(entry, Agreed) and isinstance(last, Agreed) and last.unit == entry.unit:
            last.step += entry.step  # so that it stays short
        else:
            entries.append(entry)
        self._forget(entry.unit.wallet, units)

    def lift_strike(self, job: str, units: Sequence[Unit]) -> None:
        self._lift(lambda each: isinstance(each, Struck) and each.job == job, units)

    def lift_conviction(self, unit: Unit, units: Sequence[Unit]) -> None:
        self._lift(lambda each: isinstance(each, Convicted) and each.unit == unit.key, units)

    def _lift(self, lifted: Callable[[Entry], bool], units: Sequence[Unit]) -> None:
        wallet = units[0].key.wallet
        entries = [each for each in self.entries.get(wallet, ()) if not lifted(each)]
        due = evidence(entries)
        for unit in units:
            unit.evidence = due.get(unit.key, 0)
        self.entries[wallet] = entries
        self._forget(wallet, units)

    def _forget(self, wallet: str, units: Sequence[Unit]) -> None:
        if not any(unit.evidence for unit in units):
            del self.entries[wallet]

    def validate(self, wallet: str, units: Sequence[Unit]) -> None:
        """Raise AssertionError where what is kept does not lead to the units' evidence."""
        due = evidence(self.entries.get(wallet, ()))
        assert all(unit.evidence == due.get(unit.key, 0) for unit in units)
        assert (wallet in self.entries) == any(unit.evidence for unit in units)


def before_it_was_kept(units: Iterable[Unit], step: int) -> dict[str, list[Entry]]:
    """Of a memory that had only sums: what of them no standing strike explains is not lifted."""
    found: dict[str, list[Entry]] = {}
    for unit in units:
        jobs = [strike.job for strike in unit.strikes if strike.stands]
        rest = unit.evidence - step * len(jobs)
        if unit.evidence:
            entries = found.setdefault(unit.key.wallet, [])
            entries += [Struck(unit.key, job, step) for job in jobs]
            entries.append(Struck(unit.key, "", rest) if rest > 0 else Agreed(unit.key, -rest))
    return found
