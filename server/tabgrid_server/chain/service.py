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

from ..settings import Chain
from ..store import Store
from ..store import claims as stored
from . import claims as c
from .claims import Claim
from .following import Follower
from .gate import Gate
from .marks import Marks
from .pushes import Offer, Pusher
from .refusals import ChainUnavailable, ClaimRefused, ClaimUnknown
from .reserving import PUSH_WAITS, Order, Reserving, simulated
from .rpc import Rpc, RpcError
from .transactions import TransactionRefused, check_signed, cosign, read_message
from .treasury import Treasury

log = structlog.get_logger("tabgrid.claims")


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
        self._new = Reserving(
            store, rpc, treasury, settings, self._gate, self._marks, self._open, self._pusher,
            clock=clock, random=random, changed=changed,
        )  # fmt: skip
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
            return await self._new.reserve(Order(wallet=wallet, owner=owner))

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
                shown = self._new.shown(fee)
                raise ClaimRefused(f"The fee is {shown} now. Ask again to accept it.")
            return await self._new.reserve(Order(wallet=wallet, push_fee=fee))

    async def refund(self, wallet: str, owner: str, amount: int | None = None) -> Claim:
        """A refund of ``owner``'s unused credit to ``wallet`` that the grid pushes, at its own
        expense: for the operator. ``amount`` in base units, None for all; the one that waits
        already, if any.

        Raises ``ClaimRefused``, ``ClaimsPaused``, ``ChainUnavailable``.
        """
        async with self._alone(wallet):
            order = Order(wallet=wallet, owner=owner, push_fee=0, amount=amount)
            return await self._new.reserve(order)

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
        if (refusal := await simulated(self._rpc, checked)) is not None:
            await self._open.decide(claim_id, refusal)
            return await self.get(claim_id) or claim
        # The co-signature does not leave this function before it is committed.
        signature = await self._treasury.hot.sign(to_bytes_versioned(checked.message))
        signed = cosign(checked, signature)
        event = c.WalletSigned(str(signed.signatures[0]), bytes(signed))
        await self._open.decide(claim_id, event, only_from="reserved")
        self._open.wake(claim_id)
        return await self.get(claim_id) or claim

    async def take_up(self, claim: Claim) -> Claim:
        """Bring an open claim further that another process of this grid made."""
        self._open.take(claim)
        await self.step()
        return await self.get(claim.id) or claim

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
