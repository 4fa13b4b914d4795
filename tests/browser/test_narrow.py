"""No page scrolls sideways on the narrowest screen, whatever is on it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from solders.keypair import Keypair

from tabgrid_node.keys import read_keypair
from tabgrid_server.bench.client import sign_in
from tabgrid_server.pages import routes
from tabgrid_server.pages.guides import ORDER
from tests.support.grid import Grid
from tests.support.proving import signed_by

#: CSS pixels of the smallest phones in use, and of a laptop's page at 400 % (WCAG 1.4.10).
WIDTH = 320
#: What is no page.
FILES = {"/favicon.svg", "/favicon.ico", "/manifest.webmanifest"}
SETTINGS = "[chain]\nepoch_s = 1\nclaim_minimum = 1\n"
WORK: tuple[dict[str, Any], ...] = (
    {"model": "all-MiniLM-L6-v2", "input": {"texts": ["A tab earns."]}},
    {
        "model": "minilm-labels",
        "input": {"texts": ["Fry the onions."], "labels": ["sport", "cooking"]},
    },
    {
        "model": "tabgrid-scenes",
        "input": {"prompt": "a red circle above a blue square", "steps": 1},
        "public": True,
    },
)


@pytest.fixture(scope="module")
def key(grid: Grid) -> str:
    return grid.make_key("narrow")


@pytest.fixture(scope="module")
def addresses(grid: Grid, key: str) -> dict[str, list[str]]:
    """By route, addresses of pages on which something is to be seen. Before any browser is there:
    its loop bears no other beside it."""
    grid.until_chain_is_open()
    grid.start_node("node", "text", "labels", "images").ready()
    done = [_worked(grid, key, order) for order in WORK]
    jobs = [job["id"] for job in done]
    wallet = done[0]["wallet"]
    signature = asyncio.run(_claimed(grid, read_keypair(grid.folder / "node.keypair.json")))
    epochs = _until(grid, "/api/epochs", lambda told: told["epochs"] and not told["waiting"])
    guides = [f"/docs/{slug}" for slug in ORDER]
    return {
        "/": ["/"],
        "/node": ["/node"],
        "/playground": ["/playground"] + [f"/playground?model={o['model']}" for o in WORK],
        "/playground/statement": ["/playground/statement"],
        "/explorer": ["/explorer"],
        "/explorer/pictures": ["/explorer/pictures"],
        "/explorer/jobs/{id}": [f"/explorer/jobs/{job}" for job in jobs],
        "/explorer/jobs/{id}/postings": [f"/explorer/jobs/{jobs[0]}/postings"],
        "/explorer/postings": ["/explorer/postings"],
        "/explorer/health": ["/explorer/health"],
        "/explorer/wallets/{address}": [f"/explorer/wallets/{wallet}"],
        "/explorer/wallets/{address}/statement": [f"/explorer/wallets/{wallet}/statement"],
        "/explorer/transactions/{signature}": [f"/explorer/transactions/{signature}"],
        "/explorer/epochs": ["/explorer/epochs"],
        "/explorer/epochs/{number}": [f"/explorer/epochs/{epochs['epochs'][0]['epoch']}"],
        "/docs": ["/docs"],
        "/docs/{slug}": guides,
        "nowhere": ["/nowhere", "/explorer/jobs/job_x", "/explorer/wallets/x"],
    }


ROUTES = [route.path for route in routes() if route.path not in FILES] + ["nowhere"]


@pytest.mark.parametrize("route", ROUTES)
def test_no_page_scrolls_sideways_at_320_px(
    addresses: dict[str, list[str]],
    watched: Callable[..., Page],
    grid: Grid,
    key: str,
    route: str,
) -> None:
    page = watched()
    page.set_viewport_size({"width": WIDTH, "height": 640})
    page.add_init_script(f"localStorage.setItem('tabgrid.playground.key', {json.dumps(key)})")
    for address in addresses[route]:
        page.goto(grid.url + address)
        if route == "/playground/statement":
            expect(page.get_by_test_id("statement-line").first).to_be_visible()
        over = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert over <= 0, f"{address} is {over} px too wide"


def _worked(grid: Grid, key: str, order: dict[str, Any]) -> Any:
    headers = {"Authorization": f"Bearer {key}"}
    with grid.client(headers=headers) as client:
        job = client.post("/api/jobs", json=order).raise_for_status().json()
    return _until(grid, f"/api/jobs/{job['id']}", lambda row: row["state"] == "done")


async def _claimed(grid: Grid, wallet: Keypair) -> str:
    """The signature of a claim of all that the wallet may claim."""
    path = f"/api/wallets/{wallet.pubkey()}"
    await asyncio.to_thread(_until, grid, path, lambda told: told["claimable"] > 0)
    token = await sign_in(grid.url, wallet, Keypair(), "device-narrow")
    headers = {"Authorization": f"Bearer {token}"}
    with grid.client(headers=headers) as client:
        claim = client.post("/api/claims", json={}).raise_for_status().json()
        signed = {"transaction": signed_by(wallet, claim["transaction"])}
        client.post(f"/api/claims/{claim['id']}/sign", json=signed).raise_for_status()
    path = f"/api/claims/{claim['id']}"
    told = await asyncio.to_thread(_until, grid, path, lambda told: told["signature"])
    return str(told["signature"])


def _until(grid: Grid, path: str, wanted: Callable[[Any], Any]) -> Any:
    """Ask until the answer is as wanted; the last answer is in the failure."""
    until = time.monotonic() + 120
    with grid.client() as client:
        while not wanted(told := client.get(path).raise_for_status().json()):
            assert time.monotonic() < until, told
            time.sleep(0.1)
    return told
