"""Starts the programs that a bench measures, in processes of their own, and stops them."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

SETTINGS = """
[server]
port = 0
log_level = "error"
library = {library}
[limits]
nodes_per_address = 20000
public_requests_per_minute = 1000000
keys_per_day = 1000000
{limits}
[grids.bench]
title = "Bench"
description = "Jobs that nobody waits for."
models = ["{model}"]
price_per_unit = 10
release_s = 3600
demo_credit = 1000000000000
"""


@contextmanager
def coordinator(
    database: str = "", *, limits: str = "", model: str = "echo", library: Path | None = None
) -> Iterator[tuple[str, int]]:
    """A coordinator on a fresh data folder; its URL and process id.

    ``library`` None: the one of this checkout.
    """
    with tempfile.TemporaryDirectory(prefix="tabgrid-bench-") as folder:
        file, ready = Path(folder, "settings.toml"), Path(folder, "ready.json")
        # Such a JSON string is a TOML string too.
        models = json.dumps(str(library.resolve()) if library else "", ensure_ascii=False)
        file.write_text(SETTINGS.format(limits=limits, model=model, library=models))
        command = [sys.executable, "-m", "tabgrid_server", "serve", "--settings", str(file)]
        command += ["--data", folder, "--ready-file", str(ready)]
        command += ["--database", database] if database else []
        with program(command):
            found = _ready(ready, "The coordinator")
            yield found["url"], found["pid"]


@contextmanager
def local_chain(data: Path, slot_ms: int) -> Iterator[str]:
    """A local chain that is kept in ``data``; its URL."""
    data.mkdir(parents=True)
    ready = data / "ready.json"
    command = [sys.executable, "-m", "tabgrid_server", "localnet", "--port", "0"]
    command += ["--data", str(data), "--slot-ms", str(slot_ms), "--ready-file", str(ready)]
    with program(command):
        yield _ready(ready, "The local chain")["url"]


def _ready(file: Path, what: str) -> Any:
    for _ in range(300):
        if file.exists():
            return json.loads(file.read_text())
        time.sleep(0.1)
    raise click.ClickException(f"{what} did not start within 30 s.")


@contextmanager
def program(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def swarm(url: str, count: int, *secret: str) -> Iterator[None]:
    """``count`` joined nodes in one process; with a wallet of their own, or each with one."""
    command = [
        sys.executable,
        "-m",
        "tabgrid_server.bench.swarm",
        url,
        "bench",
        str(count),
        *secret,
    ]
    with program(command) as process:
        assert process.stdout is not None
        if not process.stdout.readline():
            raise click.ClickException("The bench's nodes could not join.")
        yield
