"""What a model is: its connector, its files, what it needs, and what right answers look like.

The SHA-256 of a manifest's canonical JSON is the model's identity: it stands in every
assignment and receipt, so two models that differ in one byte of one weight differ in name.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Any

import msgspec
from msgspec import Meta

Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
#: Relative, no dot segments: it becomes part of a path on disk.
FilePath = Annotated[
    str,
    Meta(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9_.-]*(/[A-Za-z0-9_-][A-Za-z0-9_.-]*)*$", max_length=200),
]
#: A shard must fit a tab's single allocation and restart cheaply after a broken download.
MAX_SHARD = 64 * 1024 * 1024


class File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    path: FilePath
    size: Annotated[int, Meta(ge=1, le=MAX_SHARD)]
    sha256: Sha256


class Variant(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The same model in one precision. A node picks the best that it can hold."""

    id: str
    dtype: str
    #: Graph name to the path of its ``.onnx``; external-data shards are only in ``files``.
    graphs: dict[str, FilePath]
    files: tuple[File, ...]
    #: Measured peak of a session over one golden input, in MiB.
    memory_mib: int
    #: Device features, e.g. "shader-f16". Empty means any.
    needs: tuple[str, ...] = ()
    #: How near it is to the source model: e.g. {"cosine_min": 0.9991}.
    quality: dict[str, float] = {}


class Golden(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An input and its right answer, both as the connector's JSON."""

    input: dict[str, Any]
    output: dict[str, Any]


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: Annotated[str, Meta(pattern="^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    connector: str
    title: str
    description: str
    #: SPDX expression of the weights.
    licence: str
    #: Where the weights came from, as a person would look for them.
    source: str
    #: What this connector needs to know: dimensions, max_tokens, tokenizer, ….
    config: dict[str, Any]
    variants: tuple[Variant, ...]
    #: Files that every variant uses (the tokeniser).
    shared: tuple[File, ...] = ()
    golden: tuple[Golden, ...] = ()

    def canonical(self) -> bytes:
        """The JSON that is hashed and served: keys sorted, no spaces."""
        return msgspec.json.encode(self, order="sorted")

    def digest(self) -> str:
        """Lower-case hex SHA-256 of the canonical JSON."""
        return hashlib.sha256(self.canonical()).hexdigest()
