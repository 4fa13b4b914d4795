"""A receipt is checked in the reader's browser: the source in Node, then the page itself."""

from __future__ import annotations

import asyncio
import json
import random
import re
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, Route, expect

from tabgrid_server.proofs import epoch as proofs
from tabgrid_server.proofs.corrections import Head
from tabgrid_server.proofs.epoch import Version
from tabgrid_wire import merkle
from tests.integration.conftest import EchoGrid
from tests.support.programs import missing
from tests.support.proving import Proving

ROOT = Path(__file__).resolve().parents[2]
#: Bundles lib/merkle.ts and computes the root that each case gives, or says what is wrong.
SCRIPT = """
import { build } from "esbuild";
import { readFileSync } from "node:fs";
const { outputFiles } = await build({
  entryPoints: ["web/src/lib/merkle.ts"], bundle: true, write: false, format: "esm",
});
const code = Buffer.from(outputFiles[0].contents).toString("base64");
const { rootOf } = await import(`data:text/javascript;base64,${code}`);
const told = [];
for (const { receipt, proof } of JSON.parse(readFileSync(0, "utf8")))
  told.push(await rootOf(Buffer.from(receipt), proof).catch((error) => error.message));
console.log(JSON.stringify(told));
"""


def in_node(cases: list[dict[str, Any]]) -> list[str]:
    node = shutil.which("node")
    if node is None or not (ROOT / "browser_node/node_modules/esbuild").exists():
        missing("there is no Node with esbuild here")
    run = subprocess.run(
        [str(node), "--input-type=module", "-e", SCRIPT],
        cwd=ROOT / "browser_node", input=json.dumps(cases), capture_output=True, text=True,
        check=False, timeout=120,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    told: list[str] = json.loads(run.stdout)
    return told


def case(count: int, index: int, version: Version = 2) -> tuple[dict[str, Any], str]:
    receipts = [f'{{"job":"job_{n}","é":"{n}"}}' for n in range(count)]
    head = Head(count, sha256(b"newest").digest()) if version == 2 else None
    leaves = proofs.leaves([sha256(each.encode()).digest() for each in receipts], [], head)
    memo = proofs.memo_of(version, count, leaves, sha256(b"before").digest())
    path = [each.hex() for each in merkle.path(leaves, index)]
    epoch = {"v": memo.v, "epoch": memo.epoch, "count": memo.count, "prev_root": memo.prev_root}
    return {
        "receipt": receipts[index],
        "proof": {"epoch": epoch, "index": index, "path": path},
    }, memo.root


@pytest.mark.parametrize("version", [1, 2])
def test_the_browsers_tree_is_the_servers(version: Version) -> None:
    """Epochs of before are checked as they were published."""
    chosen = random.Random(7)
    sizes = [*range(1, 20), 33, 1000]
    cases = [case(count, chosen.randrange(count), version) for count in sizes]
    assert in_node([each for each, _ in cases]) == [root for _, root in cases]


def test_the_browser_refuses_what_does_not_fit() -> None:
    good, root = case(5, 1)
    changes: list[dict[str, Any]] = [
        {"index": 6}, {"index": -1}, {"path": good["proof"]["path"][:-1]},
        {"path": [*good["proof"]["path"], "00" * 32]}, {"path": ["AA" * 32] * 3},
        {"index": 0}, {"epoch": good["proof"]["epoch"] | {"epoch": 6}},
        {"epoch": good["proof"]["epoch"] | {"count": 7}},
        {"epoch": good["proof"]["epoch"] | {"v": 1}},
    ]  # fmt: skip
    cases = [{**good, "proof": good["proof"] | change} for change in changes]
    told = in_node([*cases, {**good, "receipt": good["receipt"] + " "}])
    assert root not in told
    assert [bool(re.fullmatch("[0-9a-f]{64}", each)) for each in told[:5]] == [False] * 5
    newer = good["proof"]["epoch"] | {"v": 3}
    assert in_node([{**good, "proof": good["proof"] | {"epoch": newer}}]) == [
        "epochs of version 3 are not known here"
    ]


def test_the_leaf_of_the_corrections_is_no_receipt() -> None:
    """Not even with the leaf's own bytes, nor their hash, for the receipt's."""
    good, root = case(5, 1)
    head = (5).to_bytes(8, "big") + sha256(b"newest").digest()
    last = good["proof"] | {"index": 5, "path": good["proof"]["path"][:2]}
    texts = [head.decode("latin-1"), "tabgrid/corrected/v1\0" + head.decode("latin-1")]
    assert root not in in_node([{"receipt": text, "proof": last} for text in texts])


@pytest.fixture(scope="module")
def proving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Proving, list[str]]]:
    grid = EchoGrid(tmp_path_factory.mktemp("checked"))

    async def earn(made: Proving) -> list[str]:
        jobs = await made.work(3)
        await made.published()
        return jobs

    try:
        made = Proving(grid)
        yield made, asyncio.run(earn(made))
    finally:
        grid.programs.stop()


def test_what_was_found_stands_when_the_page_is_drawn_anew(
    proving: tuple[Proving, list[str]], page: Page
) -> None:
    """As it is when the job's pay is released, or its epoch is final."""
    url, job = proving[0].grid.url, proving[1][0]
    row = httpx.get(f"{url}/api/jobs/{job}", trust_env=False).text
    events: list[Route] = []
    page.route("**/api/events", lambda route: events.append(route))
    page.goto(f"{url}/explorer/jobs/{job}")
    page.get_by_test_id("check-receipt").click()
    result = page.get_by_test_id("check-result")
    expect(result).to_contain_text("the memo on chain has this root")
    page.evaluate("document.getElementById('main').firstElementChild.id = 'before'")
    while not events:
        page.wait_for_timeout(20)
    news = f"event: job\ndata: {row}\n\n"
    events[0].fulfill(body=news, content_type="text/event-stream")
    expect(page.locator("#before")).to_have_count(0)
    expect(result).to_contain_text("the memo on chain has this root")


def test_a_reader_checks_a_receipt(proving: tuple[Proving, list[str]], page: Page) -> None:
    grid, jobs = proving[0].grid, proving[1]
    page.goto(f"{grid.url}/explorer/jobs/{jobs[1]}")
    page.get_by_test_id("check-receipt").click()
    result = page.get_by_test_id("check-result")
    expect(result).to_contain_text("the memo on chain has this root")
    page.get_by_test_id("epoch-link").click()
    expect(page.get_by_test_id("memo")).to_contain_text('"prev_root"')
    expect(page.get_by_test_id("receipt-row").first).to_be_visible()

    with closing(sqlite3.connect(proving[0].database, timeout=10)) as connection, connection:
        connection.execute("DROP TRIGGER receipts_published_update")
        change = "UPDATE receipts SET body = CAST(body || ' ' AS BLOB) WHERE job_id = ?"
        assert connection.execute(change, (jobs[1],)).rowcount == 1
    page.goto(f"{grid.url}/explorer/jobs/{jobs[1]}")
    page.get_by_test_id("check-receipt").click()
    expect(result).to_contain_text("Not in epoch")
