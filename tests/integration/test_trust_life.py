"""Random lives of a real policy with real books: what one says and what the other holds agree, at
any moment, whatever dies when."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tabgrid_server.store import Store
from tabgrid_server.store import corrections as stored_corrections
from tabgrid_server.store import trust as stored
from tabgrid_server.trust import memory
from tests.support.books import add_owner, opened
from tests.support.killed import until_at_rest
from tests.support.trusted_life import Life

ROOT = Path(__file__).resolve().parents[2]
SEED = 19


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'books.db'}"
    return str(request.getfixturevalue("postgres_url"))


async def kinds(store: Store) -> set[str]:
    found = await store.read(stored_corrections.after, 0, 10_000)
    return {str(json.loads(each.body)["kind"]) for each in found}


async def test_a_life_is_the_same_after_a_restart_and_its_books_agree(url: str) -> None:
    async with opened(url) as store:
        await add_owner(store)
        life = await Life.begin(store, SEED)
        for turn in range(4):
            await life.go_on(120)
            await life.validate()
            if turn % 2:
                await life.snapshot()
            before = memory.dump(life.trust)
            life = await Life.begin(store, SEED)
            assert memory.dump(life.trust) == before
        # Or the life was too dull to prove anything.
        assert await kinds(store) == {"void", "fine", "forfeit", "restore", "reinstate"}


async def test_killed_between_events_it_forgets_none_and_books_none_twice(url: str) -> None:
    async with opened(url) as store:
        await add_owner(store)
    acknowledged = 0
    for kill in range(3):
        acknowledged = max(acknowledged, run_and_kill(url, 60 + 37 * kill))
        # ``opened`` audits the books.
        async with opened(url) as store:
            await until_at_rest(store)
            life = await Life.begin(store, SEED)
            assert life.last >= acknowledged
            await life.validate()
            await life.go_on(20)
            await life.validate()
            assert (await store.read(stored.remembered)).through == life.last


def run_and_kill(url: str, lines: int) -> int:
    """Live until so many events are kept; the number of the newest that was acknowledged."""
    command = [sys.executable, "-m", "tests.support.trusted_life", url, str(SEED)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    told = [process.stdout.readline() for _ in range(lines)]
    process.kill()
    told += process.stdout.read().splitlines(keepends=True)
    process.stdout.close()
    process.wait()
    return max(int(line) for line in told if line.endswith("\n"))
