"""The rule that makes a threshold of distances, and the record of what was measured."""

from __future__ import annotations

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tabgrid_models import calibration
from tabgrid_models.calibration import MARGIN, SHARE, quantile, spread, threshold
from tests.support.pages import CALIBRATION

DISTANCES = st.lists(st.floats(0, 1e6), min_size=1, max_size=60)


def test_a_quantile_is_one_of_the_values() -> None:
    ten = [float(value) for value in range(1, 11)]
    assert [quantile(ten, share) for share in (0.1, 0.5, 0.9, 0.91, 1)] == [1, 5, 9, 10, 10]


@pytest.mark.parametrize(("count", "wanted"), [(999, 998), (1000, 998), (2000, 1997)])
def test_fewer_than_a_thousand_values_have_their_largest_as_the_percentile(
    count: int, wanted: int
) -> None:
    values = [float(value) for value in range(count)]
    assert quantile(values, SHARE) == wanted


@given(DISTANCES, st.sampled_from([0.5, 0.9, 0.99, 0.999]))
def test_a_quantile_is_the_least_value_that_so_many_do_not_exceed(
    values: list[float], share: float
) -> None:
    found = quantile(values, share)
    assert sum(value <= found for value in values) >= share * len(values) - 1e-6
    assert sum(value < found for value in values) < share * len(values)


def test_the_threshold_is_ten_times_the_worst_pair() -> None:
    quiet, loud = [1e-12] * 5000, [1e-6, 2.31e-6]
    assert threshold([quiet, loud], 1e-7) == pytest.approx(2.4e-5), "rounded up to two digits"
    assert threshold([quiet], 1e-7) == 1e-7, "the floor holds"
    assert threshold([], 1e-7) == 1e-7


def test_a_backend_with_few_answers_does_not_drown_among_many() -> None:
    assert threshold([[0.0] * 100_000, [3.0]], 0.1) == 30


@given(st.lists(DISTANCES, min_size=1, max_size=4), st.floats(0, 1))
def test_no_pair_is_refused_more_often_than_the_rule_allows(
    pairs: list[list[float]], floor: float
) -> None:
    found = threshold(pairs, floor)
    assert found >= floor
    for distances in pairs:
        assert found >= MARGIN * quantile(distances, SHARE) * (1 - 1e-9)
        assert sum(distance > found for distance in distances) <= (1 - SHARE) * len(distances)


@pytest.mark.parametrize("value", [math.inf, math.nan])
def test_what_is_no_distance_has_no_spread(value: float) -> None:
    with pytest.raises(ValueError, match="no distance"):
        spread([1.0, value])


def test_a_record_is_read_as_it_was_written() -> None:
    assert calibration.parse(CALIBRATION.encoded()) == CALIBRATION
    with pytest.raises(msgspec.DecodeError):
        calibration.parse(CALIBRATION.encoded().replace(b'"margin"', b'"mergin"'))
