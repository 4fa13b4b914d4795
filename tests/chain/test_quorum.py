"""Three RPCs, one of which may do what it likes: nothing is paid twice, and nothing is lost."""

from __future__ import annotations

import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress

import pytest
from solders.keypair import Keypair

from tabgrid_server.chain import transport
from tabgrid_server.chain.claims import Claim
from tabgrid_server.chain.localnet.machine import FINALITY, WINDOW
from tabgrid_server.chain.refusals import ChainUnavailable, ClaimRefused
from tabgrid_server.chain.rpc import Rpc, RpcError, RpcUnavailable
from tabgrid_server.store.audit import findings
from tests.support.budget import schedules
from tests.support.proxies import LIES, Proxy, mad, proxies

from .conftest import World

UNIT = 10**6
#: Rounds of the mad RPC, over real sockets; each is its number.
ROUNDS = schedules(600, one_in=60)
pytestmark = pytest.mark.parametrize("world", ["sqlite"], indirect=True)


@pytest.fixture
async def three(world: World, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[list[Proxy]]:
    """The world's own questions to the chain go through three RPCs from now on."""
    # A busy machine is no failing RPC, and a test does not wait for seconds of rest; what is
    # asked and believed is the same.
    monkeypatch.setattr(transport, "TRY_S", 15.0)
    monkeypatch.setattr(transport, "REST_MAX_S", 0.0)
    monkeypatch.setattr(transport, "GRACE_S", 5.0)
    async with proxies(world.url, world.clock) as made:
        world.rpc = Rpc([each.url for each in made], timeout=60)
        world.service = world.new_service()
        yield made
        await world.rpc.close()


def lies(proxy: Proxy, what: str) -> None:
    proxy.mood, proxy.lie = "lying", LIES[what]


async def signed_claim(world: World, amount: int = 5 * UNIT) -> tuple[Keypair, Claim]:
    wallet = await world.wallet(amount)
    claim = await world.service.reserve(str(wallet.pubkey()))
    return wallet, await world.signed(claim, wallet)


async def right(world: World) -> None:
    broken = [each.rule for each in await world.store.read(findings) if each.broken]
    assert broken == []


@pytest.mark.parametrize(("place", "what"), [*enumerate(LIES)])
async def test_one_liar_changes_nothing_about_a_payment(
    world: World, three: list[Proxy], place: int, what: str
) -> None:
    lies(three[place], what)
    wallet, claim = await signed_claim(world)
    await world.service.step()
    assert await world.state(claim) == "confirmed"
    await world.service.step()
    assert await world.state(claim) == "confirmed", "it is not final, whatever one says"
    world.clock.slots(FINALITY)
    await world.service.step()
    assert await world.state(claim) == "finalized"
    assert await world.money(wallet) == (0, 0, 5 * UNIT)
    with pytest.raises(ClaimRefused, match="too little to claim"):
        await world.service.reserve(str(wallet.pubkey()))
    assert await world.tokens(wallet) == 5 * UNIT
    await right(world)


@pytest.mark.parametrize(("place", "what"), [*enumerate(LIES)])
async def test_one_liar_changes_nothing_about_what_never_landed(
    world: World, three: list[Proxy], place: int, what: str
) -> None:
    """The network drops the transaction. While it could still land, nothing is given back."""
    lies(three[place], what)
    for each in three:
        each.drops = True
    wallet, claim = await signed_claim(world)
    for _ in range(3):
        await world.service.step()
        assert await world.state(claim) == "signed"
        assert await world.money(wallet) == (0, 5 * UNIT, 0)
        world.clock.slots(40)
    world.clock.slots(2 * FINALITY + WINDOW)
    for _ in range(2):
        await world.service.step()
    assert await world.state(claim) == "expired"
    assert await world.money(wallet) == (5 * UNIT, 0, 0)
    for each in three:
        each.drops = False
    again = await world.service.reserve(str(wallet.pubkey()))
    await world.signed(again, wallet)
    await world.service.step()
    world.clock.slots(FINALITY)
    await world.service.step()
    assert await world.tokens(wallet) == 5 * UNIT
    await right(world)


async def test_alone_the_same_liars_are_believed(world: World, three: list[Proxy]) -> None:
    """What the tests above would show if a majority were not asked."""
    _, claim = await signed_claim(world)
    assert claim.txid is not None
    async with Rpc(three[0].url) as alone:
        honest = await alone.height()
        lies(three[0], "lost")
        assert (await alone.height()).height > honest.height + WINDOW
        assert (await alone.blockhash()).last_valid_height == 1
        lies(three[0], "paid")
        (status,) = (await alone.statuses([claim.txid])).values
        assert status is not None
        assert (status.commitment, status.error) == ("finalized", None)
    (status,) = (await world.rpc.statuses([claim.txid])).values
    assert status is None
    assert (await world.rpc.height()).height == honest.height
    assert (await world.rpc.blockhash()).last_valid_height > honest.height + WINDOW


async def test_two_liars_who_disagree_stop_everything_and_lose_nothing(
    world: World, three: list[Proxy]
) -> None:
    wallet, claim = await signed_claim(world)
    lies(three[0], "lost")
    lies(three[2], "failed")
    await world.service.step()
    world.clock.slots(FINALITY)
    await world.service.step()
    assert await world.state(claim) in ("signed", "confirmed")
    assert await world.money(wallet) == (0, 5 * UNIT, 0)
    three[0].mood = three[2].mood = "honest"
    await world.service.step()
    assert await world.state(claim) == "finalized"


@pytest.mark.parametrize(
    ("mood", "place"), [("busy", 0), ("garbage", 0), ("silent", 0), ("silent", 2), ("lagging", 0)]
)
async def test_one_that_fails_is_passed_over(
    world: World, three: list[Proxy], monkeypatch: pytest.MonkeyPatch, mood: str, place: int
) -> None:
    monkeypatch.setattr(transport, "GRACE_S", 0.5)
    wallet = await world.wallet(5 * UNIT)
    three[place].mood, three[place].lag = mood, 20.0
    claim = await world.signed(await world.service.reserve(str(wallet.pubkey())), wallet)
    await world.service.step()
    assert await world.state(claim) == "confirmed"
    world.clock.slots(FINALITY)
    await world.service.step()
    assert await world.state(claim) == "finalized"
    assert await world.tokens(wallet) == 5 * UNIT


async def test_one_alone_decides_nothing_that_is_final(world: World, three: list[Proxy]) -> None:
    wallet, claim = await signed_claim(world)
    three[0].mood = three[1].mood = "busy"
    world.clock.slots(FINALITY)
    with pytest.raises(RpcUnavailable, match="2 of 3 RPCs must say the same"):
        await world.service.step()
    assert await world.state(claim) == "signed"
    assert await world.tokens(wallet) == 5 * UNIT, "what was signed is broadcast all the same"
    three[1].mood = "honest"
    await world.service.step()
    world.clock.slots(FINALITY)
    await world.service.step()
    assert await world.state(claim) == "finalized"


async def test_a_busy_one_rests_and_is_asked_again(
    world: World, three: list[Proxy], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "REST_MAX_S", 60.0)
    now = [time.monotonic()]
    monkeypatch.setattr(world.rpc._client._provider, "_clock", lambda: now[0])
    three[0].mood = "busy"
    for _ in range(3):
        await world.rpc.balance(world.treasury.account)
        await world.rpc.height()
    assert len(three[0].asked) <= 2, "not again at once"
    three[0].mood, three[0].asked = "honest", []
    now[0] += 61
    await world.rpc.height()
    await world.rpc.balance(world.treasury.account)
    assert three[0].asked == ["getEpochInfo", "getBalance"], "first again, once it has answered"


async def test_a_silent_one_holds_up_one_question_and_not_each(
    world: World, three: list[Proxy], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "REST_MAX_S", 600.0)
    monkeypatch.setattr(transport, "REST_S", 600.0)  # longer than this test takes
    wallet = await world.wallet(5 * UNIT)
    three[1].mood = "silent"
    claim = await world.signed(await world.service.reserve(str(wallet.pubkey())), wallet)
    for _ in range(3):
        await world.service.step()
    assert await world.state(claim) == "confirmed"
    assert len(three[1].asked) <= 2, "it rests"
    three[1].mood, three[0].mood = "honest", "busy"
    await world.rpc.height()
    assert three[1].asked[-1] == "getEpochInfo", "it is asked again when it is needed"
    assert await world.tokens(wallet) == 5 * UNIT


async def test_whoever_contradicts_the_others_is_asked_last(
    world: World, three: list[Proxy], capsys: pytest.CaptureFixture[str]
) -> None:
    lies(three[0], "failed")
    _, claim = await signed_claim(world)
    await world.service.step()
    world.clock.slots(FINALITY)
    await world.service.step()
    assert await world.state(claim) == "finalized"
    three[0].asked.clear()
    await world.rpc.balance(world.treasury.account)
    assert three[0].asked == []
    assert "an RPC contradicts the others" in capsys.readouterr().out


async def test_rpcs_of_two_clusters_are_noticed(world: World, three: list[Proxy]) -> None:
    def elsewhere(method: str, params: object, result: object) -> object:
        return "1" * 32 if method == "getGenesisHash" else result

    three[1].mood, three[1].lie = "lying", elsewhere
    async with Rpc([three[0].url, three[1].url]) as pair:
        with pytest.raises(RpcUnavailable, match="are all RPCs of the same"):
            await pair.genesis()


async def test_what_an_address_may_hold_is_in_no_message(world: World, three: list[Proxy]) -> None:
    port = three[0].url.rpartition(":")[2]
    three[0].mood = "garbage"
    secret = f"http://user:pass-word@127.0.0.1:{port}/v1/key-in-path?api-key=s3cr3t"
    for urls in (secret, f"{secret},http://127.0.0.1:1/{'k3y'}"):
        async with Rpc(urls, timeout=5) as rpc:
            with pytest.raises(RpcError) as failed:
                await rpc.balance(world.treasury.account)
            assert "127.0.0.1" in str(failed.value)
            error: BaseException | None = failed.value
            while error is not None:
                told = str(error) + repr(error)
                assert not any(each in told for each in ("s3cr3t", "pass-word", "key-in", "k3y"))
                error = error.__cause__
            assert rpc.name.startswith(f"http://127.0.0.1:{port}")


async def test_any_one_may_go_mad_at_any_time(world: World, three: list[Proxy]) -> None:
    """Moods change all the time; at most one of the three lies. Then there is peace."""
    for seed in ROUNDS:
        try:
            await _play(world, three, random.Random(seed))
        except BaseException as error:
            error.add_note(f"in round {seed}")
            raise
    await right(world)


async def _play(world: World, three: list[Proxy], rng: random.Random) -> None:
    for each in three:
        each.mood, each.drops = "honest", False
    earned = rng.randint(1, 50) * UNIT
    wallet = await world.wallet(earned)
    liar = rng.randrange(3)
    for _ in range(6):
        for place, each in enumerate(three):
            each.mood = rng.choice(["honest", "honest", "honest", "busy", "lagging"])
            each.lag, each.drops = rng.choice([2.0, 20.0]), rng.random() < 0.5
            if place == liar:
                each.mood, each.lie = rng.choice([("lying", mad(rng)), ("lying", LIES["lost"])])
        if rng.random() < 0.7:
            await _borne(lambda: _claim(world, wallet))
        await _borne(world.service.step)
        world.clock.slots(rng.choice([0, 1, 12, 40, 160]))
        claimable, in_flight, paid = await world.money(wallet)
        assert claimable + in_flight + paid == earned
        assert paid <= await _held(world, wallet, three) <= earned
    for each in three:
        each.mood, each.drops = "honest", False
    three[liar].mood, three[liar].lie = "lying", mad(rng)  # it does not give up
    for _ in range(60):
        if (await world.money(wallet))[2] == earned:
            break
        await _borne(lambda: _claim(world, wallet))
        await _borne(world.service.step)
        world.clock.slots(12)
    assert await world.money(wallet) == (0, 0, earned)
    assert await _held(world, wallet, three) == earned


async def _held(world: World, wallet: Keypair, three: list[Proxy]) -> int:
    """By the chain's own word."""
    through, world.rpc = world.rpc, Rpc(world.url)
    try:
        return await world.tokens(wallet)
    finally:
        await world.rpc.close()
        world.rpc = through


async def _claim(world: World, wallet: Keypair) -> None:
    claim = await world.service.reserve(str(wallet.pubkey()))
    if claim.transaction is not None:
        await world.signed(claim, wallet)


async def _borne(work: Callable[[], Awaitable[object]]) -> None:
    with suppress(ChainUnavailable, ClaimRefused, RpcError):
        await work()
