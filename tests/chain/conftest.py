"""A real local chain over real HTTP, whose time stands still unless a test moves it."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from solders.keypair import Keypair
from solders.message import to_bytes_versioned
from solders.transaction import VersionedTransaction
from spl.token.instructions import get_associated_token_address

from tabgrid_server import ledger
from tabgrid_server.chain.claims import Claim
from tabgrid_server.chain.localnet.server import serving
from tabgrid_server.chain.rpc import Rpc
from tabgrid_server.chain.service import ClaimService
from tabgrid_server.chain.treasury import Treasury, ensure_local_treasury
from tabgrid_server.ledger import Transfer
from tabgrid_server.settings import Chain as ChainSettings
from tabgrid_server.store import Store
from tabgrid_server.store import ledger as stored_ledger
from tests.support.chaos import World as ChaoticWorld
from tests.support.programs import free_port

SLOT_S = 0.4
SOL = 10**9
TOKEN = "TGT"


class Clock:
    """Seconds since 1970, moved by hand."""

    def __init__(self) -> None:
        self.at = 1_800_000_000.0

    def __call__(self) -> float:
        return self.at

    def slots(self, count: int) -> None:
        self.at += count * SLOT_S


class World:
    """Chain, treasury, store and service of one test."""

    def __init__(self, data: Path, database: str = "") -> None:
        self.data = data
        #: URL of the store's database; a file in ``data`` unless said otherwise.
        self.database = database or f"sqlite:///{data / 'tabgrid.db'}"
        self.clock = Clock()
        self.settings = ChainSettings(rpc="on", faucet=SOL)
        self.changes: list[str] = []
        #: What was co-signed, by claim.
        self.signed_bytes: dict[str, bytes] = {}
        self._moved: asyncio.Queue[str] = asyncio.Queue()
        #: Its own: the system may give another one away while the chain is stopped.
        self.port = free_port()
        self._stack = AsyncExitStack()
        self._server = AsyncExitStack()
        self._refs = 0

    async def start(self) -> None:
        await self.start_chain()
        await self.open_store()
        self.rpc = await self._stack.enter_async_context(Rpc(self.url, timeout=60))
        self.treasury: Treasury = await ensure_local_treasury(self.rpc, self.data)
        self.service = self.new_service()

    async def stop(self) -> None:
        await self.close_store()
        await self._server.aclose()
        await self._stack.aclose()

    async def start_chain(self) -> None:
        chain = serving(port=self.port, data=self.data / "chain", now=self.clock)
        self.url = await self._server.enter_async_context(chain)

    async def stop_chain(self) -> None:
        await self._server.aclose()

    def new_service(self) -> ClaimService:
        """As after a restart of the coordinator: nothing but the store is left."""
        return ClaimService(
            self.store,
            self.rpc,
            self.treasury,
            self.settings,
            clock=self.clock,
            changed=self._on_change,
        )

    def _on_change(self, claim: Claim) -> None:
        self.changes.append(claim.state)
        self._moved.put_nowait(claim.state)

    async def until(self, state: str) -> None:
        """Wait for a claim to reach ``state``, by the service's own word."""
        while await self._moved.get() != state:
            pass

    async def open_store(self) -> None:
        """As a start does: the services that come after know only what is in it."""
        self.store = await Store.open(self.database)
        if hasattr(self, "treasury"):
            self.service = self.new_service()

    async def close_store(self) -> None:
        await self.store.close()

    # --- people --------------------------------------------------------------------------

    async def wallet(self, claimable: int, lamports: int = SOL) -> Keypair:
        """A wallet with SOL, to which the grid owes ``claimable``."""
        wallet = Keypair()
        if lamports:
            await self.rpc.airdrop(wallet.pubkey(), lamports)
        await self.earn(wallet, claimable)
        return wallet

    async def earn(self, wallet: Keypair, amount: int) -> None:
        self._refs += 1
        postings = (
            ("system:grants:somebody", -amount),
            (ledger.claimable_of(str(wallet.pubkey())), amount),
        )
        transfer = Transfer("release", f"test-{self._refs}", TOKEN, postings, self.clock())
        await self.store.write(stored_ledger.post, transfer)

    async def signed(self, claim: Claim, wallet: Keypair) -> Claim:
        after = await self.service.sign(
            claim.id, str(wallet.pubkey()), sign_as_wallet(claim, wallet)
        )
        if after.signed is not None:
            self.signed_bytes[claim.id] = after.signed
        return after

    # --- what is where -------------------------------------------------------------------

    async def money(self, wallet: Keypair) -> tuple[int, int, int]:
        """(claimable, in flight, paid) in the books."""
        address = str(wallet.pubkey())
        found = await self.store.read(stored_ledger.wallet_summary, address, TOKEN)
        return found.claimable, found.in_flight, found.paid

    async def tokens(self, wallet: Keypair) -> int:
        """What the wallet has on chain."""
        home = get_associated_token_address(wallet.pubkey(), self.treasury.mint)
        account = await self.rpc.token_account(home)
        return account.amount if account else 0

    async def state(self, claim: Claim) -> str:
        found = await self.service.get(claim.id)
        assert found is not None
        return found.state


def sign_as_wallet(claim: Claim, wallet: Keypair) -> bytes:
    """What an honest wallet returns: the same message, with its signature in the first place."""
    assert claim.transaction is not None
    asked = VersionedTransaction.from_bytes(base64.b64decode(claim.transaction))
    signature = wallet.sign_message(to_bytes_versioned(asked.message))
    return bytes(VersionedTransaction.populate(asked.message, [signature, *asked.signatures[1:]]))


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    postgres = request.param == "postgresql"
    made = World(tmp_path, request.getfixturevalue("postgres_url") if postgres else "")
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def chaos(tmp_path: Path) -> AsyncIterator[ChaoticWorld]:
    """One in which everything goes wrong. Whatever a test does, the books must be right after."""
    world = ChaoticWorld(tmp_path)
    await world.start()
    yield world
    assert world.broken_rules() == []
    await world.stop()
