"""An index of what was drawn in public, so that older pictures are found as fast as new ones."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    drawn = sa.text(
        "public AND state = 'done' AND connector = 'text-to-image' AND expired_at IS NULL"
    )
    columns = ["submitted_at", "id"]
    op.create_index("ix_jobs_pictures", "jobs", columns, sqlite_where=drawn, postgresql_where=drawn)
