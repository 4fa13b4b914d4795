"""Texts to unit vectors: one row of float32 per text, by a sentence-transformers graph.

The graph takes ``input_ids`` and ``attention_mask`` and returns rows that are pooled and
normalised already, so what is left to do here is to cut the work into micro-batches.
"""

from __future__ import annotations

import math
import struct
from array import array
from collections.abc import Iterator, Sequence
from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta

from ..manifest import FilePath, Manifest
from ..runtime import Emit, Runtime, Tensor, Tokenizer
from .base import AnyConnector, Comparison, InvalidInput, InvalidOutput, Usage

#: An audit runs a whole job again: larger jobs would make audits lumpy and leases long.
MAX_TEXTS = 256
#: About the text of 8,192 tokens, OpenAI's own limit. Models read far less of it.
MAX_CHARACTERS = 32_768
#: All texts in UTF-8. With its envelope the assignment must fit one frame of the wire.
MAX_BYTES = 1024 * 1024

#: Texts x longest text of one micro-batch, in tokens. Processors gain nothing beyond 512,
#: GPUs little beyond 2,048; activations stay near 100 MiB, and on the slowest machines
#: (1 ms per token) the owner's pause and a cancel are heard every 2 s.
MAX_PADDED_TOKENS = 2048
#: What one more call of the graph costs, in tokens: 5-15 on WASM and CPU, hundreds on a GPU.
CALL_TOKENS = 128

#: float32 rows normalised by any backend are within 1e-6 of length 1, float16 within 1e-3.
NORM_TOLERANCE = 2e-3
#: 1 - cosine of the worst row. The weights of q8 are made float32 on loading, so an answer
#: spreads like float32 does: 2e-12 at most over 100 texts between native CPU, WASM and WebGPU
#: (SwiftShader). 1e-5 leaves real GPUs room and is far below what other weights would show:
#: the original's float32 weights are 2e-4 away, int8 arithmetic 1e-1.
THRESHOLDS = {"fp32": 1e-4, "q8": 1e-5, "fp16": 1e-3}
#: Vectors that are one part in two thousand apart are 1e-7 apart by this measure. float16 has
#: eleven bits, and each GPU adds up in its own order: one part in thirty.
FLOOR, HALF_FLOOR = 1e-7, 5e-4
#: Weights of 4 bits are 0.08 from the original's, int8 arithmetic 0.11; texts that have nothing
#: to do with each other 0.5 and more.
MIXED = 0.25

Text = Annotated[
    str, Meta(min_length=1, max_length=MAX_CHARACTERS, description="Not empty; a space is.")
]


class EmbeddingsInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    texts: Annotated[tuple[Text, ...], Meta(min_length=1, max_length=MAX_TEXTS)]


class EmbeddingsOutput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    #: float32, little-endian, one row of ``dims`` per text, in the order of the texts.
    embeddings: bytes
    dims: Annotated[int, Meta(ge=1, le=8192)]

    @property
    def count(self) -> float:
        """Rows; not a whole number where the bytes are not whole rows."""
        return len(self.embeddings) / (4 * self.dims)


class EmbeddingsConfig(msgspec.Struct, frozen=True):
    """What the manifest must say for this connector."""

    dimensions: Annotated[int, Meta(ge=1, le=8192)]
    #: Special tokens included; the rest of a longer text is not read.
    max_tokens: Annotated[int, Meta(ge=3, le=8192)]
    #: Path of a ``tokenizer.json`` among the shared files.
    tokenizer: FilePath


