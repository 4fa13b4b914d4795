"""Epochs: which receipts are published together, and how far their root is on its way.

They are numbered without a gap and follow each other by their roots; at most the newest one is
not final on chain yet. What is in one follows from the receipts and the corrections alone
(``epoch_drafts``), so that it can be found again from what the chain has.
"""

from __future__ import annotations

from sqlalchemy import ColumnElement, Connection, delete, func, insert, select, text, update

from ..proofs import epoch as proofs
from ..proofs.corrections import Head
from ..proofs.epoch import Earned, Memo
from .errors import Conflict
from .record import Record
from .records import Receipt
from .tables import corrections, earnings, epoch_wallets, epochs, receipts

#: Receipts of one epoch at most: a tree is built in a fraction of a second, and whoever checks
#: one receipt makes the server read no more than these. What is over goes into the next one.
MOST = 65_536


class Epoch(Record, frozen=True, kw_only=True):
    """One epoch. Its leaves are its receipts, one for each wallet and token, and one for the
    corrections; in version 1 that one is missing, and the columns for it are null."""

    number: int
    first_seq: int
    last_seq: int
    receipts: int
    wallets: int
    root: str
    prev_root: str
    closed_at: float
    signer: str | None = None
    txid: str | None = None
    signed: bytes | None = None
    last_valid_height: int | None = None
    slot: int | None = None
    final_at: float | None = None
    #: How many corrections there were, and the newest one's hash.
    corrections: int | None = None
    corrected: str | None = None

    @property
    def head(self) -> Head | None:
        """Where the chain of corrections stood; None in version 1."""
        if self.corrections is None:
            return None
        return Head(self.corrections, _bytes(self.corrected or ""))

    @property
    def count(self) -> int:
        """Of its leaves."""
        return self.receipts + self.wallets + (self.corrections is not None)

    @property
    def memo(self) -> Memo:
        version = proofs.version_of(self.head)
        return Memo(version, self.number, self.count, self.root, self.prev_root)


class Pending(Record, frozen=True, kw_only=True):
    """A receipt that is in no epoch yet, and what its node earned by it."""

    seq: int
    hash: bytes
    wallet: str
    token: str
    amount: int
    created_at: float


class Draft(Record, frozen=True, kw_only=True):
    """An epoch as it would be; ``changed`` are the wallets that earned in it."""

    epoch: Epoch
    changed: list[Earned]


def latest(connection: Connection) -> Epoch | None:
    row = connection.execute(select(epochs).order_by(epochs.c.number.desc()).limit(1)).first()
    return None if row is None else Epoch(**row._mapping)


def get(connection: Connection, number: int) -> Epoch | None:
    row = connection.execute(select(epochs).where(epochs.c.number == number)).one_or_none()
    return None if row is None else Epoch(**row._mapping)


def page(connection: Connection, before: int | None, limit: int) -> list[Epoch]:
    """Newest first, with numbers under ``before``."""
    query = select(epochs).order_by(epochs.c.number.desc()).limit(limit)
    if before is not None:
        query = query.where(epochs.c.number < before)
    return [Epoch(**row._mapping) for row in connection.execute(query)]


def of_seq(connection: Connection, seq: int) -> Epoch | None:
    """The epoch with the receipt of this number; None while it is in none."""
    query = select(epochs).where(epochs.c.last_seq >= seq).order_by(epochs.c.number).limit(1)
    row = connection.execute(query).first()
    return None if row is None else Epoch(**row._mapping)


def signers(connection: Connection) -> set[str]:
    """Keys that ever signed an epoch of this grid."""
    query = select(epochs.c.signer).where(epochs.c.signer.is_not(None)).distinct()
    return set(connection.execute(query).scalars())


# --- what is in one ----------------------------------------------------------------------


def pending(connection: Connection, limit: int = MOST) -> list[Pending]:
    """Receipts that are in no epoch, in the order of settlement."""
    query = (
        select(
            receipts.c.seq, receipts.c.hash, earnings.c.wallet, earnings.c.token,
            earnings.c.amount, receipts.c.created_at,
        )
        .join(earnings, earnings.c.job_id == receipts.c.job_id)
        .where(receipts.c.seq > _published(connection))
        .order_by(receipts.c.seq)
        .limit(limit)
    )  # fmt: skip
    return [
        Pending(
            seq=seq, hash=_bytes(hash), wallet=wallet, token=token, amount=amount, created_at=at
        )
        for seq, hash, wallet, token, amount, at in connection.execute(query)
    ]


def oldest_pending(connection: Connection) -> tuple[int, float] | None:
    """How many receipts are in no epoch, up to ``MOST``, and when the first was settled."""
    waiting = (
        select(receipts.c.created_at)
        .where(receipts.c.seq > _published(connection))
        .order_by(receipts.c.seq)
        .limit(MOST)
        .subquery()
    )
    number, oldest = connection.execute(
        select(func.count(), func.min(waiting.c.created_at)).select_from(waiting)
    ).one()
    return (number, oldest) if number else None


