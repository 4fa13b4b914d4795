"""Claims in action: the shell that asks the chain and the store, and lets ``claims`` decide.

The order that keeps money safe: check, simulate, co-sign in memory, commit the signed bytes,
and only then broadcast. Whatever dies when: what was broadcast is in the store, and what is
only in the store is broadcast after the next start.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import msgspec
import structlog
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from tabgrid_wire.ids import RANDOM, new_id

from .. import ledger
from ..errors import GridError
from ..ledger import InsufficientFunds
from ..settings import Chain
from ..store import Conflict, Store, StoreUnavailable
from ..store import claims as stored
from ..store import ledger as stored_ledger
from . import claims as c
from .claims import Claim, Event, Instruction
from .explain import explain
from .rpc import STATUSES, Rpc, RpcError, RpcRefused, RpcUnavailable
from .transactions import (
    AnyMessage,
    Terms,
    TransactionRefused,
    build,
    check_signed,
    cosign,
    read_message,
)
from .transactions import unsigned as unsigned_transaction
from .treasury import Treasury

log = structlog.get_logger("tabgrid.claims")
T = TypeVar("T")

#: Between two looks at the chain while claims are open: about a slot.
POLL_S = 0.5
#: After an RPC failed: it is no use to hurry it.
RETRY_S = 2.0
#: Requests to the RPC at a time.
PARALLEL = 16
#: New figures between reading what is claimable and reserving it: jobs release meanwhile.
RESERVE_TRIES = 5


class ClaimRefused(GridError):
    """The claim cannot be made, or not so; nothing was moved."""

    status, type, code = 409, "invalid_request_error", "claim_refused"


class ClaimUnknown(GridError):
    status, type, code = 404, "invalid_request_error", "not_found"


class ChainUnavailable(GridError):
    """No RPC answers. What was reserved stays so; what was sent is followed up."""

    status, type, code = 503, "server_error", "chain_unavailable"
    retry_after = 5

    def __init__(self) -> None:
        super().__init__(
            "The chain cannot be reached right now. Nothing is lost; try again in a moment."
        )


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
        self._open: dict[str, Claim] = {}
        #: One change at a time for each claim; in the store a compare-and-set backs it.
        self._locks: dict[str, asyncio.Lock] = {}
        self._reserving: dict[str, asyncio.Lock] = {}
        self._wake = asyncio.Event()

    # --- what people ask -----------------------------------------------------------------

    async def reserve(self, wallet: str) -> Claim:
        """A claim for all that ``wallet`` can claim; the one that awaits its signature, if any.

        Raises ``ClaimRefused``, ``ChainUnavailable``.
        """
        lock = self._reserving.setdefault(wallet, asyncio.Lock())
        try:
            async with lock:
                return self._unsigned(wallet) or await self._reserve(wallet)
        finally:
            if not lock.locked():
                self._reserving.pop(wallet, None)

    async def sign(self, claim_id: str, wallet: str, transaction: bytes) -> Claim:
        """Take the wallet's signed transaction; co-sign it, once, and set it on its way.

        Calling it again, with the same or another transaction, changes nothing.
        Raises ``ClaimUnknown``, ``ClaimRefused``, ``ChainUnavailable``.
        """
        claim = await self.get(claim_id)
        if claim is None or claim.wallet != wallet:
            raise ClaimUnknown(f"This wallet has no claim {claim_id}.")
        if claim.state != "reserved":
            return claim
        self._open.setdefault(claim_id, claim)  # another process of this grid may have made it
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
            return await self._handle(claim_id, refusal) or claim
        # The co-signature does not leave this function before it is committed.
        signed = cosign(checked, self._treasury.hot)
        event = c.WalletSigned(str(signed.signatures[0]), bytes(signed))
        after = await self._handle(claim_id, event, only_from="reserved")
        self._wake.set()
        return after or claim

    async def get(self, claim_id: str) -> Claim | None:
        known = self._open.get(claim_id)
        return known or await self._store.read(stored.get, claim_id)

    async def of_wallet(self, wallet: str) -> list[Claim]:
        """Newest first."""
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

    def _unsigned(self, wallet: str) -> Claim | None:
        now = self._clock()
        return next(
            (
                claim
                for claim in self._open.values()
                if claim.wallet == wallet and claim.state == "reserved" and now < claim.expires_at
            ),
            None,
        )

    async def _reserve(self, wallet: str) -> Claim:
        symbol = self._settings.symbol
        account = ledger.claimable_of(wallet)
        for _ in range(RESERVE_TRIES):
            amount = await self._store.read(stored_ledger.balance, account, symbol)
            self._check_amount(amount)
            claim = await self._prepare(wallet, amount)
            try:
                await self._store.write(stored.reserve, claim)
            except (Conflict, InsufficientFunds):
                continue  # the amount has changed since it was read
            self._follow(claim)
            self._wake.set()
            log.info("claim reserved", claim=claim.id, wallet=wallet, amount=amount)
            return claim
        raise ClaimRefused("What you can claim is changing right now; try again in a moment.")

    def _check_amount(self, amount: int) -> None:
        least, decimals = self._settings.claim_minimum, self._settings.decimals
        if amount < least:
            shown = f"{least / 10**decimals:.{decimals}f}".rstrip("0").rstrip(".")
            raise ClaimRefused(
                f"There is too little to claim: a claim is for at least {shown} "
                f"{self._settings.symbol}."
            )

    async def _prepare(self, wallet: str, amount: int) -> Claim:
        """A claim that would succeed now. Raises ``ClaimRefused``, ``ChainUnavailable``."""
        now = self._clock()
        claim_id = new_id("claim", int(now * 1000), self._random(RANDOM))
        try:
            blockhash = await self._rpc.blockhash()
        except RpcError as error:
            raise ChainUnavailable from error
        message = build(self._terms(claim_id, wallet, amount), blockhash.hash)
        draft = VersionedTransaction.from_bytes(unsigned_transaction(message))
        match await self._simulate(draft):
            case c.Refused(reason):
                raise ClaimRefused(reason)
            case c.BlockhashGone():  # from a node that lags behind the one that gave it
                raise ChainUnavailable
        return Claim(
            id=claim_id,
            wallet=wallet,
            token=self._settings.symbol,
            amount=amount,
            message=bytes(message),
            blockhash=blockhash.hash,
            last_valid_height=blockhash.last_valid_height,
            created_at=now,
            updated_at=now,
            expires_at=now + c.SIGN_WITHIN_S,
        )

    def _terms(self, claim_id: str, wallet: str, amount: int) -> Terms:
        treasury = self._treasury
        return Terms(
            claim=claim_id,
            wallet=Pubkey.from_string(wallet),
            amount=amount,
            mint=treasury.mint,
            decimals=treasury.decimals,
            token_program=treasury.token_program,
            treasury=treasury.account,
            hot=treasury.hot.pubkey(),
            compute_unit_price=self._settings.compute_unit_price,
        )

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

    # --- following -----------------------------------------------------------------------

    async def resume(self) -> int:
        """Take up all open claims from the store; how many there are."""
        for claim in await self._store.read(stored.open_claims):
            self._follow(claim)
        return len(self._open)

    async def run(self) -> None:
        """Resume open claims and follow all of them, for ever."""
        await self.resume()
        while True:
            self._wake.clear()
            wait: float | None = POLL_S if self._open else None
            try:
                await self.step()
            except (RpcUnavailable, StoreUnavailable) as error:
                log.warning("claims wait", open=len(self._open), why=str(error))
                wait = RETRY_S
            try:
                async with asyncio.timeout(wait):
                    await self._wake.wait()
            except TimeoutError:
                pass  # time for the next look

    async def step(self) -> None:
        """One look at the chain for all open claims. Raises ``RpcUnavailable``,
        ``StoreUnavailable``; the next step goes on from there."""
        ticked = await self._handle_all((id, c.Ticked()) for id in list(self._open))
        await self._broadcast_all(_only(ticked, c.Broadcast))
        await self._ask(_only(ticked, c.CheckStatus), search=False)
        if not self._open:
            return
        height = await self._rpc.height()
        seen = c.HeightSeen(height.height, height.slot)
        passed = await self._handle_all((id, seen) for id in list(self._open))
        await self._ask(_only(passed, c.SearchHistory), search=True)

    async def _broadcast(self, claim_id: str, instruction: c.Broadcast) -> None:
        try:
            await self._rpc.send(instruction.signed)
        except RpcRefused as error:
            # It may be on chain all the same; only its status or its expiry tells.
            log.info("broadcast refused", claim=claim_id, why=str(error))
            await self._handle(claim_id, c.BroadcastFailed(str(error)))

    async def _ask(
        self, asked: Sequence[tuple[str, c.CheckStatus | c.SearchHistory]], *, search: bool
    ) -> None:
        for start in range(0, len(asked), STATUSES):
            batch = asked[start : start + STATUSES]
            answer = await self._rpc.statuses([each.txid for _, each in batch], search=search)
            events = [
                (id, self._told(id, status, answer.slot, search=search))
                for (id, _), status in zip(batch, answer.values, strict=True)
            ]
            await self._handle_all(events)

    def _told(
        self, claim_id: str, status: c.Status | None, slot: int, *, search: bool
    ) -> c.HistorySearched | c.StatusSeen:
        claim = self._open.get(claim_id)
        if status is not None and status.error is not None and claim is not None:
            reason = explain(status.error, _sent(claim))
            status = msgspec.structs.replace(status, error=reason)
        return c.HistorySearched(status, slot) if search else c.StatusSeen(status)

    async def _handle_all(
        self, events: Iterable[tuple[str, Event]]
    ) -> list[tuple[str, Instruction]]:
        told: list[tuple[str, Instruction]] = []
        for claim_id, event in events:
            told += [(claim_id, each) for each in await self._decide(claim_id, event)]
        return told

    async def _handle(
        self, claim_id: str, event: Event, only_from: c.State | None = None
    ) -> Claim | None:
        """Let the claim take one event; the claim after it."""
        await self._decide(claim_id, event, only_from)
        return await self.get(claim_id)

    async def _decide(
        self, claim_id: str, event: Event, only_from: c.State | None = None
    ) -> list[Instruction]:
        """The core decides on a copy; the copy counts once it is committed."""
        if claim_id not in self._open:
            return []
        async with self._locks.setdefault(claim_id, asyncio.Lock()):
            claim = self._open.get(claim_id)
            if claim is None or (only_from is not None and claim.state != only_from):
                return []
            draft = msgspec.structs.replace(claim)
            told = draft.handle(event, self._clock())
            draft.validate_state()
            if draft.state != claim.state and not await self._commit(draft, claim.state):
                return []
            self._follow(draft)
            return told

    async def _commit(self, draft: Claim, before: c.State) -> bool:
        if not await self._store.write(stored.advance, draft, before):
            # Another process of this grid moved it: its word counts.
            found = await self._store.read(stored.get, draft.id)
            if found is not None:
                self._follow(found)
            return False
        log.info("claim moved", claim=draft.id, state=draft.state, txid=draft.txid, why=draft.error)
        self._changed(draft)
        return True

    def _follow(self, claim: Claim) -> None:
        if claim.over:
            self._open.pop(claim.id, None)
            self._locks.pop(claim.id, None)
        else:
            self._open[claim.id] = claim

    async def _broadcast_all(self, asked: Sequence[tuple[str, c.Broadcast]]) -> None:
        places = asyncio.Semaphore(PARALLEL)

        async def one(claim_id: str, instruction: c.Broadcast) -> None:
            async with places:
                await self._broadcast(claim_id, instruction)

        done = await asyncio.gather(*(one(*each) for each in asked), return_exceptions=True)
        for failed in done:
            if failed is not None:
                raise failed


def _only(told: Iterable[tuple[str, Instruction]], kind: type[T]) -> list[tuple[str, T]]:
    return [(claim_id, each) for claim_id, each in told if isinstance(each, kind)]


def _sent(claim: Claim) -> AnyMessage:
    """The message that was broadcast: a wallet's guards move the places of instructions."""
    assert claim.signed is not None
    return VersionedTransaction.from_bytes(claim.signed).message
