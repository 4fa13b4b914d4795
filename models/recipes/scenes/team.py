"""Processes that train one model together: `torchrun --nproc-per-node CORES -m scenes … train`.

On a CPU two processes of one thread are a fifth faster than one process of two threads, whose
threads wait for one another at every operation instead of once a step.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import distributed, nn


@dataclass(frozen=True)
class Team:
    """`rank` 0 logs, judges and saves; each learns from its part of every batch."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        return self.rank == 0

    def average_gradients(self, weights: Sequence[nn.Parameter]) -> None:
        """Afterwards each has the gradient of the whole batch."""
        if self.size == 1:
            return
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        whole = torch.cat([gradient.flatten() for gradient in gradients])
        distributed.all_reduce(whole)
        parts = (whole / self.size).split([gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))


def join() -> Team:
    """The team that torchrun's environment tells of, or one process alone."""
    if "WORLD_SIZE" not in os.environ:
        return Team()
    distributed.init_process_group("gloo")
    return Team(distributed.get_rank(), distributed.get_world_size())
