"""The grid pushes payouts to wallets without SOL, several of them in one transaction.

So a transaction's id is no longer of one attempt alone. SQLite cannot drop a constraint: its
table is made anew, with as many rows as there were claims.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_LIVE = "state IN ('reserved', 'signed', 'sent', 'confirmed')"


def upgrade() -> None:
    op.add_column("claims", sa.Column("push_fee", sa.BigInteger(), nullable=True))
    if op.get_bind().dialect.name == "sqlite":
        _make_anew()
    else:
        op.drop_constraint(op.f("uq_claim_attempts_txid"), "claim_attempts", type_="unique")
    op.create_index(op.f("ix_claim_attempts_txid"), "claim_attempts", ["txid"])


def _make_anew() -> None:
    op.drop_index("uq_claim_attempts_live", "claim_attempts")
    op.rename_table("claim_attempts", "old_attempts")
    op.create_table(
        "claim_attempts",
        sa.Column("claim_id", sa.Text(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("message", sa.LargeBinary(), nullable=False),
        sa.Column("blockhash", sa.Text(), nullable=False),
        sa.Column("last_valid_height", sa.BigInteger(), nullable=False),
        sa.Column("txid", sa.Text(), nullable=True),
        sa.Column("signed", sa.LargeBinary(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["claim_id"], ["claims.id"], name=op.f("fk_claim_attempts_claim_id")
        ),
        sa.PrimaryKeyConstraint("claim_id", "n", name=op.f("pk_claim_attempts")),
    )
    op.execute("INSERT INTO claim_attempts SELECT * FROM old_attempts")
    op.drop_table("old_attempts")
    op.create_index(
        "uq_claim_attempts_live",
        "claim_attempts",
        ["claim_id"],
        unique=True,
        sqlite_where=sa.text(_LIVE),
    )
