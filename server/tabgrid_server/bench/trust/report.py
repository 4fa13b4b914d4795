"""The table for people, the lines for programs, and whether the gates are met."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import msgspec

from .runs import CHEAP_CHECKS, TABGRID, Outcome

HEAD = (
    "policy", "cheats", "rate", "strategy", "settled wrong", "delivered wrong", "overhead",
    "cheat's pay", "saved", "honest pay", "wrongful", "seed",
)  # fmt: skip


class Gate(msgspec.Struct, frozen=True):
    """A limit that the grid's own policy keeps in every run that it is about."""

    name: str
    limit: float
    about: Callable[[Outcome], bool]
    figure: Callable[[Outcome], float]

    def worst(self, outcomes: Sequence[Outcome]) -> Outcome | None:
        return max(filter(self.about, outcomes), key=self.figure, default=None)


def _attacked(outcome: Outcome) -> bool:
    return outcome.row.policy == TABGRID and outcome.row.cheaters > 0


def _honest(policy: str) -> Callable[[Outcome], bool]:
    return lambda outcome: outcome.row.policy == policy and outcome.row.strategy == "honest"


GATES = (
    Gate("settled wrong", 0.01, _attacked, lambda o: o.row.settled_wrong),
    Gate("delivered wrong", 0.04, _attacked, lambda o: o.row.delivered_wrong),
    Gate("overhead under attack", 0.40, _attacked, lambda o: o.row.overhead),
    Gate("overhead, all honest", 0.10, _honest(TABGRID), lambda o: o.row.overhead),
    Gate("the same, cheap checks", 0.015, _honest(CHEAP_CHECKS), lambda o: o.row.overhead),
    Gate(
        "cheat's pay + saved - honest pay",
        0.0,
        _attacked,
        lambda o: o.row.cheater_pay + o.saved - o.honest_pay,
    ),
)
#: Convictions of honest nodes that stand, per million answers.
WRONGFUL_LIMIT = 1.0


def lines(outcomes: Sequence[Outcome]) -> Iterator[str]:
    for outcome in outcomes:
        yield msgspec.json.encode(outcome.row).decode()


def table(outcomes: Sequence[Outcome]) -> Iterator[str]:
    rows = [HEAD, *(_cells(outcome) for outcome in outcomes)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
    yield ""
    yield from gates(outcomes)


def gates(outcomes: Sequence[Outcome]) -> Iterator[str]:
    for gate in GATES:
        worst = gate.worst(outcomes)
        if worst is not None:
            figure, row = gate.figure(worst), worst.row
            verdict = "met" if figure <= gate.limit else "MISSED"
            where = f"{row.strategy}, rate {row.rate:g}, seed {row.seed}"
            yield f"{verdict}: {gate.name} {figure:.2%}, at most {gate.limit:.1%} ({where})"
    yield _wrongful(outcomes)


def _wrongful(outcomes: Sequence[Outcome]) -> str:
    ours = [outcome for outcome in outcomes if outcome.row.policy == TABGRID]
    answers = sum(outcome.answers for outcome in ours)
    wrongful = sum(outcome.row.wrongful_convictions for outcome in ours)
    lifted = sum(outcome.lifted for outcome in ours)
    rate = 1_000_000 * wrongful / answers if answers else 0.0
    verdict = "met" if rate <= WRONGFUL_LIMIT else "MISSED"
    return (
        f"{verdict}: wrongful convictions {rate:.2f} per million answers, at most"
        f" {WRONGFUL_LIMIT:g} ({wrongful} in {answers:,}; {lifted} more were lifted)"
    )


def _cells(outcome: Outcome) -> tuple[str, ...]:
    row = outcome.row
    return (
        row.policy,
        f"{row.cheaters:.0%}",
        f"{row.rate:.0%}",
        row.strategy,
        f"{row.settled_wrong:.2%}",
        f"{row.delivered_wrong:.2%}",
        f"{row.overhead:.1%}",
        f"{row.cheater_pay:.3f}",
        f"{outcome.saved:.3f}",
        f"{outcome.honest_pay:.3f}",
        f"{row.wrongful_convictions}" + (f" (+{outcome.lifted} lifted)" if outcome.lifted else ""),
        str(row.seed),
    )
