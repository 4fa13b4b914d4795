"""A device that the grid does not take yet: its owner presses "Test again" and sees what comes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack

import httpx
from playwright.sync_api import expect
from solders.keypair import Keypair

from tabgrid_wire import messages as wire
from tests.browser.test_strikes import answer, elsewhere, join, reference_of
from tests.integration.test_audits import MODEL, RIGHT
from tests.support.grid import Grid
from tests.support.listening import listen
from tests.support.tab import Tab

SETTINGS = f"""
[scheduling]
lease_min_s = 120
[trust]
newcomers_per_address = 1
probation_jobs = 1
[grids.text]
title = "Text"
description = "Embeddings."
models = ["{MODEL}"]
price_per_unit = 100000
demo_credit = 1000000000
"""
JOB = {"model": MODEL, "input": {"texts": ["Hi"]}}
NOT_YET = "The grid does not take answers of this device yet."
#: A line that stands for less than 50 ms may be left out.
TESTED_AND_READY = """() =>
    said.message.some((line) => /^(Loading|Testing) /.test(line))
    && said.message.at(-1) === "Ready. Waiting for jobs."
"""


async def take_the_place(grid: Grid, wallet: Keypair) -> None:
    """One newcomer of this network address is in probation, and more may not be."""
    async with AsyncExitStack() as stack, asyncio.timeout(60):
        node = await join(grid, stack, wallet, "device-first")
        while not isinstance(await node.receive(), wire.Standing):
            pass


async def prove_oneself(grid: Grid, wallet: Keypair) -> None:
    """The newcomer answers right, which a reference confirms: the place is free again."""
    headers = {"Authorization": f"Bearer {grid.make_key()}"}
    async with AsyncExitStack() as stack, asyncio.timeout(60):
        node = await join(grid, stack, wallet, "device-first")
        async with httpx.AsyncClient(base_url=grid.url, trust_env=False, timeout=60) as client:
            assert (await client.post("/api/jobs", json=JOB, headers=headers)).status_code == 202
        await answer(node, RIGHT)
        reference = await join(grid, stack, reference_of(grid), "device-lab")
        await answer(reference, RIGHT)
        told = None
        while told != "proven":
            message = await node.receive()
            told = message.state if isinstance(message, wire.Standing) else told


def test_test_again_runs_the_test_again_and_says_what_came_out(
    grid: Grid, open_tab: Callable[..., Tab]
) -> None:
    first = Keypair()
    elsewhere(take_the_place(grid, first))
    tab = open_tab(grid.url).visit("wasm")
    tab.connect()
    tab.start().expect_state("ready")
    notice, button = tab.page.locator("#notice"), tab.page.locator("#notice-action")
    expect(notice).to_contain_text(NOT_YET)
    expect(button).to_have_text("Test again")

    listen(tab.page, "message")
    button.click()
    tab.page.wait_for_function(TESTED_AND_READY)
    expect(notice).to_contain_text(NOT_YET)

    elsewhere(prove_oneself(grid, first))
    listen(tab.page, "message")
    button.press("Enter")
    tab.page.wait_for_function(TESTED_AND_READY)
    expect(notice).to_be_hidden()
    expect(tab.page.locator("#message")).to_be_focused()
    with grid.client(headers={"Authorization": f"Bearer {grid.make_key()}"}) as client:
        job = client.post("/api/jobs", json=JOB, headers={"Prefer": "wait=60"}).json()
    assert job["state"] == "done", job
    expect(tab.find("jobs-done")).to_have_text("1")
