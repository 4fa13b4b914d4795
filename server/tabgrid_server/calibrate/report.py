"""A calibration as a person reads it in a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tabgrid_models.calibration import (
    Calibration,
    Cheat,
    Honest,
    Spread,
    StepCalibration,
    VariantCalibration,
)

HONEST = ("honest", "answers", "median", "99.9 %", "largest")
CHEATS = ("cheat", "tried", "told apart", "least", "median")


def table(calibration: Calibration) -> list[str]:
    """Lines: for each variant its threshold, the honest pairs, then the cheats."""
    lines = [f"{calibration.model}: distance is the {calibration.unit}"]
    for variant in calibration.variants:
        lines += ["", *_variant(variant)]
    return lines


def _variant(variant: VariantCalibration) -> Iterator[str]:
    origin = "the floor" if variant.threshold == variant.floor else "10 x honest 99.9 %"
    yield f"{variant.variant} ({variant.dtype}): wrong above {variant.threshold:.2g}, {origin}"
    yield f"honest refused: {variant.refused} of {variant.held_out} that it was not made from"
    yield from _honest(variant.honest)
    yield from _cheats(variant.cheats)
    if variant.steps is not None:
        yield ""
        yield from _steps(variant.steps)


def _steps(steps: StepCalibration) -> Iterator[str]:
    """What is known of steps that are run again in place of the whole answer."""
    yield f"steps run again, {steps.drawn} at a time: {steps.unit}"
    yield f"wrong above {steps.threshold:.2g}; costs {100 * steps.cost:.3g} % of the whole answer"
    yield f"honest refused: {steps.refused} of {steps.held_out} that it was not made from"
    yield from _honest(steps.honest)
    yield from _cheats(steps.cheats)


def _honest(honest: Sequence[Honest]) -> Iterator[str]:
    rows = [
        (f"{pair.reference} / {pair.candidate}", *_figures(pair.spread, "p50", "p999", "max"))
        for pair in honest
    ]
    yield from _columns([HONEST, *rows])


def _cheats(cheats: Sequence[Cheat]) -> Iterator[str]:
    rows = [
        (
            cheat.name,
            str(cheat.count),
            f"{100 * cheat.told_apart / cheat.count:.3g} %",
            *(_figures(cheat.spread, "min", "p50")[1:] if cheat.spread else ("form", "form")),
        )
        for cheat in cheats
    ]
    yield from _columns([CHEATS, *rows])


def _figures(spread: Spread, *names: str) -> tuple[str, ...]:
    return (str(spread.count), *(f"{getattr(spread, name):.2g}" for name in names))


def _columns(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """The first one to the left, figures to the right."""
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    for row in rows:
        figures = (cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))
        yield "  ".join(["", row[0].ljust(widths[0]), *figures])
