"""Claims on the local chain, by the real service over the real RPC; and LiteSVM alone.

The chain runs in a process of its own, as `tabgrid localnet` does. Everything that a claim
costs the grid is in it: reserving, simulating, checking and co-signing what the wallet
returns, the commits, the broadcast, and asking until it is final and booked.
"""

from __future__ import annotations

import asyncio
import base64
import os
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Iterable, Sequence
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

import click
import msgspec
import uvloop
from solders.account import Account
from solders.keypair import Keypair
from solders.litesvm import LiteSVM
from solders.message import to_bytes_versioned
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.system_program import ID as SYSTEM
from solders.transaction import VersionedTransaction
from solders.transaction_metadata import TransactionMetadata
from sqlalchemy import Connection, insert

from .. import ledger
from ..chain.claims import Claim
from ..chain.localnet.journal import Genesis, Journal, Landed
from ..chain.rpc import Rpc
from ..chain.service import ClaimService
from ..chain.treasury import Treasury, ensure_local_treasury
from ..ledger import Transfer
from ..observe import configure_logs
from ..settings import Chain
from ..store import Store
from ..store import claims as stored
from ..store import ledger as stored_ledger
from ..store.tables import claim_attempts, claims
from . import floors
from .programs import local_chain
from .report import Figure, against, percentile

T = TypeVar("T")
UNIT, SOL = 10**6, 10**9
#: Claims under way at a time: as many people as press the button within a few seconds.
TOGETHER = 32
#: Short enough that what is waited for is work and not the next slot.
SLOT_MS = 50
#: Rows of one INSERT while a database with many open claims is made.
ROWS = 5_000
#: How many of "confirmed" and "finalized" a claim has reached; the other states are its end.
_REACHED = {"reserved": 0, "signed": 0, "confirmed": 1, "finalized": 2}
AIM = "≥ 0.25 x bare LiteSVM"


def run(count: int, open_claims: int, database: str) -> list[Figure]:
    """``count`` claims for the rates, ``open_claims`` for the restart."""
    configure_logs("console", "error")  # a line for each step of a claim would be measured too
    commits = floors.sqlite_commits(2)
    with tempfile.TemporaryDirectory(prefix="tabgrid-bench-") as folder:
        place = Path(folder)
        url = database or f"sqlite:///{place / 'tabgrid.db'}"
        with local_chain(place / "chain", SLOT_MS) as chain:
            figures, sent = uvloop.run(_claims(chain, place, url, count, commits))
        bare = litesvm(place / "chain" / "chain.jsonl", sent)
        figures = [
            against(each, "bare LiteSVM, claims/s", bare) if each.unit == "claims/s" else each
            for each in figures
        ]
        with local_chain(place / "another", SLOT_MS) as chain:
            return figures + uvloop.run(_restart(chain, place / "again", url, open_claims))


class Person(msgspec.Struct, frozen=True):
    """Who claims. The address is worked out before: the grid is what is measured."""

    wallet: Keypair
    address: str


class Bench:
    """One grid's claims. ``changed`` times come from the service's own word."""

    def __init__(self, store: Store, rpc: Rpc, treasury: Treasury) -> None:
        self.store, self.rpc, self.treasury = store, rpc, treasury
        settings = Chain(rpc="on", cap_hour=0, cap_day=0, pause_below=0)
        self.service = ClaimService(store, rpc, treasury, settings, changed=self._changed)
        self._reached: dict[tuple[str, str], asyncio.Future[float]] = {}

    def _changed(self, claim: Claim) -> None:
        reached = ("confirmed", "finalized")[: _REACHED.get(claim.state, 2)]
        for future in (self.when(claim.id, state) for state in reached):
            if future.done():
                continue
            if claim.state in _REACHED:
                future.set_result(time.perf_counter())
            else:
                future.set_exception(click.ClickException(f"A claim ended: {claim.error}"))

    def when(self, claim: str, state: str) -> asyncio.Future[float]:
        future = asyncio.get_running_loop().create_future()
        return self._reached.setdefault((claim, state), future)

    async def earn(self, people: Sequence[Person]) -> None:
        """A token for each."""

        async def one(person: Person) -> None:
            claimable = ledger.claimable_of(person.address)
            postings = (("system:grants:bench", -UNIT), (claimable, UNIT))
            made = Transfer("release", person.address, "TGT", postings, time.time())
            await self.store.write(stored_ledger.post, made)

        # The first opens the account that all of them share: to PostgreSQL several who make a
        # row at once are in each other's way.
        await one(people[0])
        await _all(one(each) for each in people[1:])

    async def claim(self, person: Person) -> tuple[Claim, float]:
        """Reserve and sign; the claim, and when the wallet's bytes were handed in."""
        reserved = await self.service.reserve(person.address)
        raw = sign(reserved.transaction or "", person.wallet)
        at = time.perf_counter()
        done = await self.service.sign(reserved.id, person.address, raw)
        if done.signed is None:
            raise click.ClickException(f"A claim was not co-signed: {done.error}")
        return done, at


def sign(transaction: str, wallet: Keypair) -> bytes:
    """What an honest wallet returns for a claim's ``transaction``, in base64."""
    asked = VersionedTransaction.from_bytes(base64.b64decode(transaction))
    signature = wallet.sign_message(to_bytes_versioned(asked.message))
    return bytes(VersionedTransaction.populate(asked.message, [signature, *asked.signatures[1:]]))


