"""Lines of a page that stand for a moment only: kept as they come, looked for afterwards.

A page that says something for two seconds says it in vain to who looks once a second, on a
machine where a look takes three.
"""

from __future__ import annotations

from playwright.sync_api import Page

_LISTEN = """(ids) => {
    window.said = {};
    for (const id of ids) {
        const place = document.getElementById(id);
        const lines = window.said[id] = [];
        new MutationObserver(() => lines.push(place.textContent))
            .observe(place, { childList: true, characterData: true, subtree: true });
    }
}"""
_SAID = "([id, text]) => window.said[id].some((line) => line.includes(text))"


def listen(page: Page, *ids: str) -> None:
    """Keep what the elements with these ids say from now on, as `window.said[id]`."""
    page.evaluate(_LISTEN, list(ids))


def until_said(page: Page, id: str, text: str) -> None:
    """Wait until it has said so since `listen`, though it may say something else by now."""
    page.wait_for_function(_SAID, arg=[id, text])
