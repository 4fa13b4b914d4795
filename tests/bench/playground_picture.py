"""README's picture of the playground: python tests/bench/playground_picture.py URL FILE.png.

URL is that of a running demo (`./build/demo`), whose node draws what the page asks for.
"""

from __future__ import annotations

import argparse
import io
import runpy
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Page, ViewportSize, expect, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
CONFIG: dict[str, Any] = runpy.run_path(str(ROOT / "playwright.config.py"))
PROMPT = "a big red circle above a small blue square on a yellow background"
OTHERS = ("a green star on a white background", "two purple hearts", "an orange ring on black")
SIZE: ViewportSize = {"width": 1280, "height": 940}
#: Flat colours and grey text: more would not be seen, and would be bytes in every clone.
COLOURS = 96


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("file", type=Path)
    parser.add_argument("--seed", type=int, default=7)
    asked = parser.parse_args()
    found = next((path for path in CONFIG["EXECUTABLES"] if Path(path).exists()), None)
    expect.set_options(timeout=CONFIG["SLOW_TIMEOUT_MS"])
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=list(CONFIG["ARGUMENTS"]))
        page = browser.new_page(viewport=SIZE, color_scheme="light")
        taken = photograph(page, asked.url, asked.seed)
        browser.close()
    flat = Image.open(io.BytesIO(taken)).convert("RGB")
    flat.quantize(COLOURS, dither=Image.Dither.NONE).save(asked.file, optimize=True)
    print(f"{asked.file}: {asked.file.stat().st_size / 1e3:.0f} kB")


def photograph(page: Page, url: str, seed: int) -> bytes:
    """With a few pictures drawn before it, as one finds it after some minutes."""
    page.goto(f"{url}/playground?model=tabgrid-scenes")
    page.get_by_test_id("create-key").click()
    for at, prompt in enumerate((*OTHERS, PROMPT)):
        page.get_by_test_id("prompt").fill(prompt)
        page.get_by_test_id("seed").fill(str(seed + at))
        page.get_by_test_id("send").click()
        expect(page.get_by_test_id("own-picture")).to_have_count(at + 1)
        expect(page.get_by_test_id("stage")).to_have_attribute("data-state", "there")
    # The key is nobody's business, not even a demo's.
    page.reload()
    page.get_by_test_id("own-picture").first.click()
    expect(page.get_by_test_id("stage")).to_have_attribute("data-state", "there")
    page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
    return page.screenshot()


if __name__ == "__main__":
    main()
