"""Receipts of what was done, and the epochs that carry them, and corrections, to the chain."""

from __future__ import annotations

from sqlalchemy import (
    DDL,
    BigInteger,
    Column,
    Double,
    ForeignKey,
    Integer,
    LargeBinary,
    Table,
    Text,
    event,
)

from .columns import RowId
from .metadata import metadata

receipts = Table(
    "receipts",
    metadata,
    # The number of the transfer that settled the job: rises with each settlement.
    Column("seq", RowId, primary_key=True, autoincrement=False),
    Column("job_id", Text, ForeignKey("jobs.id"), nullable=False, unique=True),
    Column("body", LargeBinary, nullable=False),
    Column("hash", Text, nullable=False),
    Column("created_at", Double, nullable=False),
)

#: Receipts whose Merkle root is on chain, or on its way there (see ``proofs.epoch``).
epochs = Table(
    "epochs",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    # Its receipts: all that lie between, both included.
    Column("first_seq", BigInteger, nullable=False),
    Column("last_seq", BigInteger, nullable=False),
    Column("receipts", Integer, nullable=False),
    Column("wallets", Integer, nullable=False),
    Column("root", Text, nullable=False),
    # Two epochs after the same root would be a fork.
    Column("prev_root", Text, nullable=False, unique=True),
    Column("closed_at", Double, nullable=False),
    # The transaction that carries it, from before it was sent; null before and once it has
    # expired.
    Column("signer", Text),
    Column("txid", Text),
    Column("signed", LargeBinary),
    Column("last_valid_height", BigInteger),
    # Once it is final on chain.
    Column("slot", BigInteger),
    Column("final_at", Double),
    # Where the chain of corrections stood when it was closed; null in version 1.
    Column("corrections", BigInteger),
    Column("corrected", Text),
)

#: What a wallet had earned by the end of an epoch in which it earned something.
epoch_wallets = Table(
    "epoch_wallets",
    metadata,
    Column("wallet", Text, primary_key=True),
    Column("token", Text, primary_key=True),
    Column("epoch", Integer, ForeignKey("epochs.number"), primary_key=True, autoincrement=False),
    Column("earned", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

#: What does not change once it is under a root that may be on chain: table, a row of it, its
#: number, and the column of an epoch that has the newest number under its root.
_PUBLISHED = (
    ("receipts", "receipt", "seq", "last_seq"),
    ("corrections", "correction", "number", "corrections"),
)
#: The engine itself refuses it.
PUBLISHED_SQLITE = tuple(
    f"CREATE TRIGGER {table}_published_{verb} BEFORE {verb} ON {table}"  # noqa: S608 ours
    f" WHEN OLD.{number} <= (SELECT coalesce(max({newest}), 0) FROM epochs)"
    f" BEGIN SELECT RAISE(ABORT, 'this {row} is published and stays as it is'); END"
    for table, row, number, newest in _PUBLISHED
    for verb in ("update", "delete")
)
PUBLISHED_POSTGRES = tuple(
    statement
    for table, row, number, newest in _PUBLISHED
    for statement in (
        f"CREATE FUNCTION {table}_published() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"  # noqa: S608 ours
        f" IF OLD.{number} <= (SELECT coalesce(max({newest}), 0) FROM epochs) THEN"
        f" RAISE EXCEPTION 'this {row} is published and stays as it is'"
        " USING ERRCODE = 'integrity_constraint_violation'; END IF;"
        " IF TG_OP = 'DELETE' THEN RETURN OLD; END IF; RETURN NEW; END $$",
        f"CREATE TRIGGER {table}_published BEFORE UPDATE OR DELETE ON {table}"
        f" FOR EACH ROW EXECUTE FUNCTION {table}_published()",
    )
)
for _dialect, _statements in (("sqlite", PUBLISHED_SQLITE), ("postgresql", PUBLISHED_POSTGRES)):
    for _statement in _statements:
        _ddl = DDL(_statement)  # type: ignore[no-untyped-call]
        event.listen(metadata, "after_create", _ddl.execute_if(dialect=_dialect))
