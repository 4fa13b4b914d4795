"""How near an export is to its original, what it needs, and what right answers look like."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from tabgrid_models.connectors.text_to_image import TextToImage
from tabgrid_models.drawing import TextToImageConfig, TextToImageInput, TextToImageOutput, sides
from tabgrid_models.manifest import Golden, Manifest, Variant
from tabgrid_models.runtime import Tensor

from .. import ExportError, memory
from ..native import Array, NativeRuntime
from .original import Original
from .variants import EXACT

#: What float32 graphs may differ from the original by: relative L2 of the last latents.
LATENTS_MAX = 1e-3
#: Where a recipe names none; simple things, which every model has seen.
PROMPTS = (
    "a red circle on a blue background",
    "a photograph of a mountain lake under a cloudy sky",
    "a portrait of an old man with a white beard",
    "a green leaf and a yellow flower on dark ground",
)
#: An original takes minutes per picture on a CPU: quality is measured on so many prompts,
#: in no more steps than this.
QUALITY_PROMPTS, QUALITY_STEPS = 2, 8
#: Few, so that a slow device joins soon; enough for the preview to run once.
GOLDEN_STEPS = 3


class Recorder(NativeRuntime):
    """Keeps what the sampler fed and got."""

    def __init__(self, manifest: Manifest, variant: Variant, folder: Path) -> None:
        super().__init__(manifest, variant, folder)
        self.fed: list[dict[str, np.ndarray]] = []
        self.last = np.zeros((1, 0, 0, 0), np.float32)
        self.rgba = np.zeros((0, 0, 4), np.uint8)

    async def run(self, graph: str, feeds: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        outputs = await super().run(graph, feeds)
        if graph == "step":
            self.fed.append(_values(feeds))
            self.last = _values(outputs)["next"]
        elif graph == "decode":
            self.rgba = _values(outputs)["rgba"]
        return outputs


def draw(manifest: Manifest, runtime: NativeRuntime, input: TextToImageInput) -> TextToImageOutput:
    """The connector's own run, by the code that every node runs."""
    return asyncio.run(TextToImage().run(input, manifest, runtime, lambda *_: None))


def most_exact(manifest: Manifest) -> Variant:
    return min(manifest.variants, key=lambda variant: EXACT.index(variant.dtype))


def inputs(manifest: Manifest, prompts: Sequence[str]) -> list[TextToImageInput]:
    """Pictures to judge by, at the model's own size and in its own steps if they are few."""
    config = msgspec.convert(manifest.config, TextToImageConfig)
    width, height = sides(config.sizes[0])
    steps = min(config.default_steps, QUALITY_STEPS)
    return [
        TextToImageInput(prompt, seed=seed, steps=steps, width=width, height=height)
        for seed, prompt in enumerate(prompts or PROMPTS)
    ]


def quality(
    manifest: Manifest,
    variant: Variant,
    folder: Path,
    original: Original,
    wanted: Sequence[TextToImageInput],
) -> dict[str, float]:
    """Distance to the original's latents (relative L2) and pixels (rms of levels), the worst.

    Raises ``ExportError`` where float32 is further away than rounding explains.
    """
    far, apart = [], []
    for input in wanted[:QUALITY_PROMPTS]:
        runtime = Recorder(manifest, variant, folder)
        draw(manifest, runtime, input)
        noise = [step["noise"] for step in runtime.fed]
        latents, pixels = original.draw(input, runtime.fed[0]["latents"], noise)
        far.append(float(np.linalg.norm(runtime.last - latents) / np.linalg.norm(latents)))
        difference = runtime.rgba[..., :3].astype(float) - pixels
        apart.append(float(np.sqrt((difference**2).mean())))
    # NaN is larger than nothing: say it the other way round.
    if variant.dtype == "fp32" and not max(far) <= LATENTS_MAX:
        raise ExportError(
            f"The last latents are {max(far):.2g} from the original's, and float32 must keep "
            f"within {LATENTS_MAX}: something in this model is not understood."
        )
    return {"latents_l2": _figure(max(far)), "pixels_rms": _figure(max(apart))}


def no_colours(channels: int) -> tuple[np.ndarray, np.ndarray]:
    """A preview of grey, until there are pictures to fit one to."""
    return np.zeros((3, channels), np.float32), np.full(3, 127.5, np.float32)


def fit_preview(
    manifest: Manifest, folder: Path, wanted: Sequence[TextToImageInput]
) -> tuple[np.ndarray, np.ndarray]:
    """Colours as a linear function of a latent (3, channels) and offsets (3,), least squares."""
    rows, colours = [], []
    for input in wanted:
        runtime = Recorder(manifest, most_exact(manifest), folder)
        draw(manifest, runtime, input)
        _, channels, height, width = runtime.last.shape
        rows.append(runtime.last[0].reshape(channels, -1).T)
        side = runtime.rgba.shape[0] // height
        blocks = runtime.rgba[..., :3].reshape(height, side, width, side, 3)
        colours.append(blocks.mean(axis=(1, 3)).reshape(-1, 3))
    latents = np.concatenate(rows)
    found, *_ = np.linalg.lstsq(
        np.hstack([latents, np.ones((len(latents), 1))]), np.concatenate(colours), rcond=None
    )
    return found[:-1].T.astype(np.float32), found[-1].astype(np.float32)


def memory_mib(manifest: Manifest, variant: Variant, folder: Path) -> dict[str, int]:
    """Size of picture to what a process needs to draw it."""
    config = msgspec.convert(manifest.config, TextToImageConfig)
    found = {}
    for size in config.sizes:
        width, height = sides(size)
        steps = min(GOLDEN_STEPS, config.max_steps)
        input = TextToImageInput("a", steps=steps, width=width, height=height)
        found[size] = memory.measure(manifest, variant, folder, input)
    return found


def golden_input(manifest: Manifest, prompts: Sequence[str]) -> TextToImageInput:
    """The smallest picture, in few steps; both rows of a guided network say something."""
    config = msgspec.convert(manifest.config, TextToImageConfig)
    smallest = min(config.sizes, key=lambda size: (sides(size)[0] * sides(size)[1], size))
    width, height = sides(smallest)
    return TextToImageInput(
        (prompts or PROMPTS)[0],
        negative_prompt="blurry" if config.guided else "",
        seed=2,
        steps=min(GOLDEN_STEPS, config.max_steps),
        width=width,
        height=height,
    )


def golden(manifest: Manifest, folder: Path, input: TextToImageInput) -> Golden:
    runtime = NativeRuntime(manifest, most_exact(manifest), folder)
    answer = draw(manifest, runtime, input)
    return Golden(msgspec.to_builtins(input), msgspec.to_builtins(answer))


def failing(manifest: Manifest, folder: Path, golden: Golden) -> dict[str, str]:
    """Variants that would not pass their self-test, and why not."""
    input = msgspec.convert(golden.input, TextToImageInput)
    right = msgspec.convert(golden.output, TextToImageOutput)
    reasons = {}
    for variant in manifest.variants:
        answer = draw(manifest, NativeRuntime(manifest, variant, folder), input)
        found = TextToImage().compare(right, answer, variant.dtype)
        if not found.agrees:
            reasons[variant.id] = (
                f"its golden picture is {found.distance:.3g} levels from the right one, "
                f"and may be {found.threshold:g}"
            )
    return reasons


def _figure(value: float) -> float:
    return float(f"{value:.3g}")


def _values(tensors: Mapping[str, Any]) -> dict[str, np.ndarray]:
    return {name: each.values for name, each in tensors.items() if isinstance(each, Array)}
