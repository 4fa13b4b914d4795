"""Strikes that were lifted because nobody could look at the appeal."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

_STATES = "state IN ('standing', 'appealed', 'upheld', 'reversed', 'lapsed')"


def upgrade() -> None:
    if op.get_context().dialect.name == "sqlite":
        _made_anew()
    else:
        op.drop_constraint(op.f("ck_strikes_state"), "strikes")
        op.create_check_constraint(op.f("ck_strikes_state"), "strikes", _STATES)


def _made_anew() -> None:
    """SQLite changes no constraint of a table that is there."""
    op.drop_index("ix_strikes_wallet")
    op.rename_table("strikes", "strikes_before")
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
        sa.CheckConstraint(_STATES, name=op.f("ck_strikes_state")),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_strikes")),
        sqlite_with_rowid=False,
    )
    op.execute("INSERT INTO strikes SELECT * FROM strikes_before")
    op.drop_table("strikes_before")
    op.create_index("ix_strikes_wallet", "strikes", ["wallet", "at"])
