"""The native node against a bare onnxruntime loop; measured by ``tabgrid_node.bench``.

In a process of its own, since the coordinator's code and the node's never meet.
"""

from __future__ import annotations

import json
import subprocess
import sys

import click

from ..library import CHECKOUT
from .report import Figure, against
from .texts import sentences

AIMS = {32: "≤ 1.05 x"}


def run(seconds: float, threads: int, model: str) -> list[Figure]:
    """``threads`` 0: as many as onnxruntime takes by itself."""
    folder = CHECKOUT / model
    command = [sys.executable, "-m", "tabgrid_node.bench", str(folder), str(seconds), str(threads)]
    done = subprocess.run(
        command, input=json.dumps(sentences()), stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        raise click.ClickException("The node's bench failed; it needs the extra “node”.")
    return [_figure(json.loads(line)) for line in done.stdout.splitlines()]


def _figure(report: dict[str, float]) -> Figure:
    size = int(report["texts"])
    name = f"{size} text{'s' if size > 1 else ''}: job from Assign to signed Result"
    note = f"median of {report['rounds']:.0f} turns each"
    figure = Figure("native", name, report["node_ms"], "ms", aim=AIMS.get(size, ""), note=note)
    return against(figure, "bare onnxruntime loop, ms", report["bare_ms"])
