"""Written out by hand, so that another implementation can be held against it."""

from __future__ import annotations

import json
from hashlib import sha256

import pytest

from tabgrid_server.proofs import epoch, merkle
from tabgrid_server.proofs.epoch import Earned, Memo

RECEIPTS = [sha256(b'{"job":"%d"}' % n).digest() for n in range(3)]
EARNED = [Earned("B", "TGT", 20), Earned("A", "TGT", 7)]


def test_a_tree_by_hand() -> None:
    a, b, c, d, e = leaves = epoch.leaves(RECEIPTS, EARNED)
    assert a == sha256(b"\0tabgrid/receipt/v1\0" + RECEIPTS[0]).digest()
    assert d == sha256(b"\0tabgrid/earned/v1\0A\0TGT\x007").digest(), "wallets are sorted"

    def node(left: bytes, right: bytes) -> bytes:
        return sha256(b"\1" + left + right).digest()

    top = node(node(node(a, b), node(c, d)), e)
    memo = epoch.memo_of(5, leaves, b"\7" * 32)
    wanted = b"\2tabgrid/epoch/v1\0" + (5).to_bytes(8, "big") + (5).to_bytes(8, "big")
    assert memo.root == sha256(wanted + b"\7" * 32 + top).hexdigest()
    assert merkle.path(leaves, 4) == [node(node(a, b), node(c, d))], "odd ones rise alone"


def test_a_memo_is_plain_json_of_five_fields() -> None:
    memo = epoch.memo_of(1, epoch.leaves(RECEIPTS, []), epoch.GENESIS)
    text = epoch.memo_text(memo)
    assert json.loads(text) == {
        "v": 1, "epoch": 1, "count": 3, "root": memo.root, "prev_root": "00" * 32,
    }  # fmt: skip
    assert epoch.read_memo(text.encode()) == memo


@pytest.mark.parametrize(
    "text",
    [
        b"tabgrid:claim_01KAR8YEWQ2JE73CC4QBWG06PD",
        b"",
        b"\xff",
        b"[" * 100_000,
        b'{"v":2,"epoch":1,"count":1,"root":"%s","prev_root":"%s"}' % (b"0" * 64, b"0" * 64),
        b'{"v":1,"epoch":0,"count":1,"root":"%s","prev_root":"%s"}' % (b"0" * 64, b"0" * 64),
        b'{"v":1,"epoch":1,"count":1,"root":"%s","prev_root":"%s"}' % (b"Z" * 64, b"0" * 64),
        b'{"v":1, "epoch":1,"count":1,"root":"%s","prev_root":"%s"}' % (b"0" * 64, b"0" * 64),
        b'{"v":1,"epoch":1,"count":1,"root":"%s","prev_root":"%s","x":1}' % (b"0" * 64, b"0" * 64),
    ],
)
def test_other_memos_are_no_epochs(text: bytes) -> None:
    assert epoch.read_memo(text) is None


def test_a_proof_holds_for_its_receipt_place_and_epoch_only() -> None:
    leaves = epoch.leaves(RECEIPTS, EARNED)
    memo = epoch.memo_of(2, leaves, b"\1" * 32)
    path = merkle.path(leaves, 1)
    assert epoch.included(memo, leaves[1], 1, path)
    assert not epoch.included(memo, leaves[0], 1, path)
    assert not epoch.included(memo, leaves[1], 0, path)
    assert not epoch.included(memo, leaves[1], 9, path)
    assert not epoch.included(memo, leaves[1], 1, path[:-1])
    for other in (
        Memo(1, 3, memo.count, memo.root, memo.prev_root),
        Memo(1, 2, memo.count + 1, memo.root, memo.prev_root),
        Memo(1, 2, memo.count, memo.root, "00" * 32),
    ):
        assert not epoch.included(other, leaves[1], 1, path)
