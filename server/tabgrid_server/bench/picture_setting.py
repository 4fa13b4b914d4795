"""What every part of `tabgrid bench pictures` stands on: the model, the browser, the picture."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import click
import msgspec
from playwright.sync_api import BrowserContext, Page, Playwright

from tabgrid_models.connectors.text_to_image import TextToImage
from tabgrid_models.drawing import TextToImageInput
from tabgrid_models.manifest import Manifest

from ..library import Library, LibraryError, open_library
from . import chromium
from .page_node import open_bench, threads_of
from .picture_work import config_of, smallest

#: Fewer have no step that stands between others.
LEAST_STEPS = 2


class Options(NamedTuple):
    library: Path
    model: str
    parts: tuple[str, ...]
    #: 0: as many as the tab takes by itself.
    threads: int
    repeats: int
    #: 0: as many as the model takes by itself.
    steps: int
    webgpu_repeats: int
    webgpu_steps: int


def find_model(folder: Path, id: str) -> tuple[Library, Manifest]:
    """Raises ClickException where the library has no such model, or one that does not draw."""
    try:
        library = open_library(folder)
    except LibraryError as error:
        raise click.ClickException(str(error)) from error
    manifest = library.catalogue.by_id(id)
    if manifest is None or manifest.connector != TextToImage.algorithm:
        raise click.ClickException(
            f"{folder} has no model {id!r} that draws; name one with --library and --model."
        )
    return library, manifest


def asked_of(manifest: Manifest, options: Options, backend: str) -> TextToImageInput:
    """The first golden prompt; on WebGPU, which may be a CPU in disguise, little of it."""
    config = config_of(manifest)
    asked = msgspec.convert(manifest.golden[0].input, TextToImageInput)
    steps = options.steps or config.default_steps
    width, height = asked.width, asked.height
    if backend == "webgpu":
        steps, (width, height) = options.webgpu_steps, smallest(config)
    asked = msgspec.structs.replace(
        asked, width=width, height=height, steps=max(steps, LEAST_STEPS)
    )
    if asked.steps > config.max_steps:
        raise click.ClickException(f"This model takes {config.max_steps} steps at most.")
    return asked


@dataclass(frozen=True)
class Bench:
    playwright: Playwright
    #: Of the coordinator, and of web/src/bench on it.
    url: str
    scripts: str
    library: Library
    manifest: Manifest
    options: Options
    #: Takes browser profiles and the native loop's files.
    folder: Path

    @contextmanager
    def page(self, name: str) -> Iterator[tuple[BrowserContext, Page]]:
        """An empty page, ready for contenders, in a browser of its own."""
        with chromium.profile(self.playwright, self.folder / name) as context:
            page = chromium.open_page(context, self.url)
            open_bench(page, self.scripts)
            yield context, page

    def threads(self, page: Page) -> int:
        return self.options.threads or threads_of(page)
