"""One variant of one model on onnxruntime."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

from tabgrid_models.manifest import Manifest, Variant
from tabgrid_models.runtime import DTYPES, Tensor

from .hosts import CannotRun

#: What onnxruntime says when memory runs out; it has no exception of its own for that.
OUT_OF_MEMORY = ("Failed to allocate memory", "bad allocation", "bad_alloc")


class NativeTensor:
    """An array in main memory."""

    __slots__ = ("array",)

    def __init__(self, array: np.ndarray[Any, Any]) -> None:
        self.array = array

    @property
    def dtype(self) -> str:
        return str(self.array.dtype)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.array.shape)

    async def read(self) -> bytes:
        return self.array.tobytes()

    def dispose(self) -> None:
        """The array lives as long as somebody holds it."""


class NativeTokenizer:
    def __init__(self, path: Path) -> None:
        self._tokenizer = Tokenizer.from_file(str(path))
        self._tokenizer.no_padding()

    def encode(self, texts: Sequence[str], max_tokens: int) -> list[list[int]]:
        self._tokenizer.enable_truncation(max_tokens)
        encoded = self._tokenizer.encode_batch_fast(list(texts))
        return [encoding.ids for encoding in encoded]


class NativeRuntime:
    """``folder`` holds the manifest's files under the manifest's paths.

    Making one reads the weights and builds the sessions, which takes a while: do it in a
    thread. ``threads`` 0 lets onnxruntime take every core. Raises CannotRun.
    """

    def __init__(
        self, manifest: Manifest, variant: Variant, folder: Path, threads: int = 0
    ) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        try:
            self.sessions = {
                name: onnxruntime.InferenceSession(
                    folder / path, options, providers=["CPUExecutionProvider"]
                )
                for name, path in variant.graphs.items()
            }
        except Exception as error:
            # onnxruntime raises nine unrelated classes here; each means the same to us.
            raise CannotRun(f"onnxruntime cannot load it: {error}") from error
        path = manifest.config.get("tokenizer")
        self._tokenizer = NativeTokenizer(folder / path) if path else None

    def tensor(self, dtype: str, shape: Sequence[int], data: bytes) -> NativeTensor:
        if dtype not in DTYPES:
            raise ValueError(f"No such type of tensor: {dtype}. There are {', '.join(DTYPES)}.")
        flat = np.frombuffer(data, dtype)
        if flat.size != prod(shape):
            raise ValueError(f"{flat.size} values of {dtype} do not fill {tuple(shape)}.")
        return NativeTensor(flat.reshape(shape))

    async def run(self, graph: str, feeds: Mapping[str, Tensor]) -> Mapping[str, NativeTensor]:
        session = self.sessions[graph]
        arrays = {name: _array(tensor) for name, tensor in feeds.items()}
        names = [output.name for output in session.get_outputs()]
        try:
            outputs = await asyncio.to_thread(session.run, names, arrays)
        except Exception as error:
            if any(text in str(error) for text in OUT_OF_MEMORY):
                raise MemoryError(str(error)) from error
            raise
        return {name: NativeTensor(array) for name, array in zip(names, outputs, strict=True)}

    def tokenizer(self) -> NativeTokenizer:
        if self._tokenizer is None:
            raise LookupError("This model has no tokeniser.")
        return self._tokenizer


def _array(tensor: Tensor) -> np.ndarray[Any, Any]:
    if not isinstance(tensor, NativeTensor):
        raise TypeError(f"A tensor of another runtime: {type(tensor).__name__}.")
    return tensor.array
