"""Surgery on the graphs of a latent diffusion model, until only numbers have to be fed.

What a pipeline computes between its networks becomes part of the graphs: guidance and the
sampler's linear step here, the way to pixels in ``pixels``. All floats that go in and
out are float32, and the operators that are added are ones that every backend has.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import onnx
from onnx import compose

from ..surgery import (
    FLOAT,
    INT64,
    Dimension,
    Nodes,
    declare_inputs,
    declare_outputs,
    expect,
    names,
    rename,
    strip,
)

COEFFICIENTS = 6


class Frame(NamedTuple):
    """What shapes a model's graphs have; a height or width that may vary has a name."""

    #: Of the context: negative prompt and prompt, or the prompt alone.
    rows: int
    tokens: int
    channels: int
    height: Dimension = "h"
    width: Dimension = "w"

    @property
    def latents(self) -> tuple[Dimension, ...]:
        return (1, self.channels, self.height, self.width)


def text(encoders: Sequence[onnx.ModelProto], frame: Frame, empty: int | None) -> onnx.ModelProto:
    """Token ids to what the network attends to. One encoder, or SDXL's two.

    ``empty``: the token that ends a text, if the first row must be zero where it has none.
    """
    ids = ["input_ids", "input_ids_2"][: len(encoders)]
    model = encoders[0]
    for number, encoder in enumerate(encoders):
        expect(encoder, {"input_ids"}, {"text_embeds" if number else "last_hidden_state"})
    if len(encoders) == 1:
        rename(model, "last_hidden_state", "context")
        outputs = ["context"]
    else:
        model = _join(encoders)
        outputs = ["context", "pooled"]
    if empty is not None:
        _silence_empty(model, outputs, empty, frame)
    declare_inputs(model, *((name, INT64, (frame.rows, frame.tokens)) for name in ids))
    shapes = {"context": (frame.rows, frame.tokens, None), "pooled": (frame.rows, None)}
    declare_outputs(model, *((name, FLOAT, shapes[name]) for name in outputs))
    strip(model)
    return model


def step(
    unet: onnx.ModelProto, frame: Frame, embedded_guidance: np.ndarray | None = None
) -> onnx.ModelProto:
    """One call of the network and one step of the sampler.

    ``embedded_guidance`` is what a network that was distilled with guidance is told of it.
    """
    extra = {"text_embeds", "time_ids"} & names(unet.graph.input)
    needed = {"sample", "timestep", "encoder_hidden_states", *extra}
    told = {"timestep_cond"} if embedded_guidance is not None else set()
    expect(unet, needed | told, {"out_sample"})
    context = _last_dimension(unet, "encoder_hidden_states")
    inputs: list[tuple[str, int, Sequence[Dimension]]] = [
        ("latents", FLOAT, frame.latents),
        ("noise", FLOAT, frame.latents),
        ("context", FLOAT, (frame.rows, frame.tokens, context)),
        ("timestep", FLOAT, (1,)),
        ("coefficients", FLOAT, (COEFFICIENTS,)),
    ]
    if frame.rows == 2:
        inputs.append(("guidance", FLOAT, (1,)))
    if extra:
        inputs.append(("pooled", FLOAT, (frame.rows, _last_dimension(unet, "text_embeds"))))
        inputs.append(("time_ids", FLOAT, (frame.rows, 6)))
    rename(unet, "encoder_hidden_states", "context")
    rename(unet, "text_embeds", "pooled")
    rename(unet, "timestep", "grid.timestep")
    _before(unet, frame, embedded_guidance)
    _after(unet, frame)
    declare_inputs(unet, *inputs)
    declare_outputs(unet, ("next", FLOAT, frame.latents), ("denoised", FLOAT, frame.latents))
    strip(unet)
    return unet


def guidance_embedding(guidance: float, width: int) -> np.ndarray:
    """Sines and cosines of a guidance scale, as latent consistency models are told of it."""
    half = width // 2
    rates = np.exp(np.arange(half) * -(math.log(10000.0) / (half - 1)))
    angles = (guidance - 1.0) * 1000.0 * rates
    row = np.concatenate([np.sin(angles), np.cos(angles), np.zeros(width % 2)])
    return row[None].astype(np.float32)


