"""A wallet whose answer was found wrong: what its owner sees, on a phone too, and an appeal."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import httpx
from playwright.sync_api import BrowserContext, expect
from solders.keypair import Keypair

from tabgrid_server.bench.client import RawNode, sign_in
from tabgrid_server.chain.keys import load_or_create
from tabgrid_server.pages.format import short
from tabgrid_wire import messages as wire
from tests.integration.test_audits import MODEL, RIGHT, WRONG
from tests.support.elsewhere import elsewhere
from tests.support.grid import Grid
from tests.support.tab import Tabs

SEED = "3b" * 32
SETTINGS = """
[scheduling]
lease_min_s = 120
[trust]
other_kind_s = 0
newcomers_per_address = 99
[grids.text]
price_per_unit = 100000
release_s = 3600
"""
LONGER_THAN_A_LOOK_MS = 16_000


def reference_of(grid: Grid) -> Keypair:
    """The wallet of the operator's own node."""
    return load_or_create(grid.folder / "data" / "reference-node.json")


async def join(grid: Grid, stack: AsyncExitStack, wallet: Keypair, device: str) -> RawNode:
    worker = Keypair()
    token = await sign_in(grid.url, wallet, worker, device)
    node = await RawNode.open(grid.url, token, wallet, worker, wire.SUBPROTOCOLS)
    stack.push_async_callback(node.close)
    async with httpx.AsyncClient(base_url=grid.url, trust_env=False) as client:
        digest = (await client.get("/api/grids")).json()["grids"][0]["models"][0]["digest"]
        manifest = (await client.get(f"/api/models/{digest}")).json()
    variant = manifest["variants"][0]
    await node.join("text", device=device, ready=False, device_class=f"cpu:{device}")
    await node.send(wire.Ready((wire.LoadedModel(digest, variant["id"], variant["dtype"], 1e6),)))
    return node


async def answer(node: RawNode, output: bytes) -> None:
    while not isinstance(assign := await node.receive(), wire.Assign):
        pass
    await node.send(node.result(assign, output))


async def be_struck(grid: Grid, wallet: Keypair) -> wire.Standing:
    """One wrong answer, found by two looks of a reference; what the node is told."""
    headers = {"Authorization": f"Bearer {grid.make_key()}"}
    async with AsyncExitStack() as stack, asyncio.timeout(60):
        node = await join(grid, stack, wallet, "device-liar")
        job = {"model": MODEL, "input": {"texts": ["Hi"]}}
        async with httpx.AsyncClient(base_url=grid.url, trust_env=False, timeout=60) as client:
            assert (await client.post("/api/jobs", json=job, headers=headers)).status_code == 202
        await answer(node, WRONG)
        reference = await join(grid, stack, reference_of(grid), "device-lab")
        for _ in range(2):
            await answer(reference, RIGHT)
        while not isinstance(told := await node.receive(), wire.Standing) or not told.job:
            pass
        return told


async def judge_appeal(grid: Grid, job: str, outputs: list[bytes]) -> None:
    """The reference stays until all that it said is kept: with its node its answers would go."""
    async with AsyncExitStack() as stack, asyncio.timeout(60):
        reference = await join(grid, stack, reference_of(grid), "device-lab")
        for output in outputs:
            await answer(reference, output)
        client = httpx.AsyncClient(base_url=grid.url, trust_env=False, timeout=60)
        await stack.enter_async_context(client)
        heard: list[str] = []
        while heard.count("appeal") < len(outputs):
            await asyncio.sleep(0.1)
            found = (await client.get(f"/api/jobs/{job}/checks")).json()["checks"]
            heard = [check["purpose"] for check in found]


def test_an_owner_sees_a_strike_and_appeals_with_one_click(
    grid: Grid, new_context: Callable[[], BrowserContext], browser_config: dict[str, Any]
) -> None:
    wallet = Keypair.from_seed(bytes.fromhex(SEED))
    told = elsewhere(be_struck(grid, wallet))
    assert told.state == "paused"
    assert "You can appeal" in told.reason
    tabs = Tabs(new_context, browser_config["SLOW_TIMEOUT_MS"])
    tab = tabs.open(grid.url, seed=SEED)
    tab.page.clock.install()
    tab.page.set_viewport_size({"width": 390, "height": 844})
    tab.visit("wasm")
    assert tab.connect() == str(wallet.pubkey())
    strike = tab.find("strike")
    expect(strike).to_have_count(1)
    expect(strike).to_contain_text("not paid")
    expect(strike).to_contain_text("stands")
    expect(strike).to_contain_text("is allowed")
    overflow = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
    assert tab.page.evaluate(overflow), "nothing sticks out of a phone"

    # Before there is another: the page looks by itself too.
    tab.find("appeal").focus()
    later = elsewhere(be_struck(grid, wallet))
    with tab.page.expect_response("**/api/strikes"):
        tab.page.clock.fast_forward(LONGER_THAN_A_LOOK_MS)
    expect(strike).to_have_count(2)
    expect(strike.first).to_contain_text(short(str(later.job)))
    strike = strike.filter(has_text=short(str(told.job)))
    expect(strike.get_by_test_id("appeal")).to_be_focused()

    for width in (1440, 1024, 820, 390):
        tab.page.set_viewport_size({"width": width, "height": 844})
        strike.get_by_test_id("appeal").click(trial=True)  # nothing lies over it

    tab.start().expect_state("ready")
    notice = tab.page.locator("#notice")
    expect(notice).to_contain_text("Your pay is paused")
    expect(notice).to_contain_text(re.compile(r" \(q8 on wasm:[^)]+\): An answer was found wrong"))
    expect(notice).to_contain_text("You can appeal with one click until")
    tab.page.screenshot(path=str(grid.folder / "strike-390.png"), full_page=True)

    strike.get_by_test_id("appeal").press("Enter")
    expect(strike).to_contain_text("appealed: three references run the job again")
    expect(strike.get_by_test_id("appeal")).to_be_hidden()
    expect(strike.locator(".strike-state")).to_be_focused()
    with grid.client() as client:
        job = str(told.job)
        assert client.get("/api/strikes").status_code == 401
        assert client.post(f"/api/strikes/{job}/appeal").status_code == 401
    elsewhere(judge_appeal(grid, job, [WRONG, WRONG, RIGHT]))
    expect(strike).to_contain_text("taken back")
    expect(strike).to_contain_text("2 of 3 references agree with the node.")
    tabs.check()
