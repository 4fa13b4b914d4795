"""A job of the store as everybody may see it. Pure."""

from __future__ import annotations

import msgspec

from ..api.schemas.jobs import JobCorrection, JobRow, PayState
from ..store import Job

#: What the policy says of it is meant for the node's owner.
REASON = "Reference nodes of this grid ran the job again and got another answer."

_LOST: dict[str, PayState] = {"void": "void", "forfeit": "forfeit"}


def row_of(job: Job) -> JobRow:
    correction = None
    if job.refuted is not None and job.refuted_at is not None:
        correction = JobCorrection(REASON, job.price, job.refuted_at)
    state: PayState | None = None
    if job.released is not None:
        state = _LOST.get(job.lost or "", "claimable" if job.released else "withheld")
    row = msgspec.convert(job, JobRow, from_attributes=True)
    return msgspec.structs.replace(row, pay_state=state, correction=correction)
