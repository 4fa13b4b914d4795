"""Files that a tab can take: a graph, and where it is large its weights in shards beside it.

A shard fits a tab's single allocation and restarts cheaply after a broken download. Nothing
here needs a model in one piece: protobuf ends at 2 GB, the largest networks do not.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import external_data_helper, numpy_helper

from tabgrid_models.manifest import MAX_SHARD

from . import ExportError
from .surgery import Nodes

#: In a sharded model everything smaller stays inside the ``.onnx`` file.
INLINE_BYTES = 1024


def save(model: onnx.ModelProto, folder: Path, stem: str, limit: int = MAX_SHARD) -> list[Path]:
    """Write ``stem.onnx`` and, if it would break ``limit``, its weights in shards beside it."""
    graph = folder / f"{stem}.onnx"
    shards: list[Path] = []
    weights = sum(len(tensor.raw_data) for tensor in model.graph.initializer)
    if weights > limit or model.ByteSize() > limit:
        _cut_large(model, limit)
        shards = _write_shards(model, folder, stem, limit)
    graph.write_bytes(model.SerializeToString(deterministic=True))
    if graph.stat().st_size > limit:
        raise ExportError(f"{graph.name} is larger than {limit} bytes without its weights.")
    onnx.checker.check_model(str(graph))
    return [graph, *shards]


def _cut_large(model: onnx.ModelProto, limit: int) -> None:
    """Weights that no shard could hold become pieces, joined again when a session opens."""
    nodes = Nodes(model, front=True)
    for tensor in [t for t in model.graph.initializer if len(t.raw_data) > limit]:
        name, values = tensor.name, numpy_helper.to_array(tensor)
        model.graph.initializer.remove(tensor)
        count = -(-values.nbytes // limit)
        pieces = [
            nodes.constant(f"{name}.piece{number}", piece, piece.dtype)
            for number, piece in enumerate(np.array_split(values.reshape(-1), count))
        ]
        nodes.constant(f"{name}.form", values.shape, np.int64)
        nodes("Concat", pieces, f"{name}.joined", axis=0)
        nodes("Reshape", [f"{name}.joined", f"{name}.form"], name)


def _write_shards(model: onnx.ModelProto, folder: Path, stem: str, limit: int) -> list[Path]:
    shards: list[Path] = []
    used = limit
    for tensor in model.graph.initializer:
        data = tensor.raw_data
        if len(data) < INLINE_BYTES:
            continue
        if used + len(data) > limit:
            shards.append(folder / f"{stem}-{len(shards) + 1:05d}.bin")
            shards[-1].write_bytes(b"")
            used = 0
        with shards[-1].open("ab") as stream:
            stream.write(data)
        external_data_helper.set_external_data(tensor, shards[-1].name, used, len(data))
        tensor.ClearField("raw_data")
        used += len(data)
    return shards
