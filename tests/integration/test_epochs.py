"""From a settled job to its proof: on a real coordinator and a local chain, checked by hand."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from hashlib import sha256
from typing import Any

import pytest

from tabgrid_server.api.schemas.attestation import Attestation
from tabgrid_server.proofs.statement import verify
from tests.integration.conftest import EchoGrid
from tests.support.proving import Proving


@pytest.fixture(scope="module")
def proving(tmp_path_factory: pytest.TempPathFactory) -> Any:
    grid = EchoGrid(tmp_path_factory.mktemp("proving"))
    yield Proving(grid)
    grid.programs.stop()


@pytest.fixture
async def client(proving: Proving) -> AsyncIterator[Any]:
    async with proving.grid.client() as client:
        yield client


def climb(hash: bytes, index: int, count: int, path: list[str]) -> bytes:
    """Written again from the description in the guide, so that a slip shows."""
    way = [bytes.fromhex(each) for each in path]
    while count > 1:
        if index % 2:
            hash = sha256(b"\1" + way.pop(0) + hash).digest()
        elif index + 1 < count:
            hash = sha256(b"\1" + hash + way.pop(0)).digest()
        index, count = index // 2, (count + 1) // 2
    assert not way
    return hash


def root_of(epoch: dict[str, Any], top: bytes) -> str:
    bound = b"\2tabgrid/epoch/v2\0" + epoch["epoch"].to_bytes(8, "big")
    bound += epoch["count"].to_bytes(8, "big") + bytes.fromhex(epoch["prev_root"])
    return sha256(bound + top).hexdigest()


async def test_a_receipt_leads_to_the_memo_on_chain(proving: Proving, client: Any) -> None:
    jobs = await proving.work(3)
    epochs = await proving.published()
    seen = set()
    for job in jobs:
        receipt = (await client.get(f"/api/receipts/{job}")).content
        proof = (await client.get(f"/api/receipts/{job}/proof")).json()
        assert sha256(receipt).hexdigest() == proof["receipt_hash"]
        epoch = proof["epoch"]
        leaf = sha256(b"\0tabgrid/receipt/v1\0" + sha256(receipt).digest()).digest()
        top = climb(leaf, proof["index"], epoch["count"], proof["path"])
        root = root_of(epoch, top)
        async with proving.rpc() as rpc:
            landed = await rpc.landed(epoch["signature"])
        assert landed is not None
        memos = [bytes(each.data) for each in landed.transaction.message.instructions]
        assert json.loads(memos[-1]) == {
            "v": 2, "epoch": epoch["epoch"], "count": epoch["count"], "root": root,
            "prev_root": epoch["prev_root"],
        }  # fmt: skip
        seen.add(epoch["epoch"])
    assert seen <= {each["epoch"] for each in epochs}


async def test_the_leaves_of_all_epochs_are_all_receipts(proving: Proving, client: Any) -> None:
    await proving.work(2)
    await proving.work(1)
    found: list[str] = []
    for epoch in reversed(await proving.published()):
        start: int | None = 0
        leaves: list[dict[str, Any]] = []
        while start is not None:
            params = {"start": start, "limit": 2}
            page = (await client.get(f"/api/epochs/{epoch['epoch']}/leaves", params=params)).json()
            leaves += page["leaves"]
            start = page["next"]
        kinds = [leaf["kind"] for leaf in leaves]
        first = ["receipt"] * epoch["receipts"] + ["earned"] * epoch["wallets"]
        assert kinds == [*first, "corrected"]
        assert len(kinds) == epoch["count"]
        assert (leaves[-1]["corrections"], leaves[-1]["corrected"]) == (0, "00" * 32)
        found += [leaf["receipt"] for leaf in leaves if leaf["kind"] == "receipt"]
        pays = [json.loads(text)["pay"] for text in found]
        assert [leaf["earned"] for leaf in leaves if leaf["kind"] == "earned"] == [sum(pays)]
    every = (await client.get("/api/receipts", params={"limit": 1000})).json()["receipts"]
    assert [each["receipt"] for each in every] == found


async def test_the_corrections_lead_to_the_root(proving: Proving, client: Any) -> None:
    await proving.work(1)
    for told in await proving.published():
        proof = (await client.get(f"/api/epochs/{told['epoch']}/corrections")).json()
        epoch = proof["epoch"]
        assert epoch == told
        assert proof["index"] == epoch["count"] - 1
        head = epoch["corrections"].to_bytes(8, "big") + bytes.fromhex(epoch["corrected"])
        leaf = sha256(b"\0tabgrid/corrected/v1\0" + head).digest()
        top = climb(leaf, proof["index"], epoch["count"], proof["path"])
        assert root_of(epoch, top) == epoch["root"]


async def test_a_statement_is_signed_and_leads_to_every_balance(
    proving: Proving, client: Any
) -> None:
    await proving.work(1)
    told = (await client.get("/api/attestation")).json()
    statement = verify(Attestation(told["statement"], told["signature"], told["key"]))
    treasury = await proving.treasury()
    assert told["key"] == str(treasury.hot.pubkey())
    assert statement.treasury == str(treasury.account)
    params = {"signature": told["signature"]}
    page = (await client.get("/api/attestation/balances", params=params)).json()
    parts = ("withheld", "claimable", "in_flight")
    assert sum(each[part] for each in page["balances"] for part in parts) == statement.owed > 0
    assert [each["wallet"] for each in page["balances"]] == [str(proving.wallet.pubkey())]
    params = {"signature": "1" * 64}
    assert (await client.get("/api/attestation/balances", params=params)).status_code == 404


async def test_what_is_not_there_is_said(proving: Proving, client: Any) -> None:
    for path in (
        "/api/epochs/999999",
        "/api/epochs/0",
        "/api/epochs/nine",
        "/api/epochs/999999/leaves",
        "/api/epochs/999999/corrections",
        "/api/receipts/job_01KAR8YEWQ2JE73CC4QBWG0000",
        "/api/receipts/job_01KAR8YEWQ2JE73CC4QBWG0000/proof",
    ):
        answer = await client.get(path)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found"), path
