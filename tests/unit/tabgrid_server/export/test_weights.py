"""Weights of 8 and 4 bits that become float32 again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper

from tabgrid_server.export import shards, weights
from tests.support.gather import MATRIX, ROWS, TABLE, model

RANDOM = np.random.default_rng(8)


def run(path: Path, feeds: dict[str, np.ndarray]) -> tuple[list[np.ndarray], set[str]]:
    """Its answers, and the operators that are left after ONNX Runtime's optimisation."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(path.with_suffix(".optimised.onnx"))
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    answers = session.run(None, feeds)
    left = onnx.load(options.optimized_model_filepath, load_external_data=False)
    return answers, {node.op_type for node in left.graph.node}


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("block", [16, 32, 48])
def test_blocks_keep_every_value_within_half_a_step(axis: int, block: int) -> None:
    values, scales = weights.to_blocks(MATRIX, axis, block)
    assert values.dtype == np.int8
    again = (values.astype(np.float32) * scales).reshape(MATRIX.shape)
    steps = np.broadcast_to(scales / 2, values.shape).reshape(MATRIX.shape)
    assert (np.abs(again - MATRIX) <= steps * 1.001).all()


def test_a_block_of_zeros_stays_zero() -> None:
    values, scales = weights.to_blocks(np.zeros((64, 64), np.float32), 0, 32)
    assert not values.any()
    assert np.isfinite(scales).all()


def test_a_quantised_graph_answers_nearly_the_same_at_a_quarter(tmp_path: Path) -> None:
    quantised = model()
    assert weights.quantise(quantised) == 2
    onnx.checker.check_model(quantised)
    assert quantised.ByteSize() < model().ByteSize() / 3
    (path,) = shards.save(quantised, tmp_path, "small")
    (answer,), operators = run(path, {"ids": np.arange(ROWS)})
    wanted = TABLE @ MATRIX
    assert np.linalg.norm(answer - wanted) < 0.02 * np.linalg.norm(wanted)
    # All that is left to run is the float32 graph: the rest was folded on loading.
    assert operators == {"Gather", "MatMul"}


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("block", [16, 32, 48])
def test_nibbles_keep_the_largest_value_and_every_other_within_a_step(
    axis: int, block: int
) -> None:
    values, scales = weights.to_nibbles(MATRIX, axis, block)
    assert values.dtype == np.uint8
    assert values.max() <= 15
    again = ((values.astype(np.float32) - 8) * scales).reshape(MATRIX.shape)
    steps = np.broadcast_to(np.abs(scales), values.shape).reshape(MATRIX.shape)
    # Half a step, but a whole one on the side of zero that has a level less.
    assert (np.abs(again - MATRIX) <= steps * 1.001).all()
    largest = np.abs(MATRIX).argmax()
    assert again.flat[largest] == pytest.approx(MATRIX.flat[largest], rel=1e-6)


CONVOLUTION = RANDOM.normal(size=(16, 32, 3, 3)).astype(np.float32)
#: An odd number of values: the last byte is half empty.
ODD = RANDOM.normal(size=(15, 17)).astype(np.float32)


def layers() -> onnx.ModelProto:
    """A convolution, and products with one matrix both ways."""
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["planes", "kernel"], ["convolved"]),
            helper.make_node("Gemm", ["rows", "odd"], ["one"], transB=1),
            helper.make_node("Gemm", ["one", "even"], ["two"]),
        ],
        "test",
        [
            helper.make_tensor_value_info("planes", onnx.TensorProto.FLOAT, [1, 32, 8, 8]),
            helper.make_tensor_value_info("rows", onnx.TensorProto.FLOAT, [3, 17]),
        ],
        [
            helper.make_tensor_value_info("convolved", onnx.TensorProto.FLOAT, [1, 16, 6, 6]),
            helper.make_tensor_value_info("two", onnx.TensorProto.FLOAT, [3, 17]),
        ],
        [
            numpy_helper.from_array(CONVOLUTION, "kernel"),
            numpy_helper.from_array(ODD, "odd"),
            numpy_helper.from_array(ODD.copy(), "even"),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


@pytest.mark.parametrize(("bits", "near"), [(8, 0.01), (4, 0.15)])
def test_convolutions_and_biased_products_too(tmp_path: Path, bits: int, near: float) -> None:
    feeds = {
        "planes": RANDOM.normal(size=(1, 32, 8, 8)).astype(np.float32),
        "rows": RANDOM.normal(size=(3, 17)).astype(np.float32),
    }
    small = layers()
    assert weights.quantise(small, bits=bits, least=1) == 3
    answers = []
    for name, each in (("whole", layers()), ("small", small)):
        (path,) = shards.save(each, tmp_path, name)
        answers.append(run(path, feeds))
    for whole, other in zip(answers[0][0], answers[1][0], strict=True):
        assert 0 < np.linalg.norm(whole - other) < near * np.linalg.norm(whole)
    # Four bits are unpacked when the session opens, not each time it runs.
    assert answers[1][1] == answers[0][1]
