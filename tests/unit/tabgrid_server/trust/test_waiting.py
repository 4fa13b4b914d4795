"""How many unchecked answers of one stranger there can be."""

from __future__ import annotations

from itertools import count

from msgspec.structs import replace

from tabgrid_server.trust import (
    AppealFiled,
    AppealJudged,
    BugConfirmed,
    CheckAbandoned,
    Checked,
    Policy,
    ResultReturned,
    UnitKey,
    memory,
)
from tabgrid_server.trust import instructions as do
from tests.support.trusted import PAY, Grid, of, unit_of

POLICY = Policy(unproven_per_unit=4, unproven_per_wallet=6, probation_jobs=8)
ANN = unit_of("ann")
LAPTOP = unit_of("ann", "wasm/firefox")


class Slow(Grid):
    """References look at nothing before they are told to."""

    def __init__(self, policy: Policy = POLICY) -> None:
        super().__init__(policy)
        self.numbers = count()
        self.admit(ANN)

    def give(self, unit: UnitKey) -> tuple[str, list[do.Instruction]]:
        job = f"slow-{next(self.numbers)}"
        return job, self.tell(ResultReturned(job, unit, PAY, job.encode()))

    def held(self, unit: UnitKey = ANN) -> bool:
        return self.trust.units[unit].held


def test_a_stranger_is_held_once_so_many_answers_wait_and_freed_when_half_are_looked_at() -> None:
    grid = Slow()
    given = [grid.give(ANN) for _ in range(4)]
    assert [len(of(do.HoldUnit, told)) for _, told in given] == [0, 0, 0, 1]
    (hold,) = of(do.HoldUnit, given[-1][1])
    assert (hold.unit, hold.reason) == (ANN, "4 of its answers wait to be checked.")
    # What it computed in that moment is taken all the same.
    late, told = grid.give(ANN)
    assert isinstance(told[0], do.TakeResult)
    assert not of(do.HoldUnit, told), "said once"
    jobs = [job for job, _ in given] + [late]
    freed = [bool(of(do.FreeUnit, grid.tell(Checked(job, True)))) for job in jobs]
    assert freed == [False, False, False, True, False], "with fewer than half of the four"


def test_a_wallet_with_many_devices_is_held_as_a_whole() -> None:
    grid = Slow()
    grid.admit(LAPTOP)
    given = [grid.give(unit) for unit in (ANN, LAPTOP) * 3]
    assert (grid.held(ANN), grid.held(LAPTOP)) == (True, True)
    told = given[-1][1]
    assert {each.unit for each in of(do.HoldUnit, told)} == {ANN, LAPTOP}
    assert "and 3 of the wallet's other devices" in of(do.HoldUnit, told)[0].reason
    other = unit_of("bob")
    grid.admit(other)
    assert not grid.held(other), "others go on"
    third = unit_of("ann", "wasm/safari")
    grid.admit(third)
    assert grid.held(third), "a further device is no way round it"


def test_what_nobody_could_look_at_waits_no_more() -> None:
    grid = Slow()
    jobs = [grid.give(ANN)[0] for _ in range(4)]
    for job in jobs:
        grid.tell(CheckAbandoned(job))
    assert not grid.held()


def test_who_is_proven_is_not_held_and_who_is_suspected_is() -> None:
    grid = Slow()
    for _ in range(8):
        grid.tell(Checked(grid.give(ANN)[0], True))
    assert grid.trust.units[ANN].state == "proven"
    while grid.trust.units[ANN].pending < 4:
        grid.give(ANN)
    assert not grid.held(), "one in twenty is checked: the others nobody waits for"
    wrong = next(result.job for result in grid.trust.units[ANN].results if result.pending)
    grid.tell(Checked(wrong, False))
    assert of(do.HoldUnit, grid.tell(Checked(wrong, False)))
    assert grid.trust.units[ANN].state == "suspected"
    assert grid.held()


def test_who_is_convicted_and_heard_is_held_again_while_as_many_wait() -> None:
    grid = Slow(replace(POLICY, odds=2))
    jobs = [grid.give(ANN)[0] for _ in range(5)]
    for _ in range(2):
        grid.tell(Checked(jobs[0], False))
    assert grid.trust.units[ANN].state == "convicted"
    assert not grid.held(), "it gets no jobs for another reason"
    grid.tell(AppealFiled(jobs[0]))
    told = grid.tell(AppealJudged(jobs[0], 3))
    assert of(do.RestoreUnit, told)
    assert of(do.HoldUnit, told)
    assert grid.held()


def test_what_a_device_at_fault_computed_keeps_its_owners_others_waiting_no_more() -> None:
    grid = Slow()
    grid.admit(LAPTOP)
    for unit in (ANN, LAPTOP) * 3:
        grid.give(unit)
    assert grid.held(LAPTOP)
    grid.give(ANN)
    for job in [each.job for each in grid.trust.units[LAPTOP].results][:2]:
        grid.tell(Checked(job, True))
    assert grid.held(LAPTOP), "five of the wallet's wait, of six"
    told = grid.tell(BugConfirmed(ANN.kind))
    assert [each.unit for each in of(do.FreeUnit, told)] == [LAPTOP]


def test_a_restart_forgets_nobody_who_is_held() -> None:
    grid = Slow()
    jobs = [grid.give(ANN)[0] for _ in range(4)]
    grid.tell(Checked(jobs[0], True))
    grid.trust = memory.load(memory.dump(grid.trust))
    grid.trust.validate_state()
    assert grid.held(), "three of four wait still"
    for job in jobs[1:]:
        grid.tell(Checked(job, True))
    assert not grid.held()
