"""What an algorithm must say of itself to join the grid.

A connector is the only place that knows an algorithm: what goes in and out, what it
costs, how to run it, whether an answer is well formed, and how two answers compare. All
of it is pure; ``run`` reaches the machine only through the ``Runtime`` it is handed.
"""

from __future__ import annotations

from typing import Any, ClassVar, Generic, Protocol, TypeVar, runtime_checkable

import msgspec

from ..manifest import Manifest
from ..runtime import Emit, Runtime, Tokenizer

InputT = TypeVar("InputT", bound=msgspec.Struct)
OutputT = TypeVar("OutputT", bound=msgspec.Struct)


class InvalidInput(ValueError):
    """A user's input breaks a rule; ``param`` names the field, the text says what to do."""

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


class InvalidOutput(ValueError):
    """A node's output is malformed: wrong shape, size, range, or not a number."""


class Usage(msgspec.Struct, frozen=True):
    """Work in an input, counted by the coordinator; never taken from a node."""

    #: What the price is per: tokens for text, pixel-steps for pictures.
    units: int
    #: What the API reports, e.g. {"prompt_tokens": 7, "total_tokens": 7}.
    details: dict[str, int]


class Comparison(msgspec.Struct, frozen=True):
    """How far a candidate is from a reference, on a scale where above ``threshold`` is wrong."""

    distance: float
    threshold: float

    @property
    def agrees(self) -> bool:
        return self.distance <= self.threshold


class Connector(Protocol, Generic[InputT, OutputT]):
    """One algorithm. Instances hold no state."""

    algorithm: ClassVar[str]
    #: Raised when ``compare`` changes; stands in every receipt.
    comparator_version: ClassVar[int]
    #: What ``compare`` measures, in words.
    distance: ClassVar[str]
    #: What one unit of ``Usage`` is called, singular: "token".
    unit: ClassVar[str]
    Input: type[InputT]
    Output: type[OutputT]
    #: What a manifest's ``config`` must hold.
    Config: type[Any]

    def validate(self, input: InputT, manifest: Manifest) -> None:
        """Raise ``InvalidInput`` for what the types alone cannot rule out."""

    def usage(self, input: InputT, manifest: Manifest, tokenizer: Tokenizer | None) -> Usage:
        """Count the work. The coordinator calls it once, before the price."""

    def check(self, input: InputT, output: OutputT, manifest: Manifest) -> None:
        """Raise ``InvalidOutput`` unless ``output`` could be an answer to ``input``."""

    async def run(
        self, input: InputT, manifest: Manifest, runtime: Runtime, emit: Emit
    ) -> OutputT: ...

    def compare(
        self,
        reference: OutputT,
        candidate: OutputT,
        dtype: str,
        threshold: float | None = None,
    ) -> Comparison:
        """``threshold`` is the one that the model was calibrated to; None: the built-in one."""

    def floor(self, dtype: str) -> float:
        """The distance under which no calibration puts a threshold.

        What devices may differ by that nobody here could measure: ONNX Runtime's own tests
        let WebGPU be off by one part in a thousand, and drivers round as they like.
        """


@runtime_checkable
class HasMedia(Protocol):
    """A connector whose output is, at heart, a file: a picture, later a sound.

    Its partial results (``emit``'s chunks) are then small pictures of the same kind.
    """

    def media(self, output: Any) -> tuple[str, bytes]:
        """Content type and bytes of an output that passed ``check``."""
        ...


AnyConnector = Connector[Any, Any]
