"""Pictures in the tab's worker: right on every backend, shown, cancelled, and nothing kept."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from playwright.sync_api import Page

from tabgrid_models import png, trace
from tabgrid_models.connectors.base import Thresholds
from tabgrid_models.connectors.text_to_image import TextToImage
from tabgrid_models.drawing import TextToImageInput, TextToImageOutput
from tabgrid_wire import messages as m
from tests.browser.test_worker import READY, heard, start
from tests.support import pictures
from tests.support.elsewhere import elsewhere
from tests.support.models import Progress
from tests.support.stage import Stage

pytestmark = pytest.mark.timeout(400)  # SwiftShader compiles each model's shaders first
#: A picture that is not done before somebody has seen it and called it off, however late that is.
STEPS = 150
#: As long as one may be of which each step is counted on SwiftShader.
LONG = 40
#: A step takes a twentieth of a second on WASM, and a tenth on SwiftShader.
WORK = {"wasm": 8, "webgpu": 1}


@pytest.fixture(scope="module", params=["wasm", "webgpu"])
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def stage(backend: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """One model of four graphs."""
    library = tmp_path_factory.mktemp("library")
    pictures.build(library, work=WORK[backend], max_steps=STEPS)
    with Stage(library / pictures.ID) as running:
        yield running


@pytest.fixture(autouse=True)
def fresh_stage(stage: Stage) -> None:
    stage.reset()


@pytest.fixture
def page(page: Page, browser_config: dict[str, Any]) -> Page:
    page.set_default_timeout(browser_config["SLOW_TIMEOUT_MS"])
    return page


only_webgpu = pytest.mark.parametrize("backend", ["webgpu"], indirect=True, scope="module")
only_wasm = pytest.mark.parametrize("backend", ["wasm"], indirect=True, scope="module")


def ready(page: Page, stage: Stage, backend: str, entry: str = "/observed.js") -> None:
    page.goto(stage.url)
    page.wait_for_function("() => !!window.staged")
    page.evaluate("([backend, url]) => begin(backend, url)", [backend, entry])
    start(page)
    page.wait_for_function(READY)


def gpu(page: Page) -> dict[str, int]:
    """Bytes and buffers on the GPU now, and bytes read from it so far."""
    [worker] = [one for one in page.workers if "observed" in one.url]
    counted: dict[str, int] = worker.evaluate("() => ({ ...gpu, device: 0 })")
    return counted


def psnr(stage: Stage, one: TextToImageOutput, other: TextToImageOutput) -> float:
    distance = stage.connector.compare(one, other, "fp32").distance
    return 20 * math.log10(255 / max(distance, 1e-9))


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 150
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def cancel_when_shown(page: Page, stage: Stage, lease: str) -> None:
    until(lambda: any(isinstance(r, m.Chunk) and r.lease == lease for r in stage.reported))
    # The grid may have the picture before its page has heard of the job.
    page.wait_for_function("() => heard('status').at(-1).status.state === 'working'")
    stage.say(m.Cancel(lease, "the user has left"))
    page.wait_for_function("() => heard('status').at(-1).status.state === 'ready'")


def test_a_picture_is_the_same_on_every_backend(page: Page, stage: Stage, backend: str) -> None:
    """The node tested itself against native onnxruntime's golden picture before Ready."""
    ready(page, stage, backend)
    golden = stage.manifest.golden[0]
    reference = msgspec.convert(golden.output, TextToImageOutput)
    drawn = stage.output(stage.assign(golden.input))
    assert psnr(stage, reference, drawn) >= 35
    assert stage.hellos[0].backend == backend
    prompt = "ein ROTER Ball 🎈\tمرحبا"  # noqa: RUF001 - it is meant to be Arabic
    asked = TextToImageInput(prompt, seed=2**32 - 1, width=64, height=32)
    wide = stage.output(stage.assign(msgspec.to_builtins(asked)))
    # Size, seed, and every text of the PNG, of a prompt that is not plain English.
    stage.connector.check(asked, wide, stage.manifest)


