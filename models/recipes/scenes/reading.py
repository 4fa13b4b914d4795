"""Teaches the text encoder to read captions, before and while the UNet learns to draw."""

from __future__ import annotations

import time
from pathlib import Path
from random import Random

import torch
from torch import nn
from transformers import CLIPTextModel, CLIPTokenizerFast

from scenes.architecture import WIDTH, make_parts, tokenizer_of
from scenes.captions import caption
from scenes.dataset import token_ids
from scenes.meaning import QUESTIONS, UNKNOWN, meaning
from scenes.scene import think_up
from scenes.work import Log, save, set_up

BATCH = 64
PEAK_RATE = 1e-3


class Reader(nn.Module):
    """Answers QUESTIONS from the last token's vector; not part of the model that ships."""

    def __init__(self) -> None:
        super().__init__()
        self.answer = nn.Linear(WIDTH, sum(QUESTIONS))

    def loss(self, context: torch.Tensor, answers: torch.Tensor) -> torch.Tensor:
        """context [B, T, D], answers int64 [B, questions] -> mean cross entropy of the known."""
        losses = []
        for guess, right in zip(self._guesses(context), answers.T, strict=True):
            if bool((right != UNKNOWN).any()):
                losses.append(nn.functional.cross_entropy(guess, right, ignore_index=UNKNOWN))
        return torch.stack(losses).mean()

    @torch.no_grad()
    def right(self, context: torch.Tensor, answers: torch.Tensor) -> list[float]:
        """The part of right answers, per question."""
        shares = []
        for guess, right in zip(self._guesses(context), answers.T, strict=True):
            known = right != UNKNOWN
            shares.append(float((guess.argmax(1) == right)[known].float().mean()))
        return shares

    def _guesses(self, context: torch.Tensor) -> tuple[torch.Tensor, ...]:
        guesses: tuple[torch.Tensor, ...] = self.answer(context[:, -1].float()).split(QUESTIONS, 1)
        return guesses


def train_reading(folder: Path, steps: int, seed: int = 0) -> None:
    """Leaves `folder`/text.pt, from which the training of the UNet starts."""
    device, log, random = set_up(seed), Log(folder), Random(seed)
    parts = make_parts(seed, tokenizer_of(folder))
    encoder, reader = parts.text_encoder.to(device).train(), Reader().to(device)
    weights = [*encoder.parameters(), *reader.parameters()]
    optimiser = torch.optim.AdamW(weights, PEAK_RATE, betas=(0.9, 0.99), weight_decay=0.01)
    started = time.monotonic()
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = PEAK_RATE * min(1, (step + 1) / 100, (steps - step) / steps * 2)
        ids, answers = _examples(random, parts.tokenizer)
        context = encoder(ids.to(device)).last_hidden_state
        loss = reader.loss(context, answers.to(device))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        if (step + 1) % 100 == 0 or step + 1 == steps:
            speed = (step + 1) * BATCH / (time.monotonic() - started)
            shares = [round(share, 2) for share in reader.right(context, answers.to(device))]
            log.write(
                part="text",
                step=step + 1,
                loss=round(float(loss), 3),
                right=shares,
                per_s=round(speed),
            )
            _keep(encoder, reader, folder)


def _examples(random: Random, tokenizer: CLIPTokenizerFast) -> tuple[torch.Tensor, torch.Tensor]:
    scenes = [think_up(random) for _ in range(BATCH)]
    said = [caption(scene, random) for scene in scenes]
    answers = [meaning(scene, each) for scene, each in zip(scenes, said, strict=True)]
    return token_ids(tokenizer, [each.text for each in said]), torch.tensor(answers)


def _keep(encoder: CLIPTextModel, reader: Reader, folder: Path) -> None:
    state = {"text_encoder": encoder.state_dict(), "reader": reader.state_dict()}
    save(state, folder / "text.pt")
