"""A check that nobody makes leaves a fact behind: which one, since when, and why."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
from solders.keypair import Keypair
from sqlalchemy import Connection, text

from tabgrid_server.coordinator import checking, giving_up
from tabgrid_server.store import GivenUp, retention
from tabgrid_server.store import checks as stored_checks
from tabgrid_server.store import trust as stored_trust
from tabgrid_server.trust import AppealFiled, Checked, ResultReturned
from tabgrid_wire import messages as wire
from tests.support.desk import REFERENCE, RIGHT, WRONG, Desk, open_account, open_desk
from tests.support.trusted import Grid, unit_of


@pytest.fixture
async def url(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path / 'books.db'}"
    await open_account(url)
    return url


async def answered(desk: Desk, output: bytes) -> str:
    """A job that a volunteer answers, who then leaves; it is booked."""
    volunteer = desk.node(Keypair())
    await desk.job()
    job = volunteer.answer(output)
    await desk.quiet()
    volunteer.leave()
    return job


async def facts(desk: Desk, job: str) -> list[GivenUp]:
    await desk.quiet()
    return await desk.coordinator.store.read(stored_checks.given_up_of_job, job)


def said(found: list[GivenUp]) -> list[tuple[str, str]]:
    return [(each.purpose, each.why) for each in found]


async def test_an_audit_that_came_too_late(tmp_path: Path, url: str) -> None:
    async with open_desk(tmp_path, url, check_within_s=1) as desk:
        job = await answered(desk, RIGHT)
        await desk.until(lambda: not desk.auditing.audits)
        (fact,) = await facts(desk, job)
    assert said([fact]) == [("audit", "late")]
    assert fact.given_up_at - fact.wanted_at >= 1


async def test_a_second_look_that_came_too_late_had_its_full_time(tmp_path: Path, url: str) -> None:
    async with open_desk(tmp_path, url, check_within_s=5) as desk:
        job = await answered(desk, WRONG)
        first = desk.node(REFERENCE)
        first.answer(RIGHT)
        await desk.quiet()
        (check,) = await desk.coordinator.store.read(stored_checks.of_job, job)
        await desk.until(lambda: not desk.auditing.audits)
        (fact,) = await facts(desk, job)
        assert desk.auditing.policy.results[job].check == "unchecked"
    assert said([fact]) == [("second", "late")]
    assert fact.wanted_at >= check.checked_at
    assert fact.given_up_at - fact.wanted_at >= 5


async def test_content_that_was_let_go(tmp_path: Path, url: str) -> None:
    async with open_desk(tmp_path, url) as desk:
        job = await answered(desk, RIGHT)
        soon = time.time() + 1
        await desk.coordinator.store.write(retention.expire, "text", 0.0, soon, 9, soon)
    async with open_desk(tmp_path, url) as desk:
        # In every turn of the loop: while the store is asked for it, it waits too.
        async with asyncio.timeout(60):
            while desk.auditing.checking.waits(job):
                assert desk.auditing.checking.waiting == 1
                await asyncio.sleep(0)
        assert said(await facts(desk, job)) == [("audit", "expired")]


async def test_references_that_could_not_compute_it(tmp_path: Path, url: str) -> None:
    async with open_desk(tmp_path, url) as desk:
        job = await answered(desk, RIGHT)
        while desk.auditing.audits:
            reference = desk.node(REFERENCE)
            await desk.until(lambda seat=reference: seat.work or not desk.auditing.audits)
            for work in reference.work:
                failed = wire.Failed(work.lease, work.job, "internal", "it broke")
                desk.coordinator.node_events.job_failed(reference.node, failed)
            reference.leave()
        assert said(await facts(desk, job)) == [("audit", "failed")]


async def test_more_than_memory_holds(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checking, "AT_HAND", 0)
    monkeypatch.setattr(checking, "WAITING", 1)
    async with open_desk(tmp_path, url, newcomers_per_address=9) as desk:
        first, second = await answered(desk, RIGHT), await answered(desk, RIGHT)
        assert said(await facts(desk, first)) == [("audit", "crowded")]
        assert await facts(desk, second) == []


async def test_a_grid_that_stood_still_says_so_and_checks_all_the_same(
    tmp_path: Path, url: str
) -> None:
    async with open_desk(tmp_path, url, check_within_s=3_600) as desk:
        job = await answered(desk, RIGHT)
        at = desk.auditing.policy.results[job].at
        await desk.until(lambda: time.time() > at + 2)
    async with open_desk(tmp_path, url, check_within_s=2) as desk:
        assert desk.auditing.checking.waits(job)
        first, *_ = await facts(desk, job)
        assert said([first]) == [("audit", "down")]


async def test_an_answer_that_nobody_sees_unchecked(tmp_path: Path, url: str) -> None:
    """Its user has the price back; that nobody could check it is known all the same."""
    async with open_desk(tmp_path, url, check_within_s=1) as desk:
        volunteer, reference = desk.node(Keypair()), desk.node(REFERENCE)
        held = await desk.job(checked=True)
        reference.leave()
        volunteer.answer(RIGHT)
        assert (await held.ended).error_code == "not_checked"
        assert said(await facts(desk, held.id)) == [("delivery", "late")]


# --- appeals -------------------------------------------------------------------------------


async def struck(desk: Desk) -> str:
    """A job that two references found wrong; then they left."""
    job = await answered(desk, WRONG)
    reference = desk.node(REFERENCE)
    for _ in range(2):
        await desk.until(lambda: reference.work)
        reference.answer(RIGHT)
    await desk.until(lambda: job in desk.auditing.policy.strikes)
    reference.leave()
    await desk.quiet()
    return job


async def decided(desk: Desk, job: str) -> tuple[str, str]:
    await desk.until(lambda: desk.auditing.policy.strikes[job].state != "appealed")
    await desk.quiet()
    row = await desk.coordinator.store.read(stored_trust.strike_of_job, job)
    assert row is not None
    return row.state, row.moved_reason or ""


async def test_an_appeal_that_no_reference_came_to(tmp_path: Path, url: str) -> None:
    async with open_desk(tmp_path, url, other_kind_s=0) as desk:
        job = await struck(desk)
    async with open_desk(tmp_path, url, check_within_s=1) as desk:
        desk.auditing.tell(AppealFiled(job), time.time())
        state, reason = await decided(desk, job)
        assert (state, reason.startswith("No reference")) == ("lapsed", True)
        assert said(await facts(desk, job)) == [("appeal", "late")]


async def test_an_appeal_that_one_reference_came_to_before_a_restart(
    tmp_path: Path, url: str
) -> None:
    async with open_desk(tmp_path, url, other_kind_s=0) as desk:
        job = await struck(desk)
        desk.auditing.tell(AppealFiled(job), time.time())
        only = desk.node(REFERENCE)
        await desk.until(lambda: only.work)
        only.answer(WRONG)
        await desk.quiet()
    async with open_desk(tmp_path, url, other_kind_s=0, check_within_s=1) as desk:
        state, reason = await decided(desk, job)
        assert (state, reason.startswith("Only 1 of 3")) == ("lapsed", True)
        found = await desk.coordinator.store.read(stored_checks.of_job, job)
        assert [check.purpose for check in found] == ["audit", "second", "appeal"]


async def test_an_appeal_whose_content_the_operator_let_go(tmp_path: Path, url: str) -> None:
    async with open_desk(tmp_path, url, other_kind_s=0) as desk:
        job = await struck(desk)
        soon = time.time() + 1
        store = desk.coordinator.store
        assert await store.write(retention.expire, "text", 0.0, soon, 9, soon) == 0, "it is held"
        assert await store.write(retention.expire_these, [job], soon) == 1
        desk.auditing.tell(AppealFiled(job), time.time())
        assert (await decided(desk, job))[0] == "lapsed"
        assert said(await facts(desk, job)) == [("appeal", "expired")]


async def test_work_in_front_of_it_delays_no_appeal(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_desk(tmp_path, url, other_kind_s=0, newcomers_per_address=9) as desk:
        job = await struck(desk)
        monkeypatch.setattr(checking, "AT_HAND", 2)
        others = [await answered(desk, RIGHT) for _ in range(4)]
        desk.auditing.tell(AppealFiled(job), time.time())
        await desk.until(lambda: any(a.purpose == "appeal" for a in desk.auditing.audits.values()))
        only = desk.node(REFERENCE)
        (appeal,) = [a for a in desk.auditing.audits.values() if a.purpose == "appeal"]
        only.answer(RIGHT)  # it was given one as it came
        await desk.until(lambda: only.work)
        assert appeal.id not in desk.auditing.audits, "it went first"
        assert desk.auditing.checking.waits(others[0])


# --- after a restart -------------------------------------------------------------------------

WITHIN = 1_000.0


def waiting(grid: Grid, later: float) -> list[tuple[str, str, float, bool]]:
    """Purpose, job, how long ago it was asked for, and whether it is overdue."""
    now = grid.now + later
    return [
        (each.wanted.purpose, each.wanted.job, now - each.wanted.since, each.overdue)
        for each in giving_up.resumed(grid.trust, WITHIN, now)
    ]


def test_what_was_asked_for_before_a_restart_has_the_rest_of_its_time() -> None:
    grid = Grid()
    grid.admit(unit_of("ann"))
    for job in ("job-a", "job-b"):
        grid.tell(ResultReturned(job, unit_of("ann"), 1, job.encode()))
        grid.now += 10
    grid.tell(Checked("job-b", False))
    assert waiting(grid, 100) == [("audit", "job-a", 120, False), ("second", "job-b", 0, False)]
    assert waiting(grid, 980) == [("audit", "job-a", 0, True), ("second", "job-b", 0, False)]
    assert waiting(grid, 1_500) == [("second", "job-b", 510, False), ("audit", "job-a", 0, True)]
    assert {overdue for *_, overdue in waiting(grid, 2_000)} == {True}


def _spoil(connection: Connection, job: str) -> None:
    connection.execute(
        text("UPDATE jobs SET input = :no WHERE id = :id"), {"no": b"\xc1", "id": job}
    )


async def test_one_that_cannot_be_read_keeps_no_other_waiting(tmp_path: Path, url: str) -> None:
    async with open_desk(tmp_path, url, newcomers_per_address=9) as desk:
        spoilt, good = [await answered(desk, RIGHT) for _ in range(2)]
        await desk.coordinator.store.write(_spoil, spoilt)
    async with open_desk(tmp_path, url) as desk:
        await desk.until(lambda: desk.auditing.checking.waiting == 1 and desk.auditing.audits)
        assert [audit.job for audit in desk.auditing.audits.values()] == [good]
        assert said(await facts(desk, spoilt)) == [("audit", "damaged")]
