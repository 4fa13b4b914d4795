"""The shipped model that draws, asked for the recipe's held-out prompts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from scenes.prompts import Prompt
from tabgrid_models import png
from tabgrid_models.connectors.text_to_image import TextToImage
from tabgrid_models.drawing import TextToImageInput
from tests.support import models

MODEL = "tabgrid-scenes"
SIDE = 64


async def drawn(prompts: Sequence[Prompt]) -> list[npt.NDArray[np.uint8]]:
    """RGB [64, 64, 3] of each, as a native node draws it; picture number n has seed n."""
    return [await _drawn(prompt.text, seed) for seed, prompt in enumerate(prompts)]


async def _drawn(prompt: str, seed: int) -> npt.NDArray[np.uint8]:
    """With the steps and the guidance that the model's manifest names."""
    output = await TextToImage().run(
        TextToImageInput(prompt, seed=seed),
        models.manifest(MODEL),
        models.runtime(MODEL),
        models.Progress(),
    )
    picture = png.decode(output.image, SIDE * SIDE)
    return np.frombuffer(picture.rgb, np.uint8).reshape(SIDE, SIDE, 3)
