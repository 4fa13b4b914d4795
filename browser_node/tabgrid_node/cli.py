"""``tabgrid node``: lend this machine to a grid."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from solders.keypair import Keypair

    from tabgrid_models.calibration import Calibration
    from tabgrid_models.manifest import Manifest

    from .hosts import ModelStanding, NodeStatus, Refusal

#: Told whenever the node's status has changed.
Show = Callable[["NodeStatus"], None]

#: A tab takes one job at a time; several hide the round trip of a fast machine.
CAPACITY = click.IntRange(1, 16)


def default_cache() -> Path:
    """Where programs keep what they can fetch again."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tabgrid"


@click.command()
@click.option(
    "--keypair",
    type=click.Path(path_type=Path),
    help="The wallet that is paid, in a file as solana-keygen writes it.",
)
@click.option("--create", is_flag=True, help="Make the keypair file if there is none.")
@click.option("--url", help="Address of the grid, e.g. http://127.0.0.1:8402.")
@click.option(
    "--grid",
    "grids",
    multiple=True,
    default=("text",),
    show_default=True,
    help="A grid to work for; can be given several times.",
)
@click.option(
    "--threads", type=click.IntRange(0, 256), default=0, help="Processor threads; 0 takes all."
)
@click.option(
    "--capacity", type=CAPACITY, default=1, show_default=True, help="Jobs at the same time."
)
@click.option(
    "--cache",
    type=click.Path(path_type=Path, file_okay=False),
    default=default_cache,
    help="Folder for weights.  [default: ~/.cache/tabgrid]",
)
@click.option("--device", "device_name", default="", help="Name of this device, if it has several.")
@click.option("--domain", default="", help="Domain of the sign-in, where it is not the URL's.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per change of status.")
@click.option(
    "--ready-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write wallet and pid there, as JSON, once it can take jobs.",
)
@click.option(
    "--self-test",
    "library",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Only test the model in this folder on this machine, then end.",
)
def node(
    keypair: Path | None,
    create: bool,
    url: str | None,
    grids: tuple[str, ...],
    ready_file: Path | None,
    library: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Run a native node that earns for a wallet.

    It signs in, loads the grid's models, tests itself, and answers jobs.
    Ctrl-C (or SIGTERM) finishes the running job first; a second one does not.
    """
    if library is not None:
        sys.exit(asyncio.run(test_model(library, options["threads"])))
    if keypair is None or not url:
        raise click.UsageError("--keypair and --url are needed (or --self-test DIR).")
    if not url.startswith(("http://", "https://")):
        raise click.UsageError(f"--url must begin with http:// or https://, not {url!r}.")
    wallet = open_wallet(keypair, create)
    show: Show = show_json if as_json else Lines()
    if ready_file:
        show = WhenReady(ready_file, {"wallet": str(wallet.pubkey()), "pid": os.getpid()}, show)
    sys.exit(asyncio.run(serve(wallet, url, grids, show, **options)))


def open_wallet(path: Path, create: bool) -> Keypair:
    # Here, not above: `tabgrid --help` should load neither solders nor onnxruntime.
    from .keys import KeypairProblem, create_keypair, read_keypair

    try:
        return create_keypair(path) if create and not path.exists() else read_keypair(path)
    except KeypairProblem as error:
        raise click.ClickException(str(error)) from error


async def serve(
    wallet: Keypair,
    url: str,
    grids: tuple[str, ...],
    show: Show,
    *,
    threads: int,
    capacity: int,
    cache: Path,
    device_name: str,
    domain: str,
) -> int:
    """Exit status: 0 stopped by its owner, 1 where the node had to give up."""
    from .hosts import DeviceLost
    from .native import NativeHost
    from .node import Node

    host = NativeHost(
        url,
        wallet,
        cache,
        threads=threads,
        device_name=device_name,
        domain=domain,
        on_status=show,
    )
    node = Node(host, grids, str(wallet.pubkey()), agent=agent(), capacity=capacity)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, node.stop)
    try:
        await node.run()
    except DeviceLost as error:
        raise click.ClickException(str(error)) from error
    finally:
        await host.close()
    return 1 if node.failure else 0


async def test_model(library: Path, threads: int) -> int:
    """Answer the golden inputs of the model in ``library`` with every variant of it."""
    import time

    from tabgrid_models.catalogue import InvalidManifest, connector_of, parse

    from .hosts import CannotRun
    from .native_runtime import NativeRuntime
    from .self_test import self_test

    try:
        manifest = parse((library / "manifest.json").read_bytes())
    except (OSError, InvalidManifest) as error:
        raise click.ClickException(f"There is no model in {library}: {error}") from error
    connector, right = connector_of(manifest), True
    measured = beside(library, manifest, connector.comparator_version)
    for variant in manifest.variants:
        try:
            runtime = NativeRuntime(manifest, variant, library, threads)
            speed = await self_test(manifest, variant, connector, runtime, time.monotonic, measured)
            click.echo(f"{manifest.id} {variant.id}: right, {speed:,.0f} {connector.unit}s/s")
        except CannotRun as error:
            right = False
            click.echo(f"{manifest.id} {variant.id}: {error}")
    return 0 if right else 1


def beside(library: Path, manifest: Manifest, comparator_version: int) -> Calibration | None:
    """What was measured of the model, if anything was, of these very files."""
    from tabgrid_models.calibration import readable

    path = library / "calibration.json"
    found = readable(path.read_bytes()) if path.exists() else None
    return found if found and found.fits(manifest, comparator_version) else None


def agent() -> str:
    from importlib.metadata import version

    return f"tabgrid/{version('tabgrid')}"


def show_json(status: NodeStatus) -> None:
    import msgspec

    click.echo(msgspec.json.encode(status).decode())


class Lines:
    """A plain line when the sentence for the owner changes, when a model turns out not to run
    here, and when the grid has judged."""

    def __init__(self) -> None:
        self._last: tuple[str, str] = ("", "")
        self._refused: dict[str, Refusal] = {}
        self._standings: dict[str, ModelStanding] = {}

    def __call__(self, status: NodeStatus) -> None:
        for model, refusal in status.refused.items():
            if refusal != self._refused.get(model):
                _echo(refusal_words(model, refusal))
        for model, standing in status.standings.items():
            if standing != self._standings.get(model):
                _echo(f"{model} ({standing.unit}) is {standing.state}: {standing.reason}")
        self._refused, self._standings = status.refused, status.standings
        # While jobs run, ready and working alternate many times a second: one line is enough.
        state = "ready" if status.state == "working" else status.state
        message = "" if state == "ready" else status.message
        if (state, message) != self._last:
            self._last = (state, message)
            _echo(f"{status.state}: {status.message}")


def refusal_words(model: str, refusal: Refusal) -> str:
    """As the tab's page says it, and on what that is."""
    if refusal.code == "wrong_numbers":
        return f"{model} ({refusal.unit}) is not supported here. {refusal.reason}"
    return f"{model} ({refusal.unit}) does not run here: {refusal.reason}"


def _echo(text: str) -> None:
    """Of what a grid says no character steers the terminal."""
    shown = "".join(c if c.isprintable() else " " for c in text)
    # Whoever reads this through a pipe may be gone; the node works on.
    with contextlib.suppress(BrokenPipeError):
        click.echo(shown)


class WhenReady:
    """Writes a file, whole or not at all, when the node can take jobs for the first time."""

    def __init__(self, file: Path, told: dict[str, Any], show: Show) -> None:
        self._file, self._told, self._show = file, told, show
        self._written = False

    def __call__(self, status: NodeStatus) -> None:
        if status.state in ("ready", "working") and not self._written:
            draft = self._file.with_name(f".{self._file.name}.{os.getpid()}")
            draft.write_text(json.dumps(self._told))
            draft.replace(self._file)
            self._written = True
        self._show(status)
