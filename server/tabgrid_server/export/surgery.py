"""The knives of graph surgery: what every change of an exported graph is made with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from . import ExportError

FLOAT = onnx.TensorProto.FLOAT
INT64 = onnx.TensorProto.INT64
UINT8 = onnx.TensorProto.UINT8

#: A dimension of a declared shape: fixed, or a name for one that may vary.
Dimension = int | str | None


class Nodes:
    """Appends nodes to a graph, or with ``front`` puts them before what is there."""

    def __init__(self, model: onnx.ModelProto, front: bool = False) -> None:
        self.graph = model.graph
        self._place = 0 if front else None

    def constant(self, name: str, values: Any, dtype: Any = np.float32) -> str:
        self.graph.initializer.append(numpy_helper.from_array(np.array(values, dtype), name))
        return name

    def __call__(self, operator: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        """One node with one output; returns the output's name."""
        self.split(operator, inputs, [output], **attributes)
        return output

    def split(
        self, operator: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: Any
    ) -> None:
        # Names must differ: outputs are renamed later, what they were called stays taken.
        name = f"{outputs[0]}/{operator}"
        made = helper.make_node(operator, inputs, outputs, name, **attributes)
        if self._place is None:
            self.graph.node.append(made)
        else:
            self.graph.node.insert(self._place, made)
            self._place += 1


def declare_inputs(model: onnx.ModelProto, *inputs: tuple[str, int, Sequence[Dimension]]) -> None:
    """Say anew what the graph takes: name, type and shape of each."""
    del model.graph.input[:]
    model.graph.input.extend(helper.make_tensor_value_info(*value) for value in inputs)


def declare_outputs(model: onnx.ModelProto, *outputs: tuple[str, int, Sequence[Dimension]]) -> None:
    """Say anew what the graph gives, and drop what only led to its former outputs."""
    del model.graph.output[:]
    model.graph.output.extend(helper.make_tensor_value_info(*value) for value in outputs)
    prune(model)


def rename(model: onnx.ModelProto, old: str, new: str) -> None:
    """Call a value by another name wherever it is made or read."""
    for node in model.graph.node:
        for names in (node.input, node.output):
            for index, name in enumerate(names):
                if name == old:
                    names[index] = new


def prune(model: onnx.ModelProto) -> None:
    """Remove nodes and constants that no output depends on."""
    graph = model.graph
    wanted = names(graph.output)
    # In place and from the end: copying the weights of a large model would double its memory.
    for index in reversed(range(len(graph.node))):
        node = graph.node[index]
        if wanted.intersection(node.output):
            wanted.update(node.input)
        else:
            del graph.node[index]
    for index in reversed(range(len(graph.initializer))):
        if graph.initializer[index].name not in wanted:
            del graph.initializer[index]


def strip(model: onnx.ModelProto) -> None:
    """Remove what tells of the machine that exported it, and what no runtime reads."""
    model.doc_string = model.graph.doc_string = ""
    del model.metadata_props[:]
    del model.graph.value_info[:]
    for node in model.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]


def names(values: Iterable[onnx.ValueInfoProto]) -> set[str]:
    return {value.name for value in values}


def expect(model: onnx.ModelProto, inputs: set[str], outputs: set[str]) -> None:
    """Raise ``ExportError`` unless the graph takes just these, and gives at least these."""
    if names(model.graph.input) != inputs or not outputs <= names(model.graph.output):
        raise ExportError(
            f"An exported graph takes {', '.join(sorted(names(model.graph.input)))} and gives "
            f"{', '.join(sorted(names(model.graph.output)))}; only {', '.join(sorted(inputs))} "
            f"and {', '.join(sorted(outputs))} are supported."
        )
