"""Random facts in random order: the owner never sees a state that contradicts them."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tabgrid_node.backoff import CAP_S, STABLE_S, Backoff
from tabgrid_node.hosts import Device
from tabgrid_node.life import Life

DEVICE = Device("native", "cpu", "a test", "cpu:test", "device", 0)
COUNTS = st.integers(0, 1000)


class Lives(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.life = Life(DEVICE)
        self.number = 0
        self.earned = 0

    @precondition(lambda self: not self.life.over and not self.life.connected)
    @rule()
    def connects(self) -> None:
        self.life.connecting()
        self.life.welcomed("Wallet")

    @precondition(lambda self: self.life.connected and not self.life.over)
    @rule(done=COUNTS, total=COUNTS)
    def downloads(self, done: int, total: int) -> None:
        self.life.downloading("a model", done, total)
        self.life.testing("a model")

    @precondition(lambda self: self.life.connected and not self.life.loaded)
    @rule()
    def loads(self) -> None:
        self.life.models_loaded({})

    @precondition(lambda self: not self.life.over)
    @rule(retry=st.floats(0.5, 60))
    def loses(self, retry: float) -> None:
        self.life.connection_lost("The grid is gone.", retry)

    @precondition(lambda self: not self.life.over)
    @rule(reason=st.sampled_from(["owner", "battery"]))
    def pauses(self, reason: str) -> None:
        self.life.pause(reason)  # type: ignore[arg-type]

    @precondition(lambda self: not self.life.over)
    @rule()
    def resumes(self) -> None:
        self.life.resume()

    @precondition(lambda self: self.life.loaded and self.life.paused is None)
    @rule(hidden=st.booleans())
    def begins(self, hidden: bool) -> None:
        self.number += 1
        self.life.job_began(f"lease_{self.number}", f"job_{self.number}", hidden=hidden)
        assert self.life.status.job_hidden == hidden

    @precondition(lambda self: self.life.running)
    @rule(data=st.data(), done=COUNTS, total=COUNTS, ends=st.booleans())
    def works(self, data: st.DataObject, done: int, total: int, ends: bool) -> None:
        lease = data.draw(st.sampled_from(list(self.life.running)))
        self.life.job_moved(lease, done, total, "step")
        if ends:
            self.life.job_ended(lease, answered=data.draw(st.booleans()))

    @rule(amount=COUNTS)
    def earns(self, amount: int) -> None:
        self.earned += amount
        self.life.settled(amount)
        assert self.life.status.earned == self.earned

    @precondition(lambda self: self.number > 5)
    @rule()
    def stops(self) -> None:
        self.life.stopped("Stopped.")

    @invariant()
    def agrees(self) -> None:
        self.life.validate_state()


Lives.TestCase.settings = settings(max_examples=50, stateful_step_count=40, deadline=None)
TestLives = Lives.TestCase


def test_a_pause_names_its_reason_and_the_running_job() -> None:
    life = Life(DEVICE)
    life.welcomed("Wallet")
    life.models_loaded({})
    life.job_began("lease", "job")
    life.pause("busy")
    assert life.status.message == (
        "Paused while you use this device. The running job is finished first."
    )


def test_what_is_here_already_is_not_called_a_download() -> None:
    life = Life(DEVICE)
    life.welcomed("Wallet")
    life.downloading("a model", 5, 10)
    assert life.status.message == "Downloading a model."
    life.downloading("a model", 10, 10)
    assert life.status.message == "Loading a model."


def test_waits_stay_within_their_bounds() -> None:
    backoff = Backoff()
    waits = [backoff.next(0.999) for _ in range(100)]
    assert max(waits) <= CAP_S
    backoff.connected_for(STABLE_S - 1)
    assert backoff.next(0.0) == CAP_S / 2
    backoff.connected_for(STABLE_S)
    assert backoff.next(0.0) == 0.5
    assert backoff.next(0.0, at_least=30) == 30
