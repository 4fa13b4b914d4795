"""Checks of steps say which steps they were of, and how far each part was."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("checks", sa.Column("parts", sa.Text(), server_default="[]", nullable=False))