def oldest_correction(connection: Connection) -> float | None:
    """When the first correction was made that is under no root yet; None if all are."""
    query = (
        select(corrections.c.at)
        .where(corrections.c.number > _corrected(connection))
        .order_by(corrections.c.number)
        .limit(1)
    )
    return connection.execute(query).scalar_one_or_none()


def earned(connection: Connection, number: int) -> list[Earned]:
    """What each wallet had earned by the end of epoch ``number``, in the order of the leaves."""
    rows = connection.execute(
        text(
            "SELECT wallet, token, max(earned) FROM epoch_wallets WHERE epoch <= :n"
            " GROUP BY wallet, token"
        ),
        {"n": number},
    )
    # An engine sorts by its own alphabet; the leaves are sorted by their bytes.
    return sorted(Earned(wallet, token, amount) for wallet, token, amount in rows)


def hashes(connection: Connection, epoch: Epoch) -> list[bytes]:
    """Of the epoch's receipts, in their order."""
    query = select(receipts.c.hash).where(*_within(epoch)).order_by(receipts.c.seq)
    return [_bytes(hash) for hash in connection.execute(query).scalars()]


def index_of(connection: Connection, epoch: Epoch, seq: int) -> int:
    """Which leaf of ``epoch`` is the receipt of this number."""
    query = select(func.count()).where(receipts.c.seq >= epoch.first_seq, receipts.c.seq < seq)
    return int(connection.execute(query).scalar_one())


def bodies(connection: Connection, epoch: Epoch, start: int, limit: int) -> list[Receipt]:
    """Receipts of ``epoch`` from place ``start`` on."""
    query = (
        select(receipts).where(*_within(epoch)).order_by(receipts.c.seq).offset(start).limit(limit)
    )
    return [Receipt(**row._mapping) for row in connection.execute(query)]


# --- its way to the chain ----------------------------------------------------------------


def close(connection: Connection, draft: Draft) -> None:
    """Keep an epoch; from here on its receipts, and corrections up to its own, cannot change.

    Raises ``Conflict`` if it does not follow the newest one, or that one is not final.
    """
    before = latest(connection)
    follows = before.root if before else proofs.GENESIS.hex()
    if draft.epoch.prev_root != follows or (before and before.final_at is None):
        raise Conflict(f"Epoch {draft.epoch.number} does not follow what is published.")
    row = {name: getattr(draft.epoch, name) for name in epochs.c.keys()}  # noqa: SIM118 not a dict
    connection.execute(insert(epochs).values(row))
    rows = [
        {"wallet": e.wallet, "token": e.token, "epoch": draft.epoch.number, "earned": e.earned}
        for e in draft.changed
    ]
    if rows:
        connection.execute(insert(epoch_wallets), rows)


def reopen(connection: Connection, number: int) -> bool:
    """Forget an epoch of which nothing was ever signed; its receipts are free again."""
    unsigned = (epochs.c.number == number, epochs.c.signer.is_(None), epochs.c.final_at.is_(None))
    if connection.execute(select(epochs.c.number).where(*unsigned)).first() is None:
        return False
    connection.execute(delete(epoch_wallets).where(epoch_wallets.c.epoch == number))
    connection.execute(delete(epochs).where(*unsigned))
    return True


def sign(
    connection: Connection, number: int, signer: str, txid: str, signed: bytes, height: int
) -> bool:
    """Keep the signed bytes before they are sent; False if there are some already."""
    return _change(
        connection,
        number,
        None,
        {"signer": signer, "txid": txid, "signed": signed, "last_valid_height": height},
    )


def unsign(connection: Connection, number: int, txid: str) -> bool:
    """That transaction can never land any more."""
    return _change(connection, number, txid, {"txid": None, "signed": None})


def finalize(
    connection: Connection,
    number: int,
    txid: str | None,
    landed: str,
    signer: str,
    slot: int,
    at: float,
) -> bool:
    """The epoch is final on chain, in transaction ``landed``; ``txid`` is what the row has."""
    final = {"txid": landed, "signer": signer, "slot": slot, "final_at": at}
    return _change(connection, number, txid, final)


def _change(
    connection: Connection, number: int, txid: str | None, values: dict[str, object]
) -> bool:
    mine = epochs.c.txid.is_(None) if txid is None else epochs.c.txid == txid
    changed = connection.execute(
        update(epochs)
        .where(epochs.c.number == number, mine, epochs.c.final_at.is_(None))
        .values(values)
    )
    return changed.rowcount == 1


def _published(connection: Connection) -> int:
    newest = select(func.coalesce(func.max(epochs.c.last_seq), 0))
    return int(connection.execute(newest).scalar_one())


def _corrected(connection: Connection) -> int:
    """Corrections that are under a root."""
    newest = select(func.coalesce(func.max(epochs.c.corrections), 0))
    return int(connection.execute(newest).scalar_one())


def _within(epoch: Epoch) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return receipts.c.seq >= epoch.first_seq, receipts.c.seq <= epoch.last_seq


def _bytes(hash: str) -> bytes:
    """What is no hash is nobody's: the proof that it breaks says so, and nothing crashes."""
    try:
        return bytes.fromhex(hash)
    except ValueError:
        return b""
