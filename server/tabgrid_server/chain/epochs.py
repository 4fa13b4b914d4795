"""Publishing epochs: closes one when its time has come, and brings its root on chain, once.

The order that keeps the chain of roots from forking: what an epoch holds is committed, then the
chain is asked whether it is the next one there, then the signed bytes are committed, and only
then sent. So a process that dies anywhere goes on with the same memo; and since the same receipts
and corrections always give the same memo, a second transaction with it would say nothing else.

Books that were restored from a backup lack epochs that the chain has. Each is found again by
the receipts: there is one number of them that gives as many leaves as the memo says, and then
the root agrees for one of the corrections, or these are not the receipts and corrections that
were published. Then nothing more is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from ..proofs.epoch import GENESIS, Earned
from ..settings import Chain
from ..store import Conflict, Store, StoreUnavailable, epoch_drafts
from ..store import corrections as stored_corrections
from ..store import epochs as stored
from ..store.epochs import Epoch, Pending
from . import memos
from .marks import FEE
from .memos import Published
from .refusals import SignerUnavailable
from .rpc import Rpc, RpcError, RpcRefused
from .signers import signed
from .treasury import Treasury

log = structlog.get_logger("tabgrid.epochs")

#: Between two looks while an epoch is on its way: about a slot, and then a minute at most.
POLL_S = 1.0
IDLE_S = 60.0
RETRY_S = 5.0

NO_FEE = "The hot key has no SOL for the fee; send it some."


class Epochs:
    """Publishes the epochs of one grid. ``run`` must be running for them to get on."""

    def __init__(
        self,
        store: Store,
        rpc: Rpc,
        treasury: Treasury,
        settings: Chain,
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._rpc = rpc
        self._treasury = treasury
        self._settings = settings
        self._clock = clock
        #: Why no epoch is published, for people; "" while they are.
        self.problem = ""

    async def run(self) -> None:
        """Close and publish, for ever."""
        while True:
            try:
                wait = POLL_S if await self.step() else self._idle
            except (RpcError, SignerUnavailable, StoreUnavailable, Conflict) as error:
                log.warning("epochs wait", why=str(error))
                wait = RETRY_S
            await asyncio.sleep(wait)

    @property
    def _idle(self) -> float:
        return min(IDLE_S, self._settings.epoch_s / 10)

    async def step(self) -> bool:
        """One step of whatever is next; True if more of it is under way.

        Raises ``RpcError``, ``SignerUnavailable``, ``StoreUnavailable``, and ``Conflict`` if
        another process of this grid was faster; the next step goes on from there.
        """
        latest = await self._store.read(stored.latest)
        if latest is None or latest.final_at is not None:
            if not await self._due():
                return False
            latest = await self._close(latest)
        if latest.signed is not None:
            await self._follow(latest)
            return True
        return await self._publish(latest)

    # --- closing ---------------------------------------------------------------------------

    async def _due(self) -> bool:
        """Whether the oldest receipt or correction is of a period that has ended, or enough
        receipts are waiting."""
        number, settled = await self._store.read(stored.oldest_pending) or (0, None)
        corrected = await self._store.read(stored.oldest_correction)
        period = self._settings.epoch_s
        now = self._clock() // period
        over = (at is not None and at // period < now for at in (settled, corrected))
        return number >= stored.MOST or any(over)

    async def _close(self, latest: Epoch | None) -> Epoch:
        waiting, earned = await self._waiting(latest)
        # Corrections are only ever added: one that comes meanwhile is of the next epoch.
        head = await self._store.read(stored_corrections.head)
        # Some hundred thousand hashes: jobs need not wait for them.
        draft = await asyncio.to_thread(
            epoch_drafts.draft, latest, earned, waiting, head, self._clock()
        )
        await self._store.write(stored.close, draft)
        epoch = draft.epoch
        log.info("epoch closed", epoch=epoch.number, receipts=epoch.receipts, root=epoch.root)
        return epoch

    async def _waiting(self, latest: Epoch | None) -> tuple[list[Pending], list[Earned]]:
        """Receipts that are in no epoch, and what had been earned before them."""
        waiting = await self._store.read(stored.pending)
        return waiting, await self._store.read(stored.earned, latest.number if latest else 0)

    # --- publishing ------------------------------------------------------------------------

    async def _publish(self, epoch: Epoch) -> bool:
        """Sign and send a closed epoch, if the chain stands right before it."""
        head = await self._head()
        number, root = (head.memo.epoch, head.memo.root) if head else (0, GENESIS.hex())
        if head is not None and head.memo == epoch.memo:
            await self._final(epoch, head)
            return False
        if (number, root) == (epoch.number - 1, epoch.prev_root):
            return await self._sign(epoch)
        if number >= epoch.number and await self._store.write(stored.reopen, epoch.number):
            log.warning("the chain has more epochs than these books", chain=number)
            await self._recover()
            return not self.problem
        self._refuse(
            f"The newest epoch on chain is {number}, and these books are about to publish "
            f"{epoch.number} after another root. Nothing is published until they agree: see "
            "“Restore from a backup” in the operator's guide."
        )
        return False

    async def _sign(self, epoch: Epoch) -> bool:
        hot = self._treasury.hot
        if await self._rpc.balance(hot.pubkey()) < 2 * FEE:
            self._refuse(NO_FEE)
            return False
        blockhash = await self._rpc.blockhash()
        price = self._settings.compute_unit_price
        treasury, signer = self._treasury.account, str(hot.pubkey())
        message = memos.message(epoch.memo, treasury, hot.pubkey(), blockhash.hash, price)
        made = await signed(message, [hot])
        txid, raw = str(made.signatures[0]), bytes(made)
        height = blockhash.last_valid_height
        if await self._store.write(stored.sign, epoch.number, signer, txid, raw, height):
            await self._send(epoch.number, raw)
        return True

    async def _send(self, number: int, raw: bytes) -> None:
        try:
            await self._rpc.send(raw)
        except RpcRefused as error:  # it may be on chain all the same; its status tells
            log.info("epoch not taken yet", epoch=number, why=str(error))

    async def _follow(self, epoch: Epoch) -> None:
        """One look at a transaction that was sent."""
        assert epoch.txid is not None
        assert epoch.signed is not None
        assert epoch.signer is not None
        status = (await self._rpc.statuses([epoch.txid])).values[0]
        height = (await self._rpc.height()).height
        if status is None and height > (epoch.last_valid_height or 0):
            status = (await self._rpc.statuses([epoch.txid], search=True)).values[0]
            if status is None:
                await self._gone(epoch, "it expired")
                return
        if status is None:
            await self._send(epoch.number, epoch.signed)
        elif status.commitment == "finalized" and status.error is not None:
            await self._gone(epoch, status.error)
        elif status.commitment == "finalized":
            found = Published(epoch.memo, epoch.txid, epoch.signer, status.slot, None)
            await self._final(epoch, found)

    async def _gone(self, epoch: Epoch, why: str) -> None:
        assert epoch.txid is not None
        log.warning("epoch is sent again", epoch=epoch.number, why=why)
        await self._store.write(stored.unsign, epoch.number, epoch.txid)

    async def _final(self, epoch: Epoch, found: Published) -> None:
        await self._store.write(
            stored.finalize, epoch.number, epoch.txid, found.txid, found.signer, found.slot,
            self._clock(),
        )  # fmt: skip
        self.problem = ""
        log.info("epoch is final", epoch=epoch.number, txid=found.txid)

    # --- what the chain has ----------------------------------------------------------------

    async def _keys(self) -> set[str]:
        return {str(self._treasury.hot.pubkey()), *await self._store.read(stored.signers)}

    async def _head(self) -> Published | None:
        """The newest epoch on chain; None if there is none."""
        found = memos.published(self._rpc, self._treasury.account, await self._keys())
        return await anext(found, None)

    async def _recover(self) -> None:
        """Find the epochs that the chain has, and these books have not, in the receipts."""
        latest = await self._store.read(stored.latest)
        missing: list[Published] = []
        async for each in memos.published(self._rpc, self._treasury.account, await self._keys()):
            if latest is not None and each.memo.epoch <= latest.number:
                break
            missing.append(each)
        for found in reversed(missing):
            if latest is not None and found.memo.epoch <= latest.number:
                continue  # the same memo, twice on chain
            latest = await self._adopt(latest, found)
            if latest is None:
                return

    async def _adopt(self, latest: Epoch | None, found: Published) -> Epoch | None:
        waiting, earned = await self._waiting(latest)
        since = (latest.corrections if latest else 0) or 0
        heads = await self._store.read(stored_corrections.heads, since)
        draft = await asyncio.to_thread(
            epoch_drafts.draft_of, found.memo, latest, earned, waiting, heads, self._clock()
        )
        if draft is None:
            self._refuse(
                f"The chain has epoch {found.memo.epoch} with other receipts or corrections than "
                "these books. They were restored from a backup that lacks some. Nothing more is "
                "published, so that the chain of roots does not fork."
            )
            return None
        await self._store.write(stored.close, draft)
        await self._final(draft.epoch, found)
        log.warning("epoch found on chain", epoch=draft.epoch.number, txid=found.txid)
        return draft.epoch

    def _refuse(self, problem: str) -> None:
        if problem != self.problem:
            log.error("epochs are not published", why=problem)
        self.problem = problem
