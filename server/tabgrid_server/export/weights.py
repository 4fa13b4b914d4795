"""Smaller weights that become float32 again when a session opens.

Weights are kept as integers of 8 or 4 bits with one float32 scale per block of 32, and made
float32 again by nodes that have only constants as inputs, so every ONNX Runtime folds them
while it opens the session: what runs afterwards is the float32 graph, at its speed, with its
numbers on every backend. (DequantizeLinear would say the same, but ONNX Runtime refuses to
fold it by default: 2.5 times slower on CPU, 4 times on WASM for one text. MatMulNBits has
other kernels, and other numbers, on each backend.)
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx
from onnx import numpy_helper

from .surgery import FLOAT, Nodes

#: Values that share a scale: measured for MiniLM, one scale per column keeps cosine 0.9959
#: at 23.0 MB, blocks of 64 keep 0.9993 at 24.4 MB, of 32 keep 0.9994 at 25.8 MB.
BLOCK = 32
#: Smaller tensors gain nothing worth a node.
LEAST_VALUES = 16 * 1024
#: What stands for zero in four bits.
MIDDLE = 8


def quantise(
    model: onnx.ModelProto, block: int = BLOCK, bits: int = 8, least: int = LEAST_VALUES
) -> int:
    """Make the weights of products, lookups and convolutions small, in place.

    ``bits`` is 8 or 4. Returns how many tensors it changed.
    """
    large = {
        tensor.name: tensor
        for tensor in model.graph.initializer
        if tensor.data_type == FLOAT
        and len(tensor.dims) > 1
        and np.prod(tensor.dims, dtype=np.int64) >= least
    }
    #: Name to the axis along which products are summed, or a row is read.
    axes = {name: axis for name, axis in _weights(model.graph) if name in large}
    nodes = Nodes(model, front=True)
    for name, axis in axes.items():
        tensor = large[name]
        values = numpy_helper.to_array(tensor)
        shape = values.shape
        if values.ndim > 2:
            values = values.reshape(shape[0], -1)
        model.graph.initializer.remove(tensor)
        (_as_bytes if bits == 8 else _as_nibbles)(nodes, name, values, axis, block, shape)
    return len(axes)


def _weights(graph: onnx.GraphProto) -> Iterator[tuple[str, int]]:
    for node in graph.node:
        if node.op_type == "MatMul":
            yield node.input[1], 0
        elif node.op_type == "Gather":
            yield node.input[0], 1
        elif node.op_type == "Gemm":
            transposed = any(a.name == "transB" and a.i for a in node.attribute)
            yield node.input[1], 1 if transposed else 0
        elif node.op_type == "Conv":
            # Everything that one output channel sums.
            yield node.input[1], 1


def _as_bytes(
    nodes: Nodes, name: str, matrix: np.ndarray, axis: int, block: int, shape: tuple[int, ...]
) -> None:
    values, scales = to_blocks(matrix, axis, block)
    nodes.constant(f"{name}.values", values, np.int8)
    nodes.constant(f"{name}.scales", scales)
    nodes.constant(f"{name}.shape", shape, np.int64)
    nodes("Cast", [f"{name}.values"], f"{name}.cast", to=FLOAT)
    nodes("Mul", [f"{name}.cast", f"{name}.scales"], f"{name}.scaled")
    nodes("Reshape", [f"{name}.scaled", f"{name}.shape"], name)


def _as_nibbles(
    nodes: Nodes, name: str, matrix: np.ndarray, axis: int, block: int, shape: tuple[int, ...]
) -> None:
    """Two values a byte: the first half of all in the low bits, the second in the high."""
    values, scales = to_nibbles(matrix, axis, block)
    flat = values.reshape(-1)
    flat = np.append(flat, np.zeros(flat.size % 2, np.uint8))
    low, high = np.split(flat, 2)
    nodes.constant(f"{name}.values", low | high << 4, np.uint8)
    nodes.constant(f"{name}.scales", scales)
    nodes.constant(f"{name}.blocks", values.shape, np.int64)
    nodes.constant(f"{name}.shape", shape, np.int64)
    nodes.constant(f"{name}.mask", 15, np.uint8)
    nodes.constant(f"{name}.four", 4, np.uint8)
    nodes.constant(f"{name}.middle", MIDDLE)
    nodes("BitwiseAnd", [f"{name}.values", f"{name}.mask"], f"{name}.low")
    nodes("BitShift", [f"{name}.values", f"{name}.four"], f"{name}.high", direction="RIGHT")
    nodes("Concat", [f"{name}.low", f"{name}.high"], f"{name}.flat", axis=0)
    nodes("Cast", [f"{name}.flat"], f"{name}.cast", to=FLOAT)
    nodes("Sub", [f"{name}.cast", f"{name}.middle"], f"{name}.signed")
    whole = f"{name}.signed"
    if values.size % 2:
        nodes.constant(f"{name}.start", [0], np.int64)
        nodes.constant(f"{name}.end", [values.size], np.int64)
        whole = nodes("Slice", [whole, f"{name}.start", f"{name}.end"], f"{name}.whole")
    nodes("Reshape", [whole, f"{name}.blocks"], f"{name}.blocked")
    nodes("Mul", [f"{name}.blocked", f"{name}.scales"], f"{name}.scaled")
    nodes("Reshape", [f"{name}.scaled", f"{name}.shape"], name)


def to_blocks(matrix: np.ndarray, axis: int, block: int) -> tuple[np.ndarray, np.ndarray]:
    """int8 values and their scales, one per ``block`` values along ``axis``.

    Both have a dimension more than ``matrix``: values (…, blocks, block, …), scales
    (…, blocks, 1, …), so that values x scales reshapes to the matrix.
    """
    blocks = _split(matrix, axis, block)
    scales = np.abs(blocks).max(axis=axis + 1, keepdims=True) / np.float32(127)
    scales[scales == 0] = 1
    values = np.clip(np.rint(blocks / scales), -127, 127).astype(np.int8)
    return values, scales.astype(np.float32)


def to_nibbles(matrix: np.ndarray, axis: int, block: int) -> tuple[np.ndarray, np.ndarray]:
    """Values of 0 to 15 and their scales: (value - 8) x scale reshapes to the matrix.

    The value of the largest magnitude is exact: there is one level more on one side of zero
    than on the other, and each block turns that side to where it needs it.
    """
    blocks = _split(matrix, axis, block)
    largest = np.abs(blocks).argmax(axis=axis + 1, keepdims=True)
    scales = np.take_along_axis(blocks, largest, axis + 1) / np.float32(-MIDDLE)
    scales[scales == 0] = 1
    values = np.clip(np.rint(blocks / scales) + MIDDLE, 0, 15).astype(np.uint8)
    return values, scales.astype(np.float32)


def _split(matrix: np.ndarray, axis: int, block: int) -> np.ndarray:
    """With a dimension more; one block for all where the size is no multiple."""
    size = matrix.shape[axis]
    if size % block:
        block = size
    return matrix.reshape(*matrix.shape[:axis], size // block, block, *matrix.shape[axis + 1 :])