def test_a_running_job_shows_itself_and_a_cancel_ends_it(
    page: Page, stage: Stage, backend: str
) -> None:
    ready(page, stage, backend)
    lease, future = stage.begin({"prompt": "a red ball", "steps": STEPS})
    cancel_when_shown(page, stage, lease)
    assert max(report["status"]["job_done"] for report in heard(page, "status")) < STEPS
    assert not future.done()

    chunk = next(report for report in stage.reported if isinstance(report, m.Chunk))
    assert (chunk.lease, chunk.seq) == (lease, 0)
    assert png.decode(chunk.data, 64).width == 4
    shown = heard(page, "preview")[0]
    assert shown["grid"] == "text"
    assert bytes(shown["png"]) == chunk.data

    # The node goes on with the next one, which shows nothing where its user hid it.
    before = len(heard(page, "preview"))
    stage.assign({"prompt": "a red ball", "steps": 8}, show_preview=False)
    assert len(heard(page, "preview")) == before
    assert any(report["status"]["job_hidden"] for report in heard(page, "status"))


@only_webgpu
def test_latents_stay_on_the_gpu_and_nothing_is_left_there(page: Page, stage: Stage) -> None:
    ready(page, stage, "webgpu")

    def read_by(steps: int) -> int:
        before = gpu(page)["read"]
        stage.assign({"prompt": "a red ball", "steps": steps}, show_preview=False)
        return gpu(page)["read"] - before

    read_by(2)
    short, long = read_by(4), read_by(LONG)
    # ONNX Runtime keeps given-back buffers for the next use: as many as the longest picture took.
    resting = gpu(page)
    # Pixels are made bytes on the processor: four bytes come for each, then the byte itself.
    picture, preview = 5 * 4 * 32 * 32, 5 * 4 * 4 * 4
    # What is committed to of each step is read when the picture is there; the noise was never
    # on the GPU alone.
    latents = 4 * 4 * 4 * 4
    assert short == picture + preview + 4 * latents
    assert long == picture + 9 * preview + LONG * latents
    read_by(LONG)
    again = gpu(page)
    assert (again["held"], again["buffers"]) == (resting["held"], resting["buffers"])

    before = gpu(page)["read"]
    lease, _ = stage.begin({"prompt": "a red ball", "steps": LONG})
    cancel_when_shown(page, stage, lease)
    after = gpu(page)
    # Some steps show themselves, and nothing else came back while it ran.
    assert (after["read"] - before) % preview == 0
    assert 0 < after["read"] - before <= 9 * preview
    assert (after["held"], after["buffers"]) == (resting["held"], resting["buffers"])


def test_a_tab_commits_to_its_latents_and_a_native_reference_agrees(
    page: Page, stage: Stage, backend: str, tmp_path: Path
) -> None:
    ready(page, stage, backend)
    manifest, draws = stage.manifest, TextToImage()
    asked = TextToImageInput("a red ball", seed=5, steps=4)
    result = stage.assign(msgspec.to_builtins(asked))
    states = draws.split_trace(asked, manifest, result.trace)
    assert result.root == trace.root(states)
    stretches = tuple(trace.Stretch(at, 1, states[at]) for at in range(4))
    recheck = trace.Recheck(msgspec.msgpack.encode(asked), stretches, states[-1])
    pictures.build(tmp_path, work=WORK[backend])
    runtime = pictures.native(manifest, tmp_path / pictures.ID)
    found = elsewhere(draws.recheck(recheck, manifest, runtime, Progress()))
    claimed = trace.Claimed(states[0], recheck, states[1:], result.output, (0, 1, 2, 3))
    parts = draws.compare_steps(asked, manifest, claimed, found, "fp32", Thresholds(output=1.0))
    assert [part.name for part in parts if part.share > 1] == []
    assert max(part.distance for part in parts if part.name.startswith("step")) < 1e-5


