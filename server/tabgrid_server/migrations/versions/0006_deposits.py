"""Deposits: what users mean to pay in, what came, and up to where the chain was read.

A claim may give a user's unused credit back; those made before all paid earnings.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("claims", sa.Column("owner", sa.Text(), nullable=True))
    _index("ix_claims_owner", "claims", ["owner", "created_at"], "owner IS NOT NULL")
    op.create_table(
        "deposit_requests",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("token", sa.Text(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=True),
        sa.Column("wallet", sa.Text(), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.CheckConstraint("amount > 0", name=op.f("ck_deposit_requests_amount")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deposit_requests")),
        sa.UniqueConstraint("reference", name=op.f("uq_deposit_requests_reference")),
    )
    op.create_index("ix_deposit_requests_owner", "deposit_requests", ["owner", "created_at"])
    op.create_index("ix_deposit_requests_created_at", "deposit_requests", ["created_at"])
    _create_deposits()
    op.create_table(
        "watched",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("txid", sa.Text(), nullable=False),
        sa.Column("slot", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account", name=op.f("pk_watched")),
    )


def _create_deposits() -> None:
    op.create_table(
        "deposits",
        sa.Column("txid", sa.Text(), nullable=False),
        sa.Column("token", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("request", sa.Text(), nullable=True),
        sa.Column("payer", sa.Text(), nullable=True),
        sa.Column("refund_to", sa.Text(), nullable=True),
        sa.Column("slot", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("booked_at", sa.Double(), nullable=False),
        sa.CheckConstraint(
            "state IN ('credited', 'unassigned', 'refill', 'unread')",
            name=op.f("ck_deposits_state"),
        ),
        sa.CheckConstraint(
            "(owner IS NOT NULL) = (state = 'credited')", name=op.f("ck_deposits_owner")
        ),
        sa.CheckConstraint("amount > 0 OR state = 'unread'", name=op.f("ck_deposits_amount")),
        sa.ForeignKeyConstraint(
            ["request"], ["deposit_requests.id"], name=op.f("fk_deposits_request")
        ),
        sa.PrimaryKeyConstraint("txid", name=op.f("pk_deposits")),
    )
    op.create_index("ix_deposits_owner", "deposits", ["owner", "slot"])
    op.create_index("ix_deposits_request", "deposits", ["request"])
    _index("ix_deposits_open", "deposits", ["slot"], "owner IS NULL")


def _index(name: str, table: str, columns: list[str], where: str) -> None:
    op.create_index(
        name,
        table,
        columns,
        sqlite_where=sa.text(where),
        postgresql_where=sa.text(where),
    )
