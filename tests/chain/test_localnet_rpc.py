"""Each method of the local chain through the real solana-py client, and over raw HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import websockets
from solana.rpc.async_api import AsyncClient
from solana.rpc.commitment import Confirmed, Finalized, Processed
from solana.rpc.core import RPCException
from solana.rpc.models import TokenAccountOpts, TxOpts
from solana.rpc.websocket_api import SolanaWsClient
from solders.hash import Hash
from solders.keypair import Keypair
from solders.message import Message, MessageV0
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction
from solders.transaction_status import TransactionConfirmationStatus as Level
from spl.token.constants import TOKEN_PROGRAM_ID

from tabgrid_server.chain.localnet.journal import JournalError
from tabgrid_server.chain.localnet.machine import FINALITY, WINDOW
from tabgrid_server.chain.localnet.methods import METHODS, STATUS_CACHE
from tabgrid_server.chain.localnet.server import serving, window_for
from tabgrid_server.chain.transactions import memo
from tabgrid_server.chain.treasury import SUPPLY

from .conftest import SOL, World


@pytest.fixture
async def client(world: World) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(world.url, Confirmed, http2=False) as made:
        yield made


@pytest.fixture
async def rich(world: World) -> Keypair:
    keypair = Keypair()
    await world.rpc.airdrop(keypair.pubkey(), 10 * SOL)
    return keypair


async def pay(
    client: AsyncClient, payer: Keypair, to: Pubkey, lamports: int, text: str = ""
) -> VersionedTransaction:
    """A signed transfer, not yet sent."""
    blockhash = (await client.get_latest_blockhash()).value.blockhash
    params = TransferParams(from_pubkey=payer.pubkey(), to_pubkey=to, lamports=lamports)
    steps = [transfer(params), *([memo(text)] if text else [])]
    return VersionedTransaction(
        MessageV0.try_compile(payer.pubkey(), steps, [], blockhash), [payer]
    )


async def test_the_chain(client: AsyncClient, world: World) -> None:
    assert await client.is_connected()
    assert (await client.get_version()).value.solana_core
    genesis = (await client.get_genesis_hash()).value
    assert genesis == (await client.get_genesis_hash()).value
    now, final = (await client.get_slot()).value, (await client.get_slot(Finalized)).value
    assert now - final == FINALITY
    assert (await client.get_block_height()).value == now
    assert (await client.get_epoch_info()).value.absolute_slot == now
    world.clock.slots(10)
    assert (await client.get_slot()).value == now + 10
    assert (await client.get_block_time(now + 10)).value == int(world.clock())
    assert (await client.get_minimum_balance_for_rent_exemption(165)).value == 2_039_280
    assert (await client.get_recent_prioritization_fees()).value[0].prioritization_fee == 0
    assert (await client.get_transaction_count()).value > 0


async def test_blockhashes_live_for_150_blocks(client: AsyncClient, world: World) -> None:
    fresh = (await client.get_latest_blockhash(Confirmed)).value
    old = (await client.get_latest_blockhash(Finalized)).value
    assert fresh.last_valid_block_height == (await client.get_block_height()).value + WINDOW
    assert fresh.last_valid_block_height - old.last_valid_block_height == FINALITY
    assert await valid(world, fresh.blockhash)
    world.clock.slots(WINDOW)
    assert await valid(world, fresh.blockhash)
    assert not await valid(world, old.blockhash)
    world.clock.slots(1)
    assert not await valid(world, fresh.blockhash)
    assert not await valid(world, Hash.default())


async def valid(world: World, blockhash: Hash) -> bool:
    told = await call(world, "isBlockhashValid", [str(blockhash)])
    return bool(told["result"]["value"])


async def test_accounts(client: AsyncClient, world: World, rich: Keypair) -> None:
    assert (await client.get_balance(rich.pubkey())).value == 10 * SOL
    assert (await client.get_balance(Pubkey.new_unique())).value == 0
    with pytest.raises(RPCException, match="InsufficientFundsForRent"):
        await client.request_airdrop(Pubkey.new_unique(), 5)
    assert (await client.get_account_info(Pubkey.new_unique())).value is None
    treasury = world.treasury
    for encoding in ("base64", "base58"):
        found = (await client.get_account_info(treasury.mint, encoding=encoding)).value
        assert found is not None
        assert (len(found.data), found.owner) == (82, TOKEN_PROGRAM_ID)
    parsed = (await client.get_account_info_json_parsed(treasury.account)).value
    assert parsed is not None
    amount = parsed.data.parsed["info"]["tokenAmount"]  # type: ignore[union-attr]
    assert amount["uiAmountString"] == str(SUPPLY)
    pair = (await client.get_multiple_accounts([treasury.mint, Pubkey.new_unique()])).value
    assert [each is None for each in pair] == [False, True]


async def test_tokens(client: AsyncClient, world: World) -> None:
    treasury = world.treasury
    balance = (await client.get_token_account_balance(treasury.account)).value
    assert (balance.amount, balance.decimals) == (str(SUPPLY * 10**6), 6)
    assert (await client.get_token_supply(treasury.mint)).value.ui_amount == SUPPLY
    account = await world.rpc.token_account(treasury.account)
    assert account is not None
    for only in (
        TokenAccountOpts(mint=treasury.mint),
        TokenAccountOpts(program_id=TOKEN_PROGRAM_ID),
    ):
        (found,) = (await client.get_token_accounts_by_owner(account.owner, only)).value
        assert found.pubkey == treasury.account
    with pytest.raises(RPCException, match="could not find account"):
        await client.get_token_account_balance(Pubkey.new_unique())


async def test_a_transaction_from_sent_to_final(
    client: AsyncClient, world: World, rich: Keypair
) -> None:
    to = Pubkey.new_unique()
    sent = await pay(client, rich, to, SOL, "hello")
    fee = (await client.get_fee_for_message(sent.message)).value  # type: ignore[arg-type]
    assert fee == 5_000
    simulated = (await client.simulate_transaction(sent, sig_verify=True)).value
    assert (simulated.err, simulated.units_consumed is None) == (None, False)
    assert (await client.get_balance(to)).value == 0
    txid = (await client.send_transaction(sent)).value
    assert txid == sent.signatures[0]
    (status,) = (await client.get_signature_statuses([txid])).value
    assert status is not None
    assert (status.confirmation_status, status.confirmations) == (Level.Confirmed, 0)
    assert (await client.get_balance(to)).value == SOL
    assert (await read(client, txid, Finalized)) is None

    world.clock.slots(FINALITY)
    (status,) = (await client.get_signature_statuses([txid])).value
    assert status is not None
    assert (status.confirmation_status, status.confirmations) == (Level.Finalized, None)
    world.clock.slots(STATUS_CACHE)
    assert (await client.get_signature_statuses([txid])).value == [None]
    assert (await client.get_signature_statuses([txid], True)).value[0] == status

    (row,) = (await client.get_signatures_for_address(to)).value
    assert (row.signature, row.err, row.memo) == (txid, None, "[5] hello")


@pytest.mark.parametrize("encoding", ["json", "jsonParsed", "base64", "base58"])
async def test_get_transaction_in_every_encoding(
    client: AsyncClient, rich: Keypair, encoding: str
) -> None:
    to = Pubkey.new_unique()
    txid = (await client.send_transaction(await pay(client, rich, to, SOL))).value
    found = await read(client, txid, Confirmed, encoding)
    assert found is not None
    meta = found.transaction.meta
    assert (meta.err, meta.fee) == (None, 5_000)
    assert meta.pre_balances[0] - meta.post_balances[0] == SOL + 5_000
    assert any("success" in line for line in meta.log_messages)


async def read(
    client: AsyncClient, txid: Signature, commitment: Any, encoding: str = "json"
) -> Any:
    answer = await client.get_transaction(
        txid, encoding, commitment, max_supported_transaction_version=0
    )
    return answer.value


async def test_a_new_version_is_only_for_those_who_ask(
    client: AsyncClient, world: World, rich: Keypair
) -> None:
    sent = await pay(client, rich, Pubkey.new_unique(), SOL)
    txid = (await client.send_transaction(sent)).value
    told = await call(world, "getTransaction", [str(txid), {"commitment": "confirmed"}])
    assert told["error"]["code"] == -32015


async def test_a_legacy_transaction_runs_too(client: AsyncClient, rich: Keypair) -> None:
    to = Pubkey.new_unique()
    blockhash = (await client.get_latest_blockhash()).value.blockhash
    step = transfer(TransferParams(from_pubkey=rich.pubkey(), to_pubkey=to, lamports=SOL))
    message = Message.new_with_blockhash([step], rich.pubkey(), blockhash)
    txid = (await client.send_transaction(VersionedTransaction(message, [rich]))).value
    assert (await client.get_balance(to)).value == SOL
    assert await read(client, txid, Confirmed) is not None


async def test_what_cannot_run_is_refused_with_the_reason(
    client: AsyncClient, world: World, rich: Keypair
) -> None:
    too_much = await pay(client, rich, Pubkey.new_unique(), 100 * SOL)
    assert (await client.simulate_transaction(too_much)).value.err is not None
    with pytest.raises(RPCException) as refused:
        await client.send_transaction(too_much)
    assert refused.value.args[0].data.err is not None
    forged = VersionedTransaction.populate(too_much.message, [Signature.default()])
    with pytest.raises(RPCException, match="SignatureVerificationFailure"):
        await client.send_transaction(forged)
    good = await pay(client, rich, Pubkey.new_unique(), SOL)
    await client.send_transaction(good)
    with pytest.raises(RPCException, match="AlreadyProcessed"):
        await client.send_transaction(good)
    stale = await pay(client, rich, Pubkey.new_unique(), SOL)
    world.clock.slots(WINDOW + 1)
    with pytest.raises(RPCException, match="BlockhashNotFound"):
        await client.send_transaction(stale)


async def test_without_preflight_failures_land_and_the_rest_is_dropped(
    client: AsyncClient, world: World, rich: Keypair
) -> None:
    blind = TxOpts(skip_preflight=True, preflight_commitment=Processed)
    too_much = await pay(client, rich, Pubkey.new_unique(), 100 * SOL)
    txid = (await client.send_transaction(too_much, blind)).value
    (status,) = (await client.get_signature_statuses([txid])).value
    assert status is not None
    assert status.err is not None
    assert (await client.get_balance(rich.pubkey())).value == 10 * SOL - 5_000
    stale = await pay(client, rich, Pubkey.new_unique(), SOL)
    world.clock.slots(WINDOW + 1)
    txid = (await client.send_transaction(stale, blind)).value
    assert (await client.get_signature_statuses([txid], True)).value == [None]


async def test_the_same_transaction_never_runs_twice(client: AsyncClient, rich: Keypair) -> None:
    blind = TxOpts(skip_preflight=True)
    to = Pubkey.new_unique()
    sent = await pay(client, rich, to, SOL)
    for _ in range(50):
        assert (await client.send_transaction(sent, blind)).value == sent.signatures[0]
    assert (await client.get_balance(to)).value == SOL


async def test_signatures_come_in_pages(client: AsyncClient, world: World, rich: Keypair) -> None:
    to, sent = Pubkey.new_unique(), []
    for number in range(5):
        txid = (
            await client.send_transaction(await pay(client, rich, to, SOL // 10, f"{number}"))
        ).value
        sent.insert(0, txid)

    async def names(**page: Any) -> list[Signature]:
        rows = await client.get_signatures_for_address(to, commitment=Confirmed, **page)
        return [row.signature for row in rows.value]

    assert await names() == sent
    assert await names(limit=2) == sent[:2]
    assert await names(before=sent[1], limit=2) == sent[2:4]
    assert await names(until=sent[3]) == sent[:3]
    assert (await client.get_signatures_for_address(to, commitment=Finalized)).value == []


async def test_subscriptions(client: AsyncClient, world: World, rich: Keypair) -> None:
    async with SolanaWsClient(world.url.replace("http", "ws")) as socket:
        slots = await socket.slot_subscribe()
        note: Any = await socket.recv()
        assert note.result.slot == (await client.get_slot()).value
        await socket.unsubscribe(slots)
    async with SolanaWsClient(world.url.replace("http", "ws")) as socket:
        sent = await pay(client, rich, Pubkey.new_unique(), SOL)
        await client.send_transaction(sent)
        await socket.signature_subscribe(signature=sent.signatures[0], commitment=Confirmed)
        note = await socket.recv()
        assert note.result.value.err is None


async def test_a_socket_that_speaks_nonsense_is_closed(world: World) -> None:
    url = world.url.replace("http", "ws")
    async with websockets.connect(url) as socket:
        await socket.send('{"id":1,"method":"nothing"}')
        assert "Method not found" in str(await socket.recv())
        await socket.send('{"id":1,"method":"signatureSubscribe","params":["x"]}')
        assert "Invalid params" in str(await socket.recv())
        await socket.send("nonsense")
        with pytest.raises(websockets.ConnectionClosed):
            await socket.recv()


async def call(world: World, method: str, params: Any) -> Any:
    async with httpx.AsyncClient() as http:
        body = {"jsonrpc": "2.0", "id": 7, "method": method, "params": params}
        answer = await http.post(world.url, json=body)
        assert answer.status_code == 200
        told = answer.json()
        assert told["id"] == 7
        return told


async def test_batches_limits_and_any_origin(world: World) -> None:
    async with httpx.AsyncClient(headers={"origin": "https://wallet.example"}) as http:
        assert (await http.post(world.url, content=b"x" * 60_000)).status_code == 413
        batch = [{"id": n, "method": "getSlot"} for n in range(3)]
        answer = await http.post(world.url, json=batch)
        assert [each["id"] for each in answer.json()] == [0, 1, 2]
        assert answer.headers["access-control-allow-origin"] == "*"
        wish = {"access-control-request-method": "POST"}
        asked = await http.options(world.url, headers=wish)
        assert asked.headers["access-control-allow-origin"] == "*"
        assert (await http.get(f"{world.url}/health")).text == "ok"


async def test_a_restart_repeats_everything(
    client: AsyncClient, world: World, rich: Keypair
) -> None:
    blind = TxOpts(skip_preflight=True)
    good = await pay(client, rich, Pubkey.new_unique(), SOL)
    bad = await pay(client, rich, Pubkey.new_unique(), 100 * SOL)
    for each in (good, bad):
        await client.send_transaction(each, blind)
    watched = [rich.pubkey(), world.treasury.account, world.treasury.mint]

    async def picture() -> Any:
        accounts = (await client.get_multiple_accounts(watched)).value
        both = [each.signatures[0] for each in (good, bad)]
        found = [await read(client, txid, Confirmed) for txid in both]
        return accounts, found, (await client.get_genesis_hash()).value

    before, slot = await picture(), (await client.get_slot()).value
    for _ in range(2):
        await world.stop_chain()
        world.clock.slots(3)
        await world.start_chain()
        assert await picture() == before
    assert (await client.get_slot()).value == slot + 6
    with pytest.raises(RPCException, match="AlreadyProcessed"):
        await client.send_transaction(good)
    # And what the first life could not know, the second can do.
    await client.send_transaction(await pay(client, rich, Pubkey.new_unique(), SOL))


async def test_a_chain_killed_while_writing_goes_on(tmp_path: Path, world: World) -> None:
    await world.stop_chain()
    journal = world.data / "chain" / "chain.jsonl"
    with journal.open("ab") as file:
        file.write(b'{"type":"landed","at":1,"slo')
    await world.start_chain()
    assert (await world.treasury.status(world.rpc)).balance == SUPPLY * 10**6
    await world.stop_chain()
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join([lines[0], b"nonsense\n", *lines[1:]]))
    with pytest.raises(JournalError, match="line 2"):
        await world.start_chain()


async def test_short_slots_leave_the_same_time_to_sign(tmp_path: Path) -> None:
    assert window_for(400) == WINDOW
    assert window_for(100) * 100 == WINDOW * 400
    assert window_for(1000) == WINDOW
    async with serving(slot_ms=100, window=window_for(100)) as url:
        async with AsyncClient(url, http2=False) as client:
            before = (await client.get_block_height(Confirmed)).value
            fresh = (await client.get_latest_blockhash(Confirmed)).value
            after = (await client.get_block_height(Confirmed)).value
        assert before + 600 <= fresh.last_valid_block_height <= after + 600


def test_every_method_is_tried_here() -> None:
    text = Path(__file__).read_text("utf-8")
    used = {"getAccountInfo": "get_account_info", "getHealth": "is_connected"}
    snake = {name: "".join("_" + c.lower() if c.isupper() else c for c in name) for name in METHODS}
    for name in METHODS:
        if name not in ("isBlockhashValid", "requestAirdrop"):
            assert used.get(name, snake[name]) in text, name
