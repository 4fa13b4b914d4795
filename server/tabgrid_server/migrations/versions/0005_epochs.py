"""Epochs: receipts go into Merkle trees whose roots are published on chain."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_SQLITE = tuple(
    f"CREATE TRIGGER receipts_published_{verb} BEFORE {verb} ON receipts"  # noqa: S608 ours
    " WHEN OLD.seq <= (SELECT coalesce(max(last_seq), 0) FROM epochs)"
    " BEGIN SELECT RAISE(ABORT, 'this receipt is published and stays as it is'); END"
    for verb in ("update", "delete")
)
_POSTGRES = (
    "CREATE FUNCTION receipts_published() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
    " IF OLD.seq <= (SELECT coalesce(max(last_seq), 0) FROM epochs) THEN"
    " RAISE EXCEPTION 'this receipt is published and stays as it is'"
    " USING ERRCODE = 'integrity_constraint_violation'; END IF;"
    " IF TG_OP = 'DELETE' THEN RETURN OLD; END IF; RETURN NEW; END $$",
    "CREATE TRIGGER receipts_published BEFORE UPDATE OR DELETE ON receipts"
    " FOR EACH ROW EXECUTE FUNCTION receipts_published()",
)


def upgrade() -> None:
    op.create_table(
        "epochs",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("first_seq", sa.BigInteger(), nullable=False),
        sa.Column("last_seq", sa.BigInteger(), nullable=False),
        sa.Column("receipts", sa.Integer(), nullable=False),
        sa.Column("wallets", sa.Integer(), nullable=False),
        sa.Column("root", sa.Text(), nullable=False),
        sa.Column("prev_root", sa.Text(), nullable=False),
        sa.Column("closed_at", sa.Double(), nullable=False),
        sa.Column("signer", sa.Text(), nullable=True),
        sa.Column("txid", sa.Text(), nullable=True),
        sa.Column("signed", sa.LargeBinary(), nullable=True),
        sa.Column("last_valid_height", sa.BigInteger(), nullable=True),
        sa.Column("slot", sa.BigInteger(), nullable=True),
        sa.Column("final_at", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_epochs")),
        sa.UniqueConstraint("prev_root", name=op.f("uq_epochs_prev_root")),
    )
    op.create_table(
        "epoch_wallets",
        sa.Column("wallet", sa.Text(), nullable=False),
        sa.Column("token", sa.Text(), nullable=False),
        sa.Column("epoch", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("earned", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["epoch"], ["epochs.number"], name=op.f("fk_epoch_wallets_epoch")),
        sa.PrimaryKeyConstraint("wallet", "token", "epoch", name=op.f("pk_epoch_wallets")),
        sqlite_with_rowid=False,
    )
    sqlite = op.get_context().dialect.name == "sqlite"
    for statement in _SQLITE if sqlite else _POSTGRES:
        op.execute(statement)
