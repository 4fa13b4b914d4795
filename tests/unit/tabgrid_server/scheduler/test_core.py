from __future__ import annotations

from itertools import count

from tabgrid_server.scheduler import (
    AssignJob,
    AttemptFailed,
    CancelLease,
    Event,
    FailJob,
    Instruction,
    JobCancelled,
    JobSubmitted,
    NodeJoined,
    NodeLeft,
    NodeReady,
    Policy,
    ResultAccepted,
    Scheduler,
    Ticked,
)

MODEL = "a" * 64


class Grid:
    """A scheduler with a clock that the test moves."""

    def __init__(self, policy: Policy | None = None) -> None:
        numbers = count(1)
        self.scheduler = Scheduler(policy or Policy(), lambda: f"L{next(numbers)}")
        self.now = 0.0

    def tell(self, event: Event) -> list[Instruction]:
        out = self.scheduler.handle(event, self.now)
        self.scheduler.validate_state()
        return out

    def node(self, name: str, *, speed: float = 100, reference: bool = False) -> list[Instruction]:
        self.tell(NodeJoined(name, f"wallet of {name}", frozenset({"text"}), reference))
        return self.tell(NodeReady(name, {MODEL: speed}, 1))

    def job(self, name: str, *, owner: str = "ann", units: int = 10) -> list[Instruction]:
        return self.tell(JobSubmitted(name, owner, "text", MODEL, units))

    def wait(self, seconds: float) -> list[Instruction]:
        self.now += seconds
        return self.tell(Ticked())


def assigned(instructions: list[Instruction]) -> list[tuple[str, str]]:
    return [(i.node, i.job) for i in instructions if isinstance(i, AssignJob)]


def test_a_free_node_gets_the_job_at_once() -> None:
    grid = Grid()
    grid.node("n1")
    assert assigned(grid.job("j1")) == [("n1", "j1")]


def test_a_job_waits_for_a_node_and_then_goes_first() -> None:
    grid = Grid()
    assert grid.job("j1") == []
    assert grid.scheduler.waiting_for("text", MODEL) == 1
    assert assigned(grid.node("n1")) == [("n1", "j1")]


def test_a_reference_node_yields_to_volunteers() -> None:
    grid = Grid()
    grid.node("reference", reference=True)
    grid.node("tab")
    assert assigned(grid.job("j1") + grid.job("j2")) == [("tab", "j1"), ("reference", "j2")]


def test_work_goes_round_among_volunteers() -> None:
    grid = Grid()
    grid.node("n1")
    grid.node("n2")
    grid.job("j1")
    grid.tell(ResultAccepted("L1"))
    assert assigned(grid.job("j2")) == [("n2", "j2")]


def test_a_lost_node_hands_its_job_to_another_at_once() -> None:
    grid = Grid()
    grid.node("n1")
    grid.job("j1")
    grid.node("n2")
    assert assigned(grid.tell(NodeLeft("n1"))) == [("n2", "j1")]


def test_a_lease_that_runs_out_is_called_off_and_handed_on() -> None:
    grid = Grid(Policy(hedge_factor=1e9))
    grid.node("n1")
    grid.job("j1")
    grid.node("n2")
    out = grid.wait(16)
    assert isinstance(out[0], CancelLease)
    assert assigned(out) == [("n2", "j1")]


def test_a_straggler_gets_a_competitor_and_the_slower_is_called_off() -> None:
    grid = Grid()
    grid.node("n1")
    grid.job("j1")
    grid.node("n2")
    assert assigned(grid.wait(3.1)) == [("n2", "j1")]
    out = grid.tell(ResultAccepted("L2"))
    assert out == [CancelLease("n1", "L1", "Another node was faster.")]


def test_a_job_fails_with_its_last_reason_when_attempts_are_used_up() -> None:
    grid = Grid(Policy(attempts=2, strikes=9))
    grid.node("n1")
    grid.job("j1")
    grid.tell(AttemptFailed("L1", "out of memory"))
    assert grid.tell(AttemptFailed("L2", "device lost")) == [FailJob("j1", "device lost")]


def test_a_bad_input_is_not_tried_again() -> None:
    grid = Grid()
    grid.node("n1")
    grid.job("j1")
    out = grid.tell(AttemptFailed("L1", "no such text", blame=False, retry=False))
    assert out == [FailJob("j1", "no such text")]


def test_a_node_that_fails_three_times_rests_and_comes_back() -> None:
    grid = Grid(Policy(attempts=9, hedge_factor=1e9))
    grid.node("n1")
    grid.job("j1")
    for lease in ("L1", "L2", "L3"):
        out = grid.tell(AttemptFailed(lease, "broken"))
    assert assigned(out) == []
    assert assigned(grid.wait(31)) == [("n1", "j1")]


def test_our_own_outage_is_no_strike() -> None:
    grid = Grid(Policy(attempts=9, strikes=1))
    grid.node("n1")
    grid.job("j1")
    assert assigned(grid.tell(AttemptFailed("L1", "drained", blame=False))) == [("n1", "j1")]


def test_cancel_reaches_the_node_and_frees_it() -> None:
    grid = Grid()
    grid.node("n1")
    grid.job("j1")
    grid.job("j2")
    out = grid.tell(JobCancelled("j1", "The user left."))
    assert out[0] == CancelLease("n1", "L1", "The user left.")
    assert assigned(out) == [("n1", "j2")]


def test_a_crowd_of_jobs_delays_another_user_by_one() -> None:
    grid = Grid()
    for number in range(50):
        grid.job(f"greedy{number}", owner="greedy")
    grid.job("single", owner="ann")
    order = [job for _, job in assigned(grid.node("n1"))]
    while "single" not in order:
        order += [j for _, j in assigned(grid.tell(ResultAccepted(f"L{len(order)}")))]
    assert order.index("single") <= 2
