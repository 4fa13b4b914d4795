"""What became of the answers that were drawn: checked, given up with a reason, or neither. Pure.

References fall behind, and content is let go: a check that nobody could make is no lie while the
grid says so. But each one that is given up is a wrong answer less that costs its node anything,
so of all answers, and of each wallet's, only a few may be.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Literal

import msgspec

from ...api.schemas.checks import Check, Draws, GivenUp, WhyGivenUp
from ...api.schemas.receipts import Receipt
from ...trust.policy import DAY
from ...verdict import verdict_of
from . import corrected
from .evidence import Evidence
from .secrets import LATE_S, Secrets

#: A grid says itself by when a drawn answer is checked, but no later than this: longer than it
#: keeps what was in jobs it could not check them anyhow.
MOST_S = 7 * DAY
#: The share of drawn answers that may be given up. With checks lost at random the trust policy
#: keeps all its gates up to 20 % (`tabgrid bench trust --given-up 0.2`: at worst 3.6 % of answers
#: are delivered wrong, of at most 4 %); at 25 % it does not (4.4 %). Half of that, because those
#: that are given up need not be so at random.
MOST_GIVEN_UP = 0.1
#: Of one wallet as well, or a grid could look away from its friends. Fewer than so many are bad
#: luck: half an hour without references while a new wallet's answers are all drawn.
FEW = 10

#: waiting: its time is not over.
Fate = Literal["checked", "given up", "waiting", "missing"]


class Drawn(msgspec.Struct, frozen=True):
    """An answer that was drawn by a secret that is public."""

    receipt: Receipt
    fate: Fate
    #: Why no reference had the last word; of several the last one.
    why: WhyGivenUp | None = None


class Summary(msgspec.Struct, frozen=True):
    """Drawn answers by their fate."""

    checked: int
    given_up: int
    waiting: int
    missing: int
    #: How many were given up for which reason.
    why: dict[WhyGivenUp, int]

    @property
    def share(self) -> float:
        """Of those whose time is over, what was given up."""
        return _share(self.given_up, self.checked)


def summary(evidence: Evidence) -> Summary:
    drawn = of(evidence)
    found = Counter(each.fate for each in drawn)
    why = Counter(each.why for each in drawn if each.fate == "given up" and each.why)
    return Summary(
        found["checked"], found["given up"], found["waiting"], found["missing"],
        dict(sorted(why.items())),
    )  # fmt: skip


def of(evidence: Evidence) -> list[Drawn]:
    void = {each.ref for each in corrected.all_of(evidence) if each.kind == "void"}
    return drawn_of(
        evidence.draws, evidence.statement.at, evidence.read(), evidence.checks,
        evidence.given_up, void,
    )  # fmt: skip


def drawn_of(
    told: Draws,
    at: float,
    receipts: Iterable[Receipt],
    checks: Iterable[Check],
    given_up: Iterable[GivenUp],
    void: Iterable[str] = (),
) -> list[Drawn]:
    """``at``: of the grid's statement, Unix seconds. ``void``: jobs whose pay was taken back."""
    secrets, taken = Secrets(told), frozenset(void)
    made: dict[str, list[Check]] = defaultdict(list)
    for check in sorted(checks, key=lambda each: (each.checked_at, each.id)):
        made[check.job].append(check)
    facts: dict[str, list[GivenUp]] = defaultdict(list)
    for fact in sorted(given_up, key=lambda each: each.given_up_at):
        facts[fact.job].append(fact)
    return [
        _drawn(told, at, each, made, facts, each.job in taken)
        for each in receipts
        if each.audited and each.draw_epoch is not None and secrets.of(each.draw_epoch)
    ]


def _drawn(
    told: Draws,
    at: float,
    receipt: Receipt,
    made: Mapping[str, Sequence[Check]],
    facts: Mapping[str, Sequence[GivenUp]],
    void: bool,
) -> Drawn:
    # Of a job that was handed out again, checks of the other node's answer are not of this one.
    own = [each for each in made.get(receipt.job, ()) if each.wallet in ("", receipt.wallet)]
    verdict = verdict_of(own)
    # Of a unit that is not trusted any more one reference that differs is enough.
    if verdict in ("right", "wrong") or (void and verdict == "open"):
        return Drawn(receipt, "checked")
    told_why = [each.why for each in facts.get(receipt.job, ()) if each.purpose != "appeal"]
    if told_why:
        return Drawn(receipt, "given up", told_why[-1])
    # A second reference has as much time again.
    within = min(max(told.within_s, 0.0), MOST_S) * (2 if verdict == "open" else 1)
    late = at - receipt.settled_at > within + LATE_S
    return Drawn(receipt, "missing" if late else "waiting")


# --- rules: each yields what breaks it -----------------------------------------------------


def missing(drawn: Iterable[Drawn]) -> Iterator[str]:
    """Whoever was drawn was checked in time, or the grid says why not."""
    yield from (each.receipt.job for each in drawn if each.fate == "missing")


def given_up(drawn: Iterable[Drawn]) -> Iterator[str]:
    """What nobody checked, and why."""
    yield from (f"{each.receipt.job}: {each.why}" for each in drawn if each.fate == "given up")


def appeals(facts: Iterable[GivenUp]) -> Iterator[str]:
    """Whose owner was heard by fewer references than are asked."""
    yield from (f"{each.job}: {each.why}" for each in facts if each.purpose == "appeal")


def too_many(drawn: Sequence[Drawn]) -> Iterator[str]:
    """Too large a share was given up, of all or of one wallet's."""
    lost, seen = Counter[str](), Counter[str]()
    for each in drawn:
        lost[each.receipt.wallet] += each.fate == "given up"
        seen[each.receipt.wallet] += each.fate == "checked"
    share = _share(lost.total(), seen.total())
    if lost.total() >= FEW and share > MOST_GIVEN_UP:
        yield f"{lost.total():,} of all drawn answers, {share:.1%}"
    for wallet in sorted(lost):
        share = _share(lost[wallet], seen[wallet])
        if lost[wallet] >= FEW and share > MOST_GIVEN_UP:
            yield f"{lost[wallet]:,} of {wallet}, {share:.1%}"


RULES: dict[str, Callable[[Evidence], Iterator[str]]] = {
    "each answer that was drawn has been checked, or given up in public": lambda told: missing(
        of(told)
    ),
    f"at most {MOST_GIVEN_UP:.0%} of drawn answers were given up, of each wallet too": (
        lambda told: too_many(of(told))
    ),
}
#: Worth a look, and no sign of a lie.
WARNINGS: dict[str, Callable[[Evidence], Iterator[str]]] = {
    "no answer that was drawn was given up": lambda told: given_up(of(told)),
    "no appeal ended before enough references looked": lambda told: appeals(told.given_up),
}


def _share(lost: int, checked: int) -> float:
    return lost / (lost + checked) if lost else 0.0
