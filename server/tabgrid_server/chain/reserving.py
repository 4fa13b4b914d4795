"""Reserving a claim: what can be paid now, to whom, and what would stop it.

Nothing is signed here. What is reserved is in the store, its money set aside; a wallet's
signature, or the grid's own where it pushes the payout, brings it further.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

import msgspec
import structlog
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from tabgrid_wire.ids import RANDOM, new_id

from ..ledger import InsufficientFunds
from ..settings import Chain
from ..store import Conflict, Store
from ..store import claims as stored
from ..store import claims_together as together
from ..store.claims import Position
from . import claims as c
from .claims import Claim
from .explain import ALREADY_PAID, NO_SOL, explain
from .following import Follower
from .gate import Gate
from .marks import Marks
from .pushes import Pusher
from .refusals import ChainUnavailable, ClaimRefused, ClaimsPaused
from .rpc import Blockhash, Rpc, RpcError
from .sharing import Recent
from .transactions import build, draft
from .treasury import Treasury

log = structlog.get_logger("tabgrid.claims")
T = TypeVar("T")

PUT_OFF = "The wallet claimed what it earned first. Ask for the refund again."
PUSH_WAITS = "The grid is about to pay what you earned. Claim what comes later once that is final."
REFUND_WAITS = "The grid is about to give this credit back; it is final in less than a minute."
SIGNATURE_WAITS = (
    "A claim waits for this wallet's signature. Sign it, or ask again in two minutes, when it has "
    "gone back."
)
GRID_HAS_NO_SOL = (
    "The grid has too little SOL to pay the network for you right now. What you earned stays "
    "claimable; claim it yourself, or ask again later."
)
#: How old a blockhash may be when a claim gets it, in seconds: about a slot, of the 150 it lives.
BLOCKHASH_S = 0.4
#: New figures between reading what is claimable and reserving it: jobs release meanwhile.
TRIES = 5


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for: all that ``wallet`` earned, unless the rest says otherwise."""

    wallet: str
    #: A refund instead: unused credit of this user that can go to ``wallet``.
    owner: str | None = None
    #: The grid pushes it, and keeps so many base units for that; None: the wallet signs.
    push_fee: int | None = None
    #: Base units of a refund; None: all that can go back.
    amount: int | None = None

    @property
    def pushed(self) -> bool:
        return self.push_fee is not None


class Draft(msgspec.Struct, frozen=True):
    """A claim that is not kept yet, and what would stop it."""

    claim: Claim
    refused: c.Refused | c.BlockhashGone | None


