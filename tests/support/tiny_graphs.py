"""Four ONNX graphs of a few nodes each, in the shapes of a latent diffusion model.

They draw nothing that one would hang up, but all of it is real arithmetic: another prompt,
seed, guidance or number of steps is another picture.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

CHANNELS = 4
WIDTH = 8
SCALE = 8
TOKENS = 12
#: What ONNX Runtime of every host reads.
OPSET, IR = 18, 9


class Graph:
    """Collects nodes; a call of it adds one and names its output."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self._nodes: list[Any] = []
        self._weights: list[Any] = []

    def __call__(self, kind: str, *inputs: str, outputs: int = 1, **attributes: Any) -> Any:
        names = [f"v{len(self._nodes)}_{at}" for at in range(outputs)]
        self._nodes.append(helper.make_node(kind, list(inputs), names, **attributes))
        return names if outputs > 1 else names[0]

    def const(self, values: Any, dtype: Any = np.float32) -> str:
        name = f"w{len(self._weights)}"
        self._weights.append(numpy_helper.from_array(np.asarray(values, dtype), name))
        return name

    def weights(self, *shape: int, scale: float) -> str:
        return self.const(self._random.normal(0, scale, shape))

    def bytes(self, inputs: dict[str, tuple[str, list[Any]]], outputs: dict[str, Any]) -> bytes:
        """``inputs``: name to type and shape; ``outputs``: name to value, type and shape."""
        for name, (value, _, _) in outputs.items():
            self._nodes.append(helper.make_node("Identity", [value], [name]))
        graph = helper.make_graph(
            self._nodes,
            "tiny",
            [_info(name, *spec) for name, spec in inputs.items()],
            [_info(name, kind, shape) for name, (_, kind, shape) in outputs.items()],
            self._weights,
        )
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR
        )
        onnx.checker.check_model(model, full_check=True)
        return bytes(model.SerializeToString())


def text(vocabulary: int, rows: int, *, two: bool) -> bytes:
    """Ids to context: a table, and where there are two encoders another beside it."""
    g = Graph(1)
    inputs = {"input_ids": ("INT64", [rows, TOKENS])}
    context = g("Gather", g.weights(vocabulary, WIDTH, scale=1.0), "input_ids")
    outputs = {"context": (context, "FLOAT", [rows, TOKENS, WIDTH])}
    if two:
        inputs["input_ids_2"] = ("INT64", [rows, TOKENS])
        other = g("Gather", g.weights(vocabulary, WIDTH, scale=1.0), "input_ids_2")
        both = g("Add", context, other)
        pooled = g("ReduceMean", other, g.const([1], np.int64), keepdims=0)
        outputs = {
            "context": (both, "FLOAT", [rows, TOKENS, WIDTH]),
            "pooled": (pooled, "FLOAT", [rows, WIDTH]),
        }
    return g.bytes(inputs, outputs)


def step(rows: int, *, two: bool, work: int = 0) -> bytes:
    """``work`` products of large matrices make a step take as long as a real one's."""
    g = Graph(2)
    latents = [1, CHANNELS, "h", "w"]
    inputs: dict[str, tuple[str, list[Any]]] = {
        "latents": ("FLOAT", latents),
        "noise": ("FLOAT", latents),
        "context": ("FLOAT", [rows, TOKENS, WIDTH]),
        "timestep": ("FLOAT", [1]),
        "coefficients": ("FLOAT", [6]),
    }
    c = g("Split", "coefficients", outputs=6, num_outputs=6)
    seen = g("Mul", "latents", c[0])
    drawn = g("Conv", seen, g.weights(CHANNELS, CHANNELS, 3, 3, scale=0.3), pads=[1, 1, 1, 1])
    meant = _meant(g, inputs, rows, two=two)
    moment = g("Mul", "timestep", g.const([0.001]))
    if work:
        moment = g("Add", moment, _toil(g, "timestep", work))
    predicted = g("Tanh", g("Add", g("Add", drawn, meant), moment))
    if rows == 2:
        inputs["guidance"] = ("FLOAT", [1])
        away, toward = g("Split", predicted, outputs=2, num_outputs=2, axis=0)
        predicted = g("Add", away, g("Mul", "guidance", g("Sub", toward, away)))
    after = g("Add", g("Mul", "latents", c[1]), g("Mul", predicted, c[2]))
    after = g("Add", after, g("Mul", "noise", c[3]))
    denoised = g("Add", g("Mul", "latents", c[4]), g("Mul", predicted, c[5]))
    outputs = {"next": after, "denoised": denoised}
    return g.bytes(inputs, {name: (of, "FLOAT", latents) for name, of in outputs.items()})


def pixels(*, small: bool) -> bytes:
    """Latents to RGBA: eight pixels along a side of each, or one for a preview."""
    g = Graph(3)
    colour = g("Conv", "latents", g.weights(3, CHANNELS, 1, 1, scale=0.4))
    side: list[Any] = ["h", "w"]
    if not small:
        colour = g("Resize", colour, "", g.const([1, 1, SCALE, SCALE]), mode="linear")
        side = ["H", "W"]
    levels = g("Add", g("Mul", g("Tanh", colour), g.const(127.5)), g.const(127.5))
    one = g("Slice", levels, *(g.const([n], np.int64) for n in (0, 1, 1)))
    alpha = g("Add", g("Mul", one, g.const(0.0)), g.const(255.0))
    rows = g("Transpose", g("Concat", levels, alpha, axis=1), perm=[0, 2, 3, 1])
    rgba = g("Cast", g("Round", g("Squeeze", rows, g.const([0], np.int64))), to=TensorProto.UINT8)
    return g.bytes(
        {"latents": ("FLOAT", [1, CHANNELS, "h", "w"])}, {"rgba": (rgba, "UINT8", [*side, 4])}
    )


def _toil(g: Graph, timestep: str, work: int) -> str:
    matrix = g.weights(256, 256, scale=0.07)
    value = g("Mul", matrix, timestep)
    for _ in range(work):
        value = g("Tanh", g("MatMul", value, matrix))
    mean = g("ReduceMean", value, g.const([0, 1], np.int64), keepdims=0)
    return str(g("Mul", mean, g.const([1e-6])))


def _meant(g: Graph, inputs: dict[str, Any], rows: int, *, two: bool) -> str:
    """What the prompt adds to each channel, [rows, CHANNELS, 1, 1]."""
    mean = g("ReduceMean", "context", g.const([1], np.int64), keepdims=0)
    if two:
        inputs["pooled"] = ("FLOAT", [rows, WIDTH])
        inputs["time_ids"] = ("FLOAT", [rows, 6])
        told = g("MatMul", "time_ids", g.weights(6, WIDTH, scale=0.01))
        mean = g("Add", g("Add", mean, "pooled"), told)
    meant = g("MatMul", mean, g.weights(WIDTH, CHANNELS, scale=1.0))
    return str(g("Unsqueeze", meant, g.const([2, 3], np.int64)))


def _info(name: str, kind: str, shape: list[Any]) -> Any:
    return helper.make_tensor_value_info(name, getattr(TensorProto, kind), shape)
