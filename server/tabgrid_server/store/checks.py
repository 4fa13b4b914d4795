"""What references found when they ran jobs again."""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection, select, text

from .records import Check
from .tables import checks

#: A job is checked once or twice, and three times more on appeal.
MOST = 100

_ADD = text(
    "INSERT INTO checks (id, job_id, purpose, auditor, device_class, comparator_version, distance,"
    " threshold, agreed, checked_at) VALUES (:id, :job_id, :purpose, :auditor, :device_class,"
    " :comparator_version, :distance, :threshold, :agreed, :checked_at) ON CONFLICT DO NOTHING"
)


def add(connection: Connection, check: Check) -> None:
    """Keep a check; again changes nothing."""
    connection.execute(_ADD, msgspec.structs.asdict(check))


def of_job(connection: Connection, job_id: str) -> list[Check]:
    """In the order in which they were made."""
    query = select(checks).where(checks.c.job_id == job_id).order_by(checks.c.id).limit(MOST)
    return [Check(**row._mapping) for row in connection.execute(query)]
