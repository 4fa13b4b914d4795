"""Killed at any moment, the store keeps what it acknowledged, and its books are right."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tabgrid_server.store import jobs
from tests.support.books import add_owner, opened
from tests.support.killed import until_at_rest

ROOT = Path(__file__).resolve().parents[2]
KILLS = 4


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'books.db'}"
    return str(request.getfixturevalue("postgres_url"))


def run_and_kill(url: str, first: int, lines: int) -> dict[str, str]:
    """Start a busy store, kill it after ``lines`` answers; the last known state of each job."""
    command = [sys.executable, "-m", "tests.support.busy_store", url, str(first)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    told = [process.stdout.readline() for _ in range(lines)]
    process.kill()
    # What was printed before the kill still counts; half a line may be the last one.
    told += process.stdout.read().splitlines(keepends=True)
    process.stdout.close()
    process.wait()
    pairs = [line.split() for line in told if line.endswith("\n")]
    return {id: state for state, id in pairs}


async def test_killed_again_and_again_it_keeps_what_it_acknowledged(url: str) -> None:
    async with opened(url) as store:
        await add_owner(store)
    acknowledged: dict[str, str] = {}
    for kill in range(KILLS):
        acknowledged |= run_and_kill(url, kill * 1_000_000, 150 + 61 * kill)
    # ``opened`` audits the books.
    async with opened(url) as store:
        await until_at_rest(store)
        kept = {job.id: job.state for job in await store.read(jobs.page, 1_000_000)}
        unfinished = {job.id for job in await store.read(jobs.unfinished)}
    assert set(acknowledged) <= set(kept)
    for id, state in acknowledged.items():
        # An end that was committed but not yet told is allowed, the reverse is not.
        assert kept[id] == state or state == "queued", id
    assert unfinished == {id for id, state in kept.items() if state == "queued"}
