"""What the pages ask of the rest of the server, and nothing more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import msgspec

from tabgrid_models.calibration import Calibration

from ..api.schemas import (
    Claim,
    Epoch,
    Epochs,
    Grid,
    GridModel,
    JobRow,
    Leaves,
    Node,
    Proof,
    Receipt,
    Statement,
    Stats,
    Token,
    Transaction,
    Wallet,
)
from .forms import Field


class Chain(msgspec.Struct, frozen=True):
    """The chain that rewards are paid on, as far as a page needs it."""

    cluster: str
    #: The chain lives on this machine: its tokens have no value, a demo wallet is offered.
    local: bool
    #: False where no RPC is set: rewards add up but cannot be claimed yet.
    claims: bool
    token: Token
    #: Seconds between two roots of receipts on chain.
    epoch_s: int = 86_400
    #: Why no claim is paid right now, for people; "" while claims are paid.
    paused: str = ""

    @property
    def symbol(self) -> str:
        return self.token.symbol


class ModelCard(msgspec.Struct, frozen=True):
    """A model as somebody who is about to use it needs it."""

    model: GridModel
    grid: str
    description: str
    source: str
    #: As the manifest has it, for its connector.
    config: dict[str, Any]
    fields: tuple[Field, ...]
    #: Its README in Markdown; "" where it has none.
    readme: str


class Picture(msgspec.Struct, frozen=True):
    """What a public job drew."""

    job: JobRow
    prompt: str
    #: Path of the PNG.
    image: str


class Views(Protocol):
    """Read-only questions. ``None`` means "there is no such thing": the page answers 404."""

    async def calibrations(self) -> Sequence[Calibration]:
        """What was measured of the library's models, by their ids."""

    async def stats(self) -> Stats: ...

    async def recent_jobs(
        self, limit: int, before: str | None = None, wallet: str | None = None
    ) -> Sequence[JobRow]:
        """Newest first; ``before`` is the id of the last row that was already shown."""

    async def job(self, id: str) -> JobRow | None: ...

    async def pictures(self, limit: int) -> Sequence[Picture]:
        """The newest that may be shown to anybody."""

    async def picture(self, job: JobRow) -> Picture | None:
        """What this job drew, if anybody may see it."""

    async def receipt(self, job: str) -> Receipt | None:
        """``None`` while a job is not settled, and for jobs that never will be."""

    async def wallet(self, address: str) -> Wallet:
        """All zero for an address that never earned: every valid address is a wallet."""

    async def statement(
        self, address: str, limit: int, account: str | None, ref: str | None, before: int | None
    ) -> Statement:
        """Of a wallet, newest first: all of it, of one account, or of one job or claim."""

    async def claim(self, id: str) -> Claim | None: ...

    async def claims(self, address: str) -> Sequence[Claim]:
        """Newest first."""

    async def transaction(self, signature: str) -> Transaction | None:
        """``None`` for transactions that no claim of this grid made."""

    async def epochs(self, limit: int, before: int | None) -> Epochs:
        """Newest first."""

    async def epoch(self, number: int) -> Epoch | None: ...

    async def leaves(self, number: int, start: int, limit: int) -> Leaves:
        """Of an epoch that is there."""

    async def memo_on_chain(self, epoch: Epoch) -> str | None:
        """What the chain says that the epoch's transaction wrote; None if it says nothing."""

    async def proof(self, job: str) -> Proof | None:
        """``None`` while the receipt is in no epoch."""

    def models(self) -> Sequence[ModelCard]:
        """All that are offered, in the order of the settings."""

    async def grids(self) -> Sequence[Grid]: ...

    async def nodes(self) -> Sequence[Node]: ...

    def chain(self) -> Chain: ...
