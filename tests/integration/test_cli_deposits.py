"""`tabgrid deposits`: what an operator sees and assigns, on a store of their own."""

from __future__ import annotations

import asyncio
from pathlib import Path

from click.testing import CliRunner

from tabgrid_server.chain.deposits import Holding, Seen, Till
from tabgrid_server.cli.deposits import deposits
from tabgrid_server.store import ApiKey, Credit, Store, keys
from tabgrid_server.store import deposits as stored
from tabgrid_server.store import ledger as stored_ledger

TILL = Till("Till", "Cold", "Mint", "Token")


def seen(txid: str, *, failed: bool = False) -> Seen:
    held = (
        Holding("Till", "Cold", "Mint", "Token", 0, 2_500_000),
        Holding("Home", "Payer", "Mint", "Token", 2_500_000, 0),
    )
    return Seen(txid, 7, 1_800_000_000.0, failed, ("Till", "Home"), ("Payer",), held)


async def _prepare(url: str) -> None:
    store = await Store.open(url)
    key = ApiKey(id="key_1", owner="alice", label="", created_at=1.0, revoked_at=None)
    await store.write(keys.create, key, "hash", 0, "TGT")
    await store.write(stored.accept, seen("tx1"), TILL, "TGT", 5.0)
    await store.write(stored.put_aside, "tx2", 8, "TGT", 6.0)
    await store.close()


async def _credit(url: str) -> Credit:
    store = await Store.open(url)
    try:
        return await store.read(stored_ledger.credit, "alice", "TGT")
    finally:
        await store.close()


def test_what_is_nobodys_is_shown_and_assigned_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'tabgrid.db'}"
    asyncio.run(_prepare(url))
    where = ["--data", str(tmp_path)]

    shown = CliRunner().invoke(deposits, [*where, "unassigned"])
    assert shown.exit_code == 0, shown.output
    assert "unassigned" in shown.output
    assert "2.500000 TGT  from Payer  tx1" in shown.output
    assert "unread" in shown.output

    wrong = CliRunner().invoke(deposits, [*where, "assign", "tx1", "key_9"])
    assert "No key has the id key_9" in wrong.output
    unread = CliRunner().invoke(deposits, [*where, "assign", "tx2", "key_1"])
    assert "is unread, not unassigned" in unread.output

    done = CliRunner().invoke(deposits, [*where, "assign", "tx1", "key_1"])
    assert done.output == "key_1 has 2.500000 TGT more.\n"
    again = CliRunner().invoke(deposits, [*where, "assign", "tx1", "key_1"])
    assert again.exit_code == 1
    assert "is credited, not unassigned" in again.output
    credit = asyncio.run(_credit(url))
    assert (credit.available, credit.deposited, credit.spent) == (2_500_000, 2_500_000, 0)

    listed = CliRunner().invoke(deposits, [*where, "list", "key_1"])
    assert "credited" in listed.output
    assert "unused: 2.500000 TGT can go back to Payer" in listed.output
