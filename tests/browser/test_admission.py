"""A tab tries a model in its variants: the fastest right one stays, a wrong one is told kindly."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from playwright.sync_api import Page, expect

from tests.browser.test_worker import READY, last_status, start, visit, weight_bytes
from tests.support import pictures, variants
from tests.support.grid import Grid
from tests.support.models import link_library
from tests.support.stage import Stage
from tests.support.tab import Tab
from tests.support.variants import WRONG

SETTINGS = """
[server]
library = "{library}"
[limits]
public_requests_per_minute = 100000
[grids.text]
title = "Text"
description = "Sentences become vectors."
models = ["all-MiniLM-L6-v2"]
price_per_unit = 1000
demo_credit = 1000000000
[grids.images]
title = "Pictures"
description = "Prompts become small pictures."
models = ["{model}"]
price_per_unit = 1000
"""
REMOVE = """async (name) => {
    const root = await navigator.storage.getDirectory();
    await (await root.getDirectoryHandle("weights")).removeEntry(name);
}"""


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The first variant is wrong; of the two right ones the second is the faster by far."""
    library = tmp_path_factory.mktemp("three")
    variants.build(library, {"wrong": WRONG, "slow": 40, "quick": 0})
    with Stage(library / pictures.ID) as running:
        yield running


def test_the_fastest_right_variant_is_kept_and_taken_at_once_the_next_time(
    page: Page, three: Stage
) -> None:
    visit(page, three)
    start(page)
    page.wait_for_function(READY)
    [model] = three.last_ready().models
    assert (model.variant, model.dtype, three.last_ready().refused) == ("quick", "fp32", ())
    manifest = three.manifest
    everything = {f.sha256: f.size for v in manifest.variants for f in (*manifest.shared, *v.files)}
    assert weight_bytes(three) == sum(everything.values()), "each file came once"
    assert three.assign(manifest.golden[0].input).signature

    # Whoever tries the slow one again has to fetch it again.
    [slow] = [v for v in manifest.variants if v.id == "slow"]
    own = next(file for file in slow.files if "slow" in file.path)
    page.evaluate("() => worker.terminate()")
    page.evaluate(REMOVE, own.sha256)
    three.reset()
    visit(page, three)
    start(page)
    page.wait_for_function(READY)
    assert three.last_ready().models[0].variant == "quick"
    assert weight_bytes(three) == 0


@pytest.fixture(scope="module")
def wrong(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    library = tmp_path_factory.mktemp("wrong")
    variants.build(library, {"altered": WRONG})
    with Stage(library / pictures.ID) as running:
        yield running


def test_a_wrong_model_is_refused_with_a_reason_that_programs_read(
    page: Page, wrong: Stage
) -> None:
    visit(page, wrong)
    start(page)
    page.wait_for_function("() => heard('status').at(-1)?.status.state === 'stopped'")
    [refused] = wrong.last_ready().refused
    assert (refused.digest, refused.code, refused.dtypes) == (
        wrong.digest,
        "wrong_numbers",
        ("q4",),
    )
    assert wrong.last_ready().models == ()
    [(model, told)] = last_status(page)["refused"].items()
    assert (model, told["reason"], told["code"]) == (pictures.ID, refused.reason, "wrong_numbers")
    assert told["unit"].startswith("q4 on wasm:")


def test_the_calibrated_threshold_is_the_one_that_decides(page: Page, stage: Stage) -> None:
    """The shipped model, right by far; held to what no float32 can meet it is refused."""
    measured = stage.calibrations[stage.digest]
    [one] = measured.variants
    try:
        impossible = msgspec.structs.replace(one, threshold=0.0)
        stage.reset()
        stage.calibrations[stage.digest] = msgspec.structs.replace(measured, variants=(impossible,))
        visit(page, stage)
        start(page)
        page.wait_for_function("() => heard('status').at(-1)?.status.state === 'stopped'")
        assert stage.last_ready().refused[0].code == "wrong_numbers"
        assert "0 is allowed" in stage.last_ready().refused[0].reason
        stage.calibrations[stage.digest] = measured
        page.evaluate("() => worker.terminate()")
        visit(page, stage)
        start(page)
        page.wait_for_function(READY)
    finally:
        stage.calibrations[stage.digest] = measured


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grid]:
    """Two grids, of which one offers a model that comes out wrong wherever it runs."""
    folder = tmp_path_factory.mktemp("grid")
    library = link_library(folder / "library")
    variants.build(library, {"altered": WRONG})
    running = Grid(folder, SETTINGS.format(library=library, model=pictures.ID))
    try:
        yield running.start()
    finally:
        running.stop()


def unsupported(grid: Grid) -> Any:
    with grid.client() as client:
        return client.get("/api/unsupported").json()["unsupported"]


def test_a_tab_says_kindly_what_it_cannot_run_and_works_on(
    grid: Grid, open_tab: Callable[..., Tab]
) -> None:
    tab = open_tab(grid.url).visit("wasm")
    wallet = tab.connect()
    tab.find("grid-images").check()
    tab.start("text").expect_state("ready")
    card = tab.page.locator('[data-grid="images"] .refused')
    expect(card).to_contain_text("Tiny pictures is not supported here.")
    expect(card).to_contain_text("is allowed")
    expect(card).to_have_attribute("data-tone", "waiting")
    notice = tab.page.locator("#notice")
    expect(notice).to_contain_text("This browser gets some numbers wrong.")
    expect(notice).to_contain_text("no mark against you")
    expect(tab.page.locator('[data-grid="text"] .refused')).to_be_hidden()

    kinds = unsupported(grid)
    assert {"model": pictures.ID, "device_class": "wasm:simd", "code": "wrong_numbers",
            "dtypes": ["q4"], "devices": 1} in kinds  # fmt: skip
    key = grid.make_key()
    body = {"model": "all-MiniLM-L6-v2", "input": {"texts": ["It earns all the same."]}}
    with grid.client(headers={"Authorization": f"Bearer {key}"}) as client:
        job = client.post("/api/jobs", json=body, headers={"Prefer": "wait=60"}).json()
    assert (job["state"], job["wallet"], job["attempts"]) == ("done", wallet, 1)

    page = open_tab(grid.url, wallet=False).page
    page.goto(f"{grid.url}/explorer")
    row = page.get_by_test_id("unsupported-row").filter(has_text="wasm:simd")
    expect(row).to_contain_text("wrong numbers in q4")
    tab.find("start").click()
    tab.expect_state("stopped")


@pytest.mark.timeout(400)  # SwiftShader compiles the tiny model's shaders first
def test_what_a_graphics_processor_gets_wrong_the_processor_is_offered_for(
    grid: Grid, open_tab: Callable[..., Tab]
) -> None:
    tab = open_tab(grid.url).visit("webgpu")
    tab.connect()
    tab.start("images").expect_state("stopped")
    notice = tab.page.locator("#notice")
    expect(notice).to_contain_text("This graphics processor gets some numbers wrong.")
    expect(tab.page.locator('[data-grid="images"] .refused')).to_contain_text("not supported here")
    expect(tab.page.locator("#notice-action")).to_have_text("Compute on the processor")
    tab.page.locator("#notice-action").click()
    expect(tab.find("backend")).to_have_text("WASM")
    # Wrong on purpose, it is wrong there too.
    expect(notice).to_contain_text("This browser gets some numbers wrong.")
    expect(tab.page.locator("#setting-backend")).to_have_value("wasm")
    assert any(kind["device_class"].startswith("webgpu:") for kind in unsupported(grid))
