"""An audit of a running grid by somebody outside, and lies in its database for it to find."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

from tests.support.proving import Proving

#: What is put back after a lie.
TABLES = ("checks", "given_up", "receipts", "balances", "epochs", "epoch_wallets", "corrections")
#: What keeps a published row from being changed.
GUARDS = [
    f"{table}_published_{verb}"
    for table in ("receipts", "corrections")
    for verb in ("update", "delete")
]


class Told:
    """What the command said."""

    def __init__(self, code: int, output: bytes) -> None:
        self.code = code
        self.text = output.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def broken(self) -> dict[str, list[str]]:
        """Rule -> examples."""
        return self._found(warning=False)

    @property
    def warnings(self) -> dict[str, list[str]]:
        """What is worth a look and breaks nothing: rule -> examples."""
        return self._found(warning=True)

    def _found(self, warning: bool) -> dict[str, list[str]]:
        told = [f for f in self.json["findings"] if f["broken"] and f["warning"] == warning]
        return {f["rule"]: f["examples"] for f in told}


async def audit(proving: Proving, *options: str) -> Told:
    """In a process of its own, which knows two addresses."""
    where = ("--rpc", proving.rpc_url, "--grid", proving.grid.url)
    command = (sys.executable, "-m", "tabgrid_server", "audit", *where, *options)
    pipe = asyncio.subprocess.PIPE
    run = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe)
    out, err = await run.communicate()
    return Told(run.returncode or 0, out or err)


async def fresh(proving: Proving) -> Told:
    """By a statement that is made for it: this grid gives none a second time."""
    return await audit(proving, "--json")


def tampering(proving: Proving) -> Iterator[Callable[[str], None]]:
    """A fixture's body. tamper(sql): in the live database, with the guards of what is published
    taken off. All is put back afterwards."""
    with closing(sqlite3.connect(proving.database)) as connection:
        backup = sqlite3.connect(":memory:")
        connection.backup(backup)

    def run(sql: str) -> None:
        with closing(sqlite3.connect(proving.database, timeout=10)) as connection, connection:
            connection.execute("PRAGMA foreign_keys = OFF")
            for guard in GUARDS:
                connection.execute(f"DROP TRIGGER IF EXISTS {guard}")
            assert connection.execute(sql).rowcount > 0

    yield run
    with closing(sqlite3.connect(proving.database, timeout=10)) as connection, connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        for table in TABLES:
            rows = backup.execute(f"SELECT * FROM {table}").fetchall()
            connection.execute(f"DELETE FROM {table}")
            if rows:
                places = ", ".join("?" * len(rows[0]))
                connection.executemany(f"INSERT INTO {table} VALUES ({places})", rows)
    backup.close()
