"""Work that lasts: what ends it, and what does not."""

from __future__ import annotations

import asyncio

import pytest

from tabgrid_server import lasting
from tabgrid_server.lasting import end, kept


class PanicException(BaseException):
    """As what Rust's panics are in Python: no ``Exception``."""


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lasting, "AGAIN_S", 0.0)
    monkeypatch.setattr(lasting, "LAST_THINGS_S", 0.01)


async def test_it_begins_again_after_each_failure_until_it_is_done() -> None:
    failures: list[BaseException] = [ValueError("a bug"), PanicException("Rust's"), OSError()]
    begun = 0

    async def work() -> None:
        nonlocal begun
        begun += 1
        if failures:
            raise failures.pop()

    await kept("work", work)
    assert (begun, failures) == (4, [])


async def test_a_cancel_is_no_failure() -> None:
    begun = asyncio.Event()

    async def work() -> None:
        begun.set()
        await asyncio.Future()

    task = asyncio.create_task(kept("work", work))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_who_takes_a_cancel_for_something_else_is_cancelled_again() -> None:
    begun = asyncio.Event()

    async def deaf() -> None:
        for _ in range(3):
            begun.set()
            try:
                await asyncio.Future()
            except asyncio.CancelledError:
                continue
        raise ValueError("its last words")

    async def good() -> None:
        await asyncio.Future()

    tasks = [asyncio.create_task(deaf()), asyncio.create_task(good())]
    await begun.wait()
    async with asyncio.timeout(60):
        await end(tasks)
    assert tasks[1].cancelled()
    assert isinstance(tasks[0].exception(), ValueError)
