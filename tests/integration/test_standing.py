"""Where a node stands reaches it over the real socket; its owner appeals, the operator orders."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
from click.testing import CliRunner, Result
from solders.keypair import Keypair

from tabgrid_server.bench.client import RawNode, sign_in
from tabgrid_server.cli.trust import trust
from tabgrid_wire import messages as wire
from tests.integration.conftest import PATIENCE_S, EchoGrid
from tests.integration.test_audits import RIGHT, WRONG, Audited

TRUST = "[trust]\nother_kind_s = 0\nnewcomers_per_address = 99\n"
NEWEST, OLD = wire.SUBPROTOCOLS


class Standing:
    """A grid with references, and nodes that hear where they stand."""

    def __init__(self, make: Callable[..., EchoGrid], trust: str = TRUST) -> None:
        self.audited = Audited(make, trust=trust)
        self.grid = self.audited.grid

    @asynccontextmanager
    async def node(
        self, wallet: Keypair, device: str, spoken: tuple[str, ...] = wire.SUBPROTOCOLS
    ) -> AsyncIterator[RawNode]:
        worker, name = Keypair(), f"device-{device.replace(':', '-')}-{str(wallet.pubkey())[:4]}"
        token = await sign_in(self.grid.url, wallet, worker, name)
        node = await RawNode.open(self.grid.url, token, wallet, worker, spoken)
        await node.join("bench", device=name, ready=False, device_class=device)
        await node.send(await self.holding())
        try:
            yield node
        finally:
            await node.close()

    async def holding(self) -> wire.Ready:
        async with self.grid.client() as client:
            grids = (await client.get("/api/grids")).json()["grids"]
            digest = grids[0]["models"][0]["digest"]
            variant = (await client.get(f"/api/models/{digest}")).json()["variants"][0]
        return wire.Ready((wire.LoadedModel(digest, variant["id"], variant["dtype"], 1e6),))

    async def job(self, client: httpx.AsyncClient) -> str:
        return await self.audited.job(client)

    async def trust(self, *arguments: str) -> Result:
        """`tabgrid trust` on the folder of the running coordinator."""
        where = ["--data", str(self.grid.folder / "data")]
        return await asyncio.to_thread(CliRunner().invoke, trust, [*where, *arguments])


async def until(node: RawNode, kind: type[Any], **fields: Any) -> Any:
    """The next message like that; others are passed over."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            message = await node.receive()
            alike = (getattr(message, name) == value for name, value in fields.items())
            if isinstance(message, kind) and all(alike):
                return message


async def answer(node: RawNode, output: bytes) -> str:
    assign = await until(node, wire.Assign)
    await node.send(node.result(assign, output))
    return str(assign.job)


async def test_an_appeal_that_two_references_grant_gives_everything_back(
    make_echo_grid: Callable[..., EchoGrid],
) -> None:
    grid = Standing(make_echo_grid)
    wallet = Keypair()
    async with (
        grid.grid.client(await grid.grid.make_key()) as client,
        grid.node(wallet, "cpu:x") as node,
        grid.node(grid.audited.reference, "cpu:lab") as reference,
    ):
        job = await grid.job(client)
        assert await answer(node, WRONG) == job
        for _ in range(2):
            await answer(reference, RIGHT)
        told = await until(node, wire.Standing, state="paused")
        assert told.job == job
        token = await sign_in(grid.grid.url, wallet, Keypair(), "device-page")
        other = await sign_in(grid.grid.url, Keypair(), Keypair(), "device-other")
        mine = {"Authorization": f"Bearer {token}"}
        found = (await client.get("/api/strikes", headers=mine)).json()
        (strike,) = found["strikes"]
        assert (strike["job"], strike["state"], strike["can_appeal"]) == (job, "standing", True)
        assert [check["agreed"] for check in strike["checks"]] == [False, False]
        path = f"/api/strikes/{job}/appeal"
        theirs = {"Authorization": f"Bearer {other}"}
        assert (await client.post(path, headers=theirs)).status_code == 404
        assert (await client.post(path, headers={"Authorization": ""})).status_code == 401
        appealed = await client.post(path, headers=mine)
        assert (appealed.status_code, appealed.json()["state"]) == (202, "appealed")
        twice = await client.post(path, headers=mine)
        assert (twice.status_code, twice.json()["error"]["code"]) == (409, "appeal_refused")
        for output in (WRONG, RIGHT, WRONG):
            await answer(reference, output)
        assert (await until(node, wire.Standing)).state == "probation"
        wallet_path = f"/api/wallets/{wallet.pubkey()}"
        await grid.grid.wait_for(wallet_path, lambda w: w["claimable"] == strike["pay"])
        (strike,) = (await client.get("/api/strikes", headers=mine)).json()["strikes"]
        assert strike["state"] == "reversed"
        assert "2 of 3" in strike["decided"]
        assert [c["purpose"] for c in strike["checks"]] == ["audit", "second", *["appeal"] * 3]


