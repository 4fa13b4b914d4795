"""The same inputs in a browser's tab: the node's own worker, on WebAssembly or WebGPU."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import msgspec

from tabgrid_models import catalogue
from tabgrid_models.manifest import Manifest

from ..library import MANIFEST
from .steps import Answer


def answers(
    alone: Manifest,
    files: Path,
    backend: str,
    inputs: Sequence[Any],
    seconds: float,
) -> tuple[str, list[Answer]]:
    """The device, and the answers to as many of the first ``inputs`` as fit ``seconds``.

    ``alone`` is a model of one variant, whose files lie in ``files``.
    Raises ``ClickException`` where no browser is, or where its self-test fails.
    """
    try:
        from playwright.sync_api import sync_playwright

        from ..bench import chromium, programs
        from ..bench.page_node import PageNode, open_bench, threads_of
    except ModuleNotFoundError as error:
        raise click.ClickException(
            f"The backend {backend} needs a browser and {error.name}; run ./build/test once."
        ) from error
    connector = catalogue.connector_of(alone)
    with tempfile.TemporaryDirectory(prefix="tabgrid-calibrate-") as folder:
        library = _library_of(alone, files, Path(folder, "library"))
        with (
            programs.coordinator(model=alone.id, library=library) as (url, _),
            sync_playwright() as playwright,
            chromium.scripts() as scripts,
            chromium.profile(playwright, Path(folder, "profile")) as context,
        ):
            page = chromium.open_page(context, url)
            open_bench(page, scripts)
            node = PageNode(page, scripts, alone)
            node.start(threads_of(page), backend)
            end, found = time.monotonic() + seconds, []
            for input in inputs:
                if time.monotonic() > end:
                    break
                packed, trace = node.traced(input)
                output = msgspec.msgpack.decode(packed, type=connector.Output)
                connector.check(input, output, alone)
                found.append(Answer(output, trace))
            browser = context.browser
            return f"Chromium {browser.version if browser else ''}, {backend}", found


def _library_of(manifest: Manifest, files: Path, library: Path) -> Path:
    """A library with that model alone, of files that are laid out already."""
    folder = library / manifest.id
    for file in catalogue.files(manifest, manifest.variants[0]):
        place = folder / file.path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(files / file.path)
    (folder / MANIFEST).write_bytes(manifest.canonical())
    return library
