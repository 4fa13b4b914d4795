"""What is told of epochs while one is closed. The database is real; only its pace is ours."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from tabgrid_server.proofs.corrections import Head
from tabgrid_server.published import Published
from tabgrid_server.store import Store, epoch_drafts, epochs
from tabgrid_server.store.database import SqliteDatabase
from tests.support.books import add_owner, new_job, opened, settlement


class Interrupted(SqliteDatabase):
    """Does what ``then`` says after the next read."""

    then: Callable[[], Awaitable[None]] | None = None

    async def read(self, query: Any, *args: Any, **kwargs: Any) -> Any:
        found = await super().read(query, *args, **kwargs)
        if self.then is not None:
            then, self.then = self.then, None
            await then()
        return found


async def test_a_receipt_waits_or_is_in_an_epoch_whenever_one_asks(tmp_path: Path) -> None:
    file = tmp_path / "books.db"
    async with opened(f"sqlite:///{file}") as store:
        await add_owner(store)
        await store.submit(new_job())
        await store.settle(settlement())

        async def close() -> None:
            pending = await store.read(epochs.pending)
            await store.write(epochs.close, epoch_drafts.draft(None, [], pending, Head(), 2_000.0))

        database = Interrupted(file)
        database.then = close
        published = Published(Store(database))
        found, waiting = await published.newest(10)
        assert waiting or [epoch.receipts for epoch in found] == [1]
        found, waiting = await published.newest(10)
        assert (waiting, [epoch.receipts for epoch in found]) == (0, [1])
        await database.close()
