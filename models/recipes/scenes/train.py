"""Trains the UNet, and the text encoder with it."""

from __future__ import annotations

import time
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from diffusers.models.attention_processor import AttnProcessor
from torch import nn

from scenes.architecture import Parts, make_parts, make_scheduler, save_pipeline, tokenizer_of
from scenes.dataset import Batch, Dataset, token_ids
from scenes.prompts import Score, held_out_prompts
from scenes.reading import Reader
from scenes.sampling import judged
from scenes.team import Team, join
from scenes.train_vae import load_vae
from scenes.work import Log, load, save, set_up

BATCH = 48
PEAK_RATE = 9e-4
WARM_UP = 100  # steps
EMA = 0.999  # of the averaged weights stays at each step, later on
UNTOLD = 0.1  # of the captions are left out, for guidance
READING_WEIGHT = 0.05  # of the reader's loss beside the UNet's
LOG_EVERY, SAVE_EVERY_S, JUDGE_EVERY_S = 50, 300, 600
REFRESH_EVERY = 500  # steps
ALPHAS = make_scheduler().alphas_cumprod


@dataclass
class Run:
    """Everything that a checkpoint holds."""

    parts: Parts
    reader: Reader
    averaged: Parts  # of the UNet and the text encoder: exponential averages
    optimiser: torch.optim.Optimizer
    step: int = 0
    best: float = -1.0
    empty: torch.Tensor | None = None

    def state(self) -> dict[str, object]:
        return {
            "unet": self.parts.unet.state_dict(),
            "text_encoder": self.parts.text_encoder.state_dict(),
            "reader": self.reader.state_dict(),
            "averaged_unet": self.averaged.unet.state_dict(),
            "averaged_text_encoder": self.averaged.text_encoder.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "scale": self.parts.vae.config.scaling_factor,
            "step": self.step,
            "best": self.best,
        }

    def take(self, state: dict[str, object]) -> None:
        self.parts.unet.load_state_dict(state["unet"])  # type: ignore[arg-type]
        self.parts.text_encoder.load_state_dict(state["text_encoder"])  # type: ignore[arg-type]
        self.reader.load_state_dict(state["reader"])  # type: ignore[arg-type]
        self.averaged.unet.load_state_dict(state["averaged_unet"])  # type: ignore[arg-type]
        self.averaged.text_encoder.load_state_dict(
            state["averaged_text_encoder"]  # type: ignore[arg-type]
        )
        self.optimiser.load_state_dict(state["optimiser"])  # type: ignore[arg-type]
        self.parts.vae.register_to_config(scaling_factor=state["scale"])
        self.step, self.best = int(state["step"]), float(state["best"])  # type: ignore


