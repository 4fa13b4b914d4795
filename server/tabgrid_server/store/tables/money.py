"""The books: transfers with their postings, the balances they sum to, what nodes earned."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    Index,
    Table,
    Text,
    UniqueConstraint,
    false,
)

from .columns import RowId, partial_index
from .metadata import metadata

#: Earnings that wait for their time and nothing else.
_DUE = "NOT released AND NOT held AND lost IS NULL"

earnings = Table(
    "earnings",
    metadata,
    Column("job_id", Text, ForeignKey("jobs.id"), primary_key=True),
    Column("wallet", Text, nullable=False),
    Column("grid", Text, nullable=False),
    Column("token", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("release_at", Double, nullable=False),
    Column("released", Boolean, nullable=False),
    # The claim that carries this amount to the chain, so that a job shows its payment.
    Column("claim", Text),
    # Whether only the trust policy releases it; else time alone does.
    Column("held", Boolean, nullable=False, server_default=false()),
    # What fines took of it.
    Column("fined", BigInteger, nullable=False, server_default="0"),
    # Whether it is void or forfeit, and not withheld any more. Null: neither.
    Column("lost", Text),
    CheckConstraint("amount >= 0", name="amount"),
    partial_index("ix_earnings_due", "release_at", where=_DUE),
    Index("ix_earnings_wallet", "wallet", "released", "release_at"),
    partial_index("ix_earnings_unclaimed", "wallet", "token", where="released AND claim IS NULL"),
    partial_index("ix_earnings_claim", "claim", where="claim IS NOT NULL"),
    sqlite_with_rowid=False,
)

transfers = Table(
    "transfers",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("ref", Text, nullable=False),
    Column("token", Text, nullable=False),
    Column("at", Double, nullable=False),
    # This is what makes every movement of money happen exactly once.
    UniqueConstraint("kind", "ref"),
)

postings = Table(
    "postings",
    metadata,
    Column("transfer_id", RowId, ForeignKey("transfers.id"), primary_key=True),
    Column("account", Text, primary_key=True),
    Column("amount", BigInteger, nullable=False),
    # Statements; with the amount in it, a balance at any time is summed up in the index alone.
    Index("ix_postings_account", "account", "transfer_id", "amount"),
    sqlite_with_rowid=False,
)

balances = Table(
    "balances",
    metadata,
    Column("account", Text, primary_key=True),
    Column("token", Text, primary_key=True),
    Column("amount", BigInteger, nullable=False),
    # The ledger refuses an overdraft with a reason; this is the wall behind it.
    CheckConstraint("amount >= 0 OR substr(account, 1, 7) = 'system:'", name="overdraft"),
    sqlite_with_rowid=False,
)
