"""What the store spends on one job: submit and settle, kept durably, nothing else running.

    python tests/bench/store.py [--url URL] [--jobs N] [--together 1,8,64]

Prints one JSON object per line. ``cpu_us`` is of the whole process and job, ``loop_us``
the part of it in the event loop's thread, ``commits`` how many transactions there were.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from pathlib import Path
from typing import Any

from tabgrid_server.store import ApiKey, NewJob, Settlement, Store, keys
from tabgrid_server.store.database import Database

USAGE = {"prompt_tokens": 9, "total_tokens": 9}
WALLETS = 64


class Counting:
    """The database, counting its commits."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.commits = 0

    async def write(self, *args: Any, **kwargs: Any) -> Any:
        self.commits += 1
        return await self._database.write(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)


def new_job(number: int) -> NewJob:
    return NewJob(
        id=f"job_{number:026d}", owner=f"owner{number % 8}", key_id=f"key{number % 8}",
        grid="text", model="all-MiniLM-L6-v2", digest="d" * 64, connector="embeddings",
        token="TGT", input=b"i" * 80, price=9, fee=1, units=9, usage=USAGE, public=True,
        submitted_at=float(number),
    )  # fmt: skip


def settlement(number: int) -> Settlement:
    return Settlement(
        job_id=f"job_{number:026d}", output=b"o" * 1600, receipt=b"r" * 900, price=9, fee=1,
        units=9, usage=USAGE, node="node_" + "0" * 26, wallet=f"{number % WALLETS:044d}",
        worker_key="k" * 44, host="browser", backend="wasm", device="x86-64, 8 threads",
        device_class="wasm:x86-64:avx2", dtype="q8", attempts=1, assigned_at=1.0,
        returned_at=2.0, finished_at=number + 2.0, release_at=30.0,
    )  # fmt: skip


async def measure(store: Store, first: int, jobs: int, together: int) -> dict[str, float]:
    numbers = iter(range(first, first + jobs))
    latencies: list[float] = []

    async def client() -> None:
        for number in numbers:
            began = time.perf_counter()
            await store.submit(new_job(number))
            latencies.append(time.perf_counter() - began)
            await store.settle(settlement(number))

    counting = Counting(store.database)
    store._commits._database = counting
    wall, cpu, loop = time.perf_counter(), time.process_time(), time.thread_time()
    await asyncio.gather(*(client() for _ in range(together)))
    wall, cpu, loop = (
        time.perf_counter() - wall,
        time.process_time() - cpu,
        time.thread_time() - loop,
    )
    return {
        "together": together,
        "jobs_per_s": round(jobs / wall),
        "cpu_us": round(cpu / jobs * 1e6, 1),
        "loop_us": round(loop / jobs * 1e6, 1),
        "submit_p50_ms": round(sorted(latencies)[jobs // 2] * 1e3, 2),
        "commits": counting.commits,
    }


async def main(url: str, jobs: int, together: list[int]) -> None:
    store = await Store.open(url)
    try:
        for n in range(8):
            key = ApiKey(id=f"key{n}", owner=f"owner{n}", label="", created_at=0.0, revoked_at=None)
            await store.write(keys.create, key, f"hash{n}", 10**9, "TGT")
        for turn, clients in enumerate(together):
            figures = await measure(store, turn * jobs, jobs, clients)
            print(json.dumps({"bench": "store", **figures}), flush=True)
    finally:
        await store.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="")
    parser.add_argument("--jobs", type=int, default=3000)
    parser.add_argument("--together", default="1,8,64,256")
    options = parser.parse_args()
    counts = [int(count) for count in options.together.split(",")]
    with tempfile.TemporaryDirectory() as folder:
        target = options.url or f"sqlite:///{Path(folder) / 'bench.db'}"
        asyncio.run(main(target, options.jobs, counts))
