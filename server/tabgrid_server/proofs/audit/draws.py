"""Whether answers were drawn and checked as the grid promised. Pure.

A day's secret is public once the day is over; so every draw of it can be made again by anybody,
from nothing but the receipt. See ``trust.draws``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator

import msgspec

from tabgrid_wire.commitment import commit_hash

from ...api.schemas.checks import Check, Draws
from ...api.schemas.receipts import Receipt
from ...trust import ONE, draws
from ...trust.policy import DAY
from .evidence import Evidence
from .secrets import LATE_S, Secrets, bytes_of


class Summary(msgspec.Struct, frozen=True):
    """Receipts by what can be said of their draw today."""

    #: Of days that are over: drawn again.
    recomputed: int
    #: Of a day whose secret is not public yet.
    later: int
    #: Not subject to a draw: the operator's own nodes, or audits switched off.
    none: int


def summary(told: Draws, receipts: Iterable[Receipt]) -> Summary:
    secrets, found = Secrets(told), Counter[str]()
    for receipt in receipts:
        if receipt.audit_probability is None:
            found["none"] += 1
        else:
            known = receipt.draw_epoch is not None and secrets.of(receipt.draw_epoch)
            found["recomputed" if known else "later"] += 1
    return Summary(found["recomputed"], found["later"], found["none"])


# --- rules: each yields what breaks it -----------------------------------------------------


def in_a_chain(told: Draws) -> Iterator[str]:
    """Each secret is the hash of the next one, from the anchor to today's commitment."""
    if told.revealed is None or told.secret is None:
        # On its first day a grid has nothing to reveal but what it fixed before.
        if told.epoch != 0 or told.commitment != told.anchor:
            yield f"day {told.epoch} is not the first, and no secret is told"
        return
    if told.revealed != told.epoch - 1:
        yield f"today is day {told.epoch}, and the newest secret is of day {told.revealed}"
    if told.commitment != told.secret:
        yield f"the commitment of day {told.epoch} is not the secret of the day before"
    if not Secrets(told).lead_to_anchor:
        yield f"the secret of day {told.revealed} does not lead to the anchor {told.anchor}"


def of_its_day(told: Draws, receipts: Iterable[Receipt]) -> Iterator[str]:
    for each in receipts:
        if each.draw_epoch is None:
            continue
        day = draws.epoch_at(each.settled_at, draws.FIRST_DAY)
        began = draws.FIRST_DAY + day * DAY
        late = each.draw_epoch == day - 1 and each.settled_at - began <= LATE_S
        if (each.draw_epoch != day and not late) or each.draw_epoch > told.epoch:
            yield f"{each.job} of day {day} was drawn by the secret of day {each.draw_epoch}"


def committed(told: Draws, receipts: Iterable[Receipt]) -> Iterator[str]:
    """The secret that a receipt was drawn by is the one that was fixed for its day."""
    secrets = Secrets(told)
    for each in receipts:
        if each.audit_probability is None:
            continue
        day = each.draw_epoch
        if day is None or secrets.commitment(day) != each.draw_commitment:
            yield f"{each.job}, day {day}"


def of_what_was_signed(receipts: Iterable[Receipt]) -> Iterator[str]:
    """Who could choose the hash could choose the draw."""
    for each in receipts:
        try:
            nonce, digest = bytes.fromhex(each.nonce), bytes.fromhex(each.result_hash)
            root = None if each.trace_root is None else bytes.fromhex(each.trace_root)
            found = commit_hash(each.job, each.wallet, nonce, digest, root).hex()
        except ValueError:
            found = ""
        if found != each.commit_hash:
            yield each.job


def sure_enough(told: Draws, receipts: Iterable[Receipt]) -> Iterator[str]:
    """The first answers of each unit always, and never one below the least."""
    seen: Counter[tuple[str, str, str, str]] = Counter()
    for each in sorted(receipts, key=lambda receipt: receipt.settled_at):
        p = each.audit_probability
        if p is None:
            continue
        unit = (each.wallet, each.digest, each.dtype, each.device_class)
        seen[unit] += 1
        least = ONE if seen[unit] <= told.always else told.least
        if not least <= p <= ONE:
            yield f"{each.job}, {p:,} in a million instead of {least:,}"


def as_drawn(told: Draws, receipts: Iterable[Receipt]) -> Iterator[str]:
    """What a receipt says of its draw is what the secret gives."""
    secrets = Secrets(told)
    for each in receipts:
        p, commit = each.audit_probability, bytes_of(each.commit_hash)
        if p is None:
            if each.audited:
                yield f"{each.job} has no draw, and says that it was drawn"
            continue
        secret = None if each.draw_epoch is None else secrets.of(each.draw_epoch)
        if secret is None or commit is None:
            continue
        drawn = draws.draw(secret, commit)
        if (drawn < p) != each.audited:
            word = "drawn" if each.audited else "not drawn"
            yield f"{each.job} says {word}; the secret gives {drawn:,} of {p:,}"


def by_others(checks: Iterable[Check]) -> Iterator[str]:
    yield from (f"{each.job} by {each.auditor}" for each in checks if each.auditor == each.wallet)


def consistent(checks: Iterable[Check]) -> Iterator[str]:
    """A verdict is what distance and threshold say."""
    for each in checks:
        if each.agreed != (each.distance <= each.threshold):
            word = "agreed" if each.agreed else "differed"
            yield f"{each.job}: {word} at {each.distance:.3g}, threshold {each.threshold:.3g}"


RULES: dict[str, Callable[[Evidence], Iterator[str]]] = {
    "each receipt's commitment is the hash of what its node signed": lambda told: (
        of_what_was_signed(told.read())
    ),
    "secrets of draws lead back to the anchor": lambda told: in_a_chain(told.draws),
    "each answer was drawn by the secret of its day": lambda told: of_its_day(
        told.draws, told.read()
    ),
    "each receipt names the secret that was fixed for its day": lambda told: committed(
        told.draws, told.read()
    ),
    "no answer was drawn with less probability than the grid's rule": lambda told: sure_enough(
        told.draws, told.read()
    ),
    "receipts say of their draw what its secret gives": lambda told: as_drawn(
        told.draws, told.read()
    ),
    "nobody checked an answer of its own": lambda told: by_others(told.checks),
    "each check's verdict is what distance and threshold say": lambda told: consistent(told.checks),
}
