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
from pathlib import Path

import msgspec

from tabgrid_models.manifest import File

from . import ExportError

#: Distributions whose version may change a byte of the result.
TOOLS = ("torch", "transformers", "optimum", "optimum-onnx", "onnx", "onnxruntime")


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
    #: 0: what the source says.
    max_tokens: int = 0
    opset: int = 18
    block: int = 32
    tools: dict[str, str] = {}


def load(path: Path) -> Recipe:
    try:
        return msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), Recipe)
    except (OSError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise ExportError(f"{path}: {error}") from error


def dump(recipe: Recipe) -> str:
    """As TOML. Its basic strings are those of JSON, so no library is needed."""
    fields = msgspec.to_builtins(recipe)
    tools = fields.pop("tools")
    lines = [f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in fields.items()]
    lines += ["", "[tools]"]
    lines += [f"{json.dumps(name)} = {json.dumps(version)}" for name, version in tools.items()]
    head = "# Makes the files beside it: tabgrid models add recipe.toml\n"
    return head + "\n".join(lines) + "\n"


def tools() -> dict[str, str]:
    """Versions of what exports. Local parts (+cpu) say how, not what; they are left out."""
    return {name: importlib.metadata.version(name).split("+")[0] for name in TOOLS}


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
