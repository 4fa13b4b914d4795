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
from ..trace import Claimed, Part, Recheck, Rechecked

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
    #: The threshold between answers in two dtypes, where nobody measured how far apart those of
    #: one model lie: beyond it they cannot answer the same question, whatever the model.
    mixed: ClassVar[float]
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


@runtime_checkable
class Traced(Protocol):
    """A connector that gets to its output in steps, so that a few of them can be run again.

    The node commits to what lay between the steps (the trace); a reference is asked for some
    steps, drawn after that, and for the output from where the last step ended.
    """

    #: Raised when ``compare_steps`` changes.
    recheck_version: ClassVar[int]
    #: What ``compare_steps`` measures between two states, in words.
    step_distance: ClassVar[str]

    def kept(self, input: Any, manifest: Manifest) -> tuple[int, ...]:
        """After how many steps the node keeps what it has, from 0 to all of them."""
        ...

    def split_trace(self, input: Any, manifest: Manifest, trace: bytes) -> tuple[bytes, ...]:
        """One state for each of ``kept``. Raises ``InvalidOutput`` for another size."""
        ...

    async def run_traced(
        self, input: Any, manifest: Manifest, runtime: Runtime, emit: Emit
    ) -> tuple[Any, bytes]:
        """The output as ``Connector.run`` makes it, and the trace."""
        ...

    async def recheck(
        self, asked: Recheck, manifest: Manifest, runtime: Runtime, emit: Emit
    ) -> Rechecked:
        """Run the drawn stretches again. Raises ``InvalidInput`` for what is none of a trace."""
        ...

    def recheck_share(self, input: Any, manifest: Manifest, asked: Recheck) -> float:
        """Work in it, as a share of the whole answer's."""
        ...

    def check_rechecked(
        self, input: Any, asked: Recheck, rechecked: Rechecked, manifest: Manifest
    ) -> None:
        """Raise ``InvalidOutput`` unless it could be an answer to ``asked``."""
        ...

    def compare_steps(
        self,
        input: Any,
        manifest: Manifest,
        claimed: Claimed,
        rechecked: Rechecked,
        dtype: str,
        thresholds: Thresholds,
    ) -> tuple[Part, ...]:
        """How far each part of what a node claims is from what a reference found.

        Both computed in this dtype: how far steps in two lie apart nobody measured.
        """
        ...

    def step_floor(self, dtype: str) -> float:
        """As ``Connector.floor``, of one step."""
        ...


class Thresholds(msgspec.Struct, frozen=True):
    """What a model was calibrated to for one dtype; None: the connector's own figure."""

    output: float | None = None
    step: float | None = None


AnyConnector = Connector[Any, Any]
