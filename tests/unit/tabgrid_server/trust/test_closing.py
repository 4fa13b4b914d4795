"""Pay of devices that work no more: nothing is withheld for ever."""

from __future__ import annotations

from tabgrid_server.trust import (
    BugConfirmed,
    CheckAbandoned,
    Checked,
    ClassCleared,
    GoldensReturned,
    Policy,
    ResultReturned,
    Ticked,
)
from tabgrid_server.trust import instructions as do
from tabgrid_server.trust.policy import DAY
from tests.support.trusted import CLASS, PAY, Grid, of, unit_of

ANN, OTHER = unit_of("ann"), unit_of("ann", "webgpu/other")


def convict(grid: Grid) -> None:
    while grid.trust.units[ANN].state != "convicted":
        grid.answer(ANN, right=False)


def wait(grid: Grid, seconds: float) -> list[do.Instruction]:
    grid.now += seconds
    return grid.tell(Ticked())


def test_the_other_devices_of_a_convicted_wallet_are_paid_for_what_was_right() -> None:
    grid = Grid(Policy(probation_jobs=2, least_audit=1, margin=0))
    grid.admit(ANN)
    grid.prove(OTHER)
    grid.answer(OTHER, right=False)  # not drawn, and looked at when ANN is convicted
    grid.answer(OTHER)
    convict(grid)
    assert grid.trust.units[OTHER].state == "suspected"
    told = wait(grid, grid.policy.appeal_s)
    (paid,) = of(do.ReleasePay, told)
    assert (paid.unit, len(paid.jobs)) == (OTHER, 3)
    assert grid.trust.units[OTHER].withheld == grid.trust.units[ANN].withheld == 0


def test_what_nobody_could_look_at_is_lost_with_the_conviction_and_comes_back_with_it() -> None:
    grid = Grid()
    grid.admit(ANN)
    grid.admit(OTHER)
    grid.tell(ResultReturned("j", OTHER, PAY, b"c"))
    convict(grid)
    told = of(do.ForfeitPay, wait(grid, grid.policy.appeal_s))
    assert [each.unit for each in told] == [ANN], "the other answer is looked at yet"
    (lost,) = of(do.ForfeitPay, grid.tell(CheckAbandoned("j")))
    assert (lost.unit, lost.jobs, lost.pay) == (OTHER, ("j",), PAY)
    back = of(do.RestoreUnit, grid.tell(BugConfirmed(CLASS)))
    assert (OTHER, PAY) in [(each.unit, each.pay) for each in back]


def test_a_device_that_fails_the_test_after_its_class_was_cleared_is_paid_for_what_was_right() -> (
    None
):
    grid = Grid(Policy(release_jobs=0, release_s=DAY))
    grid.admit(ANN)
    grid.tell(ResultReturned("right", ANN, PAY, b"c"))
    grid.tell(ResultReturned("wrong", ANN, PAY, b"d"))
    grid.tell(BugConfirmed(CLASS))
    grid.tell(Checked("right", True))
    grid.tell(Checked("wrong", False))
    assert not of(do.ReleasePay, wait(grid, DAY)), "the class is at fault yet"
    (paid,) = of(do.ReleasePay, grid.tell(ClassCleared(CLASS)))
    assert paid.jobs == ("right",)
    grid.offer(ANN)
    grid.tell(GoldensReturned(ANN, False))
    assert grid.trust.units[ANN].withheld == 0
