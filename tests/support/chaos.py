"""Claims on a hostile chain, by a process that is killed at any await.

One ``World`` is a chain, a database and a treasury; each schedule plays one wallet's claims in
it, from a seed. A kill drops the process where it stands: nothing it awaited ever returns, and a
new process has only the store. Everything runs in one thread and takes no time of its own, so
a seed is a schedule.
"""

from __future__ import annotations

import asyncio
import base64
import copy
import random
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import msgspec
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.message import MessageV0, to_bytes_versioned
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction
from spl.token.instructions import get_associated_token_address
from sqlalchemy import Connection, event

from tabgrid_server import ledger, migrations
from tabgrid_server.chain.claims import OVER, Claim
from tabgrid_server.chain.keys import load
from tabgrid_server.chain.localnet.machine import FINALITY
from tabgrid_server.chain.refusals import ChainUnavailable, ClaimRefused, ClaimsPaused
from tabgrid_server.chain.rpc import Rpc, RpcError
from tabgrid_server.chain.service import ClaimService
from tabgrid_server.chain.tokens import token_account
from tabgrid_server.chain.transactions import LIGHTHOUSE
from tabgrid_server.chain.treasury import SUPPLY, approval, ensure_local_treasury, run
from tabgrid_server.ledger import Transfer
from tabgrid_server.settings import Chain
from tabgrid_server.store import Store, StoreUnavailable
from tabgrid_server.store import ledger as stored_ledger
from tabgrid_server.store.audit import findings
from tabgrid_server.store.database import SqliteDatabase, _transact

from .faults import Faults, FaultyProvider
from .forks import ForkingMachine, Network

TOKEN, UNIT, SOL = "TGT", 10**6, 10**9
SLOT_S = 0.4
#: Rounds after which a schedule that is left in peace must have ended.
PEACE = 60


def _no_sync(connection: Any, _record: object) -> None:
    """No power fails here; everything else is as the store has it."""
    connection.execute("PRAGMA synchronous = OFF")


class Made(msgspec.Struct, frozen=True):
    """A claim as it stands in the store."""

    state: str
    amount: int
    txid: str | None
    last_valid_height: int
    #: Kept of the amount for pushing it; 0 where the wallet signs.
    push_fee: int

    @property
    def over(self) -> bool:
        return self.state in OVER


class Books(msgspec.Struct, frozen=True):
    claimable: int
    in_flight: int
    claims: list[Made]

    @property
    def paid(self) -> int:
        return sum(each.amount for each in self.claims if each.state == "finalized")

    @property
    def sent(self) -> int:
        """Of what was paid, what the chain should show."""
        done = [each for each in self.claims if each.state == "finalized"]
        return sum(each.amount - each.push_fee for each in done)


class InlineDatabase:
    """SQLite as the store runs it, in this thread; before and after each transaction the
    process may die, or the connection."""

    def __init__(self, inner: SqliteDatabase, world: World, generation: int) -> None:
        self._inner = inner
        self._world = world
        self._generation = generation

    async def read(self, query: Any, *args: Any, **kwargs: Any) -> Any:
        await self._world.checkpoint(self._generation)
        found = _transact(self._inner._engine, query, *args, **kwargs)
        await self._world.checkpoint(self._generation)
        return found

    async def write(self, query: Any, *args: Any, **kwargs: Any) -> Any:
        await self._world.checkpoint(self._generation)
        if self._world.breaks():
            raise StoreUnavailable("the connection is gone; nothing was kept")
        done = _transact(self._inner._writing, query, *args, **kwargs)
        if self._world.breaks():
            raise StoreUnavailable("the connection is gone; it was kept, and nobody knows")
        await self._world.checkpoint(self._generation)
        return done

    async def close(self) -> None:
        pass


