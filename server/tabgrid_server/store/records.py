"""Rows as structs: what goes into the store and what comes out."""

from __future__ import annotations

from typing import Literal

from ..trust import ResultReturned
from .effects import TrustStep
from .record import Record

JobState = Literal["queued", "running", "returned", "done", "failed", "cancelled"]


class Idempotency(Record, frozen=True, kw_only=True):
    """What its owner calls a request, and the SHA-256 of what it asks for."""

    key: str
    request: str


class Named(Record, frozen=True, kw_only=True):
    """The job that a request of this name became, and the SHA-256 of what it asked for."""

    job_id: str
    request: str


class NewJob(Record, frozen=True, kw_only=True):
    """A job as accepted. Submitting it holds ``price`` of the owner's credit."""

    id: str
    owner: str
    key_id: str
    grid: str
    model: str
    digest: str
    connector: str
    token: str
    input: bytes
    price: int
    #: Part of ``price`` that the grid keeps.
    fee: int
    units: int
    usage: dict[str, int]
    public: bool
    show_preview: bool = True
    #: Whether its answer is held until a reference agrees; that is in ``price`` and ``fee``.
    checked: bool = False
    submitted_at: float
    #: Kept beside the job, for a day; not read again with it.
    idempotency: Idempotency | None = None


class Settlement(Record, frozen=True, kw_only=True):
    """An accepted result: who computed it, and how the price is split.

    ``price`` may be lower than what is held (the rest returns to the owner), never higher.
    The node earns ``price - fee``, withheld until ``release_at``.
    """

    job_id: str
    #: None where it is a blob: then that one's digest and size stand in its place.
    output: bytes | None
    output_digest: str | None = None
    output_size: int | None = None
    #: Canonical JSON; the store keeps its SHA-256 beside it.
    receipt: bytes
    price: int
    fee: int
    units: int
    usage: dict[str, int]
    node: str
    wallet: str
    worker_key: str
    host: str
    backend: str
    device: str
    device_class: str
    dtype: str
    attempts: int
    assigned_at: float
    returned_at: float
    finished_at: float
    release_at: float
    #: What the trust policy made of the answer. One that it was told is released when it says.
    trust: TrustStep | None = None

    @property
    def held(self) -> bool:
        """Whether the trust policy decides when its pay is released."""
        return self.trust is not None and any(
            isinstance(event, ResultReturned) and event.job == self.job_id
            for _, event in self.trust.events
        )


class Refund(Record, frozen=True, kw_only=True):
    """A job that ends without a result: the whole hold returns to its owner."""

    job_id: str
    state: Literal["failed", "cancelled"]
    error_code: str
    error: str
    attempts: int
    finished_at: float


class Job(Record, frozen=True, kw_only=True):
    """A row of ``jobs`` without input and output, with what its pay has become."""

    id: str
    owner: str
    key_id: str
    grid: str
    model: str
    digest: str
    connector: str
    token: str
    state: JobState
    price: int
    fee: int
    units: int
    usage: dict[str, int]
    public: bool
    error_code: str | None
    error: str | None
    submitted_at: float
    assigned_at: float | None
    returned_at: float | None
    finished_at: float | None
    node: str | None
    wallet: str | None
    worker_key: str | None
    host: str | None
    backend: str | None
    device: str | None
    device_class: str | None
    dtype: str | None
    attempts: int
    output_digest: str | None
    output_size: int | None
    #: When input and output were let go, by the grid's rule.
    expired_at: float | None
    show_preview: bool
    checked: bool
    #: Id of the claim that carries the node's pay to the chain.
    claim: str | None
    #: Why its answer was found wrong, and when; then its price was given back.
    refuted: str | None = None
    refuted_at: float | None = None
    #: Whether its pay can be claimed, or was; null where nobody earned anything.
    released: bool | None = None
    #: "void" or "forfeit" where the pay is neither withheld nor can be claimed.
    lost: str | None = None


class JobContent(Record, frozen=True, kw_only=True):
    """What a job was given and what it answered: for its owner only.

    An output of which only the digest is here lies in the blob store.
    """

    input: bytes
    output: bytes | None
    output_digest: str | None


class ApiKey(Record, frozen=True, kw_only=True):
    id: str
    owner: str
    label: str
    created_at: float
    revoked_at: float | None


class Credit(Record, frozen=True, kw_only=True):
    """An owner's money in one token. ``in_flight``: in refunds that are under way."""

    available: int
    held: int
    spent: int
    deposited: int = 0
    refunded: int = 0
    in_flight: int = 0


class Session(Record, frozen=True, kw_only=True):
    """A signed-in wallet on one device. Only the hash of its token is kept."""

    token_hash: str
    wallet: str
    worker_key: str
    device_id: str
    created_at: float
    expires_at: float


class Receipt(Record, frozen=True, kw_only=True):
    job_id: str
    seq: int
    body: bytes
    hash: str
    created_at: float


class WalletSummary(Record, frozen=True, kw_only=True):
    """A node owner's money in one token; ``earned`` is the sum of the five.

    ``paid`` was sent on chain; ``push_fees`` the grid kept for paying the network's fee. Not in
    ``earned`` is what was ``taken`` for wrong answers, save what was ``given_back`` of that.
    """

    jobs_done: int
    earned: int
    withheld: int
    claimable: int
    in_flight: int
    paid: int
    push_fees: int = 0
    taken: int = 0
    given_back: int = 0
    next_release_at: float | None


class Release(Record, frozen=True, kw_only=True):
    """What became claimable for one wallet in one go."""

    wallet: str
    token: str
    amount: int
    jobs: int


class Totals(Record, frozen=True, kw_only=True):
    done: int
    failed: int
    cancelled: int
    #: Pay of nodes ever booked, and what of it reached the chain, by token.
    settled: dict[str, int]
    paid: dict[str, int]


class Minute(Record, frozen=True, kw_only=True):
    """Jobs that were done in the 60 s from ``at``; ``p50_ms`` from submit to finish."""

    at: float
    done: int
    p50_ms: float | None
