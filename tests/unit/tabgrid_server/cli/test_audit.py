"""`tabgrid audit --local` on real books, right and tampered with."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tabgrid_server.cli.audit import audit
from tabgrid_server.store import ledger as books
from tests.support.books import add_owner, new_job, opened, refund, settlement


def run(*arguments: str) -> Result:
    return CliRunner(env={"TABGRID_SERVER_DATA": None}).invoke(audit, arguments)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data folder with an open job, a done one, a released one and a failed one."""

    async def write() -> None:
        async with opened(f"sqlite:///{tmp_path / 'tabgrid.db'}") as store:
            await add_owner(store)
            for n in range(4):
                await store.submit(new_job(f"job_{n}"))
            await store.settle(settlement("job_1", release_at=2_000.0))
            await store.settle(settlement("job_2"))
            await store.refund(refund("job_3"))
            await store.write(books.release_due, 1_500.0, 10)

    asyncio.run(write())
    return tmp_path


def test_right_books_pass(folder: Path) -> None:
    told = run("--local", "--data", str(folder))
    assert told.exit_code == 0, told.output
    assert "BROKEN" not in told.output
    assert told.output.endswith("All right.\n")


@pytest.mark.parametrize(
    ("tampering", "rule"),
    [
        ("UPDATE postings SET amount = amount + 1 WHERE account = 'system:fees'", "sum to zero"),
        ("UPDATE balances SET amount = 7 WHERE account = 'user:alice:credit'", "balances are"),
        ("DELETE FROM transfers WHERE kind = 'settle' AND ref = 'job_1'", "done jobs are settled"),
        ("DELETE FROM transfers WHERE kind = 'hold' AND ref = 'job_0'", "each job was held once"),
        ("UPDATE jobs SET state = 'queued' WHERE id = 'job_1'", "done jobs are settled"),
        ("UPDATE jobs SET state = 'cancelled' WHERE id = 'job_0'", "what is held"),
        ("UPDATE jobs SET price = price + 1 WHERE id = 'job_2'", "pay is price less fee"),
        ("UPDATE jobs SET output_digest = 'gone' WHERE id = 'job_1'", "led to by a row"),
        ("DELETE FROM jobs WHERE id = 'job_0'", "a job that is not there"),
        ("DELETE FROM receipts WHERE job_id = 'job_1'", "receipt and a pay"),
        ("UPDATE receipts SET body = x'00' WHERE job_id = 'job_1'", "hash beside it"),
        ("UPDATE earnings SET released = 1", "what is withheld"),
        ("INSERT INTO transfers VALUES (98, 'pay', 'c', 'TGT', 1), (99, 'return', 'c', 'TGT', 1)",
         "never both"),
    ],
)  # fmt: skip
def test_tampering_is_found_and_named(folder: Path, tampering: str, rule: str) -> None:
    with sqlite3.connect(folder / "tabgrid.db") as connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        assert connection.execute(tampering).rowcount > 0
    connection.close()
    told = run("--local", "--data", str(folder))
    assert told.exit_code == 1
    assert any("BROKEN" in line and rule in line for line in told.output.splitlines()), told.output


def test_json_says_the_same(folder: Path) -> None:
    told = run("--local", "--json", "--data", str(folder))
    assert told.exit_code == 0
    assert {found["broken"] for found in json.loads(told.output)["findings"]} == {0}


def test_what_cannot_be_audited_is_neither_right_nor_wrong(tmp_path: Path) -> None:
    told = run("--local", "--data", str(tmp_path))
    assert told.exit_code == 2
    assert "There is no database" in told.output
    assert not list(tmp_path.iterdir())


def test_another_schema_is_not_audited(folder: Path) -> None:
    with sqlite3.connect(folder / "tabgrid.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'ancient'")
    connection.close()
    told = run("--local", "--data", str(folder))
    assert told.exit_code == 2
    assert "ancient" in told.output


def test_without_a_chain_it_asks_which(folder: Path) -> None:
    told = run("--data", str(folder))
    assert told.exit_code == 2
    assert "--rpc" in told.output
