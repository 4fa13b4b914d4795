"""What references found, and counts of it by class of device and by unit of trust."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Integer,
    Table,
    Text,
    UniqueConstraint,
)

from .metadata import metadata

#: What references found when they ran jobs again.
checks = Table(
    "checks",
    metadata,
    # In the order of time.
    Column("id", Text, primary_key=True),
    Column("job_id", Text, ForeignKey("jobs.id"), nullable=False, index=True),
    Column("purpose", Text, nullable=False),
    Column("auditor", Text, nullable=False),
    Column("device_class", Text, nullable=False),
    Column("comparator_version", Integer, nullable=False),
    Column("distance", Double, nullable=False),
    Column("threshold", Double, nullable=False),
    Column("agreed", Boolean, nullable=False),
    Column("checked_at", Double, nullable=False),
    # Whose answer it was: of a job that was handed out again, not the one that was paid.
    Column("grid", Text, nullable=False, server_default=""),
    Column("model", Text, nullable=False, server_default=""),
    Column("digest", Text, nullable=False, server_default=""),
    Column("dtype", Text, nullable=False, server_default=""),
    Column("wallet", Text, nullable=False, server_default=""),
    Column("node_class", Text, nullable=False, server_default=""),
    # "rerun" or "steps"; of steps the part that decided.
    Column("method", Text, nullable=False, server_default="rerun"),
    Column("part", Text, nullable=False, server_default=""),
    # JSON of all parts that were looked at, each with its place, distance and threshold.
    Column("parts", Text, nullable=False, server_default="[]"),
    sqlite_with_rowid=False,
)

#: Checks that were asked for and that no reference made, each of them once.
given_up = Table(
    "given_up",
    metadata,
    # In the order of time.
    Column("id", Text, primary_key=True),
    Column("job_id", Text, ForeignKey("jobs.id"), nullable=False),
    Column("purpose", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("wanted_at", Double, nullable=False),
    Column("given_up_at", Double, nullable=False),
    UniqueConstraint("job_id", "purpose", "why"),
    sqlite_with_rowid=False,
)

#: Counts by class of device and hour or day: what a grid's health is drawn from.
class_tallies = Table(
    "class_tallies",
    metadata,
    Column("grid", Text, primary_key=True),
    # Seconds, and when they began; in this order a chart reads one stretch of the index.
    Column("span", Integer, primary_key=True, autoincrement=False),
    Column("at", BigInteger, primary_key=True, autoincrement=False),
    Column("digest", Text, primary_key=True),
    Column("dtype", Text, primary_key=True),
    Column("device_class", Text, primary_key=True),
    Column("model", Text, nullable=False),
    # Settled; of these subject to a draw; of these drawn.
    Column("jobs", BigInteger, nullable=False),
    Column("subject", BigInteger, nullable=False),
    Column("drawn", BigInteger, nullable=False),
    # Answers that a reference ran again; of these it differed from; of these found wrong.
    Column("checked", BigInteger, nullable=False),
    Column("differed", BigInteger, nullable=False),
    Column("wrong", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

#: The same by unit of trust, since it first worked: a wallet's record.
unit_tallies = Table(
    "unit_tallies",
    metadata,
    Column("wallet", Text, primary_key=True),
    Column("digest", Text, primary_key=True),
    Column("dtype", Text, primary_key=True),
    Column("device_class", Text, primary_key=True),
    Column("model", Text, nullable=False),
    Column("jobs", BigInteger, nullable=False),
    Column("subject", BigInteger, nullable=False),
    Column("drawn", BigInteger, nullable=False),
    # By their last verdict; the rest of ``checked`` is still open.
    Column("checked", BigInteger, nullable=False),
    Column("found_right", BigInteger, nullable=False),
    Column("found_wrong", BigInteger, nullable=False),
    Column("first_at", Double, nullable=False),
    Column("last_at", Double, nullable=False),
    sqlite_with_rowid=False,
)

#: Up to which receipt they are counted; one row.
tallied = Table(
    "tallied",
    metadata,
    Column("what", Text, primary_key=True),
    Column("seq", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
