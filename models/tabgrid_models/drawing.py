"""What a picture is asked by, what a model's manifest says of it, and what comes back."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from .diffusion import Schedule
from .manifest import FilePath, Manifest

#: Text encoders read 77 tokens, some 300 characters; more than this is a mistake.
MAX_PROMPT = 2000
MAX_SEED = 2**32 - 1
#: Schedules gain nothing beyond, and a job should not hold a tab for hours.
MAX_STEPS = 150
#: Side of a picture in pixels. Beyond this a tab's memory ends long before the picture.
MAX_SIDE = 2048
#: Guidance over 30 is noise with every model; below 0 it is led away from the prompt.
MAX_GUIDANCE = 30.0

SIZE = r"^[1-9][0-9]{1,3}x[1-9][0-9]{1,3}$(?!\n)"

Size = Annotated[str, Meta(pattern=SIZE)]
Side = Annotated[int, Meta(ge=0, le=MAX_SIDE)]
Guidance = Annotated[float, Meta(ge=0, le=MAX_GUIDANCE)]
StepCount = Annotated[int, Meta(ge=1, le=MAX_STEPS)]


class TextToImageInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One picture. Zero, or no guidance, means the model's own default."""

    prompt: Annotated[
        str, Meta(min_length=1, max_length=MAX_PROMPT, description="What to draw, in words.")
    ]
    negative_prompt: Annotated[
        str, Meta(max_length=MAX_PROMPT, description="What the picture should not show.")
    ] = ""
    seed: Annotated[
        int, Meta(ge=0, le=MAX_SEED, description="The same seed draws the same picture.")
    ] = 0
    steps: Annotated[int, Meta(ge=0, le=MAX_STEPS, description="More take longer.")] = 0
    width: Side = 0
    height: Side = 0
    guidance: Guidance | None = None


class TextToImageOutput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    #: PNG as ``png.encode`` writes it, with the parameters as texts.
    image: bytes
    width: Annotated[int, Meta(ge=1, le=MAX_SIDE)]
    height: Annotated[int, Meta(ge=1, le=MAX_SIDE)]
    seed: Annotated[int, Meta(ge=0, le=MAX_SEED)]


class TextToImageConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the manifest must say for this connector."""

    tokenizer: FilePath
    #: Every row of ids has so many.
    max_tokens: Annotated[int, Meta(ge=3, le=512)]
    #: One per text encoder: what fills a short row up.
    pad_ids: Annotated[
        tuple[Annotated[int, Meta(ge=0, le=2**31 - 1)], ...], Meta(min_length=1, max_length=2)
    ]
    latent_channels: Annotated[int, Meta(ge=1, le=64)]
    #: Pixels along a side of one latent.
    downscale: Annotated[int, Meta(ge=1, le=64)]
    #: What the model draws well, "64x64", width first; the first is the default.
    sizes: Annotated[tuple[Size, ...], Meta(min_length=1, max_length=16)]
    default_steps: StepCount
    max_steps: StepCount
    schedule: Schedule
    #: Whether the network runs for the negative prompt too, to be led away from it.
    guided: bool = False
    default_guidance: Guidance = 7.5
    #: Whether the network is told size and crop (SDXL).
    time_ids: bool = False

    def __post_init__(self) -> None:
        if self.default_steps > self.max_steps:
            raise ValueError("default_steps is more than max_steps.")
        for size in self.sizes:
            if any(side > MAX_SIDE or side % self.downscale for side in sides(size)):
                raise ValueError(f"size {size!r} is over {MAX_SIDE} or no multiple of downscale.")
        for steps in range(1, self.max_steps + 1):
            if not self.schedule.allows(steps):
                raise ValueError(f"its schedule cannot be walked in {steps} steps.")


class Drawing(msgspec.Struct, frozen=True):
    """An input with the model's defaults filled in."""

    prompt: str
    negative_prompt: str
    seed: int
    steps: int
    width: int
    height: int
    #: 1 where the network is not guided.
    guidance: float

    @property
    def pixels(self) -> int:
        return self.width * self.height

    def texts(self, manifest: Manifest) -> dict[str, str]:
        """What its PNG says of itself, enough to draw it again."""
        return {
            "Software": "Tabgrid",
            "prompt": self.prompt,
            "negative_prompt": self.negative_prompt,
            "seed": str(self.seed),
            "steps": str(self.steps),
            "guidance": repr(float(self.guidance)),
            "size": f"{self.width}x{self.height}",
            "model": manifest.id,
            "model_digest": weights_digest(manifest),
        }


def drawing(input: TextToImageInput, config: TextToImageConfig) -> Drawing:
    """``input`` must be valid for that model."""
    width, height = sides(config.sizes[0])
    guidance = config.default_guidance if input.guidance is None else input.guidance
    return Drawing(
        input.prompt,
        input.negative_prompt,
        input.seed,
        input.steps or config.default_steps,
        input.width or width,
        input.height or height,
        guidance if config.guided else 1.0,
    )


def sides(size: str) -> tuple[int, int]:
    """Width and height of "64x96"."""
    width, _, height = size.partition("x")
    return int(width), int(height)


def weights_digest(manifest: Manifest) -> str:
    """The manifest's digest as if it had no golden answers.

    A picture names the model that drew it. A golden picture is a part of its manifest, and
    nothing can hold its own digest.
    """
    return msgspec.structs.replace(manifest, golden=()).digest()
