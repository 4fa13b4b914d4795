"""What references found, and what none of them looked at, as structs."""

from __future__ import annotations

from typing import Literal

from .record import Record


class Check(Record, frozen=True, kw_only=True):
    """What one reference found about one job's answer."""

    id: str
    job_id: str
    purpose: str
    #: Its wallet, and what it computed with.
    auditor: str
    device_class: str
    comparator_version: int
    distance: float
    threshold: float
    agreed: bool
    checked_at: float
    #: Whose answer it was, and what that was computed with.
    grid: str = ""
    model: str = ""
    digest: str = ""
    dtype: str = ""
    wallet: str = ""
    node_class: str = ""
    #: The whole answer was run again, or a few steps of it.
    method: Literal["rerun", "steps"] = "rerun"
    #: Of steps: the part that was furthest from right, "step 3"; ``distance`` is that part's.
    part: str = ""
    #: JSON of all parts that were looked at; see ``coordinator.rechecks``.
    parts: str = "[]"


#: late: no reference could run it in time. down: the grid itself stood still when its time was
#: over; it is wanted still. crowded: more waited than memory holds. expired: what was in the job
#: was let go. damaged: what was kept of it cannot be read. withdrawn: its model is not offered any
#: more. failed: references tried, and could not run it.
WhyGivenUp = Literal["late", "down", "crowded", "expired", "damaged", "withdrawn", "failed"]


class GivenUp(Record, frozen=True, kw_only=True):
    """A check that was asked for and that no reference made."""

    id: str
    job_id: str
    purpose: str
    why: WhyGivenUp
    #: When it was asked for, and when no longer.
    wanted_at: float
    given_up_at: float
