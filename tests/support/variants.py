"""The tiny model that draws, in several variants: right ones, quick and slow, and a wrong one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec
import numpy as np
import onnx
from onnx import numpy_helper

from tabgrid_models import catalogue
from tabgrid_models.manifest import File, Manifest, Variant
from tests.support import pictures, tiny_graphs
from tests.support.pictures import file_of

#: Altered on purpose: the same graph, its weights in another order.
WRONG = -1


def build(library: Path, work: Mapping[str, int], id: str = pictures.ID) -> Manifest:
    """One variant for each name, in this order; ``work`` as in ``pictures.build``, or ``WRONG``.

    The golden answer is that of the right model. Only the graph of a step differs between them,
    so a second variant is a small download. All are in float32 but the wrong one, "q4".
    """
    base = pictures.build(library, id=id)
    folder = library / id
    [whole] = base.variants
    common = tuple(file for file in whole.files if file.path != "step.onnx")
    variants = tuple(
        Variant(
            id=name,
            dtype="q4" if effort == WRONG else "fp32",
            graphs={**whole.graphs, "step": f"step-{name}.onnx"},
            files=(*common, _step(folder / f"step-{name}.onnx", effort)),
            memory_mib=whole.memory_mib,
        )
        for name, effort in work.items()
    )
    manifest = msgspec.structs.replace(base, variants=variants)
    # A picture names the manifest that it was drawn by.
    manifest = pictures.with_golden(manifest, pictures.native(base, folder))
    (folder / "manifest.json").write_bytes(manifest.canonical())
    catalogue.validate(manifest)
    return manifest


def _step(path: Path, effort: int) -> File:
    data = tiny_graphs.step(2, two=False, work=max(effort, 0))
    path.write_bytes(reordered(data) if effort == WRONG else data)
    return file_of(path)


def reordered(data: bytes) -> bytes:
    """The model with the values of each weight turned by one place."""
    model = onnx.load_from_string(data)
    for weight in model.graph.initializer:
        values = numpy_helper.to_array(weight)
        if values.dtype == np.float32 and values.size > 1:
            turned = np.roll(values.reshape(-1), 1).reshape(values.shape)
            weight.CopyFrom(numpy_helper.from_array(turned, weight.name))
    return bytes(model.SerializeToString())
