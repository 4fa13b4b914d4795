"""What a tab says of its surroundings: no network, no isolation; and that it works on."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Route, expect

from tests.support.grid import Grid
from tests.support.tab import Tab

ISOLATING = ("cross-origin-opener-policy", "cross-origin-embedder-policy")


def test_a_machine_without_network_is_told_so_and_goes_on_by_itself(
    grid: Grid, open_tab: Callable[..., Tab]
) -> None:
    tab = open_tab(grid.url).visit("wasm")
    tab.connect()
    tab.start().expect_state("ready")
    notice = tab.page.get_by_role("alert").filter(has_text="This machine is offline.")
    tab.context.set_offline(True)
    expect(notice).to_be_visible()
    tab.context.set_offline(False)
    expect(notice).to_have_count(0)
    tab.expect_state("ready")


def test_a_page_that_a_proxy_stripped_of_its_headers_works_with_one_thread(
    grid: Grid, open_tab: Callable[..., Tab]
) -> None:
    """Without COOP and COEP browsers share no memory between threads."""
    tab = open_tab(grid.url)
    tab.context.route("**/node*", _without_isolation)
    tab.visit("wasm")
    alert = tab.page.get_by_role("alert")
    expect(alert.filter(has_text="not cross-origin isolated")).to_be_visible()
    expect(tab.page.locator("#fact-isolation")).to_have_text("no: one thread only")
    tab.connect()
    tab.start().expect_state("ready")


def _without_isolation(route: Route) -> None:
    answer = route.fetch()
    headers = {name: value for name, value in answer.headers.items() if name not in ISOLATING}
    route.fulfill(response=answer, headers=headers)
