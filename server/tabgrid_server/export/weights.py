"""Smaller weights, and files that a tab can take.

Weights are kept as int8 with one float32 scale per block of 32, and made float32 again by
Cast, Mul and Reshape. All three have only constants as inputs, so every ONNX Runtime folds
them while it opens the session: what runs afterwards is the float32 graph, at its speed, with
its numbers on every backend. (DequantizeLinear would say the same, but ONNX Runtime refuses
to fold it by default: 2.5 times slower on CPU, 4 times on WASM for one text. MatMulNBits has
other kernels, and other numbers, on each backend.)
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import external_data_helper, helper, numpy_helper

from tabgrid_models.manifest import MAX_SHARD

from . import ExportError

#: Values that share a scale: measured for MiniLM, one scale per column keeps cosine 0.9959
#: at 23.0 MB, blocks of 64 keep 0.9993 at 24.4 MB, of 32 keep 0.9994 at 25.8 MB.
BLOCK = 32
#: Smaller tensors gain nothing worth a node.
LEAST_VALUES = 16 * 1024
#: In a sharded model everything smaller stays inside the ``.onnx`` file.
INLINE_BYTES = 1024


def quantise(model: onnx.ModelProto, block: int = BLOCK) -> int:
    """Make the matrices of MatMul and Gather 8-bit in place; returns how many there were."""
    graph = model.graph
    matrices = {
        tensor.name: tensor
        for tensor in graph.initializer
        if tensor.data_type == onnx.TensorProto.FLOAT
        and len(tensor.dims) == 2
        and tensor.dims[0] * tensor.dims[1] >= LEAST_VALUES
    }
    #: Name to the axis along which products are summed, or a row is read.
    axes: dict[str, int] = {}
    for node in graph.node:
        if node.op_type == "MatMul" and node.input[1] in matrices:
            axes[node.input[1]] = 0
        elif node.op_type == "Gather" and node.input[0] in matrices:
            axes[node.input[0]] = 1
    nodes = []
    for name, axis in axes.items():
        nodes += _replace(graph, matrices[name], axis, block)
    for node in reversed(nodes):
        graph.node.insert(0, node)
    return len(axes)


def _replace(
    graph: onnx.GraphProto, tensor: onnx.TensorProto, axis: int, block: int
) -> list[onnx.NodeProto]:
    """Swap a matrix for its 8-bit parts; returns the nodes that make it again."""
    name, matrix = tensor.name, numpy_helper.to_array(tensor)
    values, scales = to_blocks(matrix, axis, block)
    graph.initializer.remove(tensor)
    shape = np.array(matrix.shape, np.int64)
    for suffix, array in (("values", values), ("scales", scales), ("shape", shape)):
        graph.initializer.append(numpy_helper.from_array(array, f"{name}.{suffix}"))
    cast, scaled = f"{name}.cast", f"{name}.scaled"
    return [
        helper.make_node("Cast", [f"{name}.values"], [cast], cast, to=onnx.TensorProto.FLOAT),
        helper.make_node("Mul", [cast, f"{name}.scales"], [scaled], scaled),
        helper.make_node("Reshape", [scaled, f"{name}.shape"], [name], f"{name}.reshape"),
    ]


def to_blocks(matrix: np.ndarray, axis: int, block: int) -> tuple[np.ndarray, np.ndarray]:
    """int8 values and their scales, one per ``block`` values along ``axis``.

    Both have a dimension more than ``matrix``: values (…, blocks, block, …), scales
    (…, blocks, 1, …), so that values x scales reshapes to the matrix.
    """
    size = matrix.shape[axis]
    if size % block:
        block = size
    split = [*matrix.shape[:axis], size // block, block, *matrix.shape[axis + 1 :]]
    blocks = matrix.reshape(split)
    scales = np.abs(blocks).max(axis=axis + 1, keepdims=True) / np.float32(127)
    scales[scales == 0] = 1
    values = np.clip(np.rint(blocks / scales), -127, 127).astype(np.int8)
    return values, scales.astype(np.float32)


def save(model: onnx.ModelProto, folder: Path, stem: str, limit: int = MAX_SHARD) -> list[Path]:
    """Write ``stem.onnx`` and, if it would break ``limit``, its weights in shards beside it."""
    graph = folder / f"{stem}.onnx"
    shards: list[Path] = []
    if model.ByteSize() > limit:
        shards = _write_shards(model, folder, stem, limit)
    graph.write_bytes(model.SerializeToString(deterministic=True))
    if graph.stat().st_size > limit:
        raise ExportError(f"{graph.name} is larger than {limit} bytes without its weights.")
    return [graph, *shards]


def _write_shards(model: onnx.ModelProto, folder: Path, stem: str, limit: int) -> list[Path]:
    shards: list[Path] = []
    used = limit
    for tensor in model.graph.initializer:
        data = tensor.raw_data
        if len(data) < INLINE_BYTES:
            continue
        if len(data) > limit:
            raise ExportError(
                f"{tensor.name} alone has {len(data)} bytes, and a file may have {limit}."
            )
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
