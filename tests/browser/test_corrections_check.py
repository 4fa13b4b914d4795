"""The corrections under an epoch's root are checked in the reader's browser."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from solders.keypair import Keypair

from tabgrid_server.proofs import corrections as proofs
from tests.integration.conftest import EchoGrid
from tests.support.books import add_owner, opened
from tests.support.outside import tampering
from tests.support.proving import Proving
from tests.support.struck import Struck


@pytest.fixture(scope="module")
def proving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Proving, list[Any]]]:
    """A grid with epochs from before and after two corrections; the newest epoch first."""
    grid = EchoGrid(tmp_path_factory.mktemp("corrected"))
    made = Proving(grid)

    async def live() -> list[Any]:
        await made.work(1)
        await made.published()
        made.restart()
        async with opened(f"sqlite:///{made.database}") as store:
            await add_owner(store)
            struck = Struck(store, Keypair())
            now = time.time()
            for number in range(3):  # a fine is taken of what is withheld for others
                await struck.settle(f"job_c{number}", now)
            await struck.strike("job_c0", 60, now)
        made.start()
        return list(await made.published())

    yield made, asyncio.run(live())
    grid.programs.stop()


@pytest.fixture
def tamper(proving: tuple[Proving, list[Any]]) -> Iterator[Callable[[str], None]]:
    yield from tampering(proving[0])


def check(page: Page, proving: Proving, epoch: int) -> None:
    page.goto(f"{proving.grid.url}/explorer/epochs/{epoch}")
    page.get_by_test_id("check-corrections").click()


def test_a_reader_checks_the_corrections_of_an_epoch(
    proving: tuple[Proving, list[Any]], page: Page
) -> None:
    grid, epochs = proving
    newest, oldest = epochs[0], epochs[-1]
    assert (newest["corrections"], oldest["corrections"]) == (2, 0)
    result = page.get_by_test_id("check-result")
    check(page, grid, newest["epoch"])
    expect(result).to_contain_text("All 2 hashes lead from the first correction to")
    expect(result).to_contain_text(f"leaf {newest['count']} of {newest['count']} in epoch")
    expect(result).to_contain_text("the memo on chain has this root")
    check(page, grid, oldest["epoch"])
    expect(result).to_contain_text("There was no correction by its end.")
    expect(result).to_contain_text("the memo on chain has this root")


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        (
            "UPDATE corrections SET body = CAST(replace(body, 'Two', 'Ten') AS BLOB) "
            "WHERE number = 1",
            "correction 1 does not follow the one before",
        ),
        ("DELETE FROM corrections WHERE number = 2", "Of 2 corrections under it only 1 are told"),
    ],
)
def test_a_correction_that_was_altered_or_left_out_is_found(
    proving: tuple[Proving, list[Any]],
    page: Page,
    tamper: Callable[[str], None],
    sql: str,
    words: str,
) -> None:
    grid, epochs = proving
    tamper(sql)
    check(page, grid, epochs[0]["epoch"])
    expect(page.get_by_test_id("check-result")).to_contain_text(words)


def test_corrections_that_were_chained_anew_give_another_root(
    proving: tuple[Proving, list[Any]], page: Page, tamper: Callable[[str], None]
) -> None:
    grid, epochs = proving
    with closing(sqlite3.connect(grid.database)) as connection:
        bodies = connection.execute("SELECT body FROM corrections ORDER BY number").fetchall()
    hash = proofs.GENESIS
    for number, (body,) in enumerate(bodies, 1):
        body = body.replace(b"Two", b"Ten")
        hash = proofs.link(hash, body)
        sets = f"body = x'{body.hex()}', hash = '{hash.hex()}'"
        tamper(f"UPDATE corrections SET {sets} WHERE number = {number}")
    check(page, grid, epochs[0]["epoch"])
    expect(page.get_by_test_id("check-result")).to_contain_text("Not in epoch")
