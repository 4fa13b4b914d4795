"""Deposits on real SPL programs over real HTTP: what is credited, once, and what never is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction
from spl.token.constants import TOKEN_2022_PROGRAM_ID, TOKEN_PROGRAM_ID
from spl.token.instructions import get_associated_token_address
from sqlalchemy import Connection, update

from tabgrid_server.chain.deposits import Request, Till
from tabgrid_server.chain.localnet.machine import FINALITY
from tabgrid_server.chain.solana_pay import Price, check_payment, has_link, link, payment
from tabgrid_server.chain.till import open_till
from tabgrid_server.chain.watching import OVERLAP, UNREADABLE_S, Watcher
from tabgrid_server.store import ApiKey, keys, retention
from tabgrid_server.store import deposits as stored
from tabgrid_server.store import ledger as stored_ledger
from tabgrid_server.store.audit import findings
from tabgrid_server.store.tables import deposit_requests
from tests.support.payers import Bank, send

from .conftest import TOKEN, World

UNIT = 10**6


class Counter:
    """The grid's side: users, their requests, and the watcher."""

    def __init__(self, world: World, bank: Bank, till: Till) -> None:
        self.world = world
        self.bank = bank
        self.till = till
        self.account = Pubkey.from_string(till.account)
        self.watcher = self.new_watcher()
        self.asked = 0

    def new_watcher(self) -> Watcher:
        """As after a restart: only the store is left."""
        world = self.world
        return Watcher(world.store, world.rpc, self.till, TOKEN, world.clock)

    async def user(self, name: str, given: int = 0) -> str:
        key = ApiKey(id=f"key_{name}", owner=name, label=name, created_at=1.0, revoked_at=None)
        await self.world.store.write(keys.create, key, f"hash of {name}", given, TOKEN)
        return name

    async def request(self, owner: str, amount: int | None = None, wallet: str = "") -> Request:
        self.asked += 1
        made = Request(
            id=f"dep_{self.asked}",
            owner=owner,
            token=TOKEN,
            reference=str(Keypair().pubkey()),
            amount=amount,
            wallet=wallet or None,
            created_at=self.world.clock(),
        )
        await self.world.store.write(stored.ask, made)
        return made

    async def later(self) -> None:
        """Time for finality, and a look."""
        self.world.clock.slots(FINALITY)
        await self.watcher.step()

    async def credit(self, owner: str) -> int:
        found = await self.world.store.read(stored_ledger.credit, owner, TOKEN)
        assert found.spent == 0
        return found.available

    async def nobodys(self) -> list[tuple[str, int]]:
        found = await self.world.store.read(stored.of_nobody, TOKEN, 100)
        return [(each.state, each.amount) for each in found]


@pytest.fixture
async def counter(world: World) -> AsyncIterator[Counter]:
    made = Counter(
        world, Bank.of_treasury(world.rpc, world.data), await open_till(world.rpc, world.treasury)
    )
    yield made
    assert [each.rule for each in await world.store.read(findings) if each.broken] == []


async def test_a_payment_with_the_reference_is_credited_once_final(counter: Counter) -> None:
    alice = await counter.user("alice")
    request = await counter.request(alice, 5 * UNIT)
    wallet = await counter.bank.customer(9 * UNIT)
    txid = await counter.bank.pay(wallet, counter.account, 5 * UNIT, [request.reference])
    await counter.watcher.step()
    assert await counter.credit(alice) == 0, "a fork may still take it away"
    sign = counter.watcher.sign(request)
    assert sign is not None
    assert (sign.txid, sign.why) == (txid, "")
    for _ in range(3):
        await counter.later()
    assert await counter.credit(alice) == 5 * UNIT
    [booked] = await counter.world.store.read(stored.of_owner, alice, TOKEN, 10)
    assert (booked.txid, booked.request) == (txid, request.id)
    assert booked.payer == booked.refund_to == str(wallet.pubkey())


async def test_more_less_and_dust_are_credited_as_they_come(counter: Counter) -> None:
    alice = await counter.user("alice")
    request = await counter.request(alice, 5 * UNIT)
    wallet = await counter.bank.customer(20 * UNIT)
    for amount in (8 * UNIT, 2 * UNIT, 1):
        await counter.bank.pay(wallet, counter.account, amount, [request.reference])
    await counter.later()
    assert await counter.credit(alice) == 10 * UNIT + 1


