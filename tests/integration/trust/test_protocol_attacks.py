"""Replays, others' leases, late answers: none of them is paid, and nobody else suffers."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, suppress

import httpx
import pytest

from tabgrid_server.bench.client import RawNode
from tabgrid_wire import messages as wire
from tests.integration.conftest import PATIENCE_S, EchoGrid, assigned
from tests.support.bad_nodes import attacks

JOB = {"model": "echo", "input": {"text": "the same question every time"}}


@pytest.fixture(scope="module")
def echo_grid(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EchoGrid]:
    """Leases that no loaded machine outlasts, and nodes that may fail as often as they like."""
    grid = EchoGrid(
        tmp_path_factory.mktemp("echo"), lease_min_s=60, scheduling="strikes = 1000\nattempts = 9"
    )
    grid.start()
    yield grid
    grid.programs.stop()


async def submit(client: httpx.AsyncClient) -> str:
    answer = await client.post("/api/jobs", json=JOB)
    return str(answer.raise_for_status().json()["id"])


async def until_done(grid: EchoGrid, job: str) -> str:
    """Who was paid for it."""
    row = await grid.wait_for(f"/api/jobs/{job}", lambda row: row["state"] == "done")
    return str(row["wallet"])


async def refused(node: RawNode, result: wire.Result) -> str:
    """The code of the grid's answer to a result that it must not take."""
    await node.send(result)
    async with asyncio.timeout(PATIENCE_S):
        while not isinstance(answer := await node.receive(), wire.Error):
            assert not isinstance(answer, wire.Settled), "it was paid"
    assert answer.lease == result.lease
    return answer.code


def booked(grid: EchoGrid, wallet: str) -> dict[str, int]:
    """Job to what its settlement gave this wallet, from the postings themselves."""
    with closing(sqlite3.connect(grid.folder / "data" / "tabgrid.db")) as database:
        found = database.execute(
            "SELECT t.ref, p.amount FROM postings p JOIN transfers t ON t.id = p.transfer_id"
            " WHERE t.kind = 'settle' AND p.account LIKE ?",
            (f"node:{wallet}:%",),
        )
        return dict(found.fetchall())


async def test_a_commitment_serves_one_job_only(echo_grid: EchoGrid) -> None:
    """Also the published one of somebody else, for the very same answer."""
    async with echo_grid.client(await echo_grid.make_key()) as client:
        async with echo_grid.node("honest") as honest:
            first = await submit(client)
            work = await assigned(honest)
            await honest.send(honest.result(work, work.input))
            assert await until_done(echo_grid, first) == honest.wallet
        receipt = (await client.get(f"/api/receipts/{first}")).json()
        async with echo_grid.node("copycat") as cheat:
            second = await submit(client)
            work = await assigned(cheat)
            mine = cheat.result(work, work.input)
            published = wire.Result(
                *(work.lease, work.job, work.input, bytes.fromhex(receipt["nonce"])),
                *(bytes.fromhex(receipt["signature"]), 0),
            )
            assert await refused(cheat, published) == "invalid_result"
            work = await assigned(cheat)
            again = attacks.with_commitment_of(mine, cheat.result(work, work.input))
            assert work.job == second
            await cheat.send(again)
            # For the same job and the same answer it is the same commitment: taken, once.
            assert await until_done(echo_grid, second) == cheat.wallet
            third = await submit(client)
            work = await assigned(cheat)
            replay = attacks.with_commitment_of(mine, cheat.result(work, work.input))
            assert await refused(cheat, replay) == "invalid_result"
        assert (await client.post(f"/api/jobs/{third}/cancel")).status_code == 200
    assert set(booked(echo_grid, cheat.wallet)) == {second}


async def test_a_result_said_twice_is_paid_once(echo_grid: EchoGrid) -> None:
    async with (
        echo_grid.client(await echo_grid.make_key()) as client,
        echo_grid.node("parrot") as parrot,
    ):
        job = await submit(client)
        work = await assigned(parrot)
        result = parrot.result(work, work.input)
        for _ in range(5):
            await parrot.send(result)
        codes = []
        async with asyncio.timeout(PATIENCE_S):
            while len(codes) < 4:
                message = await parrot.receive()
                if isinstance(message, wire.Error):
                    codes.append(message.code)
        assert codes == ["stale_lease"] * 4
        await until_done(echo_grid, job)
    pay = booked(echo_grid, parrot.wallet)
    assert list(pay) == [job]
    receipt = (await client_get(echo_grid, f"/api/receipts/{job}")).json()
    assert pay[job] == receipt["pay"]


async def client_get(grid: EchoGrid, path: str) -> httpx.Response:
    async with grid.client() as client:
        return await client.get(path)


async def test_leases_and_jobs_of_others_are_worth_nothing(echo_grid: EchoGrid) -> None:
    async with (
        echo_grid.client(await echo_grid.make_key()) as client,
        echo_grid.node("victim") as victim,
    ):
        theirs = await submit(client)
        their_work = await assigned(victim)
        async with echo_grid.node("thief") as thief:
            mine = await submit(client)
            my_work = await assigned(thief)
            whole = thief.result(their_work, their_work.input)
            crossed = thief.result(my_work, my_work.input)
            for stolen in (
                whole,
                attacks.for_lease(crossed, their_work.lease),
                attacks.for_job(crossed, theirs),
                attacks.for_lease(whole, my_work.lease),
                attacks.for_lease(crossed, "lease_00000000000000000000000000"),
            ):
                assert await refused(thief, stolen) == "stale_lease"
            # Nor can it fail the job, or say how far it is, in the victim's name.
            await thief.send(wire.Progress(their_work.lease, 9, 9, "stolen"))
            await thief.send(wire.Failed(their_work.lease, theirs, "internal", "It is broken."))
            await victim.send(victim.result(their_work, their_work.input))
            assert await until_done(echo_grid, theirs) == victim.wallet
            await thief.send(thief.result(my_work, my_work.input))
            assert await until_done(echo_grid, mine) == thief.wallet
    assert set(booked(echo_grid, thief.wallet)) == {mine}
    assert set(booked(echo_grid, victim.wallet)) == {theirs}


