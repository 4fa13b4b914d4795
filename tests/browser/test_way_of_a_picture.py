"""The whole way of a prompt: typed in one tab, drawn in another, paid, claimed, shown to all."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from scenes.judge import background, look_at
from tabgrid_models import png
from tabgrid_models.connectors.text_to_image import TextToImage
from tabgrid_models.drawing import TextToImageInput, TextToImageOutput
from tabgrid_models.runtime import quiet
from tests.support import models
from tests.support.elsewhere import elsewhere
from tests.support.grid import Grid
from tests.support.scenes import MODEL, SIDE
from tests.support.tab import Tab

#: What the shipped model draws right with any seed; one thing, so that nothing else decides.
PROMPT = "a big red circle on a white background"
SEED = 7
#: SwiftShader takes many seconds for a step, and the model shows such a thing after one.
STEPS = {"wasm": 8, "webgpu": 2}
PATIENCE_MS = 600_000
SETTINGS = """
[limits]
request_s = 600
[grids.images]
release_s = 1
"""


@pytest.fixture(scope="module", params=list(STEPS))
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def tab(grid: Grid, backend: str, open_tab: Callable[..., Tab]) -> Iterator[Tab]:
    """The only node of the grid."""
    tab: Tab = open_tab(grid.url).visit(backend)
    yield tab
    tab.context.close()


@pytest.mark.timeout(1500)  # SwiftShader compiles a shader for each shape, and then computes
def test_a_prompt_becomes_the_right_picture_drawn_by_another_tab(
    grid: Grid, backend: str, tab: Tab, open_tab: Callable[..., Tab]
) -> None:
    wallet = tab.connect()
    tab.start("images")
    # Its self-test draws a picture too.
    expect(tab.find("node-state")).to_have_text("ready", timeout=PATIENCE_MS)
    expect(tab.find("backend")).to_have_text("WebGPU" if backend == "webgpu" else "WASM")

    page = open_tab(grid.url, wallet=False).page
    job = ask(page, grid, STEPS[backend])
    expect(page.locator("#answer-node")).to_contain_text(wallet[:4])
    drawn = fetched(page, grid, job)
    check_what_it_shows(drawn)
    assert agrees(drawn, STEPS[backend]), "the tab drew another picture than onnxruntime"

    expect(tab.find("jobs-done")).to_have_text("1")
    tab.expect_money("earned").expect_money("claimable")
    expect(tab.find("claim")).to_be_enabled()
    tab.find("claim").click()
    expect(tab.find("claim-status")).to_have_attribute("data-state", "finalized")

    page.goto(f"{grid.url}/explorer")
    shown = page.get_by_test_id("public-picture").first
    expect(shown).to_contain_text(PROMPT)
    expect(shown).to_have_attribute("href", f"/explorer/jobs/{job}")
    shown.click()
    expect(page.get_by_test_id("prompt")).to_have_text(PROMPT)
    expect(page.get_by_test_id("job-state")).to_have_text("done")
    expect(page.locator("body")).to_contain_text("finalized")


def ask(page: Page, grid: Grid, steps: int) -> str:
    """Type, press, wait; the job's id."""
    page.goto(f"{grid.url}/playground?model={MODEL}")
    page.get_by_test_id("create-key").click()
    page.get_by_test_id("prompt").fill(PROMPT)
    page.get_by_test_id("steps").fill(str(steps))
    page.get_by_test_id("seed").fill(str(SEED))
    page.get_by_test_id("public").check()
    expect(page.get_by_test_id("price")).to_have_text(re.compile(r"^0\.\d+ TGT$"))
    page.get_by_test_id("send").click()
    expect(page.locator("#run-status")).to_have_text("Drawn", timeout=PATIENCE_MS)
    href = page.get_by_test_id("receipt-link").get_attribute("href") or ""
    return href.rsplit("/", 1)[1]


def fetched(page: Page, grid: Grid, job: str) -> TextToImageOutput:
    with grid.client() as client:
        image = client.get(f"/api/jobs/{job}/image.png").content
    width, height = page.get_by_test_id("picture").evaluate(
        "(i) => [i.naturalWidth, i.naturalHeight]"
    )
    return TextToImageOutput(image, width, height, SEED)


def check_what_it_shows(drawn: TextToImageOutput) -> None:
    """By its pixels: what was asked for, and nothing else."""
    pixels = png.decode(drawn.image, SIDE * SIDE)
    picture = np.frombuffer(pixels.rgb, np.uint8).reshape(SIDE, SIDE, 3)
    [thing] = look_at(picture)
    assert (thing.colour, thing.shape, background(picture)) == ("red", "circle", "white")


def agrees(drawn: TextToImageOutput, steps: int) -> bool:
    """Whether onnxruntime draws the same from the same seed, as far as an audit would ask."""
    input = TextToImageInput(PROMPT, seed=SEED, steps=steps)
    model, runtime = models.manifest(MODEL), models.runtime(MODEL)
    native = elsewhere(TextToImage().run(input, model, runtime, quiet))
    return TextToImage().compare(native, drawn, model.variants[0].dtype).agrees
