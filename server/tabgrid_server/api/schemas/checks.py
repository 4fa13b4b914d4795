"""Which answers are run again, and what came of it."""

from __future__ import annotations

from typing import Literal

from .base import Response


class Draws(Response, frozen=True):
    """What decides which answers are checked. All bytes in lower-case hex.

    A day's secret is published when the day is over. Hashing it (SHA-256) ``revealed + 1``
    times gives ``anchor``, which was there before any draw. With it anybody draws again:
    HMAC-SHA256(secret, commit hash), its first 8 bytes as a big-endian number n; n times
    1,000,000 divided by 2 to the 64th, rounded down, is the draw. The answer is checked if that
    is below the receipt's ``audit_probability``.
    """

    anchor: str
    #: Days since ``first_day`` (Unix seconds).
    epoch: int
    first_day: float
    #: SHA-256 of today's secret: the ``draw_commitment`` of today's receipts.
    commitment: str
    #: The last day that is over, and its secret; the one before is the secret's SHA-256.
    revealed: int | None
    secret: str | None
    #: So many first answers of a wallet with one model on one class of device are all checked,
    #: later ones with this probability or more, in millionths.
    always: int = 0
    least: int = 0
    #: Seconds after which a drawn answer that no reference ran counts as not checked.
    within_s: float = 0.0


class DrawSecret(Response, frozen=True):
    """The secret of a day that is over, and its SHA-256, which that day's receipts name."""

    epoch: int
    secret: str
    commitment: str


class CheckPart(Response, frozen=True):
    """One part of an answer in steps that a reference ran again, and how far it was off."""

    #: noise, picture, or the steps.
    name: str
    #: Which of the stretches between the states that the node committed to, from 0; null for
    #: noise and picture.
    place: int | None
    distance: float
    threshold: float


class Check(Response, frozen=True):
    """A reference ran a job again and compared."""

    id: str
    job: str
    #: audit: it was drawn. second: the first reference differed. reaudit, rerun: an earlier
    #: answer of a unit that was wrong. appeal: its owner asked.
    purpose: str
    #: The reference's wallet, and what it computed with.
    auditor: str
    device_class: str
    comparator_version: int
    #: How far the node's answer is from the reference's; above the threshold is wrong.
    distance: float
    threshold: float
    agreed: bool
    checked_at: float
    #: Whose answer it was, and what that was computed with.
    model: str = ""
    digest: str = ""
    dtype: str = ""
    wallet: str = ""
    node_class: str = ""
    #: "rerun": the whole answer was computed again. "steps": a few drawn steps of it, and
    #: ``part`` is the one that was furthest from right.
    method: str = "rerun"
    part: str = ""
    #: Of a check of steps all that was looked at; none of checks before receipts of version 4.
    parts: tuple[CheckPart, ...] = ()


#: late: no reference could run it in time. down: the grid itself stood still when that time was
#: over; it is wanted still. crowded: more waited than memory holds. expired: what was in the job
#: was let go. damaged: what was kept of it cannot be read. withdrawn: its model is not offered any
#: more. failed: references tried, and could not run it.
WhyGivenUp = Literal["late", "down", "crowded", "expired", "damaged", "withdrawn", "failed"]


class GivenUp(Response, frozen=True):
    """A check that was asked for and that no reference made: nobody knows by it whether the
    answer is right."""

    id: str
    job: str
    #: As of a check.
    purpose: str
    why: WhyGivenUp
    #: When it was asked for and when it was given up, Unix seconds.
    wanted_at: float
    given_up_at: float


class Checks(Response, frozen=True):
    """Of all jobs in the order of their ids."""

    checks: tuple[Check, ...]


class GivenUpChecks(Response, frozen=True):
    """Of all jobs in the order of their ids."""

    given_up: tuple[GivenUp, ...]


class JobChecks(Response, frozen=True):
    """Of one job in the order in which they were made; none while they are still to come."""

    checks: tuple[Check, ...]
    #: Those that nobody made.
    given_up: tuple[GivenUp, ...]


class Draw(Response, frozen=True):
    """How it was decided whether an answer is run again; see ``/api/draws``."""

    #: In millionths.
    probability: int
    #: Of the day, and the SHA-256 of its secret.
    epoch: int
    commitment: str
    #: When the secret is told, Unix seconds; then it, and the number that it drew, 0 … 999,999.
    public_at: float
    secret: str | None
    number: int | None


#: unsettled: there is no receipt yet. own: not subject to a draw. undrawn: left out by the draw.
#: waiting: for a reference. open: one reference differs, another decides. given_up: no reference
#: had the last word, and ``given_up`` says why. missed: as that, and nothing says why.
EvidenceState = Literal[
    "unsettled", "own", "undrawn", "waiting", "open", "given_up", "missed", "right", "wrong"
]


class Evidence(Response, frozen=True):
    """What is known of whether a job's answer is right. Nothing of what was in the job."""

    job: str
    state: EvidenceState
    draw: Draw | None
    checks: tuple[Check, ...]
    #: What distances measure, in words; "" for a model that is no longer offered.
    measure: str
    #: Checks that nobody made.
    given_up: tuple[GivenUp, ...] = ()
