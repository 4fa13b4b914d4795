"""8-bit weights that become float32 again, and files that a tab can take."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper

from tabgrid_server.export import ExportError, weights

ROWS, COLUMNS = 256, 128
RANDOM = np.random.default_rng(7)
TABLE = RANDOM.normal(size=(ROWS, COLUMNS)).astype(np.float32)
MATRIX = RANDOM.normal(size=(COLUMNS, ROWS)).astype(np.float32)


def model() -> onnx.ModelProto:
    """A row of a table, times a matrix."""
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


def run(path: Path, level: str = "") -> tuple[np.ndarray, set[str]]:
    """Its answer, and the operators that are left after ONNX Runtime's optimisation."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(path.with_suffix(".optimised.onnx"))
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    (answer,) = session.run(None, {"ids": np.arange(ROWS)})
    left = onnx.load(options.optimized_model_filepath, load_external_data=False)
    return answer, {node.op_type for node in left.graph.node}


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
    (path,) = weights.save(quantised, tmp_path, "small")
    answer, operators = run(path)
    wanted = TABLE @ MATRIX
    assert np.linalg.norm(answer - wanted) < 0.02 * np.linalg.norm(wanted)
    # All that is left to run is the float32 graph: the rest was folded on loading.
    assert operators == {"Gather", "MatMul"}


def test_large_models_are_sharded_and_still_run(tmp_path: Path) -> None:
    limit = TABLE.nbytes + 2048
    files = weights.save(model(), tmp_path, "big", limit=limit)
    assert [file.name for file in files] == ["big.onnx", "big-00001.bin", "big-00002.bin"]
    assert all(file.stat().st_size <= limit for file in files)
    answer, _ = run(files[0])
    assert np.allclose(answer, TABLE @ MATRIX, atol=1e-4)


def test_a_tensor_larger_than_a_shard_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="table alone has"):
        weights.save(model(), tmp_path, "big", limit=TABLE.nbytes - 1)
