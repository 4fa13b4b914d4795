"""The postings of one account are found without reading everybody's."""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    columns = ["account", "transfer_id", "amount"]
    op.create_index("ix_postings_account", "postings", columns)
