"""What a node commits to: a root holds for these latents in this order, and no others."""

from __future__ import annotations

import math
import struct
from hashlib import sha256
from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tabgrid_models import trace
from tabgrid_server.trust import ONE, Policy
from tabgrid_wire import merkle

states = st.lists(st.binary(min_size=4, max_size=8), min_size=2, max_size=9)


@given(st.integers(1, 150), st.integers(1, 2**20))
def test_what_is_kept_spans_all_steps_and_has_a_bound(steps: int, size: int) -> None:
    kept = trace.kept(steps, size)
    assert (kept[0], kept[-1]) == (0, steps)
    gaps = [after - before for before, after in pairwise(kept)]
    assert min(gaps) >= 1
    assert gaps[:-1] == [gaps[0]] * (len(gaps) - 1)
    assert gaps[-1] <= gaps[0]
    assert len(kept) * size <= trace.MAX_TRACE
    # With a gap of one less it would not fit.
    if gaps[0] > 1:
        assert (math.ceil(steps / (gaps[0] - 1)) + 1) * size > trace.MAX_TRACE


@given(st.integers(1, 150), st.integers(4, 2**20))
def test_one_false_step_does_not_pay_and_what_is_sent_fits(steps: int, size: int) -> None:
    """One can be worth all others, so what finds it counts, not the share that is made up."""
    stretches = len(trace.kept(steps, size)) - 1
    drawn = trace.drawn(stretches, size)
    assert min(2, stretches) <= drawn <= stretches
    assert drawn <= 2 or (drawn + 2) * size <= trace.MAX_SENT
    policy = Policy()
    # A fine is the margin times what is won, over the probability that a check finds it; the
    # policy takes that to be ``power``.
    assert policy.margin * drawn * ONE * ONE > stretches * policy.power * policy.gain


@given(states, st.data())
def test_a_root_is_of_these_latents_in_this_order(found: list[bytes], data: st.DataObject) -> None:
    root = trace.root(found)
    place = data.draw(st.integers(0, len(found) - 1))
    changed = data.draw(st.binary(min_size=4, max_size=8))
    assume(changed != found[place])
    assert trace.root([*found[:place], changed, *found[place + 1 :]]) != root
    assert trace.root([*found, changed]) != root
    assert trace.root(found[:-1]) != root
    if found[0] != found[-1]:
        assert trace.root([found[-1], *found[1:-1], found[0]]) != root


@given(states, st.data())
def test_each_of_them_can_be_proved_to_be_in_it(found: list[bytes], data: st.DataObject) -> None:
    """Without the others: by the words at the head of the module."""
    place = data.draw(st.integers(0, len(found) - 1))
    leaves = [trace.leaf(at, each) for at, each in enumerate(found)]
    path = merkle.path(leaves, place)
    leaf = sha256(
        b"\0" + b"tabgrid/latents/v1\0" + place.to_bytes(4, "big") + found[place]
    ).digest()
    top = merkle.climb(leaf, place, len(found), path)
    count = len(found).to_bytes(4, "big")
    assert sha256(b"\x02tabgrid/latents/v1\0" + count + top).digest() == trace.root(found)


@given(st.integers(1, 20), st.integers(0, 60))
def test_a_trace_is_taken_apart_as_it_was_put_together(count: int, size: int) -> None:
    content = bytes(range(size)) * count
    if not size:
        with pytest.raises(ValueError, match="are not"):
            trace.split(content, count)
        return
    parts = trace.split(content, count)
    assert b"".join(parts) == content
    assert {len(part) for part in parts} == {size}
    if count > 1:
        with pytest.raises(ValueError, match="are not"):
            trace.split(content + b"x", count)


floats = st.lists(st.floats(width=32), min_size=1, max_size=20)


@given(floats, floats)
def test_a_distance_is_a_number_or_infinite(one: list[float], other: list[float]) -> None:
    packed = [struct.pack(f"<{len(row)}f", *row) for row in (one, other)]
    distance = trace.relative(*packed)
    assert distance >= 0
    if len(one) != len(other) or not all(map(math.isfinite, one + other)):
        assert distance == math.inf
    elif one == other and any(one):
        assert distance == 0
