"""What is trusted and what is not: units, their wallets, and strikes against them."""

from __future__ import annotations

from typing import Literal

from .base import Response
from .checks import Check

#: What the trust policy makes of a unit; unknown: it has not been seen since the grid started.
Standing = Literal[
    "unknown", "untested", "testing", "unsupported", "probation", "proven", "suspected",
    "convicted", "quarantined",
]  # fmt: skip


class UnitRecord(Response, frozen=True):
    """A wallet with one model on one class of device: what is trusted or not."""

    model: str
    digest: str
    dtype: str
    device_class: str
    jobs: int
    #: Of these the draw decided on, and it chose.
    subject: int
    drawn: int
    #: Answers that references ran again, by their last verdict.
    checked: int
    right: int
    wrong: int
    open: int
    standing: Standing
    #: Why it stands there, where that is written down.
    reason: str
    #: That were not lifted.
    strikes: int
    first_at: float
    last_at: float


class WalletRecord(Response, frozen=True):
    """Sums are over ``units``, of which there are at most 50: those with most jobs."""

    wallet: str
    jobs: int
    subject: int
    drawn: int
    checked: int
    right: int
    wrong: int
    open: int
    strikes: int
    units: tuple[UnitRecord, ...]


#: lapsed: it was appealed, too few references could look, and so it counts no more.
StrikeState = Literal["standing", "appealed", "upheld", "reversed", "lapsed"]


class UnitStanding(Response, frozen=True):
    """How the answers of one model are taken that a wallet computes on one kind of device."""

    digest: str
    model: str
    dtype: str
    device_class: str
    #: untested, testing, unsupported, probation, proven, suspected (paused), convicted, quarantined
    state: str
    reason: str
    at: float


class Strike(Response, frozen=True):
    """An answer that was found wrong, what it cost, and what speaks against it."""

    job: str
    digest: str
    model: str
    dtype: str
    device_class: str
    #: Not paid, and taken as a fine beside it, in base units.
    pay: int
    fine: int
    token: str
    reason: str
    at: float
    state: StrikeState
    appeal_until: float
    can_appeal: bool
    #: What an appeal came to, once it is decided.
    decided: str | None
    #: What references found, in the order in which they ran the job.
    checks: tuple[Check, ...]


class Strikes(Response, frozen=True):
    """Of the wallet that is signed in, the newest first."""

    standings: tuple[UnitStanding, ...]
    strikes: tuple[Strike, ...]
