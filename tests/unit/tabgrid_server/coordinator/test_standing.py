"""A node's owner hears where he stands and why, once; the scheduler acts on it at once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from solders.keypair import Keypair

from tabgrid_server.trust import AppealFiled, BugConfirmed, ClassCleared
from tests.support.desk import REFERENCE, RIGHT, WRONG, Desk, Seat, open_account, open_desk

NOW = 1_800_000_000.0


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    url = f"sqlite:///{tmp_path / 'books.db'}"
    await open_account(url)
    figures = {"newcomers_per_address": 9, "probation_jobs": 2, "other_kind_s": 0}
    async with open_desk(tmp_path, url, **figures) as desk:
        yield desk


async def answered(desk: Desk, node: Seat, output: bytes) -> str:
    """One answer of the node, judged by as many looks of a reference as it takes."""
    await desk.job()
    await desk.until(lambda: node.work)
    job = node.answer(output)
    await desk.quiet()
    reference = desk.node(REFERENCE, "cpu:lab")
    while desk.auditing.audits:
        await desk.until(lambda: reference.work or not desk.auditing.audits)
        if reference.work:
            reference.answer(RIGHT)
        await desk.quiet()
    reference.leave()
    return job


def told(node: Seat) -> list[str]:
    return [standing.state for standing in node.standings]


async def test_a_newcomer_is_told_that_he_is_checked_and_then_that_he_is_proven(
    desk: Desk,
) -> None:
    node = desk.node(Keypair())
    assert told(node) == ["probation"]
    assert "first 2 answers are all checked" in node.standings[0].reason
    await answered(desk, node, RIGHT)
    assert told(node) == ["probation"], "nothing has changed"
    await answered(desk, node, RIGHT)
    assert told(node) == ["probation", "proven"]
    assert desk.coordinator.scheduler.nodes[node.node.id].proven == {desk.offer.digest}
    again = desk.node(node.wallet)
    assert told(again) == ["proven"]


async def test_a_strike_is_told_with_its_job_and_how_to_appeal(desk: Desk) -> None:
    node = desk.node(Keypair())
    await answered(desk, node, RIGHT)
    job = await answered(desk, node, WRONG)
    last = node.standings[-1]
    assert (last.state, last.job) == ("paused", job)
    assert "not paid" in last.reason
    assert "as a fine" in last.reason
    assert "You can appeal with one click until" in last.reason
    assert last.appeal_until is not None
    await desk.job()
    assert node.work, "he works on, so that he can become proven"


async def test_whoever_is_convicted_gets_no_jobs_until_an_appeal_lifts_it(desk: Desk) -> None:
    node = desk.node(Keypair())
    jobs = [await answered(desk, node, WRONG) for _ in range(3)]
    assert told(node) == ["probation", "paused", "paused", "convicted"]
    assert node.standings[-1].job == jobs[-1]
    await desk.job()
    assert not node.work
    other = desk.node(node.wallet, "webgpu:other")
    assert told(other) == ["convicted"], "it is the wallet's"
    desk.auditing.tell(AppealFiled(jobs[-1]), desk.auditing.policy.strikes[jobs[-1]].at)
    reference = desk.node(REFERENCE, "cpu:lab")
    while told(node)[-1] == "convicted":
        await desk.until(lambda: reference.work or told(node)[-1] != "convicted")
        if reference.work:
            appealed = reference.work[0].job in desk.auditing.audits
            reference.answer(WRONG if appealed else RIGHT)
        await desk.quiet()
    assert told(node)[-1] == "paused"
    assert told(other)[-1] == "testing", "and may show now what it can do"
    reference.leave()
    await desk.job()
    assert node.work


async def test_the_speed_that_is_promised_is_of_nodes_that_get_jobs(desk: Desk) -> None:
    speed = desk.coordinator.speed
    assert speed(desk.offer) is None
    broken = desk.node(Keypair(), "webgpu:broken", units_per_second=900)
    (unit,) = desk.auditing.policy.units
    assert speed(desk.offer) == 900
    desk.auditing.tell(BugConfirmed(unit.kind), NOW)
    assert speed(desk.offer) is None
    sound = desk.node(Keypair(), units_per_second=50)
    assert speed(desk.offer) == 50
    desk.coordinator.node_events.paused(sound.node)
    assert speed(desk.offer) is None
    desk.ready(sound)
    desk.auditing.tell(ClassCleared(unit.kind), NOW)
    desk.ready(broken)
    assert broken.standings[-1].state == "probation"
    assert speed(desk.offer) == 1e6


async def test_a_class_at_fault_is_no_fault_of_its_owner_and_is_tested_when_it_is_cleared(
    desk: Desk,
) -> None:
    node = desk.node(Keypair(), "webgpu:broken")
    unit = next(iter(desk.auditing.policy.units))
    desk.auditing.tell(BugConfirmed(unit.kind), NOW)
    assert told(node) == ["probation", "quarantined"]
    assert "no fault of yours" in node.standings[-1].reason
    assert node.standings[-1].appeal_until is None
    await desk.job()
    assert not node.work
    newcomer = desk.node(Keypair(), "webgpu:broken")
    assert told(newcomer) == ["quarantined"]
    desk.auditing.tell(ClassCleared(unit.kind), NOW)
    assert told(node)[-1] == told(newcomer)[-1] == "testing"
    assert not node.work, "first it shows that it computes right"
    desk.ready(node)
    assert told(node)[-1] == "probation"
    assert node.work


async def test_whoever_is_not_let_in_hears_why(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'books.db'}"
    await open_account(url)
    async with open_desk(tmp_path, url, newcomers_per_address=1) as desk:
        desk.node(Keypair())
        second = desk.node(Keypair())
        (standing,) = second.standings
        assert (standing.state, standing.test) == ("refused", True)
        assert "from your network address" in standing.reason


async def test_who_has_too_many_answers_waiting_is_told_so_kindly_and_goes_on_by_himself(
    tmp_path: Path,
) -> None:
    url = f"sqlite:///{tmp_path / 'books.db'}"
    await open_account(url)
    async with open_desk(tmp_path, url, unproven_per_unit=2) as desk:
        node = desk.node(Keypair())
        for _ in range(2):
            await desk.job()
            node.answer(RIGHT)
            await desk.quiet()
        assert told(node) == ["probation", "waiting"]
        assert node.standings[-1].reason.startswith("Your answers wait to be checked; ")
        assert "Nothing is wrong" in node.standings[-1].reason
        await desk.job()
        assert not node.work
        again = desk.node(node.wallet)
        assert told(again) == ["waiting"]
        assert not again.work, "nor does he get any by coming back"
        again.leave()
        reference = desk.node(REFERENCE, "cpu:lab")
        await desk.until(lambda: reference.work)
        # A user's job goes first, also on a reference.
        while told(node)[-1] == "waiting":
            await desk.until(lambda: reference.work or told(node)[-1] != "waiting")
            if reference.work:
                reference.answer(RIGHT)
            await desk.quiet()
        assert told(node) == ["probation", "waiting", "probation"]
        reference.leave()
        await desk.job()
        assert node.work


async def test_ready_again_after_a_pause_says_nothing_new(desk: Desk) -> None:
    node = desk.node(Keypair())
    desk.coordinator.node_events.paused(node.node)
    desk.ready(node)
    assert told(node) == ["probation"]
    node.leave()
    assert not desk.coordinator._dispatch.standings._nodes


async def test_the_operators_own_nodes_are_told_nothing(desk: Desk) -> None:
    assert desk.node(REFERENCE).standings == []
