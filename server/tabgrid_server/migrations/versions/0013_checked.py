"""Answers held until a reference agreed; checks of single steps beside those of whole answers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "jobs", sa.Column("checked", sa.Boolean(), server_default=sa.false(), nullable=False)
    )
    op.add_column("checks", sa.Column("method", sa.Text(), server_default="rerun", nullable=False))
    op.add_column("checks", sa.Column("part", sa.Text(), server_default="", nullable=False))
