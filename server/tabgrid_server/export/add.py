"""From a recipe to a folder of the library: all of it, or nothing."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import msgspec

from tabgrid_models import catalogue
from tabgrid_models.manifest import Manifest

from . import ExportError, diffusion, embeddings
from .recipe import PICTURE_TOOLS, TOOLS, Recipe, dump, find_weights, tools

CARD = """# {title}

{description}

- Source: {source}
- Licence: {licence} (see LICENSE{and_notice})
- Connector: `{connector}`
{facts}
{limits}## What was changed

{changes}
`recipe.toml` makes these files again: `tabgrid models add recipe.toml`.
"""


def add(recipe: Recipe, library: Path, licence_file: Path | None = None) -> Manifest:
    """Export into ``library``/id, replacing what is there only once everything is right."""
    source = find_weights(recipe.weights)
    licence = _licence(source, licence_file, library / recipe.id)
    with tempfile.TemporaryDirectory(dir=library, prefix=".new-") as new:
        folder = Path(new) / recipe.id
        folder.mkdir()
        export = diffusion.export if _draws(source) else embeddings.export
        manifest = export(recipe, source, folder)
        catalogue.validate(manifest)
        _write_papers(recipe, manifest, source, folder, licence)
        final = library / recipe.id
        if final.exists():
            final.rename(Path(new) / "old")
        shutil.move(folder, final)
    return manifest


def _licence(source: Path, given: Path | None, existing: Path) -> str:
    """Text of the weights' licence: as told, as the source has it, as it was before."""
    for path in (given, source / "LICENSE", source / "LICENSE.txt", existing / "LICENSE"):
        if path is not None and path.is_file():
            return path.read_text(encoding="utf-8")
    raise ExportError(
        "The source has no LICENSE file; pass --licence-file with the text of its licence."
    )


def _write_papers(
    recipe: Recipe, manifest: Manifest, source: Path, folder: Path, licence: str
) -> None:
    pretty = msgspec.json.format(manifest.canonical(), indent=1)
    (folder / "manifest.json").write_bytes(pretty + b"\n")
    names = PICTURE_TOOLS if _draws(source) else TOOLS
    made = msgspec.structs.replace(recipe, tools=tools(names))
    (folder / "recipe.toml").write_text(dump(made), encoding="utf-8")
    (folder / "LICENSE").write_text(licence, encoding="utf-8")
    if recipe.notice:
        (folder / "NOTICE").write_text(recipe.notice.rstrip() + "\n", encoding="utf-8")
    (folder / "README.md").write_text(_card(recipe, manifest, source), encoding="utf-8")


def _card(recipe: Recipe, manifest: Manifest, source: Path) -> str:
    if _draws(source):
        facts, changes = diffusion.facts(manifest), diffusion.changes(recipe, manifest, source)
    else:
        facts, changes = embeddings.facts(manifest), embeddings.changes(recipe, manifest)
    return CARD.format(
        title=manifest.title,
        description=manifest.description,
        source=manifest.source,
        licence=manifest.licence,
        and_notice=" and NOTICE" if recipe.notice else "",
        connector=manifest.connector,
        facts=facts,
        limits=f"## Limits\n\n{recipe.limits.strip()}\n\n" if recipe.limits else "",
        changes=changes,
    )


def _draws(source: Path) -> bool:
    """Whether the folder is one of diffusers; else it should be of sentence-transformers."""
    return (source / diffusion.INDEX).is_file()
