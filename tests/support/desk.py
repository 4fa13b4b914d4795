"""A real coordinator on a real store, with nodes that the test plays message by message.

No socket lies between: what is tested is what the coordinator does, thousands of times. Power cuts
are made by leaving everything where it is and starting another one on the same store.
"""

from __future__ import annotations

import asyncio
import os
import struct
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

import msgspec
from solders.keypair import Keypair

from tabgrid_models import trace
from tabgrid_models.catalogue import connector_of
from tabgrid_server import blobs
from tabgrid_server.bench.client import hello
from tabgrid_server.coordinator import Caller, Coordinator, offers
from tabgrid_server.coordinator.live import LiveJob, LiveNode
from tabgrid_server.library import open_library
from tabgrid_server.settings import GridSettings, Scheduling, Server, Settings, Trust
from tabgrid_server.store import Store
from tabgrid_wire import messages as wire
from tabgrid_wire.commitment import output_digest, result_message
from tests.support.books import add_owner

MODEL = "all-MiniLM-L6-v2"
DIMS = 384
#: The operator's own.
REFERENCE = Keypair()


def unit_vector(axis: int) -> bytes:
    """Well formed; which one is right is what the references say."""
    row = struct.pack(f"<{DIMS}f", *(float(n == axis) for n in range(DIMS)))
    return msgspec.msgpack.encode({"embeddings": row, "dims": DIMS})


RIGHT, WRONG = unit_vector(0), unit_vector(1)


class Seat:
    """The far end of a node's link: what it was sent, and how it answers."""

    def __init__(self, coordinator: Coordinator, wallet: Keypair, address: str) -> None:
        self.address = address
        self.minor = wire.MINOR
        self.wallet = wallet
        self.worker = Keypair()
        self.work: list[wire.Assign] = []
        #: How its answers are taken, as its owner was told.
        self.standings: list[wire.Standing] = []
        self.node: LiveNode
        self._coordinator = coordinator

    def send(self, message: wire.ToNode) -> None:
        if isinstance(message, wire.Assign):
            self.work.append(message)
        elif isinstance(message, wire.Standing):
            self.standings.append(message)
        elif isinstance(message, wire.Cancel):
            self.work = [work for work in self.work if work.lease != message.lease]

    def close(self, code: int, reason: str) -> None:
        raise AssertionError(reason)

    def answer(self, output: bytes, states: Sequence[bytes] = ()) -> str:
        """The oldest job that it holds; its id. ``states`` are what lay between its steps."""
        work = self.work.pop(0)
        nonce, digest = os.urandom(16), output_digest(output)
        root = trace.root(states) if states else None
        said = result_message(work.job, str(self.wallet.pubkey()), nonce, digest, root)
        signature = bytes(self.worker.sign_message(said))
        content = b"".join(states)
        result = wire.Result(
            work.lease, work.job, output, nonce, signature, 0, trace=content, root=root
        )
        self._coordinator.results.returned(self.node, result)
        return work.job

    def leave(self) -> None:
        self._coordinator.node_events.left(self.node, "gone")


class Desk:
    def __init__(self, coordinator: Coordinator) -> None:
        self.coordinator = coordinator
        self.auditing = coordinator.auditing
        self.offer = coordinator.offers.all[0]
        self._devices = count()

    def node(
        self,
        wallet: Keypair,
        device_class: str = "cpu:a",
        address: str = "192.0.2.1",
        units_per_second: float = 1e6,
        dtype: str = "",
    ) -> Seat:
        """``dtype`` is that of the model's first variant, if none is named."""
        seat = Seat(self.coordinator, wallet, address)
        said = hello(f"device-{next(self._devices)}", ("text",), device_class)
        events = self.coordinator.node_events
        seat.node = events.joined(said, str(wallet.pubkey()), str(seat.worker.pubkey()), seat)
        self.ready(seat, units_per_second, dtype)
        return seat

    def ready(self, seat: Seat, units_per_second: float = 1e6, dtype: str = "") -> None:
        """It holds the model, perhaps in another variant than before."""
        variant = next(v for v in self.offer.manifest.variants if dtype in ("", v.dtype))
        loaded = wire.LoadedModel(self.offer.digest, variant.id, variant.dtype, units_per_second)
        self.coordinator.node_events.ready(seat.node, wire.Ready((loaded,)))

    def offer_in(self, dtype: str) -> None:
        """The model has one more variant, in this dtype."""
        manifest = self.offer.manifest
        more = msgspec.structs.replace(manifest.variants[0], id=dtype, dtype=dtype)
        variants = (*manifest.variants, more)
        self.offer.manifest = msgspec.structs.replace(manifest, variants=variants)

    async def job(self, asked: object = None, *, checked: bool = False) -> LiveJob:
        """``checked``: its user waits for a reference."""
        input = self.offer.convert(asked or {"texts": ["Hi"]})
        caller = Caller("alice", "key_alice")
        priced = self.offer.price(input)
        return await self.coordinator.submit(caller, self.offer, priced, checked=checked)

    async def until(self, wanted: Callable[[], object]) -> None:
        async with asyncio.timeout(60):
            while not wanted():
                await asyncio.sleep(0.005)

    async def quiet(self) -> None:
        """Nothing is looked through or booked any more."""
        background = self.coordinator.state.background
        await self.until(lambda: not background.busy)


@asynccontextmanager
async def open_desk(
    folder: Path,
    url: str,
    places: int = 1,
    release_s: int = 0,
    model: str = MODEL,
    hedge_min_s: int = 300,
    **figures: int,
) -> AsyncIterator[Desk]:
    """On leaving it is cut off, not closed: what was on its way to the store may be lost.

    ``hedge_min_s``: however long a test takes, nobody else is given a job that somebody has."""
    grid = GridSettings(
        title="t", description="d", models=(model,), price_per_unit=100, release_s=release_s
    )
    references = (str(REFERENCE.pubkey()),)
    settings = Settings(
        server=Server(data=str(folder), database=url),
        scheduling=Scheduling(
            reference_wallets=references,
            audit_places=places,
            lease_min_s=300,
            hedge_min_s=hedge_min_s,
        ),
        trust=Trust(**figures),
        grids={"text": grid},
    )
    library = open_library(None)
    offered = offers.build(settings.grids, library.catalogue.by_id, connector_of, library.tokenizer)
    store = await Store.open(url)
    keeper = blobs.Keeper(store, blobs.open_blobs(settings), 3600)
    uploads = blobs.open_uploads(settings, keeper, blobs.open_signer(settings))
    coordinator = Coordinator(settings, offered, store, uploads)
    await coordinator.start()
    try:
        yield Desk(coordinator)
    finally:
        await coordinator.stop()
        await store.close()


async def open_account(url: str) -> None:
    """The user who submits all jobs."""
    store = await Store.open(url)
    await add_owner(store)
    await store.close()
