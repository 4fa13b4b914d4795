"""The plain loops of `tabgrid bench pictures` do what a node does, and turns are read right."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tabgrid_models import png
from tabgrid_models.connectors.text_to_image import TextToImage
from tabgrid_models.drawing import TextToImageInput
from tabgrid_models.manifest import Manifest
from tabgrid_node.bench_pictures import Bare
from tabgrid_server.bench.memory import Peak
from tabgrid_server.bench.picture_figures import (
    AIM,
    MIB,
    Setup,
    memory_figure,
    read_figures,
    time_figures,
)
from tabgrid_server.bench.picture_work import (
    Cost,
    ReadBack,
    Work,
    config_of,
    cost,
    read_back,
    work,
)
from tests.support import pictures

ASKED = TextToImageInput("a red ball", "a blue one", seed=7, steps=5, width=64, height=32)
#: Guided with fresh noise in each step, unguided, and with two text encoders and sizes told.
KINDS: list[dict[str, Any]] = [
    {"schedule": {"kind": "lcm"}},
    {"guided": False},
    {"time_ids": True},
]


def bare(folder: Path, manifest: Manifest) -> Bare:
    return Bare(folder, manifest, pictures.native(manifest, folder).sessions)


def draw(plain: Bare, task: Work | None) -> bytes:
    return plain.draw(msgspec.to_builtins(task))


def rgb(rgba: bytes) -> bytes:
    return bytes(level for at, level in enumerate(rgba) if at % 4 < 3)


@pytest.mark.parametrize("kind", KINDS, ids=str)
async def test_the_bare_loop_draws_what_the_connector_draws(
    tmp_path: Path, kind: dict[str, Any]
) -> None:
    manifest = pictures.build(tmp_path, **kind)
    folder = tmp_path / manifest.id
    runtime = pictures.native(manifest, folder)
    chunks: list[bytes] = []

    def emit(done: int, total: int, stage: str = "", chunk: bytes = b"") -> None:
        chunks.extend([chunk] * bool(chunk))

    drawn = await TextToImage().run(ASKED, manifest, runtime, emit)
    task, plain = work(ASKED, config_of(manifest)), bare(folder, manifest)
    picture = png.decode(drawn.image, 64 * 32)
    assert rgb(draw(plain, task)) == rgb(draw(plain, task.without_previews())) == picture.rgb
    shown = [png.decode(chunk, 8 * 4).rgb for chunk in chunks]
    assert (task.shown, len(shown)) == ((2, 4), 2)
    assert rgb(draw(plain, task.to_first_preview())) == shown[0]


def test_a_picture_of_few_steps_has_no_first_preview(tmp_path: Path) -> None:
    config = config_of(pictures.build(tmp_path))
    assert work(TextToImageInput("a red ball", steps=2), config).to_first_preview() is None


@given(st.integers(2, 50), st.lists(st.floats(0, 1e3), min_size=1), st.floats(1e-3, 1e3))
def test_a_steps_cost_leaves_out_what_every_picture_costs(
    steps: int, around: list[float], each: float
) -> None:
    """However busy the machine was in one round or the other."""
    long, short = ([busy + n * each for busy in around] for n in (steps, 1))
    found = cost(long, short, steps)
    wanted = Cost(statistics.median(around) + steps * each, each)
    assert found == pytest.approx(wanted, rel=1e-6, abs=1e-6)


@given(*[st.integers(0, 10**6)] * 3)
def test_bytes_are_told_apart(picture: int, step: int, preview: int) -> None:
    read = {1: picture, 2: picture + step, 3: picture + 2 * step + preview}
    assert read_back(read) == (picture, step, preview)


def test_a_figure_adds_up_what_came_back_and_what_was_resident() -> None:
    setup = Setup("webgpu", "32x32", steps=5, previews=2, threads=1, repeats=3)
    each, whole = read_figures(setup, ReadBack(1000, 10, 7), ReadBack(1000, 0, 7), 8)
    assert (each.value, each.aim) == (2, "0")
    assert "8 B that are signed" in each.note
    assert (whole.value, whole.baseline_value) == (1000 + 4 * 10 + 2 * 7, 1014)
    peaks = [Peak(tab * MIB, 50 * MIB) for tab in (300, 200, 100)]
    on_gpu = memory_figure(setup, *peaks)
    assert (on_gpu.value, on_gpu.baseline_value, on_gpu.ratio) == (350, 250, 1.4)
    # Where nothing is drawn by the graphics process, its share says nothing of us.
    assert memory_figure(setup._replace(backend="wasm"), *peaks).ratio == 1.5


def test_times_stand_beside_everybody_else() -> None:
    setup = Setup("wasm", "64x64", steps=8, previews=3, threads=2, repeats=9)
    costs = {
        "node": Cost(1050, 104), "plain": Cost(1000, 100), "unshown": Cost(980, 98),
        "native": Cost(500, 52),
    }  # fmt: skip
    found = [(one.value, one.unit, one.ratio, one.aim) for one in time_figures(setup, costs)]
    assert found == [
        (1.05, "s", pytest.approx(1.05), AIM), (1.05, "s", pytest.approx(1050 / 980), ""),
        (1.05, "s", pytest.approx(2.1), ""), (104, "ms", pytest.approx(1.04), AIM),
        (104, "ms", pytest.approx(2), ""),
    ]  # fmt: skip
