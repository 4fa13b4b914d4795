"""A scheduler's configuration, as the grid's own arithmetic understands it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from tabgrid_models.diffusion import Schedule

from .. import ExportError

#: The classes whose steps are the grid's.
OWN = {
    "EulerDiscreteScheduler": "euler",
    "DDIMScheduler": "ddim",
    "LCMScheduler": "lcm",
}
CLASSES = {kind: name for name, kind in OWN.items()}
#: Classes that remember former steps or draw noise in their own way, and what walks the same
#: schedule instead. diffusers names the same substitutes where it speaks of swapping.
SUBSTITUTES = {
    "DDPMScheduler": "ddim",
    "PNDMScheduler": "ddim",
    "DEISMultistepScheduler": "euler",
    "DPMSolverMultistepScheduler": "euler",
    "DPMSolverSinglestepScheduler": "euler",
    "EulerAncestralDiscreteScheduler": "euler",
    "HeunDiscreteScheduler": "euler",
    "KDPM2AncestralDiscreteScheduler": "euler",
    "KDPM2DiscreteScheduler": "euler",
    "LMSDiscreteScheduler": "euler",
    "UniPCMultistepScheduler": "euler",
}
#: What would make a step no longer linear, or walk other levels of noise.
UNSUPPORTED: dict[str, tuple[Any, ...]] = {
    "trained_betas": (None,),
    "thresholding": (False, None),
    "use_karras_sigmas": (False, None),
    "use_exponential_sigmas": (False, None),
    "use_beta_sigmas": (False, None),
    "interpolation_type": ("linear",),
    "timestep_type": ("discrete",),
    "final_sigmas_type": ("zero", None),
}
#: diffusers' defaults, where a configuration is silent.
SILENT = {
    "euler": {"spacing": "linspace", "steps_offset": 0},
    "ddim": {"spacing": "leading", "steps_offset": 0, "set_alpha_to_one": True},
    "lcm": {"spacing": "leading", "steps_offset": 0, "set_alpha_to_one": True},
}
FIELDS = {
    "prediction_type": "prediction",
    "beta_start": "beta_start",
    "beta_end": "beta_end",
    "beta_schedule": "beta_schedule",
    "num_train_timesteps": "train_steps",
    "timestep_spacing": "spacing",
    "steps_offset": "steps_offset",
    "set_alpha_to_one": "set_alpha_to_one",
    "rescale_betas_zero_snr": "rescale_zero_snr",
    "original_inference_steps": "original_steps",
    "timestep_scaling": "timestep_scaling",
}


def read(config: Mapping[str, Any], chosen: str = "") -> Schedule:
    """The schedule of a ``scheduler_config.json``; ``chosen`` overrides its kind.

    Raises ``ExportError`` for what the grid's arithmetic does not have.
    """
    name = config.get("_class_name", "")
    kind = chosen or OWN.get(name) or SUBSTITUTES.get(name)
    if kind not in CLASSES:
        raise ExportError(
            f"The scheduler {chosen or name!r} is not supported; choose one of "
            f"{', '.join(CLASSES)} with --scheduler."
        )
    for field, allowed in UNSUPPORTED.items():
        if field in config and config[field] not in allowed and OWN.get(name) == kind:
            raise ExportError(f"Its scheduler says {field} = {config[field]!r}; not supported.")
    if config.get("clip_sample") and OWN.get(name) == kind:
        raise ExportError("Its scheduler clips the picture at each step; that is not supported.")
    fields: dict[str, Any] = {"kind": kind, **SILENT[kind]}
    fields |= {ours: config[theirs] for theirs, ours in FIELDS.items() if theirs in config}
    if kind != "lcm":
        # Only consistency models have these; elsewhere they would say nothing.
        fields = {key: value for key, value in fields.items() if key not in LCM_ONLY}
    try:
        return msgspec.convert(fields, Schedule)
    except msgspec.ValidationError as error:
        raise ExportError(f"Its scheduler is not supported: {error}") from error


LCM_ONLY = ("original_steps", "timestep_scaling")


def replaced(config: Mapping[str, Any], schedule: Schedule) -> str:
    """Name of the model's own scheduler, if the grid walks the schedule in another way."""
    name = config.get("_class_name", "")
    return "" if OWN.get(name) == schedule.kind else name


def scheduler(schedule: Schedule) -> Any:
    """diffusers' own scheduler of that schedule."""
    import diffusers

    config: dict[str, Any] = {
        theirs: getattr(schedule, ours) for theirs, ours in FIELDS.items() if ours not in LCM_ONLY
    }
    if schedule.kind == "euler":
        del config["set_alpha_to_one"]
        return diffusers.EulerDiscreteScheduler(**config)
    if schedule.kind == "ddim":
        return diffusers.DDIMScheduler(**config, clip_sample=False)
    return diffusers.LCMScheduler(
        **config,
        clip_sample=False,
        original_inference_steps=schedule.original_steps,
        timestep_scaling=schedule.timestep_scaling,
    )
