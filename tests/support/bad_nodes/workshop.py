"""The models that nodes run here: each loaded once, however many nodes share this process."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from tabgrid_models.catalogue import connector_of
from tabgrid_models.connectors.base import AnyConnector, Comparison
from tabgrid_models.manifest import Manifest
from tabgrid_models.runtime import quiet
from tabgrid_node.native_runtime import NativeRuntime
from tabgrid_server.calibrate import altered
from tabgrid_server.library import open_library


class Workshop:
    """Opened over a library's folder; ``scratch`` takes the files of tampered models."""

    def __init__(self, library: Path, scratch: Path) -> None:
        self._library = open_library(library)
        self._scratch = scratch
        self._runtimes: dict[object, NativeRuntime] = {}
        self._opening = asyncio.Lock()

    def manifest(self, model: str) -> Manifest:
        found = self._library.catalogue.by_id(model)
        assert found is not None, model
        return found

    async def once(
        self, key: object, make: Callable[[], Awaitable[NativeRuntime]]
    ) -> NativeRuntime:
        """What ``make`` loads for this key, loaded by whoever asks first."""
        async with self._opening:
            if key not in self._runtimes:
                self._runtimes[key] = await make()
            return self._runtimes[key]

    async def honest(self, model: str) -> NativeRuntime:
        return await self._opened(model, None)

    async def tampered(self, model: str, change: altered.Change) -> NativeRuntime:
        """The same files with every graph changed."""
        return await self._opened(model, change)

    async def truth(self, model: str, input: Any) -> Any:
        """What an honest node answers."""
        manifest, runtime = self.manifest(model), await self.honest(model)
        return await connector_of(manifest).run(input, manifest, runtime, quiet)

    def compare(self, model: str, truth: Any, answer: Any) -> Comparison:
        """By the very threshold that the grid's audits have."""
        manifest = self.manifest(model)
        connector: AnyConnector = connector_of(manifest)
        dtype = manifest.variants[0].dtype
        threshold = self._library.thresholds(manifest).get(dtype)
        return connector.compare(truth, answer, dtype, threshold)

    async def _opened(self, model: str, change: altered.Change | None) -> NativeRuntime:
        name = "honest" if change is None else change.__name__
        folder = self._scratch / model / name

        async def make() -> NativeRuntime:
            return await asyncio.to_thread(self._open, model, folder, change)

        return await self.once((model, name), make)

    def _open(self, model: str, folder: Path, change: altered.Change | None) -> NativeRuntime:
        manifest = self.manifest(model)
        variant = manifest.variants[0]
        files = self._library.lay_out(manifest, folder / "files")
        if change is not None:
            made = altered.load(manifest, variant, files, folder / "changed", change)
            assert made is not None, f"{change.__name__} finds nothing to change in {model}"
            files = folder / "changed"
        return NativeRuntime(manifest, variant, files, threads=1)
