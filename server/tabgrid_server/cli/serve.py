"""`tabgrid serve`: the coordinator, one process."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import click
import uvicorn
from starlette.applications import Starlette

from tabgrid_wire.messages import MAX_FRAME

from .. import settings as config
from ..app import create_app
from ..chain import payouts
from ..chain.keys import KeyFileError, load_or_create
from ..chain.treasury import TreasuryError
from ..library import LibraryError
from ..observe import configure_logs
from ..pages.assets import AssetsMissing


@click.command()
@click.option("--settings", "file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--host", help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), help="0 takes any free port.")
@click.option("--data", type=click.Path(path_type=Path, file_okay=False), help="Folder to keep.")
@click.option("--database", help="SQLAlchemy URL.  [default: SQLite in the data folder]")
@click.option("--rpc", multiple=True, help="JSON-RPC of a Solana cluster or of `tabgrid "
              "localnet`. Of three, one may lie, lag or be down.")  # fmt: skip
@click.option(
    "--demo", is_flag=True, help="Grids to try out, with demo credit and a local treasury."
)
@click.option("--ready-file", type=click.Path(path_type=Path, dir_okay=False), help="Written "
              "once it serves: JSON with url and pid.")  # fmt: skip
def serve(
    file: Path | None,
    host: str | None,
    port: int | None,
    data: Path | None,
    database: str | None,
    rpc: tuple[str, ...],
    demo: bool,
    ready_file: Path | None,
) -> None:
    """Run the coordinator: API, pages, scheduler, ledger, payouts.

    Settings come from a TOML file, then TABGRID_<SECTION>_<FIELD> in the environment, then
    these flags. SIGTERM drains: running jobs end, queued ones are taken up at the next start. It
    ends within server.drain_s and 10 s more, whatever hangs.
    """
    flags = {"host": host, "port": port, "data": data and str(data), "database": database}
    given = {name: value for name, value in flags.items() if value is not None}
    overrides: dict[str, dict[str, Any]] = {"server": given}
    if rpc:
        overrides["chain"] = {"rpc": rpc}
    try:
        settings = _load(file, overrides, demo)
        listener = _listen(settings)
        settings = _with_port(settings, listener.getsockname()[1])
        _make_folder(settings.data)
        if demo:
            settings = _with_reference(settings)
        configure_logs(settings.server.log_format, settings.server.log_level)
        asyncio.run(payouts.check(settings))
        app = create_app(settings)
    except (
        config.SettingsError, LibraryError, AssetsMissing, TreasuryError, KeyFileError,
    ) as error:  # fmt: skip
        raise click.ClickException(str(error)) from error
    _run(app, settings, listener, ready_file)


def _load(file: Path | None, overrides: dict[str, dict[str, Any]], demo: bool) -> config.Settings:
    settings = (config.load_demo if demo else config.load)(file, os.environ, overrides)
    if not settings.grids:
        raise config.SettingsError(
            "No grid is set up: give --settings a file with a [grids.<id>] table, or use --demo."
        )
    return settings


def _listen(settings: config.Settings) -> socket.socket:
    """Bind before anything else: a port in use is the commonest mistake."""
    server = settings.server
    try:
        family = socket.AF_INET6 if ":" in server.host else socket.AF_INET
        return socket.create_server((server.host, server.port), family=family, backlog=2048)
    except OSError as error:
        raise config.SettingsError(
            f"Cannot listen on {server.host}:{server.port}: {error.strerror}. "
            "Stop what uses the port, or choose another with --port."
        ) from error


def _with_port(settings: config.Settings, port: int) -> config.Settings:
    return config.replace(settings, server={"port": port})


def _make_folder(data: Path) -> None:
    try:
        data.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise config.SettingsError(
            f"The data folder {data} cannot be made: {error.strerror}. Choose another with --data."
        ) from error


def _with_reference(settings: config.Settings) -> config.Settings:
    """The demo's own node yields to volunteers and checks them, unless others were named."""
    if settings.scheduling.reference_wallets:
        return settings
    reference = load_or_create(settings.data / "reference-node.json")
    return config.replace(settings, scheduling={"reference_wallets": (str(reference.pubkey()),)})


#: After the drain, for all that is still open: requests, background work, the books.
END_S = 10


class Server(uvicorn.Server):
    """Drains before it stops: uvicorn alone would cut every node's socket at once."""

    def __init__(self, config: uvicorn.Config, app: Starlette, ready_file: Path | None) -> None:
        super().__init__(config)
        self._app = app
        self._ready_file = ready_file
        self._draining: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        if self._ready_file is not None and self.started:
            url = self._app.state.settings.url
            text = json.dumps({"url": url, "pid": os.getpid()})
            temporary = self._ready_file.with_suffix(".tmp")
            temporary.write_text(text)
            temporary.replace(self._ready_file)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first signal drains, a second one stops at once."""
        if self._loop is None or self._draining is not None or not self.started:
            _end_within(END_S)
            super().handle_exit(sig, frame)
            return
        _end_within(self._app.state.settings.server.drain_s + END_S)
        self._draining = self._loop.create_task(self._drain_and_stop())

    async def _drain_and_stop(self) -> None:
        try:
            await self._app.state.services.coordinator.drain()
        finally:
            self.should_exit = True


def _end_within(seconds: float) -> None:
    """Have the system end this process then, by SIGALRM, whatever it hangs in: a database or a
    disk that does not answer. All that matters is durable, so this is a power cut at worst."""
    left, _ = signal.getitimer(signal.ITIMER_REAL)
    signal.setitimer(signal.ITIMER_REAL, min(left or seconds, seconds))


def _run(
    app: Starlette,
    settings: config.Settings,
    listener: socket.socket,
    ready_file: Path | None,
) -> None:
    options = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        loop="auto",
        http="httptools",
        ws="websockets-sansio",
        # A few bytes over our own limit, so that ours is the one that explains itself.
        ws_max_size=MAX_FRAME + 1024,
        # Random weights and vectors do not compress, and 35 KiB per idle socket would go.
        ws_per_message_deflate=False,
        ws_ping_interval=settings.limits.node_idle_s / 3,
        ws_ping_timeout=settings.limits.node_idle_s / 3,
        proxy_headers=bool(settings.server.proxies),
        forwarded_allow_ips=settings.server.proxies or None,
        timeout_graceful_shutdown=3,
        server_header=False,
        date_header=False,
    )
    click.echo(f"Tabgrid serves {settings.url}", err=True)
    Server(options, app, ready_file).run([listener])


# uvicorn raises the signal again when it is done; ending by SIGTERM is a success here.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
