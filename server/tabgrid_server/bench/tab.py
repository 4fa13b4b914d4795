"""What a job costs in a tab, beside what the same model costs without us in the same page.

Three workers of one page take turns: the node's own worker as it is built, plain ONNX Runtime
Web, and transformers.js. Ours counts from the bytes of an Assign to those of the signed
Result: decoding, Python, tokens, the graph, the digest, the signature. There is no network in
any of the three.
"""

from __future__ import annotations

import base64
import os
import statistics
import struct
import tempfile
import time
from pathlib import Path
from typing import Any

import click
import msgspec
from playwright.sync_api import Page, sync_playwright

from tabgrid_models.connectors.embeddings import EmbeddingsInput, EmbeddingsOutput
from tabgrid_models.manifest import Manifest
from tabgrid_wire import messages as m
from tabgrid_wire.ids import new_id
from tabgrid_wire.protocol import Connection

from ..library import CHECKOUT
from . import chromium
from .programs import coordinator
from .report import Figure, against
from .start_up import start_up
from .texts import sentences

MODEL = "all-MiniLM-L6-v2"
GRID = "bench"
WALLET = "11111111111111111111111111111111"
BATCHES = (1, 32)
#: Nobody waits for a bench's lease.
DEADLINE_MS = 3_600_000
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
            page.add_script_tag(url=f"{scripts}page.js", type="module")
            page.wait_for_function("() => !!window.bench")
            comparison = Comparison(page, scripts, manifest, threads or _threads(page))
            comparison.start()
            for size in BATCHES:
                figures += comparison.measure(sentences()[:size], seconds)
    return figures


def _threads(page: Page) -> int:
    """As worker/capability.ts has it."""
    return min(8, max(1, (int(page.evaluate("navigator.hardwareConcurrency")) + 1) // 2))


class Comparison:
    """The coordinator's side of the node in the page, and the contenders beside it."""

    def __init__(self, page: Page, scripts: str, manifest: Manifest, threads: int) -> None:
        self._page = page
        self._scripts = scripts
        self._manifest = manifest
        self._threads = threads
        self._connection = Connection("coordinator")

    def start(self) -> None:
        self._start_node()
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
            self._call("startContender", name, f"{self._scripts}{name}.js", setting | changes)

    def _start_node(self) -> None:
        script = f"{self._scripts}node.js"
        hello = self._call("startNode", script, chromium.assets(), WALLET, self._threads)
        self._received(hello)
        offered = m.OfferedModel(GRID, self._manifest.id, self._manifest.digest())
        welcome = m.Welcome(_id("node"), WALLET, (offered,), heartbeat_s=30)
        ready = self._received(self._call("say", self._frame(welcome)))
        if not isinstance(ready, m.Ready) or not ready.models:
            raise click.ClickException(f"The tab cannot run the model: {ready}")

    def measure(self, texts: list[str], seconds: float) -> list[Figure]:
        input = msgspec.msgpack.encode(EmbeddingsInput(tuple(texts)))
        digest = self._manifest.digest()
        # The node takes the same lease again once it has answered it.
        assign = m.Assign(_id("lease"), _id("job"), GRID, digest, input, DEADLINE_MS)
        frame = self._frame(assign)
        self._call("compare", texts, frame, 0)  # warm: compilers, caches, allocators
        found = self._call("compare", texts, frame, seconds)
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
        result = self._received(answers.pop("node"))
        if not isinstance(result, m.Result):
            raise click.ClickException(f"The tab failed: {result}")
        output = msgspec.msgpack.decode(result.output, type=EmbeddingsOutput)
        ours = _floats(output.embeddings)
        for name, answer in answers.items():
            theirs = _floats(base64.b64decode(answer))
            if len(theirs) != len(ours) or max(map(_distance, ours, theirs)) > SAME:
                raise click.ClickException(f"{name} computed something else.")

    def _frame(self, message: m.ToNode) -> str:
        return base64.b64encode(self._connection.send(message)).decode()

    def _received(self, frame: str) -> Any:
        return self._connection.receive(base64.b64decode(frame))

    def _call(self, function: str, *arguments: object) -> Any:
        return self._page.evaluate(f"args => window.bench.{function}(...args)", list(arguments))


def _floats(content: bytes) -> tuple[float, ...]:
    return struct.unpack(f"<{len(content) // 4}f", content)


def _distance(one: float, other: float) -> float:
    return abs(one - other)


def _id(prefix: str) -> str:
    return new_id(prefix, int(time.time() * 1000), os.urandom(10))
