"""Noise is gaussian, and the same everywhere and always."""

from __future__ import annotations

import math
import statistics

import pytest

from tabgrid_models.noise import gaussians

#: Computed apart, with struct.unpack and one number at a time.
FIRST = [-0.8078977465629578, -0.2390110194683075, -1.4492350816726685, 0.13057027757167816]
LAST = [1.1218781471252441, 0.029424892738461494]


def test_the_first_numbers_stay_what_they_are() -> None:
    """Receipts and golden answers rest on them; any other host must find the same."""
    assert gaussians(0, 0, 4).tolist() == pytest.approx(FIRST, rel=2**-23)
    assert gaussians(2**32 - 1, 3, 2).tolist() == pytest.approx(LAST, rel=2**-23)


def test_they_are_gaussian() -> None:
    values = gaussians(5, 0, 65_536)
    assert abs(statistics.fmean(values)) < 4 / math.sqrt(len(values))
    assert statistics.pstdev(values) == pytest.approx(1, abs=0.012)
    inside = [sum(abs(value) < limit for value in values) / len(values) for limit in (1, 2, 3)]
    assert inside == pytest.approx([0.6827, 0.9545, 0.9973], abs=0.008)
    pairs = zip(values[0::2], values[1::2], strict=True)
    assert abs(statistics.fmean(one * other for one, other in pairs)) < 0.025


def test_seed_and_draw_tell_draws_apart_and_length_does_not() -> None:
    assert gaussians(1, 0, 8) != gaussians(2, 0, 8)
    assert gaussians(1, 0, 8) != gaussians(1, 1, 8)
    assert gaussians(1, 0, 7) == gaussians(1, 0, 8)[:7]


def test_sigma_scales() -> None:
    plain, scaled = gaussians(9, 0, 100), gaussians(9, 0, 100, 14.6)
    assert scaled.tolist() == pytest.approx([14.6 * value for value in plain], rel=1e-6)


@pytest.mark.parametrize(("seed", "draw"), [(-1, 0), (2**64, 0), (0, -1), (0, 2**32)])
def test_no_seed_wraps_around(seed: int, draw: int) -> None:
    with pytest.raises(OverflowError):
        gaussians(seed, draw, 1)
