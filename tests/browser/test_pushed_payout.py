"""A wallet without SOL lets the grid pay the network: the offer, the fee, and the money."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
from playwright.sync_api import BrowserContext, expect
from solders.hash import Hash
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction

from tabgrid_server.bench.client import RawNode, sign_in
from tabgrid_server.chain.rpc import Rpc
from tabgrid_wire import messages as wire
from tests.support.elsewhere import elsewhere
from tests.support.grid import Grid
from tests.support.tab import Tabs

SETTINGS = """
[chain]
push_minimum = 1000
push_fee = 100
push_account_fee = 300
push_wait_s = 1
[grids.bench]
title = "Bench"
description = "Jobs that compute nothing."
models = ["echo"]
price_per_unit = 100000
fee_bps = 0
release_s = 1
demo_credit = 1000000000
"""
SEED = "2a" * 32


async def earn(grid: Grid, wallet: Keypair) -> int:
    """One job, done and released; what is claimable then."""
    worker = Keypair()
    token = await sign_in(grid.url, wallet, worker, "device-push")
    node = await RawNode.open(grid.url, token, wallet, worker)
    await node.join("bench", device="device-push")
    headers = {"Authorization": f"Bearer {grid.make_key()}"}
    async with httpx.AsyncClient(base_url=grid.url, trust_env=False, timeout=60) as client:
        job = {"model": "echo", "input": {"text": "hello"}}
        assert (await client.post("/api/jobs", json=job, headers=headers)).status_code == 202
        while not isinstance(assign := await node.receive(), wire.Assign):
            pass
        await node.send(node.result(assign, assign.input))
        await node.receive()
        await node.close()
        async with asyncio.timeout(60):
            while not (claimable := await _claimable(client, wallet)):
                await asyncio.sleep(0.2)
    return claimable


async def _claimable(client: httpx.AsyncClient, wallet: Keypair) -> int:
    return int((await client.get(f"/api/wallets/{wallet.pubkey()}")).json()["claimable"])


async def spend_all_sol(grid: Grid, wallet: Keypair) -> None:
    """The faucet of the local chain gives some once the wallet has signed in."""
    async with Rpc(grid.rpc) as rpc, asyncio.timeout(60):
        while not (given := await rpc.balance(wallet.pubkey())):
            await asyncio.sleep(0.1)
        rest = given - 5_000
        away = TransferParams(
            from_pubkey=wallet.pubkey(), to_pubkey=Keypair().pubkey(), lamports=rest
        )
        blockhash = Hash.from_string((await rpc.blockhash()).hash)
        message = MessageV0.try_compile(wallet.pubkey(), [transfer(away)], [], blockhash)
        await rpc.send(bytes(VersionedTransaction(message, [wallet])))
        while await rpc.balance(wallet.pubkey()):
            await asyncio.sleep(0.1)


def test_a_wallet_without_sol_has_its_payout_pushed(
    grid: Grid, new_context: Callable[[], BrowserContext], browser_config: dict[str, Any]
) -> None:
    grid.until_chain_is_open()
    wallet = Keypair.from_seed(bytes.fromhex(SEED))
    claimable = elsewhere(earn(grid, wallet))
    tabs = Tabs(new_context, browser_config["SLOW_TIMEOUT_MS"])
    tab = tabs.open(grid.url, seed=SEED).visit()
    assert tab.connect() == str(wallet.pubkey())
    tab.expect_money("claimable")
    expect(tab.find("push-offer")).to_be_hidden()  # the faucet's SOL is enough for a claim
    elsewhere(spend_all_sol(grid, wallet))
    tab.page.reload()
    expect(tab.find("push-offer")).to_contain_text("keeps 0.0004 TGT of your tokens")
    expect(tab.find("push-offer")).to_contain_text("making your token account")
    received = f"{(claimable - 400) / 1e6:f}".rstrip("0")
    expect(tab.find("push")).to_have_text(f"Receive {received} TGT")
    tab.find("push").click()
    expect(tab.find("claim-status")).to_contain_text("Finalized")
    expect(tab.find("push-offer")).to_be_hidden()
    assert tab.wallet_log().count("signTransaction") == 0
    with grid.client() as client:
        (claim,) = client.get(f"/api/claims?wallet={wallet.pubkey()}").json()["claims"]
        assert (claim["state"], claim["push_fee"]) == ("finalized", 400)
        paid = client.get(f"/api/transactions/{claim['signature']}").json()["on_chain"]
        assert claimable - 400 in [move["amount"] for move in paid["moves"]]
        assert str(wallet.pubkey()) not in paid["signers"]
    tab.page.goto(f"{grid.url}/explorer/transactions/{claim['signature']}")
    expect(tab.page.locator("main")).to_contain_text("for paying the network")
    tab.page.goto(f"{grid.url}/explorer/wallets/{wallet.pubkey()}/statement?account=push_fees")
    expect(tab.page.get_by_test_id("statement-line")).to_have_count(1)
    tabs.check()
