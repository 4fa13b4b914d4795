"""Weights in the tab: verified, resumed, kept, and never trusted twice without a look."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page

from tests.browser.test_worker import READY, heard, last_status, start, visit, weight_bytes
from tests.support.stage import CHUNK, Stage

#: Reads or writes a kept file as the origin itself could.
SPOIL = """async (name) => {
  const root = await navigator.storage.getDirectory();
  const folder = await root.getDirectoryHandle("weights");
  const handle = await folder.getFileHandle(name);
  const bytes = new Uint8Array(await (await handle.getFile()).arrayBuffer());
  bytes[bytes.length >> 1] ^= 1;
  const stream = await handle.createWritable();
  await stream.write(bytes);
  await stream.close();
}"""
NAMES = """async () => {
  const root = await navigator.storage.getDirectory();
  const folder = await root.getDirectoryHandle("weights", { create: true });
  const names = [];
  for await (const name of folder.keys()) names.push(name);
  return names.sort();
}"""


@pytest.fixture(autouse=True)
def fresh_stage(stage: Stage) -> None:
    stage.reset()


def largest(stage: Stage) -> tuple[str, int]:
    sha256, path = max(stage.files.items(), key=lambda item: item[1].stat().st_size)
    return sha256, path.stat().st_size


def earn(page: Page, stage: Stage, **settings: Any) -> None:
    visit(page, stage)
    start(page, **settings)
    page.wait_for_function(READY)


def leave(page: Page) -> None:
    """End the worker, and with it whatever it holds open."""
    page.evaluate("() => worker.terminate()")


def test_a_spoiled_kept_file_is_fetched_again(page: Page, stage: Stage) -> None:
    earn(page, stage)
    leave(page)
    sha256, size = largest(stage)
    assert page.evaluate(NAMES) == sorted(stage.files)
    page.evaluate(SPOIL, sha256)

    stage.reset()
    earn(page, stage)
    assert weight_bytes(stage) == size, "this file and no other"
    assert page.evaluate(NAMES) == sorted(stage.files)


def test_a_download_that_breaks_off_goes_on_where_it_stopped(page: Page, stage: Stage) -> None:
    sha256, size = largest(stage)
    stage.cut[sha256] = 40 * CHUNK
    earn(page, stage)
    assert len(stage.ranges) == 1
    began = int(stage.ranges[0].removeprefix("bytes=").removesuffix("-"))
    assert 0 < began <= 40 * CHUNK
    assert stage.sent[f"/weights/{sha256}"] <= size + 40 * CHUNK - began


def test_a_file_damaged_on_the_server_is_a_clear_refusal(page: Page, stage: Stage) -> None:
    sha256, size = largest(stage)
    stage.damaged.add(sha256)
    visit(page, stage)
    start(page)
    page.wait_for_function("() => heard('status').some(m => m.status.state === 'stopped')")
    reason = last_status(page)["refused"][stage.manifest.id]["reason"]
    assert "damaged" in reason
    assert "operator" in reason
    assert stage.sent[f"/weights/{sha256}"] == size, "fetched once, not in a loop"
    assert sha256 not in page.evaluate(NAMES)


def test_without_storage_the_tab_works_from_memory(page: Page, stage: Stage) -> None:
    """As in the private windows of some browsers, where the call is there and refuses."""
    page.goto(stage.url)
    page.wait_for_function("() => !!window.staged")
    page.evaluate("() => begin('wasm', '/no-storage.js')")
    start(page)
    page.wait_for_function(READY)
    assert heard(page, "capability")[0]["persistent"] is False
    assert page.evaluate(NAMES) == []


def test_the_owners_download_limit_holds(page: Page, stage: Stage) -> None:
    visit(page, stage)
    start(page, maxDownloadMb=5)
    page.wait_for_function("() => heard('status').some(m => m.status.state === 'stopped')")
    refused = last_status(page)["refused"][stage.manifest.id]
    assert "your limit is 5 MB" in refused["reason"]
    assert weight_bytes(stage) == 0
