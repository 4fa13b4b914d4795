"""The pages as people meet them: by phone, by keyboard, by screen reader, without script."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, Route, expect

from tests.support.grid import Grid

AXE = Path(__file__).resolve().parents[2] / "browser_node/node_modules/axe-core/axe.min.js"
#: Names of the pages; `Seen` knows their addresses.
PAGES = ("home", "node", "playground", "explorer", "job", "wallet", "docs", "guide", "missing")
NODES = 1
#: The narrowest phone in wide use, a tablet, a laptop.
WIDTHS = (360, 390, 820, 1440)


@pytest.fixture(scope="module")
def addresses(grid: Grid) -> dict[str, str]:
    """Every kind of page, on a grid that has done a job."""
    with httpx.Client(base_url=grid.url, timeout=60) as client:
        key = client.post("/api/keys", json={"label": "pages"}).json()["key"]
        headers = {"authorization": f"Bearer {key}", "prefer": "wait=60"}
        body = {"model": "all-MiniLM-L6-v2", "input": {"texts": ["A tab earns."]}}
        job = client.post("/api/jobs", json=body, headers=headers).json()
        assert job["state"] == "done", job
    paths = {
        "home": "/",
        "node": "/node",
        "playground": "/playground?model=all-MiniLM-L6-v2",
        "explorer": "/explorer",
        "job": f"/explorer/jobs/{job['id']}",
        "wallet": f"/explorer/wallets/{job['wallet']}",
        "docs": "/docs",
        "guide": "/docs/operators",
        "missing": "/nowhere",
    }
    return {name: grid.url + path for name, path in paths.items()}


@pytest.fixture(params=["light", "dark"])
def scheme(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing(
    watched: Callable[..., Page], addresses: dict[str, str], name: str, scheme: str
) -> None:
    page = watched(color_scheme=scheme)
    page.goto(addresses[name])
    page.evaluate(AXE.read_text("utf-8"))
    found = page.evaluate("axe.run().then((r) => r.violations)")
    assert [(v["id"], [n["html"] for n in v["nodes"]]) for v in found] == []


@pytest.mark.parametrize("name", PAGES)
def test_no_page_scrolls_sideways(
    watched: Callable[..., Page], addresses: dict[str, str], name: str
) -> None:
    page = watched()
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 800})
        page.goto(addresses[name])
        over = page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        assert over <= 0, f"{over} px too wide at {width}"


@pytest.mark.parametrize("name", PAGES)
def test_a_window_that_is_made_smaller_is_filled_and_not_passed(
    watched: Callable[..., Page], addresses: dict[str, str], name: str
) -> None:
    """As a phone that is turned does: what was drawn in the wider one must give way."""
    page = watched()
    page.set_viewport_size({"width": 1440, "height": 800})
    page.goto(addresses[name])
    if name in ("home", "explorer"):
        expect(page.locator(".uplot")).to_be_visible()
    for width in reversed(WIDTHS):
        page.set_viewport_size({"width": width, "height": 800})
        page.wait_for_function(
            "() => document.documentElement.scrollWidth <= document.documentElement.clientWidth"
        )


@pytest.mark.parametrize("name", ["home", "playground", "explorer", "job", "wallet"])
def test_nothing_moves_after_the_first_paint(
    watched: Callable[..., Page], addresses: dict[str, str], name: str
) -> None:
    page = watched()
    page.goto(addresses[name])
    page.wait_for_function("document.fonts.status === 'loaded'")
    shift = page.evaluate(
        """() => new Promise((resolve) => {
            let sum = 0;
            const add = (list) => list.getEntries().forEach((e) => { sum += e.value; });
            const seen = new PerformanceObserver(add);
            seen.observe({ type: "layout-shift", buffered: true });
            setTimeout(() => { add({ getEntries: () => seen.takeRecords() }); resolve(sum); }, 500);
        })"""
    )
    assert shift < 0.02


def test_the_keyboard_reaches_everything_and_shows_where_it_is(
    watched: Callable[..., Page], addresses: dict[str, str]
) -> None:
    page = watched()
    page.goto(addresses["explorer"])
    page.keyboard.press("Tab")
    skip = page.locator(".skip")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()
    seen = set()
    # Totals, health, a node, the switch, a job, its wallet, and on into the foot of the page.
    for _ in range(16):
        page.keyboard.press("Tab")
        seen.add(page.evaluate("document.activeElement.getAttribute('href') ?? ''"))
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid"
    assert any(href.startswith("/explorer/jobs/") for href in seen)


@pytest.mark.parametrize("name", ["home", "explorer", "job", "wallet", "guide"])
def test_pages_are_useful_without_script(
    watched: Callable[..., Page], addresses: dict[str, str], name: str
) -> None:
    page = watched(java_script_enabled=False)
    page.goto(addresses[name])
    expect(page.locator("h1")).to_be_visible()
    expect(page.locator(".copy:visible")).to_have_count(0)
    if name in ("explorer", "wallet"):
        assert page.get_by_test_id("job-row").count() > 0


def test_the_explorer_is_live_and_can_be_held_still(
    watched: Callable[..., Page], addresses: dict[str, str], grid: Grid
) -> None:
    page = watched()
    page.goto(addresses["explorer"])
    expect(page.locator("#live-state")).to_have_text("live")
    rows = page.get_by_test_id("job-row")
    before = rows.count()
    _run_job(grid)
    expect(rows).to_have_count(before + 1)
    expect(rows.first.locator(".state")).to_have_text("done")
    toggle = page.locator("#live-toggle")
    toggle.click()
    expect(toggle).to_have_attribute("aria-pressed", "false")
    _run_job(grid)
    done = page.locator("[data-figure=done]")
    expect(done).to_have_text(str(before + 2))
    expect(rows).to_have_count(before + 1)


def test_what_was_done_before_the_page_listened_is_shown_too(
    watched: Callable[..., Page], addresses: dict[str, str], grid: Grid
) -> None:
    page = watched()
    held: list[Route] = []
    page.route("**/api/events", lambda route: held.append(route))
    page.goto(addresses["explorer"])
    expect(page.locator("#live-state")).to_have_text("connecting")
    while not held:
        page.wait_for_timeout(20)
    rows = page.get_by_test_id("job-row")
    before = rows.count()
    _run_job(grid)
    expect(rows).to_have_count(before)
    held[0].continue_()
    expect(rows).to_have_count(before + 1)
    expect(rows.first.locator(".state")).to_have_text("done")


def test_the_playground_answers(watched: Callable[..., Page], addresses: dict[str, str]) -> None:
    page = watched()
    page.goto(addresses["playground"])
    send = page.get_by_test_id("send")
    expect(send).to_be_disabled()
    page.get_by_test_id("create-key").click()
    expect(page.get_by_test_id("api-key")).to_have_text(re.compile(r"^tg_\S{20,}$"))
    page.get_by_test_id("text-a").fill("The cat sleeps.")
    page.get_by_test_id("text-b").fill("The cat sleeps.")
    send.click()
    expect(page.get_by_test_id("similarity")).to_have_text("1.000")
    page.get_by_test_id("text-b").fill("Interest rates rose again in March.")
    send.click()
    expect(page.get_by_test_id("similarity")).to_have_text(re.compile(r"^-?0\.[0-3]"))
    page.get_by_test_id("receipt-link").click()
    expect(page.get_by_test_id("job-state")).to_have_text("done")


def test_a_key_is_shown_in_full_only_once(
    watched: Callable[..., Page], addresses: dict[str, str]
) -> None:
    page = watched()
    page.goto(addresses["playground"])
    page.get_by_test_id("create-key").click()
    shown = page.get_by_test_id("api-key")
    expect(shown).to_have_text(re.compile(r"^tg_[^…]+$"))
    page.reload()
    expect(shown).to_have_text(re.compile(r"^tg_\S+…\S+$"))
    expect(page.get_by_test_id("credit")).to_have_text(re.compile(r"^[\d,.]+ TGT$"))
    page.locator("#key-forget").click()
    expect(page.get_by_test_id("create-key")).to_be_visible()


def test_the_playground_says_when_the_coordinator_is_gone(
    watched: Callable[..., Page], addresses: dict[str, str]
) -> None:
    page = watched()
    page.goto(addresses["playground"])
    page.get_by_test_id("create-key").click()
    expect(page.get_by_test_id("send")).to_be_enabled()
    page.context.set_offline(True)
    page.get_by_test_id("send").click()
    expect(page.locator("#run-status")).to_contain_text("does not answer")


def _run_job(grid: Grid) -> None:
    with httpx.Client(base_url=grid.url, timeout=60) as client:
        key = client.post("/api/keys", json={"label": "live"}).json()["key"]
        headers = {"authorization": f"Bearer {key}", "prefer": "wait=60"}
        body = {"model": "all-MiniLM-L6-v2", "input": {"texts": ["Live."]}}
        assert client.post("/api/jobs", json=body, headers=headers).json()["state"] == "done"
