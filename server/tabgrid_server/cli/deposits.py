"""`tabgrid deposits`: what came for whom, from the operator's side."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from .. import settings as config
from ..chain.claims import Claim
from ..chain.deposits import Share
from ..store import ApiKey, Store, StoreError, keys
from ..store import claims as stored_claims
from ..store import deposits as stored
from ..store.deposits import Booked

T = TypeVar("T")

#: Lines at a time; --limit says more.
LISTED = 50


@click.group()
@click.option("--settings", "file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--data", type=click.Path(path_type=Path, file_okay=False), help="The grid's folder.")
@click.option("--database", help="SQLAlchemy URL.  [default: SQLite in the data folder]")
@click.pass_context
def deposits(
    context: click.Context, file: Path | None, data: Path | None, database: str | None
) -> None:
    """Show what was paid in, and assign what is nobody's."""
    flags = {"data": data and str(data), "database": database}
    given = {name: value for name, value in flags.items() if value is not None}
    try:
        context.obj = config.load(file, os.environ, {"server": given})
    except config.SettingsError as error:
        raise click.ClickException(str(error)) from error


@deposits.command()
@click.option("--limit", type=click.IntRange(1), default=LISTED, show_default=True)
@click.pass_obj
def unassigned(settings: config.Settings, limit: int) -> None:
    """List what came for nobody, newest first, and transactions that nobody could read."""
    token = settings.chain.symbol
    found = _with_store(settings, lambda s: s.read(stored.of_nobody, token, limit))
    for each in found:
        click.echo(_line(settings, each))
    if not found:
        click.echo("Nothing: everything that came was credited.")


@deposits.command("list")
@click.argument("key_id")
@click.pass_obj
def list_deposits(settings: config.Settings, key_id: str) -> None:
    """List what was paid in for KEY_ID, what went back, and what can go back."""
    token = settings.chain.symbol

    async def ask(store: Store) -> tuple[list[Booked], list[Claim], tuple[Share, ...]]:
        key = await _key(store, key_id)
        return (
            await store.read(stored.of_owner, key.owner, token, LISTED),
            await store.read(stored_claims.of_owner, key.owner),
            await store.read(stored.shares, key.owner, token),
        )

    came, back, shares = _with_store(settings, ask)
    for each in came:
        click.echo(_line(settings, each))
    for refund in back:
        at, amount = _when(refund.created_at), _money(settings, refund.amount)
        click.echo(f"{at}  refund {refund.state:10} {amount:>24}  to {refund.wallet}")
    for share in shares:
        click.echo(f"unused: {_money(settings, share.amount)} can go back to {share.wallet}")


@deposits.command()
@click.argument("txid")
@click.argument("key_id")
@click.pass_obj
def assign(settings: config.Settings, txid: str, key_id: str) -> None:
    """Credit what transaction TXID brought for nobody to the owner of KEY_ID, once."""

    async def work(store: Store) -> Booked:
        key = await _key(store, key_id)
        return await store.write(stored.assign, txid, key.owner, time.time())

    booked = _with_store(settings, work)
    click.echo(f"{key_id} has {_money(settings, booked.amount)} more.")


def _line(settings: config.Settings, each: Booked) -> str:
    payer = each.payer or "newly made tokens"
    amount = _money(settings, each.amount)
    return f"{_when(each.at)}  {each.state:10} {amount:>24}  from {payer}  {each.txid}"


def _when(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M")


def _money(settings: config.Settings, units: int) -> str:
    whole, rest = divmod(units, 10**settings.chain.decimals)
    cents = f".{rest:0{settings.chain.decimals}d}" if settings.chain.decimals else ""
    return f"{whole:,}{cents} {settings.chain.symbol}"


async def _key(store: Store, key_id: str) -> ApiKey:
    found = next((k for k in await store.read(keys.listing) if k.id == key_id), None)
    if found is None:
        raise click.ClickException(f"No key has the id {key_id}; see `tabgrid keys list`.")
    return found


def _with_store(settings: config.Settings, work: Callable[[Store], Awaitable[T]]) -> T:
    async def run() -> Any:
        store = await Store.open(settings.database)
        try:
            return await work(store)
        finally:
            await store.close()

    try:
        found: T = asyncio.run(run())
        return found
    except StoreError as error:
        raise click.ClickException(str(error)) from error
