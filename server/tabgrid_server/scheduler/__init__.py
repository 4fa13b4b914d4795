"""Who gets which job, when, and until when: a pure core without clock, IO or randomness.

``Scheduler.handle(event, now)`` takes what happened and returns what to do. The coordinator
owns the only instance, feeds it from sockets and requests, and carries out what it says.
"""

from .core import Scheduler
from .events import (
    AttemptFailed,
    AuditSubmitted,
    Event,
    JobCancelled,
    JobSubmitted,
    NodeDraining,
    NodeJoined,
    NodeLeft,
    NodePaused,
    NodeReady,
    ResultAccepted,
    Ticked,
    UnitAllowed,
    UnitBarred,
    UnitHeld,
    UnitProven,
)
from .instructions import AssignJob, CancelLease, FailJob, Instruction
from .policy import Policy

__all__ = [
    "AssignJob",
    "AttemptFailed",
    "AuditSubmitted",
    "CancelLease",
    "Event",
    "FailJob",
    "Instruction",
    "JobCancelled",
    "JobSubmitted",
    "NodeDraining",
    "NodeJoined",
    "NodeLeft",
    "NodePaused",
    "NodeReady",
    "Policy",
    "ResultAccepted",
    "Scheduler",
    "Ticked",
    "UnitAllowed",
    "UnitBarred",
    "UnitHeld",
    "UnitProven",
]
