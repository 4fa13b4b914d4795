"""Claims on their way: asks the chain about all that are open, and lets ``claims`` decide.

Whatever dies when: what was broadcast is in the store, and what is only in the store is
broadcast after the next start. An open claim is kept in memory as it is in the store; what the
core decides counts once it is committed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import TypeVar

import msgspec
import structlog
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from ..store import Store, StoreUnavailable
from ..store import claims as stored
from . import claims as c
from .claims import Claim, Event, Instruction
from .explain import ANOTHERS_FAULT, at_fault, explain
from .gate import TRIPPED, Gate
from .marks import Marks
from .refusals import ChainUnavailable, ClaimsPaused
from .rpc import ACCOUNTS, STATUSES, Rpc, RpcError, RpcRefused
from .transactions import AnyMessage

log = structlog.get_logger("tabgrid.claims")
T = TypeVar("T")

#: Between two looks at the chain while claims are open: about a slot.
POLL_S = 0.5
#: After an RPC failed: it is no use to hurry it.
RETRY_S = 2.0
#: Requests to the RPC at a time.
PARALLEL = 16
#: Between two looks at what can wait, and for marks whose rent can go back.
SWEEP_S = 60.0


class Follower:
    """All open claims of one process. ``run`` must be running for them to get on.

    ``changed`` hears every claim that changes its state, after the commit.
    """

    def __init__(
        self,
        store: Store,
        rpc: Rpc,
        gate: Gate,
        marks: Marks,
        clock: Callable[[], float],
        changed: Callable[[Claim], None],
    ) -> None:
        self._store = store
        self._rpc = rpc
        self._gate = gate
        self._marks = marks
        self._clock = clock
        self._changed = changed
        self._swept_at = 0.0
        self._open: dict[str, Claim] = {}
        #: Co-signed before this process knew of them, and the chain not asked about them yet.
        self._unmet: set[str] = set()
        #: One change at a time for each claim; in the store a compare-and-set backs it.
        self._locks: dict[str, asyncio.Lock] = {}
        self._wake = asyncio.Event()

    def find(self, claim_id: str) -> Claim | None:
        """An open claim that this process follows."""
        return self._open.get(claim_id)

    def unsigned(self, wallet: str) -> Claim | None:
        """The claim of ``wallet`` that awaits its signature and still can be signed."""
        now = self._clock()
        return next(
            (
                claim
                for claim in self._open.values()
                if claim.wallet == wallet
                and claim.state == "reserved"
                and not claim.pushed
                and now < claim.expires_at
            ),
            None,
        )

    def waiting(self) -> list[Claim]:
        """Payouts that the grid is to push and has not signed yet, oldest first."""
        found = [each for each in self._open.values() if each.pushed and each.state == "reserved"]
        return sorted(found, key=lambda claim: (claim.created_at, claim.id))

    def take(self, claim: Claim) -> None:
        """Follow ``claim`` too: it is new, or another process of this grid made it."""
        if not claim.over and claim.id not in self._open:
            self._open[claim.id] = claim
            self._unmet |= {claim.id} if claim.txid else set()
        self.wake()

    def wake(self) -> None:
        """There is something to do now."""
        self._wake.set()

    async def resume(self) -> int:
        """Take up all open claims from the store; how many there are."""
        for claim in await self._store.read(stored.open_claims):
            self.take(claim)
        return len(self._open)

    async def meet(self) -> None:
        """Ask about claims of a time before this process, so that only those that the chain
        does not know are sent again: after a restart there may be very many.

        Raises ``RpcError``, ``StoreUnavailable``; the next call asks again.
        """
        known = [self._open[id] for id in self._unmet if id in self._open]
        asked = [(each.id, c.CheckStatus(each.txid)) for each in known if each.txid]
        told = await self._ask(asked, search=False)
        self._unmet.clear()
        await self._compare(told)

    async def run(self, step: Callable[[], Awaitable[None]]) -> None:
        """Resume open claims and follow all of them, for ever; ``step`` is one look."""
        await self.resume()
        while True:
            self._wake.clear()
            wait = POLL_S if self._open else SWEEP_S
            try:
                await step()
                await self.keep_house()
            except (RpcError, StoreUnavailable, ChainUnavailable) as error:
                log.warning("claims wait", open=len(self._open), why=str(error))
                wait = RETRY_S if self._open else SWEEP_S
            try:
                async with asyncio.timeout(wait):
                    await self._wake.wait()
            except TimeoutError:
                pass  # time for the next look

    async def step(self) -> None:
        """One look at the chain for all open claims. Raises ``RpcError``,
        ``StoreUnavailable``; the next step goes on from there."""
        await self.meet()
        ticked = await self._handle_all((id, c.Ticked()) for id in list(self._open))
        await self._broadcast_all(_only(ticked, c.Broadcast))
        told = await self._ask(_only(ticked, c.CheckStatus), search=False)
        await self._compare(told)
        if not self._open:
            return
        height = await self._rpc.height()
        seen = c.HeightSeen(height.height, height.slot)
        passed = await self._handle_all((id, seen) for id in list(self._open))
        await self._compare(await self._ask(_only(passed, c.SearchHistory), search=True))

    async def keep_house(self) -> None:
        """What can wait: whether claims are paused, and rent that goes back."""
        await self._gate.look()
        if self._clock() - self._swept_at >= SWEEP_S:
            await self._marks.sweep()
            self._swept_at = self._clock()

    async def _compare(self, told: Sequence[tuple[str, Instruction]]) -> None:
        """Hold what the RPC said of transactions against the marks that they leave."""
        asked, differing = _only(told, c.CheckMarker), _only(told, c.FindMaker)
        for start in range(0, len(asked), ACCOUNTS):
            batch = asked[start : start + ACCOUNTS]
            addresses = [Pubkey.from_string(each.marker) for _, each in batch]
            found = await self._rpc.lamports(addresses)
            events = [
                (id, c.MarkerSeen(lamports > 0, found.slot))
                for (id, _), lamports in zip(batch, found.values, strict=True)
            ]
            differing += _only(await self._handle_all(events), c.FindMaker)
        for id, each in differing:
            await self._find_maker(id, each)

    async def _find_maker(self, claim_id: str, instruction: c.FindMaker) -> None:
        claim = self._open.get(claim_id)
        if claim is None:
            return
        try:
            found = await self._marks.maker(claim, instruction.slot)
        except RpcError as error:  # its next look asks again; the others' need not wait for it
            log.info("a mark's history was not told", claim=claim_id, why=str(error))
            return
        await self.decide(claim_id, found)

    async def _broadcast(self, signed: bytes, claims: Sequence[str]) -> None:
        try:
            await self._rpc.send(signed)
        except RpcRefused as error:
            # It may be on chain all the same; only its status or its expiry tells.
            log.info("broadcast refused", claims=claims, why=str(error))
            for claim_id in claims:
                await self.decide(claim_id, c.BroadcastFailed(str(error)))

    async def _ask(
        self, asked: Sequence[tuple[str, c.CheckStatus | c.SearchHistory]], *, search: bool
    ) -> list[tuple[str, Instruction]]:
        told: list[tuple[str, Instruction]] = []
        for start in range(0, len(asked), STATUSES):
            batch = asked[start : start + STATUSES]
            answer = await self._rpc.statuses([each.txid for _, each in batch], search=search)
            events = [
                (id, self._told(id, status, answer.slot, search=search))
                for (id, _), status in zip(batch, answer.values, strict=True)
            ]
            told += await self._handle_all(events)
        return told

    def _told(
        self, claim_id: str, status: c.Status | None, slot: int, *, search: bool
    ) -> c.HistorySearched | c.StatusSeen:
        claim = self._open.get(claim_id)
        if status is not None and status.error is not None and claim is not None:
            reason = explain(status.error, _sent(claim))
            if claim.pushed and at_fault(status.error, _sent(claim)) not in (None, claim.id):
                reason = ANOTHERS_FAULT
            status = msgspec.structs.replace(status, error=reason)
        return c.HistorySearched(status, slot) if search else c.StatusSeen(status)

    async def _handle_all(
        self, events: Iterable[tuple[str, Event]]
    ) -> list[tuple[str, Instruction]]:
        told: list[tuple[str, Instruction]] = []
        for claim_id, event in events:
            told += [(claim_id, each) for each in await self.decide(claim_id, event)]
        return told

    async def decide(
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
            self._set(draft)
            return told

    async def push(self, events: Mapping[str, c.Pushed]) -> bool:
        """``decide`` for payouts that share one transaction: all of them are signed in one
        commit, or none. False where one of them has moved on meanwhile.

        Raises ``ClaimsPaused``, ``StoreUnavailable``.
        """
        async with AsyncExitStack() as locks:
            drafts: list[Claim] = []
            for claim_id in sorted(events):  # one order for all, so that none waits for another
                lock = self._locks.setdefault(claim_id, asyncio.Lock())
                await locks.enter_async_context(lock)
                claim = self._open.get(claim_id)
                if claim is None or claim.state != "reserved":
                    return False
                drafts.append(msgspec.structs.replace(claim))
            for draft in drafts:
                draft.handle(events[draft.id], self._clock())
                draft.validate_state()
            return await self._push(drafts)

    async def _push(self, drafts: Sequence[Claim]) -> bool:
        kept = await self._store.write(stored.push, drafts, self._gate.caps)
        if kept == "tripped":
            log.error("payouts are stopped by their breaker", claims=len(drafts))
            raise ClaimsPaused(TRIPPED)
        for draft in drafts:
            found = draft if kept == "moved" else await self._store.read(stored.get, draft.id)
            if found is not None:
                self._set(found)
            if kept == "moved":
                self._told_moved(draft)
        return kept == "moved"

    async def _commit(self, draft: Claim, before: c.State) -> bool:
        if not await self._keep(draft, before):
            # Another process of this grid moved it: its word counts.
            found = await self._store.read(stored.get, draft.id)
            if found is not None:
                self._set(found)
            return False
        self._told_moved(draft)
        return True

    def _told_moved(self, claim: Claim) -> None:
        log.info("claim moved", claim=claim.id, state=claim.state, txid=claim.txid, why=claim.error)
        self._changed(claim)

    async def _keep(self, draft: Claim, before: c.State) -> bool:
        if draft.state != "signed":
            return await self._store.write(stored.advance, draft, before)
        kept = await self._store.write(stored.cosign, draft, self._gate.caps)
        if kept == "tripped":
            log.error("payouts are stopped by their breaker", claim=draft.id)
            raise ClaimsPaused(TRIPPED)
        return kept == "moved"

    def _set(self, claim: Claim) -> None:
        if claim.over:
            self._open.pop(claim.id, None)
            self._locks.pop(claim.id, None)
        else:
            self._open[claim.id] = claim

    async def _broadcast_all(self, asked: Sequence[tuple[str, c.Broadcast]]) -> None:
        places = asyncio.Semaphore(PARALLEL)

        async def one(signed: bytes, claims: Sequence[str]) -> None:
            async with places:
                await self._broadcast(signed, claims)

        # Payouts that share a transaction are sent by it once.
        sharing: dict[bytes, list[str]] = {}
        for claim_id, instruction in asked:
            sharing.setdefault(instruction.signed, []).append(claim_id)
        done = await asyncio.gather(*(one(*x) for x in sharing.items()), return_exceptions=True)
        for failed in done:
            if failed is not None:
                raise failed


def _only(told: Iterable[tuple[str, Instruction]], kind: type[T]) -> list[tuple[str, T]]:
    return [(claim_id, each) for claim_id, each in told if isinstance(each, kind)]


def _sent(claim: Claim) -> AnyMessage:
    """The message that was broadcast: a wallet's guards move the places of instructions."""
    assert claim.signed is not None
    return VersionedTransaction.from_bytes(claim.signed).message
