"""`tabgrid deposits`: what came for whom, from the operator's side."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import click

from .. import settings as config
from ..chain.claims import Claim
from ..chain.deposits import Share
from ..store import ApiKey, Store, keys
from ..store import claims as stored_claims
from ..store import deposits as stored
from ..store.deposits import Booked
from .amounts import money
from .own_grid import grid_group, with_store
from .refunds import refund

#: Lines at a time; --limit says more.
LISTED = 50


@grid_group
def deposits() -> None:
    """Show what was paid in, assign what is nobody's, give back what is unused."""


@deposits.command()
@click.option("--limit", type=click.IntRange(1), default=LISTED, show_default=True)
@click.pass_obj
def unassigned(settings: config.Settings, limit: int) -> None:
    """List what came for nobody, newest first, and transactions that nobody could read."""
    token = settings.chain.symbol
    found = with_store(settings, lambda s: s.read(stored.of_nobody, token, limit))
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

    came, back, shares = with_store(settings, ask)
    for booked in came:
        click.echo(_line(settings, booked))
    for each in back:
        at, amount = _when(each.created_at), money(settings, each.amount)
        click.echo(f"{at}  refund {each.state:10} {amount:>24}  to {each.wallet}")
    for share in shares:
        click.echo(f"unused: {money(settings, share.amount)} can go back to {share.wallet}")


@deposits.command()
@click.argument("txid")
@click.argument("key_id")
@click.pass_obj
def assign(settings: config.Settings, txid: str, key_id: str) -> None:
    """Credit what transaction TXID brought for nobody to the owner of KEY_ID, once."""

    async def work(store: Store) -> Booked:
        key = await _key(store, key_id)
        return await store.write(stored.assign, txid, key.owner, time.time())

    booked = with_store(settings, work)
    click.echo(f"{key_id} has {money(settings, booked.amount)} more.")


deposits.add_command(refund)


def _line(settings: config.Settings, each: Booked) -> str:
    payer = each.payer or "newly made tokens"
    amount = money(settings, each.amount)
    return f"{_when(each.at)}  {each.state:10} {amount:>24}  from {payer}  {each.txid}"


def _when(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M")


async def _key(store: Store, key_id: str) -> ApiKey:
    found = next((k for k in await store.read(keys.listing) if k.id == key_id), None)
    if found is None:
        raise click.ClickException(f"No key has the id {key_id}; see `tabgrid keys list`.")
    return found
