"""`tabgrid audit`: proofs about the books, for the operator and for whoever doubts them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click
import msgspec
from sqlalchemy import make_url

from .. import migrations
from .. import settings as config
from ..chain.keys import KeyFileError
from ..chain.rpc import Rpc, RpcError
from ..chain.treasury import TreasuryError, open_treasury
from ..store import StoreUnavailable
from ..store.audit import Finding, findings, owed
from ..store.database import Database, open_database
from . import audit_outside as outside
from .audit_outside import CannotAudit
from .own_grid import grid_options, own_settings


@click.command()
@grid_options
@click.option("--rpc", help="JSON-RPC of the chain that the treasury is on.")
@click.option("--grid", help="Audit a running grid from outside, by its public API and the chain.")
@click.option("--local", is_flag=True, help="The books alone; ask no chain.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of a table.")
def audit(
    file: Path | None,
    data: Path | None,
    database: str | None,
    rpc: str | None,
    grid: str | None,
    local: bool,
    as_json: bool,
) -> None:
    """Prove that the books balance and the treasury covers what is owed.

    Reads one snapshot and writes nothing, so it can run beside a live server. With --grid
    anybody can run it, for any grid: it holds receipts, balances and the grid's signed
    statement against what the chain has. The exit code is 0 if all is right or there are only
    warnings, 1 if a rule is broken, 2 if the audit could not be made.
    """
    if grid is not None:
        if rpc is None or local or data or database or file:
            raise click.UsageError("--grid goes with --rpc, and with nothing of the grid's own.")
        _finish(*outside.run(grid, rpc), as_json)
        return
    try:
        settings = own_settings(file, data, database, rpc)
        found = asyncio.run(_audit(settings, local))
    except (config.SettingsError, StoreUnavailable, ValueError) as error:
        raise CannotAudit(str(error)) from error
    except (KeyFileError, RpcError, TreasuryError) as error:
        raise CannotAudit(f"The treasury: {error} (--local leaves it out)") from error
    _finish(found, None, as_json)


def _finish(found: list[Finding], told: outside.Summary | None, as_json: bool) -> None:
    if as_json:
        extra = {} if told is None else {"summary": told}
        click.echo(msgspec.json.encode({"findings": found, **extra}))
    else:
        click.echo(table(found) if told is None else f"{told.lines()}\n\n{table(found)}")
    if any(finding.broken and not finding.warning for finding in found):
        raise SystemExit(1)


def table(found: list[Finding]) -> str:
    """One line per rule, what breaks it below."""
    lines = []
    for finding in found:
        lines.append(f"{_word(finding):8}{finding.rule}")
        if finding.broken:
            lines.append(f"{'':8}{finding.broken:,}, such as {', '.join(finding.examples)}")
    broken = sum(1 for finding in found if finding.broken and not finding.warning)
    return "\n".join([*lines, f"{broken} of {len(found)} rules broken" if broken else "All right."])


def _word(finding: Finding) -> str:
    if not finding.broken:
        return "ok"
    return "warning" if finding.warning else "BROKEN"


async def _audit(settings: config.Settings, local: bool) -> list[Finding]:
    if not local and not settings.chain.rpc:
        raise ValueError("Which chain is the treasury on? Give --rpc URL, or --local to leave it.")
    database = _open(settings.database)
    try:
        revision = await database.read(migrations.current)
        if revision != migrations.HEAD:
            raise ValueError(f"The schema is {revision}, this program's is {migrations.HEAD}.")
        found = await database.read(findings)
        if not local:
            debts = await database.read(owed)
            found.append(await _covered(settings, debts.get(settings.chain.symbol, 0)))
        return found
    finally:
        await database.close()


def _open(url: str) -> Database:
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite" and not Path(parsed.database or "").is_file():
        raise ValueError(f"There is no database at {parsed.database}.")
    return open_database(url)


async def _covered(settings: config.Settings, debt: int) -> Finding:
    async with Rpc(settings.chain.rpc) as rpc:
        treasury = await open_treasury(rpc, settings.chain, settings.data)
        payable = (await treasury.status(rpc)).payable
    short = [f"{debt - payable:,} base units missing"] if payable < debt else []
    return Finding(rule="the treasury can pay what is owed", broken=len(short), examples=short)
