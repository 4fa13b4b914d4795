"""Checks as pictures and words, and the pages that show them."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tabgrid_server.api.schemas.checks import (
    CheckPart,
    Draw,
    Evidence,
    EvidenceState,
    GivenUp,
    WhyGivenUp,
)
from tabgrid_server.api.schemas.health import ClassHealth, Health, HealthCounts, HealthSpan
from tabgrid_server.api.schemas.receipts import Receipt
from tabgrid_server.api.schemas.trust import Standing
from tabgrid_server.pages import evidence, spreads
from tabgrid_server.pages import format as words
from tests.support.pages import (
    ADDRESS,
    CHECK,
    EVIDENCE,
    JOB_ID,
    NOBODY,
    MadeViews,
    browser_of,
)


@given(st.floats(0, 1e308), st.floats(1e-12, 1e3))
def test_a_mark_stands_on_the_side_of_the_threshold_that_the_verdict_says(
    distance: float, threshold: float
) -> None:
    check = replace(CHECK, distance=distance, threshold=threshold, agreed=distance <= threshold)
    (row,) = evidence.checks(replace(EVIDENCE, checks=(check,)))
    mark, limit = row.gauge.mark, row.gauge.limit
    assert mark is not None
    assert 0 <= mark <= spreads.WIDTH - evidence.MARK
    assert 0 < limit < spreads.WIDTH
    if distance < threshold / 2:
        assert mark < limit
    if distance > 2 * threshold:
        assert mark > limit
    assert ("right" if check.agreed else "wrong") in row.gauge.summary


@pytest.mark.parametrize(
    ("distance", "said"),
    [
        (0.0, "the same to the last bit"),
        (1e-8, "10 times below the threshold"),
        (9.9e-8, "just below the threshold"),
        (3.2e-7, "3.2 times above the threshold"),
        (0.5, "5,000,000 times above the threshold"),
        (1e308, "not comparable"),
    ],
)
def test_how_far_an_answer_is_off_is_said_in_words(distance: float, said: str) -> None:
    check = replace(CHECK, distance=distance, threshold=1e-7, agreed=distance <= 1e-7)
    (row,) = evidence.checks(replace(EVIDENCE, checks=(check,)))
    assert row.ratio == said


@given(st.integers(0, 1_000_000), st.none() | st.integers(0, 999_999))
def test_what_was_drawn_is_left_of_its_probability_exactly_if_it_is_run_again(
    p: int, number: int | None
) -> None:
    gauge = evidence.draw_gauge(Draw(p, 1, "", 0.0, None, number))
    assert 0 <= gauge.limit <= spreads.WIDTH
    if number is None:
        assert gauge.mark is None
        assert "not told yet" in gauge.summary
    else:
        assert gauge.mark is not None
        if abs(number - p) > 10_000:
            assert (gauge.mark < gauge.limit) == (number < p)


def test_every_state_and_standing_has_its_words() -> None:
    for state in get_args(EvidenceState):
        told = evidence.verdict(state)
        assert told.words
        assert told.meaning.endswith(".")
    for why in get_args(WhyGivenUp):
        assert evidence.why_given_up(why).endswith(".")
    for standing in get_args(Standing):
        assert words.standing(standing)
        assert words.standing_look(standing)
        assert words.standing_meaning(standing)


def health(*spans: HealthSpan, kinds: tuple[ClassHealth, ...] = ()) -> Health:
    total = HealthCounts(
        *(sum(getattr(each, name) for each in spans) for name in HealthCounts.__struct_fields__)
    )
    return Health("text", "hour", 3_600, spans, total, kinds, len(kinds), (), {}, 0)


def test_nothing_of_something_is_not_the_same_as_nothing() -> None:
    quiet = HealthSpan(0, 0, 0, 0, 0, 0, at=0)
    right = HealthSpan(100, 100, 5, 5, 0, 0, at=3_600)
    wrong = HealthSpan(100, 100, 20, 20, 1, 1, at=7_200)
    chart = evidence.mismatch_chart(health(quiet, right, wrong))
    assert [(c.known, c.height) for c in chart.columns] == [(False, 0), (True, 0), (True, 100)]
    assert chart.top == "5 %"
    assert "1 of 25 answers run again differed (4 %); 1 was found wrong" in chart.summary
    assert evidence.audit_chart(health(quiet)).summary == "No answer was subject to a draw."


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=1, max_size=48))
def test_columns_stay_inside_the_chart(counts: list[tuple[int, int]]) -> None:
    spans = [
        HealthSpan(part + rest, part + rest, part, part + rest, part, 0, at=3_600 * n)
        for n, (part, rest) in enumerate(counts)
    ]
    for chart in (evidence.audit_chart(health(*spans)), evidence.mismatch_chart(health(*spans))):
        assert len(chart.columns) == len(spans)
        for column, (part, rest) in zip(chart.columns, counts, strict=True):
            assert 0 <= column.y <= 100
            assert column.y + column.height == 100
            assert column.known == (part + rest > 0)
            assert (column.height > 0) == (part > 0)


def test_small_charts_of_classes_share_a_scale() -> None:
    def kind(name: str, differed: int) -> ClassHealth:
        span = HealthSpan(100, 100, 100, 100, differed, 0, at=0)
        counts = {each: getattr(span, each) for each in HealthCounts.__struct_fields__}
        return ClassHealth(
            model="m", digest="d", dtype="q8", device_class=name, spans=(span,), **counts
        )

    spans = HealthSpan(200, 200, 200, 200, 60, 0, at=0)
    rows = evidence.class_rows(health(spans, kinds=(kind("bad", 50), kind("good", 10))))
    assert [row.chart.columns[0].height for row in rows] == [100, 20]
    assert [row.rate for row in rows] == ["50 %", "10 %"]


# --- pages ---------------------------------------------------------------------------------


async def test_a_job_shows_its_evidence_and_leads_on() -> None:
    html = (await browser_of(MadeViews()).get(f"/explorer/jobs/{JOB_ID}")).text
    assert "Run again: right" in html
    assert "3.3 times below the threshold" in html
    assert "1 - cosine of the worst row" in html
    assert "12,345" in html
    assert "&lt;i&gt;cpu&lt;/i&gt;" in html
    assert "<i>cpu" not in html
    for link in (f"/api/jobs/{JOB_ID}/evidence", f"/explorer/jobs/{JOB_ID}/postings"):
        assert f'href="{link}"' in html


async def test_a_check_of_steps_names_all_that_it_looked_at() -> None:
    class Views(MadeViews):
        async def evidence(self, job: str, receipt: Receipt | None) -> Evidence:
            parts = (
                CheckPart("noise", None, 0.0, 1e-6),
                CheckPart("step <3>", 2, 2e-4, 1e-3),
                CheckPart("picture", None, 1e308, 4.5),
            )
            made = replace(CHECK, method="steps", part="picture", parts=parts)
            return replace(EVIDENCE, checks=(made,))

    html = (await browser_of(Views()).get(f"/explorer/jobs/{JOB_ID}")).text
    assert "step &lt;3&gt;: 2·10⁻⁴, wrong above 0.001; picture: beyond measure" in html
    plain = (await browser_of(MadeViews()).get(f"/explorer/jobs/{JOB_ID}")).text
    assert 'data-testid="check-parts"' not in plain


async def test_a_job_says_which_check_nobody_made_and_why() -> None:
    class Views(MadeViews):
        async def evidence(self, job: str, receipt: Receipt | None) -> Evidence:
            fact = GivenUp("givenup_1", job, "second", "late", 1_010.0, 1_400.0)
            return replace(EVIDENCE, state="given_up", given_up=(fact,))

    html = (await browser_of(Views()).get(f"/explorer/jobs/{JOB_ID}")).text
    assert "Drawn, but given up" in html
    assert "No reference could run it in time." in html
    assert html.count("Second opinion") == 1
    plain = (await browser_of(MadeViews()).get(f"/explorer/jobs/{JOB_ID}")).text
    assert 'data-testid="given-up"' not in plain


async def test_a_wallet_shows_its_record_by_unit() -> None:
    html = (await browser_of(MadeViews()).get(f"/explorer/wallets/{ADDRESS}")).text
    assert 'data-testid="unit-row"' in html
    assert "proven" in html
    assert "&lt;b&gt;class&lt;/b&gt;" in html


async def test_health_is_of_a_grid_that_is_there() -> None:
    browser = browser_of(MadeViews())
    html = (await browser.get("/explorer/health?grid=text&by=day")).text
    assert "2 of 8 answers run again differed (25 %)" in html
    assert "&lt;b&gt;class&lt;/b&gt;" in html
    assert (await browser.get("/explorer/health?grid=%3Cb%3E")).status_code == 404


async def test_postings_behind_totals_go_on_and_name_no_user() -> None:
    browser = browser_of(MadeViews())
    html = (await browser.get("/explorer/postings")).text
    assert 'href="?of=settled&amp;before=8"' in html
    assert JOB_ID in html
    for path in ("/explorer/postings?of=users", f"/explorer/jobs/{NOBODY}/postings"):
        assert (await browser.get(path)).status_code == 404


async def test_every_total_leads_to_its_postings() -> None:
    browser = browser_of(MadeViews())
    html = (await browser.get("/explorer")).text
    for of, figure in (("settled", "settled"), ("paid", "paid"), ("refunded", "failed")):
        assert f'href="/explorer/postings?of={of}" data-figure="{figure}"' in html
    assert 'of=settled" data-figure="settled"' in (await browser.get("/")).text