async def test_an_answer_after_the_lease_is_not_paid(
    make_echo_grid: Callable[..., EchoGrid],
) -> None:
    grid = make_echo_grid(lease_min_s=2, scheduling="attempts = 9")
    grid.start()
    async with grid.client(await grid.make_key()) as client, grid.node("late") as late:
        job = await submit(client)
        work = await assigned(late)
        result = late.result(work, work.input)
        while not isinstance(await late.receive(), wire.Cancel):
            pass
        assert await refused(late, result) == "stale_lease"
        # Handed out again, perhaps to the same node: only that lease counts now.
        async with grid.node("punctual") as punctual:
            await late.close()
            again = await assigned(punctual)
            await punctual.send(punctual.result(again, again.input))
            assert await until_done(grid, job) == punctual.wallet
    assert booked(grid, late.wallet) == {}


async def test_an_answer_to_a_job_that_was_called_off_is_not_paid(echo_grid: EchoGrid) -> None:
    async with (
        echo_grid.client(await echo_grid.make_key()) as client,
        echo_grid.node("slow") as slow,
    ):
        job = await submit(client)
        work = await assigned(slow)
        assert (await client.post(f"/api/jobs/{job}/cancel")).status_code == 200
        assert await refused(slow, slow.result(work, work.input)) == "stale_lease"
        assert (await client.get("/api/keys/current")).json()["credit"] == 1_000_000
    assert booked(echo_grid, slow.wallet) == {}


async def test_an_answer_before_ready_or_from_a_former_life_is_not_paid(
    echo_grid: EchoGrid,
) -> None:
    """A node may answer for its last connection; the lease ended with it all the same."""
    async with echo_grid.client(await echo_grid.make_key()) as client:
        stranger = attacks.Stranger(echo_grid.url)
        before = await stranger.join("bench")
        job = await submit(client)
        work = await assigned(before)
        await before.close()
        token = await stranger.sign_in()
        after = await RawNode.open(echo_grid.url, token, stranger.wallet, stranger.worker)
        await after.join("bench", device=stranger.device, ready=False)
        assert await refused(after, after.result(work, work.input)) == "stale_lease"
        await after.close()
        assert (await client.post(f"/api/jobs/{job}/cancel")).status_code == 200
    assert booked(echo_grid, str(stranger.wallet.pubkey())) == {}


async def test_a_precision_that_the_model_has_not_is_no_way_to_a_wider_threshold(
    make_echo_grid: Callable[..., EchoGrid],
) -> None:
    grid = make_echo_grid(model="all-MiniLM-L6-v2", lease_min_s=60)
    grid.start()
    async with grid.client(await grid.make_key()) as client:
        stranger = attacks.Stranger(grid.url)
        token = await stranger.sign_in()
        liar = await RawNode.open(grid.url, token, stranger.wallet, stranger.worker)
        (offered,) = (await liar.join("bench", device=stranger.device, ready=False)).models
        for variant, dtype in (("q8", "fp16"), ("fp16", "fp16"), ("fp16", "q8")):
            await liar.send(wire.Ready((wire.LoadedModel(offered.digest, variant, dtype, 1e6),)))
        async with grid.node("honest") as honest:
            asked = {"model": offered.model, "input": {"texts": ["Hello"]}}
            jobs = [await client.post("/api/jobs", json=asked) for _ in range(2)]
            work = await assigned(honest)
            assert work.job == jobs[0].json()["id"]
            await honest.send(wire.Failed(work.lease, work.job, "internal", "Try somebody else."))
            # The only node that it can go to, and the second job waits for it too.
            assert (await assigned(honest)).job in {job.json()["id"] for job in jobs}
        await liar.close()


async def test_one_nodes_word_ends_no_job(echo_grid: EchoGrid) -> None:
    """Whatever it calls it: the next node is asked, though the first is free at once."""
    async with echo_grid.client(await echo_grid.make_key()) as client:
        for code in ("bad_input", "internal", "out_of_memory"):
            async with echo_grid.node("refuser") as refuser, echo_grid.node("willing") as willing:
                job = await submit(client)
                work = await assigned(refuser)
                await refuser.send(wire.Failed(work.lease, work.job, code, "I would rather not."))
                again = await assigned(willing)
                assert again.job == job
                await willing.send(willing.result(again, again.input))
                assert await until_done(echo_grid, job) == willing.wallet
    assert booked(echo_grid, refuser.wallet) == {}


async def test_coming_and_going_uses_up_no_jobs_attempts(
    make_echo_grid: Callable[..., EchoGrid],
) -> None:
    """A job that waits for busy nodes, and one that is always free, takes it and hangs up."""
    grid = make_echo_grid(lease_min_s=60)  # strikes = 3, attempts = 4, as by default
    grid.start()
    async with grid.client(await grid.make_key()) as client, grid.node("busy") as busy:
        first, second = await submit(client), await submit(client)
        work = await assigned(busy)
        stranger = attacks.Stranger(grid.url)
        for _ in range(6):
            vandal = await stranger.join("bench")
            with suppress(TimeoutError):
                async with asyncio.timeout(2):
                    assert (await vandal.receive()).job == second
            await vandal.close()
        await busy.send(busy.result(work, work.input))
        work = await assigned(busy)
        assert work.job == second
        await busy.send(busy.result(work, work.input))
        for job in (first, second):
            assert await until_done(grid, job) == busy.wallet
