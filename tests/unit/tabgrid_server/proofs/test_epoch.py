"""Written out by hand, so that another implementation can be held against it."""

from __future__ import annotations

import json
from hashlib import sha256

import pytest

from tabgrid_server.proofs import epoch
from tabgrid_server.proofs.corrections import Head
from tabgrid_server.proofs.epoch import Earned, Memo
from tabgrid_wire import merkle

RECEIPTS = [sha256(b'{"job":"%d"}' % n).digest() for n in range(3)]
EARNED = [Earned("B", "TGT", 20), Earned("A", "TGT", 7)]
HEAD = Head(258, b"\5" * 32)


def node(left: bytes, right: bytes) -> bytes:
    return sha256(b"\1" + left + right).digest()


def test_a_tree_by_hand() -> None:
    a, b, c, d, e, f = leaves = epoch.leaves(RECEIPTS, EARNED, HEAD)
    assert a == sha256(b"\0tabgrid/receipt/v1\0" + RECEIPTS[0]).digest()
    assert d == sha256(b"\0tabgrid/earned/v1\0A\0TGT\x007").digest(), "wallets are sorted"
    number = b"\0\0\0\0\0\0\1\2"
    assert f == sha256(b"\0tabgrid/corrected/v1\0" + number + b"\5" * 32).digest()

    top = node(node(node(a, b), node(c, d)), node(e, f))
    memo = epoch.memo_of(2, 5, leaves, b"\7" * 32)
    wanted = b"\2tabgrid/epoch/v2\0" + (5).to_bytes(8, "big") + (6).to_bytes(8, "big")
    assert memo.root == sha256(wanted + b"\7" * 32 + top).hexdigest()
    assert merkle.path(leaves, 5) == [e, node(node(a, b), node(c, d))], "the last one is the head"


def test_a_tree_of_the_first_version_by_hand() -> None:
    """As it was published: it stays."""
    a, b, c, d, e = leaves = epoch.leaves(RECEIPTS, EARNED, None)
    top = node(node(node(a, b), node(c, d)), e)
    memo = epoch.memo_of(1, 5, leaves, b"\7" * 32)
    wanted = b"\2tabgrid/epoch/v1\0" + (5).to_bytes(8, "big") + (5).to_bytes(8, "big")
    assert memo.root == sha256(wanted + b"\7" * 32 + top).hexdigest()
    assert merkle.path(leaves, 4) == [node(node(a, b), node(c, d))], "odd ones rise alone"


@pytest.mark.parametrize("version", [1, 2])
def test_a_memo_is_plain_json_of_five_fields(version: epoch.Version) -> None:
    leaves = epoch.leaves(RECEIPTS, [], HEAD if version == 2 else None)
    memo = epoch.memo_of(version, 1, leaves, epoch.GENESIS)
    text = epoch.memo_text(memo)
    assert json.loads(text) == {
        "v": version, "epoch": 1, "count": len(leaves), "root": memo.root, "prev_root": "00" * 32,
    }  # fmt: skip
    assert epoch.read_memo(text.encode()) == memo


@pytest.mark.parametrize(
    "text",
    [
        b"tabgrid:claim_01KAR8YEWQ2JE73CC4QBWG06PD",
        b"",
        b"\xff",
        b"[" * 100_000,
        b'{"v":3,"epoch":1,"count":1,"root":"%s","prev_root":"%s"}' % (b"0" * 64, b"0" * 64),
        b'{"v":0,"epoch":1,"count":1,"root":"%s","prev_root":"%s"}' % (b"0" * 64, b"0" * 64),
        b'{"v":1,"epoch":0,"count":1,"root":"%s","prev_root":"%s"}' % (b"0" * 64, b"0" * 64),
        b'{"v":1,"epoch":1,"count":1,"root":"%s","prev_root":"%s"}' % (b"Z" * 64, b"0" * 64),
        b'{"v":1, "epoch":1,"count":1,"root":"%s","prev_root":"%s"}' % (b"0" * 64, b"0" * 64),
        b'{"v":1,"epoch":1,"count":1,"root":"%s","prev_root":"%s","x":1}' % (b"0" * 64, b"0" * 64),
    ],
)
def test_other_memos_are_no_epochs(text: bytes) -> None:
    assert epoch.read_memo(text) is None


def test_a_proof_holds_for_its_receipt_place_and_epoch_only() -> None:
    leaves = epoch.leaves(RECEIPTS, EARNED, HEAD)
    memo = epoch.memo_of(2, 2, leaves, b"\1" * 32)
    path = merkle.path(leaves, 1)
    assert epoch.included(memo, leaves[1], 1, path)
    assert not epoch.included(memo, leaves[0], 1, path)
    assert not epoch.included(memo, leaves[1], 0, path)
    assert not epoch.included(memo, leaves[1], 9, path)
    assert not epoch.included(memo, leaves[1], 1, path[:-1])
    for other in (
        Memo(1, 2, memo.count, memo.root, memo.prev_root),
        Memo(2, 3, memo.count, memo.root, memo.prev_root),
        Memo(2, 2, memo.count + 1, memo.root, memo.prev_root),
        Memo(2, 2, memo.count, memo.root, "00" * 32),
    ):
        assert not epoch.included(other, leaves[1], 1, path)


def test_the_corrections_are_told_by_the_root_alone() -> None:
    others = epoch.leaves(RECEIPTS, EARNED, None)
    memo = epoch.memo_of(2, 4, [*others, epoch.corrected_leaf(HEAD)], b"\1" * 32)
    near = [Head(257, HEAD.hash), Head(258, b"\6" * 32), Head()]
    assert epoch.head_under(memo, others, [*near, HEAD]) == HEAD
    assert epoch.head_under(memo, others, near) is None
    assert epoch.head_under(memo, others[1:], [HEAD]) is None
    assert epoch.head_under(memo, [*others, others[0]], [HEAD]) is None
