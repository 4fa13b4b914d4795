"""The node page while it draws: the owner sees what they chose, unless the user forbade it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, expect

from tests.support import pictures
from tests.support.grid import Grid
from tests.support.tab import Tab, Tabs

SETTINGS = """
[server]
library = "{library}"
[grids.images]
title = "Pictures"
description = "Words become small pictures."
models = ["tiny-pictures"]
price_per_unit = 1000
demo_credit = 1000000000
[grids.quick]
title = "Quick"
description = "The same in no time, for slow adapters."
models = ["quick-pictures"]
price_per_unit = 1000
"""
#: A picture of twenty steps takes seconds: a person, or a test, can look on.
WORK = 40
STEPS = 20
#: Read at every frame: what is there for a second only might be between two looks.
FAR_ON = "() => Number.parseInt(document.getElementById('job-text').textContent) >= 6"


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grid]:
    library = tmp_path_factory.mktemp("library")
    pictures.build(library, work=WORK)
    pictures.build(library, id="quick-pictures")
    running = Grid(tmp_path_factory.mktemp("grid"), SETTINGS.format(library=library))
    try:
        yield running.start()
    finally:
        running.stop()


@pytest.fixture
def tab(
    grid: Grid, new_context: Callable[[], BrowserContext], browser_config: dict[str, Any]
) -> Iterator[Tab]:
    tabs = Tabs(new_context, browser_config["TIMEOUT_MS"])
    opened = tabs.open(grid.url).visit("wasm")
    opened.connect()
    yield opened
    tabs.check()


def draw(grid: Grid, **options: Any) -> None:
    """Ask for a picture of 8 x 4 latents and do not wait for it."""
    input = {"prompt": "a red ball", "steps": STEPS, "width": 64, "height": 32}
    with grid.client(headers={"Authorization": f"Bearer {grid.make_key()}"}) as client:
        body = {"model": pictures.ID, "input": input, **options}
        answer = client.post("/api/jobs", json=body)
    assert answer.status_code == 202, answer.text


def canvas(tab: Tab) -> dict[str, Any]:
    """Size of what is on the canvas, and how many colours it has."""
    found: dict[str, Any] = tab.page.evaluate(
        """() => {
          const canvas = document.getElementById("job-canvas");
          const { width, height } = canvas;
          if (!width) return { width, height, colours: 0 };
          const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
          const pixels = new Uint32Array(data.buffer);
          return { width, height, colours: new Set(pixels).size };
        }"""
    )
    return found


def test_the_owner_sees_a_blurred_picture_a_clear_one_or_nothing(grid: Grid, tab: Tab) -> None:
    picture, choice = tab.find("job-picture"), tab.find("grid-images-shown")
    expect(choice).to_have_value("blurred")
    tab.start("images").expect_state("ready")
    expect(picture).to_be_hidden()

    draw(grid)
    expect(picture).to_be_visible()
    expect(picture).to_contain_text("blurred")
    blurred = canvas(tab)
    assert (blurred["width"], blurred["height"]) == (6, 3)
    assert blurred["colours"] > 1, "it is a picture"
    choice.select_option("clear")
    expect(picture).to_contain_text("so far")
    clear = canvas(tab)
    assert (clear["width"], clear["height"]) == (8, 4)
    assert clear["colours"] > 1
    choice.select_option("nothing")
    expect(picture).to_be_hidden()
    assert canvas(tab)["width"] == 0, "nothing is left on the page either"
    expect(tab.find("node-state")).to_have_text("working")
    expect(tab.find("jobs-done")).to_have_text("1")
    expect(picture).to_be_hidden()

    tab.page.reload()
    expect(choice).to_have_value("nothing")


def test_what_its_user_hid_nobody_sees(grid: Grid, tab: Tab) -> None:
    tab.find("grid-images-shown").select_option("clear")
    tab.start("images").expect_state("ready")
    draw(grid, show_preview=False)
    expect(tab.find("job-hidden")).to_be_visible()
    # Time enough for a preview, were there one.
    tab.page.wait_for_function(FAR_ON)
    expect(tab.find("job-picture")).to_be_hidden()
    expect(tab.find("jobs-done")).to_have_text("1")
    expect(tab.find("job-hidden")).to_be_hidden()

    draw(grid)
    expect(tab.find("job-picture")).to_be_visible()
    expect(tab.find("jobs-done")).to_have_text("2")
    expect(tab.find("job-picture")).to_be_hidden()
    assert canvas(tab)["width"] == 0, "a picture goes with its job"


def test_no_webgpu_is_told_calmly(grid: Grid, tab: Tab) -> None:
    tab.page.goto(f"{grid.url}/node")
    tab.page.add_init_script("delete Navigator.prototype.gpu")
    tab.page.reload()
    notice = tab.page.locator("#notice")
    expect(notice).to_contain_text("This tab computes on the processor")
    expect(notice).to_have_attribute("data-tone", "")
    expect(notice).to_have_attribute("role", "status")


def test_the_page_goes_on_after_its_gpu_was_lost(grid: Grid, tab: Tab) -> None:
    """The last one: this browser's GPU process dies in it."""
    tab.visit("webgpu")
    tab.start("quick").expect_state("ready")
    browser = tab.context.browser
    assert browser
    browser.new_browser_cdp_session().send("Browser.crashGpuProcess")
    expect(tab.page.locator("#message")).to_contain_text("The worker stopped:")
    expect(tab.page.locator("#start-hint")).to_contain_text("Next try in")
    tab.expect_state("ready")
    expect(tab.find("backend")).to_have_text("WebGPU")
    draw(grid, model="quick-pictures")
    expect(tab.find("jobs-done")).to_have_text("1")
