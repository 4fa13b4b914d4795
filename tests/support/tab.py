"""A tab of the node page as a person uses it: by what is written on the controls."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.sync_api import BrowserContext, Locator, Page, expect

WALLET = Path(__file__).resolve().parent.parent / "browser" / "wallet.js"
#: A settled amount as the page writes it: digits, a symbol.
SOME_MONEY = re.compile(r"^(?!0\.0+ )[\d,]+\.\d+ \w+$")


class Tab:
    """One node page in a browser profile of its own, with or without a wallet extension."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.context = context
        self.url = url
        #: What went wrong in the page without anybody catching it; tests end with none.
        self.errors: list[str] = []
        self.page = self.open_page()

    def open_page(self) -> Page:
        page = self.context.new_page()
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        return page

    @classmethod
    def with_wallet(cls, context: BrowserContext, url: str, **options: Any) -> Tab:
        """`options` are those at the head of wallet.js."""
        context.add_init_script(f"window.testWallet = {json.dumps(options)}")
        context.add_init_script(path=WALLET)
        return cls(context, url)

    def visit(self, backend: str = "") -> Tab:
        """Open the node page; `backend` forces wasm or webgpu."""
        self.page.goto(f"{self.url}/node" + (f"?backend={backend}" if backend else ""))
        return self

    def find(self, testid: str) -> Locator:
        return self.page.get_by_test_id(testid)

    def choose_wallet(self, slug: str = "test-wallet") -> Tab:
        """Press through to the wallet, without waiting for what it says."""
        if not self.page.locator("#wallet-list").is_visible():
            self.find("connect-wallet").click()
        self.find(f"wallet-option-{slug}").click()
        return self

    def connect(self, slug: str = "test-wallet") -> str:
        """Sign in; the wallet's address."""
        self.choose_wallet(slug)
        return self.address()

    def address(self) -> str:
        expect(self.find("wallet-address")).to_be_visible()
        return self.find("wallet-address").get_attribute("title") or ""

    def start(self, grid: str = "text") -> Tab:
        self.find(f"grid-{grid}").check()
        self.find("start").click()
        return self

    def expect_state(self, *states: str) -> Tab:
        expect(self.find("node-state")).to_have_text(re.compile(f"^({'|'.join(states)})$"))
        return self

    def expect_money(self, testid: str) -> Tab:
        expect(self.find(testid)).to_have_text(SOME_MONEY)
        return self

    def wallet_log(self) -> list[str]:
        """Features of the injected wallet that the page has called, in order."""
        log: list[str] = self.page.evaluate("window.testWallet.log")
        return log


class Tabs:
    """The tabs of one test, each in a fresh profile that `new_context` makes."""

    def __init__(self, new_context: Callable[[], BrowserContext], timeout_ms: float) -> None:
        expect.set_options(timeout=timeout_ms)
        self._new_context = new_context
        self._timeout_ms = timeout_ms
        self._made: list[Tab] = []

    def open(self, url: str, *, wallet: bool = True, **options: Any) -> Tab:
        """A tab with the injected wallet and its `options`; `wallet=False`: without any."""
        context = self._new_context()
        context.set_default_timeout(self._timeout_ms)
        tab = Tab.with_wallet(context, url, **options) if wallet else Tab(context, url)
        self._made.append(tab)
        return tab

    def check(self) -> None:
        """No page threw anything that nobody caught."""
        assert [error for tab in self._made for error in tab.errors] == []
