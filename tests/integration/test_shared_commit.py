"""Changes that share a commit are kept, refused and answered as if each were alone."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, text

from tabgrid_server.store import Conflict, Store, StoreUnavailable
from tabgrid_server.store.shared_commit import MOST


class Refused(Exception): ...


def put(connection: Connection, name: str, way: str) -> str:
    """A row in ``notes``, and then what ``way`` says."""
    connection.execute(text("INSERT INTO notes (name) VALUES (:n)"), {"n": name})
    if way == "refused":
        raise Refused(name)
    if way == "again":
        connection.execute(text("INSERT INTO notes (name) VALUES (:n)"), {"n": name})
    return f"kept {name}"


def make(connection: Connection) -> None:
    connection.execute(text("CREATE TABLE notes (name TEXT PRIMARY KEY)"))


def names(connection: Connection) -> list[str]:
    return list(connection.execute(text("SELECT name FROM notes ORDER BY name")).scalars())


async def opened(folder: Path) -> Store:
    store = await Store.open(f"sqlite:///{folder / 'tabgrid.db'}")
    await store.write(make)
    return store


@pytest.mark.parametrize("count", [1, 2, MOST + 5])
async def test_each_gets_its_own_answer(tmp_path: Path, count: int) -> None:
    store = await opened(tmp_path)
    told = await asyncio.gather(*(store.join(put, f"{n:03}", "kept") for n in range(count)))
    assert told == [f"kept {n:03}" for n in range(count)]
    assert await store.read(names) == [f"{n:03}" for n in range(count)]
    await store.close()


WAYS = st.lists(st.sampled_from(["kept", "kept", "refused", "again", "cancelled"]), max_size=30)


@settings(deadline=None, max_examples=25)
@given(WAYS)
def test_one_that_fails_takes_nobody_with_it(
    tmp_path_factory: pytest.TempPathFactory, ways: list[str]
) -> None:
    async def play() -> None:
        folder = tmp_path_factory.mktemp("shared")
        store = await opened(folder)
        tasks = [asyncio.create_task(store.join(put, f"{n:03}", way)) for n, way in enumerate(ways)]
        await asyncio.sleep(0)
        for task, way in zip(tasks, ways, strict=True):
            if way == "cancelled":
                task.cancel()
        told = await asyncio.gather(*tasks, return_exceptions=True)
        await store.close()
        store = await Store.open(f"sqlite:///{folder / 'tabgrid.db'}")
        kept = await store.read(names)
        await store.close()
        for number, (way, answer) in enumerate(zip(ways, told, strict=True)):
            name = f"{number:03}"
            match way:
                case "kept":
                    assert answer == f"kept {name}"
                    assert name in kept
                case "refused":
                    assert isinstance(answer, Refused)
                    assert str(answer) == name
                    assert name not in kept
                case "again":
                    assert isinstance(answer, Conflict)
                    assert name not in kept

    asyncio.run(play())


async def test_what_the_database_does_not_keep_nobody_is_told_is_kept(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    held = sqlite3.connect(tmp_path / "tabgrid.db", isolation_level=None)
    held.execute("BEGIN IMMEDIATE")  # another program's, longer than anybody waits
    told = await asyncio.gather(
        *(store.join(put, f"{n}", "kept") for n in range(3)), return_exceptions=True
    )
    assert all(isinstance(each, StoreUnavailable) for each in told)
    held.execute("ROLLBACK")
    held.close()
    assert await store.read(names) == []
    assert await store.join(put, "later", "kept") == "kept later"
    await store.close()
