"""A diffusers folder is understood from its descriptions alone, or refused in words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tabgrid_server.export import ExportError
from tabgrid_server.export.diffusion import schedules
from tabgrid_server.export.diffusion.family import inspect
from tabgrid_server.export.recipe import Pictures

BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
#: As the hub has them.
SD_TURBO = {
    "_class_name": "EulerDiscreteScheduler",
    **BETAS,
    "interpolation_type": "linear",
    "num_train_timesteps": 1000,
    "prediction_type": "epsilon",
    "steps_offset": 1,
    "timestep_spacing": "trailing",
    "trained_betas": None,
    "use_karras_sigmas": False,
}
SD_15 = {
    "_class_name": "PNDMScheduler",
    **BETAS,
    "num_train_timesteps": 1000,
    "set_alpha_to_one": False,
    "skip_prk_steps": True,
    "steps_offset": 1,
    "trained_betas": None,
    "clip_sample": False,
}
SD_21 = {
    "_class_name": "DDIMScheduler",
    **BETAS,
    "clip_sample": False,
    "num_train_timesteps": 1000,
    "prediction_type": "v_prediction",
    "set_alpha_to_one": False,
    "steps_offset": 1,
    "trained_betas": None,
}
LCM = {
    "_class_name": "LCMScheduler",
    **BETAS,
    "clip_sample": False,
    "num_train_timesteps": 1000,
    "original_inference_steps": 50,
    "set_alpha_to_one": True,
    "steps_offset": 0,
    "timestep_scaling": 10.0,
}


def folder(
    place: Path,
    scheduler: dict[str, Any],
    unet: dict[str, Any] | None = None,
    vae: dict[str, Any] | None = None,
    index: dict[str, Any] | None = None,
) -> Path:
    """The descriptions of a Stable Diffusion 1.5, with some of them changed."""
    files: dict[str, Any] = {
        "model_index.json": {
            "_class_name": "StableDiffusionPipeline",
            "text_encoder": ["transformers", "CLIPTextModel"],
            "unet": ["diffusers", "UNet2DConditionModel"],
            "vae": ["diffusers", "AutoencoderKL"],
            **(index or {}),
        },
        "scheduler/scheduler_config.json": scheduler,
        "text_encoder/config.json": {"max_position_embeddings": 77},
        "unet/config.json": {
            "in_channels": 4,
            "sample_size": 64,
            "block_out_channels": [320, 640, 1280, 1280],
            **(unet or {}),
        },
        "vae/config.json": {
            "latent_channels": 4,
            "block_out_channels": [128, 256, 512, 512],
            "scaling_factor": 0.18215,
            **(vae or {}),
        },
    }
    for name, content in files.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(json.dumps(content))
    return place


def test_stable_diffusion_is_guided_and_its_sampler_replaced(tmp_path: Path) -> None:
    family = inspect(folder(tmp_path, SD_15), Pictures())
    assert (family.guided, family.guidance, family.steps) == (True, 7.5, 25)
    assert (family.schedule.kind, family.replaced) == ("ddim", "PNDMScheduler")
    assert (family.sizes, family.downscale, family.fixed) == (("512x512",), 8, (64, 64))
    assert family.scale == (1 / 0.18215,) * 4


def test_turbo_is_not_guided_and_takes_one_step(tmp_path: Path) -> None:
    family = inspect(folder(tmp_path, SD_TURBO), Pictures())
    assert (family.guided, family.steps, family.max_steps) == (False, 1, 4)
    assert (family.schedule.kind, family.schedule.spacing) == ("euler", "trailing")
    assert family.replaced == ""


def test_v_prediction_is_seen(tmp_path: Path) -> None:
    family = inspect(folder(tmp_path, SD_21, unet={"sample_size": 96}), Pictures())
    assert (family.schedule.prediction, family.sizes) == ("v_prediction", ("768x768",))
    assert family.guided


def test_a_consistency_model_has_its_guidance_built_in(tmp_path: Path) -> None:
    index = {"_class_name": "LatentConsistencyModelPipeline"}
    made = folder(tmp_path, LCM, unet={"time_cond_proj_dim": 256}, index=index)
    family = inspect(made, Pictures())
    assert (family.guided, family.guidance, family.guidance_width) == (False, 8.5, 256)
    assert (family.schedule.original_steps, family.steps) == (50, 4)


def test_a_person_may_choose(tmp_path: Path) -> None:
    wanted = Pictures(sizes=("256x512", "512x256"), steps=12, guidance=1.0, scheduler="euler")
    family = inspect(folder(tmp_path, SD_15), wanted)
    assert (family.guided, family.steps, family.schedule.kind) == (False, 12, "euler")
    assert (family.sizes, family.fixed) == (("256x512", "512x256"), None)
    assert family.replaced == "PNDMScheduler"


def test_latents_with_statistics_of_their_own(tmp_path: Path) -> None:
    vae = {"latents_mean": [1.0, 2, 3, 4], "latents_std": [2.0, 4, 6, 8], "scaling_factor": 0.5}
    family = inspect(folder(tmp_path, SD_15, vae=vae), Pictures())
    assert family.scale == (4.0, 8.0, 12.0, 16.0)
    assert family.shift == (1.0, 2.0, 3.0, 4.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"index": {"_class_name": "FluxPipeline"}}, "FluxPipeline"),
        ({"index": {"vae": ["diffusers", "AutoencoderTiny"]}}, "AutoencoderTiny"),
        ({"unet": {"in_channels": 9}}, "edits pictures"),
        ({"unet": {"addition_embed_type": "text_image"}}, "text_image"),
        ({"scheduler": {**SD_21, "clip_sample": True}}, "clips"),
        ({"scheduler": {**SD_TURBO, "use_karras_sigmas": True}}, "use_karras_sigmas"),
        ({"scheduler": {"_class_name": "TCDScheduler"}}, "TCDScheduler"),
        ({"scheduler": {**SD_21, "beta_schedule": "cubic"}}, "beta_schedule"),
    ],
)
def test_what_is_not_supported_is_named(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(ExportError, match=message):
        inspect(folder(tmp_path, **{"scheduler": SD_15, **change}), Pictures())


@pytest.mark.parametrize("size", ["512", "0x512", "500x512", "512x512\n"])
def test_a_size_that_cannot_be_drawn_is_refused(tmp_path: Path, size: str) -> None:
    with pytest.raises(ExportError, match=r"no size|multiples"):
        inspect(folder(tmp_path, SD_15), Pictures(sizes=(size,)))


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"model_index\.json"):
        inspect(tmp_path, Pictures())


def test_what_a_configuration_leaves_out_is_diffusers_default() -> None:
    assert schedules.read({"_class_name": "EulerDiscreteScheduler"}).spacing == "linspace"
    assert schedules.read({"_class_name": "DDIMScheduler"}).set_alpha_to_one
