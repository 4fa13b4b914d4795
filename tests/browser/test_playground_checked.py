"""The choice to have a picture checked before it is delivered, and its price beside it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tabgrid_node.keys import read_keypair
from tests.support.grid import Grid
from tests.support.picture_grid import make_grid


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grid]:
    made = make_grid(tmp_path_factory.mktemp("checked"))
    try:
        made.start()
        # The demo's own wallet for the operator's node.
        shutil.copy(made.folder / "data" / "reference-node.json", _keypair(made))
        made.start_node("stranger", "images").ready()
        made.start_node("reference", "images").ready()
        yield made
    finally:
        made.stop()


def _keypair(grid: Grid) -> Path:
    return grid.folder / "reference.keypair.json"


def test_one_sees_what_a_check_costs_before_one_presses(
    watched: Callable[..., Page], grid: Grid
) -> None:
    page = watched()
    page.goto(f"{grid.url}/playground")
    page.get_by_test_id("create-key").click()
    expect(page.get_by_test_id("send")).to_be_enabled()
    page.get_by_test_id("steps").fill("4")
    expect(page.get_by_test_id("price")).to_have_text("0.004 TGT")
    expect(page.get_by_test_id("checked-price")).to_have_text("0.004 TGT more")
    expect(page.get_by_test_id("checked")).not_to_be_checked()
    page.get_by_test_id("checked").check()
    expect(page.get_by_test_id("price")).to_have_text("0.008 TGT")
    expect(page.get_by_test_id("snippet-python")).to_contain_text('"checked": True')
    page.get_by_test_id("send").click()
    expect(page.locator("#run-status")).to_have_text("Drawn")
    expect(page.locator("#answer-price")).to_have_text("0.008 TGT")
    job = (page.get_by_test_id("receipt-link").get_attribute("href") or "").rsplit("/", 1)[1]
    with grid.client() as client:
        row = client.get(f"/api/jobs/{job}").json()
        assert (row["checked"], row["price"]) == (True, 8_000)
        checks = client.get(f"/api/jobs/{job}/checks").json()["checks"]
    if row["wallet"] != str(read_keypair(_keypair(grid)).pubkey()):
        assert [check["purpose"] for check in checks] == ["delivery"]
        assert (checks[0]["method"], checks[0]["agreed"]) == ("steps", True)

    # Where none of them is there, it cannot be chosen, and costs nothing.
    grid.nodes[1].stop()
    page.get_by_test_id("steps").fill("5")
    expect(page.get_by_test_id("checked-price")).to_have_text("none of them is online now")
    expect(page.get_by_test_id("checked")).to_be_disabled()
    expect(page.get_by_test_id("price")).to_have_text("0.005 TGT")
