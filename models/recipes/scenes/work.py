"""Where a training run keeps its files, and what every run of torch sets first."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import torch


def set_up(seed: int) -> torch.device:
    """Seeds torch and says where to compute: on a GPU if there is one, else on all cores.

    Where other programs run too, OMP_NUM_THREADS=1 is faster: threads wait for one another.
    """
    torch.manual_seed(seed)
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


class Log:
    """Lines of JSON in `log.jsonl`, and the same on the terminal."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / "log.jsonl"

    def write(self, **figures: Any) -> None:
        line = json.dumps({"time": time.strftime("%H:%M:%S"), **figures})
        with self._path.open("a") as file:
            file.write(line + "\n")
        print(line, flush=True)


def save(state: dict[str, Any], path: Path) -> None:
    """Whole or not at all: a run that is stopped while saving keeps the checkpoint before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    torch.save(state, fresh)
    fresh.replace(path)


def load(path: Path) -> dict[str, Any] | None:
    """None where there is no checkpoint."""
    if not path.exists():
        return None
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state
