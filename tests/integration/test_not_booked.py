"""Whoever waits for a job hears of its end, also where the books refuse it."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from typing import Any

import asyncpg
import httpx
import pytest
from sqlalchemy.engine import make_url

from tests.integration.conftest import EchoGrid, assigned

JOB = {"model": "echo", "input": {"text": "hello"}}
#: The next two settlements lose a race; what a sequence has given is not taken back with them.
TWO_RACES = """
CREATE SEQUENCE tries;
CREATE FUNCTION race() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF nextval('tries') <= 2 THEN RAISE EXCEPTION 'race' USING ERRCODE = '40P01'; END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER race BEFORE INSERT ON receipts FOR EACH ROW EXECUTE FUNCTION race();
"""


async def answered(grid: EchoGrid) -> tuple[httpx.Response, dict[str, Any]]:
    """To one who waits for a job that a node answers; and what its key has then."""
    secret = await grid.make_key()
    async with grid.client(secret) as client, grid.node() as node:
        headers = {"Prefer": "wait=60"}
        asked = asyncio.create_task(client.post("/api/jobs", json=JOB, headers=headers))
        assign = await assigned(node)
        await node.send(node.result(assign, assign.input))
        answer = await asked
    async with grid.client(secret) as client:  # a server that meets a fault closes its connection
        return answer, (await client.get("/api/keys/current")).json()


def refuse(grid: EchoGrid, *triggers: str) -> None:
    books = sqlite3.connect(grid.folder / "data" / "tabgrid.db", isolation_level=None, timeout=60)
    for number, on in enumerate(triggers):
        books.execute(
            f"CREATE TRIGGER refuse_{number} BEFORE {on} BEGIN SELECT RAISE(ABORT, 'not so'); END"
        )
    books.close()


async def test_an_answer_that_cannot_be_booked_is_given_back(
    make_echo_grid: Callable[..., EchoGrid],
) -> None:
    grid = make_echo_grid()
    grid.start(TABGRID_LIMITS_REQUEST_S="60")
    refuse(grid, "INSERT ON receipts")
    answer, key = await answered(grid)
    job = answer.json()
    assert (answer.status_code, job["state"]) == (200, "failed")
    assert "could not write down" in job["error"]
    assert (key["held"], key["spent"]) == (0, 0)


async def test_where_it_cannot_even_be_given_back_nobody_waits(
    make_echo_grid: Callable[..., EchoGrid],
) -> None:
    grid = make_echo_grid()
    grid.start(TABGRID_LIMITS_REQUEST_S="60")
    refuse(grid, "INSERT ON receipts", "UPDATE ON jobs")
    answer, key = await answered(grid)
    assert answer.status_code == 500
    assert key["held"] > 0, "the next start goes on with it"


@pytest.mark.postgres
async def test_a_race_that_was_lost_is_run_again(
    make_echo_grid: Callable[..., EchoGrid], postgres_url: str
) -> None:
    grid = make_echo_grid(database=postgres_url)
    await asyncio.to_thread(grid.start, TABGRID_LIMITS_REQUEST_S="60")
    plain = make_url(postgres_url).set(drivername="postgresql").render_as_string()
    books = await asyncpg.connect(plain)
    await books.execute(TWO_RACES)
    await books.close()
    answer, key = await answered(grid)
    assert (answer.status_code, answer.json()["state"]) == (200, "done")
    assert (key["held"], key["spent"]) == (0, answer.json()["price"])
