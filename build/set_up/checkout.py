"""Where things lie in a checkout, for every step."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from set_up.stamps import Stamps


@dataclass(frozen=True)
class Checkout:
    root: Path

    @cached_property
    def state(self) -> Path:
        """Stamps, logs and the Node of this checkout; safe to delete at any time."""
        return self.root / ".set-up"

    @cached_property
    def stamps(self) -> Stamps:
        return Stamps(self.state)

    def lock(self, name: str) -> Path:
        return self.root / "build" / "locks" / f"{name}.txt"

    def log(self, name: str) -> Path:
        return self.state / "logs" / f"{name}.log"

    def bin(self, program: str, environment: str = ".venv") -> str:
        return str(self.root / environment / "bin" / program)
