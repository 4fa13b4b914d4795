"""The right answers to jobs that were answered wrong."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "reruns",
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.Column("output", sa.LargeBinary(), nullable=True),
        sa.Column("output_digest", sa.Text(), nullable=True),
        sa.Column("output_size", sa.BigInteger(), nullable=True),
        sa.Column("at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_reruns_job_id")),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_reruns")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_reruns_output_digest"), "reruns", ["output_digest"])
