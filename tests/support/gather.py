"""A graph of two weights: a row of a table, times a matrix."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper

ROWS, COLUMNS = 256, 128
_RANDOM = np.random.default_rng(7)
TABLE = _RANDOM.normal(size=(ROWS, COLUMNS)).astype(np.float32)
MATRIX = _RANDOM.normal(size=(COLUMNS, ROWS)).astype(np.float32)


def model() -> onnx.ModelProto:
    graph = helper.make_graph(
        [
            helper.make_node("Gather", ["table", "ids"], ["rows"]),
            helper.make_node("MatMul", ["rows", "matrix"], ["products"]),
        ],
        "test",
        [helper.make_tensor_value_info("ids", onnx.TensorProto.INT64, ["n"])],
        [helper.make_tensor_value_info("products", onnx.TensorProto.FLOAT, ["n", ROWS])],
        [numpy_helper.from_array(TABLE, "table"), numpy_helper.from_array(MATRIX, "matrix")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
