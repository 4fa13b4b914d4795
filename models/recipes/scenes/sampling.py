"""Draws pictures with the model as the pipeline would, many at a time, and has them judged."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from random import Random

import numpy as np
import torch
from diffusers import StableDiffusionPipeline

from scenes.architecture import LATENTS, Parts, make_scheduler
from scenes.dataset import token_ids
from scenes.prompts import Prompt, Score, judge, score
from scenes.scene import SIDE

STEPS = 8
GUIDANCE = 3.0
TOGETHER = 50  # pictures


def load_parts(pipeline: Path) -> Parts:
    """Of a saved pipeline."""
    saved = StableDiffusionPipeline.from_pretrained(pipeline)
    return Parts(saved.tokenizer, saved.text_encoder, saved.unet, saved.vae)


def noise(seed: int) -> torch.Tensor:
    """float32 [1, 4, 16, 16]: what the grid's nodes start from with that seed."""
    random, side = Random(seed), SIDE // 4
    numbers = [random.gauss(0, 1) for _ in range(LATENTS * side * side)]
    return torch.tensor(numbers, dtype=torch.float32).reshape(1, LATENTS, side, side)


@torch.no_grad()
def draw_prompts(
    parts: Parts, texts: Sequence[str], *, steps: int = STEPS, guidance: float = GUIDANCE
) -> np.ndarray:
    """uint8 [prompts, 64, 64, 3]; prompt number n is drawn with seed n."""
    pictures = []
    for start in range(0, len(texts), TOGETHER):
        some = texts[start : start + TOGETHER]
        first = torch.cat([noise(start + place) for place in range(len(some))])
        pictures.append(_draw(parts, some, first, steps, guidance))
    return np.concatenate(pictures)


def _draw(
    parts: Parts, texts: Sequence[str], latents: torch.Tensor, steps: int, guidance: float
) -> np.ndarray:
    device = next(parts.unet.parameters()).device
    scheduler = make_scheduler()
    scheduler.set_timesteps(steps)
    ids = token_ids(parts.tokenizer, [*[""] * len(texts), *texts]).to(device)
    context = parts.text_encoder(ids).last_hidden_state
    latents = latents.to(device)
    for time in scheduler.timesteps:
        twice = torch.cat([latents, latents])
        without, along = parts.unet(twice, time, context).sample.chunk(2)
        latents = scheduler.step(without + guidance * (along - without), time, latents).prev_sample
    pictures = parts.vae.decode(latents / parts.vae.config.scaling_factor).sample
    levels = (pictures.float().clamp(-1, 1) + 1) * 127.5
    return np.asarray(levels.round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy())


def judged(
    parts: Parts, prompts: Sequence[Prompt], *, steps: int = STEPS, guidance: float = GUIDANCE
) -> tuple[Score, np.ndarray]:
    """The score of the prompts' pictures, and the pictures."""
    texts = [prompt.text for prompt in prompts]
    pictures = draw_prompts(parts, texts, steps=steps, guidance=guidance)
    return score([judge(*pair) for pair in zip(prompts, pictures, strict=True)]), pictures
