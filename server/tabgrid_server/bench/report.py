"""How a figure is printed: one JSON object per line, or a table for people."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import click
import msgspec


class Figure(msgspec.Struct, frozen=True, omit_defaults=True):
    """One measured number, and what it is to be read against."""

    bench: str
    name: str
    value: float
    unit: str
    #: What was measured beside it in the same run, and value ÷ that.
    baseline: str = ""
    baseline_value: float | None = None
    ratio: float | None = None
    #: What we want it to be, as words: "≥ 1000".
    aim: str = ""
    note: str = ""


def against(figure: Figure, baseline: str, value: float) -> Figure:
    return msgspec.structs.replace(
        figure, baseline=baseline, baseline_value=value, ratio=figure.value / value
    )


def show(figures: Sequence[Figure], as_json: bool) -> None:
    if as_json:
        for figure in figures:
            click.echo(msgspec.json.encode(figure).decode())
        return
    rows = [_row(figure) for figure in figures]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))] if rows else []
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(cells).rstrip())


def _row(f: Figure) -> tuple[str, ...]:
    ratio = f"{f.ratio:.2f} x {f.baseline} ({number(f.baseline_value)})" if f.ratio else ""
    aim = f"aim {f.aim}" if f.aim else ""
    return (f.bench, f.name, f"{number(f.value)} {f.unit}", aim, ratio, f.note)


def number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.3g}"


def percentile(values: Sequence[float], percent: int) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]
