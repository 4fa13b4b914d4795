"""Checks as pictures and words: where a draw and a distance fell, and what that means. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from ..api.schemas.checks import Check, Draw, Evidence, EvidenceState, WhyGivenUp
from ..api.schemas.health import ClassHealth, Health, HealthCounts
from .format import plural
from .spreads import WIDTH, Scale, figure

ONE = 1_000_000
#: Beyond this many thresholds a distance is drawn at the scale's right edge.
FAR = 1e9
#: No connector measures so much: the answer has another shape than the reference's.
BEYOND = 1e6
#: Width of a mark: about 3 px of a phone's column.
MARK = 8


class Verdict(msgspec.Struct, frozen=True):
    #: One of the states that the style sheet has a shape for.
    look: str
    words: str
    #: What it means, for somebody who hears of checks for the first time.
    meaning: str


_VERDICTS: dict[EvidenceState, Verdict] = {
    "unsettled": Verdict(
        "queued", "Not settled yet", "Whether an answer is checked is drawn when it comes."
    ),
    "own": Verdict(
        "cancelled",
        "Not subject to a draw",
        "The operator's own machines are what others are checked against. Nothing is drawn either"
        " while the operator has switched checks off.",
    ),
    "undrawn": Verdict(
        "cancelled",
        "Not drawn",
        "The draw left this answer out. Its node had signed it before anybody could know that.",
    ),
    "waiting": Verdict(
        "queued",
        "Drawn, waiting for a reference",
        "A reference runs the job again when no user needs it.",
    ),
    "given_up": Verdict(
        "expired",
        "Drawn, but given up",
        "It was to be run again, and no reference had the last word. Nobody knows whether this"
        " answer is right. Below is why; an audit of the grid counts how often that happens.",
    ),
    "missed": Verdict(
        "expired",
        "Drawn, but not run again",
        "No reference ran it, and nothing is kept of why. Nobody knows whether this answer is"
        " right, and an audit of the grid counts it as a broken promise.",
    ),
    "open": Verdict(
        "running",
        "One reference differs",
        "One machine that differs is not enough: a second one of another kind has the last word.",
    ),
    "right": Verdict(
        "done",
        "Run again: right",
        "A reference ran the same job and came to the same answer, within what devices of"
        " different kinds may differ by.",
    ),
    "wrong": Verdict(
        "failed",
        "Run again: wrong",
        "References ran the same job and came to another answer than this node. The node is not"
        " paid for it, and the user has the price back.",
    ),
}


def verdict(state: EvidenceState) -> Verdict:
    return _VERDICTS[state]


class Gauge(msgspec.Struct, frozen=True):
    """A scale from 0 to ``spreads.WIDTH``, its limit, and where something fell on it."""

    limit: int
    #: None where it is not known yet.
    mark: int | None
    least: str
    most: str
    #: Places of lines.
    lines: tuple[int, ...]
    summary: str


class CheckRow(msgspec.Struct, frozen=True):
    check: Check
    purpose: str
    gauge: Gauge
    #: How far inside or outside of the threshold, in words.
    ratio: str
    #: Of a check of a few steps: what was furthest from right. "" where the whole was run again.
    part: str
    #: All that it looked at, each with its distance and threshold in words.
    parts: tuple[str, ...] = ()


_PURPOSES = {
    "audit": "Drawn",
    "second": "Second opinion",
    "reaudit": "Looked at again",
    "rerun": "Looked at again",
    "appeal": "Appeal",
    "delivery": "Before delivery",
}
_WHY: dict[WhyGivenUp, str] = {
    "late": "No reference could run it in time.",
    "down": "The grid itself stood still when its time was over. It has the same time once more.",
    "crowded": "More answers waited for a check than the grid can hold.",
    "expired": "What was in the job had been let go.",
    "damaged": "What was kept of the job could not be read any more.",
    "withdrawn": "The grid does not offer its model any more.",
    "failed": "References tried it and could not compute it.",
}
_PARTS = {
    "noise": "Of all that was looked at the noise was furthest off, by relative L2.",
    "picture": "Of all that was looked at the picture was furthest off.",
}


def purpose(name: str) -> str:
    """Of a check, in words."""
    return _PURPOSES.get(name, name)


def why_given_up(why: WhyGivenUp) -> str:
    return _WHY[why]


def checks(evidence: Evidence) -> list[CheckRow]:
    """One row for each check, all on one scale, so that they can be compared."""
    found = [each for each in evidence.checks if each.threshold > 0]
    ends = [value for each in found for value in (each.threshold / 100, each.threshold * 10)]
    ends += [min(each.distance, each.threshold * FAR) for each in found]
    scale = Scale(ends or [1.0])
    return [_row(each, scale) for each in evidence.checks]


def _row(check: Check, scale: Scale) -> CheckRow:
    word = "right" if check.agreed else "wrong"
    summary = (
        f"Distance {figure_of(check.distance)}, threshold {figure_of(check.threshold)}: {word}"
    )
    gauge = Gauge(
        limit=scale.place(check.threshold),
        mark=min(scale.place(min(check.distance, check.threshold * FAR)), WIDTH - MARK),
        least=figure(10.0**scale.low),
        most=figure(10.0**scale.high),
        lines=scale.lines(),
        summary=summary,
    )
    return CheckRow(
        check, purpose(check.purpose), gauge, _ratio(check), _part(check), _parts(check)
    )


def _part(check: Check) -> str:
    if check.method != "steps":
        return ""
    step = f"Of all that was looked at {check.part} was furthest off, by relative L2."
    return _PARTS.get(check.part, step)


def _parts(check: Check) -> tuple[str, ...]:
    return tuple(
        f"{each.name}: {figure_of(each.distance)}, wrong above {figure_of(each.threshold)}"
        for each in check.parts
    )


def figure_of(value: float) -> str:
    """Distances of answers that have another shape are as large as numbers can be."""
    return figure(value) if value < BEYOND else "beyond measure"


def _ratio(check: Check) -> str:
    if check.distance == 0:
        return "the same to the last bit"
    if check.threshold <= 0 or check.distance >= BEYOND:
        return "not comparable"
    if check.agreed:
        return f"{_times(check.threshold / check.distance)} below the threshold"
    return f"{_times(check.distance / check.threshold)} above the threshold"


def _times(ratio: float) -> str:
    if ratio < 1.05:
        return "just"
    return f"{ratio:.2g} times" if ratio < 10 else f"{float(f'{ratio:.1g}'):,.0f} times"


def draw_gauge(draw: Draw) -> Gauge:
    """Left of the limit answers are run again; the mark is what was drawn."""
    limit = round(WIDTH * draw.probability / ONE)
    mark = None if draw.number is None else min(WIDTH * draw.number // ONE, WIDTH - MARK)
    drawn = "not told yet" if draw.number is None else f"{draw.number:,}"
    summary = f"Run again below {draw.probability:,} of 1,000,000; the draw is {drawn}"
    return Gauge(limit, mark, "0", "1,000,000", (), summary)


# --- a grid's health -----------------------------------------------------------------------


def no_grid(by: Literal["hour", "day"]) -> Health:
    """Of a coordinator that offers none yet."""
    return Health("", by, 3_600, (), HealthCounts(0, 0, 0, 0, 0, 0), (), 0, (), {}, 0)


class RateColumn(msgspec.Struct, frozen=True):
    """``height`` 0 with ``known``: nothing of something. Not known: there was nothing."""

    x: int
    y: int
    height: int
    known: bool
    at: int
    words: str


class RateChart(msgspec.Struct, frozen=True):
    columns: tuple[RateColumn, ...]
    width: int
    #: The axis' top, in percent.
    top: str
    summary: str


def audit_chart(health: Health) -> RateChart:
    """Answers drawn, of those that are subject to a draw."""
    total = health.total
    summary = (
        f"{total.drawn:,} of {total.subject:,} answers were drawn"
        f" ({share(total.drawn, total.subject)})."
        if total.subject
        else "No answer was subject to a draw."
    )
    pairs = [(each.at, each.drawn, each.subject) for each in health.spans]
    return _chart(pairs, summary, "drawn")


def mismatch_chart(health: Health) -> RateChart:
    """First references that differed, of answers that were run again."""
    total = health.total
    summary = (
        f"{total.differed:,} of {total.checked:,} answers run again differed"
        f" ({share(total.differed, total.checked)});"
        f" {total.wrong:,} {'was' if total.wrong == 1 else 'were'} found wrong."
        if total.checked
        else "No answer was run again."
    )
    pairs = [(each.at, each.differed, each.checked) for each in health.spans]
    return _chart(pairs, summary, "differed")


class ClassRow(msgspec.Struct, frozen=True):
    kind: ClassHealth
    chart: RateChart
    rate: str


def class_rows(health: Health) -> list[ClassRow]:
    """A small chart of mismatches for each class, all to one scale."""
    top = max((each.differed / each.checked for k in health.classes for each in k.spans
               if each.checked), default=0.0)  # fmt: skip
    rows = []
    for kind in health.classes:
        known = {each.at: each for each in kind.spans}
        pairs = [
            (span.at, each.differed if each else 0, each.checked if each else 0)
            for span in health.spans
            for each in [known.get(span.at)]
        ]
        summary = f"{kind.differed:,} of {plural(kind.checked, 'check')} differed"
        chart = _chart(pairs, summary, "differed", top)
        rows.append(ClassRow(kind, chart, share(kind.differed, kind.checked)))
    return rows


def share(part: int, whole: int) -> str:
    """ "7.2 %"; "none" where there is nothing to take a share of."""
    if not whole:
        return "none"
    return f"{100 * part / whole:.2g} %" if part < whole else "100 %"


def probability(millionths: int) -> str:
    """In millionths, as "5.38 %"."""
    return f"{100 * millionths / ONE:.3g} %"


_TOPS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


def _chart(
    pairs: Sequence[tuple[int, int, int]], summary: str, verb: str, top: float | None = None
) -> RateChart:
    """``pairs``: when a span began, the part, the whole."""
    rates = [part / whole for _, part, whole in pairs if whole]
    largest = max(rates, default=0.0) if top is None else top
    axis = next((each for each in _TOPS if largest <= each), 1.0)
    columns = []
    for i, (at, part, whole) in enumerate(pairs):
        height = max(round(100 * part / whole / axis), 1) if part else 0
        words = f"{part:,} of {whole:,} {verb}" if whole else "nothing"
        columns.append(RateColumn(10 * i + 1, 100 - height, height, whole > 0, at, words))
    return RateChart(tuple(columns), 10 * len(pairs), f"{100 * axis:g} %", summary)
