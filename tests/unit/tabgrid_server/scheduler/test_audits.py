"""References run audits when nobody else needs them, and never their own answers."""

from __future__ import annotations

from itertools import count

from tabgrid_server.scheduler import (
    AssignJob,
    AttemptFailed,
    AuditSubmitted,
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
)

MODEL = "a" * 64


class Grid:
    def __init__(self, policy: Policy | None = None) -> None:
        numbers = count(1)
        self.scheduler = Scheduler(policy or Policy(), lambda: f"L{next(numbers)}")

    def tell(self, event: Event) -> list[Instruction]:
        out = self.scheduler.handle(event, 0.0)
        self.scheduler.validate_state()
        return out

    def node(
        self, name: str, *, reference: bool = True, places: int = 1, kind: str = "cpu"
    ) -> list[Instruction]:
        grids = frozenset({"text"})
        self.tell(NodeJoined(name, f"wallet of {name}", grids, reference, kind))
        return self.tell(NodeReady(name, {MODEL: 100.0}, places))

    def job(self, name: str) -> list[Instruction]:
        return self.tell(JobSubmitted(name, "ann", "text", MODEL, 10))

    def audit(self, name: str, of: str = "v", not_on: frozenset[str] = frozenset()) -> list[str]:
        out = self.tell(AuditSubmitted(name, "text", MODEL, 10, f"wallet of {of}", not_on))
        return assigned(out)


def assigned(instructions: list[Instruction]) -> list[str]:
    return [f"{i.job} on {i.node}" for i in instructions if isinstance(i, AssignJob)]


def test_a_free_reference_audits_at_once_and_a_volunteer_never() -> None:
    grid = Grid()
    grid.node("v", reference=False)
    assert grid.audit("a1") == []
    assert assigned(grid.node("r")) == ["a1 on r"]
    assert grid.scheduler.audits == 1
    assert grid.scheduler.running == grid.scheduler.queued == 0, "users' jobs are counted apart"


def test_users_go_first_when_a_reference_gets_free() -> None:
    grid = Grid()
    grid.node("r")
    grid.job("j1")
    grid.audit("a1")
    grid.job("j2")
    assert assigned(grid.tell(ResultAccepted("L1"))) == ["j2 on r"]
    assert assigned(grid.tell(ResultAccepted("L2"))) == ["a1 on r"]


def test_an_audit_makes_way_for_a_user_and_is_run_later() -> None:
    grid = Grid(Policy(attempts=1))
    grid.node("r")
    assert grid.audit("a1") == ["a1 on r"]
    out = grid.job("j1")
    assert out[0] == CancelLease("r", "L1", "A user needs this node.")
    assert assigned(out) == ["j1 on r"]
    assert assigned(grid.tell(ResultAccepted("L2"))) == ["a1 on r"], "that was no attempt of its"


def test_no_audit_makes_way_while_another_node_is_free() -> None:
    grid = Grid()
    grid.node("r")
    grid.audit("a1")
    grid.node("v", reference=False)
    assert assigned(grid.job("j1")) == ["j1 on v"]
    assert "L1" in grid.scheduler.leases


def test_a_reference_runs_as_many_audits_as_its_operator_allows() -> None:
    grid = Grid(Policy(audit_places=2))
    grid.node("r", places=4)
    assert [grid.audit(f"a{n}") for n in (1, 2, 3)] == [["a1 on r"], ["a2 on r"], []]
    assert assigned(grid.job("j1")) == ["j1 on r"], "its other places are for users"
    assert assigned(grid.tell(ResultAccepted("L1"))) == ["a3 on r"]


def test_an_operator_may_have_no_audits_at_all() -> None:
    grid = Grid(Policy(audit_places=0))
    grid.node("r")
    assert grid.audit("a1") == []


def test_nobody_audits_himself_and_a_second_audit_is_done_with_something_else() -> None:
    grid = Grid()
    grid.node("r1")
    assert grid.audit("own", of="r1") == []
    assert grid.audit("second", not_on=frozenset({"cpu"})) == []
    assert grid.audit("first") == ["first on r1"], "those that it may not run do not stop it"
    assert assigned(grid.node("r2", kind="gpu")) == ["own on r2"]
    assert assigned(grid.tell(ResultAccepted("L2"))) == ["second on r2"]


def test_an_audit_whose_reference_left_goes_to_the_next_one() -> None:
    grid = Grid()
    grid.node("r1")
    grid.audit("a1")
    grid.tell(NodeLeft("r1"))
    assert assigned(grid.node("r2")) == ["a1 on r2"]


def test_an_audit_that_fails_too_often_is_given_up() -> None:
    grid = Grid(Policy(attempts=2, strikes=9))
    grid.node("r")
    grid.audit("a1")
    assert assigned(grid.tell(AttemptFailed("L1", "It broke."))) == ["a1 on r"]
    assert grid.tell(AttemptFailed("L2", "It broke again.")) == [FailJob("a1", "It broke again.")]
    assert not grid.scheduler.audits


def test_an_audit_can_be_called_off_while_it_waits_and_while_it_runs() -> None:
    grid = Grid()
    grid.audit("a1")
    grid.tell(JobCancelled("a1", "Its unit was convicted."))
    assert not grid.scheduler.jobs
    grid.node("r")
    grid.audit("a2")
    (cancel,) = grid.tell(JobCancelled("a2", "Its unit was convicted."))
    assert cancel == CancelLease("r", "L1", "Its unit was convicted.")
