"""A stranger whose answers wait to be checked gets no more jobs until some are: real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from solders.keypair import Keypair

from tabgrid_wire import messages as wire
from tests.integration.conftest import EchoGrid
from tests.integration.test_audits import RIGHT
from tests.integration.test_standing import Standing, answer, until

TRUST = "[trust]\nnewcomers_per_address = 99\nunproven_per_unit = 3\nprobation_jobs = 99\n"


async def test_no_more_of_a_strangers_answers_go_out_unchecked_than_may_wait(
    make_echo_grid: Callable[..., EchoGrid],
) -> None:
    grid = Standing(make_echo_grid, TRUST)
    stranger, other = Keypair(), Keypair()
    async with (
        asyncio.timeout(120),
        grid.grid.client(await grid.grid.make_key()) as client,
        grid.node(stranger, "cpu:x") as node,
    ):
        assert (await until(node, wire.Standing)).state == "probation"
        for _ in range(3):
            job = await grid.job(client)
            assert await answer(node, RIGHT) == job
        told = await until(node, wire.Standing)
        assert told.state == "waiting"
        assert told.reason.startswith("Your answers wait to be checked; jobs go on by themselves")
        assert not told.test, "there is nothing to press"
        job = await grid.job(client)
        assert (await client.get(f"/api/jobs/{job}")).json()["state"] == "queued"
        async with grid.node(other, "cpu:y") as another:
            assert await answer(another, RIGHT) == job, "others get what he does not"
        async with grid.node(grid.audited.reference, "cpu:lab") as reference:
            # The oldest first: with two of three looked at it is fewer than half.
            for _ in range(2):
                await answer(reference, RIGHT)
            told = await until(node, wire.Standing)
        assert told.state == "probation"
        job = await grid.job(client)
        assert await answer(node, RIGHT) == job
