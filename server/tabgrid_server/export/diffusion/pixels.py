"""Surgery on the way from latents to pixels: the decoder's, and a short one for previews."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import helper

from ..surgery import FLOAT, UINT8, Dimension, Nodes, declare_inputs, declare_outputs, expect, strip
from .graphs import Frame


def decode(
    decoder: onnx.ModelProto,
    frame: Frame,
    downscale: int,
    scale: Sequence[float],
    shift: Sequence[float],
) -> onnx.ModelProto:
    """Latents to pixels. ``scale`` and ``shift``: per channel, what the decoder is shown."""
    expect(decoder, {"latent_sample"}, {"sample"})
    front = Nodes(decoder, front=True)
    column = (1, frame.channels, 1, 1)
    front.constant("grid.scale", np.reshape(scale, column))
    front.constant("grid.shift", np.reshape(shift, column))
    front("Mul", ["latents", "grid.scale"], "grid.scaled")
    front("Add", ["grid.scaled", "grid.shift"], "latent_sample")
    # A picture is -1 to 1; alpha has no share of it.
    _pixels(decoder, "sample", 127.5 * np.eye(3), np.full(3, 127.5))
    declare_inputs(decoder, ("latents", FLOAT, frame.latents))
    declare_outputs(decoder, ("rgba", UINT8, _picture(frame, downscale)))
    strip(decoder)
    return decoder


def preview(weights: np.ndarray, offsets: np.ndarray, frame: Frame, opset: int) -> onnx.ModelProto:
    """Latents to a pixel each: levels are ``weights`` (3, channels) @ latent + ``offsets``."""
    graph = helper.make_graph([], "preview", [], [])
    version = helper.make_opsetid("", opset)
    model = helper.make_model(graph, opset_imports=[version], ir_version=8)
    _pixels(model, "latents", weights, offsets)
    declare_inputs(model, ("latents", FLOAT, frame.latents))
    declare_outputs(model, ("rgba", UINT8, _picture(frame, 1)))
    strip(model)
    return model


def _pixels(model: onnx.ModelProto, planes: str, weights: np.ndarray, offsets: np.ndarray) -> None:
    """``rgba`` (height, width, 4) of planes (1, channels, height, width); alpha is 255."""
    nodes = Nodes(model)
    # One convolution mixes the colours and adds the plane of alpha.
    nodes.constant("grid.mix", np.pad(weights, ((0, 1), (0, 0)))[:, :, None, None])
    nodes.constant("grid.offsets", [*offsets, 255.0])
    nodes.constant("grid.black", 0.0)
    nodes.constant("grid.white", 255.0)
    nodes.constant("grid.batch", [0], np.int64)
    nodes("Conv", [planes, "grid.mix", "grid.offsets"], "grid.levels", kernel_shape=[1, 1])
    nodes("Clip", ["grid.levels", "grid.black", "grid.white"], "grid.clipped")
    nodes("Transpose", ["grid.clipped"], "grid.rows", perm=[0, 2, 3, 1])
    nodes("Squeeze", ["grid.rows", "grid.batch"], "grid.picture")
    # Halves go to the even level, as in numpy and in diffusers' own conversion.
    nodes("Round", ["grid.picture"], "grid.rounded")
    nodes("Cast", ["grid.rounded"], "rgba", to=UINT8)


def _picture(frame: Frame, factor: int) -> tuple[Dimension, ...]:
    sides = (frame.height, frame.width)
    scaled = [side * factor if isinstance(side, int) else None for side in sides]
    return (*scaled, 4)