class World:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.at = 1_800_000_000.0
        self.rng = random.Random(0)
        self.faults = Faults()
        self.machine = ForkingMachine(lambda: self.at)
        self.network = Network(self.machine, self.rng)
        self.settings = Chain(
            rpc="on",
            cap_hour=0,
            cap_day=0,
            pause_below=0,
            marker_keep_s=60,
            push_minimum=UNIT // 2,
            push_fee=UNIT // 100,
            push_account_fee=UNIT // 10,
            push_wait_s=0,
        )
        self.database = SqliteDatabase(folder / "tabgrid.db")
        event.listen(self.database._engine, "connect", _no_sync)
        self._rpc = Rpc("http://chaos", timeout=60)
        self.generation = 0
        self.dead: asyncio.Event = asyncio.Event()
        #: Checkpoints passed, and those at which the process dies.
        self.passed = 0
        self.kill_at: frozenset[int] = frozenset()
        self.kill_chance = self.break_chance = 0.0
        self.kills = 0
        self.refs = self.wallets = 0

    async def start(self) -> None:
        await self.database.write(migrations.upgrade)
        rpc = self.rpc(0)
        landing = asyncio.create_task(self._land())
        self.treasury = await ensure_local_treasury(rpc, self.folder)
        cold = load(self.folder / "keys" / "cold.json")
        allowed = approval(self.treasury, cold.pubkey(), SUPPLY * UNIT)
        await run(rpc, [allowed], [cold])
        landing.cancel()
        # Every pushed payout takes rent, which nobody gives back in these schedules.
        self.machine.airdrop(self.treasury.hot.pubkey(), 10_000 * SOL)
        self.turn(FINALITY + 1)
        self.boot()

    async def _land(self) -> None:
        while True:
            self.network.move()
            await asyncio.sleep(0.01)

    async def stop(self) -> None:
        await self.database.close()

    # --- the process and its death ---------------------------------------------------------

    def boot(self) -> None:
        """A new process: nothing but the store is left."""
        self.generation += 1
        self.dead = asyncio.Event()
        self.service = self.process(self.generation)

    def process(self, generation: int) -> ClaimService:
        return ClaimService(
            Store(InlineDatabase(self.database, self, generation)),
            self.rpc(generation),
            self.treasury,
            self.settings,
            clock=lambda: self.at,
            random=self.rng.randbytes,
        )

    def rpc(self, generation: int) -> Rpc:
        rpc = copy.copy(self._rpc)  # a new one would read all the system's certificates
        rpc._client = copy.copy(rpc._client)
        rpc._client._provider = FaultyProvider(  # type: ignore[assignment]
            self.network, self.rng, self.faults, lambda: self.checkpoint(generation)
        )
        return rpc

    async def checkpoint(self, generation: int) -> None:
        if generation != self.generation:
            raise asyncio.CancelledError
        self.passed += 1
        if self.passed in self.kill_at or self.rng.random() < self.kill_chance:
            self.kills += 1
            self.dead.set()
        if self.dead.is_set():
            await asyncio.Future()
        for _ in range(self.rng.choice((0, 0, 1))):
            await asyncio.sleep(0)  # somebody else's turn

    def breaks(self) -> bool:
        return self.rng.random() < self.break_chance

    async def live(self, *work: Coroutine[Any, Any, Any]) -> None:
        """Do these at once, until they are done or the process is killed; then boot anew."""
        tasks = [asyncio.create_task(each) for each in work]
        death = asyncio.create_task(self.dead.wait())
        together = asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.wait([together, death], return_when=asyncio.FIRST_COMPLETED)
        killed = self.dead.is_set()
        if killed:
            self.generation += 1  # whatever still runs of it is refused everything
        for task in (*tasks, death):
            task.cancel()
        done = await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(death, return_exceptions=True)
        for failed in done:
            if isinstance(failed, Exception) and not isinstance(failed, _BORNE):
                raise failed
        if killed:
            self.boot()
            await self.live(self.service.resume())

    # --- time ------------------------------------------------------------------------------

    def turn(self, slots: int) -> None:
        self.network.move()
        self.at += slots * SLOT_S

    # --- people ----------------------------------------------------------------------------

    def wallet(self, lamports: int = SOL) -> Keypair:
        self.wallets += 1
        wallet = Keypair.from_seed(self.wallets.to_bytes(32, "big"))
        if lamports:
            self.machine.airdrop(wallet.pubkey(), lamports)
        self.turn(FINALITY + 1)  # no fork takes that away
        return wallet

    def earn(self, wallet: Keypair, amount: int) -> None:
        self.refs += 1
        claimable = ledger.claimable_of(str(wallet.pubkey()))
        postings = (("system:grants:somebody", -amount), (claimable, amount))
        transfer = Transfer("release", f"test-{self.refs}", TOKEN, postings, self.at)
        self.write(stored_ledger.post, transfer)

    async def claim(
        self, wallet: Keypair, guarded: bool = False, other: ClaimService | None = None
    ) -> None:
        """What a page does when its owner presses Claim."""
        address = str(wallet.pubkey())
        service = other or self.service
        claim = await service.reserve(address)
        await service.sign(claim.id, address, signed(claim, wallet, guarded))

    async def ask(self, wallet: Keypair, other: ClaimService | None = None) -> None:
        """What a page does when its owner lets the grid pay the network."""
        chain = self.settings
        service = other or self.service
        await service.push(str(wallet.pubkey()), chain.push_fee + chain.push_account_fee)

    # --- what is where, without a process ---------------------------------------------------

    def read(self, query: Callable[..., Any], *args: Any) -> Any:
        return _transact(self.database._engine, query, *args)

    def write(self, query: Callable[..., Any], *args: Any) -> Any:
        return _transact(self.database._writing, query, *args)

    def books(self, wallet: Keypair) -> Books:
        return self.read(_books, str(wallet.pubkey()))

    def tokens(self, wallet: Keypair, final: bool = False) -> int:
        home = get_associated_token_address(wallet.pubkey(), self.treasury.mint)
        found = self.machine.final_account(home) if final else self.machine.account(home)
        account = token_account(found) if found else None
        return account.amount if account else 0

    def broken_rules(self) -> list[str]:
        return [each.rule for each in self.read(findings) if each.broken]


