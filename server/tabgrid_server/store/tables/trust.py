"""Tables of ``trust``: what its policy was told, what it decided, and what that did to money."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    Index,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
)

from .columns import RowId
from .metadata import metadata

#: All that the policy was told, in order: told again, it decides the same.
trust_events = Table(
    "trust_events",
    metadata,
    # Counted by the policy's shell, without a gap.
    Column("id", RowId, primary_key=True, autoincrement=False),
    Column("at", Double, nullable=False),
    Column("event", Text, nullable=False),
)

#: What the policy knew after an event; those up to it are dropped. One row.
trust_snapshots = Table(
    "trust_snapshots",
    metadata,
    Column("through", RowId, primary_key=True, autoincrement=False),
    Column("at", Double, nullable=False),
    Column("state", LargeBinary, nullable=False),
)

#: What the operator wants of the policy; see ``orders``.
trust_orders = Table(
    "trust_orders",
    metadata,
    Column("id", Text, primary_key=True),
    Column("does", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("dtype", Text, nullable=False),
    Column("device_class", Text, nullable=False),
    Column("at", Double, nullable=False),
    Column("done_at", Double),
    Column("answer", Text),
    CheckConstraint("does IN ('clear', 'confirm-bug')", name="does"),
    sqlite_with_rowid=False,
)

#: Answers that two references found wrong.
strikes = Table(
    "strikes",
    metadata,
    Column("job_id", Text, primary_key=True),
    Column("wallet", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("dtype", Text, nullable=False),
    Column("device_class", Text, nullable=False),
    # What the answer would have earned, and what was taken beside it.
    Column("pay", BigInteger, nullable=False),
    Column("fine", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", Double, nullable=False),
    Column("appeal_until", Double, nullable=False),
    Column("state", Text, nullable=False),
    # Why and when it came into this state, if it was not always in it.
    Column("moved_reason", Text),
    Column("moved_at", Double),
    CheckConstraint(
        "state IN ('standing', 'appealed', 'upheld', 'reversed', 'lapsed')", name="state"
    ),
    Index("ix_strikes_wallet", "wallet", "at"),
    sqlite_with_rowid=False,
)

#: Where each unit stands, and why.
units = Table(
    "units",
    metadata,
    Column("wallet", Text, primary_key=True),
    Column("digest", Text, primary_key=True),
    Column("dtype", Text, primary_key=True),
    Column("device_class", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", Double, nullable=False),
    # What it forfeited and was not given back: the reference of that transfer.
    Column("forfeit", Text),
    sqlite_with_rowid=False,
)

#: What was changed of nodes' pay after their receipts, for everybody to see. Rows are only added;
#: each hash covers the one before (see ``proofs.corrections``).
corrections = Table(
    "corrections",
    metadata,
    Column("number", RowId, primary_key=True, autoincrement=False),
    Column("transfer_id", RowId, ForeignKey("transfers.id"), nullable=False, unique=True),
    Column("kind", Text, nullable=False),
    Column("ref", Text, nullable=False),
    Column("wallet", Text, nullable=False),
    Column("token", Text, nullable=False),
    # By how much what the wallet has changed.
    Column("amount", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", Double, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("hash", Text, nullable=False),
    UniqueConstraint("kind", "ref"),
    Index("ix_corrections_wallet", "wallet", "number"),
)

#: What a reference answered to a job whose answer was found wrong, while its content is kept.
reruns = Table(
    "reruns",
    metadata,
    Column("job_id", Text, ForeignKey("jobs.id"), primary_key=True),
    # Null where it is a blob: then that one's SHA-256, and its size in bytes.
    Column("output", LargeBinary),
    Column("output_digest", Text, index=True),
    Column("output_size", BigInteger),
    Column("at", Double, nullable=False),
    sqlite_with_rowid=False,
)
