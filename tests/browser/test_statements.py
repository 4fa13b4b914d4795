"""From a figure of money to the postings behind it, as a person clicks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.sync_api import BrowserContext, Page, expect

from tests.support.grid import Grid
from tests.support.tab import Tabs


def test_a_keys_credit_leads_to_its_postings(grid: Grid, page: Page) -> None:
    page.goto(f"{grid.url}/playground/statement")
    expect(page.locator("#lines-none")).to_contain_text("keeps no key")
    page.goto(f"{grid.url}/playground")
    page.get_by_test_id("create-key").click()
    expect(page.get_by_test_id("credit")).to_have_text("1,000.00 TGT")
    page.get_by_test_id("credit").click()
    line = page.get_by_test_id("statement-line")
    expect(line).to_have_count(1)
    expect(line).to_contain_text("Credit given")
    expect(line).to_contain_text("+1,000.00 TGT")
    expect(page.get_by_test_id("earlier")).to_be_hidden()
    with page.expect_download() as saving:
        page.get_by_test_id("statement-csv").click()
    head, given = Path(saving.value.path()).read_text().splitlines()
    assert head.startswith("time,kind,account,amount,balance,")
    assert ",grant,credit,1000000000,1000000000,TGT," in given


def test_a_wallets_figures_lead_to_its_statement(
    grid: Grid, new_context: Callable[[], BrowserContext], browser_config: dict[str, Any]
) -> None:
    tabs = Tabs(new_context, browser_config["TIMEOUT_MS"])
    tab = tabs.open(grid.url).visit()
    assert tab.find("claimable").get_attribute("href") is None
    wallet = tab.connect()
    tab.find("claimable").click()
    tab.page.wait_for_url(f"{grid.url}/explorer/wallets/{wallet}/statement?account=claimable")
    expect(tab.page.locator("main")).to_contain_text("Nothing was booked here yet.")
    tabs.check()
