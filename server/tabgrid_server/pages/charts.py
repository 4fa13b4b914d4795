"""Pictures as plain numbers: what a template needs to draw them without any script.

Widths are in thousandths of the picture, as whole SVG user units, because the content
security policy forbids style attributes and because a scale is then exact by construction.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ..api.schemas.claims import Claim
from ..api.schemas.grid import Minute
from ..api.schemas.jobs import JobRow
from ..api.schemas.receipts import Receipt
from ..api.schemas.wallets import Wallet

#: A stage that took no visible time is still drawn: three thousandths are about 3 px.
MIN_WIDTH = 3
WIDTH = 1000


class Segment(msgspec.Struct, frozen=True):
    """One stretch of a bar: where it lies, and what it says in words."""

    kind: str
    label: str
    x: int
    width: int
    seconds: float
    #: The stage is not over: its end is the moment of rendering.
    open: bool = False


class Bar(msgspec.Struct, frozen=True):
    segments: tuple[Segment, ...]
    start: float
    seconds: float


class Column(msgspec.Struct, frozen=True):
    x: int
    y: int
    height: int
    minute: Minute


class Hour(msgspec.Struct, frozen=True):
    """Jobs done in each of the last sixty minutes, oldest first."""

    columns: tuple[Column, ...]
    top: int
    done: int
    busiest: Minute | None
    p50_ms: float | None

    @property
    def summary(self) -> str:
        """The chart in one sentence, for those who do not see it."""
        if not self.done or self.busiest is None:
            return "No jobs in the last hour."
        jobs = "1 job" if self.done == 1 else f"{self.done:,} jobs"
        rate = f"{jobs} in the last hour, at most {self.busiest.done:,} in one minute"
        return rate + (f"; half took under {self.p50_ms:,.0f} ms." if self.p50_ms else ".")


def hour(minutes: Sequence[Minute], height: int = 100) -> Hour:
    """Columns of a chart ``height`` units high and ten units per minute wide."""
    top = nice_top(max((m.done for m in minutes), default=0))
    columns = tuple(
        Column(x=10 * i + 1, y=height - h, height=h, minute=minute)
        for i, minute in enumerate(minutes)
        for h in [_scaled(minute.done, top, height)]
    )
    busy = [m for m in minutes if m.done]
    return Hour(
        columns=columns,
        top=top,
        done=sum(m.done for m in minutes),
        busiest=max(busy, key=lambda m: m.done, default=None),
        p50_ms=_typical([m for m in busy if m.p50_ms is not None]),
    )


def nice_top(largest: int) -> int:
    """The top of an axis: the next of 1, 2, 5 times a power of ten, at least 10."""
    step = 10
    while True:
        for factor in (1, 2, 5):
            if largest <= step * factor:
                return step * factor
        step *= 10


def job_bar(job: JobRow, now: float) -> Bar:
    """Waiting, computing, checking: a job from submit to its end, to scale."""
    over = job.finished_at is not None
    end = job.finished_at if job.finished_at is not None else now
    marks = [
        ("queued", "Waiting", job.submitted_at, job.assigned_at),
        ("running", "Computing", job.assigned_at, job.returned_at),
        ("checking", "Checking and settling", job.returned_at, job.finished_at),
    ]
    stages = [
        (kind, label, start, stop if stop is not None else end, stop is None and not over)
        for kind, label, start, stop in marks
        if start is not None
    ]
    return _bar(stages)


def money_bar(receipt: Receipt, claim: Claim | None, now: float, *, withheld: bool = False) -> Bar:
    """Withheld, claimable, being paid: what a job earned, from settlement to the chain.

    ``withheld``: it is, whatever time the receipt names.
    """
    released = receipt.release_at
    if withheld and now >= released:
        return _bar([("withheld", "Withheld", receipt.settled_at, now, True)])
    stages = [("withheld", "Withheld", receipt.settled_at, released, now < released)]
    if now >= released:
        claimed = claim.created_at if claim else now
        stages.append(("claimable", "Claimable", released, max(claimed, released), claim is None))
    if claim is not None:
        over = claim.state == "finalized"
        end = claim.updated_at if over else now
        stages.append(("paying", "Being paid", claim.created_at, end, not over))
    return _bar(stages)


def wallet_bar(wallet: Wallet) -> tuple[Segment, ...]:
    """Where everything that was ever earned is now; seconds are unused here."""
    parts = [
        ("paid", "Paid", wallet.paid),
        ("paying", "Being paid", wallet.in_flight),
        ("claimable", "Claimable", wallet.claimable),
        ("withheld", "Withheld", wallet.withheld),
    ]
    shares = [(kind, label, float(value)) for kind, label, value in parts if value > 0]
    return _laid_out(shares, frozenset())


def _bar(stages: Sequence[tuple[str, str, float, float, bool]]) -> Bar:
    lengths = [(kind, label, max(stop - start, 0.0)) for kind, label, start, stop, _ in stages]
    running = frozenset(kind for kind, _, _, _, still in stages if still)
    return Bar(
        segments=_laid_out(lengths, running),
        start=stages[0][2],
        seconds=sum(length for _, _, length in lengths),
    )


def _laid_out(
    lengths: Sequence[tuple[str, str, float]], running: frozenset[str]
) -> tuple[Segment, ...]:
    """Side by side over the whole width; tiny ones keep ``MIN_WIDTH`` at the others' cost."""
    total = sum(length for _, _, length in lengths)
    room = WIDTH - MIN_WIDTH * len(lengths)
    segments: list[Segment] = []
    x = 0
    for i, (kind, label, length) in enumerate(lengths):
        last = i == len(lengths) - 1
        share = length / total if total else 1 / len(lengths)
        width = WIDTH - x if last else MIN_WIDTH + int(room * share)
        segments.append(Segment(kind, label, x, width, length, kind in running))
        x += width
    return tuple(segments)


def _scaled(value: int, top: int, height: int) -> int:
    """At least one unit for anything above zero: one job is not nothing."""
    return max(round(value / top * height), 1) if value else 0


def _typical(minutes: Sequence[Minute]) -> float | None:
    """The median of the minutes' medians, weighted by jobs; near enough for a sentence."""
    total = sum(m.done for m in minutes)
    seen = 0
    for minute in sorted(minutes, key=lambda m: m.p50_ms or 0.0):
        seen += minute.done
        if 2 * seen >= total:
            return minute.p50_ms
    return None
