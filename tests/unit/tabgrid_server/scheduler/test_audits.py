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
    NodePaused,
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
        self,
        name: str,
        *,
        reference: bool = True,
        places: int = 1,
        kind: str = "cpu",
        dtype: str = "q8",
    ) -> list[Instruction]:
        grids = frozenset({"text"})
        self.tell(NodeJoined(name, f"wallet of {name}", grids, reference, kind))
        return self.tell(NodeReady(name, {MODEL: 100.0}, places, dtypes={MODEL: dtype}))

    def job(self, name: str) -> list[Instruction]:
        return self.tell(JobSubmitted(name, "ann", "text", MODEL, 10))

    def audit(
        self, name: str, of: str = "v", not_on: frozenset[str] = frozenset(), dtype: str = ""
    ) -> list[str]:
        wallet = f"wallet of {of}"
        out = self.tell(AuditSubmitted(name, "text", MODEL, 10, wallet, not_on, dtype=dtype))
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


def test_an_audit_makes_way_for_a_job_that_strangers_failed_twice() -> None:
    grid = Grid()
    for name in ("v1", "v2", "v3"):
        grid.node(name, reference=False)
    grid.node("reference")
    assert grid.audit("a1") == ["a1 on reference"]
    grid.job("j1")
    assert assigned(grid.tell(AttemptFailed("L2", "no"))) == ["j1 on v2"]
    out = grid.tell(AttemptFailed("L3", "no"))
    assert out[0] == CancelLease("reference", "L1", "A user needs this node.")
    assert assigned(out) == ["j1 on reference"]


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


def test_a_reference_of_another_precision_is_asked_only_while_none_of_the_same_is_here() -> None:
    grid = Grid()
    grid.node("half", kind="gpu", dtype="fp16")
    assert grid.audit("a1", dtype="q8") == ["a1 on half"], "there is no other"
    grid.tell(ResultAccepted("L1"))
    grid.node("eighth", places=1)
    assert grid.audit("a2", dtype="q8") == ["a2 on eighth"]
    assert grid.audit("a3", dtype="q8") == [], "it waits for the one that can tell"
    second = frozenset({"cpu"})
    assert grid.audit("a4", dtype="q8", not_on=second) == [], "even for another kind of device"
    assert grid.audit("a5", dtype="fp16") == ["a5 on half"]
    grid.tell(ResultAccepted("L3"))
    assert assigned(grid.tell(ResultAccepted("L2"))) == ["a3 on eighth"]
    assert assigned(grid.tell(NodePaused("eighth"))) == ["a4 on half"]
    assert assigned(grid.tell(NodeLeft("eighth"))) == []
    assert assigned(grid.tell(ResultAccepted("L5"))) == ["a3 on half"], "it left with its audit"


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


def test_an_audit_that_a_user_waits_for_goes_first_and_makes_way_for_nobody() -> None:
    grid = Grid()
    grid.node("r")
    grid.job("j1")
    grid.audit("a1")
    grid.job("j2")
    grid.tell(AuditSubmitted("a2", "text", MODEL, 10, "wallet of v", interactive=True))
    assert assigned(grid.tell(ResultAccepted("L1"))) == ["a2 on r"]
    assert grid.job("j3") == [], "it is not called off for another user"
    assert assigned(grid.tell(ResultAccepted("L2"))) == ["j2 on r"]
    assert assigned(grid.tell(ResultAccepted("L3"))) == ["j3 on r"]
    assert assigned(grid.tell(ResultAccepted("L4"))) == ["a1 on r"]


def test_what_is_called_off_while_its_user_waits_is_forgotten() -> None:
    grid = Grid()
    grid.tell(AuditSubmitted("a1", "text", MODEL, 10, "wallet of v", interactive=True))
    grid.tell(JobCancelled("a1", "The user has left."))
    assert grid.node("r") == []
    assert grid.scheduler.audits == 0
