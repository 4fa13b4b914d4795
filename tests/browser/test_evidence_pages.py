"""Evidence, record and health, as somebody follows them from a job that was wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.integration.conftest import EchoGrid
from tests.support.drawn import SECRET_TEXT, Past

pytestmark = pytest.mark.timeout(400)


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Past]:
    grid = EchoGrid(tmp_path_factory.mktemp("past"))
    try:
        made = Past(grid)
        asyncio.run(made.work(4))
        made.today()
        yield made
    finally:
        grid.programs.stop()


def fits(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


def test_from_a_wrong_answer_to_its_node_and_its_postings(past: Past, page: Page) -> None:
    url = past.grid.url
    page.goto(f"{url}/explorer/jobs/{past.wrong}")
    expect(page.get_by_test_id("verdict")).to_have_text("Run again: wrong")
    expect(page.get_by_test_id("check")).to_have_count(2)
    expect(page.get_by_test_id("checks")).to_contain_text("times above the threshold")
    expect(page.get_by_test_id("draw-number")).to_be_visible()
    expect(page.locator("main")).not_to_contain_text(SECRET_TEXT)

    page.get_by_test_id("price-link").click()
    expect(page.locator("main")).to_contain_text("a user's")
    expect(page.locator("main")).to_contain_text("Job settled")

    page.goto(f"{url}/explorer/wallets/{past.cheat.pubkey()}")
    expect(page.get_by_test_id("record-wrong")).to_have_text("1")
    expect(page.get_by_test_id("unit-row")).to_contain_text("webgpu:lab")


def test_a_right_answer_is_shown_and_drawn_again_in_the_browser(past: Past, page: Page) -> None:
    page.goto(f"{past.grid.url}/explorer/jobs/{past.jobs[0]}")
    expect(page.get_by_test_id("verdict")).to_have_text("Run again: right")
    page.get_by_test_id("check-receipt").click()
    result = page.get_by_test_id("check-result")
    expect(result).to_contain_text("the memo on chain has this root")
    expect(result).to_contain_text("It drew again")
    assert fits(page)


def test_a_secret_that_does_not_fit_is_found_in_the_browser(past: Past, page: Page) -> None:
    """A grid that tells the browser another secret than the receipt's."""
    told = {"epoch": 1, "secret": "ab" * 32, "commitment": "cd" * 32}
    page.route("**/api/draws/*", lambda route: route.fulfill(json=told))
    page.goto(f"{past.grid.url}/explorer/jobs/{past.jobs[0]}")
    page.get_by_test_id("check-receipt").click()
    expect(page.get_by_test_id("check-result")).to_contain_text(
        "the secret is not the one that the receipt names"
    )


@pytest.mark.parametrize("width", [390, 1280])
def test_health_is_reached_from_the_explorer_at_any_width(
    past: Past, page: Page, width: int
) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(f"{past.grid.url}/explorer")
    assert fits(page)
    page.get_by_test_id("health-link").click()
    page.get_by_role("link", name="30 days").click()
    expect(page.get_by_test_id("health-wrong")).to_have_text("1")
    expect(page.get_by_test_id("health-rate")).to_have_text("100 %")
    expect(page.get_by_test_id("class-row")).to_contain_text("webgpu:lab")
    expect(page.get_by_test_id("references")).to_have_text("0")
    assert fits(page)


def test_totals_lead_to_their_postings(past: Past, page: Page) -> None:
    page.goto(past.grid.url)
    page.locator('[data-figure="settled"]').click()
    expect(page).to_have_url(f"{past.grid.url}/explorer/postings?of=settled")
    expect(page.get_by_test_id("posting").filter(has_text="Job settled")).to_have_count(6)
    expect(page.get_by_test_id("total")).to_contain_text("6 jobs")
    page.get_by_role("link", name="Paid on chain").click()
    expect(page.locator("main")).to_contain_text("Nothing was booked here yet.")
