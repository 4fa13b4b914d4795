"""A picture in numbers, for whoever draws it without a grid, and what their turns tell. Pure.

The plain loops get the noise and the sampler's numbers ready-made, so they do a little less
than a node, which makes both.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from tabgrid_models.connectors.text_to_image import is_shown
from tabgrid_models.diffusion import plan
from tabgrid_models.drawing import Drawing, TextToImageConfig, TextToImageInput, drawing, sides
from tabgrid_models.manifest import Manifest
from tabgrid_models.noise import gaussians


class Floats(msgspec.Struct, frozen=True):
    """One input of float32, row by row."""

    shape: tuple[int, ...]
    values: tuple[float, ...]


class Work(msgspec.Struct, frozen=True):
    """What the plain loops of both hosts are told (see also web/src/bench/plain_pictures.ts)."""

    #: The negative one first, where there is one.
    prompts: tuple[str, ...]
    max_tokens: int
    #: Input of the text encoder to what fills a short row up.
    pad_ids: dict[str, int]
    latents: Floats
    #: What every step is fed, and what each is fed besides.
    constants: dict[str, Floats]
    steps: tuple[dict[str, Floats], ...]
    #: After which steps a preview is drawn, counted from 1.
    shown: tuple[int, ...]
    #: Whether to draw the picture; otherwise the last preview is the answer.
    decode: bool = True

    def without_previews(self) -> Work:
        return msgspec.structs.replace(self, shown=())

    def to_first_preview(self) -> Work | None:
        """Its beginning; None where the connector would show nothing."""
        if not self.shown:
            return None
        first = self.shown[0]
        return msgspec.structs.replace(self, steps=self.steps[:first], shown=(first,), decode=False)


def config_of(manifest: Manifest) -> TextToImageConfig:
    return msgspec.convert(manifest.config, TextToImageConfig)


def smallest(config: TextToImageConfig) -> tuple[int, int]:
    """Width and height of the smallest picture that the model draws."""
    return min(map(sides, config.sizes), key=math.prod)


def work(input: TextToImageInput, config: TextToImageConfig) -> Work:
    """The same as ``tabgrid_models.sampler`` feeds to the graphs."""
    wanted = drawing(input, config)
    walked = plan(config.schedule, wanted.steps)
    height, width = wanted.height // config.downscale, wanted.width // config.downscale
    shape = (1, config.latent_channels, height, width)
    noisy = any(step.needs_noise for step in walked.steps)
    steps = []
    for number, step in enumerate(walked.steps, 1):
        own = {
            "timestep": Floats((1,), (step.timestep,)),
            "coefficients": Floats((6,), step.coefficients),
        }
        if noisy:
            own["noise"] = _noise(wanted.seed, number, shape)
        steps.append(own)
    rows = 2 if config.guided else 1
    return Work(
        prompts=(wanted.negative_prompt, wanted.prompt)[-rows:],
        max_tokens=config.max_tokens,
        pad_ids=dict(zip(("input_ids", "input_ids_2"), config.pad_ids, strict=False)),
        latents=_noise(wanted.seed, 0, shape, walked.sigma),
        constants=_constants(wanted, config, rows, None if noisy else shape),
        steps=tuple(steps),
        shown=tuple(at for at in range(1, wanted.steps + 1) if is_shown(at, wanted.steps)),
    )


def _constants(
    wanted: Drawing, config: TextToImageConfig, rows: int, quiet: tuple[int, ...] | None
) -> dict[str, Floats]:
    found = {}
    if config.guided:
        found["guidance"] = Floats((1,), (wanted.guidance,))
    if config.time_ids:
        size = (float(wanted.height), float(wanted.width))
        found["time_ids"] = Floats((rows, 6), (*size, 0.0, 0.0, *size) * rows)
    if quiet:
        found["noise"] = Floats(quiet, (0.0,) * math.prod(quiet))
    return found


def _noise(seed: int, draw: int, shape: tuple[int, ...], sigma: float = 1.0) -> Floats:
    return Floats(shape, tuple(gaussians(seed, draw, math.prod(shape), sigma)))


class Cost(NamedTuple):
    """In milliseconds."""

    picture: float
    step: float


def cost(long: Sequence[float], short: Sequence[float], steps: int) -> Cost:
    """From turns of ``steps`` (two or more), each with one of a single step right after it.

    What comes before the first step and after the last is in both, and cancels out.
    """
    pairs = zip(long, short, strict=True)
    each = statistics.median((one - other) / (steps - 1) for one, other in pairs)
    return Cost(statistics.median(long), each)


class ReadBack(NamedTuple):
    """Bytes that a picture of ``steps`` brings back from the device, by what for."""

    picture: int
    step: int
    preview: int


def read_back(bytes: Mapping[int, int]) -> ReadBack:
    """From jobs of one, two and three steps: only the third shows itself, once."""
    picture, two, three = (bytes[steps] for steps in (1, 2, 3))
    step = two - picture
    return ReadBack(picture, step, three - two - step)
