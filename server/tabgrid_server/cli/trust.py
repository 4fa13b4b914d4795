"""`tabgrid trust`: where nodes stand, and classes of devices that compute wrong."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime

import click

from .. import settings as config
from ..coordinator import Coordinator
from ..store import Store, orders
from ..store import trust as stored
from ..store.orders import Does, Order
from ..store.trust import UnitRow
from ..trust import ClassKey
from .own_grid import grid_group, with_store

#: Lines at a time; --limit says more.
LISTED = 50
#: A running coordinator looks once a second.
ANSWER_S = 10.0


@grid_group
def trust() -> None:
    """Show where nodes stand; clear classes of devices, confirm their bugs."""


@trust.command()
@click.option("--wallet", help="Of this wallet only.")
@click.option("--limit", type=click.IntRange(1), default=LISTED, show_default=True)
@click.pass_obj
def units(settings: config.Settings, wallet: str | None, limit: int) -> None:
    """List units (wallet, model, device) with their state and its reason, newest first."""
    found = with_store(settings, lambda s: s.read(stored.newest_units, wallet, limit))
    for row in found:
        at = datetime.fromtimestamp(row.at, UTC).strftime("%Y-%m-%d %H:%M")
        unit = row.unit
        click.echo(
            f"{at}  {row.state:12} {unit.wallet}  {unit.digest[:12]} {unit.dtype}"
            f" {_plain(unit.device_class)}\n    {_plain(row.reason)}"
        )
    if not found:
        click.echo("No unit is known yet.")


@trust.command()
@click.pass_obj
def classes(settings: config.Settings) -> None:
    """List classes of devices, and how many units of each are in which state."""
    kinds: dict[ClassKey, list[UnitRow]] = {}
    for row in with_store(settings, lambda s: s.read(stored.newest_units, None, None)):
        kinds.setdefault(row.unit.kind, []).append(row)
    for kind, rows in sorted(kinds.items()):
        states = Counter(row.state for row in rows)
        counts = ", ".join(f"{count} {state}" for state, count in states.most_common())
        click.echo(f"{kind.digest} {kind.dtype} {_plain(kind.device_class)}\n    {counts}")
        if states["quarantined"]:
            reason = next(row.reason for row in rows if row.state == "quarantined")
            click.echo(f"    quarantined: {_plain(reason)}")
    if not kinds:
        click.echo("No class is known yet.")


def _class_arguments(command: Callable[..., None]) -> Callable[..., None]:
    for name in ("device_class", "dtype", "digest"):
        command = click.argument(name)(command)
    return command


@trust.command()
@_class_arguments
@click.pass_obj
def clear(settings: config.Settings, digest: str, dtype: str, device_class: str) -> None:
    """Let a class work again. Its nodes test themselves anew, by themselves."""
    _order(settings, "clear", ClassKey(digest, dtype, device_class))


@trust.command("confirm-bug")
@_class_arguments
@click.pass_obj
def confirm_bug(settings: config.Settings, digest: str, dtype: str, device_class: str) -> None:
    """Say that a class was wrong and none of its owners: strikes and fines are undone."""
    _order(settings, "confirm-bug", ClassKey(digest, dtype, device_class))


def _order(settings: config.Settings, does: Does, kind: ClassKey) -> None:
    """Order it of the coordinator, and tell what it answers."""
    order = Order(id=Coordinator.new_id("order"), does=does, kind=kind, at=time.time())

    async def work(store: Store) -> str | None:
        if not await store.read(stored.units_of_kind, kind):
            raise click.ClickException(
                f"No unit is of the class {kind.digest} {kind.dtype} {kind.device_class}; see"
                " `tabgrid trust classes`."
            )
        await store.write(orders.add, order)
        until = time.monotonic() + ANSWER_S
        while time.monotonic() < until:
            found = await store.read(orders.get, order.id)
            if found is not None and found.done_at is not None:
                return found.answer
            await asyncio.sleep(0.1)
        return None

    answer = with_store(settings, work)
    if answer is None:
        answer = "It is noted. No coordinator has taken it up yet; one does as soon as it runs."
    click.echo(answer)


def _plain(text: str) -> str:
    """Nodes name their devices: no character of it steers the terminal."""
    return "".join(c if c.isprintable() else " " for c in text)
