"""Steps of a picture that are run again, and how far they may be from what a node said.

The part of ``text-to-image`` that answers ``Traced``. The noise everybody can make, so whoever
compares makes it; the drawn steps and the decoder are the reference's to run.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import msgspec

from .. import trace
from ..drawing import Drawing, TextToImageConfig
from ..manifest import Manifest
from ..runtime import Emit, Runtime
from ..sampler import Sampler, first_latents, shape
from ..trace import Claimed, Part, Recheck, Rechecked, Stretch
from .base import Comparison, InvalidInput, InvalidOutput, Thresholds

#: Relative L2 of the latents after steps that began alike, where nobody calibrated the model.
THRESHOLDS = {"fp32": 1e-3, "q8": 1e-3, "q4": 1e-3, "fp16": 1e-2}
FLOOR, HALF_FLOOR = 1e-3, 5e-3
#: Two hosts' noise differs by the last bit of a float32 at most.
NOISE = 1e-6


class PictureSteps:
    """``Traced`` for whoever draws with a ``Sampler``; the rest is the connector's."""

    recheck_version: ClassVar[int] = 1
    step_distance: ClassVar[str] = "relative L2 of the latents after the same steps"
    Input: type[Any]
    Output: type[Any]

    # --- what the connector brings ----------------------------------------------------

    def drawn(self, input: Any, manifest: Manifest) -> tuple[TextToImageConfig, Drawing]:
        raise NotImplementedError

    async def finish(self, sampler: Sampler, wanted: Drawing, manifest: Manifest) -> Any:
        """Decode what the sampler holds."""
        raise NotImplementedError

    def validate(self, input: Any, manifest: Manifest) -> None:
        raise NotImplementedError

    def check(
        self, input: Any, output: Any, manifest: Manifest, *, may_be_blank: bool = False
    ) -> None:
        raise NotImplementedError

    def compare(
        self, reference: Any, candidate: Any, dtype: str, threshold: float | None = None
    ) -> Comparison:
        raise NotImplementedError

    # --- the trace --------------------------------------------------------------------

    def kept(self, input: Any, manifest: Manifest) -> tuple[int, ...]:
        config, wanted = self.drawn(input, manifest)
        return trace.kept(wanted.steps, _bytes(config, wanted))

    def split_trace(self, input: Any, manifest: Manifest, content: bytes) -> tuple[bytes, ...]:
        config, wanted = self.drawn(input, manifest)
        count = len(trace.kept(wanted.steps, _bytes(config, wanted)))
        size = count * _bytes(config, wanted)
        if len(content) != size:
            raise InvalidOutput(f"Its latents are {len(content)} bytes; {size} belong to it.")
        return trace.split(content, count)

    # --- the reference ----------------------------------------------------------------

    async def recheck(
        self, asked: Recheck, manifest: Manifest, runtime: Runtime, emit: Emit
    ) -> Rechecked:
        input = msgspec.msgpack.decode(asked.input, type=self.Input)
        self.validate(input, manifest)
        config, wanted = self.drawn(input, manifest)
        _check_stretches(asked, config, wanted)
        after = []
        with Sampler(runtime, config, wanted) as sampler:
            await sampler.read_prompt()
            for number, stretch in enumerate(asked.stretches):
                sampler.resume(stretch.at, stretch.latents)
                for _ in range(stretch.steps):
                    emit(number, len(asked.stretches), "steps")
                    await sampler.step()
                after.append(await sampler.latents())
            sampler.resume(wanted.steps, asked.last)
            output = await self.finish(sampler, wanted, manifest)
        return Rechecked(tuple(after), msgspec.msgpack.encode(output))

    def recheck_share(self, input: Any, manifest: Manifest, asked: Recheck) -> float:
        """Prompt and decoder count as a step each: in a small model they take as long."""
        _, wanted = self.drawn(input, manifest)
        steps = sum(stretch.steps for stretch in asked.stretches)
        return min(1.0, (steps + 2) / (wanted.steps + 2))

    def check_rechecked(
        self, input: Any, asked: Recheck, rechecked: Rechecked, manifest: Manifest
    ) -> None:
        sizes = [len(each) for each in rechecked.after]
        if sizes != [len(stretch.latents) for stretch in asked.stretches]:
            raise InvalidOutput("The latents are not those of the steps that were asked for.")
        try:
            output = msgspec.msgpack.decode(rechecked.output, type=self.Output)
        except msgspec.MsgspecError as error:
            raise InvalidOutput(f"The picture cannot be read: {error}") from error
        # What a node calls its last latents may well decode to one flat colour.
        self.check(input, output, manifest, may_be_blank=True)

    # --- whoever compares -------------------------------------------------------------

    def compare_steps(
        self,
        input: Any,
        manifest: Manifest,
        claimed: Claimed,
        rechecked: Rechecked,
        dtype: str,
        thresholds: Thresholds,
    ) -> tuple[Part, ...]:
        config, wanted = self.drawn(input, manifest)
        noise = first_latents(config, wanted)
        limit = thresholds.step
        if limit is None:
            limit = THRESHOLDS.get(dtype, THRESHOLDS["fp32"])
        ours, theirs = (
            msgspec.msgpack.decode(output, type=self.Output)
            for output in (rechecked.output, claimed.output)
        )
        picture = self.compare(ours, theirs, dtype, thresholds.output)
        said = zip(claimed.asked.stretches, claimed.after, claimed.places, strict=True)
        steps = zip(said, rechecked.after, strict=True)
        return (
            Part("noise", trace.relative(noise, claimed.first), NOISE),
            *(
                Part(_name(stretch), trace.relative(reference, after), limit, place)
                for (stretch, after, place), reference in steps
            ),
            Part("picture", picture.distance, picture.threshold),
        )

    def step_floor(self, dtype: str) -> float:
        return HALF_FLOOR if dtype == "fp16" else FLOOR


def _check_stretches(asked: Recheck, config: TextToImageConfig, wanted: Drawing) -> None:
    size = _bytes(config, wanted)
    if any(len(each) != size for each in (asked.last, *(s.latents for s in asked.stretches))):
        raise InvalidInput(f"The latents of this picture are {size} bytes.")
    if any(not 0 <= s.at < s.at + s.steps <= wanted.steps for s in asked.stretches):
        raise InvalidInput(f"This picture has {wanted.steps} steps.")


def _bytes(config: TextToImageConfig, wanted: Drawing) -> int:
    return 4 * math.prod(shape(config, wanted))


def _name(stretch: Stretch) -> str:
    """ "step 3", or "steps 5 to 8": counted from 1."""
    first, last = stretch.at + 1, stretch.at + stretch.steps
    return f"step {first}" if first == last else f"steps {first} to {last}"
