"""What a job costs in a tab, beside what the same model costs without us in the same page.

Three workers of one page take turns: the node's own worker as it is built, plain ONNX Runtime
Web, and transformers.js. Ours counts from the bytes of an Assign to those of the signed
Result: decoding, Python, tokens, the graph, the digest, the signature. There is no network in
any of the three.
"""

from __future__ import annotations

import base64
import statistics
import struct
import tempfile
from pathlib import Path

import click
import msgspec
from playwright.sync_api import Page, sync_playwright

from tabgrid_models.connectors.embeddings import EmbeddingsInput, EmbeddingsOutput
from tabgrid_models.manifest import Manifest

from ..library import CHECKOUT
from . import chromium
from .page_node import PageNode, call, open_bench, threads_of
from .programs import coordinator
from .report import Figure, against
from .start_up import start_up
from .texts import sentences

MODEL = "all-MiniLM-L6-v2"
BATCHES = (1, 32)
#: The same weights and the same arithmetic, in three programs.
SAME = 1e-4
OTHERS = {
    "plain": ("plain ONNX Runtime Web, ms", "≤ 1.05 x"),
    "transformers": ("transformers.js 4 AutoModel, ms", "≤ 0.7 x"),
}


def run(seconds: float, threads: int) -> list[Figure]:
    """``seconds`` of each batch size; ``threads`` 0: as many as the tab takes by itself."""
    manifest = msgspec.json.decode((CHECKOUT / MODEL / "manifest.json").read_bytes(), type=Manifest)
    with (
        tempfile.TemporaryDirectory(prefix="tabgrid-bench-") as folder,
        coordinator(model=MODEL) as (url, _),
        sync_playwright() as playwright,
    ):
        figures = start_up(playwright, url, Path(folder, "visitor"))
        with (
            chromium.scripts() as scripts,
            chromium.profile(playwright, Path(folder, "profile")) as context,
        ):
            page = chromium.open_page(context, url)
            open_bench(page, scripts)
            comparison = Comparison(page, scripts, manifest, threads or threads_of(page))
            comparison.start()
            for size in BATCHES:
                figures += comparison.measure(sentences()[:size], seconds)
    return figures


class Comparison:
    """The node in the page, and the contenders beside it."""

    def __init__(self, page: Page, scripts: str, manifest: Manifest, threads: int) -> None:
        self._page = page
        self._scripts = scripts
        self._manifest = manifest
        self._threads = threads
        self._node = PageNode(page, scripts, manifest)

    def start(self) -> None:
        self._node.start(self._threads)
        config, variant = self._manifest.config, self._manifest.variants[0]
        tokenizer = next(f for f in self._manifest.shared if f.path == config["tokenizer"])
        assets = chromium.assets()
        setting = {
            "model": self._manifest.id,
            "weights": f"/weights/{variant.files[0].sha256}",
            "tokenizer": f"/weights/{tokenizer.sha256}",
            "maxTokens": config["max_tokens"],
            "threads": self._threads,
            "mjs": assets["ort/wasm.mjs"],
            "wasm": assets["ort/wasm.wasm"],
        }
        own = {kind: f"{self._scripts}transformers-ort.{kind}" for kind in ("mjs", "wasm")}
        for name, changes in (("plain", {}), ("transformers", own)):
            script = f"{self._scripts}{name}.js"
            call(self._page, "startContender", name, script, setting | changes)

    def measure(self, texts: list[str], seconds: float) -> list[Figure]:
        frame = self._node.assign(EmbeddingsInput(tuple(texts)))
        call(self._page, "compare", texts, frame, 0)  # warm: compilers, caches, allocators
        found = call(self._page, "compare", texts, frame, seconds)
        self._check(found["answers"])
        ms = {name: statistics.median(times) for name, times in found["ms"].items()}
        size = f"{len(texts)} text{'s' if len(texts) > 1 else ''}"
        turns = f"{self._threads} thread(s), median of {len(found['ms']['node'])} turns each"
        return [
            against(
                Figure("tab", f"{size}: Assign to Result", ms["node"], "ms", aim=aim, note=turns),
                baseline,
                ms[name],
            )
            for name, (baseline, aim) in OTHERS.items()
        ]

    def _check(self, answers: dict[str, str]) -> None:
        """All three computed the same, or their times mean nothing."""
        result = self._node.output(base64.b64decode(answers.pop("node")))
        output = msgspec.msgpack.decode(result, type=EmbeddingsOutput)
        ours = _floats(output.embeddings)
        for name, answer in answers.items():
            theirs = _floats(base64.b64decode(answer))
            if len(theirs) != len(ours) or max(map(_distance, ours, theirs)) > SAME:
                raise click.ClickException(f"{name} computed something else.")


def _floats(content: bytes) -> tuple[float, ...]:
    return struct.unpack(f"<{len(content) // 4}f", content)


def _distance(one: float, other: float) -> float:
    return abs(one - other)
