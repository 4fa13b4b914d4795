"""Epochs have a leaf of corrections; those of before have none and stay as they are."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0014"
branch_labels = None
depends_on = None

_SQLITE = tuple(
    f"CREATE TRIGGER corrections_published_{verb} BEFORE {verb} ON corrections"  # noqa: S608 ours
    " WHEN OLD.number <= (SELECT coalesce(max(corrections), 0) FROM epochs)"
    " BEGIN SELECT RAISE(ABORT, 'this correction is published and stays as it is'); END"
    for verb in ("update", "delete")
)
_POSTGRES = (
    "CREATE FUNCTION corrections_published() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
    " IF OLD.number <= (SELECT coalesce(max(corrections), 0) FROM epochs) THEN"
    " RAISE EXCEPTION 'this correction is published and stays as it is'"
    " USING ERRCODE = 'integrity_constraint_violation'; END IF;"
    " IF TG_OP = 'DELETE' THEN RETURN OLD; END IF; RETURN NEW; END $$",
    "CREATE TRIGGER corrections_published BEFORE UPDATE OR DELETE ON corrections"
    " FOR EACH ROW EXECUTE FUNCTION corrections_published()",
)


def upgrade() -> None:
    op.add_column("epochs", sa.Column("corrections", sa.BigInteger(), nullable=True))
    op.add_column("epochs", sa.Column("corrected", sa.Text(), nullable=True))
    sqlite = op.get_context().dialect.name == "sqlite"
    for statement in _SQLITE if sqlite else _POSTGRES:
        op.execute(statement)
