"""What an overturned strike or conviction leaves behind: nothing, and everything else stays."""

from __future__ import annotations

import msgspec

from tabgrid_server.trust import (
    AppealFiled,
    AppealJudged,
    BugConfirmed,
    Policy,
    Ticked,
    memory,
)
from tabgrid_server.trust import instructions as do
from tabgrid_server.trust.policy import DAY
from tests.support.trusted import PAY, Grid, of, unit_of

ONE, TWO, THREE = (unit_of("ann", kind) for kind in ("webgpu/apple", "cpu/x86", "wasm/x86"))
#: Every answer is checked as it comes, so that nothing but strikes and right answers counts.
CHECKED = Policy(probation_jobs=10**6, reaudits=0)


def struck(grid: Grid, unit: do.UnitKey = ONE) -> str:
    (strike,) = of(do.StrikeUnit, grid.answer(unit, right=False))
    return strike.job


def granted(grid: Grid, job: str) -> list[do.Instruction]:
    grid.tell(AppealFiled(job))
    return grid.tell(AppealJudged(job, 3))


def evidence(grid: Grid, unit: do.UnitKey) -> int:
    return grid.trust.units[unit].evidence


def convicted(*units: do.UnitKey) -> tuple[Grid, list[str]]:
    """The first of the units is, by the strikes that are returned."""
    grid = Grid(CHECKED)
    for unit in units:
        grid.admit(unit)
    jobs = []
    while grid.trust.units[units[0]].state != "convicted":
        jobs.append(struck(grid, units[0]))
    return grid, jobs


def test_a_lifted_conviction_frees_the_wallets_other_devices_too() -> None:
    grid, jobs = convicted(ONE, TWO)
    assert grid.trust.units[TWO].state == "suspected"
    out = granted(grid, jobs[0])
    assert [each.unit for each in of(do.RestoreUnit, out)] == [ONE]
    assert [each.unit for each in of(do.ResumeUnit, out)] == [TWO]
    assert grid.trust.units[TWO].state == "probation"
    assert grid.trust.units[ONE].state == "suspected", "its other strikes stand"
    assert evidence(grid, ONE) == 2 * CHECKED.mismatch_step


def test_what_another_device_did_itself_stays_with_the_right_answers_since() -> None:
    grid = Grid(CHECKED)
    grid.admit(ONE)
    grid.admit(TWO)
    struck(grid, TWO)
    for _ in range(20):
        grid.answer(TWO)
    jobs = [struck(grid) for _ in range(3)]
    for _ in range(20):
        grid.answer(TWO)
    granted(grid, jobs[0])
    assert evidence(grid, TWO) == CHECKED.mismatch_step - 40 * CHECKED.agree_step


def test_a_strike_of_its_own_does_not_go_with_what_came_before_it() -> None:
    grid = Grid(CHECKED)
    grid.admit(ONE)
    first = struck(grid)
    for _ in range(40):
        grid.answer(ONE)
    struck(grid)
    granted(grid, first)
    assert evidence(grid, ONE) == CHECKED.mismatch_step, "no right answer came after the second"


def test_a_conviction_that_stands_keeps_the_others_suspected() -> None:
    grid = Grid(CHECKED)
    for unit in (ONE, TWO, THREE):
        grid.admit(unit)
    jobs = [struck(grid, ONE) for _ in range(3)]
    for _ in range(2):  # what was under way when the wallet was barred
        struck(grid, TWO)
    assert grid.trust.units[TWO].state == "convicted"
    granted(grid, jobs[0])
    assert grid.trust.units[ONE].state == "suspected"
    assert grid.trust.units[TWO].state == "suspected", "the first conviction was a third of its own"
    assert grid.trust.units[THREE].state == "probation"
    assert "ann" not in grid.trust.barred


def test_of_two_convictions_the_one_that_stands_still_counts() -> None:
    grid = Grid(CHECKED)
    for unit in (ONE, TWO, THREE):
        grid.admit(unit)
    struck(grid, TWO)
    jobs = [struck(grid, ONE) for _ in range(3)]
    for _ in range(2):
        struck(grid, TWO)
    out = granted(grid, jobs[0])
    assert [each.unit for each in of(do.RestoreUnit, out)] == [ONE]
    assert grid.trust.barred == {"ann": 1}
    assert evidence(grid, THREE) == CHECKED.mismatch_step


def test_a_device_that_came_later_is_freed_of_a_strike_that_was_none() -> None:
    grid = Grid(CHECKED)
    grid.admit(ONE)
    job = struck(grid)
    grid.admit(TWO)
    assert grid.trust.units[TWO].state == "suspected"
    assert {each.unit for each in of(do.ResumeUnit, granted(grid, job))} == {ONE, TWO}


def test_a_device_that_came_later_stays_as_suspected_as_the_strike_that_stands_makes_it() -> None:
    grid = Grid(CHECKED)
    grid.admit(ONE)
    grid.admit(TWO)
    jobs = [struck(grid, ONE), struck(grid, ONE)]
    struck(grid, TWO)
    grid.admit(THREE)
    assert evidence(grid, THREE) == 2 * CHECKED.mismatch_step
    for job in jobs:
        granted(grid, job)
    assert evidence(grid, THREE) == CHECKED.mismatch_step, "the second device's"
    assert evidence(grid, ONE) == 0


def test_who_is_freed_is_paid_though_no_further_answer_comes() -> None:
    grid = Grid(Policy(probation_jobs=10**6, release_jobs=10**6, release_idle_s=DAY, reaudits=0))
    grid.admit(ONE)
    grid.answer(ONE)
    job = struck(grid)
    fine = grid.trust.strikes[job].fine
    grid.now += DAY
    assert not of(do.ReleasePay, grid.tell(Ticked())), "nothing of a suspected unit's"
    assert sum(each.pay for each in of(do.ReleasePay, granted(grid, job))) == PAY - fine


def test_a_confirmed_bug_lifts_what_came_from_its_class_and_nothing_else() -> None:
    grid = Grid(CHECKED)
    grid.admit(ONE)
    grid.admit(TWO)
    struck(grid, TWO)
    for _ in range(2):
        struck(grid, ONE)
    grid.tell(BugConfirmed(ONE.kind))
    assert evidence(grid, ONE) == 0
    assert evidence(grid, TWO) == CHECKED.mismatch_step


def test_what_is_known_from_before_causes_were_kept_is_lifted_strike_by_strike() -> None:
    grid = Grid(CHECKED)
    grid.admit(ONE)
    first, second = struck(grid), struck(grid)
    grid.answer(ONE)
    state = memory._decode(memory.dump(grid.trust))
    state.suspicions = None
    grid.trust = memory.load(msgspec.msgpack.encode(state))
    grid.trust.validate_state()
    granted(grid, first)
    assert evidence(grid, ONE) == CHECKED.mismatch_step - CHECKED.agree_step
    granted(grid, second)
    assert grid.trust.units[ONE].state == "probation"


def test_nobody_stays_convicted_for_what_another_of_his_devices_did() -> None:
    grid = Grid(msgspec.structs.replace(CHECKED, odds=2))  # one wrong answer convicts
    for unit in (ONE, TWO):
        grid.admit(unit)
    struck(grid, ONE)
    own = struck(grid, TWO)
    assert [grid.trust.units[unit].state for unit in (ONE, TWO)] == ["convicted"] * 2
    assert of(do.RestoreUnit, granted(grid, own))
    assert [grid.trust.units[unit].state for unit in (ONE, TWO)] == ["convicted", "suspected"]
