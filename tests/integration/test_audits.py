"""Answers that references run again: drawn so that anybody can draw again, judged, kept."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from hashlib import sha256
from typing import Any

import httpx
import msgspec
from solders.keypair import Keypair

from tabgrid_server.bench.client import RawNode
from tabgrid_server.coordinator.draws import Draws
from tabgrid_server.trust.draws import draw, verify
from tests.integration.conftest import EchoGrid, assigned

MODEL = "all-MiniLM-L6-v2"
DIMS = 384


def unit_vector(axis: int) -> bytes:
    """Well formed; which one is right is what the references say."""
    row = struct.pack(f"<{DIMS}f", *(float(n == axis) for n in range(DIMS)))
    return msgspec.msgpack.encode({"embeddings": row, "dims": DIMS})


RIGHT, WRONG = unit_vector(0), unit_vector(1)


class Audited:
    """A grid of embeddings whose operator owns the wallet ``reference``."""

    def __init__(
        self, make: Callable[..., EchoGrid], places: int = 1, trust: str = "", database: str = ""
    ) -> None:
        self.reference = Keypair()
        self.grid = make(
            model=MODEL,
            lease_min_s=60,
            database=database,
            scheduling=f'reference_wallets = ["{self.reference.pubkey()}"]\n'
            f"audit_places = {places}\n{trust}",
        )
        self.program = self.grid.start()

    def auditor(self, device_class: str) -> AbstractAsyncContextManager[RawNode]:
        name = device_class.replace(":", "-")
        return self.grid.node(name, self.reference, device_class=device_class)

    async def job(self, client: httpx.AsyncClient) -> str:
        answer = await client.post("/api/jobs", json={"model": MODEL, "input": {"texts": ["Hi"]}})
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    async def receipt(self, job: str) -> Any:
        return await self.grid.wait_for(f"/api/receipts/{job}", lambda answer: "job" in answer)

    async def checks(self, job: str, count: int) -> Any:
        found = await self.grid.wait_for(
            f"/api/jobs/{job}/checks", lambda answer: len(answer["checks"]) == count
        )
        return found["checks"]

    async def metric(self, name: str) -> float:
        async with self.grid.client() as client:
            lines = (await client.get("/metrics")).text.splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith(name))


async def answer(node: RawNode, output: bytes) -> str:
    """Answer the next job; its id."""
    work = await assigned(node)
    await node.send(node.result(work, output))
    return work.job


async def test_a_right_answer_is_paid_at_once_and_found_right(
    make_echo_grid: Callable[..., EchoGrid],
) -> None:
    audited = Audited(make_echo_grid)
    grid = audited.grid
    async with (
        grid.client(await grid.make_key()) as client,
        grid.node("volunteer") as volunteer,
        audited.auditor("cpu:native") as auditor,
    ):
        job = await audited.job(client)
        assert await answer(volunteer, RIGHT) == job
        receipt = await audited.receipt(job)
        assert receipt["audited"] is True
        assert receipt["audit_probability"] == 1_000_000
        audit = await answer(auditor, RIGHT)
        assert audit != job
        (check,) = await audited.checks(job, 1)
        assert check["agreed"] is True
        assert check["distance"] == 0 < check["threshold"]
        assert check["auditor"] == str(audited.reference.pubkey())
        assert (check["purpose"], check["device_class"]) == ("audit", "cpu:native")
        assert (await client.get(f"/api/jobs/{audit}")).status_code == 404, "no job of a user's"


async def test_a_wrong_answer_is_judged_by_a_second_reference_of_another_kind(
    make_echo_grid: Callable[..., EchoGrid],
) -> None:
    audited = Audited(make_echo_grid)
    grid = audited.grid
    async with (
        grid.client(await grid.make_key()) as client,
        grid.node("volunteer") as volunteer,
        audited.auditor("cpu:native") as first,
    ):
        job = await audited.job(client)
        await answer(volunteer, WRONG)
        await answer(first, RIGHT)
        await audited.checks(job, 1)
        async with audited.auditor("webgpu:lab") as second:
            await answer(second, RIGHT)
            checks = await audited.checks(job, 2)
    assert [check["purpose"] for check in checks] == ["audit", "second"]
    assert [check["agreed"] for check in checks] == [False, False]
    assert checks[0]["distance"] > checks[0]["threshold"]
    assert await audited.metric('tabgrid_trust_decisions_total{decision="StrikeUnit"}') == 1


async def test_users_do_not_wait_for_audits(make_echo_grid: Callable[..., EchoGrid]) -> None:
    audited = Audited(make_echo_grid)
    grid = audited.grid
    async with (
        grid.client(await grid.make_key()) as client,
        audited.auditor("cpu:native") as auditor,
    ):
        async with grid.node("volunteer") as volunteer:
            await audited.job(client)
            await answer(volunteer, RIGHT)
            audit = await assigned(auditor)
        job = await audited.job(client)
        assert await answer(auditor, RIGHT) == job, "the audit made way"
        assert await answer(auditor, RIGHT) == audit.job, "and is run afterwards"


async def test_the_operators_own_answers_are_not_audited(
    make_echo_grid: Callable[..., EchoGrid],
) -> None:
    audited = Audited(make_echo_grid)
    async with (
        audited.grid.client(await audited.grid.make_key()) as client,
        audited.auditor("cpu:native") as own,
    ):
        job = await audited.job(client)
        await answer(own, RIGHT)
        receipt = await audited.receipt(job)
    assert receipt["audited"] is False
    assert receipt["audit_probability"] is None


async def test_an_operator_can_switch_audits_off(make_echo_grid: Callable[..., EchoGrid]) -> None:
    audited = Audited(make_echo_grid, places=0)
    async with (
        audited.grid.client(await audited.grid.make_key()) as client,
        audited.grid.node("volunteer") as volunteer,
    ):
        job = await audited.job(client)
        await answer(volunteer, RIGHT)
        receipt = await audited.receipt(job)
    assert receipt["audited"] is False
    assert receipt["draw_epoch"] is None


async def test_what_is_published_of_the_draws_leads_to_every_receipt(
    make_echo_grid: Callable[..., EchoGrid],
) -> None:
    audited = Audited(make_echo_grid)
    grid = audited.grid
    async with (
        grid.client(await grid.make_key()) as client,
        grid.node("volunteer") as volunteer,
    ):
        job = await audited.job(client)
        await answer(volunteer, RIGHT)
        receipt = await audited.receipt(job)
        public = (await client.get("/api/draws")).json()
    # What is public now: yesterday's secret, tied to the anchor, and today's commitment.
    assert verify(
        bytes.fromhex(public["anchor"]), public["revealed"], bytes.fromhex(public["secret"])
    )
    assert receipt["draw_epoch"] == public["epoch"] == public["revealed"] + 1
    assert receipt["draw_commitment"] == public["commitment"] == public["secret"]
    # What will be public tomorrow decides what the receipt says.
    tomorrow = Draws.of_folder(grid.folder / "data").public(time.time() + 86_400)
    assert tomorrow.secret is not None
    assert tomorrow.revealed == receipt["draw_epoch"]
    assert sha256(tomorrow.secret).hexdigest() == receipt["draw_commitment"]
    drawn = draw(tomorrow.secret, bytes.fromhex(receipt["commit_hash"]))
    assert (drawn < receipt["audit_probability"]) == receipt["audited"]
