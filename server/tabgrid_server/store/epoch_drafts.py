"""What the next epoch is, by what waits for it, and by a memo that the chain has. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..proofs import epoch as proofs
from ..proofs.corrections import Head
from ..proofs.epoch import Earned, Memo
from .epochs import Draft, Epoch, Pending


def draft(
    before: Epoch | None,
    earned_before: Iterable[Earned],
    waiting: Sequence[Pending],
    head: Head,
    at: float,
) -> Draft:
    """The epoch after ``before`` over all ``waiting`` receipts and the corrections to ``head``."""
    return _Content(earned_before, waiting).draft(before, head, at)


def draft_of(
    memo: Memo,
    before: Epoch | None,
    earned_before: Iterable[Earned],
    waiting: Sequence[Pending],
    heads: Iterable[Head],
    at: float,
) -> Draft | None:
    """The epoch after ``before`` that gives ``memo``: over as many of the ``waiting`` receipts as
    give its number of leaves, and up to one of ``heads``. None if no such epoch does."""
    marked = 0 if memo.v == 1 else 1
    content = _Content(earned_before, waiting, memo.count - marked)
    head = proofs.head_under(memo, content.leaves(None), heads) if marked else None
    if marked and head is None:
        return None
    found = content.draft(before, head, at)
    return found if found.epoch.memo == memo else None


class _Content:
    """Receipts from the first of ``waiting`` on, and what each wallet had earned after them:
    all receipts, or as few as give ``count`` leaves or more."""

    def __init__(
        self, earned_before: Iterable[Earned], waiting: Sequence[Pending], count: int | None = None
    ) -> None:
        self._totals = {(each.wallet, each.token): each.earned for each in earned_before}
        self._changed: set[tuple[str, str]] = set()
        self._receipts: list[Pending] = []
        for each in waiting:
            if count is not None and len(self._receipts) + len(self._totals) >= count:
                break
            key = (each.wallet, each.token)
            self._totals[key] = self._totals.get(key, 0) + each.amount
            self._changed.add(key)
            self._receipts.append(each)

    def leaves(self, head: Head | None) -> list[bytes]:
        hashes = (each.hash for each in self._receipts)
        earned = (Earned(*key, amount) for key, amount in self._totals.items())
        return proofs.leaves(hashes, earned, head)

    def draft(self, before: Epoch | None, head: Head | None, at: float) -> Draft:
        number, prev_root, last_seq = _after(before)
        leaves, version = self.leaves(head), proofs.version_of(head)
        memo = proofs.memo_of(version, number, leaves, prev_root)
        return Draft(
            epoch=Epoch(
                number=number,
                first_seq=self._receipts[0].seq if self._receipts else last_seq + 1,
                last_seq=self._receipts[-1].seq if self._receipts else last_seq,
                receipts=len(self._receipts),
                wallets=len(self._totals),
                root=memo.root,
                prev_root=memo.prev_root,
                closed_at=at,
                corrections=None if head is None else head.count,
                corrected=None if head is None else head.hash.hex(),
            ),
            changed=[Earned(*key, self._totals[key]) for key in sorted(self._changed)],
        )


def _after(before: Epoch | None) -> tuple[int, bytes, int]:
    """Number of the next epoch, the root before it, the last number of a receipt before it."""
    if before is None:
        return 1, proofs.GENESIS, 0
    return before.number + 1, bytes.fromhex(before.root), before.last_seq
