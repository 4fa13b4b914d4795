"""The same pictures by diffusers' own pipeline: what an export must not differ from."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tabgrid_models.diffusion import plan
from tabgrid_models.drawing import TextToImageInput

from . import schedules
from .family import Family


class Original:
    """A pipeline in float32, with its own scheduler unless that was replaced."""

    def __init__(self, source: Path, family: Family) -> None:
        import torch
        from diffusers import DiffusionPipeline

        self._torch = torch
        self._family = family
        self._pipeline = DiffusionPipeline.from_pretrained(
            source, torch_dtype=torch.float32, safety_checker=None, local_files_only=True
        )
        self._pipeline.set_progress_bar_config(disable=True)
        if family.replaced:
            self._pipeline.scheduler = schedules.scheduler(family.schedule)

    def draw(
        self, wanted: TextToImageInput, first: np.ndarray, noise: Sequence[np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray]:
        """The last latents, and the pixels (height, width, 3) in levels, of a picture.

        ``first`` is what the grid's first step was fed; ``noise`` what each of its steps was.
        """
        sigma = plan(self._family.schedule, wanted.steps).sigma
        draws = (self._torch.from_numpy(each) for each in noise)
        last: dict[str, Any] = {}

        def keep(_pipeline: Any, _step: int, _time: Any, values: dict[str, Any]) -> dict[str, Any]:
            last.update(values)
            return values

        with _same_noise(draws):
            drawn = self._pipeline(
                prompt=wanted.prompt,
                negative_prompt=wanted.negative_prompt or None,
                num_inference_steps=wanted.steps,
                guidance_scale=self._family.guidance,
                latents=self._torch.from_numpy(first / np.float32(sigma)),
                width=wanted.width,
                height=wanted.height,
                callback_on_step_end=keep,
                output_type="np",
            )
        return last["latents"].detach().numpy(), drawn.images[0] * 255.0


@contextlib.contextmanager
def _same_noise(draws: Iterator[Any]) -> Iterator[None]:
    """The one scheduler here that draws noise of its own is given the grid's instead."""
    from diffusers.schedulers import scheduling_lcm

    own = scheduling_lcm.randn_tensor
    scheduling_lcm.randn_tensor = lambda *_, **__: next(draws)
    try:
        yield
    finally:
        scheduling_lcm.randn_tensor = own
