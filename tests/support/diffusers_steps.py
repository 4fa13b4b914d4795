"""Walks schedules with diffusers and with ours, and prints how far apart they end up.

Run by the export environment's Python (tests/export/test_schedules.py). One JSON object:
kind of sampler to the largest relative L2 distance of latents, pictures and inputs seen.
"""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Iterator
from typing import Any

import torch
from diffusers import DDIMScheduler, EulerDiscreteScheduler, LCMScheduler

from tabgrid_models.diffusion import Plan, Schedule, plan

CLASSES = {"euler": EulerDiscreteScheduler, "ddim": DDIMScheduler, "lcm": LCMScheduler}
STEPS = (1, 3, 4, 20)
SHAPE = (1, 4, 8, 8)
NOISE_SEED = 7


def schedules(kind: str) -> Iterator[dict[str, Any]]:
    """Fields of ``Schedule`` in every combination that diffusers has too."""
    # Its Euler knows no network that predicts the picture.
    predictions = ("epsilon", "v_prediction") + (("sample",) if kind != "euler" else ())
    for prediction, betas, spacing, offset, zero, one in itertools.product(
        predictions, ("linear", "scaled_linear"), ("leading", "trailing", "linspace"),
        (0, 1), (False, True), (False, True),
    ):  # fmt: skip
        if zero and prediction == "epsilon" and kind != "euler":
            continue
        yield {
            "kind": kind,
            "prediction": prediction,
            "beta_schedule": betas,
            "spacing": spacing,
            "steps_offset": offset,
            "rescale_zero_snr": zero,
            "set_alpha_to_one": one,
        }


def theirs(fields: dict[str, Any], steps: int) -> Any:
    options = {
        "beta_start": 0.00085,
        "beta_end": 0.012,
        "beta_schedule": fields["beta_schedule"],
        "prediction_type": fields["prediction"],
        "timestep_spacing": fields["spacing"],
        "steps_offset": fields["steps_offset"],
        "rescale_betas_zero_snr": fields["rescale_zero_snr"],
    }
    if fields["kind"] != "euler":
        options |= {"set_alpha_to_one": fields["set_alpha_to_one"], "clip_sample": False}
    made = CLASSES[fields["kind"]](**options)
    made.set_timesteps(steps)
    return made


def walk(ours: Plan, scheduler: Any) -> Iterator[float]:
    """Every step on its own, from the same latents, with a network of random answers."""
    wanted = [float(at) for at in scheduler.timesteps]
    assert torch.allclose(
        torch.tensor([step.timestep for step in ours.steps]), torch.tensor(wanted)
    )
    yield abs(ours.sigma / float(scheduler.init_noise_sigma) - 1)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(SHAPE, generator=generator) * float(scheduler.init_noise_sigma)
    for step, at in zip(ours.steps, scheduler.timesteps, strict=True):
        c = step.coefficients
        m = torch.randn(SHAPE, generator=generator)
        noise = torch.randn(SHAPE, generator=torch.Generator().manual_seed(NOISE_SEED))
        seen = scheduler.scale_model_input(x, at)
        if isinstance(scheduler, LCMScheduler):
            end = scheduler.step(m, at, x, generator=torch.Generator().manual_seed(NOISE_SEED))
            picture = end.denoised
        else:
            end = scheduler.step(m, at, x)
            picture = end.pred_original_sample
        yield distance(c[0] * x, seen)
        yield distance(c[1] * x + c[2] * m + c[3] * noise, end.prev_sample)
        yield distance(c[4] * x + c[5] * m, picture)
        x = end.prev_sample


def distance(one: torch.Tensor, other: torch.Tensor) -> float:
    return float((one - other).norm() / other.norm())


worst = {
    kind: max(
        apart
        for fields in schedules(kind)
        for steps in STEPS
        for apart in walk(plan(Schedule(**fields), steps), theirs(fields, steps))
    )
    for kind in CLASSES
}
sys.stdout.write(json.dumps(worst))
