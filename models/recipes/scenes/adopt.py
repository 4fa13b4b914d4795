"""Takes the weights out of the model that ships, so that a training can go on from it.

An exported graph has other names than torch for some tensors, turns others round, and holds most
of them as 8 bit numbers. So a probe is exported first: the same parts with weights of which no two
are alike. Where one of its tensors is found in its graph, the one that ships stands under the same
name. The coder's encoder does not ship: `train-encoder` makes one that fits the decoder.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import nn

from scenes.architecture import ADOPTED_TOKENIZER, Parts, make_parts, save_pipeline
from scenes.work import save
from tabgrid_server.export import add
from tabgrid_server.export.recipe import Recipe
from tabgrid_server.export.recipe import load as load_recipe

#: Part of the pipeline to the graph that holds it.
GRAPHS = {"text_encoder": "text-q8.onnx", "unet": "step-q8.onnx", "vae": "decode-q8.onnx"}
NOT_SHIPPED = ("encoder.", "quant_conv.")
#: Of the probe; the graph has it in one of its tensors, with what the model itself has.
SCALE = 0.7
#: 8 bits keep a value to 1 part in 254 of the largest of its block.
NEAR = 1 / 100

Tensors = Mapping[str, np.ndarray]


def adopt(shipped: Path, folder: Path) -> None:
    """Leaves `folder`/adopted.pt: weights of the text encoder, the UNet and the decoder, the scale.

    The tokenizer comes with them, since they were trained with its numbers for words. Raises
    ``LookupError`` where a weight is not found: the export has changed since.
    """
    probe = _probe()
    parts = make_parts()
    with TemporaryDirectory() as place:
        exported = _export(probe, load_recipe(shipped / "recipe.toml"), Path(place))
        for part, graph in GRAPHS.items():
            known, wanted = _tensors(exported / graph), _tensors(shipped / graph)
            _take(getattr(probe, part), getattr(parts, part), known, wanted)
    scale = float(1 / _tensors(shipped / GRAPHS["vae"])["grid.scale"].flat[0])
    state = {part: getattr(parts, part).state_dict() for part in GRAPHS}
    save({**state, "scale": scale}, folder / "adopted.pt")
    shutil.copyfile(shipped / "tokenizer.json", folder / ADOPTED_TOKENIZER)


def _probe() -> Parts:
    parts, random = make_parts(), torch.Generator().manual_seed(0)
    for part in GRAPHS:
        for weight in getattr(parts, part).parameters():
            weight.data *= 1 + 0.2 * torch.randn(weight.shape, generator=random)
            weight.data += 0.02 * torch.randn(weight.shape, generator=random)
    parts.vae.register_to_config(scaling_factor=SCALE)
    return parts


def _export(probe: Parts, recipe: Recipe, place: Path) -> Path:
    """The folder of the exported probe. What it draws is noise, and few steps of it are enough."""
    save_pipeline(probe, place / "probe")
    assert recipe.pictures is not None
    pictures = msgspec.structs.replace(recipe.pictures, steps=2)
    recipe = msgspec.structs.replace(recipe, weights=str(place / "probe"), pictures=pictures)
    licence = place / "LICENSE"
    licence.write_text("of a probe, which is thrown away")
    (place / "library").mkdir()
    add.add(recipe, place / "library", licence)
    return place / "library" / recipe.id


def _tensors(path: Path) -> Tensors:
    """Every float32 constant by its name, those of 8 bits made whole."""
    graph = onnx.load(path).graph
    found = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    for node in graph.node:
        for attribute in node.attribute:
            if node.op_type == "Constant" and attribute.name == "value":
                found[node.output[0]] = numpy_helper.to_array(attribute.t)
    small = [name.removesuffix(".values") for name in found if name.endswith(".values")]
    for name in small:
        whole = found.pop(f"{name}.values") * found.pop(f"{name}.scales")
        found[name] = whole.reshape(found.pop(f"{name}.shape"))
    return {name: values for name, values in found.items() if values.dtype == np.float32}


def _take(probe: nn.Module, part: nn.Module, known: Tensors, wanted: Tensors) -> None:
    """Give ``part`` the weights of ``wanted``, each by where ``known`` has the probe's."""
    fresh = dict(part.named_parameters())
    for name, weight in probe.named_parameters():
        if name.startswith(NOT_SHIPPED):
            continue
        values = weight.detach().numpy()
        place, turned = _find(values, known, name)
        found = wanted[place].T if turned else wanted[place]
        fresh[name].data = torch.from_numpy(np.ascontiguousarray(found)).reshape(weight.shape)


def _find(values: np.ndarray, known: Tensors, name: str) -> tuple[str, bool]:
    """Under which name the graph has these values, and whether with rows for columns."""
    near = float(np.abs(values).max()) * NEAR
    for place, other in known.items():
        if other.size != values.size:
            continue
        if np.allclose(other.reshape(-1), values.reshape(-1), rtol=0, atol=near):
            return place, False
        if other.ndim == 2 and np.allclose(other.T.reshape(-1), values.reshape(-1), 0, near):
            return place, True
    raise LookupError(f"the exported probe has no tensor for {name}: has the export changed?")
