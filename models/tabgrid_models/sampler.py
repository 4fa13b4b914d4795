"""The loop that turns noise into a picture, on whatever device a runtime stands for.

It moves no picture: what a graph returns stays on the device and is fed to the next one.
What the picture's commitment needs of it is read when the picture is there, not in between.
It makes noise and counts, and it gives everything back, however the picture ends.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Container, Iterable, Mapping

from . import png
from .diffusion import Step, plan
from .drawing import Drawing, TextToImageConfig
from .noise import gaussians
from .runtime import Runtime, Tensor


class Sampler:
    """One picture on its way. Whatever it put on the device is gone when ``with`` ends.

    ``keep`` says after how many steps the latents are kept until ``trace`` reads them.
    """

    def __init__(
        self,
        runtime: Runtime,
        config: TextToImageConfig,
        wanted: Drawing,
        keep: Container[int] = (),
    ) -> None:
        self._runtime = runtime
        self._config = config
        self._wanted = wanted
        self._plan = plan(config.schedule, wanted.steps)
        self._next = 0
        self._shape = shape(config, wanted)
        self._keep = keep
        self._kept: list[Tensor] = []
        #: What every step is fed besides what is its own, and what changes from step to step.
        self._constant: dict[str, Tensor] = {}
        self._latents: dict[str, Tensor] = {}

    def __enter__(self) -> Sampler:
        return self

    def __exit__(self, *error: object) -> None:
        _dispose(self._constant)
        _dispose(self._latents)
        for tensor in self._kept:
            tensor.dispose()

    async def read_prompt(self) -> None:
        """Everything that stays the same, and the first latents."""
        config, ids = self._config, self._ids()
        try:
            self._constant = dict(await self._runtime.run("text", ids))
        finally:
            _dispose(ids)
        if config.guided:
            self._constant["guidance"] = self._floats((1,), [self._wanted.guidance])
        if config.time_ids:
            sides = [float(self._wanted.height), float(self._wanted.width)]
            row = [*sides, 0.0, 0.0, *sides]
            self._constant["time_ids"] = self._floats((self._rows, 6), row * self._rows)
        if not any(step.needs_noise for step in self._plan.steps):
            self._constant["noise"] = self._floats(self._shape, bytes(4 * math.prod(self._shape)))
        self._latents["latents"] = self._noise(0, self._plan.sigma)

    def resume(self, done: int, latents: bytes) -> None:
        """Go on from ``latents`` as they were after ``done`` steps. Raises ValueError for
        another size than this picture's."""
        _dispose(self._latents)
        self._latents = {"latents": self._floats(self._shape, latents)}
        self._next = done

    async def step(self) -> None:
        """The next latents in place of the last ones."""
        kept = self._next in self._keep
        step = self._plan.steps[self._next]
        self._next += 1
        own = self._own(step)
        try:
            feeds = {**self._constant, **own, "latents": self._latents["latents"]}
            after = await self._runtime.run("step", feeds)
        finally:
            _dispose(own)
        if kept:
            self._kept.append(self._latents.pop("latents"))
        _dispose(self._latents)
        # ONNX lets no output have an input's name, so what comes next has another.
        self._latents = {"latents": after["next"], "denoised": after["denoised"]}

    async def preview(self) -> bytes:
        """A PNG of the picture so far, one pixel per latent."""
        rgba = await self._read("preview", "denoised")
        return png.encode(self._shape[3], self._shape[2], rgba, {})

    async def decode(self) -> bytes:
        """RGBA of the whole picture, rows from the top."""
        return await self._read("decode", "latents")

    async def latents(self) -> bytes:
        """As they are now: float32, row by row."""
        return await self._latents["latents"].read()

    async def trace(self) -> bytes:
        """All that was kept, in order, and the latents as they are now."""
        earlier = [await tensor.read() for tensor in self._kept]
        return b"".join([*earlier, await self.latents()])

    @property
    def _rows(self) -> int:
        return 2 if self._config.guided else 1

    def _ids(self) -> dict[str, Tensor]:
        """``input_ids`` of negative prompt and prompt, once per text encoder."""
        texts = (self._wanted.negative_prompt, self._wanted.prompt)[-self._rows :]
        width = self._config.max_tokens
        rows = self._runtime.tokenizer().encode(texts, width)
        ids = {}
        for name, pad in zip(("input_ids", "input_ids_2"), self._config.pad_ids, strict=False):
            filled = array("q")
            for row in rows:
                filled.extend([*row, *[pad] * (width - len(row))])
            ids[name] = self._runtime.tensor("int64", (len(rows), width), filled.tobytes())
        return ids

    def _own(self, step: Step) -> dict[str, Tensor]:
        own = {
            "timestep": self._floats((1,), [step.timestep]),
            "coefficients": self._floats((6,), step.coefficients),
        }
        if "noise" not in self._constant:
            # Draw 0 is the first latents; a step's own draw is its number, from 1.
            own["noise"] = self._noise(self._next)
        return own

    async def _read(self, graph: str, of: str) -> bytes:
        outputs = await self._runtime.run(graph, {"latents": self._latents[of]})
        try:
            return await outputs["rgba"].read()
        finally:
            _dispose(outputs)

    def _noise(self, draw: int, sigma: float = 1.0) -> Tensor:
        values = gaussians(self._wanted.seed, draw, math.prod(self._shape), sigma)
        return self._floats(self._shape, values.tobytes())

    def _floats(self, shape: tuple[int, ...], values: Iterable[float] | bytes) -> Tensor:
        data = values if isinstance(values, bytes) else array("f", values).tobytes()
        return self._runtime.tensor("float32", shape, data)


def shape(config: TextToImageConfig, wanted: Drawing) -> tuple[int, int, int, int]:
    """Of the latents of a picture."""
    sides = wanted.height // config.downscale, wanted.width // config.downscale
    return (1, config.latent_channels, *sides)


def first_latents(config: TextToImageConfig, wanted: Drawing) -> bytes:
    """What every picture of this seed begins with, on any host but for a last bit."""
    sigma = plan(config.schedule, wanted.steps).sigma
    return gaussians(wanted.seed, 0, math.prod(shape(config, wanted)), sigma).tobytes()


def _dispose(tensors: Mapping[str, Tensor]) -> None:
    for tensor in tensors.values():
        tensor.dispose()
