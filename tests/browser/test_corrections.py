"""Whoever got a wrong answer hears of it on the page that showed it."""

from __future__ import annotations

import asyncio
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from playwright.sync_api import Page, expect
from solders.keypair import Keypair

from tabgrid_server.bench.client import RawNode, sign_in
from tabgrid_wire import messages as wire
from tests.integration.conftest import EchoGrid

MODEL, DIMS = "all-MiniLM-L6-v2", 384
TRUST = "[trust]\nother_kind_s = 0\nprobation_jobs = 1"


def vectors(*axes: int) -> bytes:
    rows = b"".join(
        struct.pack(f"<{DIMS}f", *(float(n == axis) for n in range(DIMS))) for axis in axes
    )
    return msgspec.msgpack.encode({"embeddings": rows, "dims": DIMS})


class Nodes:
    """A liar, and the operator's reference once the liar has answered; in a thread of their own,
    since the browser has this one."""

    def __init__(self, grid: EchoGrid, reference: Keypair) -> None:
        self.grid = grid
        self.reference = reference
        self._ready, self._over = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    def start(self) -> None:
        self._thread.start()
        assert self._ready.wait(60)

    def stop(self) -> None:
        self._over.set()
        if self._thread.ident is not None:
            self._thread.join(60)

    async def _run(self) -> None:
        liar = await self._join(Keypair(), "cpu:liar")
        self._ready.set()
        await self._answer(liar, vectors(2, 2))
        judge = await self._join(self.reference, "cpu:lab")
        for _ in range(2):
            await self._answer(judge, vectors(0, 1))
        # Whoever hangs up at once may take the answer along.
        await asyncio.to_thread(self._over.wait)
        for node in (liar, judge):
            await node.close()

    async def _join(self, wallet: Keypair, kind: str) -> RawNode:
        worker, device = Keypair(), f"device-{kind.replace(':', '-')}"
        token = await sign_in(self.grid.url, wallet, worker, device)
        node = await RawNode.open(self.grid.url, token, wallet, worker)
        await node.join("bench", device=device, device_class=kind)
        return node

    async def _answer(self, node: RawNode, output: bytes) -> None:
        while not isinstance(work := await node.receive(), wire.Assign):
            pass
        await node.send(node.result(work, output))


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[Nodes]:
    reference = Keypair()
    owned = f'reference_wallets = ["{reference.pubkey()}"]\n{TRUST}'
    grid = EchoGrid(tmp_path, model=MODEL, lease_min_s=60, scheduling=owned)
    grid.start()
    made = Nodes(grid, reference)
    yield made
    made.stop()
    grid.programs.stop()


def test_a_wrong_answer_is_told_where_it_was_shown(page: Page, nodes: Nodes) -> None:
    page.goto(f"{nodes.grid.url}/playground?model={MODEL}")
    page.get_by_test_id("create-key").click()
    expect(page.get_by_test_id("send")).to_be_enabled()
    nodes.start()
    page.get_by_test_id("send").click()
    expect(page.get_by_test_id("similarity")).to_have_text("1.000")
    correction = page.get_by_test_id("correction")
    expect(correction).to_be_visible()
    expect(correction).to_contain_text("The whole price is back in your credit")
    page.get_by_text("See what was found").click()
    expect(page.get_by_test_id("correction")).to_contain_text("found wrong")
