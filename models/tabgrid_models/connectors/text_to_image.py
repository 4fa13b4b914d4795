"""A prompt to a picture, by a latent diffusion model of four graphs.

    text     ids of the prompt            -> what the network is guided by
    step     latents, one level of noise  -> the next latents, and the picture so far
    decode   the last latents             -> pixels
    preview  the picture so far           -> a small picture

Guidance, the sampler's arithmetic and the conversion to bytes are nodes of the graphs, so
the latents stay on the device from the first step to the last; what is left to do here is
to count, to make noise from the seed, and to give back what is no longer needed.
"""

from __future__ import annotations

import math
import re
from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta

from .. import png
from ..diffusion import Schedule
from ..manifest import FilePath, Manifest
from ..runtime import Emit, Runtime, Tokenizer
from ..sampler import Sampler
from .base import AnyConnector, Comparison, InvalidInput, InvalidOutput, Usage

#: Text encoders read 77 tokens, some 300 characters; more than this is a mistake.
MAX_PROMPT = 2000
MAX_SEED = 2**32 - 1
#: Schedules gain nothing beyond, and a job should not hold a tab for hours.
MAX_STEPS = 150
#: Side of a picture in pixels. Beyond this a tab's memory ends long before the picture.
MAX_SIDE = 2048
#: Guidance over 30 is noise with every model; below 0 it is led away from the prompt.
MAX_GUIDANCE = 30.0
#: Side of the square that one unit of work is: small enough that no picture is free.
TILE = 64
#: A preview costs a read from the device: every other step for short runs, and not more
#: than ten in a long one.
PREVIEW_EVERY = 2
PREVIEWS = 10

#: Root mean square of the differences in levels of 0 to 255. 4.5 is a PSNR of 35 dB, far
#: more than the last bits of float32 come to (another seed's picture is 60 and more away).
#: Weights of few bits are made float32 on loading, so their answers spread like float32's;
#: float16 rounds in each GPU in its own order, which the steps multiply.
THRESHOLDS = {"fp32": 4.5, "q8": 4.5, "q4": 4.5, "fp16": 9.0}
#: Four parts in a thousand of the brightest level; nobody sees it. float16: as PSNR, 36 dB.
FLOOR, HALF_FLOOR = 1.0, 4.0

#: Line breaks and tabs are text; other control characters are an accident or an attack.
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
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


