"""What a node is doing, as its owner sees it: facts in, one ``NodeStatus`` out. No IO.

The state follows from the facts, in this order: stopped, paused, working, then loading or
ready while connected, else idle. ``MOVES`` says which changes of it can happen at all.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import msgspec

from tabgrid_wire.messages import PauseReason

from .hosts import Device, ModelStanding, NodeStatus, Refusal

State = Literal["idle", "loading", "ready", "working", "paused", "stopped"]

MOVES: dict[State, frozenset[State]] = {
    "idle": frozenset({"loading", "paused", "stopped"}),
    "loading": frozenset({"idle", "ready", "paused", "stopped"}),
    "ready": frozenset({"idle", "loading", "working", "paused", "stopped"}),
    # A job outlives its connection, and may end while the next one is being made.
    "working": frozenset({"idle", "loading", "ready", "paused", "stopped"}),
    "paused": frozenset({"idle", "loading", "ready", "working", "stopped"}),
    "stopped": frozenset(),
}

PAUSED: dict[PauseReason, str] = {
    "owner": "Paused by you.",
    "battery": "Paused while this device runs on battery.",
    "hidden": "Paused while this page is hidden.",
    "busy": "Paused while you use this device.",
    "offline": "Paused while this device is offline.",
}


class Running(NamedTuple):
    """A job in hand."""

    job: str
    hidden: bool


class Life:
    """The facts of one run of a node. Every method says what happened."""

    def __init__(self, device: Device, wallet: str = "") -> None:
        self.connected = False
        self.loaded = False
        self.paused: PauseReason | None = None
        self.over = False
        #: By lease, in the order in which they began.
        self.running: dict[str, Running] = {}
        self.state: State = "idle"
        self._status = NodeStatus(
            state="idle",
            message="Not started.",
            backend=device.backend,
            device=device.name,
            wallet=wallet,
            download_bytes=0,
            download_total=0,
            job="",
            job_stage="",
            job_done=0,
            job_total=0,
            job_hidden=False,
            jobs_done=0,
            earned=0,
            refused={},
            standings={},
            retry_in=0.0,
        )

    @property
    def status(self) -> NodeStatus:
        return self._status

    def connecting(self) -> None:
        self._become("Connecting to the grid." if self.state == "idle" else None, retry_in=0.0)

    def welcomed(self, wallet: str) -> None:
        self.connected, self.loaded = True, False
        self._become("Connected. Looking for models.", wallet=wallet, retry_in=0.0)

    def downloading(self, title: str, done: int, total: int) -> None:
        # Once all of it is here it is still read, checked and made ready, which takes its time.
        doing = "Downloading" if done < total else "Loading"
        self._become(f"{doing} {title}.", download_bytes=min(done, total), download_total=total)

    def testing(self, title: str) -> None:
        self._become(f"Testing {title} on this device.")

    def models_loaded(self, refused: dict[str, Refusal]) -> None:
        """Every offered model is either held or refused."""
        self.loaded = True
        self._become(None, refused=refused)

    def testing_again(self) -> None:
        """What was held is tested anew; no jobs meanwhile."""
        self.loaded = False
        self._become("Testing the models of this device again.")

    def stands(self, model: str, standing: ModelStanding) -> None:
        """The grid has said how it takes the answers of a model."""
        self._become(None, standings=self._status.standings | {model: standing})

    def connection_lost(self, message: str, retry_in: float) -> None:
        self.connected = self.loaded = False
        self._become(message, retry_in=retry_in)

    def pause(self, reason: PauseReason) -> None:
        self.paused = reason
        self._become(None)

    def resume(self) -> None:
        self.paused = None
        self._become(None)

    def job_began(self, lease: str, job: str, *, hidden: bool = False) -> None:
        self.running[lease] = Running(job, hidden)
        self._become(None, **self._newest())

    def job_moved(self, lease: str, done: int, total: int, stage: str) -> None:
        if lease in self.running and self.running[lease].job == self._status.job:
            self._become(None, job_stage=stage, job_done=min(done, total), job_total=total)

    def job_ended(self, lease: str, *, answered: bool) -> None:
        del self.running[lease]
        done = self._status.jobs_done + answered
        self._become(None, **self._newest(), jobs_done=done)

    def settled(self, amount: int) -> None:
        self._become(None, earned=self._status.earned + amount)

    def told(self, message: str) -> None:
        """Something the owner should know that changes no state."""
        self._become(message)

    def stopped(self, message: str) -> None:
        self.over, self.connected, self.loaded, self.paused = True, False, False, None
        self.running.clear()
        self._become(message, **self._newest(), retry_in=0.0)

    def validate_state(self) -> None:
        """Whatever happened, these agree. Tests call it after every step."""
        status = self._status
        assert status.state == self.state == self._derived()
        assert (status.job == "") == (not self.running)
        assert status.job or not status.job_hidden
        assert 0 <= status.job_done <= status.job_total or not status.job_total
        assert 0 <= status.download_bytes <= status.download_total
        assert status.earned >= 0 <= status.jobs_done
        assert status.retry_in == 0 or not self.connected
        assert self.connected or not self.loaded
        assert status.message

    def _newest(self) -> dict[str, Any]:
        """What the status says of the job that began last, as yet without progress."""
        job, hidden = next(reversed(self.running.values()), Running("", False))
        return {"job": job, "job_hidden": hidden, "job_stage": "", "job_done": 0, "job_total": 0}

    def _derived(self) -> State:
        if self.over:
            return "stopped"
        if self.paused is not None:
            return "paused"
        if self.running:
            return "working"
        if self.connected:
            return "ready" if self.loaded else "loading"
        return "idle"

    def _become(self, message: str | None, **changes: Any) -> None:
        """Take in changed facts. Without a message of its own, a new state brings one."""
        before, self.state = self.state, self._derived()
        assert self.state == before or self.state in MOVES[before], f"{before} to {self.state}"
        self._status = msgspec.structs.replace(
            self._status, state=self.state, message=self._status.message, **changes
        )
        if message is None and (self.state != before or self.state in ("paused", "working")):
            message = self._sentence()
        if message is not None:
            self._status = msgspec.structs.replace(self._status, message=message)

    def _sentence(self) -> str:
        if self.paused is not None:
            ending = " The running job is finished first." if self.running else ""
            return PAUSED[self.paused] + ending
        return {
            "working": "Working on a job.",
            "ready": "Ready. Waiting for jobs.",
            "loading": "Connected. Looking for models.",
            "idle": "Connecting to the grid.",
        }[self.state]
