"""Texts sorted under labels that the asker makes up: zero-shot, by nearness in meaning.

The graph ``model`` turns labels and texts into unit vectors, the graph ``classify`` their
nearness into probabilities; the vectors never leave the device.
"""

from __future__ import annotations

import math
import struct
from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta

from ..manifest import FilePath, Manifest
from ..runtime import Emit, Runtime, Tensor, Tokenizer
from .base import AnyConnector, Comparison, InvalidInput, InvalidOutput, Usage
from .embeddings import embed, micro_batches, read

#: All labels go through the graph at once: 32 x 64 tokens are the largest micro-batch that
#: texts make. People choose among far fewer, and a label is a word or two.
MAX_LABELS = 32
LABEL_TOKENS = 64
#: 64 x 8,192 characters are at most 2 MiB in UTF-8, which fit one frame of the wire.
MAX_TEXTS = 64
MAX_CHARACTERS = 8192
#: float32 probabilities of up to 32 labels add up to 1 within 4e-6.
SUM_TOLERANCE = 1e-4
#: Backends differ by 2e-12 in 1 - cosine (see ``embeddings``), so by 2e-6 in a vector; the
#: graph's scale of 20 makes at most 1e-5 of that. Other weights show far above 1e-3.
THRESHOLD = 1e-3
#: Vectors that are one part in two thousand apart, in a chance direction of hundreds, move a
#: label's nearness by 4e-5; the graph's scale of 20 and softmax's slope of a quarter do the rest.
FLOOR, HALF_FLOOR = 2e-4, 1e-2
#: Few bits move a vector by 0.45 (see ``embeddings``), which is 0.1 in a probability by chance
#: and more for a text between two labels; another label has the half.
MIXED = 0.5

Text = Annotated[str, Meta(min_length=1, max_length=MAX_CHARACTERS)]
Label = Annotated[str, Meta(min_length=1, max_length=100)]
Score = Annotated[float, Meta(ge=0, le=1)]


class ClassifyInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    texts: Annotated[tuple[Text, ...], Meta(min_length=1, max_length=MAX_TEXTS)]
    #: A plain phrase says more than a code: "a complaint", not "cat_3".
    labels: Annotated[tuple[Label, ...], Meta(min_length=2, max_length=MAX_LABELS)]


class ClassifyOutput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    #: One row per text: how likely each label is, in the order of the labels; adds up to 1.
    scores: tuple[tuple[Score, ...], ...]


class ClassifyConfig(msgspec.Struct, frozen=True):
    #: Special tokens included; the rest of a longer text is not read.
    max_tokens: Annotated[int, Meta(ge=LABEL_TOKENS, le=8192)]
    tokenizer: FilePath


class Classify:
    algorithm: ClassVar[str] = "classify"
    comparator_version: ClassVar[int] = 1
    distance: ClassVar[str] = "largest difference of two probabilities"
    mixed: ClassVar[float] = MIXED
    unit: ClassVar[str] = "token"
    Input: type[ClassifyInput] = ClassifyInput
    Output: type[ClassifyOutput] = ClassifyOutput
    Config: type[ClassifyConfig] = ClassifyConfig

    def validate(self, input: ClassifyInput, manifest: Manifest) -> None:
        for name, given in (("texts", input.texts), ("labels", input.labels)):
            for index, text in enumerate(given):
                _check_text(text, f"{name}[{index}]")
        if len(set(input.labels)) < len(input.labels):
            raise InvalidInput("Two labels are the same; name each one once.", "labels")

    def usage(self, input: ClassifyInput, manifest: Manifest, tokenizer: Tokenizer | None) -> Usage:
        """Tokens that the model will read, in labels and texts."""
        if tokenizer is None:
            raise LookupError(f"Model {manifest.id!r} has no tokenizer to count tokens with.")
        rows = (*_texts(input, manifest, tokenizer), *_labels(input, tokenizer))
        tokens = sum(map(len, rows))
        return Usage(tokens, {"prompt_tokens": tokens, "total_tokens": tokens})

    def check(self, input: ClassifyInput, output: ClassifyOutput, manifest: Manifest) -> None:
        if [len(row) for row in output.scores] != [len(input.labels)] * len(input.texts):
            raise InvalidOutput("The scores are not one row per text with one number per label.")
        for index, row in enumerate(output.scores):
            # Written so that NaN, which msgpack can carry, fails too.
            if not (min(row) >= 0 and abs(sum(row) - 1) <= SUM_TOLERANCE):
                raise InvalidOutput(f"The scores of text {index} do not add up to 1.")

    async def run(
        self, input: ClassifyInput, manifest: Manifest, runtime: Runtime, emit: Emit
    ) -> ClassifyOutput:
        tokens = _texts(input, manifest, runtime.tokenizer())
        labels = await embed(runtime, _labels(input, runtime.tokenizer()))
        scores: dict[int, tuple[float, ...]] = {}
        try:
            for batch in micro_batches([len(ids) for ids in tokens]):
                texts = await embed(runtime, [tokens[index] for index in batch])
                found = await _scores(runtime, texts, labels)
                rows = struct.iter_unpack(f"<{len(input.labels)}f", found)
                scores.update(zip(batch, rows, strict=True))
                emit(len(scores), len(tokens), "texts")
        finally:
            labels.dispose()
        return ClassifyOutput(tuple(scores[index] for index in range(len(tokens))))

    def compare(
        self,
        reference: ClassifyOutput,
        candidate: ClassifyOutput,
        dtype: str,
        threshold: float | None = None,
    ) -> Comparison:
        """The largest difference of two probabilities; infinite where the shapes differ."""
        if threshold is None:
            threshold = THRESHOLD
        if list(map(len, reference.scores)) != list(map(len, candidate.scores)):
            return Comparison(math.inf, threshold)
        pairs = zip(reference.scores, candidate.scores, strict=True)
        distances = [
            abs(a - b) for ours, theirs in pairs for a, b in zip(ours, theirs, strict=True)
        ]
        # max() may drop NaN; whatever is not a number is not an answer.
        worst = math.inf if any(map(math.isnan, distances)) else max(distances, default=0.0)
        return Comparison(worst, threshold)

    def floor(self, dtype: str) -> float:
        return HALF_FLOOR if dtype == "fp16" else FLOOR


async def _scores(runtime: Runtime, texts: Tensor, labels: Tensor) -> bytes:
    """float32 rows of one micro-batch, whose ``texts`` are needed no more."""
    try:
        outputs = await runtime.run("classify", {"texts": texts, "labels": labels})
    finally:
        texts.dispose()
    return await read(outputs["scores"])


def _texts(input: ClassifyInput, manifest: Manifest, tokenizer: Tokenizer) -> list[list[int]]:
    config = msgspec.convert(manifest.config, ClassifyConfig)
    return tokenizer.encode(input.texts, config.max_tokens)


def _labels(input: ClassifyInput, tokenizer: Tokenizer) -> list[list[int]]:
    return tokenizer.encode(input.labels, LABEL_TOKENS)


def _check_text(text: str, where: str) -> None:
    if not text.strip():
        raise InvalidInput("There is nothing but space in it; write something.", where)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidInput("It holds half of a surrogate pair.", where) from error


CONNECTOR: AnyConnector = Classify()
