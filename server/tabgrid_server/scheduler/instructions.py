"""What to do about it, in the imperative. Carried out in order, by the coordinator."""

from __future__ import annotations

import msgspec


class _Instruction(msgspec.Struct, frozen=True, gc=False):
    pass


class AssignJob(_Instruction, frozen=True):
    node: str
    job: str
    lease: str
    seconds: float
    attempt: int


class CancelLease(_Instruction, frozen=True):
    """Tell the node to stop; whatever it still sends for this lease is stale."""

    node: str
    lease: str
    reason: str


class FailJob(_Instruction, frozen=True):
    """No further attempt: refund, and tell the user why."""

    job: str
    reason: str


Instruction = AssignJob | CancelLease | FailJob
