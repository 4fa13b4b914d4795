"""From a manifest that a person wrote to one that a node believes.

The person names connector, config, graphs, files and golden inputs; the machine fills in
sizes, SHA-256, memory, and the golden answers, which the connector itself gives on
onnxruntime. For models that need no exporter: a graph written by hand, or files that another
model of the library brought already.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from tabgrid_models import catalogue
from tabgrid_models.catalogue import Catalogue, InvalidManifest
from tabgrid_models.manifest import File, Golden, Manifest
from tabgrid_models.runtime import quiet

from ..library import MANIFEST, Library, LibraryError, all_files, find_files
from . import ExportError
from .memory import peak_mib
from .native import NativeRuntime
from .recipe import describe_file


def seal(folder: Path) -> Manifest:
    """Complete ``folder``/manifest.json in place. Raises ``ExportError``; then it is as before.

    A file that the folder lacks is looked up in the models beside it by the ``sha256`` that
    the draft gives. Golden answers that are there already are made anew.
    """
    path = folder / MANIFEST
    try:
        draft = json.loads(path.read_text("utf-8"))
        others = _others(folder)
        manifest = _tested(_described(draft, folder, others), folder, others)
        catalogue.validate(manifest)
    except (OSError, ValueError, LookupError, TypeError, LibraryError) as error:
        raise ExportError(f"{path}: {error}") from error
    path.write_bytes(msgspec.json.format(manifest.canonical(), indent=1) + b"\n")
    return manifest


def _others(folder: Path) -> list[Manifest]:
    """The library's other models, as far as they are whole: drafts have nothing to lend."""
    found = []
    for path in sorted(folder.parent.glob(f"*/{MANIFEST}")):
        try:
            found += [catalogue.parse(path.read_bytes())] if path.parent != folder else []
        except InvalidManifest:
            continue
    return found


def _described(draft: dict[str, Any], folder: Path, others: list[Manifest]) -> Manifest:
    """The draft with its files' sizes and digests, and golden inputs without answers."""
    if len(draft["variants"]) != 1:
        raise ValueError("write one variant; to make several is an exporter's work.")
    variant = {"memory_mib": 0, **draft["variants"][0]}
    known = {file.sha256: file for other in others for file in all_files(other)}
    variant["files"] = [_file(folder, file, known) for file in variant["files"]]
    shared = [_file(folder, file, known) for file in draft.get("shared", ())]
    golden = [{"output": {}, **pair} for pair in draft["golden"]]
    full = {**draft, "variants": [variant], "shared": shared, "golden": golden}
    return msgspec.convert(full, Manifest)


def _file(folder: Path, file: Mapping[str, str], known: Mapping[str, File]) -> dict[str, Any]:
    own = folder / file["path"]
    if own.exists():
        return {**msgspec.to_builtins(describe_file(folder, own))}
    lent = known.get(file.get("sha256", ""))
    if lent is None:
        raise ValueError(
            f"{file['path']} is not there, and no model beside it has a file of that SHA-256; "
            "put it there, or copy its sha256 from the manifest of the model that has it."
        )
    return {"path": file["path"], "sha256": lent.sha256, "size": lent.size}


def _tested(manifest: Manifest, folder: Path, others: list[Manifest]) -> Manifest:
    """With the answers to its golden inputs, and the memory that they took."""
    algorithm = catalogue.connector_of(manifest)
    models = Catalogue([*others, manifest])
    library = Library(folder.parent, models, find_files(folder.parent, models))
    variant, before, golden = manifest.variants[0], peak_mib(), []
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".seal-") as place:
        runtime = NativeRuntime(manifest, variant, library.lay_out(manifest, Path(place)))
        for pair in manifest.golden:
            asked = msgspec.convert(pair.input, algorithm.Input)
            algorithm.validate(asked, manifest)
            answer = asyncio.run(algorithm.run(asked, manifest, runtime, quiet))
            golden.append(Golden(pair.input, msgspec.to_builtins(answer)))
    measured = msgspec.structs.replace(variant, memory_mib=round(peak_mib() - before))
    return msgspec.structs.replace(manifest, variants=(measured,), golden=tuple(golden))
