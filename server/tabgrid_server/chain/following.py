"""Claims on their way: asks the chain about all that are open, and lets ``claims`` decide.

Whatever dies when: what was broadcast is in the store, and what is only in the store is
broadcast after the next start. An open claim is kept in memory as it is in the store; what the
core decides counts once it is committed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import TypeVar

import msgspec
import structlog
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from ..store import Store, StoreUnavailable
from ..store import claims as stored
from ..store import claims_together as together
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
#: Claims decided in one turn of the loop, and commits that wait for each other's.
TOGETHER = 256


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
        #: The open claim of each wallet: it has at most one.
        self._of_wallet: dict[str, str] = {}
        #: What came since the last look, and is not kept waiting for a look at all.
        self._fresh: set[str] = set()
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
        claim = self._open.get(self._of_wallet.get(wallet, ""))
        if claim is None or claim.state != "reserved" or claim.pushed:
            return None
        return claim if self._clock() < claim.expires_at else None

    def waiting(self) -> list[Claim]:
        """Payouts that the grid is to push and has not signed yet, oldest first."""
        found = [each for each in self._open.values() if each.pushed and each.state == "reserved"]
        return sorted(found, key=lambda claim: (claim.created_at, claim.id))

    def take(self, claim: Claim) -> None:
        """Follow ``claim`` too: it is new, or another process of this grid made it."""
        if not claim.over and claim.id not in self._open:
            self._add(claim)
        self.wake(claim.id)

    def _add(self, claim: Claim) -> None:
        self._set(claim)
        if claim.txid:
            self._unmet.add(claim.id)

    def wake(self, claim_id: str) -> None:
        """There is something to do for this claim, now."""
        self._fresh.add(claim_id)
        self._wake.set()

    async def resume(self) -> int:
        """Take up all open claims from the store; how many there are."""
        for claim in await self._store.read(stored.open_claims):
            if claim.id not in self._open:
                self._add(claim)
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

        async def look() -> None:
            await step()
            await self.keep_house()

        await self.resume()
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            # However many are open, half of the time is left for everything else.
            wait = await self._try(look) or max(POLL_S, loop.time() - began)
            await self._meanwhile(wait if self._open else SWEEP_S)

    async def _meanwhile(self, wait: float) -> None:
        """Until the next look at all; what is new is not kept waiting for it."""
        loop = asyncio.get_running_loop()
        end = loop.time() + wait
        while (left := end - loop.time()) > 0:
            try:
                async with asyncio.timeout(left):
                    await self._wake.wait()
            except TimeoutError:
                return
            self._wake.clear()
            fresh, self._fresh = self._fresh, set()
            pause = await self._try(partial(self._look, fresh))
            end = min(end, loop.time() + (pause or POLL_S))
            if pause:
                await asyncio.sleep(pause)

    async def _try(self, work: Callable[[], Awaitable[None]]) -> float:
        """Seconds to wait because it could not be done; 0 if it was."""
        try:
            await work()
        except (RpcError, StoreUnavailable, ChainUnavailable) as error:
            log.warning("claims wait", open=len(self._open), why=str(error))
            return RETRY_S
        return 0.0

    async def step(self) -> None:
        """One look at the chain for all open claims. Raises ``RpcError``,
        ``StoreUnavailable``; the next step goes on from there."""
        self._fresh.clear()
        await self.meet()
        await self._look(list(self._open))
        if not self._open:
            return
        height = await self._rpc.height()
        seen = c.HeightSeen(height.height, height.slot)
        passed = await self._handle_all(
            (claim.id, seen)
            for claim in list(self._open.values())
            if claim.last_valid_height < height.height  # to the others it means nothing
        )
        await self._compare(await self._ask(_only(passed, c.SearchHistory), search=True))

    async def _look(self, claim_ids: Iterable[str]) -> None:
        """Send what is to be sent of these, and ask what has become of them."""
        now = self._clock()
        found = [claim for id in claim_ids if (claim := self._open.get(id)) is not None]
        due = [claim for claim in found if claim.txid or now >= claim.expires_at]
        ticked = await self._handle_all((claim.id, c.Ticked()) for claim in due)
        await self._broadcast_all(_only(ticked, c.Broadcast))
        await self._compare(await self._ask(_only(ticked, c.CheckStatus), search=False))

    async def keep_house(self) -> None:
        """What can wait: whether claims are paused, and rent that goes back."""
        await self._gate.look()
        if self._clock() - self._swept_at >= SWEEP_S:
            await self._adopt()
            await self._marks.sweep()
            self._swept_at = self._clock()

    async def _adopt(self) -> None:
        """Follow what another process made and may have left, such as a command that died."""
        for claim_id in await self._store.read(stored.open_ids, self._clock() - SWEEP_S):
            if claim_id not in self._open:
                found = await self._store.read(stored.get, claim_id)
                if found is not None:
                    self.take(found)

    async def _compare(self, told: Sequence[tuple[str, Instruction]]) -> None:
        """Hold what the RPC said of transactions against the marks that they leave."""
        differing = _only(told, c.FindMaker)
        for some in _groups(_groups(_only(told, c.CheckMarker), ACCOUNTS), PARALLEL):
            addresses = [[Pubkey.from_string(each.marker) for _, each in part] for part in some]
            answers = await _settled(self._rpc.lamports(each) for each in addresses)
            events = [
                (id, c.MarkerSeen(lamports > 0, found.slot))
                for part, found in zip(some, answers, strict=True)
                if not isinstance(found, BaseException)
                for (id, _), lamports in zip(part, found.values, strict=True)
            ]
            differing += _only(await self._handle_all(events), c.FindMaker)
            _raise_first(answers)
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
        for some in _groups(_groups(asked, STATUSES), PARALLEL):
            txids = [[each.txid for _, each in part] for part in some]
            answers = await _settled(self._rpc.statuses(each, search=search) for each in txids)
            told += await self._handle_all(
                (id, self._told(id, status, answer.slot, search=search))
                for part, answer in zip(some, answers, strict=True)
                if not isinstance(answer, BaseException)
                for (id, _), status in zip(part, answer.values, strict=True)
            )
            _raise_first(answers)
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
        """``decide`` for many: those that only learn something at once, the others together,
        so that they share their commits."""
        told: list[tuple[str, Instruction]] = []
        for some in _groups(list(events), TOGETHER):
            moving = [(id, event) for id, event in some if not self._learn(id, event, told)]
            answers = await _settled(self.decide(id, event) for id, event in moving)
            _raise_first(answers)
            for (id, _), instructions in zip(moving, answers, strict=True):
                assert not isinstance(instructions, BaseException)
                told += [(id, each) for each in instructions]
            await asyncio.sleep(0)  # the turn of whoever else waits for this process
        return told

    def _learn(self, claim_id: str, event: Event, told: list[tuple[str, Instruction]]) -> bool:
        """What ``decide`` does where nothing has to be committed; False, and nothing is done,
        where something has to be, or somebody else decides at this moment."""
        claim, lock = self._open.get(claim_id), self._locks.get(claim_id)
        if claim is None:
            return True
        if lock is not None and lock.locked():
            return False
        draft = msgspec.structs.replace(claim)
        instructions = draft.handle(event, self._clock())
        if draft.state != claim.state:
            return False
        draft.validate_state()
        self._set(draft)
        told += [(claim_id, each) for each in instructions]
        return True

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
            return await self._store.join(together.advance, draft, before)
        kept = await self._store.join(together.cosign, draft, self._gate.caps)
        if kept == "tripped":
            log.error("payouts are stopped by their breaker", claim=draft.id)
            raise ClaimsPaused(TRIPPED)
        return kept == "moved"

    def _set(self, claim: Claim) -> None:
        if claim.over:
            self._open.pop(claim.id, None)
            self._locks.pop(claim.id, None)
            if self._of_wallet.get(claim.wallet) == claim.id:
                del self._of_wallet[claim.wallet]
        else:
            self._open[claim.id] = claim
            self._of_wallet[claim.wallet] = claim.id

    async def _broadcast_all(self, asked: Sequence[tuple[str, c.Broadcast]]) -> None:
        places = asyncio.Semaphore(PARALLEL)

        async def one(signed: bytes, claims: Sequence[str]) -> None:
            async with places:
                await self._broadcast(signed, claims)

        # Payouts that share a transaction are sent by it once.
        sharing: dict[bytes, list[str]] = {}
        for claim_id, instruction in asked:
            sharing.setdefault(instruction.signed, []).append(claim_id)
        _raise_first(await _settled(one(*each) for each in sharing.items()))


def _groups(items: Sequence[T], size: int) -> list[Sequence[T]]:
    return [items[start : start + size] for start in range(0, len(items), size)]


async def _settled(work: Iterable[Awaitable[T]]) -> list[T | BaseException]:
    """What came of each, all at once."""
    return await asyncio.gather(*work, return_exceptions=True)


def _raise_first(answers: Iterable[object]) -> None:
    for each in answers:
        if isinstance(each, BaseException):
            raise each


def _only(told: Iterable[tuple[str, Instruction]], kind: type[T]) -> list[tuple[str, T]]:
    return [(claim_id, each) for claim_id, each in told if isinstance(each, kind)]


def _sent(claim: Claim) -> AnyMessage:
    """The message that was broadcast: a wallet's guards move the places of instructions."""
    assert claim.signed is not None
    return VersionedTransaction.from_bytes(claim.signed).message
