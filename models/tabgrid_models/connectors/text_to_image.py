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
from typing import ClassVar

import msgspec

from .. import png
from ..drawing import (
    MAX_GUIDANCE,
    MAX_PROMPT,
    MAX_SEED,
    Drawing,
    TextToImageConfig,
    TextToImageInput,
    TextToImageOutput,
    drawing,
)
from ..manifest import Manifest
from ..runtime import Emit, Runtime, Tokenizer
from ..sampler import Sampler
from .base import AnyConnector, Comparison, InvalidInput, InvalidOutput, Usage
from .picture_steps import PictureSteps

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
#: tabgrid-scenes in 4 bits is 4 to 13 from its 8, and its pictures of other prompts 68 and more.
MIXED = 40.0

#: Line breaks and tabs are text; other control characters are an accident or an attack.
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


class TextToImage(PictureSteps):
    algorithm: ClassVar[str] = "text-to-image"
    comparator_version: ClassVar[int] = 1
    distance: ClassVar[str] = "root mean square difference of the pixels, in levels of 255"
    mixed: ClassVar[float] = MIXED
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
        return Usage(_tiles(wanted) * wanted.steps, details)

    def check(
        self,
        input: TextToImageInput,
        output: TextToImageOutput,
        manifest: Manifest,
        *,
        may_be_blank: bool = False,
    ) -> None:
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
        if not may_be_blank and picture.rgb == picture.rgb[:3] * wanted.pixels:
            raise InvalidOutput("The picture is blank.")

    def media(self, output: TextToImageOutput) -> tuple[str, bytes]:
        return "image/png", output.image

    async def run(
        self, input: TextToImageInput, manifest: Manifest, runtime: Runtime, emit: Emit
    ) -> TextToImageOutput:
        config = _config(manifest)
        wanted = drawing(input, config)
        with Sampler(runtime, config, wanted) as sampler:
            return await _draw(sampler, wanted, manifest, emit)

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

    async def run_traced(
        self, input: TextToImageInput, manifest: Manifest, runtime: Runtime, emit: Emit
    ) -> tuple[TextToImageOutput, bytes]:
        config, wanted = self.drawn(input, manifest)
        with Sampler(runtime, config, wanted, self.kept(input, manifest)) as sampler:
            output = await _draw(sampler, wanted, manifest, emit)
            return output, await sampler.trace()

    def drawn(
        self, input: TextToImageInput, manifest: Manifest
    ) -> tuple[TextToImageConfig, Drawing]:
        config = _config(manifest)
        return config, drawing(input, config)

    async def finish(
        self, sampler: Sampler, wanted: Drawing, manifest: Manifest
    ) -> TextToImageOutput:
        return await _picture(sampler, wanted, manifest)


async def _draw(
    sampler: Sampler, wanted: Drawing, manifest: Manifest, emit: Emit
) -> TextToImageOutput:
    emit(0, wanted.steps, "prompt")
    await sampler.read_prompt()
    for done in range(1, wanted.steps + 1):
        await sampler.step()
        shown = await sampler.preview() if is_shown(done, wanted.steps) else b""
        emit(done, wanted.steps, "steps", shown)
    return await _picture(sampler, wanted, manifest)


async def _picture(sampler: Sampler, wanted: Drawing, manifest: Manifest) -> TextToImageOutput:
    pixels = await sampler.decode()
    image = png.encode(wanted.width, wanted.height, pixels, wanted.texts(manifest))
    return TextToImageOutput(image, wanted.width, wanted.height, wanted.seed)


def _tiles(wanted: Drawing) -> int:
    return math.ceil(wanted.pixels / TILE**2)


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
