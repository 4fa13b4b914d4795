"""Jobs, and what of them lies outside of the database."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    false,
    true,
)

from .columns import partial_index
from .metadata import metadata

OPEN_STATES = ("queued", "running", "returned")
_OPEN = "state IN ('queued', 'running', 'returned')"
_PICTURES = "public AND state = 'done' AND connector = 'text-to-image' AND expired_at IS NULL"

jobs = Table(
    "jobs",
    metadata,
    Column("id", Text, primary_key=True),
    Column("owner", Text, nullable=False),
    Column("key_id", Text, nullable=False),
    Column("grid", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("connector", Text, nullable=False),
    Column("token", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("input", LargeBinary, nullable=False),
    # Null while there is none, where it is a blob, and once it has expired.
    Column("output", LargeBinary),
    # Held while the job is open; what was charged once it is done.
    Column("price", BigInteger, nullable=False),
    Column("fee", BigInteger, nullable=False),
    Column("units", BigInteger, nullable=False),
    Column("usage", Text, nullable=False),
    Column("public", Boolean, nullable=False),
    Column("error_code", Text),
    Column("error", Text),
    Column("submitted_at", Double, nullable=False),
    Column("assigned_at", Double),
    Column("returned_at", Double),
    Column("finished_at", Double),
    Column("node", Text),
    Column("wallet", Text),
    Column("worker_key", Text),
    Column("host", Text),
    Column("backend", Text),
    Column("device", Text),
    Column("device_class", Text),
    Column("dtype", Text),
    Column("attempts", Integer, nullable=False),
    # An output that lies outside of the database: its SHA-256 and its size in bytes.
    Column("output_digest", Text),
    Column("output_size", BigInteger),
    # When input and output were let go, by the grid's rule.
    Column("expired_at", Double),
    # Whether its node may send pictures of how far it is.
    Column("show_preview", Boolean, nullable=False, server_default=true()),
    # Whether its answer was held until a reference agreed.
    Column("checked", Boolean, nullable=False, server_default=false()),
    CheckConstraint(
        "state IN ('queued', 'running', 'returned', 'done', 'failed', 'cancelled')", name="state"
    ),
    CheckConstraint("price >= 0 AND fee >= 0 AND fee <= price", name="price"),
    Index("ix_jobs_submitted", "submitted_at", "id"),
    Index("ix_jobs_owner", "owner", "submitted_at"),
    # Partial ones cost nothing at submit, when their columns are still empty.
    partial_index("ix_jobs_wallet", "wallet", "submitted_at", where="wallet IS NOT NULL"),
    partial_index("ix_jobs_open", "submitted_at", "id", where=_OPEN),
    # What the explorer shows of pictures: few rows of a large table, found at any age.
    partial_index("ix_jobs_pictures", "submitted_at", "id", where=_PICTURES),
    partial_index(
        "ix_jobs_finished", "finished_at", "submitted_at", "state", where="finished_at IS NOT NULL"
    ),
    partial_index("ix_jobs_output_digest", "output_digest", where="output_digest IS NOT NULL"),
    # Where the last sweep ended, without a write for each job while it is young.
    partial_index("ix_jobs_expired", "grid", "finished_at", where="expired_at IS NOT NULL"),
)

#: What owners call their requests, so that one sent again is one job.
idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("owner", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    # SHA-256 of what was asked for: another request must not have its job for an answer.
    Column("request", Text, nullable=False),
    Column("job_id", Text, ForeignKey("jobs.id"), nullable=False),
    Column("created_at", Double, nullable=False, index=True),
    sqlite_with_rowid=False,
)

#: What lies in the blob store. A row is there before its bytes and goes after them.
blobs = Table(
    "blobs",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("created_at", Double, nullable=False),
    # When to look whether a job refers to it; null while one is known to.
    Column("check_at", Double),
    partial_index("ix_blobs_check_at", "check_at", where="check_at IS NOT NULL"),
    sqlite_with_rowid=False,
)