class Reserving:
    def __init__(
        self,
        store: Store,
        rpc: Rpc,
        treasury: Treasury,
        settings: Chain,
        gate: Gate,
        marks: Marks,
        follower: Follower,
        pusher: Pusher,
        *,
        clock: Callable[[], float],
        random: Callable[[int], bytes],
        changed: Callable[[Claim], None],
    ) -> None:
        self._store = store
        self._rpc = rpc
        self._treasury = treasury
        self._settings = settings
        self._gate = gate
        self._marks = marks
        self._open = follower
        self._pusher = pusher
        self._clock = clock
        self._random = random
        self._changed = changed
        #: Many claims may have the same one: each is another transaction all the same.
        self._blockhash = Recent(rpc.blockhash, BLOCKHASH_S, clock)
        #: Wallets whose books were compared with the chain since the start.
        self._compared: set[str] = set()

    async def reserve(self, order: Order) -> Claim:
        """A new claim, or the one that waits already. One at a time for each wallet.

        Raises ``ClaimRefused``, ``ClaimsPaused``, ``ChainUnavailable``.
        """
        wallet, symbol, owner = order.wallet, self._settings.symbol, order.owner
        tries = 0
        while tries < TRIES:
            at = await self._store.join_read(together.position, wallet, symbol, owner)
            if at.live is not None:
                if (claim := await self._take_up(at.live, order)) is not None:
                    return claim
                continue
            # Together: what they ask the RPC shares requests, and the claim is simulated meanwhile.
            # What is not needed after all is not looked at, nor whether it came.
            behind, standing, drafted = await asyncio.gather(
                self._behind_the_chain(wallet, at.seq),
                self._gate.standing(),
                self._draft(order, at),
                return_exceptions=True,
            )
            if _told(behind):
                continue
            if at.overpaid and at.claimable:
                ref = new_id("offset", int(self._clock() * 1000), self._random(RANDOM))
                await self._store.write(stored.offset, wallet, symbol, ref, self._clock(), owner)
                continue
            self._gate.admit(_told(standing), self._amount(order, at))
            prepared = await self._usable(_told(drafted))
            if prepared is None:
                continue
            try:
                await self._store.join(together.reserve, prepared)
            except (Conflict, InsufficientFunds):
                tries += 1
                continue  # the amount has changed since it was read
            self._open.take(prepared)
            log.info("claim reserved", claim=prepared.id, wallet=wallet, amount=prepared.amount)
            return prepared
        raise ClaimRefused("What you can claim is changing right now; try again in a moment.")

    def shown(self, amount: int) -> str:
        decimals = self._settings.decimals
        digits = f"{amount // 10**decimals}.{amount % 10**decimals:0{decimals}d}"
        return f"{digits.rstrip('0').rstrip('.')} {self._settings.symbol}"

    # --- what is there already -------------------------------------------------------------

    async def _take_up(self, claim: Claim, order: Order) -> Claim | None:
        """The wallet's open claim, if it still waits; None if it is over now.

        Earnings go before refunds: whoever named a wallet for a refund could else keep its
        owner from claiming, by never signing. Raises ``ClaimRefused`` if it is on its way, or
        is one of another kind.
        """
        self._open.take(claim)
        if claim.state == "reserved" and claim.owner != order.owner and order.owner is None:
            await self._open.decide(claim.id, c.Refused(PUT_OFF))
            return None
        if claim.state != "reserved":
            raise ClaimRefused(
                "Your last claim is still on its way. Claim the rest once it is final, in less "
                "than a minute."
            )
        if self._clock() >= claim.expires_at:
            await self._open.decide(claim.id, c.Ticked())
            return None
        if claim.owner != order.owner or claim.pushed != order.pushed:
            pushed = PUSH_WAITS if claim.owner is None else REFUND_WAITS
            raise ClaimRefused(pushed if claim.pushed else SIGNATURE_WAITS)
        return claim

    async def _behind_the_chain(self, wallet: str, seq: int) -> bool:
        """Once after each start: whether the chain has a payment that these books lack.

        They lack it after a restore from a backup. It is in the books when this returns.
        """
        if wallet in self._compared:
            return False
        if await self._recover(wallet, seq) is not None:
            return True
        self._compared.add(wallet)
        return False

    async def _recover(self, wallet: str, seq: int) -> Claim | None:
        try:
            claim = await self._marks.recover(wallet, seq)
        except RpcError as error:
            raise ChainUnavailable from error
        if claim is not None:
            self._changed(claim)
        return claim

    async def _already_paid(self, wallet: str, seq: int) -> None:
        """The chain refuses payment ``seq``: book what is there. Raises ``ClaimRefused``
        where that is not final yet, or no payment at all."""
        if await self._recover(wallet, seq) is not None:
            return
        try:
            raise ClaimRefused(await self._marks.clear(wallet, seq))
        except RpcError as error:
            raise ChainUnavailable from error

    # --- the new one -----------------------------------------------------------------------

    def _amount(self, order: Order, at: Position) -> int:
        """Base units that are claimed. Raises ``ClaimRefused``."""
        if order.amount is not None and order.amount > at.claimable:
            raise ClaimRefused(f"Only {self.shown(at.claimable)} can go back to {order.wallet}.")
        amount = at.claimable if order.amount is None else order.amount
        least, unit = self._least(order)
        if amount < least:
            what = "claim" if order.owner is None else "give back"
            raise ClaimRefused(
                f"There is too little to {what}: a {unit} is for at least {self.shown(least)}."
            )
        return amount

    def _least(self, order: Order) -> tuple[int, str]:
        if not order.pushed:
            return self._settings.claim_minimum, "claim" if order.owner is None else "refund"
        if order.owner is None:
            return self._settings.push_minimum, "payout by the grid"
        return 1, "refund"  # the operator asks for it, and pays

    async def _draft(self, order: Order, at: Position) -> Draft:
        """A claim, and what would stop it. Nothing is done yet.

        Raises ``ClaimRefused``, ``ClaimsPaused``, ``ChainUnavailable``.
        """
        claim = self._new(order, self._amount(order, at), at.seq)
        try:
            if order.pushed:
                return Draft(claim, await self._to_push(claim))
            return Draft(claim, await self._to_sign(claim, await self._blockhash()))
        except RpcError as error:
            raise ChainUnavailable from error

    async def _usable(self, draft: Draft) -> Claim | None:
        """The claim, if it would succeed now; None if its payment was on chain and is booked.

        Raises ``ClaimRefused``, ``ChainUnavailable``.
        """
        claim = draft.claim
        match draft.refused:
            case None:
                return claim
            case c.BlockhashGone():  # from a node that lags behind the one that gave it
                raise ChainUnavailable
            case c.Refused(reason) if reason == ALREADY_PAID:
                assert claim.seq is not None
                await self._already_paid(claim.wallet, claim.seq)
                return None
            case c.Refused(reason):
                raise ClaimRefused(reason)

    def _new(self, order: Order, amount: int, seq: int) -> Claim:
        now = self._clock()
        within = c.PUSH_WITHIN_S if order.pushed else c.SIGN_WITHIN_S
        kind = "claim" if order.owner is None else "refund"
        return Claim(
            id=new_id(kind, int(now * 1000), self._random(RANDOM)),
            wallet=order.wallet,
            token=self._settings.symbol,
            amount=amount,
            message=b"",
            blockhash="",
            last_valid_height=0,
            created_at=now,
            updated_at=now,
            expires_at=now + within,
            seq=seq,
            marker=str(self._treasury.marker(Pubkey.from_string(order.wallet), seq).address),
            owner=order.owner,
            push_fee=order.push_fee,
        )

    async def _to_sign(
        self, claim: Claim, blockhash: Blockhash
    ) -> c.Refused | c.BlockhashGone | None:
        """Give ``claim`` the message that its wallet is to sign; or what would stop it."""
        assert claim.seq is not None
        fee = await self._treasury.keeps(self._rpc, claim.amount)
        if fee is not None and fee >= claim.amount:
            return c.Refused("There is too little to claim: the token itself would keep it all.")
        terms = self._marks.terms(claim.id, claim.wallet, claim.amount, claim.seq, fee)
        message = build(terms, blockhash.hash)
        claim.message, claim.blockhash = bytes(message), blockhash.hash
        claim.last_valid_height = blockhash.last_valid_height
        return await simulated(self._rpc, draft(message))

    async def _to_push(self, claim: Claim) -> c.Refused | None:
        """What would stop the payout. Raises ``ClaimsPaused`` where the grid itself cannot."""
        if claim.sent <= 0:
            return c.Refused("There is too little to pay out: the fee is more.")
        reason = await self._pusher.refusal(claim)
        if reason == NO_SOL:
            raise ClaimsPaused(GRID_HAS_NO_SOL)
        return None if reason is None else c.Refused(reason)


def _told(answer: T | BaseException) -> T:
    """One of several that were asked for together. Raises what was raised for it."""
    if isinstance(answer, BaseException):
        raise answer
    return answer


async def simulated(
    rpc: Rpc, transaction: VersionedTransaction
) -> c.Refused | c.BlockhashGone | None:
    """What would stop it now, before anything is co-signed. Raises ``ChainUnavailable``."""
    try:
        error = await rpc.simulate(transaction)
    except RpcError as failed:
        raise ChainUnavailable from failed
    if error is None:
        return None
    if "BlockhashNotFound" in error:
        return c.BlockhashGone()
    return c.Refused(explain(error, transaction.message))
