"""The owner of a tab whose answers wait to be checked reads on the page that all is well."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import expect

from tests.browser.test_test_again import JOB
from tests.support.grid import Grid
from tests.support.tab import Tab

SETTINGS = """
[scheduling]
lease_min_s = 120
[trust]
unproven_per_unit = 1
"""


def test_a_tab_whose_answers_wait_says_so_and_that_nothing_is_wrong(
    grid: Grid, open_tab: Callable[..., Tab]
) -> None:
    tab = open_tab(grid.url).visit("wasm")
    tab.connect()
    tab.start().expect_state("ready")
    notice = tab.page.locator("#notice")
    expect(notice).to_be_hidden()
    with grid.client(headers={"Authorization": f"Bearer {grid.make_key()}"}) as client:
        job = client.post("/api/jobs", json=JOB, headers={"Prefer": "wait=60"}).json()
        assert job["state"] == "done", job
        expect(notice).to_contain_text("Your answers wait to be checked.")
        expect(notice).to_contain_text("jobs go on by themselves")
        expect(notice).to_contain_text("Nothing is wrong.")
        expect(tab.page.locator("#notice-action")).to_be_hidden()
        tab.expect_state("ready")
        more = client.post("/api/jobs", json=JOB).json()
        assert client.get(f"/api/jobs/{more['id']}").json()["state"] == "queued"
