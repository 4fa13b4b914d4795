"""Claims as people ask for them: reserve, sign, see. ``following`` brings them to their end.

The order that keeps money safe: check, simulate, co-sign in memory, commit the signed bytes,
and only then broadcast.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import structlog
from solders.message import to_bytes_versioned
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from tabgrid_wire.ids import RANDOM, new_id

from ..ledger import InsufficientFunds
from ..settings import Chain
from ..store import Conflict, Store
from ..store import claims as stored
from . import claims as c
from .claims import Claim
from .explain import ALREADY_PAID, NO_SOL, explain
from .following import Follower
from .gate import Gate
from .marks import Marks
from .pushes import Offer, Pusher
from .refusals import ChainUnavailable, ClaimRefused, ClaimsPaused, ClaimUnknown
from .rpc import Rpc, RpcError
from .transactions import (
    TransactionRefused,
    build,
    check_signed,
    cosign,
    read_message,
)
from .transactions import unsigned as unsigned_transaction
from .treasury import Treasury

log = structlog.get_logger("tabgrid.claims")

_PUT_OFF = "The wallet claimed what it earned first. Ask for the refund again."
PUSH_WAITS = "The grid is about to pay what you earned. Claim what comes later once that is final."
SIGNATURE_WAITS = (
    "A claim waits for this wallet's signature. Sign it, or ask again in two minutes, when it has "
    "gone back."
)
GRID_HAS_NO_SOL = (
    "The grid has too little SOL to pay the network for you right now. What you earned stays "
    "claimable; claim it yourself, or ask again later."
)
#: New figures between reading what is claimable and reserving it: jobs release meanwhile.
RESERVE_TRIES = 5


class ClaimService:
    """All claims of one grid. ``run`` must be running for claims to get on.

    ``changed`` hears every claim that changes its state, after the commit.
    """

    def __init__(
        self,
        store: Store,
        rpc: Rpc,
        treasury: Treasury,
        settings: Chain,
        *,
        clock: Callable[[], float] = time.time,
        random: Callable[[int], bytes] = os.urandom,
        changed: Callable[[Claim], None] = lambda claim: None,
    ) -> None:
        self._store = store
        self._rpc = rpc
        self._treasury = treasury
        self._settings = settings
        self._clock = clock
        self._random = random
        self._changed = changed
        self._gate = Gate(store, rpc, treasury, settings, clock)
        self._marks = Marks(store, rpc, treasury, settings, clock)
        self._open = Follower(store, rpc, self._gate, self._marks, clock, changed)
        self._pusher = Pusher(rpc, treasury, settings, self._gate, self._marks, self._open, clock)
        #: Wallets whose books were compared with the chain since the start.
        self._compared: set[str] = set()
        self._reserving: dict[str, asyncio.Lock] = {}

    async def resume(self) -> int:
        """Take up all open claims from the store; how many there are."""
        return await self._open.resume()

    async def meet(self) -> None:
        """Ask the chain about those of them that were co-signed before."""
        await self._open.meet()

    async def run(self) -> None:
        """Resume open claims and follow all of them, for ever."""
        await self._open.run(self.step)

    async def step(self) -> None:
        """One look at the chain for all open claims, and at payouts that wait to be pushed."""
        await self._open.step()
        await self._pusher.step()

    async def keep_house(self) -> None:
        """What can wait: whether claims are paused, and rent that goes back."""
        await self._open.keep_house()

    # --- what people ask -----------------------------------------------------------------

    @property
    def paused(self) -> str:
        """Why no claim is paid right now, for people to read; "" while claims are paid."""
        return self._gate.paused

    async def reserve(self, wallet: str, owner: str | None = None) -> Claim:
        """A claim for all that ``wallet`` can claim; the one that awaits its signature, if any.

        ``owner``: a refund instead, of all unused credit of this user that can go to ``wallet``.
        Raises ``ClaimRefused``, ``ClaimsPaused``, ``ChainUnavailable``.
        """
        async with self._alone(wallet):
            waiting = self._open.unsigned(wallet)
            if waiting is not None and waiting.owner == owner:
                return waiting
            return await self._reserve(wallet, owner)

    async def offer(self, wallet: str) -> Offer:
        """What it costs to have a payout pushed. Raises ``ClaimRefused`` where this grid pushes
        none, ``ChainUnavailable``."""
        if not self._settings.push_minimum:
            raise ClaimRefused(
                "This grid pays only what wallets claim themselves: a claim needs a little SOL."
            )
        try:
            return await self._pusher.offer(wallet)
        except RpcError as error:
            raise ChainUnavailable from error

    async def push(self, wallet: str, max_fee: int) -> Claim:
        """A payout of all that ``wallet`` can claim, which the grid pushes; the one that waits
        already, if any. ``max_fee``: what the wallet's owner agreed to, in base units.

        Raises ``ClaimRefused``, ``ClaimsPaused``, ``ChainUnavailable``.
        """
        async with self._alone(wallet):
            fee = (await self.offer(wallet)).fee
            if fee > max_fee:
                raise ClaimRefused(f"The fee is {self._shown(fee)} now. Ask again to accept it.")
            return await self._reserve(wallet, push_fee=fee)

    @asynccontextmanager
    async def _alone(self, wallet: str) -> AsyncIterator[None]:
        """One reservation of a wallet at a time; in the store a constraint backs it."""
        lock = self._reserving.setdefault(wallet, asyncio.Lock())
        try:
            async with lock:
                yield
        finally:
            if not lock.locked():
                self._reserving.pop(wallet, None)

    async def sign(self, claim_id: str, wallet: str, transaction: bytes) -> Claim:
        """Take the wallet's signed transaction; co-sign it, once, and set it on its way.

        Calling it again, with the same or another transaction, changes nothing.
        Raises ``ClaimUnknown``, ``ClaimRefused``, ``ClaimsPaused``, ``ChainUnavailable``.
        """
        claim = await self.get(claim_id)
        if claim is None or claim.wallet != wallet:
            raise ClaimUnknown(f"This wallet has no claim {claim_id}.")
        if claim.state != "reserved":
            return claim
        if claim.pushed:
            raise ClaimRefused(PUSH_WAITS)
        self._open.take(claim)
        try:
            checked = check_signed(
                read_message(claim.message),
                transaction,
                Pubkey.from_string(wallet),
                self._treasury.hot.pubkey(),
                self._treasury.account,
            )
        except TransactionRefused as error:
            raise ClaimRefused(str(error)) from error
        if (refusal := await self._simulate(checked)) is not None:
            await self._open.decide(claim_id, refusal)
            return await self.get(claim_id) or claim
        # The co-signature does not leave this function before it is committed.
        signature = await self._treasury.hot.sign(to_bytes_versioned(checked.message))
        signed = cosign(checked, signature)
        event = c.WalletSigned(str(signed.signatures[0]), bytes(signed))
        await self._open.decide(claim_id, event, only_from="reserved")
        self._open.wake()
        return await self.get(claim_id) or claim

    async def get(self, claim_id: str) -> Claim | None:
        known = self._open.find(claim_id)
        return known or await self._store.read(stored.get, claim_id)

    async def of_wallet(self, wallet: str) -> list[Claim]:
        """Of what it earned, newest first."""
        return await self._store.read(stored.of_wallet, wallet)

    async def welcome(self, wallet: str) -> None:
        """On a local chain, give a new wallet the SOL that its claims' fees need.

        Never fails: a sign-in must not depend on the faucet.
        """
        if self._settings.cluster != "localnet" or not self._settings.faucet:
            return
        try:
            address = Pubkey.from_string(wallet)
            if await self._rpc.balance(address) < self._settings.faucet // 2:
                await self._rpc.airdrop(address, self._settings.faucet)
        except RpcError as error:
            log.warning("faucet failed", wallet=wallet, why=str(error))

    # --- reserving -----------------------------------------------------------------------

    async def _reserve(
        self, wallet: str, owner: str | None = None, push_fee: int | None = None
    ) -> Claim:
        """``push_fee``: for a payout that the grid pushes."""
        symbol = self._settings.symbol
        tries = 0
        while tries < RESERVE_TRIES:
            at = await self._store.read(stored.position, wallet, symbol, owner)
            if at.live is not None:
                if (claim := await self._take_up(at.live, owner, push_fee)) is not None:
                    return claim
                continue
            if await self._behind_the_chain(wallet, at.seq):
                continue
            if at.overpaid and at.claimable:
                ref = new_id("offset", int(self._clock() * 1000), self._random(RANDOM))
                await self._store.write(stored.offset, wallet, symbol, ref, self._clock(), owner)
                continue
            self._check_amount(at.claimable, owner, push_fee)
            await self._gate.check(at.claimable)
            prepared = await self._prepare(wallet, at.claimable, at.seq, owner, push_fee)
            if prepared is None:
                continue
            try:
                await self._store.write(stored.reserve, prepared)
            except (Conflict, InsufficientFunds):
                tries += 1
                continue  # the amount has changed since it was read
            self._open.take(prepared)
            log.info("claim reserved", claim=prepared.id, wallet=wallet, amount=prepared.amount)
            return prepared
        raise ClaimRefused("What you can claim is changing right now; try again in a moment.")

    async def _take_up(self, claim: Claim, owner: str | None, push_fee: int | None) -> Claim | None:
        """The wallet's open claim, if it still waits; None if it is over now.

        Earnings go before refunds: whoever named a wallet for a refund could else keep its
        owner from claiming, by never signing. Raises ``ClaimRefused`` if it is on its way, or
        is one of another kind.
        """
        self._open.take(claim)
        if claim.state == "reserved" and claim.owner != owner and owner is None:
            await self._open.decide(claim.id, c.Refused(_PUT_OFF))
            return None
        if claim.state != "reserved":
            raise ClaimRefused(
                "Your last claim is still on its way. Claim the rest once it is final, in less "
                "than a minute."
            )
        if self._clock() >= claim.expires_at:
            await self._open.decide(claim.id, c.Ticked())
            return None
        if claim.owner != owner or claim.pushed != (push_fee is not None):
            raise ClaimRefused(PUSH_WAITS if claim.pushed else SIGNATURE_WAITS)
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

    def _check_amount(self, amount: int, owner: str | None, push_fee: int | None) -> None:
        least = self._settings.claim_minimum if push_fee is None else self._settings.push_minimum
        if amount < least:
            what, unit = ("claim", "claim") if owner is None else ("give back", "refund")
            unit = unit if push_fee is None else "payout by the grid"
            raise ClaimRefused(
                f"There is too little to {what}: a {unit} is for at least {self._shown(least)}."
            )

    def _shown(self, amount: int) -> str:
        decimals = self._settings.decimals
        digits = f"{amount // 10**decimals}.{amount % 10**decimals:0{decimals}d}"
        return f"{digits.rstrip('0').rstrip('.')} {self._settings.symbol}"

    async def _prepare(
        self, wallet: str, amount: int, seq: int, owner: str | None, push_fee: int | None
    ) -> Claim | None:
        """A claim that would succeed now; None if payment ``seq`` was on chain and is booked.

        Raises ``ClaimRefused``, ``ClaimsPaused``, ``ChainUnavailable``.
        """
        claim = self._draft(wallet, amount, seq, owner, push_fee)
        try:
            make = self._to_sign if push_fee is None else self._to_push
            refused = await make(claim)
        except RpcError as error:
            raise ChainUnavailable from error
        match refused:
            case None:
                return claim
            case c.BlockhashGone():  # from a node that lags behind the one that gave it
                raise ChainUnavailable
            case c.Refused(reason) if reason == ALREADY_PAID:
                await self._already_paid(wallet, seq)
                return None
            case c.Refused(reason):
                raise ClaimRefused(reason)

    def _draft(
        self, wallet: str, amount: int, seq: int, owner: str | None, push_fee: int | None
    ) -> Claim:
        now = self._clock()
        within = c.SIGN_WITHIN_S if push_fee is None else c.PUSH_WITHIN_S
        kind = "claim" if owner is None else "refund"
        return Claim(
            id=new_id(kind, int(now * 1000), self._random(RANDOM)),
            wallet=wallet,
            token=self._settings.symbol,
            amount=amount,
            message=b"",
            blockhash="",
            last_valid_height=0,
            created_at=now,
            updated_at=now,
            expires_at=now + within,
            seq=seq,
            marker=str(self._treasury.marker(Pubkey.from_string(wallet), seq).address),
            owner=owner,
            push_fee=push_fee,
        )

    async def _to_sign(self, claim: Claim) -> c.Refused | c.BlockhashGone | None:
        """Give ``claim`` the message that its wallet is to sign; or what would stop it."""
        assert claim.seq is not None
        blockhash = await self._rpc.blockhash()
        fee = await self._treasury.keeps(self._rpc, claim.amount)
        if fee is not None and fee >= claim.amount:
            return c.Refused("There is too little to claim: the token itself would keep it all.")
        terms = self._marks.terms(claim.id, claim.wallet, claim.amount, claim.seq, fee)
        message = build(terms, blockhash.hash)
        claim.message, claim.blockhash = bytes(message), blockhash.hash
        claim.last_valid_height = blockhash.last_valid_height
        return await self._simulate(VersionedTransaction.from_bytes(unsigned_transaction(message)))

    async def _to_push(self, claim: Claim) -> c.Refused | None:
        """What would stop the payout. Raises ``ClaimsPaused`` where the grid itself cannot."""
        if claim.sent <= 0:
            return c.Refused("There is too little to pay out: the fee is more.")
        reason = await self._pusher.refusal(claim)
        if reason == NO_SOL:
            raise ClaimsPaused(GRID_HAS_NO_SOL)
        return None if reason is None else c.Refused(reason)

    async def _simulate(
        self, transaction: VersionedTransaction
    ) -> c.Refused | c.BlockhashGone | None:
        """What would stop it now, before anything is co-signed. Raises ``ChainUnavailable``."""
        try:
            error = await self._rpc.simulate(transaction)
        except RpcError as failed:
            raise ChainUnavailable from failed
        if error is None:
            return None
        if "BlockhashNotFound" in error:
            return c.BlockhashGone()
        return c.Refused(explain(error, transaction.message))
