"""What references found when they ran jobs again, and what none of them ran."""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection, select, text

from ..verdict import verdict_of
from . import jobs as stored_jobs
from . import tallies
from .looks import Check, GivenUp
from .records import Job, JobContent
from .tables import checks, given_up

#: A job is checked once or twice, and three times more on appeal.
MOST = 100

_ADD = text(
    "INSERT INTO checks (id, job_id, purpose, auditor, device_class, comparator_version, distance,"
    " threshold, agreed, checked_at, grid, model, digest, dtype, wallet, node_class,"
    " method, part, parts) VALUES (:id,"
    " :job_id, :purpose, :auditor, :device_class, :comparator_version, :distance, :threshold,"
    " :agreed, :checked_at, :grid, :model, :digest, :dtype, :wallet, :node_class, :method, :part,"
    " :parts)"
    " ON CONFLICT DO NOTHING RETURNING id"
)


_GIVE_UP = text(
    "INSERT INTO given_up (id, job_id, purpose, why, wanted_at, given_up_at) VALUES (:id, :job_id,"
    " :purpose, :why, :wanted_at, :given_up_at) ON CONFLICT DO NOTHING"
)


def add(connection: Connection, check: Check) -> None:
    """Keep a check and count it; again changes nothing."""
    earlier = [each for each in of_job(connection, check.job_id) if each.wallet == check.wallet]
    if connection.execute(_ADD, msgspec.structs.asdict(check)).first() is None:
        return
    tallies.checked(connection, check, verdict_of(earlier), verdict_of([*earlier, check]))


def of_job(connection: Connection, job_id: str) -> list[Check]:
    """In the order in which they were made."""
    query = select(checks).where(checks.c.job_id == job_id)
    rows = connection.execute(query.order_by(checks.c.checked_at, checks.c.id).limit(MOST))
    return [Check(**row._mapping) for row in rows]


def after(connection: Connection, id: str, limit: int) -> list[Check]:
    """Checks of all jobs with ids above ``id``, in the order of ids."""
    query = select(checks).where(checks.c.id > id).order_by(checks.c.id).limit(limit)
    return [Check(**row._mapping) for row in connection.execute(query)]


def give_up(connection: Connection, fact: GivenUp) -> None:
    """Keep that nobody made a check; the same again changes nothing."""
    connection.execute(_GIVE_UP, msgspec.structs.asdict(fact))


def given_up_of_job(connection: Connection, job_id: str) -> list[GivenUp]:
    """In the order in which they were given up."""
    query = select(given_up).where(given_up.c.job_id == job_id).order_by(given_up.c.id)
    return [GivenUp(**row._mapping) for row in connection.execute(query.limit(MOST))]


def given_up_after(connection: Connection, id: str, limit: int) -> list[GivenUp]:
    """Of all jobs, with ids above ``id``, in the order of ids."""
    query = select(given_up).where(given_up.c.id > id).order_by(given_up.c.id).limit(limit)
    return [GivenUp(**row._mapping) for row in connection.execute(query)]


def material(connection: Connection, job_id: str) -> tuple[Job, JobContent, list[Check]] | None:
    """What it takes to run a job again and judge its answer; None once that is not kept."""
    job, content = stored_jobs.get(connection, job_id), stored_jobs.content(connection, job_id)
    if job is None or content is None or job.state != "done" or job.expired_at is not None:
        return None
    return job, content, of_job(connection, job_id)