async def test_an_appeal_that_no_reference_came_to_lapses_and_the_fine_comes_back(
    make_echo_grid: Callable[..., EchoGrid],
) -> None:
    grid = Standing(make_echo_grid)
    wallet = Keypair()
    async with grid.grid.client(await grid.grid.make_key()) as client:
        async with (
            grid.node(wallet, "cpu:x") as node,
            grid.node(grid.audited.reference, "cpu:lab") as reference,
        ):
            right = await grid.job(client)
            await answer(node, RIGHT)
            await answer(reference, RIGHT)
            await grid.audited.checks(right, 1)
            job = await grid.job(client)
            await answer(node, WRONG)
            for _ in range(2):
                await answer(reference, RIGHT)
            await until(node, wire.Standing, state="paused")
        grid.audited.program.stop()
        grid.grid.scheduling += "check_within_s = 1\n"
        grid.audited.program = grid.grid.start()
    async with (
        grid.grid.client() as client,
        grid.node(wallet, "cpu:x") as node,
    ):
        assert (await until(node, wire.Standing)).state == "paused"
        token = await sign_in(grid.grid.url, wallet, Keypair(), "device-page")
        mine = {"Authorization": f"Bearer {token}"}
        (strike,) = (await client.get("/api/strikes", headers=mine)).json()["strikes"]
        assert strike["fine"] > 0, "the earlier answer's pay was there to be taken"
        held = (await client.get(f"/api/wallets/{wallet.pubkey()}")).json()
        appealed = await client.post(f"/api/strikes/{job}/appeal", headers=mine)
        assert (appealed.status_code, appealed.json()["state"]) == (202, "appealed")
        assert (await until(node, wire.Standing)).state == "probation", "nothing is against it"
        found = await grid.grid.wait_for(
            f"/api/jobs/{job}/checks", lambda told: len(told["given_up"]) == 1
        )
        assert [(each["purpose"], each["why"]) for each in found["given_up"]] == [
            ("appeal", "late")
        ]
        (strike,) = (await client.get("/api/strikes", headers=mine)).json()["strikes"]
        assert (strike["state"], strike["can_appeal"]) == ("lapsed", False)
        assert strike["decided"].startswith("No reference could run the job again")
        links = (await client.get("/api/corrections")).json()["corrections"]
        last = json.loads(links[-1]["correction"])
        assert (last["kind"], last["ref"], last["pay"]) == ("restore", job, 0)
        assert last["amount"] == strike["fine"]
        now = (await client.get(f"/api/wallets/{wallet.pubkey()}")).json()
        # The fine, and what had been held with it; the wrong answer's pay stays its user's.
        assert now["claimable"] + now["withheld"] == held["withheld"] + strike["fine"]
        record = (await client.get(f"/api/wallets/{wallet.pubkey()}/record")).json()
        assert sum(unit["strikes"] for unit in record["units"]) == 0


async def test_the_operator_puts_a_class_aside_and_clears_it(
    make_echo_grid: Callable[..., EchoGrid],
) -> None:
    grid = Standing(make_echo_grid)
    async with (
        grid.grid.client(await grid.grid.make_key()) as client,
        grid.node(Keypair(), "webgpu:broken") as node,
        grid.node(Keypair(), "webgpu:broken", (OLD,)) as old,
    ):
        said = await until(node, wire.Standing)
        assert said.state == "probation"
        loaded = (await grid.holding()).models[0]
        kind = (loaded.digest, loaded.dtype, "webgpu:broken")
        assert "2 probation" in (await grid.trust("classes")).output
        assert "It is in quarantine" in (await grid.trust("confirm-bug", *kind)).output
        said = await until(node, wire.Standing, state="quarantined")
        assert "no fault of yours" in said.reason
        told = await until(old, wire.Error, code="standing")
        assert "no fault of yours" in told.message, "an older node shows it as well, and goes on"
        (shown,) = (await client.get("/api/grids/bench/health")).json()["quarantined"]
        assert shown["wallets"] == 2
        assert (shown["digest"], shown["dtype"], shown["device_class"]) == kind
        page = (await client.get("/explorer/health")).text
        assert 'data-testid="quarantine-row"' in page
        assert "webgpu:broken" in page
        job = await grid.job(client)
        assert (await client.get(f"/api/jobs/{job}")).json()["state"] == "queued"
        assert "quarantined" in (await grid.trust("units")).output
        assert "open again: 2 units" in (await grid.trust("clear", *kind)).output
        assert "quarantine-row" not in (await client.get("/explorer/health")).text
        assert (await until(node, wire.Standing)).state == "testing"
        await node.send(await grid.holding())
        assert await answer(node, RIGHT) == job, "it has shown that it computes right"
        unknown = await grid.trust("clear", *kind[:2], "webgpu:none")
        assert unknown.exit_code == 1
        assert "No unit is of the class" in unknown.output
