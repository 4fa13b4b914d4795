from __future__ import annotations

import itertools

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tabgrid_server.api.schemas.claims import Claim
from tabgrid_server.api.schemas.grid import Minute
from tabgrid_server.api.schemas.jobs import JobRow
from tabgrid_server.api.schemas.receipts import Receipt
from tabgrid_server.pages import charts
from tests.support.pages import CLAIM, JOB, RECEIPT, WALLET

NOW = 2_000.0


def _job(**changes: object) -> JobRow:
    return msgspec.structs.replace(JOB, **changes)


def test_a_job_is_drawn_to_scale() -> None:
    bar = charts.job_bar(
        _job(submitted_at=0.0, assigned_at=1.0, returned_at=4.0, finished_at=5.0), NOW
    )
    assert [s.kind for s in bar.segments] == ["queued", "running", "checking"]
    assert [s.seconds for s in bar.segments] == [1.0, 3.0, 1.0]
    assert [round(s.width, -1) for s in bar.segments] == [200, 600, 200]
    assert bar.seconds == 5.0


def test_a_running_job_ends_now_and_says_so() -> None:
    bar = charts.job_bar(
        _job(submitted_at=NOW - 3, assigned_at=NOW - 2, returned_at=None, finished_at=None), NOW
    )
    assert [(s.kind, s.open) for s in bar.segments] == [("queued", False), ("running", True)]


def test_a_job_cancelled_in_the_queue_only_waited() -> None:
    bar = charts.job_bar(
        _job(submitted_at=0.0, assigned_at=None, returned_at=None, finished_at=7.0), NOW
    )
    assert [(s.kind, s.seconds, s.open) for s in bar.segments] == [("queued", 7.0, False)]


def test_clocks_that_disagree_draw_nothing_negative() -> None:
    bar = charts.job_bar(
        _job(submitted_at=5.0, assigned_at=4.0, returned_at=6.0, finished_at=6.0), NOW
    )
    assert all(s.seconds >= 0 and s.width > 0 for s in bar.segments)


@given(st.lists(st.floats(0, 1e9), min_size=3, max_size=3))
def test_segments_fill_the_bar_and_none_vanishes(lengths: list[float]) -> None:
    a, b, c = lengths
    job = _job(submitted_at=0.0, assigned_at=a, returned_at=a + b, finished_at=a + b + c)
    segments = charts.job_bar(job, NOW).segments
    assert segments[0].x == 0
    assert all(left.x + left.width == right.x for left, right in itertools.pairwise(segments))
    assert segments[-1].x + segments[-1].width == charts.WIDTH
    assert all(s.width >= charts.MIN_WIDTH for s in segments)


def _receipt(settled: float, release: float) -> Receipt:
    return msgspec.structs.replace(RECEIPT, settled_at=settled, release_at=release)


def _claim(created: float, state: str, updated: float = 0.0) -> Claim:
    return msgspec.structs.replace(CLAIM, created_at=created, state=state, updated_at=updated)


def test_money_is_withheld_then_claimable_then_paid() -> None:
    receipt = _receipt(0.0, 20.0)
    before = charts.money_bar(receipt, None, 10.0)
    assert [(s.kind, s.open) for s in before.segments] == [("withheld", True)]
    held = charts.money_bar(receipt, None, 30.0, withheld=True)
    assert [(s.kind, s.open, s.seconds) for s in held.segments] == [("withheld", True, 30.0)]
    after = charts.money_bar(receipt, None, 30.0)
    assert [(s.kind, s.open) for s in after.segments] == [("withheld", False), ("claimable", True)]
    paid = charts.money_bar(receipt, _claim(40.0, "finalized", 52.0), 1_000.0)
    assert [(s.kind, s.seconds) for s in paid.segments] == [
        ("withheld", 20.0),
        ("claimable", 20.0),
        ("paying", 12.0),
    ]


def test_a_wallets_bar_leaves_out_what_is_zero() -> None:
    wallet = msgspec.structs.replace(WALLET, withheld=0, claimable=50, in_flight=0, paid=150)
    assert [s.kind for s in charts.wallet_bar(wallet)] == ["paid", "claimable"]
    assert charts.wallet_bar(msgspec.structs.replace(wallet, claimable=0, paid=0)) == ()


def test_an_hour_without_jobs_says_so() -> None:
    hour = charts.hour([Minute(60.0 * i, 0, None) for i in range(60)])
    assert hour.summary == "No jobs in the last hour."
    assert all(column.height == 0 for column in hour.columns)


def test_one_job_among_thousands_is_still_seen() -> None:
    minutes = [Minute(60.0 * i, 0, None) for i in range(58)]
    hour = charts.hour([*minutes, Minute(3_480.0, 5_000, 20.0), Minute(3_540.0, 1, 900.0)])
    assert [c.height for c in hour.columns[-2:]] == [100, 1]
    assert hour.summary == (
        "5,001 jobs in the last hour, at most 5,000 in one minute; half took under 20 ms."
    )


@pytest.mark.parametrize(("largest", "top"), [(0, 10), (10, 10), (11, 20), (73, 100), (501, 1_000)])
def test_axes_end_at_round_numbers(largest: int, top: int) -> None:
    assert charts.nice_top(largest) == top
