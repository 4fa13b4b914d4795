"""What an idle node costs: memory per connected socket, and whether any is dropped."""

from __future__ import annotations

import resource
import time

import click
import httpx

from . import floors
from .memory import resident
from .programs import coordinator, swarm
from .report import Figure, against

#: One heartbeat and a bit: who is dropped for silence is dropped by then.
IDLE_S = 20


def run(counts: tuple[int, ...]) -> list[Figure]:
    """Each count with a coordinator of its own, as memory is not given back."""
    _raise_file_limit(max(counts) + 200)
    figures = []
    for count in counts:
        floor = floors.idle_socket(count)
        figures += _measure(count, floor)
    return figures


def _measure(count: int, floor: float) -> list[Figure]:
    with coordinator() as (url, pid):
        empty = resident(pid)
        with swarm(url, count):
            full = resident(pid)
            time.sleep(IDLE_S)
            left = len(httpx.get(f"{url}/api/nodes", timeout=60).json()["nodes"])
    each = (full - empty) / count
    name = f"{count:,} nodes"
    per_node = Figure(
        "sockets", f"{name}: memory per idle node", each / 1024, "KiB", aim="≤ 50 KiB"
    )
    dropped = Figure("sockets", f"{name}: dropped in {IDLE_S} s", count - left, "nodes", aim="0")
    return [against(per_node, "bare uvicorn socket, KiB", floor / 1024), dropped]


def _raise_file_limit(needed: int) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise click.ClickException(
            f"{needed} open files are needed and {hard} allowed; raise it with ulimit -n."
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
