"""What is written where the books refuse a part of it."""

from __future__ import annotations

import asyncio
from pathlib import Path

from solders.keypair import Keypair
from sqlalchemy import Connection, text

from tests.support.desk import REFERENCE, RIGHT, open_account, open_desk

REFUSE = "CREATE TRIGGER refuse BEFORE INSERT ON receipts BEGIN SELECT RAISE(ABORT, 'not so'); END"


def _do(connection: Connection, statement: str) -> None:
    connection.execute(text(statement))


async def test_what_a_reference_found_is_kept_although_its_answer_is_not_booked(
    tmp_path: Path,
) -> None:
    """Else no later word of the trust policy is, nor any answer that comes with one."""
    url = f"sqlite:///{tmp_path / 'books.db'}"
    await open_account(url)
    async with open_desk(tmp_path, url) as desk, asyncio.timeout(120):
        volunteer, reference = desk.node(Keypair()), desk.node(REFERENCE)
        held = await desk.job(checked=True)
        volunteer.answer(RIGHT)
        await desk.until(lambda: reference.work)
        await desk.coordinator.store.write(_do, REFUSE)
        reference.answer(RIGHT)
        assert (await held.ended).error_code == "not_booked"
        await desk.coordinator.store.write(_do, "DROP TRIGGER refuse")
        reference.leave()
        later = await desk.job()
        volunteer.answer(RIGHT)
        assert (await later.ended).state == "done"
