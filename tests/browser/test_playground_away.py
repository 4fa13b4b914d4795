"""The connection is cut while a job is under way: the page says what is true, and finds it."""

from __future__ import annotations

import time

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.test_playground_pictures import frozen, start_drawing
from tests.support.grid import Grid
from tests.support.listening import listen, until_said

UNHEARD = "not known whether the order arrived"
LOST = "The connection to the coordinator is lost. Your job is kept"


@pytest.fixture(scope="module")
def grid(picture_grid: Grid) -> Grid:
    return picture_grid


@pytest.fixture
def page(playground: Page) -> Page:
    return playground


def renew_node(grid: Grid) -> None:
    """A node comes back by itself, but the longer the grid was away the longer it waits before:
    up to a minute, which is as long as a test waits for a picture."""
    grid.nodes.pop().stop()
    grid.start_node("node", "images", "text").ready()


def newest_job(grid: Grid) -> str:
    with grid.client() as client:
        return str(client.get("/api/jobs?limit=1").json()["jobs"][0]["id"])


def jobs_since(grid: Grid, job: str) -> int:
    with grid.client() as client:
        newest = client.get("/api/jobs?limit=100").json()["jobs"]
    return [row["id"] for row in newest].index(job)


def until_over(grid: Grid, job: str) -> str:
    """Its state, which the page in the test does not hear of."""
    until = time.monotonic() + 60
    with grid.client() as client:
        while (state := client.get(f"/api/jobs/{job}").json()["state"]) not in (
            "done",
            "cancelled",
        ):
            assert time.monotonic() < until, f"{job} is still {state}"
            time.sleep(0.05)
    return str(state)


def go_offline(page: Page) -> None:
    page.context.set_offline(True)
    expect(page.locator("#run-status")).to_contain_text(LOST)
    expect(page.get_by_test_id("send")).to_be_disabled()
    assert "charged" not in page.locator("main").inner_text()


def expect_drawn_and_paid(page: Page) -> None:
    expect(page.locator("#run-status")).to_have_text("Drawn", timeout=60_000)
    expect(page.get_by_test_id("stage")).to_have_attribute("data-state", "there")
    expect(page.locator("#answer-price")).to_have_text("0.02 TGT")
    expect(page.get_by_test_id("credit")).to_have_text("0.98 TGT")


def test_a_picture_that_was_finished_while_the_tab_was_offline_is_shown_and_was_paid(
    page: Page, grid: Grid
) -> None:
    with frozen(grid):
        start_drawing(page)
        go_offline(page)
    assert until_over(grid, newest_job(grid)) == "done"
    page.context.set_offline(False)
    expect_drawn_and_paid(page)


def test_nothing_was_charged_is_said_once_the_job_says_so(page: Page, grid: Grid) -> None:
    key = page.evaluate("localStorage.getItem('tabgrid.playground.key')")
    with frozen(grid):
        start_drawing(page)
        go_offline(page)
        job = newest_job(grid)
        with grid.client(headers={"Authorization": f"Bearer {key}"}) as client:
            assert client.post(f"/api/jobs/{job}/cancel").status_code == 200
        page.context.set_offline(False)
        expect(page.locator("#run-status")).to_contain_text("Nothing was charged.")
    expect(page.get_by_test_id("stage")).to_contain_text("Nothing was drawn, nothing was charged.")
    expect(page.get_by_test_id("credit")).to_have_text("1.00 TGT")


def test_a_cancel_that_does_not_arrive_is_not_taken_for_one(page: Page, grid: Grid) -> None:
    with frozen(grid):
        start_drawing(page)
        go_offline(page)
        listen(page, "run-status")
        page.get_by_test_id("cancel").click()
        # The next look for the job, which fails too, says something else.
        until_said(page, "run-status", "Not cancelled yet.")
        page.context.set_offline(False)
        expect(page.locator("#run-status")).to_contain_text("Drawing on")
        page.get_by_test_id("cancel").click()
        expect(page.locator("#run-status")).to_contain_text("Nothing was charged.")


def test_a_coordinator_that_dies_and_comes_back_has_kept_the_job(page: Page, grid: Grid) -> None:
    with frozen(grid):
        start_drawing(page)
        grid.coordinator.kill()
        expect(page.locator("#run-status")).to_contain_text(LOST)
        grid.coordinator = grid.start_coordinator()
        grid.coordinator.ready()
    renew_node(grid)
    expect_drawn_and_paid(page)


