"""`tabgrid keys`: API keys, from the operator's side."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import click

from .. import settings as config
from ..auth import Keys
from ..coordinator import Coordinator
from ..store import keys as stored_keys
from .own_grid import grid_group, with_store


@grid_group
def keys() -> None:
    """Make, list and revoke API keys, and add credit."""


@keys.command()
@click.option("--label", default="", help="For you to recognise it by.")
@click.option("--credit", type=click.IntRange(0), default=0, help="Base units to start with.")
@click.pass_obj
def create(settings: config.Settings, label: str, credit: int) -> None:
    """Make a key. It is shown once."""
    key, secret = with_store(settings, lambda s: Keys(settings, s).create(label, credit))
    click.echo(f"{secret}\n", nl=False)
    click.echo(f"{key.id} of {key.owner}: keep the line above, it is not shown again.", err=True)


@keys.command("list")
@click.pass_obj
def list_keys(settings: config.Settings) -> None:
    """List all keys, oldest first."""
    for key in with_store(settings, lambda s: s.read(stored_keys.listing)):
        made = datetime.fromtimestamp(key.created_at, UTC).strftime("%Y-%m-%d %H:%M")
        state = "revoked" if key.revoked_at else "valid"
        click.echo(f"{key.id}  {made}  {state:8}{key.label}")


@keys.command()
@click.argument("key_id")
@click.pass_obj
def revoke(settings: config.Settings, key_id: str) -> None:
    """Make a key useless. Running servers notice within seconds."""
    done = with_store(settings, lambda s: s.write(stored_keys.revoke, key_id, time.time()))
    if not done:
        raise click.ClickException(f"No valid key has the id {key_id}; see `tabgrid keys list`.")
    click.echo(f"{key_id} is revoked.")


@keys.command()
@click.argument("key_id")
@click.argument("amount", type=click.IntRange(1))
@click.pass_obj
def credit(settings: config.Settings, key_id: str, amount: int) -> None:
    """Give AMOUNT base units of the grid's token to the owner of KEY_ID."""
    grant, symbol, now = Coordinator.new_id("grant"), settings.chain.symbol, time.time()
    done = with_store(
        settings,
        lambda s: s.write(stored_keys.add_credit, grant, key_id, amount, symbol, now),
    )
    if not done:
        raise click.ClickException(f"No key has the id {key_id}; see `tabgrid keys list`.")
    click.echo(f"{key_id} has {amount} base units of {symbol} more.")
