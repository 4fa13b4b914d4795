"""`tabgrid audit --grid URL`: what anybody can prove of a grid without its database."""

from __future__ import annotations

import asyncio

import click
import msgspec

from ..api.schemas import Attestation
from ..chain.rpc import Rpc
from ..proofs.audit import Evidence, NotAudited, check, gather
from ..proofs.audit.checks import owed
from ..proofs.audit.grid import GridReader
from ..proofs.statement import Statement
from ..store.audit import Finding


class CannotAudit(click.ClickException):
    """Nothing was proved either way."""

    exit_code = 2


class Summary(msgspec.Struct, frozen=True):
    """Amounts in base units. ``attestation`` is the grid's signed word, to be kept."""

    grid: str
    statement: Statement
    attestation: Attestation
    balance: int
    owed: int
    paid: int
    epochs: int
    receipts: int
    waiting: int

    @property
    def solvent(self) -> bool:
        return self.balance >= max(self.owed, self.statement.owed) + self.statement.users

    def lines(self) -> str:
        """For a person: where to look, and what was signed."""
        said, symbol = self.statement, self.statement.token
        rows = [
            ("grid", f"{self.grid}, which calls itself {said.grid}"),
            ("treasury", f"{said.treasury}, {said.mint}"),
            ("balance", f"{self.balance:,} base units of {symbol}, final on chain"),
            ("owed", f"{self.owed:,} by receipts and chain; the grid states {said.owed:,}"),
            ("to users", f"{said.users:,} more, which they paid in and have not used"),
            ("paid", f"{self.paid:,} by the chain; the grid states {said.paid:,}"),
            ("solvent", "yes" if self.solvent else "NO"),
            ("epochs", f"{self.epochs:,} on chain; {self.receipts:,} receipts, {self.waiting:,} "
                       "more wait for the next"),
            ("signed by", self.attestation.key),
            ("statement", self.attestation.statement),
            ("signature", self.attestation.signature),
        ]  # fmt: skip
        return "\n".join(f"{name:11}{value}" for name, value in rows)


def run(grid: str, rpc: str) -> tuple[list[Finding], Summary]:
    """Raises ``CannotAudit``."""
    try:
        evidence = asyncio.run(_gather(grid, rpc))
    except (NotAudited, ValueError) as error:
        raise CannotAudit(str(error)) from error
    return check(evidence), _summary(grid, evidence)


async def _gather(grid: str, rpc: str) -> Evidence:
    async with Rpc(rpc) as chain, GridReader(grid) as reader:
        return await gather(chain, reader)


def _summary(grid: str, evidence: Evidence) -> Summary:
    return Summary(
        grid=grid,
        statement=evidence.statement,
        attestation=evidence.attestation,
        balance=evidence.money.balance if evidence.money else 0,
        owed=owed(evidence),
        paid=sum(each.amount for each in evidence.payments),
        epochs=len(evidence.leaves),
        receipts=sum(len(each.receipts) for each in evidence.leaves.values()),
        waiting=len(evidence.pending),
    )
