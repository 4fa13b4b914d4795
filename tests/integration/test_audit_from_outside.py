"""`tabgrid audit --grid`, by somebody who has nothing but two addresses.

What is planted is planted as a dishonest operator would do it: in the database of the real
coordinator, with its guards taken off, or by the hot key on the real chain.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from solders.hash import Hash
from solders.message import MessageV0
from solders.transaction import VersionedTransaction
from spl.token.instructions import get_associated_token_address, transfer_checked
from spl.token.models import TransferCheckedParams

from tabgrid_server.chain import memos
from tabgrid_server.chain.keys import load
from tabgrid_server.chain.transactions import memo
from tabgrid_server.proofs import epoch as proofs
from tabgrid_server.proofs.corrections import Head
from tests.integration.conftest import EchoGrid
from tests.support.outside import Told, audit, fresh, tampering
from tests.support.programs import Programs, free_port
from tests.support.proving import PATIENCE_S, Proving

#: A grid is started, earns and is audited, all in processes of their own.
pytestmark = pytest.mark.timeout(400)


@pytest.fixture(scope="module")
def proving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proving]:
    """Five jobs were done and published in several epochs; most of their pay was claimed."""
    grid = EchoGrid(tmp_path_factory.mktemp("audited"))
    made = Proving(grid)

    async def earn() -> None:
        await made.work(3)
        await made.published()
        await made.claim()
        await made.work(2)
        await made.published()

    asyncio.run(earn())
    yield made
    grid.programs.stop()


@pytest.fixture
def tamper(proving: Proving) -> Iterator[Callable[[str], None]]:
    yield from tampering(proving)


async def test_an_honest_grid_passes(proving: Proving) -> None:
    told = await fresh(proving)
    assert told.broken == {}, told.text
    assert told.code == 0
    summary = told.json["summary"]
    assert summary["receipts"] == 5
    assert summary["owed"] == summary["statement"]["owed"] > 0
    assert summary["paid"] == summary["statement"]["paid"] > 0
    assert summary["balance"] >= summary["owed"]
    text = await audit(proving)
    assert text.code == 0
    assert "solvent    yes" in text.text
    assert text.text.rstrip().endswith("All right.")


async def test_an_altered_receipt_is_found(proving: Proving, tamper: Callable[[str], None]) -> None:
    """Its hash beside it is altered too, so that the grid's own audit sees nothing odd."""
    with closing(sqlite3.connect(proving.database)) as connection:
        seq, body = connection.execute("SELECT seq, body FROM receipts LIMIT 1").fetchone()
    changed = json.dumps(json.loads(body) | {"model": "another"}).encode()
    hash = proofs.receipt_hash(changed).hex()
    tamper(f"UPDATE receipts SET body = x'{changed.hex()}', hash = '{hash}' WHERE seq = {seq}")
    told = await fresh(proving)
    assert told.code == 1
    [example] = told.broken["each epoch's leaves give the root on chain"]
    assert example.startswith("epoch 1 gives another root")


async def test_a_removed_receipt_is_found(proving: Proving, tamper: Callable[[str], None]) -> None:
    tamper("DELETE FROM receipts WHERE seq = (SELECT min(seq) FROM receipts)")
    told = await fresh(proving)
    assert told.code == 1
    [example] = told.broken["each epoch has all leaves that were published"]
    assert example.startswith("epoch 1 has ")
    assert "every balance is backed by receipts and corrections" in told.broken


async def test_an_unbacked_balance_is_found(
    proving: Proving, tamper: Callable[[str], None]
) -> None:
    """Of a wallet that never did a job."""
    tamper("INSERT INTO balances VALUES ('node:Friend:claimable', 'TGT', 123456)")
    told = await fresh(proving)
    assert told.code == 1
    assert told.broken == {
        "every balance is backed by receipts and corrections": [
            "Friend has 123,456 in the books, by receipts 0"
        ]
    }


async def test_a_treasury_that_is_short_is_found(
    proving: Proving, tamper: Callable[[str], None]
) -> None:
    tamper("UPDATE balances SET amount = 9000000000000000 WHERE account LIKE 'node:%claimable'")
    told = await fresh(proving)
    assert told.code == 1
    [example] = told.broken["the treasury covers what is owed"]
    assert "missing for the 9,000,000,000,000,000 owed as stated" in example
    assert "solvent    NO" in (await audit(proving)).text