async def test_what_came_while_nothing_ran_is_found(counter: Counter) -> None:
    """More than a page of signatures, the payment of an old request among the oldest."""
    world = counter.world
    await counter.later()
    alice = await counter.user("alice")
    request = await counter.request(alice)
    wallet = await counter.bank.customer(9 * UNIT)
    await counter.bank.pay(wallet, counter.account, 3 * UNIT, [request.reference])
    world.clock.at += 2 * 24 * 3600  # past the age at which references are asked for
    for _ in range(3):
        world.clock.slots(1)
        await counter.bank.pay(wallet, counter.account, 1, [request.reference])
    await world.stop_chain()
    await world.start_chain()
    counter.watcher = counter.new_watcher()
    await counter.later()
    assert await counter.credit(alice) == 3 * UNIT + 3
    before = await world.store.read(stored.cursor, counter.till.account)
    assert before is not None
    world.clock.slots(OVERLAP + FINALITY)
    last = await counter.bank.pay(wallet, counter.account, 1, [request.reference])
    counter.watcher = counter.new_watcher()
    await counter.later()
    assert await counter.credit(alice) == 3 * UNIT + 4
    after = await world.store.read(stored.cursor, counter.till.account)
    assert after is not None
    assert (after.txid, after.slot > before.slot) == (last, True)


async def test_the_history_is_paged(counter: Counter, monkeypatch: pytest.MonkeyPatch) -> None:
    """With pages of three, so that a thousand transactions need not be made."""
    monkeypatch.setattr("tabgrid_server.chain.rpc.SIGNATURES", 3)
    monkeypatch.setattr("tabgrid_server.chain.watching.SIGNATURES", 3)
    alice = await counter.user("alice")
    request = await counter.request(alice)
    wallet = await counter.bank.customer(99 * UNIT)
    for n in range(10):
        await counter.bank.pay(wallet, counter.account, 1 + n, [request.reference])
        counter.world.clock.slots(1)
    await counter.later()
    assert await counter.credit(alice) == 55


async def test_a_failed_transaction_is_never_credited(counter: Counter) -> None:
    alice = await counter.user("alice")
    request = await counter.request(alice, 5 * UNIT)
    wallet = await counter.bank.customer(2 * UNIT)
    txid = await counter.bank.pay(wallet, counter.account, 5 * UNIT, [request.reference])
    await counter.later()
    assert await counter.credit(alice) == 0
    sign = counter.watcher.sign(request)
    assert sign is not None
    assert (sign.txid, sign.why) == (txid, "it failed")


@pytest.mark.parametrize("program", [TOKEN_PROGRAM_ID, TOKEN_2022_PROGRAM_ID])
async def test_another_token_is_never_credited(counter: Counter, program: Pubkey) -> None:
    """Sent to the treasury owner's account of that token, as a wallet does by itself; once in
    a transaction that names the treasury's real account as well."""
    alice = await counter.user("alice")
    request = await counter.request(alice, 5 * UNIT)
    other = await Bank.found(counter.world.rpc, program)
    wallet = await other.customer(9 * UNIT)
    owner = Pubkey.from_string(counter.till.owner)
    opened = other.open(owner, wallet.pubkey())
    moved = other.transfer(wallet, other.home(owner), 5 * UNIT, [request.reference])
    await send(counter.world.rpc, [opened, moved], [wallet])
    names = [request.reference, counter.till.account]
    await other.pay(wallet, other.home(owner), UNIT, names)
    await counter.later()
    assert await counter.credit(alice) == 0
    assert await counter.nobodys() == [("refill", 10**12)], "the local treasury's first supply"
    sign = counter.watcher.sign(request)
    assert sign is not None
    assert sign.why == "it moved another token"


async def test_junk_with_the_reference_stops_nothing(counter: Counter) -> None:
    """A stranger who saw the reference is first, with a failed, a worthless and a tiny one."""
    alice = await counter.user("alice")
    request = await counter.request(alice, 5 * UNIT)
    stranger = await counter.bank.customer(UNIT)
    reference = Pubkey.from_string(request.reference)
    sol = TransferParams(from_pubkey=stranger.pubkey(), to_pubkey=reference, lamports=2_000_000)
    await send(counter.world.rpc, [transfer(sol)], [stranger])
    await counter.bank.pay(stranger, counter.account, 5 * UNIT, [request.reference])
    home = counter.bank.home(stranger.pubkey())
    await counter.bank.pay(stranger, home, 1, [request.reference])
    await counter.later()
    assert await counter.credit(alice) == 0
    await counter.bank.pay(stranger, counter.account, 1, [request.reference])
    await counter.later()
    assert await counter.credit(alice) == 1, "a stranger's gift is a gift"
    wallet = await counter.bank.customer(5 * UNIT)
    await counter.bank.pay(wallet, counter.account, 5 * UNIT, [request.reference])
    await counter.later()
    assert await counter.credit(alice) == 5 * UNIT + 1


