"""Diffusers folders become models of the grid: four families, from random weights."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from typing import NamedTuple

import msgspec
import onnx
import pytest

from tabgrid_models.connectors.text_to_image import TextToImage
from tabgrid_models.drawing import TextToImageConfig, TextToImageInput, TextToImageOutput
from tabgrid_models.manifest import Manifest, Variant
from tabgrid_node.native_runtime import NativeRuntime
from tabgrid_node.self_test import self_test
from tabgrid_server.library import CHECKOUT, open_library, verify

ROOT = CHECKOUT.parents[1]
#: Family to how it is added. sd1 has every variant, the others what differs.
FAMILIES = {
    "sd1": ["--variant", "fp32", "--variant", "fp16", "--variant", "q8", "--variant", "q4"],
    "turbo": ["--variant", "fp32", "--variant", "q4"],
    "lcm": ["--variant", "q8", "--variant", "fp32"],
    "sd2": ["--variant", "fp32"],
    "sdxl": ["--variant", "fp32", "--variant", "fp16", "--size", "16x16", "--size", "32x16"],
}

pytestmark = [pytest.mark.export, pytest.mark.timeout(600)]


class Exported(NamedTuple):
    manifest: Manifest
    folder: Path
    said: str

    @property
    def config(self) -> TextToImageConfig:
        return msgspec.convert(self.manifest.config, TextToImageConfig)

    def variant(self, id: str) -> Variant:
        (found,) = (variant for variant in self.manifest.variants if variant.id == id)
        return found

    def runtime(self, id: str = "fp32") -> NativeRuntime:
        return NativeRuntime(self.manifest, self.variant(id), self.folder, threads=1)

    async def draw(self, input: TextToImageInput, id: str = "fp32") -> TextToImageOutput:
        quiet = lambda *_: None  # noqa: E731
        return await TextToImage().run(input, self.manifest, self.runtime(id), quiet)


def run(python: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join([str(ROOT / "server"), str(ROOT / "models")])
    return subprocess.run(
        [str(python), *arguments],
        env={**os.environ, "PYTHONPATH": paths, "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def sources(export_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("diffusers")
    script = str(ROOT / "tests" / "support" / "diffusers_folders.py")
    done = run(export_python, script, str(folder), *FAMILIES)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module", params=FAMILIES)
def exported(
    request: pytest.FixtureRequest,
    export_python: Path,
    sources: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Exported:
    """Added by the command that a person uses."""
    family = request.param
    library = tmp_path_factory.mktemp("library")
    command = ["-m", "tabgrid_server.export", "add", str(sources / family)]
    command += ["--library", str(library), "--licence", "CC0-1.0", *FAMILIES[family]]
    done = run(export_python, *command)
    assert done.returncode == 0, done.stdout + done.stderr
    opened = open_library(library)
    (manifest,) = opened.catalogue
    assert all(intact for _, intact in verify(opened, manifest))
    return Exported(manifest, opened.folder_of(manifest), done.stdout)


def test_float32_draws_what_diffusers_draws(exported: Exported) -> None:
    quality = exported.variant("fp32").quality
    assert quality["latents_l2"] <= 1e-3
    # Half a level is what rounding to bytes costs.
    assert quality["pixels_rms"] < 0.5


def test_every_variant_says_how_far_it_is_and_what_it_needs(exported: Exported) -> None:
    for variant in exported.manifest.variants:
        assert 0 < variant.quality["latents_l2"] < 0.2
        assert variant.needs == (("shader-f16",) if variant.dtype == "fp16" else ())
        sizes = [variant.quality[f"memory_mib_{size}"] for size in exported.config.sizes]
        assert variant.memory_mib == max(sizes) > 0


def test_a_variant_that_would_fail_its_self_test_is_left_out_in_words(exported: Exported) -> None:
    wanted = {id for id in FAMILIES[exported.manifest.id] if id in ("fp32", "fp16", "q8", "q4")}
    kept = {variant.id for variant in exported.manifest.variants}
    for id in wanted - kept:
        assert f"no variant {id}, since its golden picture is" in exported.said
        assert not list(exported.folder.glob(f"*-{id}*"))
    assert "fp32" in kept


async def test_a_node_passes_its_self_test_with_each_variant(exported: Exported) -> None:
    for variant in exported.manifest.variants:
        runtime = exported.runtime(variant.id)
        speed = await self_test(exported.manifest, variant, TextToImage(), runtime, time.monotonic)
        assert speed > 0


async def test_another_prompt_and_another_seed_are_other_pictures(exported: Exported) -> None:
    asked = TextToImageInput("red", seed=1, steps=2 if exported.config.max_steps > 1 else 1)
    first = await exported.draw(asked)
    assert await exported.draw(asked) == first
    for change in ({"prompt": "a green tree"}, {"seed": 2}):
        other = await exported.draw(msgspec.structs.replace(asked, **change))
        assert TextToImage().compare(first, other, "fp32").distance > 0


def test_the_graphs_take_and_give_what_the_connector_knows(exported: Exported) -> None:
    for variant in exported.manifest.variants:
        for name, inputs, outputs in (
            ("text", {"input_ids"}, {"context"}),
            ("step", {"latents", "noise", "context", "timestep", "coefficients"}, {"next"}),
            ("decode", {"latents"}, {"rgba"}),
            ("preview", {"latents"}, {"rgba"}),
        ):
            graph = onnx.load(exported.folder / variant.graphs[name]).graph
            assert inputs <= {value.name for value in graph.input}
            assert outputs <= {value.name for value in graph.output}
            floats = {onnx.TensorProto.FLOAT, onnx.TensorProto.INT64, onnx.TensorProto.UINT8}
            ends = [*graph.input, *graph.output]
            assert {value.type.tensor_type.elem_type for value in ends} <= floats
            assert b"/tmp" not in (exported.folder / variant.graphs[name]).read_bytes()


async def test_each_family_is_understood(exported: Exported) -> None:
    config, schedule = exported.config, exported.config.schedule
    expected = {
        "sd1": (True, "ddim", "epsilon", "leading", 1),
        "turbo": (False, "euler", "epsilon", "trailing", 1),
        "lcm": (False, "lcm", "epsilon", "leading", 1),
        "sd2": (True, "ddim", "v_prediction", "leading", 1),
        "sdxl": (True, "euler", "epsilon", "leading", 2),
    }
    assert expected[exported.manifest.id] == (
        config.guided,
        schedule.kind,
        schedule.prediction,
        schedule.spacing,
        len(config.pad_ids),
    )
    assert config.time_ids == (exported.manifest.id == "sdxl")
    card = (exported.folder / "README.md").read_text()
    assert ("PNDMScheduler" in card) == (exported.manifest.id == "sd1")
    for size in config.sizes:
        width, height = map(int, size.split("x"))
        drawn = await exported.draw(TextToImageInput("red", steps=1, width=width, height=height))
        assert (drawn.width, drawn.height) == (width, height)


def test_a_hub_that_cannot_be_reached_is_said_so(export_python: Path, tmp_path: Path) -> None:
    command = ["-m", "tabgrid_server.export", "add", "stabilityai/sd-turbo"]
    done = run(export_python, *command, "--library", str(tmp_path), "--licence", "other")
    assert done.returncode == 1
    assert "'stabilityai/sd-turbo' is no folder here, and the hub does not give it" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())
