"""`tabgrid audit --grid URL`: what anybody can prove of a grid without its database."""

from __future__ import annotations

import asyncio

import click
import msgspec

from ..api.schemas.attestation import Attestation
from ..chain.rpc import Rpc
from ..proofs.audit import Evidence, NotAudited, check, fates, gather
from ..proofs.audit.checks import drawn, owed
from ..proofs.audit.corrected import all_of
from ..proofs.audit.draws import Summary as Drawn
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
    draws: Drawn
    checks: int
    fates: fates.Summary
    corrections: int = 0
    #: How many of them are under a root on chain.
    rooted: int = 0
    #: Of nodes' pay, by corrections, and what of that was given back.
    taken: int = 0
    given_back: int = 0

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
            ("draws", f"{self.draws.recomputed:,} drawn again, {self.draws.later:,} are of a day "
                      f"that is not over, {self.draws.none:,} receipts had none; "
                      f"{self.checks:,} checks"),
            ("drawn", self._fates()),
            ("corrected", f"{self.taken:,} taken for wrong answers and {self.given_back:,} given "
                          f"back, in {self.corrections:,} corrections; {self.rooted:,} are under "
                          "a root on chain"),
            ("signed by", self.attestation.key),
            ("statement", self.attestation.statement),
            ("signature", self.attestation.signature),
        ]  # fmt: skip
        return "\n".join(f"{name:11}{value}" for name, value in rows)

    def _fates(self) -> str:
        told = self.fates
        why = ", ".join(f"{count:,} {reason}" for reason, count in told.why.items())
        return (
            f"{told.checked:,} checked, {told.given_up:,} given up ({told.share:.1%}"
            f"{': ' + why if why else ''}), {told.waiting:,} wait, {told.missing:,} missing"
        )


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
    changes = [each.change for each in all_of(evidence)]
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
        draws=drawn(evidence),
        checks=len(evidence.checks),
        fates=fates.summary(evidence),
        corrections=len(changes),
        rooted=max((head.count for head in evidence.heads().values()), default=0),
        taken=-sum(change for change in changes if change < 0),
        given_back=sum(change for change in changes if change > 0),
    )
