"""Answers are run again by references, whatever memory holds and whoever is there; what the
policy says of them is carried out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from solders.keypair import Keypair

from tabgrid_models.connectors.base import Comparison
from tabgrid_server.coordinator import checking
from tabgrid_server.coordinator.auditing import TICK_S
from tabgrid_server.coordinator.checking import Judged
from tabgrid_server.store import checks as stored_checks
from tabgrid_server.store import jobs as stored_jobs
from tabgrid_server.trust import AppealFiled, BugConfirmed
from tests.support.desk import REFERENCE, RIGHT, WRONG, Desk, open_account, open_desk

NOW = 1_800_000_000.0


@pytest.fixture
async def url(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path / 'books.db'}"
    await open_account(url)
    return url


@pytest.fixture
async def desk(tmp_path: Path, url: str) -> AsyncIterator[Desk]:
    async with open_desk(tmp_path, url, newcomers_per_address=9) as desk:
        yield desk


async def answered(desk: Desk, *outputs: bytes, wallet: Keypair | None = None) -> list[str]:
    """Jobs that one volunteer answers, who then leaves; they are booked."""
    volunteer = desk.node(wallet or Keypair())
    jobs = []
    for output in outputs:
        await desk.job()
        jobs.append(volunteer.answer(output))
    await desk.quiet()
    volunteer.leave()
    return jobs


async def test_a_second_reference_has_another_kind_of_device_and_its_word_counts(
    desk: Desk,
) -> None:
    (job,) = await answered(desk, WRONG)
    first = desk.node(REFERENCE, "cpu:lab")
    first.answer(RIGHT)
    await desk.quiet()
    assert not first.work, "it is not asked twice"
    second = desk.node(REFERENCE, "webgpu:lab")
    second.answer(WRONG)
    await desk.quiet()
    found = await desk.coordinator.store.read(stored_checks.of_job, job)
    assert [(check.purpose, check.device_class, check.agreed) for check in found] == [
        ("audit", "cpu:lab", False),
        ("second", "webgpu:lab", True),
    ]
    assert not desk.auditing.policy.strikes
    assert not desk.auditing.audits


async def test_where_no_other_kind_of_device_comes_the_same_kind_judges(
    tmp_path: Path, url: str
) -> None:
    async with open_desk(tmp_path, url, other_kind_s=0) as desk:
        (job,) = await answered(desk, WRONG)
        only = desk.node(REFERENCE)
        only.answer(RIGHT)
        await desk.until(lambda: only.work)
        only.answer(RIGHT)
        await desk.quiet()
        assert list(desk.auditing.policy.strikes) == [job]


async def test_an_appeal_goes_on_however_long_each_reference_takes(
    tmp_path: Path, url: str
) -> None:
    async with open_desk(tmp_path, url, other_kind_s=0) as desk:
        (job,) = await answered(desk, WRONG)
        only = desk.node(REFERENCE)
        for _ in range(2):
            await desk.until(lambda: only.work)
            only.answer(RIGHT)
        await desk.until(lambda: job in desk.auditing.policy.strikes)
        await desk.quiet()
        desk.auditing.tell(AppealFiled(job), time.time())
        for output in (WRONG, RIGHT, WRONG):
            await desk.until(lambda: only.work)
            # Nothing else happens meanwhile that would make the coordinator look at its clock.
            await asyncio.sleep(2 * TICK_S)
            only.answer(output)
        await desk.until(lambda: desk.auditing.policy.strikes[job].state == "reversed")


async def test_what_memory_does_not_hold_is_fetched_when_its_turn_comes(
    monkeypatch: pytest.MonkeyPatch, desk: Desk
) -> None:
    monkeypatch.setattr(checking, "AT_HAND", 2)
    jobs = await answered(desk, *[RIGHT] * 5)
    assert len(desk.auditing.audits) == 2
    reference = desk.node(REFERENCE)
    for _ in jobs:
        await desk.until(lambda: reference.work)
        reference.answer(RIGHT)
        await desk.quiet()
    results = desk.auditing.policy.results
    assert not results or {results[job].check for job in jobs if job in results} == {"agreed"}
    for job in jobs:
        assert len(await desk.coordinator.store.read(stored_checks.of_job, job)) == 1


async def test_an_answer_that_nobody_could_check_in_time_counts_as_not_checked(
    tmp_path: Path, url: str
) -> None:
    async with open_desk(tmp_path, url, check_within_s=1) as desk:
        (job,) = await answered(desk, RIGHT)
        await desk.until(lambda: not desk.auditing.audits)
        assert desk.auditing.policy.results[job].check == "unchecked"
        assert not desk.coordinator.scheduler.audits


async def test_who_loses_his_standing_computes_no_further_and_another_gets_the_job(
    desk: Desk,
) -> None:
    volunteer = desk.node(Keypair(), "webgpu:broken")
    job = await desk.job()
    assert volunteer.work
    unit = next(iter(desk.auditing.policy.units))
    desk.auditing.tell(BugConfirmed(unit.kind), NOW)
    assert not volunteer.work, "it is called off"
    await desk.job()
    assert not volunteer.work, "and gets no other one"
    other = desk.node(Keypair())
    assert other.answer(RIGHT) == job.id
    await desk.quiet()
    assert (await job.ended).state == "done"
    assert job.node is other.node


async def test_no_distance_is_too_large_for_json(desk: Desk) -> None:
    (job,) = await answered(desk, RIGHT)
    reference = desk.node(REFERENCE)
    audit = next(iter(desk.auditing.audits.values()))
    far = Judged(Comparison(float("inf"), 0.5))
    desk.auditing.compared(audit, reference.node, answer=None, judged=far, now=1e9)  # type: ignore[arg-type]
    await desk.quiet()
    (check,) = await desk.coordinator.store.read(stored_checks.of_job, job)
    assert check.distance == 1e308


async def test_switched_off_it_says_nothing_and_time_alone_releases(
    tmp_path: Path, url: str
) -> None:
    async with open_desk(tmp_path, url, places=0) as desk:
        (job,) = await answered(desk, RIGHT)
        kept = await desk.coordinator.store.read(stored_jobs.get, job)
        assert kept is not None
        assert kept.state == "done"
        assert not desk.auditing.policy.units
