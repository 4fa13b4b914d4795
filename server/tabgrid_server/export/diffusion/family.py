"""What a diffusers folder is: read from its own descriptions, before anything is loaded."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from tabgrid_models.diffusion import Schedule

from .. import ExportError
from ..recipe import Pictures
from . import schedules

INDEX = "model_index.json"
PARTS = {
    "text_encoder": ("CLIPTextModel",),
    "text_encoder_2": ("CLIPTextModelWithProjection",),
    "unet": ("UNet2DConditionModel",),
    "vae": ("AutoencoderKL",),
}
PIPELINES: dict[str, tuple[str, ...]] = {
    "StableDiffusionPipeline": ("text_encoder",),
    "LatentConsistencyModelPipeline": ("text_encoder",),
    "StableDiffusionXLPipeline": ("text_encoder", "text_encoder_2"),
}
#: What model cards recommend: guidance, steps, most steps.
XL_GUIDANCE, GUIDANCE, EMBEDDED_GUIDANCE = 5.0, 7.5, 8.5
STEPS = {"guided": (25, 100), "lcm": (4, 16), "turbo": (1, 4)}


class Family(msgspec.Struct, frozen=True):
    """Everything that the export of one model must know of it."""

    pipeline: str
    encoders: tuple[str, ...]
    schedule: Schedule
    #: Class of the model's own scheduler where it is replaced.
    replaced: str
    guided: bool
    #: Told to each step, or built in where the network was distilled with it.
    guidance: float
    steps: int
    max_steps: int
    #: Width of the guidance's embedding; 0 where the network has none.
    guidance_width: int
    channels: int
    downscale: int
    sizes: tuple[str, ...]
    time_ids: bool
    #: Whether an empty negative prompt is silence rather than an encoded text.
    silent_empty: bool
    #: Per channel, what latents are multiplied by and shifted before they are decoded.
    scale: tuple[float, ...]
    shift: tuple[float, ...]
    #: Whether the decoder overflows in half precision.
    full_decoder: bool

    @property
    def rows(self) -> int:
        return 2 if self.guided else 1

    @property
    def fixed(self) -> tuple[int, int] | None:
        """Height and width of the latents, if only one size is offered."""
        if len(self.sizes) > 1:
            return None
        width, height = map(int, self.sizes[0].split("x"))
        return height // self.downscale, width // self.downscale


def inspect(source: Path, wanted: Pictures) -> Family:
    """Raises ``ExportError`` for a folder of a family that is not supported."""
    index = _json(source / INDEX)
    pipeline = index.get("_class_name", "")
    if pipeline not in PIPELINES:
        raise ExportError(
            f"{source} is a {pipeline or 'folder of no pipeline'}; supported are "
            f"{', '.join(PIPELINES)}."
        )
    encoders = PIPELINES[pipeline]
    for part in (*encoders, "unet", "vae"):
        _, name = index.get(part) or (None, None)
        if name not in PARTS[part]:
            raise ExportError(f"Its {part} is a {name}; only {PARTS[part][0]} is supported.")
    unet, vae = _json(source / "unet" / "config.json"), _json(source / "vae" / "config.json")
    _check(source, unet, vae, encoders)
    config = _json(source / "scheduler" / "scheduler_config.json")
    schedule = schedules.read(config, wanted.scheduler)
    downscale = 2 ** (len(vae["block_out_channels"]) - 1)
    guided, guidance, steps, most = _use(pipeline, unet, schedule, wanted)
    scale, shift = _scaling(vae)
    return Family(
        pipeline=pipeline,
        encoders=encoders,
        schedule=schedule,
        replaced=schedules.replaced(config, schedule),
        guided=guided,
        guidance=guidance,
        steps=steps,
        max_steps=most,
        guidance_width=unet.get("time_cond_proj_dim") or 0,
        channels=unet["in_channels"],
        downscale=downscale,
        sizes=_sizes(wanted, unet, downscale),
        time_ids=unet.get("addition_embed_type") == "text_time",
        silent_empty=guided and bool(index.get("force_zeros_for_empty_prompt")),
        scale=scale,
        shift=shift,
        full_decoder=bool(vae.get("force_upcast", True)),
    )


def _check(
    source: Path, unet: Mapping[str, Any], vae: Mapping[str, Any], encoders: tuple[str, ...]
) -> None:
    if unet["in_channels"] != vae["latent_channels"]:
        raise ExportError(
            f"Its UNet takes {unet['in_channels']} channels and its VAE gives "
            f"{vae['latent_channels']}: it edits pictures, and only drawing is supported."
        )
    added = unet.get("addition_embed_type")
    if added not in (None, "text_time") or (added is not None) != (len(encoders) > 1):
        raise ExportError(f"Its UNet takes {added} conditions, which is not supported.")
    if unet.get("class_embed_type") or unet.get("encoder_hid_dim_type"):
        raise ExportError("Its UNet takes more than text, which is not supported.")
    for encoder in encoders:
        if _json(source / encoder / "config.json").get("use_attention_mask"):
            raise ExportError(f"Its {encoder} needs an attention mask, which is not supported.")


def _use(
    pipeline: str, unet: Mapping[str, Any], schedule: Schedule, wanted: Pictures
) -> tuple[bool, float, int, int]:
    """Guided or not, by how much, and in how many steps, at most how many."""
    distilled = bool(unet.get("time_cond_proj_dim"))
    lcm = schedule.kind == "lcm" or distilled
    # Models distilled to few steps are told apart by a schedule that begins at pure noise.
    turbo = (schedule.kind, schedule.spacing, schedule.prediction, schedule.rescale_zero_snr) == (
        ("euler", "trailing", "epsilon", False)
    )
    guidance = wanted.guidance
    if guidance is None:
        guidance = XL_GUIDANCE if "XL" in pipeline else GUIDANCE
        if distilled:
            guidance = EMBEDDED_GUIDANCE
        elif lcm or turbo:
            guidance = 1.0
    steps, most = STEPS["lcm" if lcm else "turbo" if turbo else "guided"]
    steps = wanted.steps or steps
    most = max(wanted.max_steps or most, steps)
    return guidance > 1.0 and not distilled, guidance, steps, most


def _scaling(vae: Mapping[str, Any]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """What diffusers does to latents before it decodes them."""
    channels, factor = vae["latent_channels"], vae.get("scaling_factor", 0.18215)
    mean, deviation = vae.get("latents_mean"), vae.get("latents_std")
    if mean is not None and deviation is not None:
        return tuple(value / factor for value in deviation), tuple(mean)
    shift = vae.get("shift_factor") or 0.0
    return (1.0 / factor,) * channels, (shift,) * channels


def _sizes(wanted: Pictures, unet: Mapping[str, Any], downscale: int) -> tuple[str, ...]:
    sample = unet["sample_size"]
    height, width = (sample, sample) if isinstance(sample, int) else sample
    sizes = wanted.sizes or (f"{width * downscale}x{height * downscale}",)
    # The UNet halves the latents again, once per block but the last.
    multiple = downscale * 2 ** (len(unet["block_out_channels"]) - 1)
    for size in sizes:
        if not re.fullmatch(r"[1-9]\d*x[1-9]\d*", size):
            raise ExportError(f"{size!r} is no size; write it like 512x512.")
        if any(int(side) % multiple for side in size.split("x")):
            raise ExportError(
                f"{size} is not supported: both sides must be multiples of {multiple}."
            )
    return tuple(sizes)


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ExportError(
            f"{path} cannot be read, so this is no diffusers folder: {error}"
        ) from error
