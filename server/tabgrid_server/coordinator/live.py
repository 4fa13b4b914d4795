"""What is in memory while it matters: connected nodes and unfinished jobs."""

from __future__ import annotations

import asyncio
from typing import Any, Literal, Protocol

import msgspec

from tabgrid_wire.messages import Hello, LoadedModel, Result, ToNode

from ..api.schemas.grid import NodeState
from ..api.schemas.jobs import JobRow, JobState, Progress
from .offers import Offer
from .pricing import Price


class Outcome(msgspec.Struct, frozen=True):
    """How a job ended. ``output`` is msgpack of the connector's Output if it is done."""

    state: JobState
    output: bytes = b""
    error_code: str = ""
    error: str = ""


class Answer(msgspec.Struct, frozen=True):
    """What a node returned, with the output at hand however it travelled."""

    result: Result
    output: bytes
    #: SHA-256 of ``output``.
    digest: bytes
    #: What lay between the steps to the output, if the node committed to it.
    trace: bytes = b""


class Link(Protocol):
    """The way to one node; never blocks the caller."""

    address: str
    #: Up to which addition to the protocol it speaks.
    minor: int

    def send(self, message: ToNode) -> None: ...

    def close(self, code: int, reason: str) -> None: ...


class LiveNode:
    """A connected node, and who stands behind it according to its session."""

    __slots__ = (
        "connected_at", "hello", "id", "jobs_done", "link", "models", "reference", "state",
        "wallet", "worker_key",
    )  # fmt: skip

    def __init__(
        self, id: str, wallet: str, worker_key: str, hello: Hello, link: Link, now: float
    ) -> None:
        self.id = id
        self.wallet = wallet
        self.worker_key = worker_key
        self.hello = hello
        self.link = link
        self.connected_at = now
        self.state: NodeState = "joining"
        self.models: dict[str, LoadedModel] = {}
        self.jobs_done = 0
        self.reference = False


class LiveJob:
    """A job from its acceptance to its durable end."""

    __slots__ = (
        "assigned_at", "attempts", "checked", "ended", "ending", "finished_at", "id", "input",
        "input_bytes", "interactive", "key_id", "node", "offer", "owner", "previewed_at", "price",
        "progress",
        "public", "returned_at", "show_preview", "state", "submitted_at", "units", "usage",
    )  # fmt: skip

    def __init__(
        self,
        *,
        id: str,
        owner: str,
        key_id: str,
        offer: Offer,
        input: msgspec.Struct,
        input_bytes: bytes,
        price: Price,
        units: int,
        usage: dict[str, int],
        public: bool,
        show_preview: bool,
        checked: bool = False,
        submitted_at: float,
    ) -> None:
        self.id = id
        self.owner = owner
        self.key_id = key_id
        self.offer = offer
        self.input: Any = input
        self.input_bytes = input_bytes
        self.price = price
        self.units = units
        self.usage = usage
        self.public = public
        self.show_preview = show_preview
        #: Whether its answer is held until a reference agrees.
        self.checked = checked
        self.submitted_at = submitted_at
        self.state: JobState = "queued"
        self.assigned_at: float | None = None
        self.returned_at: float | None = None
        self.finished_at: float | None = None
        self.node: LiveNode | None = None
        self.attempts = 0
        #: Somebody waits for the answer.
        self.interactive = False
        #: When its last preview was passed on, monotonic.
        self.previewed_at = 0.0
        self.progress: Progress | None = None
        #: Its end without a result, from when that is certain; the refund is not booked yet.
        self.ending: Outcome | None = None
        self.ended: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

    @property
    def sent(self) -> bytes:
        """What a node is sent."""
        return self.input_bytes

    @property
    def task(self) -> Literal["answer", "recheck"]:
        return "answer"

    def row(self) -> JobRow:
        hello = self.node.hello if self.node else None
        return JobRow(
            id=self.id,
            state=self.state,
            grid=self.offer.grid,
            model=self.offer.manifest.id,
            digest=self.offer.digest,
            connector=self.offer.manifest.connector,
            price=self.price.total,
            units=self.units,
            host=hello.host if hello else None,
            backend=hello.backend if hello else None,
            device=hello.device if hello else None,
            wallet=self.node.wallet if self.node else None,
            node=self.node.id if self.node else None,
            submitted_at=self.submitted_at,
            assigned_at=self.assigned_at,
            returned_at=self.returned_at,
            finished_at=self.finished_at,
            attempts=self.attempts,
            claim=None,
            error=self.ending.error if self.ending and self.finished_at else None,
            public=self.public,
            expired_at=None,
            progress=self.progress if self.state == "running" else None,
            checked=self.checked,
        )
