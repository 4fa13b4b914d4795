from __future__ import annotations

import math

import pytest

from tabgrid_server.trust import ONE, Policy

POLICY = Policy()


@pytest.mark.parametrize(
    ("withheld", "expected"),
    [
        (0, ONE),
        (50, math.ceil(ONE * 10 / (0.95 * 51))),
        (209, math.ceil(ONE * 10 / (0.95 * 210))),
        (211, 50_000),
        (10_000, 50_000),
    ],
)
def test_more_is_checked_of_whom_has_less_to_lose(withheld: int, expected: int) -> None:
    for price in (1, 7, 1_000_000):
        assert POLICY.audit_probability(price, withheld * price) == expected


def test_a_job_that_is_dear_for_its_node_is_checked_more_surely() -> None:
    assert POLICY.audit_probability(1_000, 400_000) == 50_000
    assert POLICY.audit_probability(100_000, 400_000) == ONE


def test_free_jobs_are_checked_as_those_of_the_least_price() -> None:
    assert POLICY.audit_probability(0, 0) == ONE
    assert POLICY.audit_probability(0, 400) == 50_000


def test_a_fine_makes_up_for_the_cheats_that_were_not_seen() -> None:
    assert POLICY.fine(1_000, ONE) == 10_526
    assert POLICY.fine(1_000, 50_000) == 210_526
    assert POLICY.fine(0, ONE) == 0


def test_three_mismatches_in_a_row_convict_and_two_do_not() -> None:
    assert POLICY.mismatch_step == 3_218_876
    assert POLICY.agree_step == 49_291
    assert POLICY.conviction_at == 9_210_340
    assert 2 * POLICY.mismatch_step <= POLICY.conviction_at < 3 * POLICY.mismatch_step
