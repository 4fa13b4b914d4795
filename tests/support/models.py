"""The real models of the checkout, loaded once per test process."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

from tabgrid_models.manifest import Manifest
from tabgrid_node.native_runtime import NativeRuntime
from tabgrid_server.library import CHECKOUT, Library, open_library


@functools.cache
def library() -> Library:
    return open_library(CHECKOUT)


def link_library(folder: Path) -> Path:
    """All models of the checkout in a new folder, to which a test adds its own."""
    folder.mkdir(parents=True)
    for model in CHECKOUT.iterdir():
        (folder / model.name).symlink_to(model)
    return folder


def manifest(id: str) -> Manifest:
    found = library().catalogue.by_id(id)
    assert found is not None
    return found


@functools.cache
def runtime(id: str) -> NativeRuntime:
    """Onnxruntime with the model's first variant, as a native node has it."""
    model = manifest(id)
    with tempfile.TemporaryDirectory() as folder:
        files = library().lay_out(model, Path(folder))
        return NativeRuntime(model, model.variants[0], files, threads=1)


class Progress:
    """What a connector said while it ran."""

    def __init__(self) -> None:
        self.said: list[tuple[int, int]] = []

    def __call__(self, done: int, total: int, stage: str = "", chunk: bytes = b"") -> None:
        self.said.append((done, total))