async def test_two_references_in_one_transaction(counter: Counter) -> None:
    alice, bob = await counter.user("alice"), await counter.user("bob")
    first, second = await counter.request(alice), await counter.request(alice)
    third = await counter.request(bob)
    wallet = await counter.bank.customer(9 * UNIT)
    both = [first.reference, second.reference]
    await counter.bank.pay(wallet, counter.account, 2 * UNIT, both)
    mixed = [second.reference, third.reference]
    txid = await counter.bank.pay(wallet, counter.account, 3 * UNIT, mixed)
    await counter.later()
    assert (await counter.credit(alice), await counter.credit(bob)) == (2 * UNIT, 0)
    assert ("unassigned", 3 * UNIT) in await counter.nobodys()
    sign = counter.watcher.sign(third)
    assert sign is not None
    assert "several users" in sign.why
    await counter.world.store.write(stored.assign, txid, bob, 5.0)
    assert await counter.credit(bob) == 3 * UNIT
    with pytest.raises(Exception, match="credited"):
        await counter.world.store.write(stored.assign, txid, alice, 5.0)
    await counter.later()
    assert (await counter.credit(alice), await counter.credit(bob)) == (2 * UNIT, 3 * UNIT)


async def test_without_a_reference_it_waits_for_the_operator(counter: Counter) -> None:
    wallet = await counter.bank.customer(9 * UNIT)
    await counter.bank.pay(wallet, counter.account, 4 * UNIT)
    await counter.bank.give(Pubkey.from_string(counter.till.owner), 7 * UNIT)
    await counter.later()
    found = await counter.nobodys()
    assert sorted(found) == [("refill", 7 * UNIT), ("refill", 10**12), ("unassigned", 4 * UNIT)]


async def test_an_exchange_pays_and_the_named_wallet_is_kept(counter: Counter) -> None:
    alice = await counter.user("alice")
    mine = str(Keypair().pubkey())
    request = await counter.request(alice, 5 * UNIT, wallet=mine)
    exchange = await counter.bank.customer(900 * UNIT)
    await counter.bank.pay(exchange, counter.account, 5 * UNIT, [request.reference])
    await counter.later()
    [booked] = await counter.world.store.read(stored.of_owner, alice, TOKEN, 10)
    assert (booked.payer, booked.refund_to) == (str(exchange.pubkey()), mine)
    assert await counter.credit(alice) == 5 * UNIT


async def test_claims_of_the_grid_are_no_deposits(counter: Counter) -> None:
    """They change the treasury's account too, and most of its signatures are theirs."""
    world = counter.world
    node = await world.wallet(5 * UNIT)
    claim = await world.service.reserve(str(node.pubkey()))
    await world.signed(claim, node)
    await world.service.step()
    await counter.later()
    assert await counter.nobodys() == [("refill", 10**12)]


async def test_a_connected_wallet_pays(counter: Counter) -> None:
    world = counter.world
    alice = await counter.user("alice")
    request = await counter.request(alice, 5 * UNIT)
    wallet = await counter.bank.customer(9 * UNIT)
    blockhash = (await world.rpc.blockhash()).hash
    price = Price(decimals=6, compute_unit_price=1_000)
    address = str(wallet.pubkey())
    raw = payment(counter.till, address, request.reference, 5 * UNIT, price, blockhash)
    signed = _sign(raw, wallet)
    checked = check_payment(signed, request.reference, counter.till)
    await world.rpc.send(bytes(checked))
    await counter.later()
    assert await counter.credit(alice) == 5 * UNIT


def _sign(raw: bytes, wallet: Keypair) -> bytes:
    return bytes(VersionedTransaction(VersionedTransaction.from_bytes(raw).message, [wallet]))


