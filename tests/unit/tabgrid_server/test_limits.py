from __future__ import annotations

import pytest

from tabgrid_server import limits
from tabgrid_server.errors import RateLimited
from tabgrid_server.limits import RateLimit


def test_a_burst_is_allowed_and_then_one_at_a_time() -> None:
    rate = RateLimit("requests", 3, 60)
    for _ in range(3):
        rate.take("a", 0.0)
    with pytest.raises(RateLimited) as refused:
        rate.take("a", 0.0)
    assert refused.value.retry_after == 20
    rate.take("a", 20.0)
    rate.take("b", 20.0)


def test_asking_while_refused_does_not_make_it_longer() -> None:
    rate = RateLimit("requests", 1, 10)
    rate.take("a", 0.0)
    for second in range(1, 10):
        with pytest.raises(RateLimited):
            rate.take("a", float(second))
    rate.take("a", 10.0)


def test_memory_is_bounded() -> None:
    rate = RateLimit("requests", 1, 10)
    for number in range(limits.REMEMBERED + 10):
        rate.take(str(number), 0.0)
    assert len(rate._paid_off) == limits.REMEMBERED
