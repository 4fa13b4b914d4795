"""What an idle node costs: memory per connected socket, and whether any is dropped."""

from __future__ import annotations

import re
import resource
import time
from pathlib import Path

import click
import httpx

from . import floors
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
        empty = memory(pid)
        with swarm(url, count):
            full = memory(pid)
            time.sleep(IDLE_S)
            left = len(httpx.get(f"{url}/api/nodes", timeout=60).json()["nodes"])
    each = (full - empty) / count
    name = f"{count:,} nodes"
    per_node = Figure(
        "sockets", f"{name}: memory per idle node", each / 1024, "KiB", aim="≤ 50 KiB"
    )
    dropped = Figure("sockets", f"{name}: dropped in {IDLE_S} s", count - left, "nodes", aim="0")
    return [against(per_node, "bare uvicorn socket, KiB", floor / 1024), dropped]


def memory(pid: int) -> int:
    """Resident bytes (Linux)."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError as error:
        raise click.ClickException("This bench reads /proc and so needs Linux.") from error
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    return int(found[1]) * 1024 if found else 0


def _raise_file_limit(needed: int) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise click.ClickException(
            f"{needed} open files are needed and {hard} allowed; raise it with ulimit -n."
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