def ready_to_draw(page: Page) -> None:
    page.get_by_test_id("steps").fill("20")
    expect(page.get_by_test_id("price")).to_have_text("0.02 TGT")


def test_an_order_that_found_nobody_is_sent_again_once_somebody_is_there(
    page: Page, grid: Grid
) -> None:
    ready_to_draw(page)
    grid.coordinator.kill()
    page.get_by_test_id("prompt").fill("a ball that nobody hears of")
    expect(page.locator("#price-note")).to_contain_text("does not answer")
    page.get_by_test_id("send").click()
    expect(page.locator("#run-status")).to_contain_text(UNHEARD, timeout=60_000)
    grid.coordinator = grid.start_coordinator()
    grid.coordinator.ready()
    renew_node(grid)
    expect_drawn_and_paid(page)


def test_an_order_whose_answer_was_lost_is_found_and_paid_once(page: Page, grid: Grid) -> None:
    ready_to_draw(page)
    # It arrives, and the connection goes before the grid's word is here: twice.
    page.route("**/api/jobs", lambda route: (route.fetch(), route.abort()), times=2)
    before = newest_job(grid)
    page.get_by_test_id("send").click()
    expect_drawn_and_paid(page)
    assert jobs_since(grid, before) == 1


def test_an_order_whose_answer_was_lost_is_found_when_the_page_is_loaded_again(
    page: Page, grid: Grid
) -> None:
    page.get_by_test_id("prompt").fill("a ball, sent and left")
    ready_to_draw(page)
    page.route("**/api/jobs", lambda route: (route.fetch(), route.abort()))
    before = newest_job(grid)
    page.get_by_test_id("send").click()
    expect(page.locator("#run-status")).to_contain_text(UNHEARD, timeout=60_000)
    page.unroute_all(behavior="wait")
    page.reload()
    expect(page.get_by_test_id("prompt")).to_have_value("a ball, sent and left")
    expect_drawn_and_paid(page)
    assert jobs_since(grid, before) == 1


def test_an_answer_that_is_cut_off_in_the_middle_is_asked_for_again(page: Page, grid: Grid) -> None:
    ready_to_draw(page)

    def cut(route: Route) -> None:
        whole = route.fetch().text()
        route.fulfill(status=202, content_type="application/json", body=whole[:20])

    page.route("**/api/jobs", cut, times=1)
    before = newest_job(grid)
    page.get_by_test_id("send").click()
    expect_drawn_and_paid(page)
    assert jobs_since(grid, before) == 1


def test_an_order_that_the_grid_broke_on_is_not_called_free(page: Page, grid: Grid) -> None:
    ready_to_draw(page)
    error = {"message": "Something broke.", "type": "server_error", "code": "internal"}
    page.route("**/api/jobs", lambda route: route.fulfill(status=500, json={"error": error}))
    page.get_by_test_id("send").click()
    words = "Whether it was charged is not known here."
    expect(page.locator("#run-status")).to_contain_text(words, timeout=60_000)
    expect(page.get_by_test_id("stage")).not_to_contain_text("charged")
    page.get_by_role("link", name="See your statement").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("statement")


def test_a_page_that_is_loaded_again_goes_on_with_its_picture(page: Page, grid: Grid) -> None:
    page.get_by_test_id("prompt").fill("a ball, come back to")
    with frozen(grid):
        start_drawing(page)
        page.reload()
        expect(page.locator("#run-status")).to_contain_text("Drawing on")
        expect(page.get_by_test_id("prompt")).to_have_value("a ball, come back to")
    expect_drawn_and_paid(page)
    expect(page.get_by_test_id("own-picture")).to_have_count(1)
    page.reload()
    expect(page.get_by_test_id("stage")).to_have_attribute("data-state", "empty")


def test_two_texts_are_answered_after_a_cut_and_a_reload(page: Page, grid: Grid) -> None:
    page.get_by_test_id("model-all-MiniLM-L6-v2").click()
    page.get_by_test_id("text-a").fill("One.")
    with frozen(grid):
        page.get_by_test_id("send").click()
        expect(page.locator("#run-status")).to_contain_text("Computing on")
        go_offline(page)
        page.context.set_offline(False)
        expect(page.locator("#run-status")).to_contain_text("Computing on")
        page.reload()
        expect(page.locator("#run-status")).to_contain_text("Computing on")
        expect(page.get_by_test_id("text-a")).to_have_value("One.")
    expect(page.locator("#run-status")).to_have_text("Answered")
    expect(page.get_by_test_id("similarity")).to_be_visible()
