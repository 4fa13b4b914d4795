"""`tabgrid bench`: measure this build on this machine, each figure beside a baseline."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from ..bench.report import show
from ..library import CHECKOUT

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
SOME = click.IntRange(1)
PICTURE_PARTS = ("wasm", "webgpu", "grid")


@click.group()
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
@click.pass_context
def bench(context: click.Context, as_json: bool) -> None:
    """Measure this machine and this build, beside a baseline.

    Machines are noisy: read the ratios, which are taken within one run.
    """
    context.obj = as_json


@bench.command()
@click.option("--seconds", default=8.0, show_default=True, help="Of each measurement.")
@click.option("--nodes", default="8,64", show_default=True, help="Numbers of nodes.")
@click.option("--database", default="", help="SQLAlchemy URL of an empty database.")
@click.pass_obj
def dispatch(as_json: bool, seconds: float, nodes: str, database: str) -> None:
    """Durable no-op jobs per second, and the latency that the grid adds."""
    from ..bench.dispatch import run

    counts = tuple(int(count) for count in nodes.split(","))
    show(run(seconds, counts, database), as_json)


@bench.command()
@click.option("--nodes", default="1000,5000", show_default=True, help="Numbers of idle nodes.")
@click.pass_obj
def sockets(as_json: bool, nodes: str) -> None:
    """Memory per idle node, and whether any is dropped."""
    from ..bench.sockets import run

    show(run(tuple(int(count) for count in nodes.split(","))), as_json)


@bench.command()
@click.option("--seconds", default=30.0, show_default=True, help="Of the whole measurement.")
@click.option("--threads", default=0, help="Of onnxruntime; 0: as it chooses.")
@click.option("--model", default="all-MiniLM-L6-v2", show_default=True, help="In models/library.")
@click.pass_obj
def native(as_json: bool, seconds: float, threads: int, model: str) -> None:
    """A job's whole way through the native node, beside a bare onnxruntime loop."""
    from ..bench.native import run

    show(run(seconds, threads, model), as_json)


@bench.command()
@click.option("--seconds", default=20.0, show_default=True, help="Of each batch size.")
@click.option("--threads", default=0, help="Of WebAssembly; 0: as the tab chooses.")
@click.pass_obj
def tab(as_json: bool, seconds: float, threads: int) -> None:
    """A job in a browser's tab, beside plain ONNX Runtime Web and transformers.js; start-up."""
    with _browser():
        from ..bench.tab import run
    show(run(seconds, threads), as_json)


@bench.command()
@click.option("--library", type=FOLDER, default=CHECKOUT, show_default="the checkout's")
@click.option("--model", default="tabgrid-scenes", show_default=True, help="In the library.")
@click.option(
    "--part",
    "parts",
    type=click.Choice(PICTURE_PARTS),
    multiple=True,
    default=PICTURE_PARTS,
    show_default="all",
    help="What to measure; may be given twice.",
)
@click.option("--threads", default=0, help="Of every contender; 0: as the tab chooses.")
@click.option("--repeats", default=9, show_default=True, type=SOME, help="Turns of each, on WASM.")
@click.option("--steps", default=0, help="Of a picture on WASM; 0: the model's own.")
@click.option("--webgpu-repeats", default=3, show_default=True, type=SOME, help="On WebGPU.")
@click.option("--webgpu-steps", default=3, show_default=True, help="Of a picture on WebGPU.")
@click.pass_obj
def pictures(as_json: bool, /, **options: Any) -> None:
    """A picture in a browser's tab: time, bytes read back, memory; and through a whole grid.

    Beside the same files run by plain JavaScript on ONNX Runtime Web and by onnxruntime.
    Without a graphics card WebGPU runs on the CPU and takes minutes.
    """
    with _browser():
        from ..bench.picture_setting import Options
        from ..bench.pictures import run
    show(run(Options(**options)), as_json)


@bench.command()
@click.option("--wallets", default=300, show_default=True, help="Places in the grid.")
@click.option("--jobs", default=3_000, show_default=True, help="That each computes.")
@click.option("--rates", default="0.01,0.03,0.1,0.3,1", show_default=True, help="Of lies.")
@click.option("--cheaters", default=0.3, show_default=True, help="Their share of the places.")
@click.option("--given-up", default=0.0, show_default=True,
              help="Share of drawn checks that no reference gets to.")  # fmt: skip
@click.option("--seed", default=1, show_default=True)
@click.option("--processes", default=0, help="Runs at a time; 0: as many as processors.")
@click.pass_obj
def trust(
    as_json: bool,
    wallets: int,
    jobs: int,
    rates: str,
    cheaters: float,
    given_up: float,
    seed: int,
    processes: int,
) -> None:
    """The trust policy against cheats, in a simulation, beside what others do."""
    from ..bench import trust as simulated

    wanted = [float(rate) for rate in rates.split(",")]
    todo = simulated.plans(seed, wallets, jobs, wanted, cheaters, given_up)
    outcomes = []
    for some in simulated.run_all(todo, processes or os.cpu_count() or 1):
        outcomes += some
        if as_json:
            click.echo("\n".join(simulated.lines(some)))
    if not as_json:
        click.echo("\n".join(simulated.table(outcomes)))


@bench.command()
@click.option("--seconds", default=30.0, show_default=True, help="Of the whole measurement.")
@click.option("--nodes", default=16, show_default=True, type=SOME, help="Honest ones.")
@click.option("--cheats", "count", default=12, show_default=True, type=SOME,
              help="Of six kinds, by turns.")  # fmt: skip
@click.pass_obj
def cheats(as_json: bool, seconds: float, nodes: int, count: int) -> None:
    """What honest work waits longer for while others flood, lie, replay, refuse and sit on jobs.

    Beside a grid without them, turn by turn in one run.
    """
    from ..bench.cheats import run

    show(run(seconds, nodes, count), as_json)


@bench.command()
@click.option("--claims", "count", default=400, show_default=True, type=click.IntRange(8),
              help="Claims for the rates.")  # fmt: skip
@click.option("--open", "open_claims", default=100_000, show_default=True, type=click.IntRange(2),
              help="Claims that are open at the restart.")  # fmt: skip
@click.option("--database", default="", help="SQLAlchemy URL of an empty database.")
@click.pass_obj
def claims(as_json: bool, count: int, open_claims: int, database: str) -> None:
    """Claims per second on the local chain beside bare LiteSVM, and a restart with many open."""
    from ..bench.claims import run

    show(run(count, open_claims, database), as_json)


@bench.command()
@click.option("--minutes", default=10.0, show_default=True, help="A round of one is finished.")
@click.pass_obj
def chaos(as_json: bool, minutes: float) -> None:
    """Kill, lie to and fork claims by schedules that were never played; fuzz what is signed."""
    from ..bench.chaos import run

    show(run(minutes), as_json)


@contextmanager
def _browser() -> Iterator[None]:
    """For the imports of a bench that drives one."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise click.ClickException(
            f"This bench drives a browser and needs {error.name}; run ./build/test once."
        ) from error
