"""Whatever the leaves: a proof leads from its leaf and place to the top, and from no other."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tabgrid_wire import merkle

data = st.binary(max_size=3)
hashes = st.lists(data.map(merkle.leaf), min_size=1, max_size=40)
different = st.lists(data, min_size=1, max_size=40, unique=True).map(
    lambda each: list(map(merkle.leaf, each))
)


@given(hashes)
def test_every_leaf_has_a_way_to_the_top(leaves: list[bytes]) -> None:
    top = merkle.top(leaves)
    for index, leaf in enumerate(leaves):
        path = merkle.path(leaves, index)
        assert merkle.climb(leaf, index, len(leaves), path) == top
        assert len(path) <= (len(leaves) - 1).bit_length()


@given(different, st.data())
def test_no_other_leaf_place_or_count_has_it(leaves: list[bytes], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(leaves) - 1))
    path, top = merkle.path(leaves, index), merkle.top(leaves)
    other = data.draw(st.integers(-1, len(leaves) + 1))
    count = data.draw(st.integers(0, 2 * len(leaves) + 1))
    try:
        found = merkle.climb(leaves[index], other, count, path)
    except merkle.ProofError:
        return
    # The same shape can lead to the same top: then it is the same place.
    if found == top and (other, count) != (index, len(leaves)):
        assert _shape(other, count) == _shape(index, len(leaves))


@given(hashes, st.data())
def test_changing_any_bit_of_a_path_changes_the_top(
    leaves: list[bytes], data: st.DataObject
) -> None:
    index = data.draw(st.integers(0, len(leaves) - 1))
    path = merkle.path(leaves, index)
    if not path:
        return
    place, bit = data.draw(st.integers(0, len(path) - 1)), data.draw(st.integers(0, 255))
    forged = bytearray(path[place])
    forged[bit // 8] ^= 1 << bit % 8
    path[place] = bytes(forged)
    assert merkle.climb(leaves[index], index, len(leaves), path) != merkle.top(leaves)


@given(hashes, hashes)
def test_two_lists_have_two_tops(one: list[bytes], other: list[bytes]) -> None:
    # Of the same number; the number is published beside the top.
    if len(one) == len(other) and one != other:
        assert merkle.top(one) != merkle.top(other)


@given(hashes)
def test_a_list_is_not_the_list_with_its_end_repeated(leaves: list[bytes]) -> None:
    assert merkle.top(leaves) != merkle.top([*leaves, leaves[-1]])


def test_no_place_outside() -> None:
    with pytest.raises(IndexError):
        merkle.path([merkle.leaf(b"")], 1)
    with pytest.raises(merkle.ProofError):
        merkle.climb(merkle.EMPTY, 0, 0, [])


def _shape(index: int, count: int) -> list[int | None]:
    """At each level the side on which the partner is; None where there is none."""
    sides: list[int | None] = []
    while count > 1:
        if index ^ 1 < count:
            sides.append(index & 1)
        index, count = index // 2, (count + 1) // 2
    return sides
