"""Figures of `tabgrid bench pictures` from what was measured. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from .memory import Peak
from .picture_work import Cost, ReadBack
from .report import Figure, against

AIM = "≤ 1.05 x"
PLAIN = "plain ONNX Runtime Web"
MIB = 1024 * 1024
#: Who draws to the figure's name of them, and what we want the node to be beside them.
PICTURES = {
    "plain": (PLAIN, AIM),
    "unshown": ("plain, without previews", ""),
    "native": ("native onnxruntime", ""),
}
STEPS = {name: PICTURES[name] for name in ("plain", "native")}


class Setup(NamedTuple):
    backend: str
    #: "64x64".
    size: str
    steps: int
    previews: int
    threads: int
    repeats: int

    @property
    def name(self) -> str:
        return f"{self.backend} {self.size}"

    @property
    def note(self) -> str:
        return f"{self.threads} thread(s), median of {self.repeats} turns each"


def time_figures(setup: Setup, costs: Mapping[str, Cost]) -> list[Figure]:
    """``costs`` of the node and of everybody in ``PICTURES``."""
    node = costs["node"]
    shown = f"{setup.steps} steps, {setup.previews} preview(s)"
    return [
        against(
            Figure("pictures", f"{setup.name}, {shown}: Assign to Result", node.picture / 1000,
                   "s", aim=aim, note=setup.note),
            f"{other}, s",
            costs[name].picture / 1000,
        )
        for name, (other, aim) in PICTURES.items()
    ] + [
        against(
            Figure("pictures", f"{setup.name}: each step", node.step, "ms", aim=aim,
                   note=f"{setup.steps} steps less one; previews are in it"),
            f"{other}, ms",
            costs[name].step,
        )
        for name, (other, aim) in STEPS.items()
    ]  # fmt: skip


def memory_figure(setup: Setup, ours: Peak, plain: Peak, empty: Peak) -> Figure:
    """``ours`` and ``plain`` with the browser's own share, which ``empty`` is."""

    def mib(peak: Peak) -> float:
        return (peak.tab + (peak.gpu if setup.backend == "webgpu" else 0)) / MIB

    with_gpu = " and the graphics process" if setup.backend == "webgpu" else ""
    figure = Figure(
        "pictures", f"{setup.name}: peak memory of the tab{with_gpu}", mib(ours), "MiB",
        note=f"start, self-test and a picture; an empty page {mib(empty):.0f} MiB",
    )  # fmt: skip
    return against(figure, f"{PLAIN}, MiB", mib(plain))


def read_figures(setup: Setup, ours: ReadBack, plain: ReadBack, latents: int) -> list[Figure]:
    """``setup.previews`` are in the picture's figure.

    Each step's ``latents`` (bytes) are read too, all together when the picture is there: the
    node signs them, and whoever has no grid signs nothing.
    """
    each = Figure(
        "pictures", f"{setup.name}: read back for each step", ours.step - latents, "B",
        aim="0", note=f"and {latents:,} B that are signed, after the last; plain: {plain.step:,} B",
    )  # fmt: skip
    whole = Figure(
        "pictures", f"{setup.name}, {setup.steps} steps: read back in all", _all(setup, ours), "B",
        note=f"the picture {ours.picture:,} B, each preview {ours.preview:,} B",
    )  # fmt: skip
    return [each, against(whole, f"{PLAIN}, B", _all(setup, plain))]


def _all(setup: Setup, read: ReadBack) -> int:
    return read.picture + setup.previews * read.preview + (setup.steps - 1) * read.step
