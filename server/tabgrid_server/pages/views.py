"""What the pages ask of the rest of the server, and nothing more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Protocol

import msgspec

from tabgrid_models.calibration import Calibration

from ..api.schemas.checks import Evidence
from ..api.schemas.claims import Claim
from ..api.schemas.epochs import Epoch, Epochs, Leaves, Proof
from ..api.schemas.grid import Grid, GridModel, Node, Stats, Token, Unsupported
from ..api.schemas.health import Health
from ..api.schemas.jobs import JobRow
from ..api.schemas.receipts import Receipt
from ..api.schemas.transactions import Transaction
from ..api.schemas.trust import WalletRecord
from ..api.schemas.wallets import Postings, Statement, Wallet
from .forms import Field

Total = Literal["settled", "paid", "refunded"]


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

    async def pictures(self, limit: int, before: str | None = None) -> Sequence[Picture]:
        """The newest that may be shown to anybody; ``before`` as in ``recent_jobs``."""

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

    async def evidence(self, job: str, receipt: Receipt | None) -> Evidence:
        """What is known of a job's answer; the receipt is the job's, if it has one."""

    async def record(self, address: str) -> WalletRecord:
        """All zero for an address that never worked."""

    async def health(self, grid: str, by: Literal["hour", "day"]) -> Health | None: ...

    async def postings(self, total: Total, limit: int, before: int | None) -> Postings:
        """Behind a total of the grid, newest first."""

    async def job_postings(self, job: str) -> Postings:
        """Of a job that is there."""

    def models(self) -> Sequence[ModelCard]:
        """All that are offered, in the order of the settings."""

    async def grids(self) -> Sequence[Grid]: ...

    async def nodes(self) -> Sequence[Node]: ...

    async def unsupported(self) -> Sequence[Unsupported]:
        """Kinds of devices that cannot run a model, the most frequent first."""

    def chain(self) -> Chain: ...
