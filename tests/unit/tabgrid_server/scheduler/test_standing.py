"""Barred units get nothing; proven ones go first where somebody waits; newcomers get their turn."""

from __future__ import annotations

from itertools import count

from tabgrid_server.scheduler import (
    AssignJob,
    CancelLease,
    Event,
    Instruction,
    JobSubmitted,
    NodeJoined,
    NodePaused,
    NodeReady,
    Policy,
    ResultAccepted,
    Scheduler,
    UnitAllowed,
    UnitBarred,
    UnitHeld,
    UnitProven,
)

MODEL, OTHER = "a" * 64, "b" * 64
WHY = "Its driver computes wrong."


class Grid:
    def __init__(self, policy: Policy | None = None) -> None:
        numbers = count(1)
        self.scheduler = Scheduler(policy or Policy(), lambda: f"L{next(numbers)}")
        self.jobs = count(1)

    def tell(self, event: Event) -> list[Instruction]:
        out = self.scheduler.handle(event, 0.0)
        self.scheduler.validate_state()
        return out

    def node(self, name: str, *, proven: bool = False, barred: bool = False) -> list[Instruction]:
        self.tell(NodeJoined(name, f"wallet of {name}", frozenset({"text"})))
        graded = [frozenset({MODEL} if holds else ()) for holds in (barred, proven)]
        return self.tell(NodeReady(name, {MODEL: 100.0, OTHER: 100.0}, 1, *graded))

    def job(self, *, waits: bool = True, model: str = MODEL) -> list[Instruction]:
        return self.tell(JobSubmitted(f"j{next(self.jobs)}", "ann", "text", model, 10, waits))

    def who(self, *, waits: bool = True) -> str:
        """Which node a job goes to that ends at once."""
        (told,) = self.job(waits=waits)
        assert isinstance(told, AssignJob)
        self.tell(ResultAccepted(told.lease))
        return told.node


def assigned(instructions: list[Instruction]) -> list[str]:
    return [f"{i.job} on {i.node}" for i in instructions if isinstance(i, AssignJob)]


def test_a_barred_unit_gets_no_jobs_of_its_model_and_others_as_before() -> None:
    grid = Grid()
    grid.node("n", barred=True)
    assert grid.job() == []
    assert grid.scheduler.serving("text", MODEL) == 0
    assert assigned(grid.job(model=OTHER)) == ["j2 on n"]


def test_what_waits_goes_to_a_unit_as_soon_as_it_is_allowed() -> None:
    grid = Grid()
    grid.node("n", barred=True)
    grid.job()
    assert assigned(grid.tell(UnitAllowed("n", MODEL))) == ["j1 on n"]


def test_a_job_that_a_unit_computes_while_it_is_barred_goes_to_another_at_once() -> None:
    grid = Grid(Policy(attempts=1))
    grid.node("n1")
    grid.job()
    grid.node("n2")
    told = grid.tell(UnitBarred("n1", MODEL, WHY))
    assert told[0] == CancelLease("n1", "L1", WHY)
    assert assigned(told) == ["j1 on n2"], "although it may be tried once only"
    assert grid.scheduler.nodes["n1"].strikes == 0


def test_a_unit_barred_while_its_node_is_paused_stays_so_when_it_goes_on() -> None:
    grid = Grid()
    grid.node("n")
    grid.tell(NodePaused("n"))
    grid.tell(UnitBarred("n", MODEL, WHY))
    assert grid.job() == []
    speeds = {MODEL: 1.0}
    assert grid.tell(NodeReady("n", speeds, 1, frozenset({MODEL}))) == []


def test_a_unit_that_is_held_finishes_what_it_has_and_gets_nothing_further() -> None:
    grid = Grid()
    grid.node("n1")
    grid.job()
    assert grid.tell(UnitHeld("n1", MODEL)) == [], "nothing is called off"
    assert grid.job() == []
    assert grid.tell(ResultAccepted("L1")) == []
    assert assigned(grid.job(model=OTHER)) == ["j3 on n1"], "of another model it does"
    grid.node("n2")
    assert "j2" not in {job.id for job in grid.scheduler.jobs.values() if job.waiting}
    assert assigned(grid.tell(ResultAccepted("L2"))) == []


def test_what_waits_goes_to_a_unit_as_soon_as_it_is_not_held_any_more() -> None:
    grid = Grid()
    grid.tell(NodeJoined("n", "wallet", frozenset({"text"})))
    grid.tell(NodeReady("n", {MODEL: 1.0}, 1, held=frozenset({MODEL})))
    assert grid.job() == []
    assert grid.scheduler.serving("text", MODEL) == 0
    assert assigned(grid.tell(UnitAllowed("n", MODEL))) == ["j1 on n"]


def test_who_waits_is_served_by_proven_nodes_while_one_is_free() -> None:
    grid = Grid()
    grid.node("new")
    grid.node("old", proven=True)
    assert grid.who() == "old"
    assert assigned(grid.job() + grid.job()) == ["j2 on old", "j3 on new"], "rather than wait"


def test_a_newcomer_has_its_turn_even_where_everybody_waits() -> None:
    grid = Grid(Policy(newcomers_turn=5))
    grid.node("new")
    for n in range(3):
        grid.node(f"old {n}", proven=True)
    served = [grid.who() for _ in range(50)]
    assert [n for n, who in enumerate(served, 1) if who == "new"] == list(range(5, 51, 5))


def test_where_nobody_waits_it_is_the_turn_of_whoever_was_free_for_longest() -> None:
    grid = Grid()
    grid.node("new")
    grid.node("old", proven=True)
    assert [grid.who(waits=False) for _ in range(4)] == ["new", "old", "new", "old"]


def test_a_unit_that_is_proven_while_it_is_free_changes_lines() -> None:
    grid = Grid()
    grid.node("n1")
    grid.node("n2")
    grid.tell(UnitProven("n2", MODEL))
    assert [grid.who() for _ in range(3)] == ["n2"] * 3
    grid.tell(UnitAllowed("n2", MODEL))
    assert grid.who() == "n1"
