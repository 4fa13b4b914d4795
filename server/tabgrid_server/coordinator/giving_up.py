"""Checks that nobody makes: what is kept of each, and what a start has to ask for again. Pure."""

from __future__ import annotations

import os
from collections.abc import Iterator

import msgspec

from tabgrid_wire.ids import new_id

from .. import trust
from ..store import GivenUp, WhyGivenUp
from ..trust import instructions as do
from ..trust.state import WORKING, Result
from .checking import Wanted


class Resumed(msgspec.Struct, frozen=True):
    """A check that was asked for before this process began, with the time that it has left.

    ``overdue``: its time was over while nobody was there. It gets it anew, and since the grid
    had promised otherwise, that is kept.
    """

    wanted: Wanted
    overdue: bool


def fact_of(wanted: Wanted, why: WhyGivenUp, now: float) -> GivenUp:
    """What everybody may know of a check that is given up at ``now``, Unix seconds."""
    return GivenUp(
        id=new_id("givenup", int(now * 1000), os.urandom(10)),
        job_id=wanted.job,
        purpose=wanted.purpose,
        why=why,
        wanted_at=wanted.since,
        given_up_at=now,
    )


def resumed(policy: trust.Trust, within_s: float, now: float) -> list[Resumed]:
    """All that the policy waits for, what was asked for first in front.

    A check may take ``within_s`` seconds. The policy does not know when it asked; the latest
    time at which it can have is told, so that none is given up early.
    """
    found = [*_of_results(policy, within_s, now), *_of_appeals(policy, now)]
    return sorted(found, key=lambda each: each.wanted.since)


def _of_results(policy: trust.Trust, within_s: float, now: float) -> Iterator[Resumed]:
    for result in policy.results.values():
        if result.pending:
            purpose = _purpose(result)
            # A dispute began at the latest when the first look was due; a second look at old
            # answers with the strike that it followed.
            asked = max(result.at, result.unit.struck_at)
            asked = min(now, asked + (within_s if purpose == "second" else 0.0))
            overdue = asked + within_s <= now
            yield Resumed(Wanted(result.job, purpose, now if overdue else asked), overdue)


def _of_appeals(policy: trust.Trust, now: float) -> Iterator[Resumed]:
    for strike in policy.strikes.values():
        if strike.state == "appealed":
            references = policy.policy.appeal_references
            yield Resumed(Wanted(strike.job, "appeal", now, references), overdue=False)


def _purpose(result: Result) -> do.Purpose:
    if result.check == "disputed":
        return "second"
    return "audit" if result.unit.state in WORKING else "rerun"
