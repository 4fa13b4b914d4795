"""How far answers lie apart, as numbers to draw: one panel per calibrated variant.

Distances span many powers of ten, so the scale is logarithmic; answers that are the same to
the last bit have no place on it and stand at its left edge, before the first line.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import msgspec

from tabgrid_models.calibration import Calibration, Spread, VariantCalibration

WIDTH = 1000
#: Left of the scale, for distances of zero.
NONE = 40
#: A range of one value is still seen: three thousandths are about 1 px of a narrow column.
MIN_WIDTH = 4
#: Smaller distances are drawn as none: sixteen digits are all that a double has.
MOST_DECADES = 16
#: Lines of the scale are at every power of ten, or where that is too dense, at every third.
DENSE = 8
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


class Row(msgspec.Struct, frozen=True):
    kind: str
    name: str
    #: What it comes to, in words: "100 % of 100".
    words: str
    #: Left end and width of the range; the median's place. All None where nothing was measured.
    x: int | None = None
    width: int | None = None
    middle: int | None = None
    #: The range in figures, for those who do not see it.
    label: str = ""


class Panel(msgspec.Struct, frozen=True):
    title: str
    #: One sentence that says what one sees.
    summary: str
    unit: str
    least: str
    most: str
    threshold: int
    #: Places of the powers of ten.
    lines: tuple[int, ...]
    rows: tuple[Row, ...]


def panels(calibrations: Iterable[Calibration]) -> list[Panel]:
    return [_panel(one, variant) for one in calibrations for variant in one.variants]


def figure(value: float) -> str:
    """Two digits; small ones as "2.1·10⁻¹²"."""
    if value == 0 or value >= 0.001:
        return f"{value:.2g}"
    mantissa, exponent = f"{value:.1e}".split("e")
    raised = "10" + str(int(exponent)).translate(SUPERSCRIPTS)
    digits = mantissa.removesuffix(".0")
    return raised if digits == "1" else f"{digits}·{raised}"


class Scale:
    """Distances to places, by their logarithm."""

    def __init__(self, values: Iterable[float]) -> None:
        logs = [math.log10(value) for value in values if value > 0]
        self.high = math.ceil(max(logs))
        self.low = max(math.floor(min(logs)), self.high - MOST_DECADES)
        if self.low == self.high:
            self.low -= 1

    def place(self, value: float) -> int:
        if value <= 10.0**self.low:
            return 0 if value == 0 else NONE
        share = (math.log10(value) - self.low) / (self.high - self.low)
        return NONE + round(min(share, 1.0) * (WIDTH - NONE))

    def lines(self) -> tuple[int, ...]:
        step = 1 if self.high - self.low <= DENSE else 3
        return tuple(self.place(10.0**power) for power in range(self.high, self.low - 1, -step))


def _panel(calibration: Calibration, variant: VariantCalibration) -> Panel:
    spreads = [pair.spread for pair in variant.honest]
    spreads += [cheat.spread for cheat in variant.cheats if cheat.spread]
    ends = [value for spread in spreads for value in (spread.min, spread.max)]
    scale = Scale([*ends, variant.threshold or 1.0])
    return Panel(
        title=f"{calibration.model}, {variant.dtype}",
        summary=_summary(variant),
        unit=calibration.unit,
        least=figure(10.0**scale.low),
        most=figure(10.0**scale.high),
        threshold=scale.place(variant.threshold),
        lines=scale.lines(),
        rows=tuple(_rows(variant, scale)),
    )


def _summary(variant: VariantCalibration) -> str:
    farthest = max(pair.spread.max for pair in variant.honest)
    always = sum(cheat.told_apart == cheat.count for cheat in variant.cheats)
    return (
        f"An answer is wrong above {figure(variant.threshold)}. Honest answers were at most "
        f"{figure(farthest)} apart; {variant.refused:,} of {variant.held_out:,} that the "
        f"threshold was not made from would have been refused. {always} of "
        f"{len(variant.cheats)} ways to cheat were told apart every time."
    )


def _rows(variant: VariantCalibration, scale: Scale) -> Iterator[Row]:
    for pair in variant.honest:
        name = f"{pair.reference} and {pair.candidate}"
        yield _row("honest", name, f"{pair.spread.count:,} honest", pair.spread, scale)
    for cheat in variant.cheats:
        share = f"{100 * cheat.told_apart / cheat.count:.3g} % of {cheat.count:,}"
        yield _row("cheat", cheat.name, share, cheat.spread, scale)


def _row(kind: str, name: str, words: str, spread: Spread | None, scale: Scale) -> Row:
    if spread is None:
        return Row(kind, name, words, label="refused for its form")
    start, end = scale.place(spread.min), scale.place(spread.max)
    width = max(end - start, MIN_WIDTH)
    label = f"{figure(spread.min)} to {figure(spread.max)}, median {figure(spread.p50)}"
    x, middle = min(start, WIDTH - width), min(scale.place(spread.p50), WIDTH - MIN_WIDTH)
    return Row(kind, name, words, x, width, middle, label)
