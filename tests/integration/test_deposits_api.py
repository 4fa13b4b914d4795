"""Credit paid in and given back over HTTP: a real coordinator, a real chain, a wallet's key."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from solders.keypair import Keypair
from solders.message import to_bytes_versioned
from solders.transaction import VersionedTransaction

from tabgrid_server.chain.rpc import Rpc
from tests.support.grid import Grid
from tests.support.payers import Bank

UNIT = 10**6
#: Finality takes 13 s; the machine may be busy.
WITHIN_S = 90
SETTINGS = """
[grids.text]
demo_credit = 7000000
"""


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grid]:
    running = Grid(tmp_path_factory.mktemp("grid"), SETTINGS)
    try:
        running.start().until_chain_is_open()
        yield running
    finally:
        running.stop()


class User:
    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http

    async def post(self, path: str, body: Any, status: int) -> Any:
        answer = await self.http.post(path, json=body)
        assert answer.status_code == status, answer.text
        return answer.json()

    async def get(self, path: str) -> Any:
        return (await self.http.get(path)).raise_for_status().json()

    async def until(self, path: str, done: Callable[[Any], bool]) -> Any:
        async with asyncio.timeout(WITHIN_S):
            while not done(found := await self.get(path)):
                await asyncio.sleep(0.3)
        return found


@asynccontextmanager
async def user_of(grid: Grid) -> AsyncIterator[User]:
    headers = {"Authorization": f"Bearer {grid.make_key()}"}
    async with httpx.AsyncClient(
        base_url=grid.url, headers=headers, timeout=60, trust_env=False
    ) as http:
        yield User(http)


@asynccontextmanager
async def bank_of(grid: Grid) -> AsyncIterator[Bank]:
    async with Rpc(grid.rpc) as rpc:
        yield Bank.of_treasury(rpc, Path(grid.folder) / "data")


def signed(transaction: str, wallet: Keypair) -> dict[str, str]:
    """What a wallet returns: its signature in its place, the others as they are."""
    asked = VersionedTransaction.from_bytes(base64.b64decode(transaction))
    places = [wallet.sign_message(to_bytes_versioned(asked.message)), *asked.signatures[1:]]
    raw = bytes(VersionedTransaction.populate(asked.message, places))
    return {"transaction": base64.b64encode(raw).decode()}


async def test_paid_in_by_a_connected_wallet_and_given_back(grid: Grid) -> None:
    async with user_of(grid) as alice, bank_of(grid) as bank:
        wallet = await bank.customer(9 * UNIT)
        address = str(wallet.pubkey())
        made = await alice.post("/api/deposits", {"amount": 5 * UNIT}, 201)
        path = f"/api/deposits/{made['id']}"
        assert (made["state"], made["amount"], made["received"]) == ("waiting", 5 * UNIT, 0)
        assert made["url"].startswith("solana:")
        assert f"reference={made['reference']}" in made["url"]
        assert made["qr"].startswith("<svg ")

        asked = await alice.post(f"{path}/transaction", {"wallet": address}, 200)
        sent = await alice.post(f"{path}/send", signed(asked["transaction"], wallet), 202)
        assert sent["state"] in ("waiting", "arriving")
        again = await alice.post(f"{path}/send", signed(asked["transaction"], wallet), 202)
        assert again["id"] == made["id"]
        await alice.until(path, lambda it: it["state"] == "arriving")
        paid = await alice.until(path, lambda it: it["state"] == "paid")
        assert paid["received"] == 5 * UNIT
        key = await alice.get("/api/keys/current")
        assert (key["credit"], key["deposited"]) == (12 * UNIT, 5 * UNIT)
        listed = await alice.get("/api/deposits")
        assert [each["amount"] for each in listed["arrivals"]] == [5 * UNIT]
        assert listed["refundable"] == [{"wallet": address, "amount": 5 * UNIT}]

        claim = await alice.post("/api/refunds", {"wallet": address}, 201)
        assert (claim["amount"], claim["state"]) == (5 * UNIT, "reserved")
        twice = await alice.post("/api/refunds", {"wallet": address}, 201)
        assert twice["id"] == claim["id"], "the same one, still to be signed"
        assert (await alice.get("/api/keys/current"))["credit"] == 7 * UNIT
        sign = f"/api/refunds/{claim['id']}/sign"
        await alice.post(sign, signed(claim["transaction"], wallet), 202)
        over = await alice.until(
            f"/api/refunds/{claim['id']}", lambda it: it["state"] in ("finalized", "failed")
        )
        assert over["state"] == "finalized", over
        account = await bank.rpc.token_account(bank.home(wallet.pubkey()))
        assert account is not None
        assert account.amount == 9 * UNIT
        await alice.post("/api/refunds", {"wallet": address}, 409)
        key = await alice.get("/api/keys/current")
        assert (key["credit"], key["refunded"], key["spent"]) == (7 * UNIT, 5 * UNIT, 0)
        books = await alice.get(f"/api/wallets/{address}")
        assert (books["earned"], books["paid"]) == (0, 0), "given back is not earned"


async def test_what_is_refused(grid: Grid) -> None:
    async with user_of(grid) as alice, user_of(grid) as bob, bank_of(grid) as bank:
        made = await alice.post("/api/deposits", {}, 201)
        path, wallet = f"/api/deposits/{made['id']}", Keypair()
        address = str(wallet.pubkey())
        assert (await bob.http.get(path)).status_code == 404, "another key's"
        await alice.post(f"{path}/transaction", {"wallet": address}, 409)  # how much?
        one = {"wallet": address, "amount": 1}
        asked = await alice.post(f"{path}/transaction", one, 200)
        poor = await alice.post(f"{path}/send", signed(asked["transaction"], wallet), 409)
        assert "Nothing was sent" in poor["error"]["message"]
        other = await alice.post("/api/deposits", {"amount": 1}, 201)
        wrong = f"/api/deposits/{other['id']}/send"
        await alice.post(wrong, signed(asked["transaction"], wallet), 409)
        await alice.post(f"{path}/send", {"transaction": "AAAA"}, 409)
        await alice.post("/api/deposits", {"amount": 0}, 400)
        await alice.post("/api/deposits", {"wallet": "nobody"}, 400)
        looks_like_one = {"wallet": "z" * 44}
        for way in ("/api/deposits", f"{path}/transaction", "/api/refunds"):
            none = await alice.post(way, looks_like_one, 400)
            assert "is no Solana address" in none["error"]["message"]
        await alice.post("/api/refunds", {"wallet": address}, 409)  # nothing was paid in
        qr = await alice.http.get(f"{path}/qr.svg")
        assert qr.headers["content-type"] == "image/svg+xml"
        assert bank.mint is not None
        assert str(bank.mint) in made["url"]
