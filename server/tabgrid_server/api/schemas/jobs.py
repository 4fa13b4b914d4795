"""Jobs: what is asked for, how far it is, and what came of it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta

from .base import Request, Response

JobState = Literal["queued", "running", "returned", "done", "failed", "cancelled"]

JobId = Annotated[str, Meta(pattern="^job_[0-9A-HJKMNP-TV-Z]{26}$")]


class JobRequest(Request, frozen=True):
    model: Annotated[str, Meta(min_length=1, max_length=64)]
    #: The connector's own input.
    input: dict[str, Any]
    #: Whether the explorer may show input and output; off unless asked for.
    public: bool = False
    #: Whether pictures of how far it is may be sent, to the node's owner too.
    show_preview: bool = True
    #: Whether the answer is held until one of the operator's references agrees; ``check`` of a
    #: quote says what that costs more. Without such an answer nothing is charged.
    checked: bool = False


class Progress(Response, frozen=True):
    """How far a running job is, as its node says."""

    done: int
    total: int
    #: What is counted: "steps", "texts".
    stage: str


class JobCorrection(Response, frozen=True):
    """The answer of a job was found wrong after it was delivered."""

    reason: str
    #: Base units that the user got back: the whole price.
    refunded: int
    at: float


PayState = Literal["withheld", "claimable", "void", "forfeit"]


class JobRow(Response, frozen=True):
    """What anybody may see of a job."""

    id: str
    state: JobState
    grid: str
    model: str
    digest: str
    connector: str
    price: int
    units: int
    host: str | None
    backend: str | None
    device: str | None
    wallet: str | None
    node: str | None
    submitted_at: float
    assigned_at: float | None
    returned_at: float | None
    finished_at: float | None
    attempts: int
    #: The claim that carries the node's pay to the chain.
    claim: str | None
    error: str | None
    #: Whether anybody may see what is in it.
    public: bool
    #: When input and output were let go, by the grid's rule; null while they are kept.
    expired_at: float | None
    #: While it runs; null before its node said anything, and afterwards.
    progress: Progress | None = None
    #: What became of the node's pay: withheld, or claimable (``claim`` says by what it was
    #: claimed); void where the answer was found wrong, forfeit where its node was convicted.
    pay_state: PayState | None = None
    #: Null unless its answer was found wrong.
    correction: JobCorrection | None = None
    #: Whether its answer is held until a reference agrees; that is in ``price``.
    checked: bool = False


class Jobs(Response, frozen=True):
    jobs: tuple[JobRow, ...]


class Job(JobRow, frozen=True, kw_only=True):
    """What the owner of the key sees; ``output`` is the connector's, once there."""

    usage: dict[str, int]
    #: As it was submitted; null for who may not see it, and once it is kept no more.
    input: dict[str, Any] | None = None
    output: dict[str, Any] | None = None
    #: Where a picture can be fetched without a key, for an hour; of public jobs, at any time.
    image: str | None = None
    #: What a reference node answered instead, where ``output`` was found wrong.
    rerun: dict[str, Any] | None = None


class Preview(Response, frozen=True):
    """How far a picture is: a small PNG."""

    #: Base64.
    png: bytes


class Quote(Response, frozen=True):
    """What a job would be, as of now."""

    model: str
    grid: str
    units: int
    unit: str
    usage: dict[str, int]
    #: Base units of ``token``.
    price: int
    #: What it costs more with ``checked``; null where no reference could check it now.
    check: int | None
    token: str
    #: That could take it, and jobs that wait before it.
    nodes: int
    waiting: int
    #: Computing alone, on the median of these nodes as they measured themselves; null where
    #: there is none.
    seconds: float | None
