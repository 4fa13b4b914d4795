"""What a picture costs in a tab, beside the same files run without us.

Four take turns at the same picture: the node's own worker as it is built, a loop in plain
JavaScript on ONNX Runtime Web in another worker of the page, that loop without previews, and
a bare loop on native onnxruntime; each with the same number of threads. Ours counts from the
bytes of an Assign to those of the signed Result with its PNG; the others end with the pixels.
Text encoder, steps with their guidance, previews and decoder are in all.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec
from playwright.sync_api import Page, sync_playwright

from tabgrid_models.drawing import TextToImageInput, drawing
from tabgrid_models.manifest import Variant
from tabgrid_models.sampler import shape

from . import chromium
from .memory import Peak, peak
from .page_node import PageNode, Turn
from .picture_contenders import Native, Plain, check
from .picture_figures import Setup, memory_figure, read_figures, time_figures
from .picture_grid import through_the_grid
from .picture_setting import Bench, Options, asked_of, find_model
from .picture_work import Cost, ReadBack, config_of, cost, read_back, work
from .programs import coordinator
from .report import Figure

#: What `read_back` takes apart.
READ_STEPS = (1, 2, 3)

Draw = Callable[[TextToImageInput], Turn]


def run(options: Options) -> list[Figure]:
    library, manifest = find_model(options.library, options.model)
    with (
        tempfile.TemporaryDirectory(prefix="tabgrid-bench-") as folder,
        coordinator(model=manifest.id, library=options.library) as (url, _),
        chromium.scripts() as scripts,
        sync_playwright() as playwright,
    ):
        bench = Bench(playwright, url, scripts, library, manifest, options, Path(folder))
        parts = {
            "wasm": lambda: InTheTab(bench, "wasm", options.repeats).run(),
            "webgpu": lambda: InTheTab(bench, "webgpu", options.webgpu_repeats).run(),
            "grid": lambda: through_the_grid(bench),
        }
        return [figure for part in options.parts for figure in parts[part]()]


class InTheTab:
    """One backend: everybody's times, what comes back from the device, and memory."""

    def __init__(self, bench: Bench, backend: str, repeats: int) -> None:
        self._bench = bench
        self._backend = backend
        self._repeats = repeats
        self._config = config_of(bench.manifest)
        self._asked = asked_of(bench.manifest, bench.options, backend)

    def run(self) -> list[Figure]:
        bench, manifest = self._bench, self._bench.manifest
        with bench.page(self._backend) as (context, page):
            empty, threads = peak(context), bench.threads(page)
            node = PageNode(page, bench.scripts, manifest)
            loaded = node.start(threads, self._backend)
            node.turn(self._asked)
            ours = peak(context)
            [variant] = [one for one in manifest.variants if one.id == loaded.variant]
            setup = self._setup(threads)
            figures = self._compared(setup, page, node, variant)
        theirs = self._peak_of_plain(variant, threads)
        return [*figures, memory_figure(setup, ours, theirs, empty)]

    def _setup(self, threads: int) -> Setup:
        wanted = drawing(self._asked, self._config)
        size, shown = f"{wanted.width}x{wanted.height}", work(self._asked, self._config).shown
        return Setup(self._backend, size, wanted.steps, len(shown), threads, self._repeats)

    def _compared(self, setup: Setup, page: Page, node: PageNode, variant: Variant) -> list[Figure]:
        bench, manifest, config = self._bench, self._bench.manifest, self._config
        plain = Plain(page, bench.scripts, manifest)
        plain.start(variant, self._backend, setup.threads)
        folder = Path(tempfile.mkdtemp(dir=bench.folder))
        with Native.started(bench.library, manifest, variant, setup.threads, folder) as native:
            draws: dict[str, Draw] = {
                "node": node.turn,
                "plain": lambda asked: plain.draw(work(asked, config)),
                "unshown": lambda asked: plain.draw(work(asked, config).without_previews()),
                "native": lambda asked: native.draw(work(asked, config)),
            }
            figures = time_figures(setup, self._costs(draws, variant))
            if self._backend == "webgpu" and config.max_steps >= max(READ_STEPS):
                ours, theirs = self._read(draws["node"]), self._read(draws["plain"])
                figures += read_figures(setup, ours, theirs, self._latents())
        return figures

    def _costs(self, draws: Mapping[str, Draw], variant: Variant) -> dict[str, Cost]:
        """Rounds in which everybody has two turns, the order reversed every time."""
        long, short = self._asked, msgspec.structs.replace(self._asked, steps=1)
        # The first of each warms compilers, caches and allocators, and is no turn.
        first = {name: draw(long).answer for name, draw in draws.items()}
        check(self._bench.manifest, variant.dtype, first.pop("node"), first)
        order = list(draws)
        ms: dict[tuple[str, int], list[float]] = {
            (name, asked.steps): [] for name in order for asked in (long, short)
        }
        for _ in range(self._repeats):
            for name in order:
                for asked in (long, short):
                    ms[name, asked.steps].append(draws[name](asked).ms)
            order.reverse()
        return {
            name: cost(ms[name, long.steps], ms[name, short.steps], long.steps) for name in draws
        }

    def _read(self, draw: Draw) -> ReadBack:
        asked = {n: msgspec.structs.replace(self._asked, steps=n) for n in READ_STEPS}
        return read_back({steps: draw(one).read for steps, one in asked.items()})

    def _latents(self) -> int:
        """Bytes of one step's."""
        return 4 * math.prod(shape(self._config, drawing(self._asked, self._config)))

    def _peak_of_plain(self, variant: Variant, threads: int) -> Peak:
        bench = self._bench
        with bench.page(f"{self._backend}-plain") as (context, page):
            plain = Plain(page, bench.scripts, bench.manifest)
            plain.start(variant, self._backend, threads)
            plain.draw(work(self._asked, self._config))
            return peak(context)
