"""A program that submits and settles as fast as it can, until it is killed.

    python -m tests.support.busy_store URL FIRST

Prints a line for each command that was acknowledged, after it was.
"""

from __future__ import annotations

import asyncio
import itertools
import sys

from tabgrid_server.store import Store
from tests.support.books import new_job, refund, settlement

CLIENTS = 40


async def main(url: str, first: int) -> None:
    store = await Store.open(url)
    numbers = itertools.count(first)
    await asyncio.gather(*(client(store, numbers) for _ in range(CLIENTS)))


async def client(store: Store, numbers: itertools.count[int]) -> None:
    for number in numbers:
        id = f"job_{number:09}"
        await store.submit(new_job(id, price=1, fee=0, submitted_at=float(number)))
        print("queued", id, flush=True)
        if number % 5 == 0:
            await store.refund(refund(id))
            print("failed", id, flush=True)
        elif number % 5 != 1:
            await store.settle(settlement(id, price=1, fee=0, wallet=f"W{number % 3}"))
            print("done", id, flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
