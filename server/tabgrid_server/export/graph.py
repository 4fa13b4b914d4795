"""Surgery on an exported encoder: texts' token ids in, unit vectors out.

What a program would do after the model is made part of the graph here, with operators that
every backend has (Mul, ReduceSum, Sqrt, Clip, Div), so that no data leaves the device.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import onnx
from onnx import helper, numpy_helper

from . import ExportError

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


def strip(model: onnx.ModelProto) -> None:
    """Remove what tells of the machine that exported it, and what no runtime reads."""
    model.doc_string = model.graph.doc_string = ""
    del model.metadata_props[:]
    del model.graph.value_info[:]
    for node in model.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]


def _pool(model: onnx.ModelProto, pooling: Pooling, dimensions: int) -> None:
    graph = model.graph
    hidden = graph.output[0].name
    _constant(model, "pool.tokens", np.array([1], np.int64))
    if pooling == "mean":
        # The mean and the sum have the same direction, and only that is kept.
        _constant(model, "pool.last", np.array([2], np.int64))
        _node(model, "Cast", ["attention_mask"], "pool.mask", to=onnx.TensorProto.FLOAT)
        _node(model, "Unsqueeze", ["pool.mask", "pool.last"], "pool.column")
        _node(model, "Mul", [hidden, "pool.column"], "pool.kept")
        _node(model, "ReduceSum", ["pool.kept", "pool.tokens"], "pool.vector", keepdims=0)
    else:
        _constant(model, "pool.first", np.array(0, np.int64))
        _node(model, "Gather", [hidden, "pool.first"], "pool.vector", axis=1)
    _constant(model, "pool.least", np.array(1e-12, np.float32))
    _node(model, "Mul", ["pool.vector", "pool.vector"], "pool.squares")
    _node(model, "ReduceSum", ["pool.squares", "pool.tokens"], "pool.square", keepdims=1)
    _node(model, "Sqrt", ["pool.square"], "pool.length")
    _node(model, "Clip", ["pool.length", "pool.least"], "pool.divisor")
    _node(model, "Div", ["pool.vector", "pool.divisor"], "embeddings")
    del graph.output[:]
    shape: list[str | int | None] = ["texts", dimensions]
    graph.output.append(helper.make_tensor_value_info("embeddings", onnx.TensorProto.FLOAT, shape))


def _constant(model: onnx.ModelProto, name: str, value: np.ndarray) -> None:
    model.graph.initializer.append(numpy_helper.from_array(value, name))


def _node(
    model: onnx.ModelProto, operator: str, inputs: list[str], output: str, **attributes: Any
) -> None:
    model.graph.node.append(helper.make_node(operator, inputs, [output], output, **attributes))