def _join(encoders: Sequence[onnx.ModelProto]) -> onnx.ModelProto:
    """SDXL's: both states before the last layer side by side, and the second's pooled one."""
    first, second = (
        compose.add_prefix(encoder, f"grid.{number}.") for number, encoder in enumerate(encoders)
    )
    states = []
    for number, encoder in enumerate(encoders):
        layers = [name for name in names(encoder.graph.output) if name.startswith("hidden_states.")]
        states.append(f"grid.{number}.hidden_states.{len(layers) - 2}")
    first.graph.node.extend(second.graph.node)
    first.graph.initializer.extend(second.graph.initializer)
    rename(first, "grid.0.input_ids", "input_ids")
    rename(first, "grid.1.input_ids", "input_ids_2")
    rename(first, "grid.1.text_embeds", "pooled")
    Nodes(first)("Concat", states, "context", axis=-1)
    return first


def _silence_empty(model: onnx.ModelProto, outputs: list[str], end: int, frame: Frame) -> None:
    """Multiply the first row by zero where its text ends at once."""
    nodes = Nodes(model)
    nodes.constant("grid.second", 1, np.int64)
    nodes.constant("grid.end", end, np.int64)
    nodes.constant("grid.first", [1.0] + [0.0] * (frame.rows - 1))
    nodes.constant("grid.one", 1.0)
    nodes("Gather", ["input_ids", "grid.second"], "grid.opening", axis=1)
    nodes("Equal", ["grid.opening", "grid.end"], "grid.is_empty")
    nodes("Cast", ["grid.is_empty"], "grid.empty", to=FLOAT)
    nodes("Mul", ["grid.empty", "grid.first"], "grid.silent")
    nodes("Sub", ["grid.one", "grid.silent"], "grid.loud")
    for output, rank in zip(outputs, (3, 2), strict=False):
        rename(model, output, f"grid.{output}")
        nodes.constant(f"grid.{output}.axes", range(1, rank), np.int64)
        nodes("Unsqueeze", ["grid.loud", f"grid.{output}.axes"], f"grid.{output}.loud")
        nodes("Mul", [f"grid.{output}", f"grid.{output}.loud"], output)


def _before(unet: onnx.ModelProto, frame: Frame, embedded_guidance: np.ndarray | None) -> None:
    front = Nodes(unet, front=True)
    front.split("Split", ["coefficients"], [f"grid.c{n}" for n in range(6)], num_outputs=6)
    front.constant("grid.scalar", [], np.int64)
    front("Reshape", ["timestep", "grid.scalar"], "grid.timestep")
    if embedded_guidance is not None:
        front.constant("timestep_cond", np.repeat(embedded_guidance, frame.rows, 0))
    if frame.rows == 1:
        front("Mul", ["latents", "grid.c0"], "sample")
    else:
        front("Mul", ["latents", "grid.c0"], "grid.seen")
        front("Concat", ["grid.seen"] * frame.rows, "sample", axis=0)


def _after(unet: onnx.ModelProto, frame: Frame) -> None:
    nodes = Nodes(unet)
    if frame.rows == 1:
        rename(unet, "out_sample", "grid.m")
    else:
        nodes.split("Split", ["out_sample"], ["grid.without", "grid.with"], axis=0, num_outputs=2)
        nodes("Sub", ["grid.with", "grid.without"], "grid.towards")
        nodes("Mul", ["grid.towards", "guidance"], "grid.guided")
        nodes("Add", ["grid.without", "grid.guided"], "grid.m")
    for name, of_latents, of_output in (("after", 1, 2), ("denoised", 4, 5)):
        nodes("Mul", ["latents", f"grid.c{of_latents}"], f"grid.{name}.x")
        nodes("Mul", ["grid.m", f"grid.c{of_output}"], f"grid.{name}.m")
        nodes("Add", [f"grid.{name}.x", f"grid.{name}.m"], f"grid.{name}")
    nodes("Mul", ["noise", "grid.c3"], "grid.noise")
    nodes("Add", ["grid.after", "grid.noise"], "next")
    rename(unet, "grid.denoised", "denoised")


def _last_dimension(model: onnx.ModelProto, name: str) -> int | None:
    (value,) = (value for value in model.graph.input if value.name == name)
    return value.type.tensor_type.shape.dim[-1].dim_value or None
