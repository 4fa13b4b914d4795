"""A coordinator whose nodes are played by the tests, message by message."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from solders.keypair import Keypair

from tabgrid_server.bench.client import RawNode, sign_in
from tabgrid_wire import messages as wire
from tests.support.programs import Program, Programs, free_port

#: For what takes a moment on an idle machine: longer only where it will never come.
PATIENCE_S = 60
SETTINGS = """
[server]
drain_s = {drain_s}
library = "{library}"
[limits]
public_requests_per_minute = 100000
keys_per_day = 100000
request_s = 60
{limits}
[scheduling]
lease_min_s = {lease_min_s}
hedge_min_s = {hedge_min_s}
{scheduling}
[blobs]
{blobs}
[chain]
{chain}
[grids.bench]
title = "Bench"
description = "Jobs that compute nothing."
models = ["{model}"]
price_per_unit = 100
release_s = 1
keep_s = {keep_s}
demo_credit = {credit}
"""


@dataclass
class EchoGrid:
    """One coordinator, restartable, on a data folder of its own."""

    folder: Path
    limits: str = ""
    scheduling: str = ""
    credit: int = 1_000_000
    database: str = ""
    #: Lines of the section [blobs].
    blobs: str = ""
    #: Lines of the section [chain]; without any there is none.
    chain: str = ""
    keep_s: int = 1_000_000
    #: On a loaded machine a node that is played here may be slow: it keeps its job for all that,
    #: and nobody else is given it, but where that is what is tested.
    lease_min_s: int = 60
    hedge_min_s: int = 60
    #: How long it waits for running jobs when it is stopped; all that a test left running.
    drain_s: int = 3
    model: str = "echo"
    #: "" is the one of the checkout.
    library: str | Path = ""
    #: How far its clock is set back.
    days_ago: float = 0
    port: int = field(default_factory=free_port)

    def __post_init__(self) -> None:
        self.programs = Programs(self.folder / "programs")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self, **env: str) -> Program:
        file = self.folder / "tabgrid.toml"
        file.write_text(SETTINGS.format(**vars(self)))
        where = ["--settings", str(file), "--port", str(self.port)]
        where += ["--data", str(self.folder / "data")]
        where += ["--database", self.database] if self.database else []
        program = self._program("serve", *where, **env)
        program.ready()
        return program

    def _program(self, *arguments: str, **env: str) -> Program:
        if not self.days_ago:
            return self.programs.tabgrid("coordinator", *arguments, **env)
        head = (sys.executable, "-m", "tests.support.days_ago", str(self.days_ago))
        return self.programs.start("coordinator", *head, "--end-with-stdin", *arguments, **env)

    def client(self, key: str = "") -> httpx.AsyncClient:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        return httpx.AsyncClient(base_url=self.url, headers=headers, timeout=90, trust_env=False)

    async def make_key(self) -> str:
        async with self.client() as client:
            answer = await client.post("/api/keys", json={})
            return str(answer.raise_for_status().json()["key"])

    @asynccontextmanager
    async def node(
        self, device: str = "test-device", wallet: Keypair | None = None, **options: Any
    ) -> AsyncIterator[RawNode]:
        """A joined node, with a new wallet unless one is given."""
        device = f"device-{device}"
        wallet, worker = wallet or Keypair(), Keypair()
        token = await sign_in(self.url, wallet, worker, device)
        node = await RawNode.open(self.url, token, wallet, worker)
        try:
            await node.join("bench", device=device, **options)
            yield node
        finally:
            await node.close()

    async def wait_for(
        self, path: str, until: Callable[[Any], bool], within_s: float = PATIENCE_S
    ) -> Any:
        """Ask until the answer is as wanted; the last answer is in the failure."""
        async with self.client() as client, asyncio.timeout(within_s):
            while True:
                answer = (await client.get(path)).json()
                if until(answer):
                    return answer
                await asyncio.sleep(0.05)


async def until_status(client: httpx.AsyncClient, path: str, status: int) -> None:
    """Ask until the answer has this status."""
    async with asyncio.timeout(PATIENCE_S):
        while (await client.get(path)).status_code != status:
            await asyncio.sleep(0.2)


async def assigned(node: RawNode, within_s: float = PATIENCE_S) -> wire.Assign:
    """The next job that the node is given."""
    async with asyncio.timeout(within_s):
        while not isinstance(message := await node.receive(), wire.Assign):
            pass
    return message


@pytest.fixture
def make_echo_grid(tmp_path: Path) -> Iterator[Callable[..., EchoGrid]]:
    made: list[EchoGrid] = []

    def make(**options: Any) -> EchoGrid:
        folder = tmp_path / f"echo-{len(made)}"
        folder.mkdir()
        made.append(EchoGrid(folder, **options))
        return made[-1]

    yield make
    for grid in made:
        grid.programs.stop()


@pytest.fixture(scope="module")
def echo_grid(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EchoGrid]:
    """Shared by a file's tests; each uses keys and nodes of its own."""
    grid = EchoGrid(tmp_path_factory.mktemp("echo"))
    grid.start()
    yield grid
    grid.programs.stop()
