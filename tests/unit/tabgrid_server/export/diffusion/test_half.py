"""Half precision: weights halve, numbers stay near, and what must keep its bits keeps them."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper

from tabgrid_server.export import ExportError
from tabgrid_server.export.diffusion import half

RANDOM = np.random.default_rng(9)
MATRIX = RANDOM.normal(size=(64, 64)).astype(np.float32)
FLOAT, HALF = onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16


def model() -> onnx.ModelProto:
    """The sine of an angle that half precision cannot hold, times a matrix, normalised."""
    nodes = [
        helper.make_node("Mul", ["time", "rates"], ["angles"], "/time_proj/Mul"),
        helper.make_node("Sin", ["angles"], ["sines"], "/time_proj/Sin"),
        helper.make_node("Add", ["x", "sines"], ["sum"], "/Add"),
        helper.make_node("MatMul", ["sum", "matrix"], ["product"], "/MatMul"),
        helper.make_node("Add", ["product", "mask"], ["masked"], "/Mask"),
        helper.make_node("Softmax", ["masked"], ["y"], "/Softmax"),
        helper.make_node("Shape", ["x"], ["shape"], "/Shape"),
        helper.make_node("Reshape", ["product", "shape"], ["z"], "/Reshape"),
    ]
    mask = np.zeros(64, np.float32)
    mask[1::2] = np.finfo(np.float32).min
    constants = {"rates": np.linspace(0.5, 1, 64, dtype=np.float32), "matrix": MATRIX, "mask": mask}
    graph = helper.make_graph(
        nodes,
        "test",
        [
            helper.make_tensor_value_info("time", FLOAT, [1]),
            helper.make_tensor_value_info("x", FLOAT, ["n", 64]),
        ],
        [helper.make_tensor_value_info(name, FLOAT, ["n", 64]) for name in ("y", "z")],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def run(made: onnx.ModelProto) -> list[np.ndarray]:
    onnx.checker.check_model(made, full_check=True)
    session = onnxruntime.InferenceSession(
        made.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    feeds = {
        "time": np.array([999.0], np.float32),
        "x": np.random.default_rng(1).normal(size=(3, 64)).astype(np.float32) / 8,
    }
    answers: list[np.ndarray] = session.run(None, feeds)
    return answers


def test_the_answers_are_near_and_float32() -> None:
    made = model()
    half.convert(made)
    for whole, other in zip(run(model()), run(made), strict=True):
        assert other.dtype == np.float32
        assert 0 < np.linalg.norm(whole - other) < 5e-3 * np.linalg.norm(whole)


def test_products_are_half_and_angles_are_not() -> None:
    made = model()
    half.convert(made)
    types = {tensor.name: tensor.data_type for tensor in made.graph.initializer}
    assert types == {"rates": FLOAT, "matrix.half": HALF, "mask.half": HALF}
    # The least float32 has no half: it becomes the least half, not minus infinity.
    (mask,) = (t for t in made.graph.initializer if t.name == "mask.half")
    assert np.isfinite(numpy_helper.to_array(mask)).all()


def test_control_flow_is_refused() -> None:
    made = model()
    branch = helper.make_graph([], "branch", [], [])
    made.graph.node.append(
        helper.make_node("If", ["x"], ["w"], then_branch=branch, else_branch=branch)
    )
    with pytest.raises(ExportError, match="If"):
        half.convert(made)
