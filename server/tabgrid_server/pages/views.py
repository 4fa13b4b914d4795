"""What the pages ask of the rest of the server, and nothing more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from ..api.schemas import Claim, Grid, JobRow, Node, Receipt, Stats, Token, Transaction, Wallet


class Chain(msgspec.Struct, frozen=True):
    """The chain that rewards are paid on, as far as a page needs it."""

    cluster: str
    #: The chain lives on this machine: its tokens have no value, a demo wallet is offered.
    local: bool
    #: False where no RPC is set: rewards add up but cannot be claimed yet.
    claims: bool
    token: Token

    @property
    def symbol(self) -> str:
        return self.token.symbol


class Views(Protocol):
    """Read-only questions. ``None`` means "there is no such thing": the page answers 404."""

    async def stats(self) -> Stats: ...

    async def recent_jobs(
        self, limit: int, before: str | None = None, wallet: str | None = None
    ) -> Sequence[JobRow]:
        """Newest first; ``before`` is the id of the last row that was already shown."""

    async def job(self, id: str) -> JobRow | None: ...

    async def receipt(self, job: str) -> Receipt | None:
        """``None`` while a job is not settled, and for jobs that never will be."""

    async def wallet(self, address: str) -> Wallet:
        """All zero for an address that never earned: every valid address is a wallet."""

    async def claim(self, id: str) -> Claim | None: ...

    async def claims(self, address: str) -> Sequence[Claim]:
        """Newest first."""

    async def transaction(self, signature: str) -> Transaction | None:
        """``None`` for transactions that no claim of this grid made."""

    async def grids(self) -> Sequence[Grid]: ...

    async def nodes(self) -> Sequence[Node]: ...

    def chain(self) -> Chain: ...
