"""`tabgrid localnet`: a Solana chain of one's own, for the demo, tests and trying things."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import click

from tabgrid_server.chain.localnet.journal import JournalError
from tabgrid_server.chain.localnet.server import serving, window_for


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), default=8899, show_default=True)
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder that keeps the chain; without it, all is gone at the end.",
)
@click.option(
    "--slot-ms",
    # Below 20 ms a slot is shorter than an HTTP request to this process.
    type=click.IntRange(20, 10_000),
    default=100,
    show_default=True,
    help="Time of a slot; 32 slots later a transaction is final. A cluster takes 400.",
)
@click.option(
    "--ready-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write url and pid there, as JSON, once it serves.",
)
def localnet(port: int, data: Path | None, slot_ms: int, ready_file: Path | None) -> None:
    """Run a local Solana chain behind JSON-RPC.

    The real SPL programs run in this process (LiteSVM). Any Solana client can use it.
    """
    try:
        _in_loop(_run(port, data, slot_ms, ready_file))
    except JournalError as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        raise click.ClickException(f"Cannot serve on port {port}: {error.strerror}.") from error


def _in_loop(work: Coroutine[Any, Any, None]) -> None:
    try:
        import uvloop
    except ModuleNotFoundError:  # it is not made for every system
        asyncio.run(work)
    else:
        uvloop.run(work)


async def _run(port: int, data: Path | None, slot_ms: int, ready_file: Path | None) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    window = window_for(slot_ms)
    async with serving(port=port, data=data, slot_ms=slot_ms, window=window) as url:
        click.echo(f"Local chain on {url}, a slot each {slot_ms} ms, final after 32 slots")
        if ready_file:
            _write_ready(ready_file, url)
        await stop.wait()


def _write_ready(file: Path, url: str) -> None:
    """Whole or not at all: whoever waits for the file may read it at once."""
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    draft.write_text(json.dumps({"url": url, "pid": os.getpid()}))
    draft.replace(file)
