"""Folders of latent diffusion models, from diffusers' own classes with tiny random weights.

Run with the interpreter of the export environment: diffusers_folders.py FOLDER FAMILY….
The families differ in what an export must understand: prediction, schedule, guidance, the
number of text encoders.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    EulerDiscreteScheduler,
    LCMScheduler,
    PNDMScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
)

TOKENS = 16
WIDTH = 32
BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
#: What the model cards of these families say of their schedules.
SCHEDULERS: dict[str, Any] = {
    "sd1": lambda: PNDMScheduler(**BETAS, skip_prk_steps=True, steps_offset=1),
    "turbo": lambda: EulerDiscreteScheduler(**BETAS, timestep_spacing="trailing"),
    "lcm": lambda: LCMScheduler(**BETAS, set_alpha_to_one=True),
    "sd2": lambda: DDIMScheduler(
        **BETAS,
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
        prediction_type="v_prediction",
    ),
    "sdxl": lambda: EulerDiscreteScheduler(**BETAS, timestep_spacing="leading", steps_offset=1),
}


def tokenizer(folder: Path, pad: str = "<|endoftext|>") -> CLIPTokenizer:
    """Bytes, one merge, and CLIP's two special tokens last, as in the original."""
    from transformers.models.clip.tokenization_clip import bytes_to_unicode

    letters = list(bytes_to_unicode().values())
    words = [*letters, *(letter + "</w>" for letter in letters), "re", "red</w>"]
    words += ["<|startoftext|>", "<|endoftext|>"]
    folder.mkdir(parents=True, exist_ok=True)
    vocab = {word: index for index, word in enumerate(words)}
    (folder / "vocab.json").write_text(json.dumps(vocab, ensure_ascii=False), encoding="utf-8")
    merges = "#version: 0.2\nr e\nre d</w>\n"
    (folder / "merges.txt").write_text(merges, encoding="utf-8")
    return CLIPTokenizer(
        str(folder / "vocab.json"),
        str(folder / "merges.txt"),
        pad_token=pad,
        model_max_length=TOKENS,
    )


def text_config(words: int, width: int = WIDTH, projection: int = 24) -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=words,
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=3,
        num_attention_heads=4,
        max_position_embeddings=TOKENS,
        projection_dim=projection,
        hidden_act="quick_gelu",
        bos_token_id=words - 2,
        eos_token_id=words - 1,
        pad_token_id=words - 1,
    )


def unet(context: int = WIDTH, **more: Any) -> UNet2DConditionModel:
    shape: dict[str, Any] = {
        "sample_size": 8,
        "block_out_channels": (32, 64),
        "layers_per_block": 1,
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
        "cross_attention_dim": context,
        "attention_head_dim": 4,
        "norm_num_groups": 8,
    }
    return UNet2DConditionModel(**{**shape, **more})


def vae(**more: Any) -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(16, 32),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=4,
        norm_num_groups=8,
        sample_size=16,
        **more,
    )


def stable_diffusion(family: str, scratch: Path) -> StableDiffusionPipeline:
    words = tokenizer(scratch / "words", "!" if family == "sd2" else "<|endoftext|>")
    more: dict[str, Any] = {"time_cond_proj_dim": 32} if family == "lcm" else {}
    if family == "sd2":
        more = {"use_linear_projection": True}
    return StableDiffusionPipeline(
        vae=vae(),
        text_encoder=CLIPTextModel(text_config(len(words))),
        tokenizer=words,
        unet=unet(**more),
        scheduler=SCHEDULERS[family](),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def stable_diffusion_xl(scratch: Path) -> StableDiffusionXLPipeline:
    words = tokenizer(scratch / "words")
    more = tokenizer(scratch / "more-words", "!")
    pooled = 24
    return StableDiffusionXLPipeline(
        vae=vae(scaling_factor=0.13025, force_upcast=True),
        text_encoder=CLIPTextModel(text_config(len(words))),
        text_encoder_2=CLIPTextModelWithProjection(text_config(len(more), 48, pooled)),
        tokenizer=words,
        tokenizer_2=more,
        unet=unet(
            context=WIDTH + 48,
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=6 * 8 + pooled,
            use_linear_projection=True,
        ),
        scheduler=SCHEDULERS["sdxl"](),
        force_zeros_for_empty_prompt=True,
    )


def make(family: str, folder: Path) -> None:
    torch.manual_seed(7)
    scratch = folder.with_name(folder.name + "-scratch")
    made = stable_diffusion_xl(scratch) if family == "sdxl" else stable_diffusion(family, scratch)
    made.save_pretrained(folder)
    (folder / "LICENSE").write_text("Random numbers; do as you like.\n", encoding="utf-8")


if __name__ == "__main__":
    for family in sys.argv[2:]:
        make(family, Path(sys.argv[1]) / family)
