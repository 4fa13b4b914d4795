"""A wallet's payments are numbered and marked on chain; payouts have a breaker.

Columns are added in place. Claims made before have no number: the chain holds no mark of them.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_LIVE = "seq IS NOT NULL AND state IN ('reserved', 'signed', 'confirmed')"
_PAYABLE = "seq IS NOT NULL AND state IN ('reserved', 'signed', 'confirmed', 'finalized')"
_MARKED = "marker IS NOT NULL AND state = 'finalized' AND unmarked_at IS NULL"


def upgrade() -> None:
    for column in (
        sa.Column("seq", sa.Integer(), nullable=True),
        sa.Column("marker", sa.Text(), nullable=True),
        sa.Column("signed_at", sa.Double(), nullable=True),
        sa.Column("unmarked_at", sa.Double(), nullable=True),
    ):
        op.add_column("claims", column)
    _index("uq_claims_live", "claims", ["wallet", "token"], _LIVE, unique=True)
    _index("uq_claims_payable", "claims", ["wallet", "token", "seq"], _PAYABLE, unique=True)
    _index("ix_claims_signed_at", "claims", ["signed_at"], "signed_at IS NOT NULL")
    _index("ix_claims_marked", "claims", ["updated_at"], _MARKED)
    op.create_table(
        "breaker",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("token", sa.Text(), nullable=False),
        sa.Column("tripped_at", sa.Double(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("reset_at", sa.Double(), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_breaker")),
    )
    _index("uq_breaker_open", "breaker", ["token"], "reset_at IS NULL", unique=True)


def _index(name: str, table: str, columns: list[str], where: str, unique: bool = False) -> None:
    op.create_index(
        name,
        table,
        columns,
        unique=unique,
        sqlite_where=sa.text(where),
        postgresql_where=sa.text(where),
    )
