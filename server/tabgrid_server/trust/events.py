"""What happened, in the past tense. Each field is a fact, checked by whoever reports it."""

from __future__ import annotations

from typing import NamedTuple

import msgspec


class ClassKey(NamedTuple):
    """Devices that compute a model alike: they share a driver, and so its faults."""

    digest: str
    dtype: str
    device_class: str


class UnitKey(NamedTuple):
    """What is trusted: one wallet's answers, of one model, on one class of device."""

    wallet: str
    digest: str
    dtype: str
    device_class: str

    @property
    def kind(self) -> ClassKey:
        return ClassKey(self.digest, self.dtype, self.device_class)


class _Event(msgspec.Struct, frozen=True, gc=False, tag=True):
    pass


class EpochOpened(_Event, frozen=True):
    """From now on answers are drawn with this secret; see ``draws``."""

    epoch: int
    secret: bytes


class UnitOffered(_Event, frozen=True):
    """A device holds a model and asks for work. Said again it is an ask for another test."""

    unit: UnitKey
    #: Whatever stands for one household: an IPv4 address, the /64 of an IPv6 one.
    address: str


class GoldensReturned(_Event, frozen=True):
    unit: UnitKey
    passed: bool


class ResultReturned(_Event, frozen=True):
    """An answer of the right shape came in, with a valid signed commitment."""

    job: str
    unit: UnitKey
    #: What the node earns by it, in base units.
    pay: int
    #: The receipt's ``commit_hash``.
    commit_hash: bytes
    #: For how long its grid withholds at least, in seconds; None is as the policy says.
    release_s: float | None = None
    #: Its user has it checked before it is delivered; the verdicts follow at once.
    checked: bool = False


class Checked(_Event, frozen=True):
    """A reference ran the job that ``CheckJob`` named, and the comparator has judged."""

    job: str
    agreed: bool


class CheckAbandoned(_Event, frozen=True):
    """The job can no longer be run: its model or its input is gone."""

    job: str


class AppealFiled(_Event, frozen=True):
    """The owner of a struck unit says that this answer was right."""

    job: str


class AppealHeard(_Event, frozen=True):
    """One of the references that decide an appeal has spoken."""

    job: str
    agreed: bool


class AppealCutShort(_Event, frozen=True):
    """No further reference will: none could run the job in time, or it can no longer be run."""

    job: str
    #: What was in the job was let go.
    expired: bool


class AppealJudged(_Event, frozen=True):
    """All references that were asked have spoken."""

    job: str
    #: How many references of those asked say that the node's answer is right.
    agreeing: int


class BugConfirmed(_Event, frozen=True):
    """The operator found the class's own fault: a driver, a browser, a threshold."""

    kind: ClassKey


class ClassCleared(_Event, frozen=True):
    """The operator lets a class work again: its units are tested anew."""

    kind: ClassKey


class Ticked(_Event, frozen=True):
    """Time passed; see ``Trust.next_alarm``."""


Event = (
    EpochOpened
    | UnitOffered
    | GoldensReturned
    | ResultReturned
    | Checked
    | CheckAbandoned
    | AppealFiled
    | AppealHeard
    | AppealCutShort
    | AppealJudged
    | BugConfirmed
    | ClassCleared
    | Ticked
)
