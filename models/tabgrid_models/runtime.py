"""What a connector may ask of the machine it runs on.

Two hosts implement this: ONNX Runtime Web under Pyodide in a tab, and onnxruntime under
CPython. A connector never sees which. Tensors are opaque handles: their bytes may live on
a GPU and are fetched only by ``read``, so a loop that feeds outputs back moves no data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

DTYPES = ("float32", "float16", "int64", "int32", "uint8", "bool")


class Tensor(Protocol):
    """A typed array somewhere on the device; row-major, little-endian."""

    @property
    def dtype(self) -> str: ...

    @property
    def shape(self) -> tuple[int, ...]: ...

    async def read(self) -> bytes:
        """Copy the values to the host."""

    def dispose(self) -> None:
        """Give the memory back. Safe to call twice."""


class Tokenizer(Protocol):
    """A fast tokeniser made from a ``tokenizer.json``."""

    def encode(self, texts: Sequence[str], max_tokens: int) -> list[list[int]]:
        """Token ids of each text, special tokens included, cut to ``max_tokens``; no padding."""


class Runtime(Protocol):
    """One loaded variant of one model."""

    def tensor(self, dtype: str, shape: Sequence[int], data: bytes) -> Tensor:
        """Put ``data`` on the device. Raises ValueError where sizes do not agree."""

    async def run(self, graph: str, feeds: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Run the variant's graph of that name; every output stays on the device."""

    def tokenizer(self) -> Tokenizer:
        """The model's tokeniser. Raises LookupError if its manifest names none."""


class Emit(Protocol):
    """How a running connector reports; cheap enough to call at every step.

    ``chunk`` is the result so far, for people who watch. One takes the place of the one
    before, and a host leaves out what comes too fast or is not to be seen.
    """

    def __call__(self, done: int, total: int, stage: str = "", chunk: bytes = b"") -> None: ...


def quiet(done: int, total: int, stage: str = "", chunk: bytes = b"") -> None:
    """An ``Emit`` where nobody watches."""
