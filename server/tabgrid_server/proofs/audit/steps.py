"""Whether the steps of a picture that were run again are those that its day's secret names. Pure.

Who chooses the steps chooses what is found: a friend's false step is not among them. So they are
drawn like the answer itself, by the day's secret and what the node had signed, and each check of
steps says which ones it was of and how far each part was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from tabgrid_models import trace

from ...api.schemas.checks import Check, CheckPart, Draws
from ...api.schemas.receipts import Receipt
from ...trust.draws import draw_steps
from .evidence import Evidence
from .secrets import Secrets, bytes_of

#: Receipts of this version say how large the states between steps are, by which it is known how
#: many steps are drawn; and checks of their answers say of which steps they were.
TOLD_SINCE = 4
#: No answer has so many: a grid that says so is not believed, and not computed with either.
MOST = 4_097


def as_drawn(told: Draws, receipts: Iterable[Receipt], checks: Iterable[Check]) -> Iterator[str]:
    """``receipts`` in the order of settlement."""
    secrets, known = Secrets(told), {each.job: each for each in receipts}
    late = _told(known.values())
    for check in checks:
        if check.method != "steps":
            continue
        receipt = known.get(check.job)
        if receipt is None or check.wallet not in ("", receipt.wallet):
            continue  # of an answer that was not settled
        if check.job not in late and not check.parts:
            continue  # of before it was told
        why = _why_not(receipt, check, secrets)
        if why:
            yield f"{check.job}: {why}"


def _told(receipts: Iterable[Receipt]) -> set[str]:
    """Jobs whose checks must say their steps. Once a grid tells them it goes on to: a receipt of
    an older version would be a way not to."""
    found: set[str] = set()
    for each in receipts:
        if each.v >= TOLD_SINCE or found:
            found.add(each.job)
    return found


def _why_not(receipt: Receipt, check: Check, secrets: Secrets) -> str:
    stretches = (receipt.trace_leaves or 0) - 1
    size = receipt.trace_size or 0
    if receipt.trace_root is None or not (0 < stretches < MOST and size > 0):
        return "its node committed to no steps, or its receipt does not say to how many"
    if check.purpose == "delivery":
        places: tuple[int, ...] = tuple(range(stretches))  # who pays for it has all of them
    else:
        secret = None if receipt.draw_epoch is None else secrets.of(receipt.draw_epoch)
        commit = bytes_of(receipt.commit_hash)
        if secret is None or commit is None:
            return ""  # of a day that is not over; the rules on draws look at the rest
        places = draw_steps(secret, commit, stretches, trace.drawn(stretches, size))
    found = tuple(part.place for part in check.parts if part.place is not None)
    return "" if found == places else f"stretches {_words(found)} instead of {_words(places)}"


def complete(checks: Iterable[Check]) -> Iterator[str]:
    """A check of steps has noise, steps and picture, and goes by the part that is furthest off."""
    for check in checks:
        if check.method == "steps" and check.parts:
            names = {part.name for part in check.parts if part.place is None}
            if not {"noise", "picture"} <= names:
                yield f"{check.job} leaves out {' and '.join(sorted({'noise', 'picture'} - names))}"
            elif not _goes_by(check, max(check.parts, key=_share)):
                yield f"{check.job} does not go by the part that is furthest from right"


def _goes_by(check: Check, part: CheckPart) -> bool:
    said = (check.distance, check.threshold)
    return said == (part.distance, part.threshold)


def _share(part: CheckPart) -> float:
    return part.distance / part.threshold if part.threshold > 0 else float("inf")


def _words(places: tuple[int, ...]) -> str:
    """As people count, from 1."""
    return ", ".join(str(place + 1) for place in places) or "none"


RULES: Mapping[str, Callable[[Evidence], Iterator[str]]] = {
    "the steps that were run again are those that the secret names": lambda told: as_drawn(
        told.draws, told.read(), told.checks
    ),
    "each check of steps is of noise, steps and picture, and goes by the worst": lambda told: (
        complete(told.checks)
    ),
}
