"""Surgery on an exported encoder: texts' token ids in, unit vectors out.

What a program would do after the model is made part of the graph here, with operators that
every backend has (Mul, ReduceSum, Sqrt, Clip, Div), so that no data leaves the device.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import onnx
from onnx import numpy_helper

from . import ExportError
from .surgery import FLOAT, Nodes, declare_outputs, strip

Pooling = Literal["mean", "cls"]


def finish(model: onnx.ModelProto, pooling: Pooling, dimensions: int) -> None:
    """Turn an encoder with ``last_hidden_state`` into the graph that connectors run.

    Inputs become ``input_ids`` and ``attention_mask`` (int64, texts x tokens), the output
    ``embeddings`` (float32, texts x ``dimensions``, rows of length 1).
    """
    drop_token_types(model)
    names = {value.name for value in model.graph.input}
    if names != {"input_ids", "attention_mask"}:
        raise ExportError(f"The graph takes {', '.join(sorted(names))}; this is not supported.")
    _pool(model, pooling, dimensions)
    strip(model)
    onnx.checker.check_model(model)


def drop_token_types(model: onnx.ModelProto) -> None:
    """Single texts are all of type 0: put that row of the table where the lookup was."""
    graph = model.graph
    given = [value for value in graph.input if value.name == "token_type_ids"]
    if not given:
        return
    tables = {tensor.name: tensor for tensor in graph.initializer}
    for node in [node for node in graph.node if "token_type_ids" in node.input]:
        if node.op_type != "Gather" or node.input[0] not in tables:
            raise ExportError(f"{node.op_type} reads token_type_ids; this is not supported.")
        table = tables[node.input[0]]
        row = numpy_helper.to_array(table)[0].copy()
        graph.initializer.append(numpy_helper.from_array(row, node.output[0]))
        graph.initializer.remove(table)
        graph.node.remove(node)
    graph.input.remove(given[0])


def _pool(model: onnx.ModelProto, pooling: Pooling, dimensions: int) -> None:
    hidden = model.graph.output[0].name
    nodes = Nodes(model)
    nodes.constant("pool.tokens", [1], np.int64)
    if pooling == "mean":
        # The mean and the sum have the same direction, and only that is kept.
        nodes.constant("pool.last", [2], np.int64)
        nodes("Cast", ["attention_mask"], "pool.mask", to=FLOAT)
        nodes("Unsqueeze", ["pool.mask", "pool.last"], "pool.column")
        nodes("Mul", [hidden, "pool.column"], "pool.kept")
        nodes("ReduceSum", ["pool.kept", "pool.tokens"], "pool.vector", keepdims=0)
    else:
        nodes.constant("pool.first", 0, np.int64)
        nodes("Gather", [hidden, "pool.first"], "pool.vector", axis=1)
    nodes.constant("pool.least", 1e-12)
    nodes("Mul", ["pool.vector", "pool.vector"], "pool.squares")
    nodes("ReduceSum", ["pool.squares", "pool.tokens"], "pool.square", keepdims=1)
    nodes("Sqrt", ["pool.square"], "pool.length")
    nodes("Clip", ["pool.length", "pool.least"], "pool.divisor")
    nodes("Div", ["pool.vector", "pool.divisor"], "embeddings")
    declare_outputs(model, ("embeddings", FLOAT, ("texts", dimensions)))
