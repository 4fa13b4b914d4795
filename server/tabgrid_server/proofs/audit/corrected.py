"""Corrections of pay, held against the chain, the statement and the receipts that they are about.
Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate

from ...api.schemas.receipts import Receipt
from ..corrections import GENESIS, Correction, CorrectionKind, Head, link, read
from .evidence import Evidence

#: By how much a grid's clock may differ from the chain's.
CLOCKS_S = 3_600.0
#: By kind and reference: the corrections before the one that is looked at.
Earlier = Mapping[tuple[CorrectionKind, str], Correction]


def all_of(evidence: Evidence) -> list[Correction]:
    """Of those that the statement names, the ones that can be read."""
    return [each for each in map(read, _stated(evidence)) if each is not None]


def _stated(evidence: Evidence) -> list[bytes]:
    """Texts of those that the statement names; an epoch that is newer may name more."""
    return evidence.corrections[: evidence.statement.corrections]


def _hashes(texts: Iterable[bytes]) -> list[bytes]:
    """Of the chain of corrections with these texts: before the first, then after each."""
    return [*accumulate(texts, link, initial=GENESIS)]


def changes(evidence: Evidence) -> Counter[str]:
    """By how much corrections changed what each wallet has."""
    sums: Counter[str] = Counter()
    for each in all_of(evidence):
        sums[each.wallet] += each.change
    return sums


def as_stated(evidence: Evidence) -> Iterator[str]:
    """All that were signed are there, unchanged and in their order."""
    told = _stated(evidence)
    for number, text in enumerate(told, 1):
        each = read(text)
        if each is None or each.number != number:
            yield f"number {number} cannot be read"
    stated = evidence.statement.corrections
    if (len(told), _hashes(told)[-1].hex()) != (stated, evidence.statement.corrected):
        yield f"the {len(told):,} told are not the {stated:,} that were signed"


def as_published(heads: Mapping[int, Head], texts: Sequence[bytes]) -> Iterator[str]:
    """Each epoch's leaf is where the chain of those told today stood, as far as it went then.

    ``heads`` by the epochs' numbers. That the leaf is under the root on chain is a rule of its
    own (see ``checks``).
    """
    hashes, last = _hashes(texts), 0
    for number, head in sorted(heads.items()):
        if head.count < last:
            yield f"epoch {number} has {head.count:,} corrections, one before had {last:,}"
        if head.count > len(texts):
            yield f"epoch {number} has {head.count:,} corrections, {len(texts):,} are told"
        elif hashes[head.count] != head.hash:
            yield f"the first {head.count:,} told are not those of epoch {number}"
        last = head.count


def in_time(
    heads: Mapping[int, Head], times: Mapping[int, float | None], texts: Sequence[bytes]
) -> Iterator[str]:
    """No epoch leaves out what was corrected before the epoch before it was on chain.

    ``times`` by the epochs' numbers: of their blocks, in Unix seconds.
    """
    made = [math.inf if each is None else each.at for each in map(read, texts)]
    #: From each place on, when the first one was made.
    earliest = [*accumulate([math.inf, *reversed(made)], min)][::-1]
    for number, head in sorted(heads.items()):
        before = times.get(number - 1)
        if before is None or head.count > len(texts):
            continue
        if earliest[head.count] < before - CLOCKS_S:
            yield f"epoch {number} has {head.count:,}, and later ones say they were made before it"


def backed(evidence: Evidence, receipts: Mapping[str, Receipt]) -> Iterator[str]:
    """Each takes no more than its receipt gave, for an answer that a reference found wrong, and
    gives back no more than was taken."""
    earlier: dict[tuple[CorrectionKind, str], Correction] = {}
    fines: Counter[str] = Counter()
    struck: set[str] = set()
    wrong = {each.job for each in evidence.checks if not each.agreed}
    for each in all_of(evidence):
        why = _RULES[each.kind](each, receipts.get(each.ref), earlier)
        fines[each.wallet] += _to_fines(each)
        if (each.kind, each.ref) in earlier:
            why = "comes a second time"
        elif each.kind == "forfeit" and each.wallet not in struck:
            why = f"no answer of {each.wallet} was void"
        elif each.kind == "void" and each.ref not in wrong:
            why = why or "no reference found the answer wrong"
        elif fines[each.wallet] < 0:
            why = why or f"takes {-_to_fines(each):,} from fines of which there are not so many"
        if why:
            yield f"number {each.number}, {each.kind} {each.ref}: {why}"
        struck |= {each.wallet} if each.kind == "void" else set()
        earlier[each.kind, each.ref] = each


def _to_fines(each: Correction) -> int:
    """By how much it changes what fines took of its wallet and nobody has had back."""
    if each.kind == "restore":
        return each.pay - each.amount
    return each.amount if each.kind == "fine" else -each.fined


def _earned(each: Correction, receipt: Receipt | None, earlier: Earlier) -> str:
    if receipt is None:
        return "there is no such receipt"
    return "" if receipt.wallet == each.wallet else f"{receipt.wallet} earned it"


def _void(each: Correction, receipt: Receipt | None, earlier: Earlier) -> str:
    if receipt is None or receipt.wallet != each.wallet:
        return _earned(each, receipt, earlier)
    taken = each.amount + each.fined
    return (
        "" if taken == receipt.pay else f"takes {taken:,} for an answer that earned {receipt.pay:,}"
    )


def _fine(each: Correction, receipt: Receipt | None, earlier: Earlier) -> str:
    void = earlier.get(("void", each.ref))
    return "" if void and void.wallet == each.wallet else "the answer was not void"


def _restore(each: Correction, receipt: Receipt | None, earlier: Earlier) -> str:
    void, fine = earlier.get(("void", each.ref)), earlier.get(("fine", each.ref))
    if void is None or void.wallet != each.wallet:
        return "the answer was not void"
    most, fined = void.amount + void.fined, fine.amount if fine else 0
    if each.pay > most or not 0 <= each.amount - each.pay <= fined:
        return f"gives {each.amount:,} back, of {most:,} pay and a fine of {fined:,}"
    return ""


def _reinstate(each: Correction, receipt: Receipt | None, earlier: Earlier) -> str:
    forfeit = earlier.get(("forfeit", each.ref))
    same = forfeit and (forfeit.wallet, forfeit.amount) == (each.wallet, each.amount)
    return "" if same else "so much was not forfeited"


_RULES: dict[CorrectionKind, Callable[[Correction, Receipt | None, Earlier], str]] = {
    "void": _void,
    "fine": _fine,
    "forfeit": _earned,
    "restore": _restore,
    "reinstate": _reinstate,
}
