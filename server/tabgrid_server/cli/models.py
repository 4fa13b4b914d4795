"""`tabgrid models`: what the library holds, whether it is intact, and how models get in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tabgrid_models import catalogue
from tabgrid_models.manifest import Manifest

from ..calibrate import LEAST_JOBS, NATIVE, REFERENCE, TABS
from ..export import ExportError, require_tools
from ..library import (
    CALIBRATION,
    CHECKOUT,
    Library,
    LibraryError,
    open_library,
    verify,
)

FOLDER = click.Path(file_okay=False, path_type=Path)
library_option = click.option(
    "--library",
    "folder",
    type=FOLDER,
    envvar="TABGRID_SERVER_LIBRARY",
    default=CHECKOUT,
    show_default="the checkout's",
    help="Folder of models.",
)


@click.group()
def models() -> None:
    """Export, check and list models."""


@models.command("list")
@library_option
def list_models(folder: Path) -> None:
    """List the models of the library."""
    for manifest in _open(folder).catalogue:
        click.echo(_line(manifest))


@models.command("verify")
@library_option
@click.argument("ids", nargs=-1)
def verify_models(folder: Path, ids: tuple[str, ...]) -> None:
    """Hash every file of the named models (none named: all) and compare."""
    library = _open(folder)
    wrong = 0
    for manifest in _chosen(library, ids):
        for file, intact in verify(library, manifest):
            wrong += not intact
            click.echo(f"{'ok     ' if intact else 'CHANGED'}  {manifest.id}/{file.path}")
    if wrong:
        raise click.ClickException(
            f"{wrong} file(s) are not what their manifest says; restore them, or export the "
            "model again with 'tabgrid models add'."
        )


@models.command("add")
@library_option
@click.argument("source")
@click.option("--id", "id", help="What the model is called here.  [default: its own name]")
@click.option("--title", help="For people.  [default: the id]")
@click.option("--description", default="", help="For people: what it is good for.")
@click.option("--limits", default="", help="For people: what it cannot do.")
@click.option("--licence", help="SPDX expression of the weights' licence.")
@click.option("--licence-file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--max-tokens", default=0, show_default="the model's", help="Read no more than this.")
@click.option(
    "--size", "sizes", multiple=True, help="Of pictures, like 512x512; the default first."
)
@click.option("--steps", default=0, show_default="the family's", help="To draw a picture in.")
@click.option("--max-steps", default=0, show_default="the family's", help="Offer no more.")
@click.option("--guidance", type=float, help="1: the network is not guided.")
@click.option("--scheduler", default="", help="euler, ddim or lcm.  [default: the model's own]")
@click.option("--variant", "variants", multiple=True, help="fp32, fp16, q8, q4; the best first.")
@click.option("--prompt", "prompts", multiple=True, help="Of the kind that the model knows.")
def add_model(
    folder: Path,
    source: str,
    id: str | None,
    title: str | None,
    description: str,
    limits: str,
    licence: str | None,
    licence_file: Path | None,
    max_tokens: int,
    **pictures: Any,
) -> None:
    """Export a model into the library.

    SOURCE is a folder or a hub id of sentence-transformers or diffusers, or the recipe.toml
    of a model that was exported before. Needs the extra 'export'.
    """
    try:
        require_tools()
        # Only now: these import torch and its like.
        from ..export import add, recipe

        if source.endswith(".toml"):
            chosen = recipe.load(Path(source))
        else:
            name = id or Path(source).name
            if licence is None:
                raise ExportError("Say under which licence the weights are: --licence Apache-2.0.")
            chosen = recipe.Recipe(
                id=name,
                title=title or name,
                description=description,
                licence=licence,
                source=source if not Path(source).is_dir() else name,
                weights=source,
                limits=limits,
                max_tokens=max_tokens,
                pictures=recipe.Pictures(**{k: v for k, v in pictures.items() if v}),
            )
        folder.mkdir(parents=True, exist_ok=True)
        manifest = add.add(chosen, folder, licence_file)
    except ExportError as error:
        raise click.ClickException(str(error)) from error
    click.echo(_line(manifest))


@models.command("seal")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
def seal_model(folder: Path) -> None:
    """Complete the manifest.json that somebody wrote in FOLDER, a model of a library.

    Fills in sizes, SHA-256 and memory, and lets the connector answer the golden inputs.
    Needs onnxruntime.
    """
    from ..export import seal

    try:
        click.echo(_line(seal.seal(folder.absolute())))
    except ExportError as error:
        raise click.ClickException(str(error)) from error


@models.command("calibrate")
@library_option
@click.argument("id")
@click.option("--jobs", default=400, show_default=True, help="Inputs for each backend.")
@click.option("--cheated", default=100, show_default=True, help="Of them, to cheat at.")
@click.option("--seconds", default=120.0, show_default=True, help="For each backend and variant.")
@click.option(
    "--backend",
    "backends",
    type=click.Choice((*NATIVE, *TABS)),
    multiple=True,
    default=tuple(NATIVE),
    show_default="the native ones",
    help="May be given several times; wasm and webgpu drive a browser.",
)
@click.option("--floor", type=float, help="No threshold below this.  [default: the connector's]")
@click.option(
    "--inputs",
    "file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Inputs like your users', one JSON object per line.",
)
@click.option("--dry-run", is_flag=True, help="Only show what was found.")
def calibrate_model(
    folder: Path,
    id: str,
    jobs: int,
    file: Path | None,
    backends: tuple[str, ...],
    dry_run: bool,
    **rest: Any,
) -> None:
    """Measure where wrong begins for the model ID, and which cheats that finds.

    Runs the same inputs over every backend, makes each variant's threshold from their
    distances, tries cheats against it, and writes calibration.json beside the manifest.
    Needs onnxruntime and onnx.
    """
    try:
        from ..calibrate import inputs, measure, report, subject
    except ModuleNotFoundError as error:
        raise click.ClickException(
            f"Calibrating needs {error.name}, which the extras 'node' and 'export' bring."
        ) from error
    library = _open(folder)
    (manifest,) = _chosen(library, (id,))
    try:
        work = inputs.read(manifest, file.read_bytes()) if file else inputs.honest(manifest, jobs)
    except ValueError as error:
        raise click.ClickException(f"{file}: {error}") from error
    if len(work) < LEAST_JOBS:
        raise click.ClickException(f"That needs {LEAST_JOBS} inputs at least, not {len(work)}.")
    # The reference always answers, and first.
    chosen = dict.fromkeys((REFERENCE, *backends))
    options = subject.Options(backends=tuple(chosen), **rest)
    found = measure.calibrate(
        library, manifest, work, options, lambda text: click.echo(text, err=True)
    )
    if not dry_run:
        (library.folder_of(manifest) / CALIBRATION).write_bytes(found.encoded())
    click.echo("\n".join(report.table(found)))


def _open(folder: Path) -> Library:
    try:
        return open_library(folder)
    except LibraryError as error:
        raise click.ClickException(str(error)) from error


def _chosen(library: Library, ids: tuple[str, ...]) -> list[Manifest]:
    if not ids:
        return list(library.catalogue)
    found = {id: library.catalogue.by_id(id) for id in ids}
    if missing := [id for id, manifest in found.items() if manifest is None]:
        raise click.ClickException(f"The library has no model {missing[0]!r}.")
    return [manifest for manifest in found.values() if manifest is not None]


def _line(manifest: Manifest) -> str:
    variants = ", ".join(
        f"{variant.id} {catalogue.download_bytes(manifest, variant) / 1e6:.1f} MB"
        for variant in manifest.variants
    )
    digest = manifest.digest()[:12]
    return f"{manifest.id:24} {manifest.connector:12} {digest}  {manifest.licence:12} {variants}"
