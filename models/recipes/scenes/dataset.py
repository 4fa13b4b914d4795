"""Scenes drawn and coded ahead, so that training the UNet draws nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
import torch
from diffusers import AutoencoderKL
from transformers import CLIPTokenizerFast

from scenes.architecture import MAX_TOKENS
from scenes.captions import caption
from scenes.drawing import draw
from scenes.meaning import QUESTIONS, meaning
from scenes.scene import Scene, is_fine, think_up
from scenes.work import Log

SHARD = 5_000  # scenes in a file, unless told otherwise
CAPTIONS = 4  # of each scene
#: How many of the scenes without a fine thing are kept: small stars and crosses are learnt last.
COARSE = 0.4


@dataclass(frozen=True)
class Batch:
    latents: torch.Tensor  # float32 [B, 4, 16, 16], before scaling
    ids: torch.Tensor  # int64 [B, 32]
    answers: torch.Tensor  # int64 [B, questions]


def token_ids(tokenizer: CLIPTokenizerFast, texts: Sequence[str]) -> torch.Tensor:
    """int64 [texts, 32]: filled up with the end token, as the pipeline does."""
    coded = tokenizer(
        list(texts),
        padding="max_length",
        max_length=MAX_TOKENS,
        truncation=True,
        return_tensors="pt",
    )
    ids: torch.Tensor = coded.input_ids
    return ids


def write_shards(
    folder: Path,
    shards: range,
    vae: AutoencoderKL,
    tokenizer: CLIPTokenizerFast,
    log: Log,
    *,
    size: int = SHARD,
) -> None:
    """Shard number n always holds the same scenes; a file that is there is left as it is."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in shards:
        path = folder / f"shard-{number:04}.npz"
        if path.exists():
            continue
        fresh = path.with_suffix(".new.npz")
        np.savez(fresh, **_shard(Random(1_000_000 + number), size, vae, tokenizer))  # type: ignore[arg-type]
        fresh.replace(path)
        log.write(part="draw", shard=number)


def _shard(
    random: Random, size: int, vae: AutoencoderKL, tokenizer: CLIPTokenizerFast
) -> dict[str, np.ndarray]:
    scenes = [_emphatic(random) for _ in range(size)]
    said = [caption(scene, random) for scene in scenes for _ in range(CAPTIONS)]
    answers = [meaning(scenes[i // CAPTIONS], each) for i, each in enumerate(said)]
    ids = token_ids(tokenizer, [each.text for each in said]).numpy().astype(np.int16)
    return {
        "latents": _coded(scenes, random, vae),
        "ids": ids.reshape(size, CAPTIONS, MAX_TOKENS),
        "answers": np.array(answers, np.int16).reshape(size, CAPTIONS, len(QUESTIONS)),
    }


def _emphatic(random: Random) -> Scene:
    """A scene to train on, oftener one with a thing that is hard to draw."""
    while True:
        scene = think_up(random)
        if any(is_fine(thing) for thing in scene.things) or random.random() < COARSE:
            return scene


@torch.no_grad()
def _coded(scenes: Sequence[Scene], random: Random, vae: AutoencoderKL) -> np.ndarray:
    device = next(vae.parameters()).device
    parts = []
    for start in range(0, len(scenes), 100):
        drawn = np.stack([draw(scene, random) for scene in scenes[start : start + 100]])
        pictures = torch.from_numpy(drawn).permute(0, 3, 1, 2).float() / 127.5 - 1
        pictures = pictures.to(device, memory_format=torch.channels_last)
        with torch.autocast(device.type, torch.bfloat16):
            mean = vae.encode(pictures).latent_dist.mean
        parts.append(mean.float().cpu().numpy().astype(np.float16))
    return np.concatenate(parts)


class Dataset:
    """All shards that are there; `refresh` takes in those that came since."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._shards: dict[Path, dict[str, np.ndarray]] = {}
        self.refresh()
        if not self._shards:
            raise FileNotFoundError(f"no shards in {folder}: run `python -m scenes draw` first")

    def __len__(self) -> int:
        return len(self._places)

    def refresh(self) -> None:
        for path in sorted(self._folder.glob("shard-[0-9][0-9][0-9][0-9].npz")):
            if path not in self._shards:
                with np.load(path) as shard:
                    self._shards[path] = dict(shard)
        self._places = [
            (shard, row) for shard in self._shards.values() for row in range(len(shard["latents"]))
        ]

    def latent_scale(self) -> float:
        """What brings the latents to a standard deviation of 1."""
        shard = next(iter(self._shards.values()))
        return float(1 / shard["latents"].astype(np.float32).std())

    def batch(self, random: np.random.Generator, size: int) -> Batch:
        """Random scenes, each with a random one of its captions."""
        places = [self._places[place] for place in random.integers(len(self), size=size)]
        chosen = list(zip(places, random.integers(CAPTIONS, size=size), strict=True))
        latents = np.stack([shard["latents"][row] for shard, row in places])
        ids = np.stack([shard["ids"][row, one] for (shard, row), one in chosen])
        answers = np.stack([shard["answers"][row, one] for (shard, row), one in chosen])
        return Batch(
            torch.from_numpy(latents.astype(np.float32)),
            torch.from_numpy(ids.astype(np.int64)),
            torch.from_numpy(answers.astype(np.int64)),
        )
