"""Half precision where it is safe: the tensors between nodes become float16, or stay.

Inputs and outputs of the graph stay float32. onnxruntime's own converter would do the same;
it wants value types of the whole model with its weights, which protobuf's limit of 2 GB
forbids for the networks that need half precision most.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import onnx
from onnx import helper, numpy_helper

from .. import ExportError
from ..surgery import FLOAT, names

HALF = onnx.TensorProto.FLOAT16
LARGEST = float(np.finfo(np.float16).max)

#: Sums of many squares, exponentials, and angles of up to 1,000 radians: 11 bits of fraction
#: are too few for them, or 65,504 is.
KEPT = frozenset(
    {
        "Cos",
        "Exp",
        "GroupNormalization",
        "InstanceNormalization",
        "LayerNormalization",
        "Pow",
        "ReduceMean",
        "ReduceSum",
        "Sin",
        "Softmax",
        "Sqrt",
    }
)
#: In the name of a node: what leads from a time step, or a size in pixels, to its angles.
KEPT_PLACES = ("time_proj",)
#: Inputs that are float32 by definition.
ALWAYS_FLOAT = {"Resize": (1, 2)}
#: Values this small (most are shapes) are looked at by type inference, others only typed.
LITTLE = 64


def convert(model: onnx.ModelProto) -> None:
    """Change the graph in place. Raises ``ExportError`` for control flow."""
    for node in model.graph.node:
        if any(attribute.HasField("g") for attribute in node.attribute):
            raise ExportError(f"A graph with {node.op_type} in it has no fp16 variant.")
    _constants_to_initializers(model.graph)
    _Conversion(model).run()


class _Conversion:
    """One graph on its way. Each float tensor has a home type, and a twin where needed."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._graph = model.graph
        self._floats = _float_tensors(model)
        self._weights = {tensor.name: tensor for tensor in self._graph.initializer}
        self._home = dict.fromkeys(names(self._graph.input) & self._floats, FLOAT)
        self._outputs = names(self._graph.output)
        self._twins: dict[tuple[str, int], str] = {}
        self._nodes: list[onnx.NodeProto] = []

    def run(self) -> None:
        for node in list(self._graph.node):
            self._convert(node)
        # A weight that no node took in float32 was read through its twin only.
        read = {name for node in self._nodes for name in node.input}
        for index in reversed(range(len(self._graph.initializer))):
            if self._graph.initializer[index].name not in read:
                del self._graph.initializer[index]
        del self._graph.node[:]
        self._graph.node.extend(self._nodes)

    def _convert(self, node: onnx.NodeProto) -> None:
        kept = node.op_type in KEPT or any(place in node.name for place in KEPT_PLACES)
        kind = FLOAT if kept else HALF
        for index, name in enumerate(node.input):
            if name in self._floats:
                always = index in ALWAYS_FLOAT.get(node.op_type, ())
                node.input[index] = self._as(name, FLOAT if always else kind)
        if not kept:
            _halve_attributes(node)
        self._nodes.append(node)
        for index, name in enumerate(node.output):
            if name not in self._floats:
                continue
            self._home[name] = kind
            if name in self._outputs and kind == HALF:
                node.output[index] = self._twins[name, HALF] = f"{name}.half"
                cast = helper.make_node("Cast", [f"{name}.half"], [name], name, to=FLOAT)
                self._nodes.append(cast)
                self._home[name] = FLOAT

    def _as(self, name: str, kind: int) -> str:
        """The tensor in that type, under whatever name it then has."""
        if kind == self._home.get(name, FLOAT):
            return name
        if (name, kind) not in self._twins:
            twin = f"{name}.half" if kind == HALF else f"{name}.full"
            self._twins[name, kind] = twin
            if name in self._weights:
                values = numpy_helper.to_array(self._weights[name]).clip(-LARGEST, LARGEST)
                half = numpy_helper.from_array(values.astype(np.float16), twin)
                self._graph.initializer.append(half)
            else:
                self._nodes.append(helper.make_node("Cast", [name], [twin], twin, to=kind))
        return self._twins[name, kind]


def _halve_attributes(node: onnx.NodeProto) -> None:
    for attribute in node.attribute:
        if node.op_type == "Cast" and attribute.name == "to" and attribute.i == FLOAT:
            attribute.i = HALF
        if node.op_type == "ConstantOfShape" and attribute.t.data_type == FLOAT:
            values = numpy_helper.to_array(attribute.t).clip(-LARGEST, LARGEST)
            attribute.t.CopyFrom(numpy_helper.from_array(values.astype(np.float16)))


def _constants_to_initializers(graph: onnx.GraphProto) -> None:
    for index in reversed(range(len(graph.node))):
        node = graph.node[index]
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            tensor = graph.initializer.add()
            tensor.CopyFrom(node.attribute[0].t)
            tensor.name = node.output[0]
            del graph.node[index]


def _float_tensors(model: onnx.ModelProto) -> set[str]:
    """Names of all float32 values, found on a skeleton that has no weights."""
    graph = model.graph
    skeleton = onnx.ModelProto()
    skeleton.ir_version = model.ir_version
    skeleton.opset_import.extend(model.opset_import)
    bare = skeleton.graph
    bare.name = graph.name
    bare.node.extend(graph.node)
    bare.input.extend(graph.input)
    bare.output.extend(graph.output)
    for tensor in graph.initializer:
        if np.prod(tensor.dims, dtype=np.int64) <= LITTLE:
            bare.initializer.append(tensor)
        else:
            value = helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
            bare.input.append(value)
    inferred = onnx.shape_inference.infer_shapes(skeleton).graph
    values: Iterable[onnx.ValueInfoProto] = (
        *inferred.input,
        *inferred.output,
        *inferred.value_info,
    )
    found = {value.name for value in values if value.type.tensor_type.elem_type == FLOAT}
    return found | {tensor.name for tensor in graph.initializer if tensor.data_type == FLOAT}
