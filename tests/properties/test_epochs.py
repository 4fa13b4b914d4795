"""Whatever is in an epoch: no leaf passes for one of another kind, no tree for one of another
version, and an epoch that the chain has is found again from the books, or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from tabgrid_server.proofs import epoch as proofs
from tabgrid_server.proofs.corrections import Head
from tabgrid_server.proofs.epoch import Earned
from tabgrid_server.store.epoch_drafts import draft, draft_of
from tabgrid_server.store.epochs import Epoch, Pending
from tabgrid_wire import merkle

hashes = st.binary(min_size=32, max_size=32)
counts = st.integers(0, 2**53 - 1)
heads = st.builds(Head, counts, hashes)
wallets = st.sampled_from("ABCDE")
earned = st.dictionaries(wallets, st.integers(0, 2**62), max_size=5).map(
    lambda sums: [Earned(wallet, "TGT", amount) for wallet, amount in sums.items()]
)
waiting = st.lists(st.tuples(hashes, wallets, st.integers(0, 2**40)), max_size=12).map(
    lambda each: [
        Pending(seq=n, hash=hash, wallet=wallet, token="TGT", amount=amount, created_at=0.0)
        for n, (hash, wallet, amount) in enumerate(each, 20)
    ]
)
#: Heads of one chain of corrections, oldest first.
chains = st.integers(0, 9).map(
    lambda size: [Head(n, sha256(bytes([n])).digest()) for n in range(size + 1)]
)
BEFORE = Epoch(
    number=3, first_seq=1, last_seq=19, receipts=19, wallets=5, root="ab" * 32, prev_root="cd" * 32,
    closed_at=0.0,
)  # fmt: skip


@given(heads, hashes, st.text(max_size=60), st.text(max_size=60), counts)
def test_no_leaf_passes_for_one_of_another_kind(
    head: Head, hash: bytes, wallet: str, token: str, amount: int
) -> None:
    """Not even where one's text is the bytes of another, with its tag or without."""
    of_head = head.count.to_bytes(8, "big") + head.hash
    spelt = of_head.decode("latin-1")
    corrected = {proofs.corrected_leaf(head)}
    receipts = {proofs.receipt_leaf(each) for each in (hash, of_head, head.hash)}
    earned = {
        proofs.earned_leaf(Earned(name, token, amount))
        for name in (wallet, spelt, f"\0tabgrid/corrected/v1\0{spelt}", "\0tabgrid/receipt/v1\0")
    }
    nodes = {merkle.top([*corrected, *receipts]), merkle.top([*receipts, *earned])}
    kinds = (corrected, receipts, earned, nodes)
    assert len(set().union(*kinds)) == sum(map(len, kinds))


@given(heads, heads)
def test_two_heads_have_two_leaves(one: Head, other: Head) -> None:
    assert (proofs.corrected_leaf(one) == proofs.corrected_leaf(other)) == (one == other)


@given(st.lists(hashes, min_size=1, max_size=20), heads, st.data())
def test_a_tree_has_another_root_in_each_version(
    leaves: list[bytes], head: Head, data: st.DataObject
) -> None:
    """So an older verifier cannot be shown a tree of which it would overlook a leaf."""
    leaves = [*leaves, proofs.corrected_leaf(head)]
    one, two = (proofs.memo_of(v, 7, leaves, bytes(32)) for v in (1, 2))
    assert one.root != two.root
    index = data.draw(st.integers(0, len(leaves) - 1))
    path = merkle.path(leaves, index)
    for memo, other in ((one, two), (two, one)):
        assert proofs.included(memo, leaves[index], index, path)
        lie = proofs.Memo(other.v, memo.epoch, memo.count, memo.root, memo.prev_root)
        assert not proofs.included(lie, leaves[index], index, path)


@given(earned, waiting, chains, st.data())
def test_an_epoch_is_found_again_by_its_memo(
    before: list[Earned], receipts: list[Pending], chain: list[Head], data: st.DataObject
) -> None:
    """In books that have more receipts and more corrections by now."""
    taken = data.draw(st.integers(0, len(receipts)))
    head = data.draw(st.sampled_from(chain))
    made = draft(BEFORE, before, receipts[:taken], head, 9.0)
    assert draft_of(made.epoch.memo, BEFORE, before, receipts, chain, 9.0) == made
    assert made.epoch.count == made.epoch.receipts + made.epoch.wallets + 1
    assert made.epoch.last_seq == (receipts[taken - 1].seq if taken else BEFORE.last_seq)


@given(earned, waiting, st.data())
def test_an_epoch_of_before_is_found_again_by_its_memo(
    before: list[Earned], receipts: list[Pending], data: st.DataObject
) -> None:
    assume(receipts)
    taken = data.draw(st.integers(1, len(receipts)))
    made = draft(BEFORE, before, receipts[:taken], Head(), 9.0)
    hashes = [each.hash for each in receipts[:taken]]
    leaves = proofs.leaves(hashes, _totals(before, receipts[:taken]), None)
    memo = proofs.memo_of(1, 4, leaves, bytes.fromhex(BEFORE.root))
    found = draft_of(memo, BEFORE, before, receipts, [Head()], 9.0)
    assert found is not None
    assert (found.epoch.memo, found.epoch.head) == (memo, None)
    assert found.changed == made.changed


@given(earned, waiting, chains, st.data())
def test_it_is_not_found_in_books_with_others(
    before: list[Earned], receipts: list[Pending], chain: list[Head], data: st.DataObject
) -> None:
    head = data.draw(st.sampled_from(chain))
    memo = draft(BEFORE, before, receipts, head, 9.0).epoch.memo
    other = [Head(each.count, sha256(each.hash).digest()) for each in chain]
    assert draft_of(memo, BEFORE, before, receipts, other, 9.0) is None
    if receipts:
        assert draft_of(memo, BEFORE, before, receipts[:-1], chain, 9.0) is None
        place = data.draw(st.integers(0, len(receipts) - 1))
        changed: list[Any] = [*receipts]
        changed[place] = _with(receipts[place], sha256(receipts[place].hash).digest())
        assert draft_of(memo, BEFORE, before, changed, chain, 9.0) is None


def _with(each: Pending, hash: bytes) -> Pending:
    return Pending(
        seq=each.seq, hash=hash, wallet=each.wallet, token=each.token, amount=each.amount,
        created_at=each.created_at,
    )  # fmt: skip


def _totals(before: Sequence[Earned], receipts: Sequence[Pending]) -> list[Earned]:
    sums = {each.wallet: each.earned for each in before}
    for each in receipts:
        sums[each.wallet] = sums.get(each.wallet, 0) + each.amount
    return [Earned(wallet, "TGT", amount) for wallet, amount in sums.items()]
