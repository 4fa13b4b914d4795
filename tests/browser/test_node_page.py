"""The node page: wallets of every kind, sessions, the owner's controls, and what goes wrong."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.support.grid import Grid
from tests.support.listening import listen, until_said
from tests.support.tab import Tab


def test_sign_in_uses_the_wallets_own_feature(grid: Grid, open_tab: Callable[..., Tab]) -> None:
    tab = open_tab(grid.url).visit()
    tab.connect()
    assert tab.wallet_log() == ["connect", "signIn"]


def test_a_wallet_without_sign_in_signs_the_same_text(
    grid: Grid, open_tab: Callable[..., Tab]
) -> None:
    tab = open_tab(grid.url, signIn=False).visit()
    tab.connect()
    assert tab.wallet_log() == ["connect", "signMessage"]


def test_a_wallet_that_announces_itself_late_appears(
    grid: Grid, open_tab: Callable[..., Tab]
) -> None:
    tab = open_tab(grid.url, name="Slow & Steady!", late=1500).visit()
    tab.find("connect-wallet").click()
    expect(tab.find("wallet-option-demo-wallet")).to_be_visible()
    expect(tab.find("wallet-option-slow-steady")).to_be_visible()


@pytest.mark.parametrize("where", ["connect", "signIn"])
def test_a_refusal_is_calm_and_can_be_taken_back(
    grid: Grid, open_tab: Callable[..., Tab], where: str
) -> None:
    tab = open_tab(grid.url, refuse=where).visit()
    tab.choose_wallet()
    expect(tab.page.locator("#wallet-error")).to_contain_text("You declined in Test Wallet")
    expect(tab.page.locator("#wallet-error")).to_have_attribute("data-tone", "waiting")
    tab.page.evaluate("window.testWallet.refuse = ''")
    tab.connect()


def test_a_wallet_that_changes_the_text_is_told_apart(
    grid: Grid, open_tab: Callable[..., Tab]
) -> None:
    tab = open_tab(grid.url, signIn=False, prefix="Signed by Test: ").visit()
    tab.choose_wallet()
    expect(tab.page.locator("#wallet-error")).to_contain_text("changed the text before signing")
    expect(tab.find("wallet-address")).to_be_hidden()


def test_another_account_than_the_one_asked_for_is_signed_in(
    grid: Grid, open_tab: Callable[..., Tab]
) -> None:
    tab = open_tab(grid.url, other=True).visit()
    tab.choose_wallet()
    signed_in = tab.find("wallet-address").or_(tab.page.locator("#wallet-error:visible"))
    expect(signed_in.first).to_be_visible()


def test_a_session_lasts_over_visits_and_ends_with_sign_out(
    grid: Grid, open_tab: Callable[..., Tab]
) -> None:
    tab = open_tab(grid.url).visit()
    wallet = tab.connect()
    tab.find("grid-text").check()
    tab.page.reload()
    assert tab.address() == wallet
    expect(tab.find("grid-text")).to_be_checked()
    expect(tab.find("start")).to_be_enabled()
    expect(tab.find("node-state")).to_have_text("idle")
    # The page says so at once, and the grid as soon as it hears of it.
    with tab.page.expect_response(lambda answer: answer.request.method == "DELETE"):
        tab.page.locator("#sign-out").click()
    expect(tab.find("connect-wallet")).to_be_visible()
    assert tab.page.evaluate("fetch('/api/auth/session').then(a => a.status)") == 401


def test_an_account_switched_in_the_wallet_is_told(
    grid: Grid, open_tab: Callable[..., Tab]
) -> None:
    tab = open_tab(grid.url).visit()
    wallet = tab.connect()
    tab.page.evaluate("window.testWallet.switchAccount()")
    expect(tab.page.locator("#wallet-error")).to_contain_text(f"goes on earning to {wallet[:4]}")


def test_pause_resume_stop_and_a_crash(grid: Grid, open_tab: Callable[..., Tab]) -> None:
    tab = open_tab(grid.url).visit("wasm")
    tab.connect()
    tab.start().expect_state("ready")
    tab.find("pause").click()
    tab.expect_state("paused")
    tab.find("pause").click()
    tab.expect_state("ready")
    tab.page.context.set_offline(True)
    expect(tab.page.locator("#notice")).to_contain_text("offline")
    tab.page.context.set_offline(False)
    expect(tab.page.locator("#notice")).to_be_hidden()

    [worker] = [one for one in tab.page.workers if "worker" in one.url and "ort" not in one.url][:1]
    listen(tab.page, "message")
    worker.evaluate("() => { setTimeout(() => { throw new Error('out of luck') }) }")
    until_said(tab.page, "message", "The worker stopped: Out of luck.")
    tab.expect_state("ready")

    tab.find("start").click()
    expect(tab.find("node-state")).to_have_text("stopped")
    expect(tab.find("start")).to_have_text("Start")


def test_a_second_tab_is_told_so_and_takes_over(grid: Grid, open_tab: Callable[..., Tab]) -> None:
    first = open_tab(grid.url).visit("wasm")
    first.connect()
    first.start().expect_state("ready")
    second = first.open_page()
    second.goto(f"{grid.url}/node?backend=wasm")
    second.get_by_test_id("start").click()
    expect(second.locator("#notice")).to_contain_text("already runs in another tab")
    first.find("start").click()
    first.expect_state("stopped")
    second.locator("#notice-action").click()
    expect(second.get_by_test_id("node-state")).to_have_text("ready")
