"""Claims: what goes out to wallets on chain, and what stops it."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
)

from .columns import RowId, partial_index
from .metadata import metadata

#: States of a claim that may still reach the chain.
_LIVE_CLAIM = "seq IS NOT NULL AND state IN ('reserved', 'signed', 'confirmed')"
_PAYABLE_CLAIM = "seq IS NOT NULL AND state IN ('reserved', 'signed', 'confirmed', 'finalized')"
_MARKED = "marker IS NOT NULL AND state = 'finalized' AND unmarked_at IS NULL"

claims = Table(
    "claims",
    metadata,
    Column("id", Text, primary_key=True),
    Column("wallet", Text, nullable=False),
    Column("token", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("error", Text),
    Column("created_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
    # Which payment of the wallet this is, and the address of its mark on chain. Null for
    # claims of a time before there were marks.
    Column("seq", Integer),
    Column("marker", Text),
    # When it was co-signed: what the payout caps count.
    Column("signed_at", Double),
    # When the rent of the mark was seen to be given back.
    Column("unmarked_at", Double),
    # The user whose unused credit this gives back; null where the wallet earned it.
    Column("owner", Text),
    # What the grid keeps for paying the network's fee itself; null where the wallet pays it.
    Column("push_fee", BigInteger),
    CheckConstraint("amount > 0", name="amount"),
    Index("ix_claims_wallet", "wallet", "created_at"),
    partial_index("ix_claims_owner", "owner", "created_at", where="owner IS NOT NULL"),
    Index("ix_claims_state", "state", "updated_at"),
    # A wallet has one claim under way, so that each knows its number …
    partial_index("uq_claims_live", "wallet", "token", where=_LIVE_CLAIM, unique=True),
    # … and a number is paid once in these books, as it is on chain.
    partial_index("uq_claims_payable", "wallet", "token", "seq", where=_PAYABLE_CLAIM, unique=True),
    partial_index("ix_claims_signed_at", "signed_at", where="signed_at IS NOT NULL"),
    partial_index("ix_claims_marked", "updated_at", where=_MARKED),
)

#: Each time that payouts stopped because too much went out; open until a person resets it.
breaker = Table(
    "breaker",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("token", Text, nullable=False),
    Column("tripped_at", Double, nullable=False),
    Column("reason", Text, nullable=False),
    Column("reset_at", Double),
    Column("note", Text),
    # One at a time: whoever trips it second finds it tripped.
    partial_index("uq_breaker_open", "token", where="reset_at IS NULL", unique=True),
)

#: States of an attempt that may still reach the chain.
_LIVE = "state IN ('reserved', 'signed', 'sent', 'confirmed')"

claim_attempts = Table(
    "claim_attempts",
    metadata,
    Column("claim_id", Text, ForeignKey("claims.id"), primary_key=True),
    Column("n", Integer, primary_key=True),
    Column("message", LargeBinary, nullable=False),
    Column("blockhash", Text, nullable=False),
    Column("last_valid_height", BigInteger, nullable=False),
    # Pushed payouts share one.
    Column("txid", Text, index=True),
    Column("signed", LargeBinary),
    Column("state", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    # Two live transactions of one claim could both land: never more than one.
    partial_index("uq_claim_attempts_live", "claim_id", where=_LIVE, unique=True),
)
