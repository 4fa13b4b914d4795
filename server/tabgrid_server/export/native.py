"""The least of a runtime: onnxruntime on the CPU, to judge what was exported.

The node has its own; this one exists because server and node never import each other.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnxruntime

from tabgrid_models.manifest import Manifest, Variant
from tabgrid_models.runtime import Tensor, Tokenizer

from ..library import FastTokenizer


class Array:
    """A numpy array as the grid's tensor."""

    def __init__(self, values: np.ndarray) -> None:
        self.values = values

    @property
    def dtype(self) -> str:
        return str(self.values.dtype)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.values.shape

    async def read(self) -> bytes:
        return self.values.tobytes()

    def dispose(self) -> None:
        pass


class NativeRuntime:
    """One variant in a folder, loaded.

    ``threads`` 0: as onnxruntime chooses. ``plain``: each node by itself, none folded or
    fused, as another version or processor might choose.
    """

    def __init__(
        self,
        manifest: Manifest,
        variant: Variant,
        folder: Path,
        threads: int = 0,
        plain: bool = False,
    ) -> None:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = threads
        if plain:
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        self._sessions = {
            name: onnxruntime.InferenceSession(
                str(folder / path), options, providers=["CPUExecutionProvider"]
            )
            for name, path in variant.graphs.items()
        }
        self._tokenizer = FastTokenizer(folder / manifest.config["tokenizer"])

    def tensor(self, dtype: str, shape: Sequence[int], data: bytes) -> Tensor:
        values = np.frombuffer(data, dtype)
        if values.size != math.prod(shape):
            raise ValueError(f"{values.size} values do not fill {tuple(shape)}.")
        return Array(values.reshape(tuple(shape)))

    async def run(self, graph: str, feeds: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        session = self._sessions[graph]
        arrays = {name: value.values for name, value in feeds.items() if isinstance(value, Array)}
        names = [output.name for output in session.get_outputs()]
        return dict(zip(names, map(Array, session.run(names, arrays)), strict=True))

    def tokenizer(self) -> Tokenizer:
        return self._tokenizer
