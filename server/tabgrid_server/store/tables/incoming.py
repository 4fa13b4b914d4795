"""Deposits: what comes in from the chain."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, Column, Double, ForeignKey, Index, Table, Text

from .columns import partial_index
from .metadata import metadata

#: Deposits that users mean to make: each has a reference by which its payment is known.
deposit_requests = Table(
    "deposit_requests",
    metadata,
    Column("id", Text, primary_key=True),
    Column("owner", Text, nullable=False),
    Column("token", Text, nullable=False),
    Column("reference", Text, nullable=False, unique=True),
    # Null: any amount. It is only what was asked for; what comes is credited.
    Column("amount", BigInteger),
    # Where a refund goes instead of the account that paid.
    Column("wallet", Text),
    Column("created_at", Double, nullable=False),
    CheckConstraint("amount > 0", name="amount"),
    Index("ix_deposit_requests_owner", "owner", "created_at"),
    Index("ix_deposit_requests_created_at", "created_at"),
)

#: What transactions brought to the treasury's account, and whose it is.
deposits = Table(
    "deposits",
    metadata,
    # This is what makes a transaction be credited once, whatever it names.
    Column("txid", Text, primary_key=True),
    Column("token", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("owner", Text),
    Column("request", Text, ForeignKey("deposit_requests.id")),
    Column("payer", Text),
    Column("refund_to", Text),
    Column("slot", BigInteger, nullable=False),
    # Time of its block, and when it was booked here.
    Column("at", Double, nullable=False),
    Column("booked_at", Double, nullable=False),
    CheckConstraint("state IN ('credited', 'unassigned', 'refill', 'unread')", name="state"),
    CheckConstraint("(owner IS NOT NULL) = (state = 'credited')", name="owner"),
    CheckConstraint("amount > 0 OR state = 'unread'", name="amount"),
    Index("ix_deposits_owner", "owner", "slot"),
    Index("ix_deposits_request", "request"),
    partial_index("ix_deposits_open", "slot", where="owner IS NULL"),
)

#: Up to where the signatures of an account were looked at.
watched = Table(
    "watched",
    metadata,
    Column("account", Text, primary_key=True),
    Column("txid", Text, nullable=False),
    Column("slot", BigInteger, nullable=False),
)
