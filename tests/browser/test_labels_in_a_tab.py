"""A connector that nothing lists runs in a tab too: found there among compiled files."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import expect

from tests.support.grid import Grid
from tests.support.tab import Tab

TOPICS = ["sport", "economy", "weather", "cooking"]


def test_a_tab_sorts_texts_under_labels(grid: Grid, open_tab: Callable[..., Tab]) -> None:
    """Its self-test compares with onnxruntime's answers, the vectors staying on the device."""
    tab = open_tab(grid.url).visit("wasm")
    tab.connect()
    tab.find("grid-text").uncheck()
    tab.start("labels").expect_state("ready")
    texts = ["Fry the onions.", "A late goal won the match.", "Prices rose again."]
    body = {"model": "minilm-labels", "input": {"texts": texts, "labels": TOPICS}}
    with grid.client(headers={"Authorization": f"Bearer {grid.make_key()}"}) as client:
        job = client.post("/api/jobs", json=body, headers={"Prefer": "wait=60"}).json()
    assert (job["state"], job["backend"]) == ("done", "wasm")
    found = [TOPICS[row.index(max(row))] for row in job["output"]["scores"]]
    assert found == ["cooking", "sport", "economy"]
    expect(tab.find("jobs-done")).to_have_text("1")
