"""The tables, as SQLAlchemy Core sees them; ``migrations/`` builds the same, by test.

Times are float unix seconds, amounts are integers in base units of their token, and
identifiers and hashes are text, so that a row can be read by a person with a shell.
"""

from __future__ import annotations

from sqlalchemy import (
    DDL,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    event,
    text,
    true,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

#: SQLite numbers rows by itself only where the key's type is spelt INTEGER.
RowId = BigInteger().with_variant(Integer, "sqlite")

OPEN_STATES = ("queued", "running", "returned")
_OPEN = "state IN ('queued', 'running', 'returned')"

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", Text, primary_key=True),
    Column("hash", Text, nullable=False, unique=True),
    Column("owner", Text, nullable=False, index=True),
    Column("label", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("revoked_at", Double),
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", Text, primary_key=True),
    Column("owner", Text, nullable=False),
    Column("key_id", Text, nullable=False),
    Column("grid", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("connector", Text, nullable=False),
    Column("token", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("input", LargeBinary, nullable=False),
    # Null while there is none, where it is a blob, and once it has expired.
    Column("output", LargeBinary),
    # Held while the job is open; what was charged once it is done.
    Column("price", BigInteger, nullable=False),
    Column("fee", BigInteger, nullable=False),
    Column("units", BigInteger, nullable=False),
    Column("usage", Text, nullable=False),
    Column("public", Boolean, nullable=False),
    Column("error_code", Text),
    Column("error", Text),
    Column("submitted_at", Double, nullable=False),
    Column("assigned_at", Double),
    Column("returned_at", Double),
    Column("finished_at", Double),
    Column("node", Text),
    Column("wallet", Text),
    Column("worker_key", Text),
    Column("host", Text),
    Column("backend", Text),
    Column("device", Text),
    Column("device_class", Text),
    Column("dtype", Text),
    Column("attempts", Integer, nullable=False),
    # An output that lies outside of the database: its SHA-256 and its size in bytes.
    Column("output_digest", Text),
    Column("output_size", BigInteger),
    # When input and output were let go, by the grid's rule.
    Column("expired_at", Double),
    # Whether its node may send pictures of how far it is.
    Column("show_preview", Boolean, nullable=False, server_default=true()),
    CheckConstraint(
        "state IN ('queued', 'running', 'returned', 'done', 'failed', 'cancelled')", name="state"
    ),
    CheckConstraint("price >= 0 AND fee >= 0 AND fee <= price", name="price"),
    Index("ix_jobs_submitted", "submitted_at", "id"),
    Index("ix_jobs_owner", "owner", "submitted_at"),
    # Partial ones cost nothing at submit, when their columns are still empty.
    Index(
        "ix_jobs_wallet",
        "wallet",
        "submitted_at",
        sqlite_where=text("wallet IS NOT NULL"),
        postgresql_where=text("wallet IS NOT NULL"),
    ),
    Index(
        "ix_jobs_open",
        "submitted_at",
        "id",
        sqlite_where=text(_OPEN),
        postgresql_where=text(_OPEN),
    ),
    Index(
        "ix_jobs_finished",
        "finished_at",
        "submitted_at",
        "state",
        sqlite_where=text("finished_at IS NOT NULL"),
        postgresql_where=text("finished_at IS NOT NULL"),
    ),
    Index(
        "ix_jobs_output_digest",
        "output_digest",
        sqlite_where=text("output_digest IS NOT NULL"),
        postgresql_where=text("output_digest IS NOT NULL"),
    ),
    # Where the last sweep ended, without a write for each job while it is young.
    Index(
        "ix_jobs_expired",
        "grid",
        "finished_at",
        sqlite_where=text("expired_at IS NOT NULL"),
        postgresql_where=text("expired_at IS NOT NULL"),
    ),
)

#: What lies in the blob store. A row is there before its bytes and goes after them.
blobs = Table(
    "blobs",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("created_at", Double, nullable=False),
    # When to look whether a job refers to it; null while one is known to.
    Column("check_at", Double),
    Index(
        "ix_blobs_check_at",
        "check_at",
        sqlite_where=text("check_at IS NOT NULL"),
        postgresql_where=text("check_at IS NOT NULL"),
    ),
    sqlite_with_rowid=False,
)

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

#: A receipt does not change once its root may be on chain: the engine itself refuses it.
PUBLISHED_SQLITE = tuple(
    f"CREATE TRIGGER receipts_published_{verb} BEFORE {verb} ON receipts"  # noqa: S608 ours
    " WHEN OLD.seq <= (SELECT coalesce(max(last_seq), 0) FROM epochs)"
    " BEGIN SELECT RAISE(ABORT, 'this receipt is published and stays as it is'); END"
    for verb in ("update", "delete")
)
PUBLISHED_POSTGRES = (
    "CREATE FUNCTION receipts_published() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
    " IF OLD.seq <= (SELECT coalesce(max(last_seq), 0) FROM epochs) THEN"
    " RAISE EXCEPTION 'this receipt is published and stays as it is'"
    " USING ERRCODE = 'integrity_constraint_violation'; END IF;"
    " IF TG_OP = 'DELETE' THEN RETURN OLD; END IF; RETURN NEW; END $$",
    "CREATE TRIGGER receipts_published BEFORE UPDATE OR DELETE ON receipts"
    " FOR EACH ROW EXECUTE FUNCTION receipts_published()",
)
for _dialect, _statements in (("sqlite", PUBLISHED_SQLITE), ("postgresql", PUBLISHED_POSTGRES)):
    for _statement in _statements:
        _ddl = DDL(_statement)  # type: ignore[no-untyped-call]
        event.listen(metadata, "after_create", _ddl.execute_if(dialect=_dialect))

#: What references found when they ran jobs again.
checks = Table(
    "checks",
    metadata,
    # In the order of time.
    Column("id", Text, primary_key=True),
    Column("job_id", Text, ForeignKey("jobs.id"), nullable=False, index=True),
    Column("purpose", Text, nullable=False),
    Column("auditor", Text, nullable=False),
    Column("device_class", Text, nullable=False),
    Column("comparator_version", Integer, nullable=False),
    Column("distance", Double, nullable=False),
    Column("threshold", Double, nullable=False),
    Column("agreed", Boolean, nullable=False),
    Column("checked_at", Double, nullable=False),
    sqlite_with_rowid=False,
)

earnings = Table(
    "earnings",
    metadata,
    Column("job_id", Text, ForeignKey("jobs.id"), primary_key=True),
    Column("wallet", Text, nullable=False),
    Column("grid", Text, nullable=False),
    Column("token", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("release_at", Double, nullable=False),
    Column("released", Boolean, nullable=False),
    # The claim that carries this amount to the chain, so that a job shows its payment.
    Column("claim", Text),
    CheckConstraint("amount >= 0", name="amount"),
    Index(
        "ix_earnings_due",
        "release_at",
        sqlite_where=text("NOT released"),
        postgresql_where=text("NOT released"),
    ),
    Index("ix_earnings_wallet", "wallet", "released", "release_at"),
    Index(
        "ix_earnings_unclaimed",
        "wallet",
        "token",
        sqlite_where=text("released AND claim IS NULL"),
        postgresql_where=text("released AND claim IS NULL"),
    ),
    Index(
        "ix_earnings_claim",
        "claim",
        sqlite_where=text("claim IS NOT NULL"),
        postgresql_where=text("claim IS NOT NULL"),
    ),
    sqlite_with_rowid=False,
)

transfers = Table(
    "transfers",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("ref", Text, nullable=False),
    Column("token", Text, nullable=False),
    Column("at", Double, nullable=False),
    # This is what makes every movement of money happen exactly once.
    UniqueConstraint("kind", "ref"),
)

postings = Table(
    "postings",
    metadata,
    Column("transfer_id", RowId, ForeignKey("transfers.id"), primary_key=True),
    Column("account", Text, primary_key=True),
    Column("amount", BigInteger, nullable=False),
    # Statements; with the amount in it, a balance at any time is summed up in the index alone.
    Index("ix_postings_account", "account", "transfer_id", "amount"),
    sqlite_with_rowid=False,
)

balances = Table(
    "balances",
    metadata,
    Column("account", Text, primary_key=True),
    Column("token", Text, primary_key=True),
    Column("amount", BigInteger, nullable=False),
    # The ledger refuses an overdraft with a reason; this is the wall behind it.
    CheckConstraint("amount >= 0 OR substr(account, 1, 7) = 'system:'", name="overdraft"),
    sqlite_with_rowid=False,
)

sessions = Table(
    "sessions",
    metadata,
    Column("token_hash", Text, primary_key=True),
    Column("wallet", Text, nullable=False),
    Column("worker_key", Text, nullable=False),
    Column("device_id", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double, nullable=False, index=True),
    Column("revoked_at", Double),
)

challenges = Table(
    "challenges",
    metadata,
    Column("nonce", Text, primary_key=True),
    Column("body", LargeBinary, nullable=False),
    Column("expires_at", Double, nullable=False, index=True),
    Column("used_at", Double),
)

wallets = Table(
    "wallets",
    metadata,
    Column("address", Text, primary_key=True),
    Column("first_seen", Double, nullable=False),
    Column("last_seen", Double, nullable=False),
)

#: States of a claim that may still reach the chain.
_LIVE_CLAIM = "seq IS NOT NULL AND state IN ('reserved', 'signed', 'confirmed')"
_PAYABLE_CLAIM = "seq IS NOT NULL AND state IN ('reserved', 'signed', 'confirmed', 'finalized')"
_MARKED = "marker IS NOT NULL AND state = 'finalized' AND unmarked_at IS NULL"

claims = Table(
    "claims",
    metadata,
    Column("id", Text, primary_key=True),
    Column("wallet", Text, nullable=False),
    Column("token", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("error", Text),
    Column("created_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
    # Which payment of the wallet this is, and the address of its mark on chain. Null for
    # claims of a time before there were marks.
    Column("seq", Integer),
    Column("marker", Text),
    # When it was co-signed: what the payout caps count.
    Column("signed_at", Double),
    # When the rent of the mark was seen to be given back.
    Column("unmarked_at", Double),
    # The user whose unused credit this gives back; null where the wallet earned it.
    Column("owner", Text),
    # What the grid keeps for paying the network's fee itself; null where the wallet pays it.
    Column("push_fee", BigInteger),
    CheckConstraint("amount > 0", name="amount"),
    Index("ix_claims_wallet", "wallet", "created_at"),
    Index(
        "ix_claims_owner",
        "owner",
        "created_at",
        sqlite_where=text("owner IS NOT NULL"),
        postgresql_where=text("owner IS NOT NULL"),
    ),
    Index("ix_claims_state", "state", "updated_at"),
    # A wallet has one claim under way, so that each knows its number …
    Index(
        "uq_claims_live",
        "wallet",
        "token",
        unique=True,
        sqlite_where=text(_LIVE_CLAIM),
        postgresql_where=text(_LIVE_CLAIM),
    ),
    # … and a number is paid once in these books, as it is on chain.
    Index(
        "uq_claims_payable",
        "wallet",
        "token",
        "seq",
        unique=True,
        sqlite_where=text(_PAYABLE_CLAIM),
        postgresql_where=text(_PAYABLE_CLAIM),
    ),
    Index(
        "ix_claims_signed_at",
        "signed_at",
        sqlite_where=text("signed_at IS NOT NULL"),
        postgresql_where=text("signed_at IS NOT NULL"),
    ),
    Index(
        "ix_claims_marked",
        "updated_at",
        sqlite_where=text(_MARKED),
        postgresql_where=text(_MARKED),
    ),
)

#: Each time that payouts stopped because too much went out; open until a person resets it.
breaker = Table(
    "breaker",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("token", Text, nullable=False),
    Column("tripped_at", Double, nullable=False),
    Column("reason", Text, nullable=False),
    Column("reset_at", Double),
    Column("note", Text),
    # One at a time: whoever trips it second finds it tripped.
    Index(
        "uq_breaker_open",
        "token",
        unique=True,
        sqlite_where=text("reset_at IS NULL"),
        postgresql_where=text("reset_at IS NULL"),
    ),
)

#: States of an attempt that may still reach the chain.
_LIVE = "state IN ('reserved', 'signed', 'sent', 'confirmed')"

claim_attempts = Table(
    "claim_attempts",
    metadata,
    Column("claim_id", Text, ForeignKey("claims.id"), primary_key=True),
    Column("n", Integer, primary_key=True),
    Column("message", LargeBinary, nullable=False),
    Column("blockhash", Text, nullable=False),
    Column("last_valid_height", BigInteger, nullable=False),
    # Pushed payouts share one.
    Column("txid", Text, index=True),
    Column("signed", LargeBinary),
    Column("state", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    # Two live transactions of one claim could both land: never more than one.
    Index(
        "uq_claim_attempts_live",
        "claim_id",
        unique=True,
        sqlite_where=text(_LIVE),
        postgresql_where=text(_LIVE),
    ),
)

#: Deposits that users mean to make: each has a reference by which its payment is known.
deposit_requests = Table(
    "deposit_requests",
    metadata,
    Column("id", Text, primary_key=True),
    Column("owner", Text, nullable=False),
    Column("token", Text, nullable=False),
    Column("reference", Text, nullable=False, unique=True),
    # Null: any amount. It is only what was asked for; what comes is credited.
    Column("amount", BigInteger),
    # Where a refund goes instead of the account that paid.
    Column("wallet", Text),
    Column("created_at", Double, nullable=False),
    CheckConstraint("amount > 0", name="amount"),
    Index("ix_deposit_requests_owner", "owner", "created_at"),
    Index("ix_deposit_requests_created_at", "created_at"),
)

#: What transactions brought to the treasury's account, and whose it is.
deposits = Table(
    "deposits",
    metadata,
    # This is what makes a transaction be credited once, whatever it names.
    Column("txid", Text, primary_key=True),
    Column("token", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("owner", Text),
    Column("request", Text, ForeignKey("deposit_requests.id")),
    Column("payer", Text),
    Column("refund_to", Text),
    Column("slot", BigInteger, nullable=False),
    # Time of its block, and when it was booked here.
    Column("at", Double, nullable=False),
    Column("booked_at", Double, nullable=False),
    CheckConstraint("state IN ('credited', 'unassigned', 'refill', 'unread')", name="state"),
    CheckConstraint("(owner IS NOT NULL) = (state = 'credited')", name="owner"),
    CheckConstraint("amount > 0 OR state = 'unread'", name="amount"),
    Index("ix_deposits_owner", "owner", "slot"),
    Index("ix_deposits_request", "request"),
    Index(
        "ix_deposits_open",
        "slot",
        sqlite_where=text("owner IS NULL"),
        postgresql_where=text("owner IS NULL"),
    ),
)

#: Up to where the signatures of an account were looked at.
watched = Table(
    "watched",
    metadata,
    Column("account", Text, primary_key=True),
    Column("txid", Text, nullable=False),
    Column("slot", BigInteger, nullable=False),
)
