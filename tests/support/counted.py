"""A runtime around a real one that knows which tensors nobody has given back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tabgrid_models.runtime import Runtime, Tokenizer


class CountedTensor:
    def __init__(self, inner: Any, alive: set[int]) -> None:
        self.inner = inner
        self._alive = alive
        alive.add(id(self))

    @property
    def dtype(self) -> str:
        return str(self.inner.dtype)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.inner.shape)

    async def read(self) -> bytes:
        assert id(self) in self._alive, "read after it was given back"
        return bytes(await self.inner.read())

    def dispose(self) -> None:
        self._alive.discard(id(self))
        self.inner.dispose()


class Counted:
    def __init__(self, inner: Runtime) -> None:
        self._inner = inner
        self._made: list[CountedTensor] = []
        self._alive: set[int] = set()
        self.most = 0
        #: Names of the graphs that ran, in order.
        self.ran: list[str] = []

    @property
    def alive(self) -> int:
        return len(self._alive)

    def tensor(self, dtype: str, shape: Sequence[int], data: bytes) -> CountedTensor:
        return self._counted(self._inner.tensor(dtype, shape, data))

    async def run(self, graph: str, feeds: Mapping[str, Any]) -> Mapping[str, CountedTensor]:
        self.ran.append(graph)
        for name, tensor in feeds.items():
            assert id(tensor) in self._alive, f"{name} is fed after it was given back"
        outputs = await self._inner.run(graph, {name: one.inner for name, one in feeds.items()})
        return {name: self._counted(tensor) for name, tensor in outputs.items()}

    def tokenizer(self) -> Tokenizer:
        return self._inner.tokenizer()

    def _counted(self, tensor: Any) -> CountedTensor:
        made = CountedTensor(tensor, self._alive)
        # Held here so that no id is given out twice.
        self._made.append(made)
        self.most = max(self.most, len(self._alive))
        return made