def _books(connection: Connection, wallet: str) -> Books:
    """By two plain queries: this is asked after every round of every schedule."""
    held: dict[str, int] = dict(
        connection.exec_driver_sql(
            "SELECT account, amount FROM balances WHERE account IN (?, ?)",
            (ledger.claimable_of(wallet), ledger.in_flight_of(wallet)),
        ).all()
    )
    claims = connection.exec_driver_sql(
        "SELECT c.state, c.amount, a.txid, a.last_valid_height, coalesce(c.push_fee, 0)"
        " FROM claims c"
        " JOIN claim_attempts a ON a.claim_id = c.id WHERE c.wallet = ?",
        (wallet,),
    )
    return Books(
        claimable=held.get(ledger.claimable_of(wallet), 0),
        in_flight=held.get(ledger.in_flight_of(wallet), 0),
        claims=[Made(*row) for row in claims],
    )


_BORNE = (ChainUnavailable, ClaimRefused, ClaimsPaused, RpcError, StoreUnavailable)


def signed(claim: Claim, wallet: Keypair, guarded: bool = False) -> bytes:
    """What a wallet returns for ``claim``; ``guarded``: as some do, with a guard of theirs."""
    transaction = claim.transaction
    if transaction is None:
        return b""
    message = VersionedTransaction.from_bytes(base64.b64decode(transaction)).message
    if guarded:
        message = with_guard(message, wallet.pubkey())
    signature = wallet.sign_message(to_bytes_versioned(message))
    places = VersionedTransaction.from_bytes(base64.b64decode(transaction)).signatures
    return bytes(VersionedTransaction.populate(message, [signature, *places[1:]]))


def with_guard(message: Any, wallet: Pubkey) -> MessageV0:
    """A transaction of another id that pays the same: what makes co-signing twice dangerous."""
    keys, header = message.account_keys, message.header
    signers = header.num_required_signatures
    free = len(keys) - header.num_readonly_unsigned_accounts

    def meta(place: int) -> AccountMeta:
        return AccountMeta(keys[place], place < signers, place == 0 or signers <= place < free)

    steps = [
        Instruction(
            keys[each.program_id_index],
            bytes(each.data),
            [
                AccountMeta(keys[n], n < signers, n == 0 or signers <= n < free)
                for n in each.accounts
            ],
        )
        for each in message.instructions
    ]
    guard = Instruction(LIGHTHOUSE, b"\x05guard", [AccountMeta(wallet, True, True)])
    blockhash: Hash = message.recent_blockhash
    return MessageV0.try_compile(wallet, [*steps, guard], [], blockhash)