def train(folder: Path, product: Path, steps: int, seed: int = 0) -> None:
    """Goes on from `folder`/unet.pt; writes `product`, a pipeline, whenever it draws better."""
    device, log, team = set_up(seed), Log(folder), join()
    data = Dataset(folder / "shards")
    run = start(folder, device, data.latent_scale(), seed)
    random = np.random.default_rng([seed, run.step, team.rank])
    torch.manual_seed(int(random.integers(2**31)))
    clock = {"log": time.monotonic(), "save": time.monotonic(), "judge": time.monotonic()}
    losses: list[tuple[float, float]] = []
    while run.step < steps:
        batch = data.batch(random, BATCH // team.size)
        losses.append(_step(run, batch, steps, device, team))
        if run.step % REFRESH_EVERY == 0:
            data.refresh()
        if not team.leads:
            continue
        now = time.monotonic()
        if run.step % LOG_EVERY == 0:
            drawing, reading = np.mean(losses, 0)
            log.write(
                part="unet",
                step=run.step,
                loss=round(float(drawing), 4),
                reading=round(float(reading), 3),
                scenes=len(data),
                per_s=round(LOG_EVERY * BATCH / (now - clock["log"]), 1),
            )
            clock["log"], losses = now, []
        if now - clock["save"] > SAVE_EVERY_S or run.step == steps:
            save(run.state(), folder / "unet.pt")
            clock["save"] = now
        if now - clock["judge"] > JUDGE_EVERY_S or run.step == steps:
            judge_and_keep(run, folder, product, log)
            clock["judge"] = time.monotonic()


def start(folder: Path, device: torch.device, scale: float, seed: int) -> Run:
    """From the checkpoint, or with the VAE and the text encoder that were trained before."""
    parts = replace(make_parts(seed, tokenizer_of(folder)), vae=load_vae(folder))
    reader = Reader()
    parts.vae.register_to_config(scaling_factor=scale)
    parts.vae.requires_grad_(False).to(device).eval()
    if text := load(folder / "text.pt"):
        parts.text_encoder.load_state_dict(text["text_encoder"])
        reader.load_state_dict(text["reader"])
    elif adopted := load(folder / "adopted.pt"):
        parts.text_encoder.load_state_dict(adopted["text_encoder"])
        parts.unet.load_state_dict(adopted["unet"])
        parts.vae.register_to_config(scaling_factor=adopted["scale"])
    # On a CPU torch's fused attention takes 7 ms to go backward through one of these small ones.
    parts.unet.set_attn_processor(AttnProcessor())
    parts.unet.to(device, memory_format=torch.channels_last).train()
    parts.text_encoder.to(device).train()
    averaged = replace(parts, unet=deepcopy(parts.unet), text_encoder=deepcopy(parts.text_encoder))
    averaged.unet.requires_grad_(False).eval()
    averaged.text_encoder.requires_grad_(False).eval()
    run = Run(parts, reader.to(device), averaged, _optimiser(parts, reader))
    if state := load(folder / "unet.pt"):
        run.take(state)
    run.empty = token_ids(parts.tokenizer, [""]).to(device)
    return run


def _optimiser(parts: Parts, reader: Reader) -> torch.optim.Optimizer:
    weights = [*parts.unet.parameters(), *parts.text_encoder.parameters(), *reader.parameters()]
    return torch.optim.AdamW(weights, PEAK_RATE, betas=(0.9, 0.99), weight_decay=0.01)


def _step(
    run: Run, batch: Batch, steps: int, device: torch.device, team: Team
) -> tuple[float, float]:
    """One step of the optimiser; the loss of drawing and that of reading."""
    rate = PEAK_RATE * min(1, (run.step + 1) / WARM_UP, (steps - run.step) / steps * 2.5 + 0.02)
    for group in run.optimiser.param_groups:
        group["lr"] = rate
    with torch.autocast(device.type, torch.bfloat16):
        drawing, reading = losses_of(run, batch, device)
    loss = drawing + READING_WEIGHT * reading
    loss.backward()
    for group in run.optimiser.param_groups:
        team.average_gradients(group["params"])
        nn.utils.clip_grad_norm_(group["params"], 1.0)
    run.optimiser.step()
    run.optimiser.zero_grad(set_to_none=True)
    run.step += 1
    if team.leads:
        _average(run)
    return drawing.item(), reading.item()


def losses_of(run: Run, batch: Batch, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """How far the UNet's velocity is off (mean square), and how badly captions are read."""
    latents = batch.latents.to(device) * run.parts.vae.config.scaling_factor
    times = torch.randint(0, len(ALPHAS), (len(latents),))
    alphas = ALPHAS[times].to(device).view(-1, 1, 1, 1)
    noise = torch.randn_like(latents)
    noisy = alphas.sqrt() * latents + (1 - alphas).sqrt() * noise
    velocity = alphas.sqrt() * noise - (1 - alphas).sqrt() * latents
    ids = batch.ids.to(device)
    told = torch.rand(len(ids)) >= UNTOLD
    assert run.empty is not None
    ids = torch.where(told[:, None].to(device), ids, run.empty)
    context = run.parts.text_encoder(ids).last_hidden_state
    noisy = noisy.to(memory_format=torch.channels_last)
    guess = run.parts.unet(noisy, times.to(device), context).sample.float()
    reading = run.reader.loss(context[told], batch.answers[told].to(device))
    return (guess - velocity).square().mean(), reading


@torch.no_grad()
def _average(run: Run) -> None:
    keep = min(EMA, (1 + run.step) / (10 + run.step))
    for name in ("unet", "text_encoder"):
        averaged, fresh = getattr(run.averaged, name), getattr(run.parts, name)
        torch._foreach_lerp_(
            [*averaged.parameters()], [each.detach() for each in fresh.parameters()], 1 - keep
        )


def judge_and_keep(run: Run, folder: Path, product: Path, log: Log) -> Score:
    """Writes the averaged weights to `product` if they draw better than those before.

    The decoder may have been trained further meanwhile: the newest is taken.
    """
    decoder = load_vae(folder).decoder.state_dict()
    run.parts.vae.decoder.load_state_dict(decoder)
    score, _ = judged(run.averaged, held_out_prompts())
    worth = score.main + score.relation
    if worth > run.best:
        run.best = worth
        save_pipeline(run.averaged, product)
        save(run.state(), folder / "unet.pt")
    log.write(
        part="judge",
        step=run.step,
        main=round(score.main, 3),
        best=worth >= run.best,
        relation=round(score.relation, 3),
        number=round(score.number, 3),
    )
    return score
