"""Payouts that the grid pushes: the hot key pays the network, wallets pay it in the token.

The order that keeps money safe is the claims' own: reserve, simulate, sign in memory, commit
the signed bytes for all payouts of the transaction at once, and only then broadcast.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import structlog
from solders.message import to_bytes_versioned
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction
from spl.token.constants import ACCOUNT_LEN
from spl.token.instructions import get_associated_token_address

from ..settings import Chain
from . import claims as c
from .batches import Batch, Payee, pack
from .claims import Claim
from .explain import NO_SOL, at_fault, explain
from .following import Follower
from .gate import Gate
from .markers import RENT
from .marks import FEE, Marks
from .refusals import ClaimsPaused, SignerUnavailable
from .rpc import Blockhash, Rpc, RpcUnavailable
from .transactions import COMPUTE_UNITS, draft
from .treasury import Treasury

log = structlog.get_logger("tabgrid.pushes")

#: More do not fit into one packet (see ``batches``), so no more are looked up at once.
TOGETHER = 3
#: Micro-lamports in a lamport.
_MICRO = 10**6

ACCOUNT_CLOSED = (
    "The wallet's token account was closed since it asked. Ask again: making it costs more."
)
NOTHING_LEFT = "There is too little to pay out: the token itself would keep it all."


class Offer(msgspec.Struct, frozen=True):
    """What the grid asks for pushing a payout to one wallet, in base units, and whether that
    wallet could pay for a claim itself."""

    fee: int
    creates_account: bool
    has_sol: bool


class Pusher:
    """Signs payouts that wait. Every method may raise ``RpcError`` and ``StoreUnavailable``;
    the next call goes on."""

    def __init__(
        self,
        rpc: Rpc,
        treasury: Treasury,
        settings: Chain,
        gate: Gate,
        marks: Marks,
        follower: Follower,
        clock: Callable[[], float],
    ) -> None:
        self._rpc = rpc
        self._treasury = treasury
        self._settings = settings
        self._gate = gate
        self._marks = marks
        self._open = follower
        self._clock = clock

    async def offer(self, wallet: str) -> Offer:
        """What pushing a payout to ``wallet`` costs now."""
        creates = not await self._has_account(wallet)
        fee = self._settings.push_fee + (self._settings.push_account_fee if creates else 0)
        account = await self._rpc.rent(ACCOUNT_LEN) if creates else 0
        priority = COMPUTE_UNITS * self._settings.compute_unit_price // _MICRO
        # Two signatures; what is left of its SOL must be enough to live on, too.
        needed = 2 * FEE + priority + RENT + account + RENT
        sol = await self._rpc.balance(Pubkey.from_string(wallet))
        return Offer(fee, creates, sol >= needed)

    async def refusal(self, claim: Claim) -> str | None:
        """What would stop the payout ``claim``, alone, right now; None if nothing."""
        payee = await self._payee(claim)
        if payee is None:
            return ACCOUNT_CLOSED
        if (payee.terms.fee or 0) >= payee.terms.amount:
            return NOTHING_LEFT
        batch = pack([payee], (await self._rpc.blockhash()).hash)
        error = await self._simulate(batch)
        if error is not None and "BlockhashNotFound" in error:
            raise RpcUnavailable("The RPC forgot its own blockhash.")  # it lags; ask again
        return None if error is None else explain(error, batch.message)

    async def step(self) -> None:
        """Sign and commit payouts that have waited long enough, a transaction at a time."""
        try:
            while (due := self._due()) and not await self._gate.tripped():
                if not await self._push(due):
                    return
        except SignerUnavailable as error:
            log.warning("payouts wait", why=error.why)
        except ClaimsPaused as error:
            log.warning("payouts wait", why=str(error))

    def _due(self) -> list[Claim]:
        waiting = self._open.waiting()[:TOGETHER]
        if not waiting:
            return []
        old = self._clock() - waiting[0].created_at >= self._settings.push_wait_s
        return waiting if old or len(waiting) == TOGETHER else []

    async def _push(self, due: list[Claim]) -> bool:
        """One transaction; False where it is no use to go on right now."""
        payees: list[Payee] = []
        for claim in due:
            payee = await self._payee(claim)
            if payee is None:
                await self._open.decide(claim.id, c.Refused(ACCOUNT_CLOSED))
            else:
                payees.append(payee)
        if not payees:
            return True
        blockhash = await self._rpc.blockhash()
        batch = pack(payees, blockhash.hash)
        error = await self._simulate(batch)
        if error is not None:
            return await self._refuse(batch, error)
        return await self._sign(batch, blockhash)

    async def _refuse(self, batch: Batch, error: str) -> bool:
        """Take out the payment that would fail: the others go without it, next."""
        reason, claim = explain(error, batch.message), at_fault(error, batch.message)
        if claim is None or reason == NO_SOL:
            log.warning("payouts wait", why=error, hot=str(self._treasury.hot.pubkey()))
            return False
        await self._open.decide(claim, c.Refused(reason))
        return True

    async def _sign(self, batch: Batch, blockhash: Blockhash) -> bool:
        signature = await self._treasury.hot.sign(to_bytes_versioned(batch.message))
        signed = VersionedTransaction.populate(batch.message, [signature])
        event = c.Pushed(
            txid=str(signature),
            signed=bytes(signed),
            message=bytes(batch.message),
            blockhash=blockhash.hash,
            last_valid_height=blockhash.last_valid_height,
        )
        done = await self._open.push({payee.terms.claim: event for payee in batch.payees})
        log.info("payouts signed", payouts=len(batch.payees), txid=event.txid, kept=done)
        return done

    async def _payee(self, claim: Claim) -> Payee | None:
        """None where the account has to be made and the wallet was not told what that costs.
        Of a refund the grid bears that itself: whoever paid in may have closed theirs since."""
        assert claim.seq is not None
        creates = not await self._has_account(claim.wallet)
        least = self._settings.push_fee + self._settings.push_account_fee
        if creates and claim.owner is None and (claim.push_fee or 0) < least:
            return None
        keeps = await self._treasury.keeps(self._rpc, claim.sent)
        terms = self._marks.terms(claim.id, claim.wallet, claim.sent, claim.seq, keeps)
        return Payee(terms, creates)

    async def _has_account(self, wallet: str) -> bool:
        treasury = self._treasury
        home = get_associated_token_address(
            Pubkey.from_string(wallet), treasury.mint, treasury.token_program
        )
        return await self._rpc.token_account(home) is not None

    async def _simulate(self, batch: Batch) -> str | None:
        return await self._rpc.simulate(draft(batch.message))