async def _claims(
    chain: str, place: Path, database: str, count: int, commits: float
) -> tuple[list[Figure], list[bytes]]:
    async with _bench(chain, place, database) as bench:
        alone, together = _people(count // 4), _people(count)
        await _all(bench.rpc.airdrop(p.wallet.pubkey(), SOL) for p in (*alone, *together))
        began = time.perf_counter()
        await bench.earn((*alone, *together))
        posted = 2 * (len(alone) + count) / (time.perf_counter() - began)
        following = asyncio.create_task(bench.service.run())
        waits = []
        for person in alone:
            done, at = await bench.claim(person)
            waits.append(1000 * (await bench.when(done.id, "confirmed") - at))
        began = time.perf_counter()
        made = await _all(bench.claim(person) for person in together)
        confirmed = max([await bench.when(done.id, "confirmed") for done, _ in made])
        final = max([await bench.when(done.id, "finalized") for done, _ in made])
        following.cancel()
        sent = [done.signed for done, _ in made if done.signed is not None]
    rates = (count / (confirmed - began), count / (final - began))
    return [*_rates(*rates), *_waits(waits), _postings(posted, commits)], sent


def _rates(on_chain: float, booked: float) -> list[Figure]:
    finality = f"{32 * SLOT_MS / 1000:g} s of the run are the chain's own finality"
    return [
        Figure(
            "claims", "from the press of the button to on chain", on_chain, "claims/s",
            aim=AIM, note=f"{TOGETHER} at a time",
        ),
        Figure("claims", "… to final and booked", booked, "claims/s", note=finality),
    ]  # fmt: skip


def _waits(waits: Sequence[float]) -> list[Figure]:
    name = "signed to confirmed, one at a time"
    return [
        Figure("claims", f"{name}, p{percent}", percentile(waits, percent), "ms")
        for percent in (50, 99)
    ]


def _postings(rate: float, commits: float) -> Figure:
    figure = Figure("claims", "postings", rate, "postings/s", note="a commit for each two")
    return against(figure, "SQLite commits/s", commits)


@asynccontextmanager
async def _bench(chain: str, place: Path, database: str) -> AsyncIterator[Bench]:
    store = await Store.open(database)
    try:
        # A busy machine is measured as it is; nothing is given up for it.
        async with Rpc(chain, timeout=120) as rpc:
            yield Bench(store, rpc, await ensure_local_treasury(rpc, place))
    finally:
        await store.close()


def litesvm(journal: Path, sent: Sequence[bytes]) -> float:
    """Transactions per second of LiteSVM alone: the same bytes after the same history."""
    kept = Journal(journal)
    kept.close()
    genesis, *entries = kept.entries
    assert isinstance(genesis, Genesis)
    svm = LiteSVM().with_blockhash_check(False).with_transaction_history(1_000_000)
    faucet = Keypair.from_seed(sha256(b"faucet" + bytes.fromhex(genesis.seed)).digest())
    wealth = Account(lamports=10**18, data=b"", owner=SYSTEM, executable=False, rent_epoch=0)
    svm.set_account(faucet.pubkey(), wealth)
    timed, wanted = 0.0, set(sent)
    for entry in entries:
        if not isinstance(entry, Landed):
            continue
        transaction = VersionedTransaction.from_bytes(entry.bytes)
        began = time.perf_counter()
        result = svm.send_transaction(transaction)
        if entry.bytes in wanted:
            timed += time.perf_counter() - began
            assert isinstance(result, TransactionMetadata), "it worked on the local chain"
    return len(sent) / timed


async def _restart(chain: str, place: Path, database: str, count: int) -> list[Figure]:
    """How long a start takes until it follows ``count`` claims that were open."""
    async with _bench(chain, place, database) as bench:
        (person,) = _people(1)
        await bench.rpc.airdrop(person.wallet.pubkey(), SOL)
        await bench.earn([person])
        done, _ = await bench.claim(person)
        await bench.store.write(_copies, done, count - 1)
        rpc, treasury = bench.rpc, bench.treasury
        began = time.perf_counter()
        store = await Store.open(database)
        try:
            service = ClaimService(store, rpc, treasury, Chain(rpc="on"))
            resumed = await service.resume()
            took = time.perf_counter() - began
            await service.meet()
            met = time.perf_counter() - began
        finally:
            await store.close()
    if resumed < count:
        raise click.ClickException(f"Only {resumed} of {count} claims were taken up.")
    name = f"restart with {count:,} open claims"
    note = "the database opened, each claim read; new claims are taken from now on"
    return [
        Figure("claims", f"{name}: followed again", took, "s", note=note),
        Figure("claims", f"{name}: the chain asked about each", met, "s"),
    ]


def _copies(connection: Connection, claim: Claim, count: int) -> None:
    """``count`` more open claims like this one, each of a wallet of its own."""
    for start in range(0, count, ROWS):
        places = range(start, min(start + ROWS, count))
        made = [
            msgspec.structs.replace(
                claim,
                id=f"{claim.id}-{place}",
                wallet=str(Pubkey(os.urandom(32))),
                txid=str(Signature(os.urandom(64))),
            )
            for place in places
        ]
        connection.execute(insert(claims), [stored.claim_row(each) for each in made])
        attempts = [
            stored.attempt_row(each) | {"txid": each.txid, "signed": each.signed} for each in made
        ]
        connection.execute(insert(claim_attempts), attempts)


def _people(count: int) -> list[Person]:
    return [Person(each, str(each.pubkey())) for each in (Keypair() for _ in range(count))]


async def _all(work: Iterable[Awaitable[T]]) -> list[T]:
    """All of it, ``TOGETHER`` at a time."""
    places = asyncio.Semaphore(TOGETHER)

    async def one(each: Awaitable[T]) -> T:
        async with places:
            return await each

    return list(await asyncio.gather(*(one(each) for each in work)))
