"""The tab's worker, whole: Pyodide, ONNX Runtime Web, OPFS, the key and the node program.

Wrong numbers cannot hide here: the node program tests each model against its golden answers
before it says Ready, and the tests compare a job's answer with them once more.
"""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from playwright.sync_api import Page
from solders.pubkey import Pubkey
from solders.signature import Signature

from tabgrid_wire.commitment import output_digest, result_message
from tabgrid_wire.messages import INLINE_OUTPUT
from tests.support.stage import GRID, WALLET, Stage

#: Another tab's worker has been told to end and still holds the device, until somebody waits.
LEAVE_WHEN_WAITED_FOR = """() => {
    const waitedFor = async () => {
        while (!(await navigator.locks.query()).pending.length)
            await new Promise(requestAnimationFrame);
    };
    return new Promise((held) => {
        navigator.locks.request("tabgrid-device", () => { held(); return waitedFor(); });
    });
}"""
READY = "() => told.some(m => m.kind === 'status' && m.status.state === 'ready')"
ENDED = "() => told.some(m => m.kind === 'status' && m.status.state === 'stopped')"


@pytest.fixture(autouse=True)
def fresh_stage(stage: Stage) -> None:
    stage.reset()


def visit(page: Page, stage: Stage, backend: str | None = "wasm") -> None:
    page.goto(stage.url)
    page.wait_for_function("() => !!window.staged")
    page.evaluate("backend => begin(backend)", backend)


def start(page: Page, **settings: Any) -> None:
    message = {"kind": "start", "grids": [GRID], "wallet": WALLET, "settings": settings}
    page.evaluate("message => say(message)", message)


def heard(page: Page, kind: str) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = page.evaluate("kind => heard(kind)", kind)
    return messages


def weight_bytes(stage: Stage) -> int:
    return sum(count for path, count in stage.sent.items() if path.startswith("/weights/"))


def last_status(page: Page) -> dict[str, Any]:
    status: dict[str, Any] = heard(page, "status")[-1]["status"]
    return status


def check_golden_job(stage: Stage) -> None:
    """One job, its numbers against the manifest's and its signature against the key."""
    golden = stage.manifest.golden[0]
    result = stage.assign(golden.input)
    reference = msgspec.convert(golden.output, stage.connector.Output)
    candidate = stage.output(result)
    assert stage.connector.compare(reference, candidate, "q8").agrees


def test_wasm_answers_right_and_the_second_visit_downloads_nothing(
    page: Page, stage: Stage
) -> None:
    visit(page, stage)
    page.evaluate("() => say({ kind: 'identity' })")
    start(page)
    page.wait_for_function(READY)
    check_golden_job(stage)

    (identity,) = heard(page, "identity")
    result = stage.assign({"texts": ["signed"]})
    message = result_message(result.job, WALLET, result.nonce, output_digest(result.output))
    key = Pubkey.from_string(identity["workerKey"])
    assert Signature.from_bytes(result.signature).verify(key, message)
    assert stage.hellos[0].device_id == identity["deviceId"]
    assert stage.hellos[0].device_class == "wasm:simd"

    total = sum(path.stat().st_size for path in stage.files.values())
    assert weight_bytes(stage) == total
    assert last_status(page)["download_bytes"] == last_status(page)["download_total"] == total
    page.wait_for_function("() => heard('status').at(-1).status.jobs_done === 2")
    parts = {m["part"]: m for m in heard(page, "boot") if m["done"]}
    assert set(parts) == {"python", "onnxruntime", "node"}
    for part in parts.values():
        assert part["loaded"] == part["total"] > 0
    steps = [m["loaded"] for m in heard(page, "boot") if m["part"] == "python"]
    assert steps == sorted(steps)

    stage.reset()
    visit(page, stage)
    page.evaluate("() => say({ kind: 'identity' })")
    start(page)
    page.wait_for_function(READY)
    check_golden_job(stage)
    fetched = {path for path, count in stage.sent.items() if path.startswith(("/static/", "/w"))}
    assert fetched == set(), "hashed files come from the browser's cache, weights from OPFS"
    assert heard(page, "identity")[0]["workerKey"] == identity["workerKey"]

    page.evaluate("() => say({ kind: 'pause', reason: 'owner' })")
    page.wait_for_function("() => heard('status').at(-1).status.state === 'paused'")
    page.evaluate("() => say({ kind: 'resume' })")
    page.wait_for_function("() => heard('status').at(-1).status.state === 'ready'")
    page.evaluate("() => say({ kind: 'stop' })")
    page.wait_for_function(ENDED)
    assert heard(page, "fatal") == []


