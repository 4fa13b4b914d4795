"""What references found, kept in one transaction with what the trust policy made of it."""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection, select, text

from . import checks as stored_checks
from .bulk import Bulk, Row
from .effects import Answered, Found, GaveUp
from .looks import Check, GivenUp
from .tables import jobs, reruns

_ANSWERED = Bulk(
    text(
        "INSERT INTO reruns (job_id, output, output_digest, output_size, at) VALUES (:job_id,"
        " :output, :output_digest, :output_size, :at) ON CONFLICT DO NOTHING"
    )
)


class Evidence:
    """That of one transaction, written at its end. What is kept already stays as it is."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._found: list[Check] = []
        self._given_up: list[GivenUp] = []
        self._answered: list[Row] = []

    def take(self, effect: Found | GaveUp | Answered) -> None:
        if isinstance(effect, Found):
            self._found.append(effect.check)
        elif isinstance(effect, GaveUp):
            self._given_up.append(effect.given_up)
        else:
            self._answered.append(msgspec.structs.astuple(effect))

    def write(self) -> None:
        for check in self._found:
            stored_checks.add(self._connection, check)
        for given_up in self._given_up:
            stored_checks.give_up(self._connection, given_up)
        _ANSWERED.run(self._connection, [row for row in self._answered if self._kept(row[0])])

    def _kept(self, job_id: str) -> bool:
        """Whether the job's content is: what comes after it was let go would stay for ever."""
        query = select(jobs.c.id).where(jobs.c.id == job_id, jobs.c.expired_at.is_(None))
        return self._connection.execute(query).first() is not None


def rerun_of(connection: Connection, job_id: str) -> Answered | None:
    """The right answer to a job that was answered wrong, while its content is kept."""
    row = connection.execute(select(reruns).where(reruns.c.job_id == job_id)).one_or_none()
    return None if row is None else Answered(**row._mapping)