async def test_the_link_pays_into_the_account_that_is_watched(counter: Counter) -> None:
    assert has_link(counter.till)
    assert link(counter.till, "Ref", 1_500_000, 6) == (
        f"solana:{counter.till.owner}?amount=1.5&spl-token={counter.till.mint}"
        "&reference=Ref&label=Tabgrid"
    )
    elsewhere = Till("other", counter.till.owner, counter.till.mint, counter.till.program)
    assert not has_link(elsewhere)


async def test_what_cannot_be_read_delays_nobody(
    counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An RPC that has a transaction's signature and not the transaction, for an hour."""
    world = counter.world
    alice = await counter.user("alice")
    request = await counter.request(alice)
    wallet = await counter.bank.customer(9 * UNIT)
    lost = await counter.bank.pay(wallet, counter.account, 2 * UNIT, [request.reference])
    await counter.bank.pay(wallet, counter.account, 3 * UNIT, [request.reference])
    real = world.rpc.seen

    async def forgetful(txid: str):  # type: ignore[no-untyped-def]
        return None if txid == lost else await real(txid)

    monkeypatch.setattr(world.rpc, "seen", forgetful)
    await counter.later()
    assert await counter.credit(alice) == 3 * UNIT
    world.clock.at += UNREADABLE_S
    await counter.later()
    assert ("unread", 0) in await counter.nobodys()
    monkeypatch.setattr(world.rpc, "seen", real)
    counter.watcher = counter.new_watcher()
    found = await real(lost)
    assert found is not None
    await world.store.write(stored.accept, found, counter.till, TOKEN, world.clock())
    assert await counter.credit(alice) == 5 * UNIT


@pytest.mark.parametrize("world", ["sqlite"], indirect=True)
async def test_a_token_with_a_fee_is_credited_as_it_arrives(world: World, tmp_path: Path) -> None:
    """Token-2022: what the treasury's account has more is less than what was sent."""
    bank = await Bank.found(world.rpc, TOKEN_2022_PROGRAM_ID, fee_bps=100)
    owner = Keypair()
    await bank.give(owner.pubkey(), 1)
    home = get_associated_token_address(owner.pubkey(), bank.mint, TOKEN_2022_PROGRAM_ID)
    till = Till(str(home), str(owner.pubkey()), str(bank.mint), str(TOKEN_2022_PROGRAM_ID))
    counter = Counter(world, bank, till)
    assert has_link(till)
    alice = await counter.user("alice")
    request = await counter.request(alice, 5 * UNIT)
    wallet = await bank.customer(9 * UNIT)
    await bank.pay(wallet, home, 5 * UNIT, [request.reference])
    await counter.later()
    assert await counter.credit(alice) == 5 * UNIT * 99 // 100


async def test_old_unpaid_references_go_and_what_comes_late_is_not_lost(counter: Counter) -> None:
    world, alice = counter.world, await counter.user("alice")
    old = [await counter.request(alice) for _ in range(4)]
    for number, request in enumerate(old):  # asked for one after the other
        await world.store.write(_age, request.id, world.clock() + number)
    wallet = await counter.bank.customer(20 * UNIT)
    await counter.bank.pay(wallet, counter.account, UNIT, [old[0].reference])
    await counter.later()
    before, read = world.clock() + 10, world.store.read
    assert await read(retention.unpaid_long, before, 10) == [], "of one user so many stay"
    assert await read(retention.unpaid_long, old[0].created_at, 10, 0) == [], "none is so old"
    ids = await read(retention.unpaid_long, before, 10, 2)
    assert ids == [old[1].id], "the paid one and the newest two stay"
    assert await world.store.write(retention.forget_unpaid, [old[0].id, *ids]) == 1
    assert await read(stored.request, old[1].id) is None
    # Months later all of them are paid.
    for request in old[1:]:
        await counter.bank.pay(wallet, counter.account, 2 * UNIT, [request.reference])
    await counter.later()
    assert await counter.credit(alice) == 5 * UNIT
    [(state, amount)] = [each for each in await counter.nobodys() if each[0] == "unassigned"]
    assert (state, amount) == ("unassigned", 2 * UNIT)
    [late] = [e for e in await read(stored.of_nobody, TOKEN, 9) if e.state == "unassigned"]
    await world.store.write(stored.assign, late.txid, alice, world.clock())
    assert await counter.credit(alice) == 7 * UNIT


def _age(connection: Connection, id: str, created_at: float) -> None:
    connection.execute(
        update(deposit_requests).where(deposit_requests.c.id == id).values(created_at=created_at)
    )