def test_a_large_answer_is_uploaded_and_its_frame_names_it(page: Page, stage: Stage) -> None:
    visit(page, stage)
    start(page)
    page.wait_for_function(READY)
    texts = [f"Sentence {number}." for number in range(48)]
    stage.upload_answers = [503]
    result = stage.assign({"texts": texts}, upload="/api/blobs/{digest}?lease=one&signature=two")
    assert result.output == b""
    assert result.blob is not None
    output = stage.uploads[result.blob.digest]
    assert len(output) == result.blob.size > INLINE_OUTPUT
    assert output_digest(output).hex() == result.blob.digest
    vectors = msgspec.msgpack.decode(output, type=stage.connector.Output)
    assert len(vectors.embeddings) == 48 * vectors.dims * 4

    stage.upload_answers = [410]
    with pytest.raises(RuntimeError, match="answered 410"):
        stage.assign({"texts": texts}, upload="/api/blobs/{digest}?lease=one&signature=two")
    assert stage.upload_answers == [], "what is refused is not sent again"


@pytest.mark.timeout(400)  # SwiftShader needs 15 s for its first sentence on an idle machine
def test_webgpu_answers_right(page: Page, stage: Stage, browser_config: dict[str, Any]) -> None:
    page.set_default_timeout(browser_config["SLOW_TIMEOUT_MS"])
    visit(page, stage, "webgpu")
    start(page)
    page.wait_for_function(READY)
    (capability,) = heard(page, "capability")
    assert (capability["backend"], capability["reason"]) == ("webgpu", "")
    assert stage.hellos[0].backend == "webgpu"
    assert stage.hellos[0].device_class.startswith("webgpu:")
    check_golden_job(stage)


def test_a_fallback_adapter_is_passed_over_with_the_reason(page: Page, stage: Stage) -> None:
    visit(page, stage, None)
    page.wait_for_function("() => heard('capability').length > 0")
    (capability,) = heard(page, "capability")
    assert capability["backend"] == "wasm"
    assert "runs on the CPU" in capability["reason"]
    assert capability["crossOriginIsolated"]
    assert capability["persistent"]


def test_a_second_tab_of_the_device_is_told_so(page: Page, stage: Stage) -> None:
    visit(page, stage)
    start(page)
    page.wait_for_function("() => heard('status').length > 0")
    other = page.context.new_page()
    visit(other, stage)
    start(other)
    other.wait_for_function("() => heard('duplicate').length > 0")
    other.evaluate("() => worker.terminate()")
    page.wait_for_function(READY)


def test_a_tab_that_has_just_been_stopped_is_no_other_tab(page: Page, stage: Stage) -> None:
    visit(page, stage)
    page.evaluate(LEAVE_WHEN_WAITED_FOR)
    start(page)
    page.wait_for_function(f"() => ({READY})() || heard('duplicate').length")
    assert heard(page, "duplicate") == []


def test_a_fault_says_what_is_wrong(page: Page, stage: Stage) -> None:
    page.goto(stage.url)
    page.wait_for_function("() => !!window.staged")
    page.evaluate("() => { delete assets['tab.zip']; begin('wasm'); }")
    start(page)
    page.wait_for_function("() => heard('fatal').length > 0")
    (fatal,) = heard(page, "fatal")
    assert "tab.zip" in fatal["message"]
    assert fatal["next"] == "give-up"
