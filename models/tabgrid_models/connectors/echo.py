"""A job that computes nothing: what the grid itself costs, and whether a node is there."""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta

from ..manifest import Manifest
from ..runtime import Emit, Runtime, Tokenizer
from .base import AnyConnector, Comparison, InvalidInput, InvalidOutput, Usage

#: A measure of the grid should not turn into a measure of copying.
MAX_CHARACTERS = 4096

Text = Annotated[str, Meta(max_length=MAX_CHARACTERS)]


class EchoInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    text: Text


class EchoOutput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    text: Text


class EchoConfig(msgspec.Struct, frozen=True):
    """Nothing to say."""


class Echo:
    algorithm: ClassVar[str] = "echo"
    comparator_version: ClassVar[int] = 1
    distance: ClassVar[str] = "0 for the same text, else 1"
    mixed: ClassVar[float] = 0.0
    unit: ClassVar[str] = "job"
    Input: type[EchoInput] = EchoInput
    Output: type[EchoOutput] = EchoOutput
    Config: type[EchoConfig] = EchoConfig

    def validate(self, input: EchoInput, manifest: Manifest) -> None:
        if len(input.text) > MAX_CHARACTERS:
            raise InvalidInput(f"The text may have {MAX_CHARACTERS} characters.", "text")

    def usage(self, input: EchoInput, manifest: Manifest, tokenizer: Tokenizer | None) -> Usage:
        return Usage(1, {})

    def check(self, input: EchoInput, output: EchoOutput, manifest: Manifest) -> None:
        if output.text != input.text:
            raise InvalidOutput("An echo must be what was called.")

    async def run(
        self, input: EchoInput, manifest: Manifest, runtime: Runtime, emit: Emit
    ) -> EchoOutput:
        return EchoOutput(input.text)

    def compare(
        self,
        reference: EchoOutput,
        candidate: EchoOutput,
        dtype: str,
        threshold: float | None = None,
    ) -> Comparison:
        return Comparison(0.0 if reference == candidate else 1.0, threshold or 0.0)

    def floor(self, dtype: str) -> float:
        return 0.0


CONNECTOR: AnyConnector = Echo()