async def test_a_published_total_that_is_altered_is_found(
    proving: Proving, tamper: Callable[[str], None]
) -> None:
    tamper("UPDATE epoch_wallets SET earned = earned + 1")
    told = await fresh(proving)
    assert told.code == 1
    assert "wallets' earnings in each epoch are the sums of their receipts" in told.broken
    assert "each epoch's leaves give the root on chain" in told.broken


async def test_an_rpc_that_is_another_chain_proves_nothing(
    proving: Proving, programs: Programs
) -> None:
    port = free_port()
    programs.tabgrid("other-chain", "localnet", "--port", str(port)).ready()
    where = ("--rpc", f"http://127.0.0.1:{port}", "--grid", proving.grid.url, "--json")
    command = (sys.executable, "-m", "tabgrid_server", "audit", *where)
    run = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    output, _ = await run.communicate()
    told = Told(run.returncode or 0, output)
    assert told.code == 1
    assert "the statement is about this chain" in told.broken


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--rpc", "http://127.0.0.1:9", "--grid", "http://127.0.0.1:9"), "does not answer"),
        (("--grid", "http://127.0.0.1:9"), "--grid goes with --rpc"),
        (("--grid", "x", "--rpc", "x", "--local"), "--grid goes with --rpc"),
        (("--grid", "nonsense", "--rpc", "http://127.0.0.1:9"), "Error"),
    ],
)
async def test_what_cannot_be_audited_is_neither_right_nor_wrong(
    options: tuple[str, ...], words: str
) -> None:
    command = (sys.executable, "-m", "tabgrid_server", "audit", *options)
    pipe = asyncio.subprocess.PIPE
    run = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe)
    out, err = await run.communicate()
    assert run.returncode == 2
    assert words in err.decode()
    assert "Traceback" not in (out + err).decode()


# These leave their traces on chain: they are last.


async def test_a_double_payment_is_found(proving: Proving) -> None:
    """The hot key pays the same claim again, without the mark that would forbid it."""
    async with proving.grid.client() as client:
        address = str(proving.wallet.pubkey())
        claims = (await client.get("/api/claims", params={"wallet": address})).json()["claims"]
    treasury = await proving.treasury()
    hot = load(proving.grid.folder / "data" / "keys" / "hot.json")
    home = get_associated_token_address(proving.wallet.pubkey(), treasury.mint)
    again = TransferCheckedParams(
        program_id=treasury.token_program, source=treasury.account, mint=treasury.mint,
        dest=home, owner=hot.pubkey(), amount=7, decimals=treasury.decimals, signers=[],
    )  # fmt: skip
    steps = [memo(f"tabgrid:{claims[0]['id']}"), transfer_checked(again)]
    async with proving.rpc() as rpc:
        blockhash = Hash.from_string((await rpc.blockhash()).hash)
        message = MessageV0.try_compile(hot.pubkey(), steps, [], blockhash)
        txid = await rpc.send(bytes(VersionedTransaction(message, [hot])))
        async with asyncio.timeout(PATIENCE_S):
            while await rpc.landed(txid) is None:
                await asyncio.sleep(0.1)
    told = await fresh(proving)
    assert told.code == 1
    assert told.broken["each claim was paid once"] == [f"{claims[0]['id']}, 2 times"]
    assert "what the chain paid is in the books" in told.broken


async def test_a_fork_of_the_epochs_is_found(proving: Proving) -> None:
    """The hot key publishes another root for an epoch that it published before."""
    treasury = await proving.treasury()
    hot = load(proving.grid.folder / "data" / "keys" / "hot.json")
    other = proofs.memo_of(2, 1, proofs.leaves([bytes(32)], [], Head()), proofs.GENESIS)
    async with proving.rpc() as rpc:
        blockhash = (await rpc.blockhash()).hash
        message = memos.message(other, treasury.account, hot.pubkey(), blockhash, 0)
        txid = await rpc.send(bytes(VersionedTransaction(message, [hot])))
        async with asyncio.timeout(PATIENCE_S):
            while await rpc.landed(txid) is None:
                await asyncio.sleep(0.1)
    told = await fresh(proving)
    assert told.code == 1
    rule = "epochs follow each other on chain, without a gap or a fork"
    assert any("two roots" in each for each in told.broken[rule])
