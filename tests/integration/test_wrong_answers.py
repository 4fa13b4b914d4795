"""An answer that turns out to be wrong: nobody is paid for it, its user has the money back and a
right answer, and whatever dies when, that happens once."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import struct
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from solders.keypair import Keypair

from tabgrid_server.bench.client import RawNode
from tabgrid_wire import messages as wire
from tests.integration.conftest import PATIENCE_S, EchoGrid, assigned
from tests.integration.test_audits import DIMS, MODEL, RIGHT, WRONG, Audited, answer
from tests.support.books import opened

#: One reference may judge alone, and money moves while a test waits.
FIGURES = {
    "other_kind_s": 0,
    "release_jobs": 0,
    "release_idle_s": 0,
    "probation_jobs": 2,
    "newcomers_per_address": 99,
}
#: Nothing is released while a test goes on.
HOLD = {"release_jobs": 400, "release_idle_s": 10_000}


class Judged(Audited):
    def __init__(self, make: Callable[..., EchoGrid], database: str = "", **figures: int) -> None:
        self.database = database
        super().__init__(make, trust=_trust(figures), database=database)

    def restart(self, **figures: int) -> None:
        """As after a power cut, under these figures."""
        self.program.kill()
        first, _, _ = self.grid.scheduling.partition("[trust]")
        self.grid.scheduling = first + _trust(figures)
        self.program = self.grid.start()

    async def check_books(self) -> None:
        """Nothing is lost or made up, to the last base unit."""
        self.program.stop()
        async with opened(self.database or f"sqlite:///{self.grid.folder / 'data/tabgrid.db'}"):
            pass


def _trust(figures: dict[str, int]) -> str:
    lines = [f"{name} = {value}" for name, value in (FIGURES | figures).items()]
    return "\n".join(["[trust]", *lines])


async def money(client: httpx.AsyncClient) -> int:
    return int((await client.get("/api/keys/current")).json()["credit"])


async def job_of(client: httpx.AsyncClient, job: str, until: Callable[[Any], bool]) -> Any:
    """As its owner sees it, once it is as wanted."""
    async with asyncio.timeout(PATIENCE_S):
        while not until(found := (await client.get(f"/api/jobs/{job}")).json()):
            await asyncio.sleep(0.1)
    return found


async def wallet_of(grid: EchoGrid, node: RawNode, until: Callable[[Any], bool]) -> Any:
    return await grid.wait_for(f"/api/wallets/{node.wallet}", until)


async def judge(auditor: RawNode, job: str, times: int = 1) -> None:
    for _ in range(times):
        assert await answer(auditor, RIGHT) != job


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def database(request: pytest.FixtureRequest) -> str:
    return "" if request.param == "sqlite" else str(request.getfixturevalue("postgres_url"))


async def test_its_user_has_the_price_back_and_the_right_answer(
    make_echo_grid: Callable[..., EchoGrid],
) -> None:
    judged = Judged(make_echo_grid)
    grid = judged.grid
    async with (
        grid.client(await grid.make_key()) as client,
        grid.node("volunteer") as volunteer,
        judged.auditor("cpu:native") as auditor,
    ):
        before = await money(client)
        job = await judged.job(client)
        await answer(volunteer, WRONG)
        done = await job_of(client, job, lambda job: job["state"] == "done")
        assert done["correction"] is None
        assert await money(client) == before - done["price"]
        await judge(auditor, job, 2)
        found = await job_of(client, job, lambda job: job["correction"] is not None)
        assert found["state"] == "done", "what was delivered stays what it was"
        assert found["correction"]["refunded"] == done["price"]
        assert "another answer" in found["correction"]["reason"]
        assert found["rerun"] != found["output"]
        assert await money(client) == before
        wallet = await wallet_of(grid, volunteer, lambda wallet: wallet["withheld"] == 0)
        assert wallet["claimable"] == 0
        await grid.wait_for("/api/stats", lambda stats: stats["settled"] == 0)
        stranger = (await httpx_get(grid, f"/api/jobs/{job}")).json()
        assert stranger["correction"]["refunded"] == done["price"]
        assert (stranger["output"], stranger["rerun"]) == (None, None)
        page = (await httpx_get(grid, f"/explorer/jobs/{job}")).text
        assert "found wrong" in page
        assert "Its node is not paid" in page
        assert found["pay_state"] == "void"
    await judged.check_books()


async def httpx_get(grid: EchoGrid, path: str) -> httpx.Response:
    async with grid.client() as client:
        return await client.get(path)


async def test_a_right_answer_can_be_claimed_once_it_was_checked(
    make_echo_grid: Callable[..., EchoGrid],
) -> None:
    judged = Judged(make_echo_grid)
    grid = judged.grid
    async with (
        grid.client(await grid.make_key()) as client,
        grid.node("volunteer") as volunteer,
    ):
        job = await judged.job(client)
        await answer(volunteer, RIGHT)
        receipt = await judged.receipt(job)
        await asyncio.sleep(3)  # the grid withholds for a second
        held = await wallet_of(grid, volunteer, lambda wallet: wallet["withheld"] > 0)
        assert (held["withheld"], held["claimable"]) == (receipt["pay"], 0), "it is not checked"
        async with judged.auditor("cpu:native") as auditor:
            await judge(auditor, job)
            await wallet_of(grid, volunteer, lambda w: w["claimable"] == receipt["pay"])
    await judged.check_books()


async def test_whoever_follows_the_grid_sees_it(make_echo_grid: Callable[..., EchoGrid]) -> None:
    judged = Judged(make_echo_grid)
    grid = judged.grid
    async with (
        grid.client(await grid.make_key()) as client,
        grid.node("volunteer") as volunteer,
        judged.auditor("cpu:native") as auditor,
        client.stream("GET", "/api/events") as events,
    ):
        job = await judged.job(client)
        await answer(volunteer, WRONG)
        await judge(auditor, job, 2)
        async with asyncio.timeout(PATIENCE_S):
            async for line in events.aiter_lines():
                if '"correction":{"reason"' in line:
                    assert job in line
                    break
            else:
                pytest.fail("the stream ended without it")


async def test_a_right_answer_that_is_large_is_kept_with_its_job_and_goes_with_it(
    make_echo_grid: Callable[..., EchoGrid],
) -> None:
    # What was found wrong is kept as long as its node's owner may appeal.
    judged = Judged(make_echo_grid, appeal_s=1)
    grid = judged.grid
    async with grid.client(await grid.make_key()) as client:
        async with grid.node("volunteer") as volunteer, judged.auditor("cpu:native") as auditor:
            texts = {"model": MODEL, "input": {"texts": ["Hi"] * ROWS}}
            job = str((await client.post("/api/jobs", json=texts)).json()["id"])
            await upload(grid, volunteer, rows(1))
            for _ in range(2):
                await upload(grid, auditor, rows(0))
            found = await job_of(client, job, lambda job: job["correction"] is not None)
            assert base64.b64decode(found["rerun"]["embeddings"]) == vectors(0)
            assert base64.b64decode(found["output"]["embeddings"]) == vectors(1)
        kept = grid.folder / "data" / "blobs"
        assert len(blobs_in(kept)) == 2
        judged.program.stop()
        grid.keep_s = 1
        judged.program = grid.start()
        await job_of(client, job, lambda job: job["expired_at"] is not None)
        gone = await job_of(client, job, lambda job: not blobs_in(kept))
        assert (gone["rerun"], gone["output"]) == (None, None)
        assert gone["correction"] is not None, "that it was wrong stays known"
    await judged.check_books()


#: So many rows of 384 numbers do not fit into a frame.
ROWS = 64


def vectors(axis: int) -> bytes:
    row = struct.pack(f"<{DIMS}f", *(float(n == axis) for n in range(DIMS)))
    return row * ROWS


def rows(axis: int) -> bytes:
    return msgspec.msgpack.encode({"embeddings": vectors(axis), "dims": DIMS})


def blobs_in(folder: Path) -> list[Path]:
    return [path for path in folder.glob("??/*") if path.is_file()]


async def upload(grid: EchoGrid, node: RawNode, output: bytes) -> None:
    """Answer the next job by an upload."""
    work = await assigned(node)
    digest = hashlib.sha256(output).hexdigest()
    async with grid.client() as client:
        sent = await client.put(work.upload.replace("{digest}", digest), content=output)
        assert sent.status_code == 204, sent.text
    blob = wire.Blob(digest, len(output))
    await node.send(msgspec.structs.replace(node.result(work, output), output=b"", blob=blob))


@pytest.mark.parametrize("verdicts", [0, 1])
async def test_a_kill_while_it_is_judged_loses_nothing_and_refunds_once(
    make_echo_grid: Callable[..., EchoGrid], database: str, verdicts: int
) -> None:
    judged = Judged(make_echo_grid, database)
    grid = judged.grid
    key = await grid.make_key()
    wallet, reference = Keypair(), "cpu:native"
    async with grid.client(key) as client:
        before = await money(client)
        async with grid.node("volunteer", wallet) as volunteer, judged.auditor(reference) as first:
            right = await judged.job(client)
            await answer(volunteer, RIGHT)
            await judged.receipt(right)
            await judge(first, right)
            await judged.checks(right, 1)
            wrong = await judged.job(client)
            await answer(volunteer, WRONG)
            await judged.receipt(wrong)
            await judge(first, wrong, verdicts)
            await judged.checks(wrong, verdicts)
            await assigned(first)  # it is in a reference's hands when the power goes
            judged.restart()
        async with judged.auditor(reference) as second:
            await judge(second, wrong, 2 - verdicts)
            found = await job_of(client, wrong, lambda job: job["correction"] is not None)
        assert found["rerun"] is not None
        pay = (await judged.receipt(right))["pay"]
        price = (await judged.receipt(right))["price"]
        judged.restart()
        # What was right is withheld while the unit is under suspicion, and no more than that.
        left = await grid.wait_for(f"/api/wallets/{wallet.pubkey()}", lambda w: "withheld" in w)
        assert left["withheld"] + left["claimable"] <= pay
        assert await money(client) == before - price
    await judged.check_books()


async def test_one_wrong_answer_has_the_earlier_ones_looked_at_again_and_three_end_it(
    make_echo_grid: Callable[..., EchoGrid],
) -> None:
    """Answers that nobody could check then are fetched from the store now."""
    judged = Judged(make_echo_grid, check_within_s=1, **HOLD)
    grid = judged.grid
    key, wallet = await grid.make_key(), Keypair()
    async with grid.client(key) as client:
        before = await money(client)
        async with grid.node("volunteer", wallet) as volunteer:
            jobs = [await judged.job(client) for _ in range(3)]
            for output in (WRONG, RIGHT, WRONG):
                await answer(volunteer, output)
            for job in jobs:
                await judged.receipt(job)
            async with asyncio.timeout(PATIENCE_S):
                while await judged.metric("tabgrid_audits_total") < 3:
                    await asyncio.sleep(0.2)
        judged.restart(appeal_s=3, **HOLD)
        async with AsyncExitStack() as nodes:
            volunteer = await nodes.enter_async_context(grid.node("volunteer", wallet))
            jobs.append(await judged.job(client))
            await answer(volunteer, WRONG)
            # References take users' jobs too, so none is there before.
            auditor = await nodes.enter_async_context(judged.auditor("cpu:native"))
            await judge(auditor, jobs[-1], 7)  # twice each of three wrong ones, once the right one
            for job in (jobs[0], jobs[2], jobs[3]):
                await job_of(client, job, lambda job: job["correction"] is not None)
            decisions = 'tabgrid_trust_decisions_total{decision="ConvictUnit"}'
            assert await judged.metric(decisions) == 1
            # Its wallet gets no more jobs: the reference has to do it.
            last = await judged.job(client)
            assert await answer(auditor, RIGHT) == last
            right, own = await judged.receipt(jobs[1]), await judged.receipt(last)
            assert own["wallet"] == str(judged.reference.pubkey())
            # And after the time to appeal it has nothing.
            await wallet_of(grid, volunteer, lambda w: w["withheld"] == 0)
            assert (await wallet_of(grid, volunteer, lambda w: True))["claimable"] == 0
        assert await money(client) == before - right["price"] - own["price"]
    await judged.check_books()
