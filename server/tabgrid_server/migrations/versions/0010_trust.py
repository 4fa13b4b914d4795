"""What the trust policy remembers and decides, and what that does to pay.

Columns are added in place: earnings of before are released by time, as they were.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_DUE = "NOT released AND NOT held AND lost IS NULL"
_RowId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    _memory()
    _standing()
    _corrections()
    for column in (
        sa.Column("held", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("fined", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("lost", sa.Text(), nullable=True),
    ):
        op.add_column("earnings", column)
    op.drop_index("ix_earnings_due", "earnings")
    op.create_index(
        "ix_earnings_due",
        "earnings",
        ["release_at"],
        unique=False,
        sqlite_where=sa.text(_DUE),
        postgresql_where=sa.text(_DUE),
    )


def _memory() -> None:
    op.create_table(
        "trust_events",
        sa.Column("id", _RowId, autoincrement=False, nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_trust_events")),
    )
    op.create_table(
        "trust_snapshots",
        sa.Column("through", _RowId, autoincrement=False, nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("state", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("through", name=op.f("pk_trust_snapshots")),
    )


def _standing() -> None:
    op.create_table(
        "strikes",
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.Column("wallet", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("dtype", sa.Text(), nullable=False),
        sa.Column("device_class", sa.Text(), nullable=False),
        sa.Column("pay", sa.BigInteger(), nullable=False),
        sa.Column("fine", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("appeal_until", sa.Double(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("moved_reason", sa.Text(), nullable=True),
        sa.Column("moved_at", sa.Double(), nullable=True),
        sa.CheckConstraint(
            "state IN ('standing', 'appealed', 'upheld', 'reversed')",
            name=op.f("ck_strikes_state"),
        ),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_strikes")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_strikes_wallet", "strikes", ["wallet", "at"])
    op.create_table(
        "units",
        sa.Column("wallet", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("dtype", sa.Text(), nullable=False),
        sa.Column("device_class", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("forfeit", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("wallet", "digest", "dtype", "device_class", name=op.f("pk_units")),
        sqlite_with_rowid=False,
    )


def _corrections() -> None:
    op.create_table(
        "corrections",
        sa.Column("number", _RowId, autoincrement=False, nullable=False),
        sa.Column("transfer_id", _RowId, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("ref", sa.Text(), nullable=False),
        sa.Column("wallet", sa.Text(), nullable=False),
        sa.Column("token", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_corrections")),
        sa.UniqueConstraint("kind", "ref", name=op.f("uq_corrections_kind_ref")),
        sa.UniqueConstraint("transfer_id", name=op.f("uq_corrections_transfer_id")),
        sa.ForeignKeyConstraint(
            ["transfer_id"], ["transfers.id"], name=op.f("fk_corrections_transfer_id")
        ),
    )
    op.create_index("ix_corrections_wallet", "corrections", ["wallet", "number"])
