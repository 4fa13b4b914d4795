"""Claims that move at the same time come to what they come to one after the other."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy import Connection, text

from tabgrid_server.chain.claims import Claim
from tabgrid_server.ledger import InsufficientFunds
from tabgrid_server.store import Conflict, Store
from tabgrid_server.store import claims as stored
from tabgrid_server.store import claims_together as together
from tabgrid_server.store import ledger as stored_ledger
from tabgrid_server.store.breaker import Caps
from tabgrid_server.store.shared_commit import Call
from tabgrid_server.store.together import Together
from tests.support.books import TOKEN, add_owner, new_job, opened, settlement

WALLETS = [f"wallet-{n}" for n in range(6)]
#: Base units that one job brings.
EARNED = 95
#: Enough for some of a round's claims and not for all.
CAPS = Caps(hour=4 * EARNED, day=5 * EARNED)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'books.db'}"
    return str(request.getfixturevalue("postgres_url"))


async def earn(store: Store, wallet: str, at: float) -> None:
    job = f"job of {wallet} at {at}"
    await store.submit(new_job(job, submitted_at=at))
    await store.settle(settlement(job, wallet=wallet, finished_at=at, release_at=at))
    await store.write(stored_ledger.release_due, at, 10)


def draft(rng: random.Random, number: int, at: float) -> Claim:
    """Of all that was earned, mostly; and a wallet's next number, mostly."""
    name = f"claim-{number:03}"
    return Claim(
        id=name,
        wallet=rng.choice(WALLETS),
        token=TOKEN,
        amount=rng.choice([EARNED] * 6 + [EARNED - 1, 2 * EARNED]),
        message=b"message of " + name.encode(),
        blockhash="blockhash",
        last_valid_height=100,
        created_at=at,
        updated_at=at,
        expires_at=at + 90,
        seq=rng.choice([number, number, number, 0]),
        marker=f"mark of {name}",
    )


def moved(rng: random.Random, claim: Claim, at: float) -> Claim:
    """One of the ways in which a claim goes on from where the books have it."""
    name = claim.id
    if claim.state == "reserved" and rng.random() < 0.8:
        signed = {"signed": name.encode(), "txid": f"txid of {name}", "signed_at": at}
        return replace(claim, state="signed", updated_at=at, **signed)
    if claim.state != "reserved" and rng.random() < 0.8:
        state = "confirmed" if claim.state == "signed" else "finalized"
        return replace(claim, state=state, updated_at=at)
    return replace(claim, state="failed", error="It failed.", updated_at=at)


def round_of(rng: random.Random, number: int, known: Sequence[Claim]) -> list[Call]:
    """Reservations, co-signatures or other moves: of one kind, so that no order is the right one
    among claims. The same may be asked twice, and somebody else may have moved a claim."""
    at = 1_000.0 + number
    if number % 3 == 0:
        return [
            Call(together.reserve, (draft(rng, number * 10 + place, at),))
            for place in range(rng.randint(1, 7))
        ]
    calls: list[Call] = []
    for claim in known:
        now = moved(rng, claim, at)
        if (now.state == "signed") == (number % 3 == 1):
            before = rng.choice([claim.state] * 5 + ["reserved", "confirmed"])
            call = Call(together.advance, (now, before))
            if now.state == "signed":
                call = Call(together.cosign, (now, CAPS))
            calls += [call] * rng.choice([1, 1, 1, 2])
    return calls


async def outcome(store: Store, call: Call) -> Any:
    try:
        return await store.join(call.query, *call.args)
    except (Conflict, InsufficientFunds):
        return "refused"


def books(connection: Connection) -> list[list[Any]]:
    """All that is kept, but for what numbers transfers happen to have."""
    queries = (
        "SELECT * FROM claims ORDER BY id",
        "SELECT * FROM claim_attempts ORDER BY claim_id",
        "SELECT account, amount FROM balances WHERE amount <> 0 ORDER BY account",
        "SELECT t.kind, t.ref, t.at, p.account, p.amount FROM transfers t"
        " JOIN postings p ON p.transfer_id = t.id ORDER BY 1, 2, 3, 4",
        "SELECT job_id, claim FROM earnings ORDER BY job_id",
        "SELECT tripped_at, reason, reset_at FROM breaker ORDER BY id",
    )
    return [[tuple(row) for row in connection.execute(text(query))] for query in queries]


@pytest.mark.parametrize("seed", range(6))
async def test_together_comes_to_what_one_after_the_other_does(
    url: str, tmp_path: Path, seed: int
) -> None:
    rng = random.Random(seed)
    async with opened(url) as many, opened(f"sqlite:///{tmp_path / 'alone.db'}") as alone:
        for store in (many, alone):
            await add_owner(store)
        for number in range(24):
            if number % 3 == 0:
                for wallet in rng.sample(WALLETS, 4):
                    await earn(many, wallet, 1_000.0 + number)
                    await earn(alone, wallet, 1_000.0 + number)
            calls = round_of(rng, number, await alone.read(stored.open_claims))
            told = await asyncio.gather(*(outcome(many, call) for call in calls))
            assert told == [await outcome(alone, _alone(call)) for call in calls]
            assert await many.read(books) == await alone.read(books)
            wallets = [(wallet, TOKEN, None) for wallet in WALLETS]
            stand = await asyncio.gather(
                *(many.join_read(together.position, *each) for each in wallets)
            )
            assert stand == [await alone.read(stored.position, *each) for each in wallets]


def _alone(call: Call) -> Call:
    assert isinstance(call.query, Together)
    return Call(call.query.one, call.args)


async def test_what_is_ordinary_is_done_together(tmp_path: Path) -> None:
    """Without this, the test above would hold if all were left to be done alone."""
    async with opened(f"sqlite:///{tmp_path / 'books.db'}") as store:
        await add_owner(store)
        for wallet in WALLETS:
            await earn(store, wallet, 1_000.0)
        rng = random.Random(0)
        drafts = [
            replace(draft(rng, n, 1_000.0), wallet=wallet, amount=EARNED)
            for n, wallet in enumerate(WALLETS)
        ]
        caps = Caps(hour=0, day=0)
        signed = [replace(each, state="signed", signed=b"", txid=each.id) for each in drafts]
        final = [replace(each, state="finalized") for each in signed]
        assert await store.write(together.reserve.many, [(each,) for each in drafts]) == [None] * 6
        kept = await store.write(together.cosign.many, [(each, caps) for each in signed])
        assert kept == ["moved"] * 6
        paid = await store.write(together.advance.many, [(each, "signed") for each in final])
        assert paid == [True] * 6
