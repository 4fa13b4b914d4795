"""Epochs as pages and API tell of them, and proofs that a receipt or the corrections are in one."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence

from tabgrid_wire import merkle

from .api.schemas.epochs import CorrectionsProof, Epoch, Leaf, Leaves, Proof
from .errors import NotFound
from .proofs import epoch as proofs
from .proofs.epoch import memo_text
from .store import Receipt, Store
from .store import epochs as stored
from .store import receipts as stored_receipts

#: Trees kept at hand, of up to some megabytes each: people look at the newest ones.
TREES = 4


class Published:
    """Questions about one grid's epochs. Nothing of a closed epoch ever changes."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._trees: OrderedDict[int, list[bytes]] = OrderedDict()

    async def newest(self, limit: int, before: int | None = None) -> tuple[list[Epoch], int]:
        """Epochs, and how many receipts are in none yet."""
        # In this order: one that comes into an epoch meanwhile is told twice, and not missed.
        waiting = await self._store.read(stored.oldest_pending)
        found = await self._store.read(stored.page, before, limit)
        return [epoch_view(epoch) for epoch in found], waiting[0] if waiting else 0

    async def epoch(self, number: int) -> Epoch:
        """Raises ``NotFound``."""
        return epoch_view(await self._epoch(number))

    async def leaves(self, number: int, start: int, limit: int) -> Leaves:
        """Leaves of an epoch from place ``start`` on. Raises ``NotFound``."""
        epoch = await self._epoch(number)
        found = await self._receipts(epoch, start, limit)
        room, place = limit - len(found), max(start - epoch.receipts, 0)
        if room > 0 and start + len(found) >= epoch.receipts:
            found += (await self._other_leaves(epoch))[place : place + room]
        after = start + len(found)
        more = bool(found) and after < epoch.count
        return Leaves(number, start, tuple(found), after if more else None)

    async def proof(self, job: str) -> Proof | None:
        """None while the receipt is in no epoch. Raises ``NotFound`` where there is none."""
        receipt = await self._store.read(stored_receipts.get, job)
        if receipt is None:
            raise NotFound("There is no receipt of this job: it is not settled, or does not exist.")
        epoch = await self._store.read(stored.of_seq, receipt.seq)
        if epoch is None:
            return None
        index = await self._store.read(stored.index_of, epoch, receipt.seq)
        path = merkle.path(await self._tree(epoch), index)
        return Proof(
            job=job,
            receipt_hash=receipt.hash,
            index=index,
            path=tuple(each.hex() for each in path),
            epoch=epoch_view(epoch),
        )

    async def corrections_proof(self, number: int) -> CorrectionsProof:
        """Raises ``NotFound``, for an epoch of version 1 too."""
        epoch = await self._epoch(number)
        if epoch.head is None:
            raise NotFound(f"Epoch {number} was closed before corrections went under its root.")
        index = epoch.count - 1
        path = merkle.path(await self._tree(epoch), index)
        return CorrectionsProof(index, tuple(each.hex() for each in path), epoch_view(epoch))

    async def _epoch(self, number: int) -> stored.Epoch:
        epoch = await self._store.read(stored.get, number)
        if epoch is None:
            raise NotFound(f"There is no epoch {number} yet.")
        return epoch

    async def _receipts(self, epoch: stored.Epoch, start: int, limit: int) -> list[Leaf]:
        if start >= epoch.receipts:
            return []
        return receipt_leaves(await self._store.read(stored.bodies, epoch, start, limit))

    async def _other_leaves(self, epoch: stored.Epoch) -> list[Leaf]:
        """Those after the receipts."""
        found = [
            Leaf("earned", wallet=each.wallet, token=each.token, earned=each.earned)
            for each in await self._store.read(stored.earned, epoch.number)
        ]
        if epoch.corrections is not None:
            corrected = epoch.corrected
            found += [Leaf("corrected", corrections=epoch.corrections, corrected=corrected)]
        return found

    async def _tree(self, epoch: stored.Epoch) -> list[bytes]:
        """Its leaf hashes."""
        if epoch.number not in self._trees:
            hashes = await self._store.read(stored.hashes, epoch)
            earned = await self._store.read(stored.earned, epoch.number)
            leaves = await asyncio.to_thread(proofs.leaves, hashes, earned, epoch.head)
            self._trees[epoch.number] = leaves
            while len(self._trees) > TREES:
                self._trees.popitem(last=False)
        return self._trees[epoch.number]


def receipt_leaves(receipts: Sequence[Receipt]) -> list[Leaf]:
    return [
        Leaf("receipt", seq=each.seq, receipt=each.body.decode(errors="replace"))
        for each in receipts
    ]


def epoch_view(epoch: stored.Epoch) -> Epoch:
    final = epoch.final_at is not None
    return Epoch(
        epoch=epoch.number,
        v=epoch.memo.v,
        count=epoch.count,
        receipts=epoch.receipts,
        wallets=epoch.wallets,
        corrections=epoch.corrections,
        corrected=epoch.corrected,
        root=epoch.root,
        prev_root=epoch.prev_root,
        closed_at=epoch.closed_at,
        state="final" if final else "sent" if epoch.txid else "closed",
        signature=epoch.txid,
        slot=epoch.slot,
        final_at=epoch.final_at,
        memo=memo_text(epoch.memo),
    )
