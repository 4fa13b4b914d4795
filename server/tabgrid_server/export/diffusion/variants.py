"""The same model in several precisions, each as the graphs that the connector runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec
import numpy as np
import onnx

from tabgrid_models.manifest import File, Variant

from .. import ExportError, shards, weights
from ..recipe import Recipe, describe_file
from . import graphs, half, pixels, source
from .family import Family
from .graphs import Frame

#: Best first means fastest first; the most exact one makes the golden answers.
EXACT = ("fp32", "q8", "fp16", "q4")
BITS = {"q8": 8, "q4": 4}
NEEDS = {"fp16": ("shader-f16",)}
PREVIEW = "preview"
#: In a model of small convolutions most weights are in tensors of a few thousand.
LEAST_VALUES = 2048

Change = Callable[[onnx.ModelProto], object]


class Builder:
    """Writes graphs of one model into a folder; each file once."""

    def __init__(
        self, recipe: Recipe, family: Family, networks: Path, folder: Path, tokens: int, end: int
    ) -> None:
        self._recipe = recipe
        self._family = family
        self._networks = networks
        self._folder = folder
        height, width = family.fixed or ("h", "w")
        self.frame = Frame(family.rows, tokens, family.channels, height, width)
        self._end = end if family.silent_empty else None
        self._files: dict[str, tuple[File, ...]] = {}

    def write_preview(self, colours: np.ndarray, offsets: np.ndarray) -> None:
        model = pixels.preview(colours, offsets, self.frame, self._recipe.opset)
        self._write(model, PREVIEW)

    def variants(self) -> Iterator[Variant]:
        """In the recipe's order; memory and quality are not measured yet."""
        for dtype in self._recipe.pictures.variants:
            if dtype not in EXACT:
                raise ExportError(f"No variant {dtype!r}; there are {', '.join(EXACT)}.")
            stems = {
                "text": self._text(dtype),
                "step": self._step(dtype),
                "decode": self._decode(dtype),
                "preview": PREVIEW,
            }
            yield Variant(
                id=dtype,
                dtype=dtype,
                graphs={name: f"{stem}.onnx" for name, stem in stems.items()},
                files=tuple(file for stem in stems.values() for file in self._files[stem]),
                memory_mib=0,
                needs=NEEDS.get(dtype, ()),
            )

    def refreshed(self, variant: Variant) -> Variant:
        """The variant as its files are now: the preview is written twice."""
        stems = [path.removesuffix(".onnx") for path in variant.graphs.values()]
        files = tuple(file for stem in stems for file in self._files[stem])
        return msgspec.structs.replace(variant, files=files)

    def _text(self, dtype: str) -> str:
        encoders = [source.load(self._networks, name) for name in self._family.encoders]
        self._halve(dtype, *encoders)
        return self._small(graphs.text(encoders, self.frame, self._end), "text", dtype)

    def _step(self, dtype: str) -> str:
        unet = source.load(self._networks, "unet")
        # Only the network: the sampler's numbers need all their bits.
        self._halve(dtype, unet)
        told = None
        if self._family.guidance_width:
            told = graphs.guidance_embedding(self._family.guidance, self._family.guidance_width)
        return self._small(graphs.step(unet, self.frame, told), "step", dtype)

    def _decode(self, dtype: str) -> str:
        family = self._family
        if dtype == "fp16" and family.full_decoder:
            dtype = "fp32"
        if f"decode-{dtype}" in self._files:
            return f"decode-{dtype}"
        decoder = source.load(self._networks, "vae_decoder")
        self._halve(dtype, decoder)
        made = pixels.decode(decoder, self.frame, family.downscale, family.scale, family.shift)
        return self._small(made, "decode", dtype)

    def _halve(self, dtype: str, *models: onnx.ModelProto) -> None:
        if dtype == "fp16":
            for model in models:
                half.convert(model)

    def _small(self, model: onnx.ModelProto, graph: str, dtype: str) -> str:
        if dtype in BITS:
            weights.quantise(model, self._recipe.block, BITS[dtype], LEAST_VALUES)
        return self._write(model, f"{graph}-{dtype}")

    def _write(self, model: onnx.ModelProto, stem: str) -> str:
        files: Sequence[Path] = shards.save(model, self._folder, stem)
        self._files[stem] = tuple(describe_file(self._folder, file) for file in files)
        return stem