def test_a_tab_runs_drawn_steps_again(page: Page, stage: Stage, backend: str) -> None:
    """An operator's reference may be a tab too."""
    ready(page, stage, backend)
    asked = TextToImageInput("a red ball", seed=5, steps=4)
    result = stage.assign(msgspec.to_builtins(asked))
    states = TextToImage().split_trace(asked, stage.manifest, result.trace)
    stretches = (trace.Stretch(1, 1, states[1]), trace.Stretch(3, 1, states[3]))
    recheck = trace.Recheck(msgspec.msgpack.encode(asked), stretches, states[-1])
    packed = msgspec.msgpack.encode(recheck)
    again = stage.assign(msgspec.to_builtins(asked), packed, task="recheck")
    found = msgspec.msgpack.decode(again.output, type=trace.Rechecked)
    assert found.after == (states[2], states[4])
    assert found.output == result.output


def test_models_that_do_not_fit_together_take_turns(
    page: Page, backend: str, tmp_path: Path
) -> None:
    """The one is put down for the other, and its memory with it; the other has shards."""
    built = partial(pictures.build, tmp_path, work=1, memory_mib=3000)
    models = [
        built(id="one", default_steps=2),
        built(id="other", default_steps=3, sharded=True),
    ]
    with Stage(*(tmp_path / model.id for model in models)) as stage:
        ready(page, stage, backend)
        assert len(stage.last_ready().models) == 2
        held: dict[str, list[int]] = {}
        for _ in range(3):
            for model in models:
                drawn = stage.output(stage.assign({"prompt": "a red ball"}, model=model.digest()))
                stage.connector.check(TextToImageInput("a red ball"), drawn, model)
                held.setdefault(model.id, []).append(gpu(page)["held"])
        assert [len(set(bytes)) for bytes in held.values()] == [1, 1]
        alone = held["one"][0]
    with Stage(tmp_path / "one") as stage:
        ready(page, stage, backend)
        stage.assign({"prompt": "a red ball"})
        assert gpu(page)["held"] == alone


@only_webgpu
def test_a_lost_device_fails_its_job_and_asks_for_a_fresh_worker(page: Page, stage: Stage) -> None:
    ready(page, stage, "webgpu")
    _, future = stage.begin({"prompt": "a red ball", "steps": STEPS})
    until(lambda: heard(page, "status")[-1]["status"]["job_done"] >= 1)
    [worker] = [one for one in page.workers if "observed" in one.url]
    worker.evaluate("() => gpu.device.destroy()")
    with pytest.raises(RuntimeError, match=r"Device was destroyed\."):
        future.result(60)
    page.wait_for_function("() => heard('fatal').length > 0")
    fatal = heard(page, "fatal")[0]
    assert (fatal["message"], fatal["next"]) == ("Device was destroyed.", "recycle")
    # What the page does then; the golden answers are right again.
    page.evaluate("() => worker.terminate()")
    stage.reset()
    ready(page, stage, "webgpu")
    stage.assign({"prompt": "a red ball"})


@only_webgpu
def test_a_browser_without_jspi_takes_the_other_build(page: Page, stage: Stage) -> None:
    ready(page, stage, "webgpu", "/without-jspi.js")
    loaded = {path.split("/")[-1].split(".")[0] for path in stage.sent if "/ort/" in path}
    assert loaded == {"asyncify"}
    golden = stage.manifest.golden[0]
    reference = msgspec.convert(golden.output, TextToImageOutput)
    assert psnr(stage, reference, stage.output(stage.assign(golden.input))) >= 35


@only_wasm
def test_python_starts_without_its_snapshot(page: Page, stage: Stage) -> None:
    stage.missing.add("pyodide/snapshot.bin")
    warnings: list[str] = []
    page.on("console", lambda message: warnings.append(message.text))
    ready(page, stage, "wasm")
    assert any("without its snapshot" in text for text in warnings)
    stage.assign({"prompt": "a red ball"})
