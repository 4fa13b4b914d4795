"""`tabgrid report`: what each day's transfers moved, for the operator's own books."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import click
import msgspec

from .. import migrations
from .. import settings as config
from ..pages.format import amount_number
from ..store import StoreUnavailable
from ..store.daily import Day, days
from ..store.database import open_existing
from .own_grid import grid_options, own_settings

#: Each day is some fifty numbers; more than a year is a job for the JSON and a spreadsheet.
MOST_DAYS = 366
_TODAY = "today"


class CannotReport(click.ClickException):
    exit_code = 2


@click.command()
@grid_options
@click.option("--day", default=_TODAY, show_default=True, help="The last day, YYYY-MM-DD in UTC.")
@click.option(
    "--days",
    "count",
    type=click.IntRange(1, MOST_DAYS),
    default=1,
    show_default=True,
    help="How many days, the last one included.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object; amounts in base units.")
def report(
    file: Path | None,
    data: Path | None,
    database: str | None,
    day: str,
    count: int,
    as_json: bool,
) -> None:
    """Tell what came in, was earned and was paid, day by day.

    Reads one snapshot and writes nothing, so it can run beside a live server. Days are in UTC.
    """
    try:
        settings = own_settings(file, data, database)
        last = datetime.now(UTC).date() if day == _TODAY else date.fromisoformat(day)
        first = last - timedelta(days=count - 1)
        found = asyncio.run(_read(settings, first, count))
    except (config.SettingsError, StoreUnavailable, ValueError, OverflowError) as error:
        raise CannotReport(str(error)) from error
    if as_json:
        click.echo(msgspec.json.encode({"days": [_named(each) for each in found]}))
    else:
        click.echo("\n\n".join(text(each, settings.chain.decimals) for each in found))


def text(day: Day, decimals: int) -> str:
    """The lines that people read; amounts in whole tokens."""

    def line(name: str, units: int) -> str:
        return f"    {name:20}{amount_number(units, decimals):>24}"

    lines = [f"{_date(day)} (UTC), in {day.token}"]
    for moved in day.moved:
        lines.append(f"  {moved.kind:12}{moved.count:>9,} transfers")
        lines += [line(name, units) for name, units in moved.amounts.items() if units]
    if not day.moved:
        lines.append("  nothing moved")
    lines.append("  at its end")
    return "\n".join([*lines, *(line(name, units) for name, units in day.closing.items())])


def _named(day: Day) -> dict[str, object]:
    return {"day": _date(day), **msgspec.to_builtins(day)}


def _date(day: Day) -> str:
    return datetime.fromtimestamp(day.start, UTC).date().isoformat()


async def _read(settings: config.Settings, first: date, count: int) -> list[Day]:
    start = datetime(first.year, first.month, first.day, tzinfo=UTC).timestamp()
    database = open_existing(settings.database)
    try:
        revision = await database.read(migrations.current)
        if revision != migrations.HEAD:
            raise ValueError(f"The schema is {revision}, this program's is {migrations.HEAD}.")
        return await database.read(days, settings.chain.symbol, start, count)
    finally:
        await database.close()
