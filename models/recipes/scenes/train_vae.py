"""Trains the picture's coder (VAE) on scenes that are drawn as it goes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch.utils.data import DataLoader, IterableDataset

from scenes.architecture import make_vae
from scenes.drawing import draw
from scenes.scene import SIDE, Thing, is_fine, think_up
from scenes.work import Log, load, save, set_up

BATCH = 12  # many small steps learn sooner than few large ones
PEAK_RATE = 2e-3
#: Only keeps the latents near one size; more would blur what there is to see.
SIZE_WEIGHT = 1e-3
#: Added to the latents, so that the decoder bears what a denoiser leaves. It stands for the noise
#: that the coder tells of itself: with that, a short training learns little but to be sure.
NOISE = 0.05
#: Pixels of the square around a thing that is learnt from: a quarter of the picture, in a quarter
#: of the time, and most of what there is to learn. The last steps see whole pictures.
CROP = 32
WHOLE_STEPS = 0.1  # of all
EDGE_WEIGHT = 0.5  # of the difference between neighbouring pixels, which is where blur shows
SAVE_EVERY_S = 120
#: How many of the things that bear a blur are learnt from: the others need the steps.
COARSE = 0.35


class Drawn(IterableDataset[torch.Tensor]):
    """Parts of scenes without end: float32 [3, side, side] from -1 to 1."""

    def __init__(self, seed: int, side: int) -> None:
        self._seed, self._side = seed, side

    def __iter__(self) -> Iterator[torch.Tensor]:
        random = Random(self._seed)
        while True:
            scene = think_up(random)
            thing = random.choice(scene.things)
            if is_fine(thing) or random.random() < COARSE:
                yield to_tensor(_part(draw(scene, random), thing, self._side, random))


def _part(picture: np.ndarray, thing: Thing, side: int, random: Random) -> np.ndarray:
    """A square of that side around the thing, a little off its middle."""
    left, top = (
        min(SIDE - side, max(0, round(middle - side / 2 + random.uniform(-8, 8))))
        for middle in (thing.x, thing.y)
    )
    return picture[top : top + side, left : left + side]


def to_tensor(picture: np.ndarray) -> torch.Tensor:
    """uint8 [side, side, 3] -> float32 [3, side, side] from -1 to 1."""
    return torch.from_numpy(picture.copy()).permute(2, 0, 1).float() / 127.5 - 1


def loss_of(vae: AutoencoderKL, pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """What is minimised, and the mean absolute error in levels."""
    latents = vae.encode(pictures).latent_dist.mean
    noisy = latents + NOISE * torch.randn_like(latents)
    wrong = vae.decode(noisy).sample.float() - pictures
    edges = wrong.diff(dim=2).abs().mean() + wrong.diff(dim=3).abs().mean()
    error = wrong.abs().mean()
    size = SIZE_WEIGHT * latents.float().square().mean()
    loss = error + wrong.square().mean() + EDGE_WEIGHT * edges + size
    return loss, error.detach() * 127.5


def train_vae(folder: Path, steps: int, seed: int = 0) -> None:
    """Goes on from `folder`/vae.pt; the learning rate falls to nothing at the last step."""
    vae = make_vae()
    if encoder := load(folder / "encoder.pt"):
        vae.load_state_dict(encoder["vae"])
    _train(vae, folder / "vae.pt", steps, seed)


def train_decoder(folder: Path, steps: int, seed: int = 0) -> None:
    """The decoder alone: the latents of scenes that were coded ahead keep their meaning.

    Goes on from `folder`/decoder.pt, or from the decoder in vae.pt.
    """
    vae = load_vae(folder)
    vae.encoder.requires_grad_(False)
    vae.quant_conv.requires_grad_(False)
    _train(vae, folder / "decoder.pt", steps, seed + 1)


def train_encoder(folder: Path, steps: int, seed: int = 0) -> None:
    """The encoder alone, for a decoder that came without one (see ``adopt``)."""
    vae = make_vae()
    vae.load_state_dict(_adopted(folder))
    vae.decoder.requires_grad_(False)
    vae.post_quant_conv.requires_grad_(False)
    _train(vae, folder / "encoder.pt", steps, seed + 2)


def _adopted(folder: Path) -> dict[str, torch.Tensor]:
    state = load(folder / "adopted.pt")
    if state is None:
        raise FileNotFoundError(f"no {folder / 'adopted.pt'}: run `python -m scenes adopt` first")
    return dict(state["vae"])


def load_vae(folder: Path) -> AutoencoderKL:
    """As it was trained, with the decoder that was trained further, if it was."""
    state = load(folder / "vae.pt")
    if state is None:
        raise FileNotFoundError(f"no {folder / 'vae.pt'}: run `python -m scenes train-vae` first")
    vae = make_vae()
    vae.load_state_dict((load(folder / "decoder.pt") or state)["vae"])
    return vae


def _train(vae: AutoencoderKL, checkpoint: Path, steps: int, seed: int) -> None:
    device, log = set_up(seed), Log(checkpoint.parent)
    vae = vae.to(device, memory_format=torch.channels_last)
    weights = [each for each in vae.parameters() if each.requires_grad]
    optimiser = torch.optim.AdamW(weights, PEAK_RATE, betas=(0.9, 0.99), weight_decay=0)
    done = 0
    if state := load(checkpoint):
        vae.load_state_dict(state["vae"])
        optimiser.load_state_dict(state["optimiser"])
        done = state["step"]
    whole = round(steps * (1 - WHOLE_STEPS))
    drawn = iter(DataLoader(Drawn(seed + done, CROP if done < whole else SIDE), BATCH))
    started, saved, first = time.monotonic(), time.monotonic(), done
    for step in range(done, steps):
        for group in optimiser.param_groups:
            group["lr"] = PEAK_RATE * min(1, (step + 1) / 50, (steps - step) / steps * 1.6)
        if step == whole:
            drawn = iter(DataLoader(Drawn(seed + step, SIDE), BATCH))
        pictures = next(drawn).to(device, memory_format=torch.channels_last)
        with torch.autocast(device.type, torch.bfloat16):
            loss, error = loss_of(vae, pictures)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        if (step + 1) % 25 == 0:
            speed = (step + 1 - first) * BATCH / (time.monotonic() - started)
            log.write(
                part=checkpoint.stem,
                step=step + 1,
                error=round(float(error), 3),
                per_s=round(speed, 1),
            )
        if time.monotonic() - saved > SAVE_EVERY_S or step + 1 == steps:
            state = {"vae": vae.state_dict(), "optimiser": optimiser.state_dict()}
            save({**state, "step": step + 1}, checkpoint)
            saved = time.monotonic()
