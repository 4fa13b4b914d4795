"""What happened, in the past tense. Each field is a fact, checked by whoever reports it."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec


class _Event(msgspec.Struct, frozen=True, gc=False):
    pass


class NodeJoined(_Event, frozen=True):
    """A node said Hello; it takes no jobs before ``NodeReady``."""

    node: str
    wallet: str
    grids: frozenset[str]
    #: The operator's own nodes yield to volunteers while any of those is free, and audit.
    reference: bool = False
    #: What it computes with; a second audit is done with something else.
    device_class: str = ""


class NodeReady(_Event, frozen=True):
    """The node holds these models; digest to its measured units per second."""

    node: str
    speeds: Mapping[str, float]
    capacity: int
    #: Digests of models of which it gets no jobs, and of those whose answers are proven.
    barred: frozenset[str] = frozenset()
    proven: frozenset[str] = frozenset()
    #: Digest to the precision that it computes in.
    dtypes: Mapping[str, str] = msgspec.field(default_factory=dict)
    #: Digests of which it gets no further jobs for now.
    held: frozenset[str] = frozenset()


class UnitBarred(_Event, frozen=True):
    """The node's answers of this model are not trusted any more; it gets no jobs of it."""

    node: str
    digest: str
    reason: str


class UnitHeld(_Event, frozen=True):
    """The node gets no further jobs of this model for now; those that it has it finishes."""

    node: str
    digest: str


class UnitAllowed(_Event, frozen=True):
    """The node gets jobs of this model, as a newcomer."""

    node: str
    digest: str


class UnitProven(_Event, frozen=True):
    """The node gets jobs of this model, and first those that somebody waits for."""

    node: str
    digest: str


class NodePaused(_Event, frozen=True):
    node: str


class NodeDraining(_Event, frozen=True):
    """The node finishes what it has and takes nothing more."""

    node: str


class NodeLeft(_Event, frozen=True):
    node: str


class JobSubmitted(_Event, frozen=True):
    job: str
    owner: str
    grid: str
    digest: str
    units: int
    #: Somebody waits for the answer: rather a proven node than a newcomer.
    interactive: bool = False


class AuditSubmitted(_Event, frozen=True):
    """A job that was answered is to be run again by a reference, when no user needs it.

    Ends like any other: ``ResultAccepted``, ``AttemptFailed``, ``JobCancelled``.
    """

    audit: str
    grid: str
    digest: str
    units: int
    #: Whose answer it is: nobody audits himself.
    wallet: str
    #: What other references audited it with.
    not_device_classes: frozenset[str] = frozenset()
    #: A user waits for what comes of it: then it goes first, and makes way for nobody.
    interactive: bool = False
    #: The answer's precision: while any reference computes in it, the others are not asked, on
    #: whatever kind of device. "" is any.
    dtype: str = ""


class JobCancelled(_Event, frozen=True):
    job: str
    reason: str


class ResultAccepted(_Event, frozen=True):
    """The result of this lease was checked and taken; the job is over."""

    lease: str


class AttemptFailed(_Event, frozen=True):
    """The lease ended without a result that can be taken."""

    lease: str
    reason: str
    #: Whether it counts against the node: no for its owner's pause or our own outage.
    blame: bool = True


class Ticked(_Event, frozen=True):
    """Time passed; see ``Scheduler.next_alarm``."""


Event = (
    NodeJoined
    | NodeReady
    | UnitBarred
    | UnitHeld
    | UnitAllowed
    | UnitProven
    | NodePaused
    | NodeDraining
    | NodeLeft
    | JobSubmitted
    | AuditSubmitted
    | JobCancelled
    | ResultAccepted
    | AttemptFailed
    | Ticked
)
