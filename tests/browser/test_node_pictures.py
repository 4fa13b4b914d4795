"""The node page while it draws: the owner sees what they chose, unless the user forbade it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, expect

from tests.support import pictures
from tests.support.grid import Grid
from tests.support.listening import listen, until_said
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
[scheduling]
lease_min_s = 300
[grids.quick]
title = "Quick"
description = "The same in no time, for slow adapters."
models = ["quick-pictures"]
price_per_unit = 1000
"""
#: A picture that is not done before somebody has looked on as long as they like: half a minute,
#: and then it is called off. It shows itself at every tenth step.
WORK = 40
STEPS = 100
#: Three previews would be there.
FAR_ON = "() => Number.parseInt(document.getElementById('job-text').textContent) >= 33"


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grid]:
    library = tmp_path_factory.mktemp("library")
    pictures.build(library, work=WORK, max_steps=STEPS)
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
    tabs = Tabs(new_context, browser_config["SLOW_TIMEOUT_MS"])
    opened = tabs.open(grid.url).visit("wasm")
    opened.connect()
    yield opened
    tabs.check()


class Drawing:
    """A picture of 8 x 4 latents that somebody asks for and does not wait for."""

    def __init__(self, grid: Grid, steps: int = STEPS, **options: Any) -> None:
        self._grid = grid
        self._headers = {"Authorization": f"Bearer {grid.make_key()}"}
        input = {"prompt": "a red ball", "steps": steps, "width": 64, "height": 32}
        self.id = self._post("/api/jobs", {"model": pictures.ID, "input": input, **options})["id"]

    def cancel(self) -> None:
        assert self._post(f"/api/jobs/{self.id}/cancel")["state"] == "cancelled"

    def _post(self, path: str, body: object = None) -> Any:
        with self._grid.client(headers=self._headers) as client:
            answer = client.post(path, json=body)
        assert answer.is_success, answer.text
        return answer.json()


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

    drawing = Drawing(grid)
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
    drawing.cancel()
    tab.expect_state("ready")
    Drawing(grid, steps=2)
    expect(tab.find("jobs-done")).to_have_text("1")
    expect(picture).to_be_hidden()

    tab.page.reload()
    expect(choice).to_have_value("nothing")


def test_what_its_user_hid_nobody_sees(grid: Grid, tab: Tab) -> None:
    tab.find("grid-images-shown").select_option("clear")
    tab.start("images").expect_state("ready")
    hidden = Drawing(grid, show_preview=False)
    expect(tab.find("job-hidden")).to_be_visible()
    tab.page.wait_for_function(FAR_ON)
    expect(tab.find("job-picture")).to_be_hidden()
    hidden.cancel()
    expect(tab.find("job-hidden")).to_be_hidden()

    shown = Drawing(grid)
    expect(tab.find("job-picture")).to_be_visible()
    shown.cancel()
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


@pytest.mark.timeout(400)  # SwiftShader compiles the model's shaders, twice
def test_the_page_goes_on_after_its_gpu_was_lost(grid: Grid, tab: Tab) -> None:
    """The last one: this browser's GPU process dies in it."""
    tab.visit("webgpu")
    tab.start("quick").expect_state("ready")
    browser = tab.context.browser
    assert browser
    listen(tab.page, "message", "start-hint")
    browser.new_browser_cdp_session().send("Browser.crashGpuProcess")
    until_said(tab.page, "message", "The worker stopped:")
    until_said(tab.page, "start-hint", "Next try in")
    tab.expect_state("ready")
    expect(tab.find("backend")).to_have_text("WebGPU")
    Drawing(grid, steps=20, model="quick-pictures")
    expect(tab.find("jobs-done")).to_have_text("1")
