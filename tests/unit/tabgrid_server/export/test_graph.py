"""Surgery on a tiny encoder: what goes in, what comes out, and that padding is silent."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper

from tabgrid_server.export import ExportError, graph

WORDS = np.random.default_rng(3).normal(size=(20, 8)).astype(np.float32)
TYPES = np.random.default_rng(4).normal(size=(2, 8)).astype(np.float32)


def encoder(*more_inputs: str) -> onnx.ModelProto:
    """Each token's vector is its word's and its type's, added."""
    names = ["input_ids", "attention_mask", "token_type_ids", *more_inputs]
    tables = {"words": WORDS, "types": TYPES}
    made = helper.make_graph(
        [
            helper.make_node("Gather", ["words", "input_ids"], ["word"]),
            helper.make_node("Gather", ["types", "token_type_ids"], ["kind"]),
            helper.make_node("Add", ["word", "kind"], ["hidden"], doc_string="/home/somebody"),
        ],
        "encoder",
        [helper.make_tensor_value_info(n, onnx.TensorProto.INT64, ["b", "t"]) for n in names],
        [helper.make_tensor_value_info("hidden", onnx.TensorProto.FLOAT, ["b", "t", 8])],
        [numpy_helper.from_array(array, name) for name, array in tables.items()],
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def run(model: onnx.ModelProto, ids: list[list[int]], mask: list[list[int]]) -> np.ndarray:
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    feeds = {"input_ids": np.array(ids), "attention_mask": np.array(mask)}
    answer: np.ndarray = session.run(["embeddings"], feeds)[0]
    return answer


def unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_a_text_becomes_one_unit_vector(pooling: graph.Pooling) -> None:
    model = encoder()
    graph.finish(model, pooling, 8)
    assert [value.name for value in model.graph.input] == ["input_ids", "attention_mask"]
    answer = run(model, [[3, 5, 0], [7, 0, 0]], [[1, 1, 0], [1, 0, 0]])
    tokens = WORDS + TYPES[0]
    first = tokens[[3, 5]].mean(0) if pooling == "mean" else tokens[3]
    assert np.allclose(answer, [unit(first), unit(tokens[7])], atol=1e-6)


def test_a_row_of_nothing_is_no_nan() -> None:
    model = encoder()
    graph.finish(model, "mean", 8)
    assert not run(model, [[0, 0]], [[0, 0]]).any()


def test_nothing_of_the_exporting_machine_stays() -> None:
    model = encoder()
    graph.finish(model, "mean", 8)
    assert b"/home" not in model.SerializeToString()


def test_an_input_that_nobody_will_feed_is_refused() -> None:
    with pytest.raises(ExportError, match="pixel_values"):
        graph.finish(encoder("pixel_values"), "mean", 8)


def test_only_the_operators_that_every_backend_has_are_added() -> None:
    model = encoder()
    before = len(model.graph.node) - 1
    graph.finish(model, "mean", 8)
    added = {node.op_type for node in list(model.graph.node)[before:]}
    assert added <= {"Cast", "Unsqueeze", "Mul", "ReduceSum", "Sqrt", "Clip", "Div"}
