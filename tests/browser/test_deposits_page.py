"""Credit in the playground: paid in from a connected wallet, and given back by a button."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import APIResponse, BrowserContext, Page, Response, Route, expect
from solders.keypair import Keypair

from tabgrid_server.chain.rpc import Rpc
from tests.support.elsewhere import elsewhere
from tests.support.grid import Grid
from tests.support.payers import SOL, Bank

MODEL = "all-MiniLM-L6-v2"
SETTINGS = """
[grids.text]
demo_credit = 7000000
"""
UNIT = 10**6
WALLET_JS = Path(__file__).parent / "wallet.js"


def fund(grid: Grid, seed: bytes, amount: int) -> Keypair:
    """A wallet with SOL and tokens, whose key the page's wallet is given too."""
    wallet = Keypair.from_seed(seed)
    grid.until_chain_is_open()

    async def give() -> None:
        async with Rpc(grid.rpc) as rpc:
            await rpc.airdrop(wallet.pubkey(), SOL)
            bank = Bank.of_treasury(rpc, Path(grid.folder) / "data")
            await bank.give(wallet.pubkey(), amount)

    elsewhere(give())
    return wallet


def open_playground(
    grid: Grid, context: BrowserContext, seed: bytes, **options: Any
) -> tuple[Page, list[str]]:
    wrong: list[str] = []
    chosen = {"seed": seed.hex(), **options}
    context.add_init_script(f"window.testWallet = {chosen!r};".replace("True", "true"))
    context.add_init_script(path=WALLET_JS)
    grid.until_chain_is_open()
    page = context.new_page()
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda m: wrong.append(m.text) if "Content Security" in m.text else None)
    page.goto(f"{grid.url}/playground?model={MODEL}")
    page.get_by_test_id("create-key").click()
    expect(page.get_by_test_id("credit")).to_have_text("7.00 TGT")
    page.get_by_test_id("deposit-add").click()
    return page, wrong


def is_new_deposit(answer: Response) -> bool:
    return answer.request.method == "POST" and answer.url.endswith("/api/deposits")


@pytest.mark.timeout(400)  # two finalities, on a machine that also runs a browser
def test_paid_in_from_the_connected_wallet_and_refunded(
    grid: Grid, new_context: Callable[..., BrowserContext], browser_config: dict[str, Any]
) -> None:
    seed = b"\x07" * 32
    fund(grid, seed, 9 * UNIT)
    context = new_context()
    context.set_default_timeout(browser_config["SLOW_TIMEOUT_MS"])
    expect.set_options(timeout=browser_config["SLOW_TIMEOUT_MS"])
    page, wrong = open_playground(grid, context, seed)
    page.get_by_test_id("deposit-amount").fill("2.5")
    with page.expect_response(is_new_deposit) as made:
        page.get_by_test_id("deposit-amount").press("Enter")
    deposit = made.value.json()["id"]
    expect(page.get_by_test_id("deposit-state")).to_have_attribute("data-state", "waiting")
    expect(page.get_by_test_id("deposit-qr").locator("svg path").first).to_be_attached()
    link = page.get_by_test_id("deposit-link").get_attribute("href")
    assert link is not None
    assert link.startswith("solana:")
    assert "amount=2.5&" in link

    sent: list[tuple[Route, APIResponse]] = []
    page.route("**/send", lambda route: sent.append((route, route.fetch())), times=1)
    pay = page.get_by_test_id("deposit-pay-test-wallet")
    pay.focus()
    for _ in range(2):  # the page asks how far it is, and whoever is about to press stays there
        page.wait_for_event("response", lambda answer: answer.url.endswith(f"/deposits/{deposit}"))
    expect(pay).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("deposit-state")).to_have_attribute("data-state", "paid")
    expect(page.get_by_test_id("deposit-state")).to_have_text("2.50 TGT came and are credited.")
    expect(page.get_by_test_id("credit")).to_have_text("9.50 TGT")

    # The payment's own answer is still to come: whoever pressed now would press in vain.
    refund = page.get_by_test_id("refund")
    expect(refund).to_be_disabled()
    [(route, answer)] = sent
    route.fulfill(response=answer)
    refund.click()
    expect(page.get_by_test_id("refund-state")).to_have_attribute("data-state", "finalized")
    expect(page.get_by_test_id("credit")).to_have_text("7.00 TGT")
    expect(refund).to_have_count(0)
    assert wrong == []


def test_an_amount_that_is_none_is_said_so(
    grid: Grid, new_context: Callable[..., BrowserContext]
) -> None:
    page, wrong = open_playground(grid, new_context(), b"\x08" * 32)
    page.get_by_test_id("deposit-amount").fill("two")
    page.get_by_test_id("deposit-create").click()
    expect(page.get_by_test_id("deposit-error")).to_contain_text('"two" is no amount of TGT')
    assert wrong == []
