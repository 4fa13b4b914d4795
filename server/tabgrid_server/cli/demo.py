"""`tabgrid demo`: a whole grid on this machine, on embedded defaults."""

from __future__ import annotations

import asyncio
import fcntl
import http.client
import json
import os
import signal
import socket
import sys
import threading
import time
import webbrowser
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from tabgrid_server import settings as config
from tabgrid_server.cli.supervise import Program, SuperviseError, Supervisor

HOST = "127.0.0.1"


@dataclass(frozen=True)
class Plan:
    """Where everything is."""

    port: int
    chain_port: int
    data: Path

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def rpc(self) -> str:
        return f"http://{HOST}:{self.chain_port}"

    def program(self, name: str, *arguments: str) -> Program:
        """A `tabgrid` command that ends with us, its ready file and its log."""
        file = name.lower().replace(" ", "-")
        ready = self.data / "run" / f"{file}.json"
        head = (sys.executable, "-m", "tabgrid_server", "--end-with-stdin")
        command = (*head, *arguments, "--ready-file", str(ready))
        return Program(name, command, ready, self.data / "logs" / f"{file}.log")

    def chain(self) -> Program:
        where = ("--port", str(self.chain_port), "--data", str(self.data / "chain"))
        return self.program("Local chain", "localnet", *where)

    def coordinator(self) -> Program:
        where = ("--port", str(self.port), "--data", str(self.data), "--rpc", self.rpc)
        return self.program("Coordinator", "serve", *where, "--demo")

    def node(self) -> Program:
        wallet = ("--keypair", str(self.data / "reference-node.json"), "--create")
        cache = ("--cache", str(self.data / "node-cache"))
        offered = config.load_demo(None, os.environ).grids
        grids = [part for grid in offered for part in ("--grid", grid)]
        return self.program("Reference node", "node", *wallet, *cache, *grids, "--url", self.url)


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), default=8402, show_default=True)
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for all it keeps.  [default: .tabgrid in a checkout, else ~/.local/share/tabgrid]",
)
@click.option("--no-browser", is_flag=True, help="Do not open a browser.")
@click.option(
    "--ready-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write url, api_key, data and pid there, as JSON, once it serves.",
)
def demo(port: int, data: Path | None, no_browser: bool, ready_file: Path | None) -> None:
    """Run a whole grid here: chain, coordinator, reference node.

    Ctrl-C stops all of it. What it keeps (ledger, keys, chain) is in the data folder, and the
    next start goes on from there.
    """
    started = time.monotonic()
    folder = (data or default_data(os.environ)).absolute()
    with _own(folder):
        plan = Plan(*_two_ports(port), folder)
        open_page = not no_browser and has_screen(os.environ, sys.platform)
        _remove(ready_file)
        try:
            code = asyncio.run(_run(plan, started, ready_file, open_page=open_page))
        finally:
            _remove(ready_file)
    raise SystemExit(code)


def default_data(environ: Mapping[str, str]) -> Path:
    """.tabgrid in the checkout that this runs from; else the user's data folder."""
    checkout = Path(__file__).resolve().parents[3]
    if (checkout / "pyproject.toml").exists():
        return checkout / ".tabgrid"
    home = environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(home) / "tabgrid"


