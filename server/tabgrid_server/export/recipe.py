"""What an export was made from and with; enough to make it again.

``recipe.toml`` lies beside the files that it made, and 'tabgrid models add recipe.toml'
reads it.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import json
import tomllib
from collections.abc import Sequence
from pathlib import Path

import msgspec

from tabgrid_models.manifest import File

from . import ExportError

#: Distributions whose version may change a byte of the result.
TOOLS = ("torch", "transformers", "optimum", "optimum-onnx", "onnx", "onnxruntime")
#: What diffusion models are made with besides.
PICTURE_TOOLS = (*TOOLS, "diffusers")


class Pictures(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a person may choose for a model that draws; silence means the model's own."""

    #: "512x512", width first; the first is the default.
    sizes: tuple[str, ...] = ()
    steps: int = 0
    max_steps: int = 0
    #: 1 or less: the network is not guided.
    guidance: float | None = None
    #: "euler", "ddim" or "lcm".
    scheduler: str = ""
    #: What to make, the best first. fp16 is for GPUs alone (a CPU takes 8 % longer with it
    #: than with float32); q8 runs as fast as float32 from a third of the download; q4 is
    #: furthest from the original.
    variants: tuple[str, ...] = ("fp16", "q8", "fp32", "q4")
    #: Prompts of the kind that the model knows: quality is measured on them, and the small
    #: previews are fitted to their pictures.
    prompts: tuple[str, ...] = ()


class Recipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: str
    title: str
    description: str
    #: SPDX expression of the weights.
    licence: str
    #: Where the weights came from, as a person would look for them.
    source: str
    #: ``package:MODULE/FOLDER``, a hub id, or a folder.
    weights: str
    #: Whom to name, and for what; becomes NOTICE.
    notice: str = ""
    #: What it cannot do, in Markdown; its card says so.
    limits: str = ""
    #: 0: what the source says.
    max_tokens: int = 0
    opset: int = 18
    block: int = 32
    pictures: Pictures = Pictures()
    tools: dict[str, str] = {}


def load(path: Path) -> Recipe:
    try:
        return msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), Recipe)
    except (OSError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise ExportError(f"{path}: {error}") from error


def dump(recipe: Recipe) -> str:
    """As TOML. Its basic strings and lists are those of JSON, so no library is needed."""
    fields = msgspec.to_builtins(recipe)
    chosen = {
        name: getattr(recipe.pictures, name)
        for name in Pictures.__struct_fields__
        if getattr(recipe.pictures, name) != getattr(Pictures(), name)
    }
    tables = {"pictures": chosen, "tools": fields.pop("tools")}
    del fields["pictures"]
    lines = [f"{name} = {_value(value)}" for name, value in fields.items()]
    for table, entries in tables.items():
        if entries:
            lines += ["", f"[{table}]"]
            lines += [f"{json.dumps(name)} = {_value(value)}" for name, value in entries.items()]
    head = "# Makes the files beside it: tabgrid models add recipe.toml\n"
    return head + "\n".join(lines) + "\n"


def _value(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def tools(names: Sequence[str] = TOOLS) -> dict[str, str]:
    """Versions of what exports. Local parts (+cpu) say how, not what; they are left out."""
    return {name: importlib.metadata.version(name).split("+")[0] for name in names}


def find_weights(weights: str) -> Path:
    """The folder of the trained model. Raises ``ExportError`` if it cannot be had."""
    if weights.startswith("package:"):
        return _in_package(weights.removeprefix("package:"))
    if Path(weights).is_dir():
        return Path(weights)
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(weights))
    except (OSError, ValueError) as error:
        raise ExportError(
            f"{weights!r} is no folder here, and the hub does not give it: {error}"
        ) from error


def describe_file(folder: Path, path: Path) -> File:
    data = path.read_bytes()
    return File(str(path.relative_to(folder)), len(data), hashlib.sha256(data).hexdigest())


def _in_package(place: str) -> Path:
    module, _, folder = place.partition("/")
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise ExportError(
            f"The package {module.replace('_', '-')} with the weights is not installed; "
            f"run 'pip install {module.replace('_', '-')}'."
        )
    return Path(spec.origin).parent / folder
