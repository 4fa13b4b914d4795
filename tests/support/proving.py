"""A coordinator and a local chain as programs, a wallet that earns and claims on them."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from solders.keypair import Keypair
from solders.message import to_bytes_versioned
from solders.transaction import VersionedTransaction

from tabgrid_server.bench.client import sign_in
from tabgrid_server.chain.rpc import Rpc
from tabgrid_server.chain.treasury import Treasury, find_treasury
from tabgrid_server.settings import Chain
from tests.integration.conftest import EchoGrid, assigned
from tests.support.programs import free_port

JOB = {"model": "echo", "input": {"text": "hello"}}
#: Seconds for what takes one on an idle machine.
PATIENCE_S = 60


class Proving:
    """``epoch_s`` of the grid is a second, each statement is new, and slots are of 20 ms, so that
    32 of them are final soon."""

    def __init__(self, grid: EchoGrid) -> None:
        self.grid = grid
        # A node here answers each job once, however late.
        grid.lease_min_s = max(grid.lease_min_s, PATIENCE_S)
        self.chain_port = free_port()
        self.rpc_url = f"http://127.0.0.1:{self.chain_port}"
        grid.chain = (
            f'rpc = "{self.rpc_url}"\nepoch_s = 1\nstatement_s = 0\nfaucet = 50_000_000\n'
            "claim_minimum = 1"
        )
        self.wallet = Keypair()
        self.chain = grid.programs.tabgrid(
            "localnet", "localnet", "--port", str(self.chain_port), "--slot-ms", "20"
        )
        self.chain.ready()
        self.coordinator = grid.start()

    @property
    def database(self) -> Path:
        return self.grid.folder / "data" / "tabgrid.db"

    @asynccontextmanager
    async def rpc(self) -> AsyncIterator[Rpc]:
        async with Rpc(self.rpc_url) as rpc:
            yield rpc

    async def treasury(self) -> Treasury:
        async with self.rpc() as rpc:
            return await find_treasury(rpc, Chain(rpc=self.rpc_url), self.grid.folder / "data")

    async def work(self, jobs: int) -> list[str]:
        """Ids of jobs that the wallet's node has done and was settled for."""
        key, done = await self.grid.make_key(), []
        async with (
            self.grid.client(key) as client,
            self.grid.node(wallet=self.wallet) as node,
        ):
            for _ in range(jobs):
                answer = await client.post("/api/jobs", json=JOB)
                assert answer.status_code == 202, answer.text
                assign = await assigned(node, PATIENCE_S)
                await node.send(node.result(assign, assign.input))
                path = f"/api/jobs/{assign.job}"
                await self.grid.wait_for(path, lambda row: row["state"] == "done", PATIENCE_S)
                done.append(assign.job)
        return done

    async def claim(self) -> dict[str, Any]:
        """What the wallet can claim, claimed and final."""
        address = str(self.wallet.pubkey())
        path = f"/api/wallets/{address}"
        await self.grid.wait_for(path, lambda w: not w["withheld"] and w["claimable"], PATIENCE_S)
        token = await sign_in(self.grid.url, self.wallet, Keypair(), "device-claims")
        async with self.grid.client(token) as client:
            claim = await self._reserved(client)
            signed = {"transaction": signed_by(self.wallet, claim["transaction"])}
            answer = await client.post(f"/api/claims/{claim['id']}/sign", json=signed)
            assert answer.status_code == 202, answer.text
        final: dict[str, Any] = await self.grid.wait_for(
            f"/api/claims/{claim['id']}", lambda c: c["state"] == "finalized", PATIENCE_S
        )
        return final

    async def _reserved(self, client: httpx.AsyncClient) -> Any:
        async with asyncio.timeout(PATIENCE_S):
            while (answer := await client.post("/api/claims", json={})).status_code == 503:
                await asyncio.sleep(0.2)  # the chain's side is still being opened
        assert answer.status_code == 201, answer.text
        return answer.json()

    async def published(self) -> Any:
        """All epochs, once every receipt is in one that is final on chain."""

        def final(told: Any) -> bool:
            ended = all(each["state"] == "final" for each in told["epochs"])
            return bool(told["epochs"]) and ended and told["waiting"] == 0

        told = await self.grid.wait_for("/api/epochs", final, PATIENCE_S)
        return told["epochs"]

    def restart(self) -> None:
        """Stop; whoever is between changes what they like; ``start`` goes on."""
        self.coordinator.stop()

    def start(self) -> None:
        self.coordinator = self.grid.start()


def signed_by(wallet: Keypair, transaction: str) -> str:
    """As an honest wallet returns it; base64 both."""
    asked = VersionedTransaction.from_bytes(base64.b64decode(transaction))
    signature = wallet.sign_message(to_bytes_versioned(asked.message))
    signed = VersionedTransaction.populate(asked.message, [signature, *asked.signatures[1:]])
    return base64.b64encode(bytes(signed)).decode()
