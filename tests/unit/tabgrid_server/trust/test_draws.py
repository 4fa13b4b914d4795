from __future__ import annotations

import hashlib
import hmac
from collections import Counter
from itertools import combinations

import pytest

from tabgrid_server.trust import draws

SECRET = bytes(range(32))

ROOT = bytes(range(32))


def test_every_secret_is_the_hash_of_the_next_and_the_anchor_of_the_first() -> None:
    first, second = draws.secret_of(ROOT, 0, 5), draws.secret_of(ROOT, 1, 5)
    assert first == hashlib.sha256(second).digest()
    assert draws.anchor_of(ROOT, 5) == hashlib.sha256(first).digest()
    assert draws.secret_of(ROOT, 4, 5) == ROOT


def test_a_revealed_secret_is_tied_to_the_anchor_and_to_its_epoch_alone() -> None:
    anchor = draws.anchor_of(ROOT, 9)
    for epoch in range(9):
        secret = draws.secret_of(ROOT, epoch, 9)
        assert [n for n in range(12) if draws.verify(anchor, n, secret)] == [epoch]
    assert not draws.verify(anchor, 3, b"\0" * 32)
    assert not draws.verify(anchor, -1, anchor)


@pytest.mark.parametrize(("root", "epoch"), [(ROOT, -1), (ROOT, 9), (ROOT[:31], 0)])
def test_beyond_the_chain_there_is_no_secret(root: bytes, epoch: int) -> None:
    with pytest.raises(ValueError, match="has no epoch"):
        draws.secret_of(root, epoch, 9)


def test_a_draw_is_what_anybody_computes_from_secret_and_commitment() -> None:
    # Fixed for ever, since receipts are checked against it. Made with openssl and bc.
    commit_hash = hashlib.sha256(b"an answer").digest()
    assert draws.draw(b"s" * 32, commit_hash) == 733_265
    assert draws.draw(b"t" * 32, commit_hash) == 626_340


def test_draws_are_spread_evenly() -> None:
    drawn = [draws.draw(ROOT, number.to_bytes(32, "big")) for number in range(20_000)]
    assert all(0 <= one < 1_000_000 for one in drawn)
    # 1,000 are expected below 5 %, with a deviation of 31.
    assert 850 < sum(one < 50_000 for one in drawn) < 1_150


def test_epochs_are_counted_from_the_first_one() -> None:
    assert [draws.epoch_at(now, 100.0, 10.0) for now in (100.0, 109.9, 110.0)] == [0, 0, 1]


def test_drawn_steps_are_what_anybody_computes_from_secret_and_commitment() -> None:
    commit = hashlib.sha256(b"answer").digest()
    found = draws.draw_steps(SECRET, commit, 8, 2)
    # By hand, as the words beside the function say.
    left, by_hand = list(range(8)), []
    for turn in (0, 1):
        key = b"tabgrid/steps/v1\0" + commit + bytes([turn])
        number = int.from_bytes(hmac.digest(SECRET, key, "sha256")[:8], "big")
        by_hand.append(left.pop(number * len(left) // 2**64))
    assert found == tuple(sorted(by_hand))
    assert draws.draw_steps(SECRET, commit, 2, 2) == (0, 1)
    assert draws.draw_steps(SECRET, commit, 1, 2) == (0,)


def test_every_two_steps_are_drawn_equally_often() -> None:
    drawn = Counter(
        draws.draw_steps(SECRET, hashlib.sha256(bytes([n >> 8, n & 255])).digest(), 4, 2)
        for n in range(6000)
    )
    assert set(drawn) == set(combinations(range(4), 2))
    assert all(850 < count < 1150 for count in drawn.values())
