"""Other models in the same files: what a cheat would run in place of the one it is paid for."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from tabgrid_models.manifest import Manifest, Variant

from ..export import surgery, weights
from ..export.diffusion import half
from ..export.native import NativeRuntime

#: Changes a graph in place; False where there is nothing in it to change.
Change = Callable[[onnx.ModelProto], bool]
#: Tensors with fewer values are scales, biases and tables of numbers that shapes need.
LEAST_VALUES = 64
SEED = 11
#: How exporters name what a layer of a transformer computes.
LAYER = re.compile(r"(?:^|/)layers?[./](\d+)/")


def load(
    manifest: Manifest, variant: Variant, files: Path, scratch: Path, change: Change
) -> NativeRuntime | None:
    """The variant with every graph changed; None where no graph could be.

    ``files`` holds the manifest's files. ``scratch`` is an empty folder.
    """
    changed = False
    for path in variant.graphs.values():
        model = onnx.load(files / path)
        changed = change(model) or changed
        (scratch / path).parent.mkdir(parents=True, exist_ok=True)
        onnx.save(model, scratch / path)
    if not changed:
        return None
    tokenizer = manifest.config.get("tokenizer")
    if tokenizer:
        (scratch / tokenizer).write_bytes((files / tokenizer).read_bytes())
    return NativeRuntime(manifest, variant, scratch)


def reshuffle(model: onnx.ModelProto) -> bool:
    """Every weight elsewhere in its tensor: as large, and learnt nothing."""
    random = np.random.default_rng(SEED)
    found = list(_weights(model))
    for tensor in found:
        values = numpy_helper.to_array(tensor)
        moved = random.permutation(values.reshape(-1)).reshape(values.shape)
        tensor.CopyFrom(numpy_helper.from_array(moved, tensor.name))
    return bool(found)


def fewer_bits(model: onnx.ModelProto) -> bool:
    """Weights of four bits by the exporter's own quantiser, whatever they were before."""
    widen(model)
    return weights.quantise(model, bits=4, least=LEAST_VALUES) > 0


def halve(model: onnx.ModelProto) -> bool:
    """Arithmetic in sixteen bits: twice as fast on many graphics cards."""
    widen(model)
    if any(tensor.data_type == half.HALF for tensor in model.graph.initializer):
        return False
    half.convert(model)
    for node in model.graph.node:
        node.name = ""  # the converter's own may be taken in a graph that is finished already
    return True


def drop_last_layer(model: onnx.ModelProto) -> bool:
    """Whoever reads the last layer of a transformer reads the one before it."""
    layers = _layers(model.graph)
    if len(layers) < 2:
        return False
    before, last = (layers[number] for number in sorted(layers)[-2:])
    into = [name for node in last for name in node.input if name in _made_by(before)]
    out = _made_by(last)
    outside = [node for node in model.graph.node if node not in last]
    read = [name for node in outside for name in node.input if name in out]
    if len(set(into)) != 1 or len(set(read)) != 1:
        return False
    for node in outside:
        for at, name in enumerate(node.input):
            if name == read[0]:
                node.input[at] = into[0]
    surgery.prune(model)
    return True


def widen(model: onnx.ModelProto) -> None:
    """Weights of few bits as float32, as every runtime makes them when it opens the graph."""
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    packed = [name.removesuffix(".values") for name in constants if name.endswith(".values")]
    made = {output: node for node in model.graph.node for output in node.output}
    for name in packed:
        if name not in made or f"{name}.scales" not in constants:
            continue
        tensor = numpy_helper.from_array(_unpacked(name, constants), name)
        model.graph.node.remove(made[name])
        model.graph.initializer.append(tensor)
    surgery.prune(model)


def _unpacked(name: str, constants: dict[str, onnx.TensorProto]) -> np.ndarray:
    def of(part: str) -> np.ndarray:
        return numpy_helper.to_array(constants[f"{name}.{part}"])

    values = of("values")
    if f"{name}.blocks" in constants:  # two in a byte: see export/weights.py
        shape = tuple(of("blocks"))
        both = np.concatenate([values & 15, values >> 4])[: int(np.prod(shape))]
        values = both.reshape(shape).astype(np.float32) - weights.MIDDLE
    scaled: np.ndarray = values.astype(np.float32) * of("scales")
    return scaled.reshape(tuple(of("shape")))


def _weights(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    kinds = {surgery.FLOAT, half.HALF, onnx.TensorProto.INT8, surgery.UINT8}
    for tensor in model.graph.initializer:
        if tensor.data_type in kinds and np.prod(tensor.dims, dtype=np.int64) >= LEAST_VALUES:
            yield tensor


def _layers(graph: onnx.GraphProto) -> dict[int, list[onnx.NodeProto]]:
    found: dict[int, list[onnx.NodeProto]] = {}
    for node in graph.node:
        if match := LAYER.search(node.name):
            found.setdefault(int(match[1]), []).append(node)
    return found


def _made_by(nodes: list[onnx.NodeProto]) -> set[str]:
    return {name for node in nodes for name in node.output}