class Embeddings:
    algorithm: ClassVar[str] = "embeddings"
    comparator_version: ClassVar[int] = 1
    distance: ClassVar[str] = "1 - cosine of the worst row"
    mixed: ClassVar[float] = MIXED
    unit: ClassVar[str] = "token"
    Input: type[EmbeddingsInput] = EmbeddingsInput
    Output: type[EmbeddingsOutput] = EmbeddingsOutput
    Config: type[EmbeddingsConfig] = EmbeddingsConfig

    def validate(self, input: EmbeddingsInput, manifest: Manifest) -> None:
        if not 1 <= len(input.texts) <= MAX_TEXTS:
            raise InvalidInput(
                f"Send between 1 and {MAX_TEXTS} texts at once, not {len(input.texts)}.", "texts"
            )
        total = sum(_checked_size(text, index) for index, text in enumerate(input.texts))
        if total > MAX_BYTES:
            raise InvalidInput(
                f"The texts are {total} bytes of UTF-8 together; at most {MAX_BYTES} fit one "
                "request, so send them in several.",
                "texts",
            )

    def usage(
        self, input: EmbeddingsInput, manifest: Manifest, tokenizer: Tokenizer | None
    ) -> Usage:
        """Tokens that the model will read. ``truncated_texts`` is there if some were cut."""
        if tokenizer is None:
            raise LookupError(f"Model {manifest.id!r} has no tokenizer to count tokens with.")
        limit = _config(manifest).max_tokens
        # One token more than is read tells a text that is cut from one that just fits.
        lengths = [len(ids) for ids in tokenizer.encode(input.texts, limit + 1)]
        tokens = sum(min(length, limit) for length in lengths)
        details = {"prompt_tokens": tokens, "total_tokens": tokens}
        if truncated := sum(length > limit for length in lengths):
            details["truncated_texts"] = truncated
        return Usage(tokens, details)

    def check(self, input: EmbeddingsInput, output: EmbeddingsOutput, manifest: Manifest) -> None:
        dims = _config(manifest).dimensions
        if output.dims != dims:
            raise InvalidOutput(f"Rows have {output.dims} dimensions, the model has {dims}.")
        wanted = 4 * dims * len(input.texts)
        if len(output.embeddings) != wanted:
            raise InvalidOutput(f"Got {len(output.embeddings)} bytes, expected {wanted}.")
        for index, row in enumerate(_rows(output)):
            # hypot lets NaN and infinity through to the comparison, which they then fail.
            if not abs(math.hypot(*row) - 1.0) <= NORM_TOLERANCE:
                raise InvalidOutput(f"Row {index} is not a unit vector.")

    async def run(
        self, input: EmbeddingsInput, manifest: Manifest, runtime: Runtime, emit: Emit
    ) -> EmbeddingsOutput:
        config = _config(manifest)
        tokens = runtime.tokenizer().encode(input.texts, config.max_tokens)
        rows = [b""] * len(tokens)
        stride = 4 * config.dimensions
        done = 0
        for batch in micro_batches([len(ids) for ids in tokens]):
            answer = await read(await embed(runtime, [tokens[index] for index in batch]))
            for place, index in enumerate(batch):
                rows[index] = answer[place * stride : (place + 1) * stride]
            done += len(batch)
            emit(done, len(tokens), "texts")
        return EmbeddingsOutput(b"".join(rows), config.dimensions)

    def compare(
        self,
        reference: EmbeddingsOutput,
        candidate: EmbeddingsOutput,
        dtype: str,
        threshold: float | None = None,
    ) -> Comparison:
        """1 - the smallest cosine of two rows; infinite where the shapes differ."""
        if threshold is None:
            threshold = THRESHOLDS.get(dtype, THRESHOLDS["fp32"])
        if (reference.dims, reference.count) != (candidate.dims, candidate.count):
            return Comparison(math.inf, threshold)
        pairs = zip(_rows(reference), _rows(candidate), strict=True)
        # For unit vectors 1 - cosine is half the squared distance; unlike a sum of products
        # it loses no digits where the two are close, and it needs no loop in Python.
        distances = [math.dist(one, other) ** 2 / 2 for one, other in pairs]
        # max() may drop NaN; whatever is not a number is not an answer.
        worst = math.inf if any(map(math.isnan, distances)) else max(distances, default=0.0)
        return Comparison(worst, threshold)

    def floor(self, dtype: str) -> float:
        return HALF_FLOOR if dtype == "fp16" else FLOOR


def micro_batches(
    lengths: Sequence[int], budget: int = MAX_PADDED_TOKENS, call: int = CALL_TOKENS
) -> Iterator[list[int]]:
    """Indices of texts that go through the graph together, longest first.

    Longest first: a device that lacks the memory says so at once. A batch ends where the
    next row would break ``budget`` (but it holds one row at least), or where padding the
    texts that follow would cost more than one more ``call``.
    """
    order = sorted(range(len(lengths)), key=lambda index: -lengths[index])
    start = 0
    while start < len(order):
        width = max(lengths[order[start]], 1)
        last = min(len(order), start + max(budget // width, 1))
        end = start + 1
        while end < last and (width - lengths[order[end]]) * (last - end) <= call:
            end += 1
        yield order[start:end]
        start = end


async def embed(runtime: Runtime, tokens: Sequence[Sequence[int]]) -> Tensor:
    """One micro-batch through the graph: its rows, still on the device, in its order."""
    width = max(map(len, tokens))
    ids, mask = array("q"), array("q")
    for row in tokens:
        padding = [0] * (width - len(row))
        ids.extend(row)
        ids.extend(padding)
        mask.extend([1] * len(row))
        mask.extend(padding)
    shape = (len(tokens), width)
    feeds = {
        "input_ids": runtime.tensor("int64", shape, ids.tobytes()),
        "attention_mask": runtime.tensor("int64", shape, mask.tobytes()),
    }
    try:
        return (await runtime.run("model", feeds))["embeddings"]
    finally:
        for tensor in feeds.values():
            tensor.dispose()


async def read(tensor: Tensor) -> bytes:
    """The values of a tensor that is needed no more."""
    try:
        return await tensor.read()
    finally:
        tensor.dispose()


def _config(manifest: Manifest) -> EmbeddingsConfig:
    return msgspec.convert(manifest.config, EmbeddingsConfig)


def _rows(output: EmbeddingsOutput) -> Iterator[tuple[float, ...]]:
    return struct.iter_unpack(f"<{output.dims}f", output.embeddings)


def _checked_size(text: str, index: int) -> int:
    """Bytes of one text in UTF-8. Raises ``InvalidInput``."""
    where = f"texts[{index}]"
    if not text:
        raise InvalidInput("A text must not be empty.", where)
    if len(text) > MAX_CHARACTERS:
        raise InvalidInput(
            f"A text may have {MAX_CHARACTERS} characters, this one has {len(text)}.", where
        )
    try:
        return len(text.encode())
    except UnicodeEncodeError as error:
        raise InvalidInput("A text holds half of a surrogate pair.", where) from error


CONNECTOR: AnyConnector = Embeddings()
