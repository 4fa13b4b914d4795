from __future__ import annotations

import pytest

from tabgrid_server.api.schemas.grid import Token
from tabgrid_server.pages import format as words

TOKEN = Token("TGT", 6, "mint")


@pytest.mark.parametrize(
    ("base_units", "shown"),
    [
        (0, "0.00 TGT"),
        (1, "0.000001 TGT"),
        (950, "0.00095 TGT"),
        (1_240_000, "1.24 TGT"),
        (-1_240_000, "−1.24 TGT"),  # noqa: RUF001 a minus sign
        (9_999_999_999, "9,999.999999 TGT"),
        # Large amounts are cut, never rounded up.
        (10_000_009_999, "10,000.00 TGT"),
        (2_418_939_999_999, "2,418,939.99 TGT"),
    ],
)
def test_amounts_show_at_least_two_decimals(base_units: int, shown: str) -> None:
    assert words.amount(base_units, TOKEN) == shown


def test_a_token_without_decimals_has_no_point() -> None:
    assert words.amount(12_345, Token("NFT", 0, "mint")) == "12,345 NFT"
    assert words.amount_exact(12_345, Token("NFT", 0, "mint")) == "12,345 NFT"


def test_a_cut_amount_keeps_its_digits_in_the_title() -> None:
    assert words.amount_exact(10_000_009_999, TOKEN) == "10,000.009999 TGT"


def test_pay_is_the_price_without_the_fee() -> None:
    assert words.pay(1_000, 500) == 950


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (-1, "0 ms"),
        (0.0345, "34 ms"),
        (0.9994, "999 ms"),
        (1, "1 s"),
        (2.44, "2.4 s"),
        (12.4, "12 s"),
        (119, "119 s"),
        (120, "2 min"),
        (7_200, "2 h"),
        (259_200, "72 h"),
        (864_000, "10 days"),
    ],
)
def test_durations_have_two_or_three_digits(seconds: float, shown: str) -> None:
    assert words.duration(seconds) == shown


def test_times_are_relative_both_ways() -> None:
    assert words.ago(100.0, 100.4) == "now"
    assert words.ago(100.0, 112.9) == "12 s ago"
    assert words.ago(120.0, 100.0) == "in 20 s"


def test_exact_times_are_utc_with_milliseconds() -> None:
    assert words.exact(1_763_940_372.345) == "2025-11-23 23:26:12.345 UTC"
    assert words.iso(0) == "1970-01-01T00:00:00.000+00:00"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("9xQeWvG816bUx9EPjHmaT23yvVM2ZWbrrpZb9PusVFin", "9xQe…VFin"),
        ("job_01KAR8YEWQ2JE73CC4QBWG06PD", "job_01KA…06PD"),
        ("short", "short"),
    ],
)
def test_hashes_lose_their_middle_and_keep_their_prefix(text: str, shown: str) -> None:
    assert words.short(text) == shown


def test_bytes_are_decimal_megabytes() -> None:
    assert words.megabytes(23_400_000) == "23 MB"
    assert words.megabytes(1_500_000) == "1.5 MB"


def test_one_node_is_not_one_nodes() -> None:
    assert words.plural(1, "node") == "1 node"
    assert words.plural(1_200, "node") == "1,200 nodes"
