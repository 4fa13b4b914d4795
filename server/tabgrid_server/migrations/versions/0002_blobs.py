"""Large outputs lie outside of the database; content has an end; previews can be hidden.

Columns are added in place: no table is copied, however many jobs it holds.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "blobs",
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("check_at", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_blobs")),
        sqlite_with_rowid=False,
    )
    _partial_index("ix_blobs_check_at", "blobs", ["check_at"], "check_at IS NOT NULL")
    for column in (
        sa.Column("output_digest", sa.Text(), nullable=True),
        sa.Column("output_size", sa.BigInteger(), nullable=True),
        sa.Column("expired_at", sa.Double(), nullable=True),
        sa.Column("show_preview", sa.Boolean(), server_default=sa.true(), nullable=False),
    ):
        op.add_column("jobs", column)
    digest, ended = ["output_digest"], ["grid", "finished_at"]
    _partial_index("ix_jobs_output_digest", "jobs", digest, "output_digest IS NOT NULL")
    _partial_index("ix_jobs_expired", "jobs", ended, "expired_at IS NOT NULL")


def _partial_index(name: str, table: str, columns: list[str], where: str) -> None:
    op.create_index(
        name,
        table,
        columns,
        unique=False,
        sqlite_where=sa.text(where),
        postgresql_where=sa.text(where),
    )