def has_screen(environ: Mapping[str, str], platform: str) -> bool:
    """Whether a browser that we open would be seen."""
    if platform == "darwin":
        return "SSH_CONNECTION" not in environ
    return bool(environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY"))


@contextmanager
def _own(data: Path) -> Iterator[None]:
    """Hold the data folder: two coordinators over one ledger would both be wrong."""
    try:
        data.mkdir(parents=True, exist_ok=True)
        lock = (data / "demo.lock").open("a+")
    except OSError as refused:
        raise click.ClickException(
            f"Cannot write to the data folder {data} ({refused.strerror}): "
            "make it writable, or choose another with --data."
        ) from refused
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as held:
            raise click.ClickException(
                f"Another demo runs on {data}: stop that, or choose another with --data."
            ) from held
        yield


def _two_ports(port: int) -> tuple[int, int]:
    """``port``, or a free one where it is 0, and another free one for the chain.

    Both are held until both are known: the system may give one that was let go out again.
    """
    with socket.socket() as first, socket.socket() as second:
        first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            first.bind((HOST, port))
        except OSError as taken:
            raise click.ClickException(
                f"Port {port} is in use, perhaps by another demo: stop that, "
                "or choose another with --port."
            ) from taken
        second.bind((HOST, 0))
        return first.getsockname()[1], second.getsockname()[1]


async def _run(plan: Plan, started: float, ready_file: Path | None, *, open_page: bool) -> int:
    """Start all, tell where it is, keep it running until a signal. Returns the exit code."""
    supervisor = Supervisor(click.echo)
    task = asyncio.current_task()
    assert task is not None
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    code = 0
    try:
        key = await _start(supervisor, plan)
        _tell(plan, key, time.monotonic() - started)
        if ready_file:
            _write_ready(ready_file, plan, key)
        if open_page:  # in a thread of its own: some browsers return only when closed
            threading.Thread(target=webbrowser.open, args=(plan.url,), daemon=True).start()
        await supervisor.watch()
    except asyncio.CancelledError:
        click.echo("Stopping …")
    except (SuperviseError, ExceptionGroup) as error:
        click.echo(f"Error: {_sentence(error)}", err=True)
        code = 1
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, supervisor.kill)  # asked twice: now
        await supervisor.stop()
    return code


def _sentence(error: Exception) -> str:
    if isinstance(error, ExceptionGroup):
        first = error.exceptions[0]
        if not isinstance(first, SuperviseError):
            raise error
        return str(first)
    return str(error)


async def _start(supervisor: Supervisor, plan: Plan) -> str:
    """Chain, coordinator, node; returns a demo key with credit once a job could run."""
    chain = await supervisor.start(plan.chain())
    coordinator = await supervisor.start(plan.coordinator())  # waits for the chain by itself
    await chain.ready()
    click.echo("  Local chain … ok")
    await coordinator.ready()
    click.echo("  Coordinator … ok")
    node = await supervisor.start(plan.node())
    key = await asyncio.to_thread(make_key, plan.port)
    await node.ready()
    click.echo("  Reference node … ok")
    return key


def make_key(port: int) -> str:
    """A new key with the grid's demo credit, through the API as anybody would."""
    connection = http.client.HTTPConnection(HOST, port, timeout=30)
    try:
        connection.request(
            "POST", "/api/keys", json.dumps({"label": "demo"}), {"content-type": "application/json"}
        )
        response = connection.getresponse()
        told: dict[str, Any] = json.loads(response.read())
    except (OSError, ValueError) as error:
        raise SuperviseError(f"The coordinator did not answer: {error}") from error
    finally:
        connection.close()
    if response.status != 201:
        raise SuperviseError(f"The coordinator made no key: {told['error']['message']}")
    return str(told["key"])


def _tell(plan: Plan, key: str, seconds: float) -> None:
    click.echo(
        f"\nTabgrid serves after {seconds:.1f} s\n\n"
        f"  Pages        {plan.url}\n"
        f"  API          {plan.url}/v1   key {key}\n"
        f"  Local chain  {plan.rpc}\n"
        f"  Data         {plan.data}   (logs in logs/)\n\n"
        "Ctrl-C stops it."
    )


def _remove(ready_file: Path | None) -> None:
    """A ready file says that the grid serves, so it must not be there while it does not."""
    if ready_file:
        ready_file.unlink(missing_ok=True)


def _write_ready(file: Path, plan: Plan, key: str) -> None:
    """Whole or not at all: whoever waits for the file may read it at once."""
    told = {"url": plan.url, "api_key": key, "data": str(plan.data), "pid": os.getpid()}
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    draft.write_text(json.dumps(told))
    draft.replace(file)
