"""`tabgrid audit --grid` of a grid that took pay back: what was taken by right passes, and what an
operator takes or gives at will is found."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from msgspec.structs import replace
from solders.keypair import Keypair

from tabgrid_server.proofs import corrections as proofs
from tabgrid_server.proofs.corrections import Correction
from tabgrid_server.store.effects import Forfeit, Reinstate, Restore
from tabgrid_server.trust.policy import DAY
from tests.integration.conftest import EchoGrid
from tests.support.books import add_owner, opened
from tests.support.outside import audit, fresh, tampering
from tests.support.proving import Proving
from tests.support.settled import PAY
from tests.support.struck import Struck
from tests.support.two_faced import Change, two_faced

pytestmark = pytest.mark.timeout(400)
ROOTED = "corrections of pay are those under each epoch's root"
ON_CHAIN = "each epoch's leaves give the root on chain"
FITS = "each correction fits the receipt that it is about"
SIGNED = "corrections of pay are those that were signed"
BACKED = "every balance is backed by receipts and corrections"


@pytest.fixture(scope="module")
def proving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proving]:
    """Beside honest jobs, seven of another wallet: a strike that stands, one that was taken back,
    a forfeit that was given back, one that was not, and a wrong answer that is not void yet."""
    grid = EchoGrid(tmp_path_factory.mktemp("corrected"))
    made = Proving(grid)

    async def live() -> None:
        await made.work(2)
        await made.published()
        made.restart()
        async with opened(f"sqlite:///{made.database}") as store:
            await add_owner(store)
            await correct(Struck(store, Keypair()), time.time())
        made.start()
        await made.published()

    asyncio.run(live())
    yield made
    grid.programs.stop()


async def correct(struck: Struck, at: float) -> None:
    unit = struck.unit
    for number in range(7):
        await struck.settle(f"job_c{number}", at)
    await struck.strike("job_c0", 60, at)
    await struck.strike("job_c1", 70, at)
    await struck.tell(at, Restore("job_c1", unit, PAY, 70, 70, "Two of three agree.", at))
    await struck.tell(at, Forfeit(unit, ("job_c2",), PAY - 60, "Convicted.", at))
    await struck.tell(at, Reinstate(unit, PAY - 60, "An error.", at))
    await struck.tell(at, Forfeit(unit, ("job_c3", "job_c4"), 2 * PAY, "Again.", at))
    await struck.refute("job_c6", at)


@pytest.fixture
def tamper(proving: Proving) -> Iterator[Callable[[str], None]]:
    yield from tampering(proving)


def forged(proving: Proving, **lie: object) -> str:
    """SQL for one more correction, chained as the real ones are. The column beside its text is
    another: the database itself would refuse two of one kind for one job."""
    with closing(sqlite3.connect(proving.database)) as connection:
        newest = "SELECT number, hash, body FROM corrections ORDER BY number DESC LIMIT 1"
        number, hash, body = connection.execute(newest).fetchone()
    like = proofs.read(body)
    assert like is not None
    # Of a time to come: the grid at work puts it under no root meanwhile.
    at = like.at + 1_000 * DAY
    fields = {"number": number + 1, "wallet": like.wallet, "token": like.token, "at": at}
    made = Correction(**{"reason": "Because.", **fields, **lie})  # type: ignore[arg-type]
    text = proofs.text_of(made)
    after = proofs.link(bytes.fromhex(hash), text).hex()
    return (
        "INSERT INTO corrections VALUES"
        f" ({made.number}, -{made.number}, '{made.kind} 2', '{made.ref}', '{made.wallet}',"
        f" '{made.token}', {made.amount}, '{made.reason}', {made.at}, x'{text.hex()}',"
        f" '{after}')"
    )


async def test_a_grid_that_took_pay_back_by_right_passes(proving: Proving) -> None:
    told = await fresh(proving)
    assert told.broken == {}, told.text
    summary = told.json["summary"]
    assert summary["corrections"] == summary["rooted"] == 8
    assert summary["taken"] == 2 * PAY + 130 + (PAY - 60) + 2 * PAY
    assert summary["given_back"] == PAY + 70 + (PAY - 60)


@pytest.mark.parametrize(
    ("lie", "why"),
    [
        ({"kind": "void", "ref": "job_c5", "amount": PAY}, "no reference found the answer wrong"),
        (
            {"kind": "void", "ref": "job_c5", "amount": PAY + 1},
            "takes 96 for an answer that earned 95",
        ),
        ({"kind": "void", "ref": "job_c0", "amount": PAY}, "comes a second time"),
        ({"kind": "void", "ref": "job_x", "amount": 5}, "there is no such receipt"),
        ({"kind": "void", "ref": "job_c5", "amount": PAY, "wallet": "W"}, "earned it"),
        ({"kind": "fine", "ref": "job_c5", "amount": 5}, "the answer was not void"),
        ({"kind": "forfeit", "ref": "job_c5", "amount": 5, "wallet": "W"}, "no answer of W"),
        (
            # The other fine was given back, and cannot pay for this as well.
            {"kind": "void", "ref": "job_c6", "amount": 34, "fined": 61},
            "takes 61 from fines of which there are not so many",
        ),
        ({"kind": "restore", "ref": "job_c0", "amount": 61}, "gives 61 back, of 95 pay"),
        ({"kind": "restore", "ref": "job_c5", "amount": 1}, "the answer was not void"),
        ({"kind": "reinstate", "ref": "job_c3", "amount": 1}, "so much was not forfeited"),
    ],
)
async def test_a_correction_that_was_made_up_is_found(
    proving: Proving, tamper: Callable[[str], None], lie: dict[str, object], why: str
) -> None:
    tamper(forged(proving, **lie))
    told = await fresh(proving)
    assert told.code == 1
    assert any(why in example for example in told.broken[FITS]), told.text
    # And the money would not be where it says.
    assert BACKED in told.broken


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE corrections SET body = CAST(replace(body, 'Two', 'Ten') AS BLOB) WHERE number = 1",
        "DELETE FROM corrections WHERE number = 2",
    ],
)
async def test_a_correction_that_was_altered_or_left_out_is_found(
    proving: Proving, tamper: Callable[[str], None], sql: str
) -> None:
    tamper(sql)
    told = await fresh(proving)
    assert told.code == 1
    assert SIGNED in told.broken


def rewritten(proving: Proving, number: int, **lie: object) -> list[str]:
    """SQL for one old correction with other words, and all after it chained to it anew."""
    with closing(sqlite3.connect(proving.database)) as connection:
        rows = connection.execute("SELECT number, body FROM corrections ORDER BY number").fetchall()
    hash, statements = proofs.GENESIS, []
    for place, body in rows:
        told = proofs.read(body)
        assert told is not None
        text = proofs.text_of(replace(told, **lie)) if place == number else body
        hash = proofs.link(hash, text)
        sets = f"body = x'{text.hex()}', hash = '{hash.hex()}'"
        statements.append(f"UPDATE corrections SET {sets} WHERE number = {place}")
    # As the operator would have to, for the leaf to be of the chain that is told.
    leaf = f"UPDATE epochs SET corrected = '{hash.hex()}' WHERE corrections = {place}"
    return [*statements, leaf]


async def test_an_old_correction_that_was_rewritten_is_found(
    proving: Proving, tamper: Callable[[str], None]
) -> None:
    """Although the grid signs a new statement over the rewritten chain, which holds."""
    *chain, leaf = rewritten(proving, 2, reason="Somebody else's fault.")
    for sql in chain:
        tamper(sql)
    told = await fresh(proving)
    assert told.code == 1
    assert list(told.broken) == [ROOTED]
    [example] = told.broken[ROOTED]
    assert example.startswith("the first 8 told are not those of epoch ")

    tamper(leaf)
    told = await fresh(proving)
    assert told.code == 1
    assert list(told.broken) == [ON_CHAIN]


def leaf_told(**lie: object) -> Change:
    """Every leaf of corrections is told otherwise."""

    def change(path: str, told: Any) -> Any:
        for leaf in told["leaves"] if path.endswith("/leaves") else ():
            if leaf["kind"] == "corrected":
                leaf |= lie
        return told

    return change


def leaves_told(times: int) -> Change:
    """Every leaf of corrections is told so many times."""

    def change(path: str, told: Any) -> Any:
        if path.endswith("/leaves"):
            last = [leaf for leaf in told["leaves"] if leaf["kind"] == "corrected"]
            told["leaves"] = [leaf for leaf in told["leaves"] if leaf not in last] + last * times
        return told

    return change


@pytest.mark.parametrize(
    "change",
    [
        leaf_told(corrections=-1), leaf_told(corrections=2**53), leaf_told(corrections=None),
        leaf_told(corrected="00"), leaf_told(corrected="Z" * 64), leaf_told(corrected=None),
        leaves_told(2),
    ],
)  # fmt: skip
async def test_leaves_that_can_be_none_prove_nothing(proving: Proving, change: Change) -> None:
    async with two_faced(proving.grid.url, change) as url:
        told = await audit(proving, "--grid", url)
    assert told.code == 2, told.text
    assert "leaf of an epoch" in told.text or "leaves of corrections in one epoch" in told.text


async def test_a_leaf_of_corrections_that_is_not_told_is_missed(proving: Proving) -> None:
    async with two_faced(proving.grid.url, leaves_told(0)) as url:
        told = await audit(proving, "--json", "--grid", url)
    assert told.code == 1
    assert {ON_CHAIN, "each epoch has all leaves that were published"} <= set(told.broken)


async def test_corrections_under_a_root_that_are_not_told_are_missed(proving: Proving) -> None:
    """Some are told, as if there had never been more."""

    def change(path: str, told: Any) -> Any:
        if path == "/api/corrections":
            told["corrections"] = [each for each in told["corrections"] if each["number"] <= 3]
        return told

    async with two_faced(proving.grid.url, change) as url:
        told = await audit(proving, "--json", "--grid", url)
    assert told.code == 1
    assert any("has 8 corrections, 3 are told" in each for each in told.broken[ROOTED])


async def test_corrections_that_an_epoch_is_said_to_lack_are_found(
    proving: Proving, tamper: Callable[[str], None]
) -> None:
    """As if the newest were not under the root yet, and could still be changed."""
    hash = "(SELECT hash FROM corrections WHERE number = 7)"
    tamper(f"UPDATE epochs SET corrections = 7, corrected = {hash} WHERE corrections = 8")
    told = await fresh(proving)
    assert told.code == 1
    assert list(told.broken) == [ON_CHAIN]


async def test_pay_that_was_taken_without_a_word_is_found(
    proving: Proving, tamper: Callable[[str], None]
) -> None:
    tamper("UPDATE balances SET amount = 0 WHERE account LIKE 'node:%:withheld' AND amount > 0")
    told = await fresh(proving)
    assert told.code == 1
    assert BACKED in told.broken
