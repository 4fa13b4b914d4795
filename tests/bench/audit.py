"""How long `tabgrid audit --local` takes for a million postings.

    python tests/bench/audit.py [--jobs 250000]

One job is booked as the store books it and copied under other names in SQL: a hold and a
settlement each, five postings. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.support.books import add_owner, new_job, opened, settlement

CREDIT = 10**12


async def one_job(path: Path) -> None:
    async with opened(f"sqlite:///{path}") as store:
        await add_owner(store, credit=CREDIT)
        await store.submit(new_job("job_0"))
        await store.settle(settlement("job_0"))


def copies(path: Path, count: int) -> int:
    """Copy the job; how many postings there are then."""
    with sqlite3.connect(path) as db:
        db.execute("CREATE TEMP TABLE n (n INTEGER PRIMARY KEY)")
        db.executemany("INSERT INTO n VALUES (?)", ((each,) for each in range(1, count)))
        last = db.execute("SELECT max(id) FROM transfers").fetchone()[0]
        (hold,) = db.execute("SELECT id FROM transfers WHERE kind = 'hold'").fetchone()
        (settle,) = db.execute("SELECT id FROM transfers WHERE kind = 'settle'").fetchone()
        for place, original in enumerate((hold, settle)):
            new = f"{last} + 2 * n.n - {1 - place}"
            _copy(db, "transfers", {"id": new, "ref": "'job_' || n.n"}, f"t.id = {original}")
            _copy(db, "postings", {"transfer_id": new}, f"t.transfer_id = {original}")
            if original == settle:
                receipt = {"seq": new, "job_id": "'job_' || n.n"}
        _copy(db, "jobs", {"id": "'job_' || n.n"}, "1")
        _copy(db, "receipts", receipt, "1")
        _copy(db, "earnings", {"job_id": "'job_' || n.n"}, "1")
        db.execute(
            "UPDATE balances SET amount = (SELECT sum(p.amount) FROM postings p"
            " WHERE p.account = balances.account)"
        )
        found: int = db.execute("SELECT count(*) FROM postings").fetchone()[0]
    return found


def _copy(db: sqlite3.Connection, table: str, changed: dict[str, str], where: str) -> None:
    names = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
    values = ", ".join(changed.get(name, f"t.{name}") for name in names)
    db.execute(f"INSERT INTO {table} SELECT {values} FROM {table} t, n WHERE {where}")


def main(jobs: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tabgrid.db"
        asyncio.run(one_job(path))
        postings = copies(path, jobs)
        command = [sys.executable, "-m", "tabgrid_server", "audit", "--local", "--data", folder]
        began = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True)
        seconds = time.perf_counter() - began
        figures = {"bench": "audit", "jobs": jobs, "postings": postings, "s": round(seconds, 2)}
        print(json.dumps(figures | {"right": done.returncode == 0}))
        if done.returncode:
            print(done.stdout + done.stderr, file=sys.stderr)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=250_000)
    main(parser.parse_args().jobs)
