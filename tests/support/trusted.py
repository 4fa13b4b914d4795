"""A trust core with a clock that the test moves, and books of what it booked."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from tabgrid_server.trust import (
    Checked,
    ClassKey,
    EpochOpened,
    Event,
    GoldensReturned,
    Policy,
    ResultReturned,
    Trust,
    UnitKey,
    UnitOffered,
)
from tabgrid_server.trust import instructions as do
from tabgrid_server.trust.draws import draw

T = TypeVar("T", bound=do.Instruction)
PAY = 1_000
SECRET = b"s" * 32


class Grid:
    def __init__(self, policy: Policy | None = None) -> None:
        self.policy = policy or Policy()
        self.trust = Trust(self.policy)
        self.now = 1_000_000.0
        self.jobs = 0
        self.lies: set[str] = set()
        self.tell(EpochOpened(0, SECRET))

    def tell(self, event: Event) -> list[do.Instruction]:
        out = self.trust.handle(event, self.now)
        self.trust.validate_state()
        return out

    def offer(self, unit: UnitKey, address: str = "192.0.2.1") -> list[do.Instruction]:
        return self.tell(UnitOffered(unit, address))

    def admit(self, unit: UnitKey, address: str = "") -> None:
        self.offer(unit, address or f"address of {unit.wallet}")
        self.tell(GoldensReturned(unit, True))

    def answer(
        self, unit: UnitKey, right: bool = True, second: bool | None = None, pay: int = PAY
    ) -> list[do.Instruction]:
        """One job's answer, and whatever checks follow from it, of this and of earlier jobs.

        ``second`` is what second references say of this one, where they differ from the first.
        """
        self.jobs += 1
        job = f"job-{self.jobs}"
        if not right:
            self.lies.add(job)
        out = self.tell(ResultReturned(job, unit, pay, job.encode()))
        for instruction in out:
            if isinstance(instruction, do.CheckJob):
                agreed = instruction.job not in self.lies
                if instruction.purpose == "second" and second is not None:
                    agreed = second
                out.extend(self.tell(Checked(instruction.job, agreed)))
        return out

    def strike(self, unit: UnitKey) -> list[do.Instruction]:
        """Answers, all right, until one is drawn for a check; that one is wrong."""
        while True:
            p = self.policy.audit_probability(PAY, self.trust.units[unit].withheld)
            if draw(SECRET, f"job-{self.jobs + 1}".encode()) < p:
                return self.answer(unit, right=False)
            self.answer(unit)

    def prove(self, unit: UnitKey) -> None:
        self.admit(unit)
        for _ in range(self.policy.probation_jobs):
            self.answer(unit)


def unit_of(wallet: str, device_class: str = "webgpu/apple") -> UnitKey:
    return UnitKey(wallet, "d" * 64, "fp32", device_class)


def of(kind: type[T], out: Iterable[do.Instruction]) -> list[T]:
    return [instruction for instruction in out if isinstance(instruction, kind)]


CLASS = ClassKey("d" * 64, "fp32", "webgpu/apple")
