"""What follows from the trust policy's decisions, as the store books it.

Each effect is booked once: by the job, or the first of the jobs, that it is about. None is ever
refused. The store books what its own rows allow, which is what the policy decided while both have
seen the same; they never pay more than a job earned, nor twice, should they ever differ.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from ..trust import Event, UnitKey
from ..trust.state import StrikeState, UnitState
from .looks import Check, GivenUp


class _Effect(msgspec.Struct, frozen=True):
    """``unit`` says whose; amounts in base units, ``at`` in unix seconds."""


class Void(_Effect, frozen=True):
    """The answer is wrong: its user has the price back, its node loses the pay.

    ``pay`` of that is withheld still, ``from_fines`` was taken by earlier fines already.
    """

    job_id: str
    unit: UnitKey
    pay: int
    from_fines: int
    reason: str
    at: float


class Fine(_Effect, frozen=True):
    job_id: str
    unit: UnitKey
    amount: int
    reason: str
    at: float


class Release(_Effect, frozen=True):
    """Let ``amount`` be claimed: what the jobs earned, less what fines took of it."""

    unit: UnitKey
    jobs: tuple[str, ...]
    amount: int
    at: float


class Forfeit(_Effect, frozen=True):
    """Take for good what the jobs earned, less what fines took of it."""

    unit: UnitKey
    jobs: tuple[str, ...]
    amount: int
    reason: str
    at: float


class Restore(_Effect, frozen=True):
    """A strike was an error: give back its fine, and the pay if the answer was right.

    ``withheld`` of the fine was taken of pay that is withheld still, and is withheld with it again.
    """

    job_id: str
    unit: UnitKey
    pay: int
    fine: int
    withheld: int
    reason: str
    at: float


class Reinstate(_Effect, frozen=True):
    """A conviction was lifted: give back what was forfeited."""

    unit: UnitKey
    amount: int
    reason: str
    at: float


class Strike(_Effect, frozen=True):
    job_id: str
    unit: UnitKey
    pay: int
    fine: int
    reason: str
    at: float
    appeal_until: float


class StrikeMoved(_Effect, frozen=True):
    job_id: str
    state: StrikeState
    reason: str
    at: float


class UnitMoved(_Effect, frozen=True):
    unit: UnitKey
    state: UnitState
    reason: str
    at: float


class Found(_Effect, frozen=True):
    """A reference ran a job again: evidence, for everybody."""

    check: Check


class GaveUp(_Effect, frozen=True):
    """No reference ran a job again that was to be: that is kept too, for everybody."""

    given_up: GivenUp


class Answered(_Effect, frozen=True):
    """What a reference answered to a job whose answer was wrong: its user may have that.

    ``output`` is None where it is a blob: then its digest and size stand in its place. It is
    let go with the job's content.
    """

    job_id: str
    output: bytes | None
    output_digest: str | None
    output_size: int | None
    at: float


Effect: TypeAlias = (
    Void
    | Fine
    | Release
    | Forfeit
    | Restore
    | Reinstate
    | Strike
    | StrikeMoved
    | UnitMoved
    | Found
    | GaveUp
    | Answered
)


class TrustStep(msgspec.Struct, frozen=True):
    """What the policy was told, and what followed: kept together, or not at all.

    ``first`` is the number of the first event. The policy's events are numbered from 1, without
    a gap, in the order in which it was told them.
    """

    first: int
    events: tuple[tuple[float, Event], ...]
    effects: tuple[Effect, ...] = ()

    @property
    def last(self) -> int:
        return self.first + len(self.events) - 1
