"""What is measured: one variant of one model, and how answers of it are made and compared."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from tabgrid_models.connectors.base import AnyConnector, Traced
from tabgrid_models.manifest import Manifest, Variant
from tabgrid_models.runtime import quiet

from ..export.native import NativeRuntime
from . import NATIVE, REFERENCE
from .steps import Answer


class Options(NamedTuple):
    backends: tuple[str, ...] = tuple(NATIVE)
    #: How many of the inputs each cheat is tried at.
    cheated: int = 100
    #: What each backend may take for one variant; it answers as many inputs as fit.
    seconds: float = 120
    #: In place of the connector's own.
    floor: float | None = None


class Subject(NamedTuple):
    """One variant of one model, its files in one folder."""

    manifest: Manifest
    variant: Variant
    connector: AnyConnector
    files: Path
    options: Options
    tell: Callable[[str], None]

    def say(self, what: str) -> None:
        self.tell(f"{self.manifest.id} {self.variant.id}: {what}")

    def runtime(self, name: str = REFERENCE) -> NativeRuntime:
        return NativeRuntime(self.manifest, self.variant, self.files, **NATIVE[name])

    async def computed(self, runtime: NativeRuntime, input: Any) -> Answer:
        if isinstance(self.connector, Traced):
            return Answer(*await self.connector.run_traced(input, self.manifest, runtime, quiet))
        return Answer(await self.connector.run(input, self.manifest, runtime, quiet))

    def distance(self, reference: Any, candidate: Any) -> float:
        return self.connector.compare(reference, candidate, self.variant.dtype).distance
