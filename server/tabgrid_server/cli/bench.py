"""`tabgrid bench`: measure this build on this machine, each figure beside a baseline."""

from __future__ import annotations

import click

from ..bench.report import show


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
