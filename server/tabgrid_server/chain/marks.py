"""The marks that payments left on chain: which payment is behind one, and what follows.

The chain remembers payments that the books may not: after a restore from a backup, or where
an RPC said that a transaction is lost and it was not. Then the mark of the wallet's next
payment is there already. The payment behind it is found through the mark's own history, read
from the chain and booked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import structlog
from solders.hash import Hash
from solders.message import MessageV0
from solders.pubkey import Pubkey

from ..settings import Chain
from ..store import Store
from ..store import claims as stored
from ..store.claims import Mark
from . import claims as c
from .claims import Claim
from .markers import Marker, remove
from .rpc import ACCOUNTS, Landed, Named, Rpc
from .signers import signed
from .transactions import Payment, Terms, read_payment
from .treasury import Treasury

log = structlog.get_logger("tabgrid.marks")

#: Marks whose rent fits into one packet of the network.
TOGETHER = 6
#: Lamports of one signature.
FEE = 5_000
#: Transactions that name a mark and are looked at: ours is among the first.
LOOKED_AT = 50

BECOMING_FINAL = (
    "A payment to this wallet is becoming final on chain. Try again in a minute; nothing is lost."
)
IN_THE_WAY = (
    "Somebody sent SOL to the address that marks your next payment on chain, which blocks it. "
    "It is being sent back to your wallet; try again in a minute."
)


class Marks:
    """Every method may raise ``RpcError`` and ``StoreUnavailable``; the next call goes on."""

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

    def terms(
        self, claim: str, wallet: str, amount: int, seq: int, fee: int | None = None
    ) -> Terms:
        """Of payment number ``seq`` to ``wallet``; ``fee`` is what the token itself keeps."""
        treasury, address = self._treasury, Pubkey.from_string(wallet)
        return Terms(
            claim=claim,
            wallet=address,
            amount=amount,
            mint=treasury.mint,
            decimals=treasury.decimals,
            token_program=treasury.token_program,
            treasury=treasury.account,
            hot=treasury.hot.pubkey(),
            marker=treasury.marker(address, seq),
            compute_unit_price=self._settings.compute_unit_price,
            fee=None if treasury.fee is None else fee or 0,
        )

    # --- what the chain remembers ----------------------------------------------------------

    async def maker(self, claim: Claim, at_least: int) -> c.MakerFound:
        """Which final payment left ``claim``'s mark, by the mark's history up to that slot."""
        assert claim.seq is not None
        assert claim.marker is not None
        history = await self._rpc.history(Pubkey.from_string(claim.marker), at_least)
        mine = next((each for each in history if each.txid == claim.txid), None)
        if mine is not None and not mine.failed:
            return c.MakerFound(mine.txid)
        terms = self.terms(claim.id, claim.wallet, 1, claim.seq)
        found = await self._payment(terms, history)
        return c.MakerFound(found[0] if found else None, failed=mine is not None)

    async def recover(self, wallet: str, seq: int) -> Claim | None:
        """Book the final payment number ``seq`` to ``wallet``; None if there is none."""
        terms = self.terms("", wallet, 1, seq)
        history = await self._rpc.history(terms.marker.address)
        found = await self._payment(terms, history)
        if found is None:
            return None
        txid, landed, payment = found
        claim = self._as_claim(wallet, seq, txid, landed, payment)
        if await self._store.write(stored.recover, claim):
            log.warning("a payment that was not in the books", claim=claim.id, txid=txid)
        return claim

    async def clear(self, wallet: str, seq: int) -> str:
        """The mark of a payment that was not made is there; what its wallet should be told.

        What a stranger put there goes to the wallet. Nothing can be paid by it: while the
        mark has lamports no transaction of ours succeeds, and no claim of the wallet is open.
        """
        mark = self._treasury.marker(Pubkey.from_string(wallet), seq)
        final = await self._rpc.lamports([mark.address])
        if final.values[0] == 0:
            return BECOMING_FINAL
        await self._give_back([(mark, Pubkey.from_string(wallet), final.values[0])])
        return IN_THE_WAY

    async def _payment(
        self, terms: Terms, history: Sequence[Named]
    ) -> tuple[str, Landed, Payment] | None:
        for txid in [each.txid for each in history if not each.failed][:LOOKED_AT]:
            landed = await self._rpc.landed(txid)
            if landed is None:
                continue
            payment = read_payment(landed.transaction.message, terms.marker, terms)
            if payment is not None:
                return txid, landed, payment
        return None

    def _as_claim(
        self, wallet: str, seq: int, txid: str, landed: Landed, payment: Payment
    ) -> Claim:
        now, message = self._clock(), landed.transaction.message
        at = now if landed.at is None else landed.at
        return Claim(
            id=payment.claim,
            wallet=wallet,
            token=self._settings.symbol,
            amount=payment.amount,
            message=bytes(message),
            blockhash=str(message.recent_blockhash),
            last_valid_height=0,
            created_at=at,
            updated_at=now,
            expires_at=at + c.SIGN_WITHIN_S,
            seq=seq,
            marker=str(self._treasury.marker(Pubkey.from_string(wallet), seq).address),
            # What was kept for pushing it, the chain does not tell; a row that is there does.
            push_fee=0 if payment.pushed else None,
            state="finalized",
            txid=txid,
            signed=bytes(landed.transaction),
            signed_at=at,
        )

    # --- giving rent back ------------------------------------------------------------------

    async def sweep(self) -> int:
        """Give back the rent of marks that are old enough; how many were asked for.

        Nothing is kept of the asking: a mark that is gone is noted, one that is still there
        is asked for again.
        """
        before = self._clock() - self._settings.marker_keep_s
        due = await self._store.read(stored.marks, before, ACCOUNTS)
        ours = [(each, mark) for each in due if (mark := self._mark(each)) is not None]
        if not ours:
            return 0
        found = await self._rpc.lamports([mark.address for _, mark in ours])
        gone = [e.claim for (e, _), n in zip(ours, found.values, strict=True) if n == 0]
        if gone:
            await self._store.write(stored.unmark, gone, self._clock())
        hot = self._treasury.hot.pubkey()
        there = [
            (mark, hot if each.pushed else Pubkey.from_string(each.wallet), lamports)
            for (each, mark), lamports in zip(ours, found.values, strict=True)
            if lamports
        ][:TOGETHER]
        if there:
            await self._give_back(there)
        return len(there)

    def _mark(self, each: Mark) -> Marker | None:
        """None for a mark under a hot key that is no longer this one."""
        mark = self._treasury.marker(Pubkey.from_string(each.wallet), each.seq)
        return mark if str(mark.address) == each.marker else None

    async def _give_back(self, marks: Sequence[tuple[Marker, Pubkey, int]]) -> None:
        hot = self._treasury.hot
        if await self._rpc.balance(hot.pubkey()) < FEE:
            log.warning("rent waits: send some SOL to the hot key", hot=str(hot.pubkey()))
            return
        steps = [remove(mark, to, hot.pubkey(), lamports) for mark, to, lamports in marks]
        blockhash = Hash.from_string((await self._rpc.blockhash()).hash)
        message = MessageV0.try_compile(hot.pubkey(), steps, [], blockhash)
        txid = await self._rpc.send(bytes(await signed(message, [hot])))
        log.info("rent given back", marks=len(steps), txid=txid)
