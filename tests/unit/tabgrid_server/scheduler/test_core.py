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


def overtake(grid: Grid, job: str) -> None:
    """The sitter gets the job and keeps it, until a competitor has answered."""
    assert assigned(grid.job(job)) == [("sitter", job)]
    (honest,) = [i for i in grid.wait(3.1) if isinstance(i, AssignJob)]
    assert honest.node == "honest"
    grid.tell(ResultAccepted(honest.lease))


def test_whoever_is_overtaken_three_times_rests() -> None:
    """It could else hold up one job after the other: no lease of its would ever run out."""
    grid = Grid(Policy(lease_min_s=100))
    grid.node("sitter")
    grid.node("honest")
    for number in range(3):
        overtake(grid, f"j{number}")
    assert assigned(grid.job("j3")) == [("honest", "j3")]
    assert assigned(grid.job("j4")) == []
    assert assigned(grid.wait(31)) == [("sitter", "j4")]


def rests_of(fails_every: int, jobs: int) -> list[float]:
    """Seconds of each rest of a node that fails every so many-th job of these."""
    grid, rests = Grid(Policy(attempts=1)), []
    grid.node("n1")
    for number in range(jobs):
        given = grid.job(f"j{number}")
        if not assigned(given):
            rests.append(grid.scheduler.nodes["n1"].resting_until - grid.now)
            given = grid.wait(rests[-1])
        (lease,) = (told.lease for told in given if isinstance(told, AssignJob))
        fails = number % fails_every == 0
        grid.tell(AttemptFailed(lease, "no") if fails else ResultAccepted(lease))
    return rests


def test_an_answer_in_between_does_not_make_up_for_a_failure() -> None:
    """Whoever sat on every second job and answered the others would else hold users up for ever."""
    assert rests_of(fails_every=2, jobs=30) == [30, 60, 120, 120]


def test_whoever_fails_seldom_never_rests() -> None:
    assert rests_of(fails_every=6, jobs=600) == []


def test_a_job_fails_with_its_last_reason_when_attempts_are_used_up() -> None:
    grid = Grid(Policy(attempts=2, strikes=9))
    grid.node("n1")
    grid.job("j1")
    grid.tell(AttemptFailed("L1", "out of memory"))
    assert grid.tell(AttemptFailed("L2", "device lost")) == [FailJob("j1", "device lost")]


def test_whoever_could_not_do_a_job_is_asked_again_only_if_there_is_nobody_else() -> None:
    grid = Grid(Policy(attempts=3))
    grid.node("n1")
    grid.node("n2")
    assert assigned(grid.job("j1")) == [("n1", "j1")]
    out = grid.tell(AttemptFailed("L1", "no such text", blame=False))
    assert assigned(out) == [("n2", "j1")]
    out = grid.tell(AttemptFailed("L2", "no such text", blame=False))
    assert assigned(out) == [("n1", "j1")]
    out = grid.tell(AttemptFailed("L3", "no such text", blame=False))
    assert out == [FailJob("j1", "no such text")]


def test_coming_back_under_a_new_id_wipes_out_no_failure() -> None:
    grid = Grid(Policy(attempts=9))
    grid.node("n1")
    grid.job("j1")
    for lease in ("L1", "L2", "L3"):
        grid.tell(AttemptFailed(lease, "broken"))
    grid.tell(NodeLeft("n1"))
    grid.tell(NodeJoined("again", "wallet of n1", frozenset({"text"}), False))
    assert assigned(grid.tell(NodeReady("again", {MODEL: 100}, 1))) == [], "it rests on"
    assert assigned(grid.wait(29)) == []
    assert assigned(grid.wait(2)) == [("again", "j1")]


def test_leaving_with_jobs_in_hand_is_a_failure_too() -> None:
    """Else one node could use up the attempts of a job that waits, by coming and going."""
    grid = Grid(Policy(attempts=9, strikes=3))
    grid.job("j1")
    for number in range(3):
        name = f"life {number}"
        grid.tell(NodeJoined(name, "one wallet", frozenset({"text"}), False))
        assert assigned(grid.tell(NodeReady(name, {MODEL: 100}, 1))) == [(name, "j1")]
        grid.tell(NodeLeft(name))
    grid.tell(NodeJoined("rests", "one wallet", frozenset({"text"}), False))
    assert assigned(grid.tell(NodeReady("rests", {MODEL: 100}, 1))) == []
    assert assigned(grid.node("n1")) == [("n1", "j1")]


def test_an_answer_makes_up_for_failures_of_a_former_connection() -> None:
    grid = Grid(Policy(attempts=9, strikes=2, answers_per_strike=1))
    grid.job("j1")
    for name, ends in (("first", False), ("second", True), ("third", False)):
        grid.tell(NodeJoined(name, "one wallet", frozenset({"text"}), False))
        out = grid.tell(NodeReady(name, {MODEL: 100}, 1))
        (lease,) = [told.lease for told in out if isinstance(told, AssignJob)]
        if ends:
            grid.tell(ResultAccepted(lease))
            grid.job("j2", units=1)
        grid.tell(NodeLeft(name))
        if ends:
            assert grid.scheduler.waiting_for("text", MODEL) == 1


def test_a_node_that_fails_three_times_rests_and_comes_back() -> None:
    grid = Grid(Policy(attempts=9, hedge_factor=1e9))
    grid.node("n1")
    grid.job("j1")
    for lease in ("L1", "L2", "L3"):
        out = grid.tell(AttemptFailed(lease, "broken"))
    assert assigned(out) == []
    assert grid.scheduler.speeds("text", MODEL) == []
    assert assigned(grid.wait(31)) == [("n1", "j1")]
    assert grid.scheduler.speeds("text", MODEL) == [100]


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


def test_a_job_that_failed_twice_is_risked_on_no_stranger_while_anybody_else_is_free() -> None:
    grid = Grid(Policy(attempts=4))
    for name in ("n1", "n2", "n3", "n4"):
        grid.node(name)
    grid.node("reference", reference=True)
    assert assigned(grid.job("j1")) == [("n1", "j1")]
    assert assigned(grid.tell(AttemptFailed("L1", "broken"))) == [("n2", "j1")]
    assert assigned(grid.tell(AttemptFailed("L2", "broken"))) == [("reference", "j1")]
    assert assigned(grid.tell(AttemptFailed("L3", "broken"))) == [("n3", "j1")]


def test_whoever_claims_to_need_for_ever_gets_a_competitor_all_the_same() -> None:
    grid = Grid(Policy(hedge_min_s=1))
    grid.node("squatter", speed=1e-9)
    grid.node("reference", reference=True, speed=10)
    assert assigned(grid.job("j1")) == [("squatter", "j1")]
    # 1.5 s on the reference: ten times that, and three times for the hedge.
    assert assigned(grid.wait(44)) == []
    assert assigned(grid.wait(2)) == [("reference", "j1")]


def test_whoever_is_slow_within_reason_has_its_own_time() -> None:
    grid = Grid(Policy(hedge_min_s=1))
    grid.node("phone", speed=2)  # five times slower
    grid.node("reference", reference=True, speed=10)
    grid.job("j1")
    assert assigned(grid.wait(16)) == []
    assert assigned(grid.wait(1)) == [("reference", "j1")]