class TextToImage:
    algorithm: ClassVar[str] = "text-to-image"
    comparator_version: ClassVar[int] = 1
    distance: ClassVar[str] = "root mean square difference of the pixels, in levels of 255"
    unit: ClassVar[str] = "tile step"
    Input: type[TextToImageInput] = TextToImageInput
    Output: type[TextToImageOutput] = TextToImageOutput
    Config: type[TextToImageConfig] = TextToImageConfig

    def validate(self, input: TextToImageInput, manifest: Manifest) -> None:
        _check_text(input.prompt, "prompt")
        _check_text(input.negative_prompt, "negative_prompt")
        if not input.prompt.strip():
            raise InvalidInput("Say in words what to draw; the prompt is empty.", "prompt")
        if not 0 <= input.seed <= MAX_SEED:
            raise InvalidInput(f"A seed is a whole number from 0 to {MAX_SEED}.", "seed")
        config = _config(manifest)
        _check_size(input, config)
        if not 0 <= input.steps <= config.max_steps:
            raise InvalidInput(
                f"This model takes 1 to {config.max_steps} steps, not {input.steps}.", "steps"
            )
        _check_guidance(input.guidance, config)

    def usage(
        self, input: TextToImageInput, manifest: Manifest, tokenizer: Tokenizer | None
    ) -> Usage:
        """``truncated_texts`` is there where a prompt is longer than the model reads."""
        config = _config(manifest)
        wanted = drawing(input, config)
        details = {"steps": wanted.steps, "pixels": wanted.pixels}
        if tokenizer is not None:
            texts = (input.prompt, input.negative_prompt)
            rows = tokenizer.encode(texts, config.max_tokens + 1)
            if cut := sum(len(row) > config.max_tokens for row in rows):
                details["truncated_texts"] = cut
        return Usage(math.ceil(wanted.pixels / TILE**2) * wanted.steps, details)

    def check(self, input: TextToImageInput, output: TextToImageOutput, manifest: Manifest) -> None:
        wanted = drawing(input, _config(manifest))
        if (output.width, output.height) != (wanted.width, wanted.height):
            raise InvalidOutput(
                f"The picture is {output.width}x{output.height}, "
                f"asked for was {wanted.width}x{wanted.height}."
            )
        if output.seed != wanted.seed:
            raise InvalidOutput("The picture is of another seed.")
        try:
            picture = png.decode(output.image, wanted.pixels)
        except png.BadPng as error:
            raise InvalidOutput(f"The picture cannot be read: {error}") from error
        if (picture.width, picture.height) != (wanted.width, wanted.height):
            raise InvalidOutput("The PNG has another size than the answer says.")
        if list(picture.text.items()) != list(wanted.texts(manifest).items()):
            raise InvalidOutput("The PNG says other things of itself than its input.")
        # Numbers that are none end as one flat colour; no decoder paints every pixel alike.
        if picture.rgb == picture.rgb[:3] * wanted.pixels:
            raise InvalidOutput("The picture is blank.")

    def media(self, output: TextToImageOutput) -> tuple[str, bytes]:
        return "image/png", output.image

    async def run(
        self, input: TextToImageInput, manifest: Manifest, runtime: Runtime, emit: Emit
    ) -> TextToImageOutput:
        config = _config(manifest)
        wanted = drawing(input, config)
        emit(0, wanted.steps, "prompt")
        with Sampler(runtime, config, wanted) as sampler:
            await sampler.read_prompt()
            for done in range(1, wanted.steps + 1):
                await sampler.step()
                shown = await sampler.preview() if is_shown(done, wanted.steps) else b""
                emit(done, wanted.steps, "steps", shown)
            pixels = await sampler.decode()
        image = png.encode(wanted.width, wanted.height, pixels, wanted.texts(manifest))
        return TextToImageOutput(image, wanted.width, wanted.height, wanted.seed)

    def compare(
        self,
        reference: TextToImageOutput,
        candidate: TextToImageOutput,
        dtype: str,
        threshold: float | None = None,
    ) -> Comparison:
        """Root mean square difference of the pixels, in levels; infinite for another size."""
        if threshold is None:
            threshold = THRESHOLDS.get(dtype, THRESHOLDS["fp32"])
        limit = reference.width * reference.height
        try:
            one, other = (png.decode(output.image, limit) for output in (reference, candidate))
        except png.BadPng:
            return Comparison(math.inf, threshold)
        if (one.width, one.height) != (other.width, other.height):
            return Comparison(math.inf, threshold)
        return Comparison(math.dist(one.rgb, other.rgb) / math.sqrt(len(one.rgb)), threshold)

    def floor(self, dtype: str) -> float:
        return HALF_FLOOR if dtype == "fp16" else FLOOR


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


def _config(manifest: Manifest) -> TextToImageConfig:
    return msgspec.convert(manifest.config, TextToImageConfig)


def is_shown(done: int, steps: int) -> bool:
    """After the last step there is something better to show."""
    return done < steps and done % max(PREVIEW_EVERY, math.ceil(steps / PREVIEWS)) == 0


def _check_text(text: str, param: str) -> None:
    if len(text) > MAX_PROMPT:
        raise InvalidInput(
            f"A prompt may have {MAX_PROMPT} characters, this one has {len(text)}.", param
        )
    if found := CONTROL.search(text):
        raise InvalidInput(
            f"Character {found.start() + 1} is a control character (U+{ord(found[0]):04X}).", param
        )
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidInput("The prompt holds half of a surrogate pair.", param) from error


def _check_size(input: TextToImageInput, config: TextToImageConfig) -> None:
    if (input.width, input.height) == (0, 0):
        return
    size = f"{input.width}x{input.height}"
    if size not in config.sizes:
        offered = ", ".join(config.sizes)
        raise InvalidInput(f"This model draws {offered}; not {size}.", "width")


def _check_guidance(guidance: float | None, config: TextToImageConfig) -> None:
    if guidance is None:
        return
    if not config.guided:
        raise InvalidInput("This model is not guided; leave guidance out.", "guidance")
    # The range lets no infinity and no NaN through either.
    if not 0 <= guidance <= MAX_GUIDANCE:
        raise InvalidInput(f"Guidance is a number from 0 to {MAX_GUIDANCE:g}.", "guidance")


CONNECTOR: AnyConnector = TextToImage()
