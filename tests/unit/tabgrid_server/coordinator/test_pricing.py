from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tabgrid_server.coordinator.pricing import check_of, quote, with_check


@given(units=st.integers(0, 2**31), rate=st.integers(0, 2**31), fee_bps=st.integers(0, 10_000))
def test_price_is_split_without_a_rest(units: int, rate: int, fee_bps: int) -> None:
    price = quote(units, rate, fee_bps)
    assert price.total == units * rate
    assert price.pay + price.fee == price.total
    assert 0 <= price.fee <= price.total
    assert price.fee * 10_000 <= price.total * fee_bps


def test_a_fee_is_rounded_in_the_nodes_favour() -> None:
    assert quote(1, 19, 500).fee == 0
    assert quote(1, 20, 500).fee == 1


@given(units=st.integers(0, 2**31), rate=st.integers(0, 2**31), bps=st.integers(0, 100_000))
def test_a_check_is_all_the_operators(units: int, rate: int, bps: int) -> None:
    price = quote(units, rate, 500)
    check = check_of(price, bps)
    checked = with_check(price, check)
    assert checked.pay == price.pay
    assert checked.total == price.total + check
    # Rounded up, by less than one base unit.
    assert 0 <= check * 10_000 - price.total * bps < 10_000
