"""Who draws the same picture without a grid: plain loops in the page and outside of it."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import msgspec
from playwright.sync_api import Page

from tabgrid_models import png
from tabgrid_models.connectors.text_to_image import TextToImage
from tabgrid_models.drawing import TextToImageOutput
from tabgrid_models.manifest import Manifest, Variant

from ..library import Library
from . import chromium
from .page_node import Turn, call, turn
from .picture_work import Work

#: The build of ONNX Runtime Web that the node takes too, where the browser has JSPI.
BUILDS = {"wasm": "wasm", "webgpu": "jspi"}


class Plain:
    """The loop in JavaScript (web/src/bench/plain_pictures.ts), in a worker of the page."""

    def __init__(self, page: Page, scripts: str, manifest: Manifest) -> None:
        self._page = page
        self._scripts = scripts
        self._manifest = manifest

    def start(self, variant: Variant, backend: str, threads: int) -> None:
        """Until its sessions are open."""
        tokenizer = self._manifest.config["tokenizer"]
        [digest] = [file.sha256 for file in self._manifest.shared if file.path == tokenizer]
        assets, build = chromium.assets(), BUILDS[backend]
        setting = {
            "backend": backend,
            "graphs": variant.graphs,
            "files": [msgspec.to_builtins(file) for file in variant.files],
            "tokenizer": f"/weights/{digest}",
            "threads": threads,
            "mjs": assets[f"ort/{build}.mjs"],
            "wasm": assets[f"ort/{build}.wasm"],
        }
        script = f"{self._scripts}plain_pictures.js"
        call(self._page, "startContender", "plain", script, setting)

    def draw(self, task: Work) -> Turn:
        return turn(self._page, "plain", msgspec.to_builtins(task))


class Native:
    """The loop on a bare onnxruntime (``tabgrid_node.bench_pictures``), in its own process."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    @classmethod
    @contextmanager
    def started(
        cls, library: Library, manifest: Manifest, variant: Variant, threads: int, folder: Path
    ) -> Iterator[Native]:
        """``folder`` is empty and takes the model's files."""
        library.lay_out(manifest, folder)
        (folder / "manifest.json").write_bytes(manifest.canonical())
        command = [sys.executable, "-m", "tabgrid_node.bench_pictures", str(folder)]
        command += [variant.id, str(threads)]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
            try:
                yield cls(process)
            finally:
                process.kill()

    def draw(self, task: Work) -> Turn:
        given, answers = self._process.stdin, self._process.stdout
        assert given is not None
        assert answers is not None
        given.write(msgspec.json.encode(task).decode() + "\n")
        given.flush()
        line = answers.readline()
        if not line:
            raise click.ClickException("The native loop failed; it needs the extra “node”.")
        told: dict[str, Any] = json.loads(line)
        return Turn(told["ms"], base64.b64decode(told["answer"]))


def check(manifest: Manifest, dtype: str, ours: bytes, others: Mapping[str, bytes]) -> None:
    """All drew the same, or their times mean nothing. Raises ClickException.

    ``ours``: a node's output; ``others``: RGBA by who drew it.
    """
    drawn = msgspec.msgpack.decode(ours, type=TextToImageOutput)
    for name, rgba in others.items():
        image = png.encode(drawn.width, drawn.height, rgba, {})
        theirs = msgspec.structs.replace(drawn, image=image)
        found = TextToImage().compare(drawn, theirs, dtype)
        if not found.agrees:
            raise click.ClickException(
                f"{name} drew something else: {found.distance:.3g} levels away, "
                f"{found.threshold:.3g} are allowed."
            )
