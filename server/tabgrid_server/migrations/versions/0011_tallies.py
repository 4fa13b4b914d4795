"""Checks say whose answer they judged; tallies of what was drawn, checked and found.

Receipts are counted from the first one on, by the running coordinator. Checks are counted as
they are made, so those of before are counted here: they were of the first kinds only.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_OF_NODE = ("grid", "model", "digest", "dtype", "wallet")
#: One row per answer that was checked: `audit` comes first and `second` has the last word.
_VERDICTS = """
    count(*) FILTER (WHERE c.purpose = 'audit'),
    count(*) FILTER (WHERE c.agreed),
    count(*) FILTER (WHERE c.purpose = 'second' AND NOT c.agreed)"""


def upgrade() -> None:
    for name in (*_OF_NODE, "node_class"):
        op.add_column("checks", sa.Column(name, sa.Text(), nullable=False, server_default=""))
    _make_tables()
    named = [*((name, name) for name in _OF_NODE), ("node_class", "device_class")]
    for name, of_job in named:
        op.execute(
            f"UPDATE checks SET {name} = coalesce((SELECT j.{of_job} FROM jobs j"  # noqa: S608
            " WHERE j.id = checks.job_id), '')"
        )
    op.execute(
        "INSERT INTO unit_tallies SELECT c.wallet, c.digest, c.dtype, c.node_class, min(c.model),"  # noqa: S608
        f" 0, 0, 0, {_VERDICTS}, min(c.checked_at), max(c.checked_at) FROM checks c"
        " WHERE c.wallet <> '' GROUP BY c.wallet, c.digest, c.dtype, c.node_class"
    )
    for span in (3_600, 86_400):
        start = f"CAST(floor(c.checked_at / {span}) AS BIGINT) * {span}"
        if op.get_bind().dialect.name == "sqlite":  # whose floor may be missing
            start = f"CAST(c.checked_at / {span} AS INTEGER) * {span}"
        op.execute(
            f"INSERT INTO class_tallies SELECT c.grid, {span}, {start}, c.digest, c.dtype,"  # noqa: S608
            " c.node_class, min(c.model), 0, 0, 0, count(*) FILTER (WHERE c.purpose = 'audit'),"
            " count(*) FILTER (WHERE c.purpose = 'audit' AND NOT c.agreed),"
            " count(*) FILTER (WHERE c.purpose = 'second' AND NOT c.agreed) FROM checks c"
            f" WHERE c.wallet <> '' GROUP BY c.grid, {start}, c.digest, c.dtype, c.node_class"
        )


def _make_tables() -> None:
    op.create_table(
        "class_tallies",
        sa.Column("grid", sa.Text(), nullable=False),
        sa.Column("span", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("dtype", sa.Text(), nullable=False),
        sa.Column("device_class", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        *_counts("jobs", "subject", "drawn", "checked", "differed", "wrong"),
        sa.PrimaryKeyConstraint(
            "grid", "span", "at", "digest", "dtype", "device_class", name=op.f("pk_class_tallies")
        ),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "unit_tallies",
        sa.Column("wallet", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("dtype", sa.Text(), nullable=False),
        sa.Column("device_class", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        *_counts("jobs", "subject", "drawn", "checked", "found_right", "found_wrong"),
        sa.Column("first_at", sa.Double(), nullable=False),
        sa.Column("last_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint(
            "wallet", "digest", "dtype", "device_class", name=op.f("pk_unit_tallies")
        ),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "tallied",
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("what", name=op.f("pk_tallied")),
        sqlite_with_rowid=False,
    )


def _counts(*names: str) -> list[sa.Column[int]]:
    return [sa.Column(name, sa.BigInteger(), nullable=False) for name in names]
