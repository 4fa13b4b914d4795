"""The four parts of the model, with random weights: Stable Diffusion's classes at a tiny size."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizerFast

from scenes.captions import caption
from scenes.scene import SIDE, think_up

MAX_TOKENS = 32  # the longest caption of the recipe has 27
WIDTH = 128  # of a token's vector
LATENTS = 4  # channels; the latents are a quarter of the picture's side
START, END = "<|startoftext|>", "<|endoftext|>"
ADOPTED_TOKENIZER = "tokenizer.json"  # in the folder of a run


@dataclass(frozen=True)
class Parts:
    tokenizer: CLIPTokenizerFast
    text_encoder: CLIPTextModel
    unet: UNet2DConditionModel
    vae: AutoencoderKL


def make_parts(seed: int = 0, tokenizer: CLIPTokenizerFast | None = None) -> Parts:
    torch.manual_seed(seed)
    tokenizer = tokenizer or make_tokenizer()
    return Parts(tokenizer, make_text_encoder(len(tokenizer)), make_unet(), make_vae())


#: What ends a block that is added to the way through.
ADDED = ("conv2.weight", "proj_out.weight")
#: Convolutions on the way through itself, which torch starts too small for it.
THROUGH = ("conv_in.weight", "conv_out.weight", "conv.weight", "conv_shortcut.weight")


def start_straight(model: nn.Module) -> None:
    """Lets every added block begin as nothing, so that the way through is learnt at once."""
    for name, weight in model.named_parameters():
        if name.endswith(ADDED):
            nn.init.zeros_(weight)
        elif name.endswith(THROUGH):
            weight.data *= 1.7


def make_vae() -> AutoencoderKL:
    """Convolutions only: it is trained on parts of pictures, and codes whole ones."""
    vae = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=(16, 32, 64),
        layers_per_block=1,
        latent_channels=LATENTS,
        norm_num_groups=2,
        mid_block_add_attention=False,
        sample_size=SIDE,
    )
    start_straight(vae)
    return vae


def make_unet() -> UNet2DConditionModel:
    """Attention where there are 8x8 and 4x4 latents; at 16x16 it costs more than it brings."""
    unet = UNet2DConditionModel(
        sample_size=SIDE // 4,
        in_channels=LATENTS,
        out_channels=LATENTS,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        block_out_channels=(64, 96, 128),
        layers_per_block=1,
        cross_attention_dim=WIDTH,
        attention_head_dim=(2, 3, 4),  # heads, whatever diffusers calls it
        norm_num_groups=8,
    )
    start_straight(unet)
    return unet


def make_text_encoder(words: int) -> CLIPTextModel:
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=words,
            hidden_size=WIDTH,
            intermediate_size=4 * WIDTH,
            projection_dim=WIDTH,
            num_hidden_layers=3,
            num_attention_heads=4,
            max_position_embeddings=MAX_TOKENS,
            bos_token_id=0,
            eos_token_id=1,
            pad_token_id=1,
        )
    )


def make_scheduler() -> DDIMScheduler:
    """The cosine schedule: of so small latents a linear one spends half of its levels on what is
    noise and no more, in training and in drawing. It ends at noise alone, where drawing starts.
    """
    return DDIMScheduler(
        beta_schedule="squaredcos_cap_v2",
        prediction_type="v_prediction",
        timestep_spacing="trailing",
        rescale_betas_zero_snr=True,
        clip_sample=False,
        set_alpha_to_one=True,
        steps_offset=1,
    )


def make_tokenizer(captions: int = 20_000) -> CLIPTokenizerFast:
    """CLIP's kind of byte pairs, learnt from captions: every word of theirs is one token.

    Letters that end words are named to the trainer: it would number them as it meets them, which
    is in another order in every process. So no byte is lost either, whatever the captions held.
    """
    random = Random(0)
    texts = [caption(think_up(random), random, clean=True).text for _ in range(captions)]
    tokenizer = Tokenizer(models.BPE(unk_token=END, end_of_word_suffix="</w>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Whitespace(), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=4096,
        special_tokens=[START, END, *(f"{letter}</w>" for letter in sorted(alphabet))],
        initial_alphabet=alphabet,
        end_of_word_suffix="</w>",
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return _as_clip(json.loads(tokenizer.to_str())["model"])


def _as_clip(model: dict[str, object]) -> CLIPTokenizerFast:
    """CLIP's own tokenizer with our words."""
    merges = [tuple(pair) for pair in model["merges"]]  # type: ignore[attr-defined]
    with TemporaryDirectory() as folder:
        vocab, lines = Path(folder) / "vocab.json", Path(folder) / "merges.txt"
        vocab.write_text(json.dumps(model["vocab"]))
        lines.write_text("#version: 0.2\n" + "\n".join(" ".join(pair) for pair in merges) + "\n")
        return _clip(vocab_file=str(vocab), merges_file=str(lines))


def tokenizer_of(folder: Path) -> CLIPTokenizerFast:
    """Of the weights that this run adopted: their numbers mean its tokens. Else a new one."""
    adopted = folder / ADOPTED_TOKENIZER
    return _clip(tokenizer_file=str(adopted)) if adopted.exists() else make_tokenizer()


def _clip(**files: str) -> CLIPTokenizerFast:
    return CLIPTokenizerFast(
        **files,
        bos_token=START,
        eos_token=END,
        unk_token=END,
        pad_token=END,
        model_max_length=MAX_TOKENS,
    )


def save_pipeline(parts: Parts, folder: Path) -> None:
    """A folder that diffusers' StableDiffusionPipeline loads."""
    StableDiffusionPipeline(
        vae=parts.vae,
        text_encoder=parts.text_encoder,
        tokenizer=parts.tokenizer,
        unet=parts.unet,
        scheduler=make_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(folder)
