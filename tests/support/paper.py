"""A text-to-image model on paper: what a coordinator knows of one, for nodes that tests play.

Its weights are a few bytes, since no test loads them; manifest, prices, checks and PNGs are
the connector's own.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import msgspec

from tabgrid_models import png
from tabgrid_models.diffusion import Schedule
from tabgrid_models.drawing import TextToImageConfig, TextToImageInput, TextToImageOutput, drawing
from tabgrid_models.manifest import File, Manifest, Variant
from tabgrid_server.library import CHECKOUT
from tabgrid_wire import messages as wire

MODEL = "paper"
#: Noise of 256 x 256 pixels is 197 kB of PNG: three times what fits into a frame.
LARGE = {"width": 256, "height": 256}
SMALL = {"width": 64, "height": 64}


def make_library(folder: Path) -> Path:
    """A library with this one model."""
    home = folder / MODEL
    home.mkdir(parents=True)
    shutil.copy(CHECKOUT / "all-MiniLM-L6-v2" / "tokenizer.json", home)
    names = ("text", "step", "decode", "preview")
    for name in names:
        (home / f"{name}.onnx").write_bytes(name.encode())
    (home / "manifest.json").write_bytes(_manifest(home, names).canonical())
    return folder


def _manifest(home: Path, graphs: tuple[str, ...]) -> Manifest:
    files = tuple(_file(home / f"{name}.onnx") for name in graphs)
    variant = Variant("only", "fp32", {name: f"{name}.onnx" for name in graphs}, files, 1)
    config = TextToImageConfig(
        tokenizer="tokenizer.json",
        max_tokens=16,
        pad_ids=(0,),
        latent_channels=4,
        downscale=8,
        sizes=("64x64", "256x256"),
        default_steps=4,
        max_steps=8,
        schedule=Schedule("euler"),
    )
    return Manifest(
        id=MODEL,
        connector="text-to-image",
        title="Paper",
        description="Draws what the test says.",
        licence="Apache-2.0",
        source="tests",
        config=msgspec.to_builtins(config),
        variants=(variant,),
        shared=(_file(home / "tokenizer.json"),),
    )


def _file(path: Path) -> File:
    content = path.read_bytes()
    return File(path.name, len(content), hashlib.sha256(content).hexdigest())


def manifest(library: Path) -> Manifest:
    return msgspec.json.decode((library / MODEL / "manifest.json").read_bytes(), type=Manifest)


def draw(library: Path, assign: wire.Assign, rgba: bytes = b"") -> bytes:
    """A right answer to ``assign``: noise, or these pixels. msgpack of the Output."""
    model = manifest(library)
    config = msgspec.convert(model.config, TextToImageConfig)
    asked = msgspec.msgpack.decode(assign.input, type=TextToImageInput)
    wanted = drawing(asked, config)
    pixels = rgba or os.urandom(4 * wanted.pixels)
    image = png.encode(wanted.width, wanted.height, pixels, wanted.texts(model))
    return msgspec.msgpack.encode(
        TextToImageOutput(image, wanted.width, wanted.height, wanted.seed)
    )


def image_of(output: bytes) -> bytes:
    return msgspec.msgpack.decode(output, type=TextToImageOutput).image


def preview(side: int = 8) -> bytes:
    """A small PNG as a tab makes it between two steps."""
    return png.encode(side, side, os.urandom(4 * side * side), {})
