"""Jobs as they are read. They are written by ``Store.submit``, ``settle`` and ``refund``."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import Connection, Row, Select, literal, select, text, tuple_

from .records import Job, JobContent, NewJob
from .tables import corrections, earnings, jobs

_FACTS = [column for column in jobs.c if column.name not in ("input", "output")]
_SELECT = (
    select(
        *_FACTS,
        earnings.c.claim,
        earnings.c.released,
        earnings.c.lost,
        corrections.c.reason.label("refuted"),
        corrections.c.at.label("refuted_at"),
    )
    .outerjoin(earnings, earnings.c.job_id == jobs.c.id)
    .outerjoin(corrections, (corrections.c.kind == "void") & (corrections.c.ref == jobs.c.id))
)
_NEW = [jobs.c[name] for name in NewJob.__struct_fields__ if name != "idempotency"]
#: Spelt as the partial index is, or the database will not use it.
_OPEN = text("jobs.state IN ('queued', 'running', 'returned')")
_PICTURES = text(
    "jobs.public AND jobs.state = 'done' AND jobs.connector = 'text-to-image'"
    " AND jobs.expired_at IS NULL"
)


def get(connection: Connection, job_id: str) -> Job | None:
    """One job without its input and output."""
    row = connection.execute(_SELECT.where(jobs.c.id == job_id)).one_or_none()
    return None if row is None else _job(row)


def content(connection: Connection, job_id: str) -> JobContent | None:
    """What a job was given and what it answered."""
    query = select(jobs.c.input, jobs.c.output, jobs.c.output_digest).where(jobs.c.id == job_id)
    row = connection.execute(query).one_or_none()
    return None if row is None else JobContent(**row._mapping)


def page(
    connection: Connection,
    limit: int,
    before: str | None = None,
    *,
    wallet: str | None = None,
    owner: str | None = None,
) -> list[Job]:
    """The newest jobs first; with ``before``, those submitted before that job."""
    query: Select[Any] = _SELECT.order_by(jobs.c.submitted_at.desc(), jobs.c.id.desc())
    if wallet is not None:
        query = query.where(jobs.c.wallet == wallet)
    if owner is not None:
        query = query.where(jobs.c.owner == owner)
    return [_job(row) for row in connection.execute(_older(query, before).limit(limit))]


def pictures(
    connection: Connection, limit: int, before: str | None = None
) -> list[tuple[Job, bytes]]:
    """The newest public jobs that drew, with their inputs; only while both are kept.

    ``before`` as in ``page``. They have an index of their own, so that a grid which draws
    little in public does not read through its whole past for every visitor.
    """
    query: Select[Any] = _SELECT.add_columns(jobs.c.input).where(_PICTURES)
    query = _older(query.order_by(jobs.c.submitted_at.desc(), jobs.c.id.desc()), before)
    found = []
    for row in connection.execute(query.limit(limit)):
        fields = _decoded(row)
        input = fields.pop("input")
        found.append((Job(**fields), input))
    return found


def unfinished(connection: Connection) -> list[NewJob]:
    """Jobs acknowledged and not ended, in the order of submission: what a restart resumes."""
    query = select(*_NEW).where(_OPEN).order_by(jobs.c.submitted_at, jobs.c.id)
    return [NewJob(**_decoded(row)) for row in connection.execute(query)]


def unfinished_one(connection: Connection, job_id: str) -> NewJob | None:
    """The same of one job; None where it has its end, or is none."""
    row = connection.execute(select(*_NEW).where(_OPEN, jobs.c.id == job_id)).one_or_none()
    return None if row is None else NewJob(**_decoded(row))


def _older(query: Select[Any], before: str | None) -> Select[Any]:
    """Only what was submitted before this job; all of it where none is named."""
    if before is None:
        return query
    start = select(jobs.c.submitted_at).where(jobs.c.id == before).scalar_subquery()
    return query.where(tuple_(jobs.c.submitted_at, jobs.c.id) < tuple_(start, literal(before)))


def _job(row: Row[Any]) -> Job:
    return Job(**_decoded(row))


def _decoded(row: Row[Any]) -> dict[str, Any]:
    return {**row._mapping, "usage": msgspec.json.decode(row.usage)}
