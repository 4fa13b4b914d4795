"""A grid that worked two days ago: its answers were drawn, checked and published, and the
secrets of the draws are public by now."""

from __future__ import annotations

import asyncio
import struct
from contextlib import suppress
from typing import Any

import msgspec
from solders.keypair import Keypair

from tabgrid_server.bench.client import RawNode
from tests.integration.conftest import EchoGrid, assigned
from tests.support.proving import PATIENCE_S, Proving

MODEL = "all-MiniLM-L6-v2"
DIMS = 384
#: The secret of the day before yesterday was revealed yesterday, whatever time it is.
DAYS = 2
#: More than the 50 of a new unit that are all checked: the rest are left to the draw.
JOBS = 64
SECRET_TEXT = "Nobody else may read this."


def vector(off: float = 0.0) -> bytes:
    """A well-formed answer, ``off`` away from the right one."""
    near, far = 1 - off, (1 - (1 - off) ** 2) ** 0.5
    row = struct.pack(f"<{DIMS}f", near, far, *([0.0] * (DIMS - 2)))
    return msgspec.msgpack.encode({"embeddings": row, "dims": DIMS})


class Past:
    """``proving`` has the grid and its chain; ``jobs`` what an honest stranger did."""

    def __init__(self, grid: EchoGrid) -> None:
        self.reference, self.cheat = Keypair(), Keypair()
        grid.model, grid.lease_min_s, grid.days_ago = MODEL, 60, DAYS
        grid.scheduling = f'reference_wallets = ["{self.reference.pubkey()}"]\naudit_places = 8'
        grid.scheduling += "\n[trust]\ncheck_within_s = 3600"
        self.proving = Proving(grid)
        self.jobs: list[str] = []
        #: A cheat's, whose answer was wrong, as two references of different kinds found.
        self.wrong = ""
        #: A newcomer's, which no reference was there to check until its time was over.
        self.unchecked = ""

    @property
    def grid(self) -> EchoGrid:
        return self.proving.grid

    async def work(self, jobs: int = JOBS) -> None:
        """Have a cheat and a stranger answer, and references check what is drawn."""
        grid, key = self.grid, await self.grid.make_key()
        async with (
            grid.client(key) as client,
            grid.node("cpu", self.reference, device_class="cpu:lab") as first,
            grid.node("gpu", self.reference, device_class="wasm:lab") as second,
        ):
            judges = [asyncio.create_task(judge(each)) for each in (first, second)]
            async with grid.node("cheat", self.cheat, device_class="webgpu:lab") as node:
                self.wrong = await self._answer(client, node, 0.5)
                await self._until_checked(client, self.wrong, 2)
            async with grid.node(
                "stranger", self.proving.wallet, device_class="webgpu:lab"
            ) as node:
                self.jobs = [await self._answer(client, node, 1e-9) for _ in range(jobs)]
            for task in judges:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
        async with (
            grid.client(key) as client,
            grid.node("newcomer", Keypair(), device_class="webgpu:lab") as node,
        ):
            self.unchecked = await self._answer(client, node, 1e-9, times=0)
        await self.proving.published()

    async def _answer(self, client: Any, node: RawNode, off: float, times: int = 1) -> str:
        """A job from submit to its receipt, and if it is drawn to so many checks."""
        body = {"model": MODEL, "input": {"texts": [SECRET_TEXT]}}
        answer = await client.post("/api/jobs", json=body)
        assert answer.status_code == 202, answer.text
        work = await assigned(node)
        await node.send(node.result(work, vector(off)))
        async with asyncio.timeout(PATIENCE_S):
            while (receipt := await client.get(f"/api/receipts/{work.job}")).status_code != 200:
                await asyncio.sleep(0.01)
        if receipt.json()["audited"]:
            await self._until_checked(client, work.job, times)
        return str(work.job)

    async def _until_checked(self, client: Any, job: str, times: int) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while len(await self.checks(client, job)) < times:
                await asyncio.sleep(0.02)

    async def checks(self, client: Any, job: str) -> list[Any]:
        answer = await client.get(f"/api/jobs/{job}/checks")
        found: list[Any] = answer.json()["checks"]
        return found

    def today(self) -> None:
        """The same grid, its clock put right."""
        self.proving.restart()
        self.grid.days_ago = 0
        self.proving.start()


async def judge(node: RawNode) -> None:
    """Answer whatever comes, rightly."""
    while True:
        work = await assigned(node, within_s=3_600)
        await node.send(node.result(work, vector()))
