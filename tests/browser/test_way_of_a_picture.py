"""The whole way of a prompt: typed in one tab, drawn in another, paid, claimed, shown to all."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tabgrid_models.connectors.text_to_image import (
    TextToImage,
    TextToImageInput,
    TextToImageOutput,
)
from tabgrid_node.native_runtime import NativeRuntime
from tabgrid_server.library import CHECKOUT, Library, open_library
from tests.support.grid import Grid
from tests.support.models import Progress
from tests.support.picture_grid import MODEL, SHIPPED, make_grid
from tests.support.tab import Tab, Tabs

PROMPT = "a red circle above a blue square"
SEED = 7
#: On WASM the model that people meet; SwiftShader would take minutes for its steps.
WAYS = [
    ("wasm", SHIPPED if (CHECKOUT / SHIPPED / "manifest.json").exists() else MODEL),
    ("webgpu", MODEL),
]


@pytest.fixture(scope="module", params=WAYS, ids=[way for way, _ in WAYS])
def way(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Grid, str, str]]:
    """A grid with no node of its own, the backend of its tab, and the model."""
    backend, model = request.param
    running = make_grid(tmp_path_factory.mktemp("grid"), model)
    try:
        yield running.start(), backend, model
    finally:
        running.stop()


@pytest.fixture
def open_tab(
    new_context: Callable[[], BrowserContext], browser_config: dict[str, Any]
) -> Iterator[Callable[..., Tab]]:
    tabs = Tabs(new_context, browser_config["SLOW_TIMEOUT_MS"])
    yield tabs.open
    tabs.check()


@pytest.mark.timeout(400)  # SwiftShader compiles a shader for each new shape
def test_a_prompt_becomes_a_picture_drawn_by_another_tab(
    way: tuple[Grid, str, str], open_tab: Callable[..., Tab]
) -> None:
    grid, backend, model = way
    tab = open_tab(grid.url).visit(backend)
    wallet = tab.connect()
    tab.start("images").expect_state("ready")
    expect(tab.find("backend")).to_have_text("WebGPU" if backend == "webgpu" else "WASM")

    page = open_tab(grid.url, wallet=False).page
    job = ask(page, grid, model)
    expect(page.locator("#answer-node")).to_contain_text(wallet[:4])
    drawn = fetched(page, grid, job)
    assert agrees(grid, model, drawn), "the tab drew another picture than onnxruntime"

    expect(tab.find("jobs-done")).to_have_text("1")
    tab.expect_money("earned").expect_money("claimable")
    expect(tab.find("claim")).to_be_enabled()
    tab.find("claim").click()
    expect(tab.find("claim-status")).to_have_attribute("data-state", "finalized")

    page.goto(f"{grid.url}/explorer")
    expect(page.get_by_test_id("public-picture").first).to_contain_text(PROMPT)
    page.get_by_test_id("public-picture").first.click()
    expect(page.get_by_test_id("prompt")).to_have_text(PROMPT)
    expect(page.get_by_test_id("job-state")).to_have_text("done")
    expect(page.locator("body")).to_contain_text("finalized")


def ask(page: Page, grid: Grid, model: str) -> str:
    """Type, press, wait; the job's id."""
    page.goto(f"{grid.url}/playground?model={model}")
    page.get_by_test_id("create-key").click()
    page.get_by_test_id("prompt").fill(PROMPT)
    page.get_by_test_id("seed").fill(str(SEED))
    page.get_by_test_id("public").check()
    expect(page.get_by_test_id("price")).to_have_text(re.compile(r"^0\.\d+ TGT$"))
    page.get_by_test_id("send").click()
    expect(page.locator("#run-status")).to_have_text("Drawn")
    href = page.get_by_test_id("receipt-link").get_attribute("href") or ""
    return href.rsplit("/", 1)[1]


def fetched(page: Page, grid: Grid, job: str) -> TextToImageOutput:
    with grid.client() as client:
        image = client.get(f"/api/jobs/{job}/image.png").content
    width, height = page.get_by_test_id("picture").evaluate(
        "(i) => [i.naturalWidth, i.naturalHeight]"
    )
    return TextToImageOutput(image, width, height, SEED)


def agrees(grid: Grid, model: str, drawn: TextToImageOutput) -> bool:
    """Whether onnxruntime draws the same from the same seed, as far as an audit would ask."""
    library = open_library(grid.folder / "library")
    # In a thread: Playwright has a loop in ours.
    with ThreadPoolExecutor(1) as threads:
        native = threads.submit(draw_natively, library, model, grid.folder / "native").result()
    return TextToImage().compare(native, drawn, "fp32").agrees


def draw_natively(library: Library, model: str, folder: Path) -> TextToImageOutput:
    manifest = library.catalogue.by_id(model)
    assert manifest is not None
    files = library.lay_out(manifest, folder)
    runtime = NativeRuntime(manifest, manifest.variants[0], files)
    input = TextToImageInput(PROMPT, seed=SEED)
    return asyncio.run(TextToImage().run(input, manifest, runtime, Progress()))
