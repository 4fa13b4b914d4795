"""Deposits as they come: reads the chain, and lets ``deposits`` say what it means.

Two ways lead to the same booking, which takes each transaction once. The account of the
treasury is read through, signature by signature, from the last one that was looked at: this
finds everything, also what came while nothing ran. References of requests that wait are asked
for besides: this tells who waits what is on its way, or why it brought nothing.

What strangers do delays nobody: a transaction that cannot be read is looked at again later,
and those after it are not kept waiting.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import msgspec
import structlog
from solders.pubkey import Pubkey

from ..store import Conflict, Store, StoreUnavailable
from ..store import deposits as stored
from ..store.deposits import Cursor
from .deposits import Deposit, Request, Seen, Till, trouble
from .rpc import SIGNATURES, Named, Rpc, RpcError

log = structlog.get_logger("tabgrid.deposits")

#: Between two looks at the treasury's account: people wait some 13 s for finality anyway.
POLL_S = 2.0
#: After an RPC failed: it is no use to hurry it.
RETRY_S = 5.0
#: Slots before the last one looked at that are read again, about a minute: RPC nodes that
#: answer for each other write their indexes at different times.
OVERLAP = 150
#: Transactions fetched at a time.
PARALLEL = 8
#: A transaction that cannot be read for this long is put aside, for a person to look at.
UNREADABLE_S = 3_600.0
#: References asked for at a time, of requests not older than this. A payment for another one
#: is credited as well: its transaction names the treasury's account.
REFERENCES, REFERENCE_AGE_S = 20, 24 * 3_600.0
#: Transactions of one reference that are fetched at a look; a stranger pays for each.
LOOKED_AT = 50
#: A request whose page is open is asked for at every look, the newest ones once in so many.
OPEN_S, SELDOM = 30.0, 15


class Sign(msgspec.Struct, frozen=True):
    """What is known of a request beside what came: a transaction on its way, or in vain."""

    txid: str
    #: "" while it is becoming final; else why it brought nothing.
    why: str = ""


class Watcher:
    """Deposits of one treasury. ``run`` must be running for them to be seen.

    ``changed`` hears of every one that is booked, after the commit.
    """

    def __init__(
        self,
        store: Store,
        rpc: Rpc,
        till: Till,
        token: str,
        clock: Callable[[], float],
        changed: Callable[[Deposit], None] = lambda deposit: None,
    ) -> None:
        self._store = store
        self._rpc = rpc
        self._till = till
        self._token = token
        self._clock = clock
        self._changed = changed
        #: What needs no further look, with its slot; older ones than the overlap are dropped.
        self._done: dict[str, int] = {}
        #: Since when what could not be read could not be read.
        self._unread: dict[str, float] = {}
        #: Pages of the account's history so far, newest first, while reading them fails.
        self._pages: list[Named] = []
        self._signs: dict[str, Sign] = {}
        #: Requests that somebody looks at, and when they last did.
        self._open: dict[str, tuple[Request, float]] = {}
        #: Of each request's reference, what was looked at and brought nothing.
        self._vain: dict[str, set[str]] = {}
        self._looks = 0
        self._wake = asyncio.Event()

    def sign(self, request: Request) -> Sign | None:
        """What is on its way for a request; asking makes it be looked for more often."""
        self._open[request.id] = (request, self._clock())
        return self._signs.get(request.id)

    def wake(self) -> None:
        self._wake.set()

    async def run(self) -> None:
        """Watch, for ever."""
        while True:
            self._wake.clear()
            wait = POLL_S
            try:
                await self.step()
            except (RpcError, StoreUnavailable) as error:
                log.warning("deposits wait", why=str(error))
                wait = RETRY_S
            try:
                async with asyncio.timeout(wait):
                    await self._wake.wait()
            except TimeoutError:
                pass  # time for the next look

    async def step(self) -> None:
        """One look at the chain. Raises ``RpcError``, ``StoreUnavailable``; the next step
        goes on from there."""
        await self._read_account()
        await self._ask_references()

    # --- the treasury's account ------------------------------------------------------------

    async def _read_account(self) -> None:
        last = await self._store.read(stored.cursor, self._till.account)
        since = last.slot - OVERLAP if last else -1
        rows = await self._history(since)
        for start in range(0, len(rows), SIGNATURES):
            await self._look_at_all(rows[start : start + SIGNATURES])
            await self._advance(rows, last)
        self._done = {txid: slot for txid, slot in self._done.items() if slot >= since}

    async def _history(self, since: int) -> list[Named]:
        """What names the account from slot ``since`` on, oldest first. What was read of it
        before an RPC failed is kept, so that a long history is read once."""
        account = Pubkey.from_string(self._till.account)
        while True:
            before = self._pages[-1].txid if self._pages else None
            page = await self._rpc.recent(account, before)
            self._pages += page
            if len(page) < SIGNATURES or page[-1].slot < since:
                break
        pages, self._pages = self._pages, []
        return [each for each in reversed(pages) if each.slot >= since]

    async def _look_at_all(self, rows: Sequence[Named]) -> None:
        fresh = [each for each in rows if each.txid not in self._done]
        settled = await self._store.read(stored.settled, [each.txid for each in fresh])
        for each in fresh:
            if each.failed or each.txid in settled:
                self._done[each.txid] = each.slot
        waiting = [each for each in fresh if each.txid not in self._done]
        for start in range(0, len(waiting), PARALLEL):
            batch = waiting[start : start + PARALLEL]
            for each, seen in zip(batch, await self._fetch(batch), strict=True):
                if seen is None:
                    await self._cannot_read(each)
                else:
                    await self._accept(seen)
                    self._done[each.txid] = each.slot
                    self._unread.pop(each.txid, None)

    async def _advance(self, rows: Sequence[Named], last: Cursor | None) -> None:
        """Move to the last transaction before which nothing is left."""
        reached = None
        for each in rows:
            if each.txid not in self._done:
                break
            reached = each
        if reached is None or (last and (last.txid, last.slot) == (reached.txid, reached.slot)):
            return
        to = Cursor(txid=reached.txid, slot=reached.slot)
        await self._store.write(stored.advance, self._till.account, to)

    async def _fetch(self, rows: Sequence[Named]) -> list[Seen | None]:
        """What each did; None where the RPC cannot tell. Raises ``RpcError`` if it cannot
        tell of any, which is a trouble of its own and not of these."""

        async def one(row: Named) -> Seen | RpcError | None:
            try:
                return await self._rpc.seen(row.txid)
            except RpcError as error:
                return error

        told = await asyncio.gather(*(one(row) for row in rows))
        errors = [each for each in told if isinstance(each, RpcError)]
        if len(errors) == len(rows) > 1:
            raise errors[0]
        return [None if isinstance(each, RpcError) else each for each in told]

    async def _cannot_read(self, row: Named) -> None:
        now = self._clock()
        since = self._unread.setdefault(row.txid, now)
        if now - since < UNREADABLE_S:
            return
        log.error("a transaction cannot be read; look at it yourself", txid=row.txid)
        await self._store.write(stored.put_aside, row.txid, row.slot, self._token, now)
        self._done[row.txid] = row.slot
        del self._unread[row.txid]

    async def _accept(self, seen: Seen) -> Deposit | None:
        try:
            found = await self._store.write(
                stored.accept, seen, self._till, self._token, self._clock()
            )
        except Conflict:
            return None  # another process of this grid books it at this moment
        if found is not None:
            request = found.request.id if found.request else None
            what = {"amount": found.amount, "payer": found.payer, "request": request}
            log.info(f"deposit {found.state}", txid=seen.txid, **what)
            self._changed(found)
        return found

    # --- references ------------------------------------------------------------------------

    async def _ask_references(self) -> None:
        now = self._clock()
        self._open = {id: each for id, each in self._open.items() if now - each[1] < OPEN_S}
        asked = {id: request for id, (request, _) in list(self._open.items())[-REFERENCES:]}
        if self._looks % SELDOM == 0:
            since = now - REFERENCE_AGE_S
            newest = await self._store.read(stored.unpaid, self._token, since, REFERENCES)
            self._forget({each.id for each in newest})
            asked |= {each.id: each for each in newest}
        self._looks += 1
        for request in asked.values():
            await self._ask_reference(request)

    def _forget(self, waiting: set[str]) -> None:
        """Let go of what nobody waits for any more."""
        kept = waiting | set(self._open)
        self._signs = {id: sign for id, sign in self._signs.items() if id in kept}
        self._vain = {id: seen for id, seen in self._vain.items() if id in kept}

    async def _ask_reference(self, request: Request) -> None:
        vain = self._vain.setdefault(request.id, set())
        # One page is enough here: what a flood of strangers' transactions pushes out of it
        # is found by the treasury's account.
        reference = Pubkey.from_string(request.reference)
        page = await self._rpc.recent(reference, final=False)
        coming = [each for each in page if not each.final and not each.failed]
        final = [each for each in page if each.final and each.txid not in vain]
        looked_at = [each for each in final if not each.failed][:LOOKED_AT]
        sign = Sign(coming[0].txid) if coming else None
        for seen in await self._fetch(looked_at):
            if seen is None:
                continue
            if await self._accept(seen) is None:
                vain.add(seen.txid)
                sign = sign or Sign(seen.txid, trouble(seen, self._till))
        for each in final:
            if each.failed:
                vain.add(each.txid)
                sign = sign or Sign(each.txid, "it failed")
        known = self._signs.pop(request.id, None)
        if sign is None and known is not None and known.why:
            sign = known  # what was on its way may be forked away; what failed stays so
        if sign is not None:
            self._signs[request.id] = sign
