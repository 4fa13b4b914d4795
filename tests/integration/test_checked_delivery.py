"""Answers that their users want checked first: nobody sees one before a reference agreed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import msgspec

from tabgrid_models.connectors.embeddings import EmbeddingsOutput
from tabgrid_server.bench.client import RawNode
from tests.integration.conftest import EchoGrid, assigned
from tests.integration.test_audits import MODEL, RIGHT, WRONG, answer
from tests.integration.test_wrong_answers import Judged

Make = Callable[..., EchoGrid]
BODY = {"model": MODEL, "input": "Hi", "encoding_format": "float"}


class Desk(Judged):
    """A grid, a user with a key, and a stranger who takes jobs."""

    client: httpx.AsyncClient
    stranger: RawNode

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Desk]:
        async with (
            self.grid.client(await self.grid.make_key()) as self.client,
            self.grid.node("stranger") as self.stranger,
        ):
            yield self

    async def ask(self, **body: Any) -> httpx.Response:
        return await self.client.post("/v1/embeddings", json=BODY | {"checked": True} | body)

    async def submit(self) -> str:
        body = {"model": MODEL, "input": {"texts": ["Hi"]}, "checked": True}
        answer = await self.client.post("/api/jobs", json=body)
        assert answer.status_code == 202, answer.text
        assert answer.json()["checked"] is True
        return str(answer.json()["id"])

    async def quote(self) -> Any:
        body = {"model": MODEL, "input": {"texts": ["Hi"]}}
        return (await self.client.post("/api/quotes", json=body)).json()

    async def spent(self) -> int:
        key = (await self.client.get("/api/keys/current")).json()
        assert key["held"] == 0
        return int(key["spent"])

    async def until(self, job: str, state: str) -> Any:
        return await self.grid.wait_for(f"/api/jobs/{job}", lambda row: row["state"] == state)


def first_of(output: bytes) -> float:
    decoded = msgspec.msgpack.decode(output, type=EmbeddingsOutput)
    return memoryview(decoded.embeddings).cast("f")[0]


async def test_it_is_offered_with_its_price_while_a_reference_is_there(
    make_echo_grid: Make,
) -> None:
    async with Desk(make_echo_grid).open() as desk:
        assert (await desk.quote())["check"] is None
        refused = await desk.ask()
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "no_reference")
        assert await desk.spent() == 0
        (grid,) = (await desk.client.get("/api/grids")).json()["grids"]
        assert grid["check_bps"] == 10_000
        async with desk.auditor("cpu:native"):
            quote = await desk.quote()
        assert quote["check"] == quote["price"] > 0
    await desk.check_books()


async def test_an_operator_without_references_does_not_offer_it(make_echo_grid: Make) -> None:
    grid = make_echo_grid(model=MODEL)
    grid.start()
    async with grid.client(await grid.make_key()) as client, grid.node():
        (found,) = (await client.get("/api/grids")).json()["grids"]
        assert found["check_bps"] is None
        refused = await client.post("/v1/embeddings", json=BODY | {"checked": True})
    assert refused.json()["error"]["code"] == "no_reference"


async def test_an_answer_comes_once_a_reference_agrees(make_echo_grid: Make) -> None:
    async with Desk(make_echo_grid).open() as desk, desk.auditor("cpu:native") as auditor:
        quote = await desk.quote()
        asked = asyncio.create_task(desk.ask())
        job = await answer(desk.stranger, RIGHT)
        audit = await assigned(auditor)
        assert (await desk.until(job, "returned"))["checked"] is True
        assert (await desk.client.get(f"/api/receipts/{job}")).status_code == 404
        # Long enough for whatever would have come by itself.
        await asyncio.sleep(0.5)
        assert not asked.done()
        await auditor.send(auditor.result(audit, RIGHT))
        delivered = await asked
        assert delivered.status_code == 200, delivered.text
        assert delivered.json()["data"][0]["embedding"][0] == first_of(RIGHT)
        assert await desk.spent() == quote["price"] + quote["check"]
        receipt = await desk.receipt(job)
        assert receipt["checked"] is True
        assert (receipt["audited"], receipt["audit_probability"]) == (True, 1_000_000)
        # The node earns what it always does; the check is the operator's.
        assert receipt["price"] == quote["price"] + quote["check"]
        assert receipt["pay"] == quote["price"] - quote["price"] * 500 // 10_000
        (check,) = await desk.checks(job, 1)
        assert (check["purpose"], check["agreed"], check["method"]) == ("delivery", True, "rerun")
    await desk.check_books()


async def test_a_wrong_answer_is_never_seen_and_costs_nothing(make_echo_grid: Make) -> None:
    async with Desk(make_echo_grid).open() as desk, desk.auditor("cpu:native") as auditor:
        asked = asyncio.create_task(desk.ask())
        job = await answer(desk.stranger, WRONG)
        await answer(auditor, RIGHT)
        await answer(auditor, RIGHT)
        delivered = await asked
        # What the references say is delivered instead, for nothing.
        assert delivered.status_code == 200, delivered.text
        assert delivered.json()["data"][0]["embedding"][0] == first_of(RIGHT)
        assert await desk.spent() == 0
        row = await desk.until(job, "done")
        assert row["correction"]["refunded"] == row["price"]
        checks = await desk.checks(job, 2)
        assert [check["purpose"] for check in checks] == ["delivery", "second"]
        assert [check["agreed"] for check in checks] == [False, False]
        assert await desk.metric('tabgrid_trust_decisions_total{decision="StrikeUnit"}') == 1
    await desk.check_books()


async def test_two_references_who_disagree_are_no_proof_against_a_node(
    make_echo_grid: Make,
) -> None:
    async with Desk(make_echo_grid).open() as desk, desk.auditor("cpu:native") as auditor:
        asked = asyncio.create_task(desk.ask())
        await answer(desk.stranger, RIGHT)
        await answer(auditor, WRONG)
        await answer(auditor, RIGHT)
        delivered = await asked
        assert delivered.json()["data"][0]["embedding"][0] == first_of(RIGHT)
        assert await desk.spent() > 0
    await desk.check_books()


async def test_what_nobody_could_check_is_not_delivered_and_costs_nothing(
    make_echo_grid: Make,
) -> None:
    desk = Desk(make_echo_grid, check_within_s=2)
    async with desk.open():
        async with desk.auditor("cpu:native") as auditor:
            asked = asyncio.create_task(desk.ask())
            await answer(desk.stranger, RIGHT)
            await assigned(auditor)
        failed = await asked
        assert (failed.status_code, failed.json()["error"]["code"]) == (502, "job_failed")
        assert "could check" in failed.json()["error"]["message"]
        assert await desk.spent() == 0
    await desk.check_books()


async def test_whoever_waits_may_leave_until_a_node_has_answered(make_echo_grid: Make) -> None:
    async with Desk(make_echo_grid).open() as desk, desk.auditor("cpu:native") as auditor:
        quote = await desk.quote()
        first = await desk.submit()
        await assigned(desk.stranger)
        cancelled = await desk.client.post(f"/api/jobs/{first}/cancel")
        assert cancelled.json()["state"] == "cancelled"
        assert await desk.spent() == 0
        job = await desk.submit()
        assert await answer(desk.stranger, RIGHT) == job
        audit = await assigned(auditor)
        too_late = await desk.client.post(f"/api/jobs/{job}/cancel")
        assert (too_late.status_code, too_late.json()["error"]["code"]) == (409, "being_checked")
        assert "too late to call it off" in too_late.json()["error"]["message"]
        await auditor.send(auditor.result(audit, RIGHT))
        await desk.until(job, "done")
        assert await desk.spent() == quote["price"] + quote["check"]
        assert (await desk.receipt(job))["pay"] > 0, "the work was done, so it is paid"
        again = await desk.client.post(f"/api/jobs/{job}/cancel")
        assert again.json()["error"]["code"] == "job_ended"
    await desk.check_books()


async def test_whoever_hangs_up_while_it_is_checked_pays_and_can_fetch_it(
    make_echo_grid: Make,
) -> None:
    async with Desk(make_echo_grid).open() as desk, desk.auditor("cpu:native") as auditor:
        quote = await desk.quote()
        async with desk.grid.client(desk.client.headers["Authorization"][7:]) as hasty:
            body = BODY | {"checked": True}
            asked = asyncio.create_task(hasty.post("/v1/embeddings", json=body))
            job = await answer(desk.stranger, RIGHT)
            audit = await assigned(auditor)
            asked.cancel()
        await auditor.send(auditor.result(audit, RIGHT))
        row = await desk.until(job, "done")
        assert row["correction"] is None
        mine = (await desk.client.get(f"/api/jobs/{job}")).json()
        assert mine["output"] is not None
        assert await desk.spent() == quote["price"] + quote["check"]
    await desk.check_books()


async def test_a_check_that_takes_longer_than_a_request_may_ends_the_request_alone(
    make_echo_grid: Make,
) -> None:
    desk = Desk(make_echo_grid)
    desk.program.stop()
    desk.program = desk.grid.start(TABGRID_LIMITS_REQUEST_S="8")
    async with desk.open(), desk.auditor("cpu:native") as auditor:
        asked = asyncio.create_task(desk.ask())
        job = await answer(desk.stranger, RIGHT)
        audit = await assigned(auditor)
        refused = await asked
        assert (refused.status_code, refused.json()["error"]["code"]) == (504, "being_checked")
        assert f"fetch it at /api/jobs/{job}" in refused.json()["error"]["message"]
        assert refused.headers["X-Should-Retry"] == "false", "it would be charged twice"
        await auditor.send(auditor.result(audit, RIGHT))
        await desk.until(job, "done")
        assert await desk.spent() > 0
    await desk.check_books()


async def test_a_coordinator_that_dies_holds_nothing_back_for_good(make_echo_grid: Make) -> None:
    desk = Desk(make_echo_grid)
    async with desk.open(), desk.auditor("cpu:native") as auditor:
        job = await desk.submit()
        await answer(desk.stranger, RIGHT)
        await assigned(auditor)
        desk.restart()
        async with (
            desk.grid.node("another") as another,
            desk.auditor("cpu:native") as again,
        ):
            assert await answer(another, RIGHT) == job
            await answer(again, RIGHT)
            assert (await desk.until(job, "done"))["checked"] is True
    await desk.check_books()


async def test_the_operators_own_answers_need_no_check(make_echo_grid: Make) -> None:
    desk = Desk(make_echo_grid)
    key = await desk.grid.make_key()
    async with desk.grid.client(key) as desk.client, desk.auditor("cpu:native") as own:
        asked = asyncio.create_task(desk.ask())
        await answer(own, RIGHT)
        assert (await asked).status_code == 200
