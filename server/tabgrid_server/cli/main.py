"""The `tabgrid` command: starts fast, and helps even where an extra is not installed.

Only click and importlib.metadata are imported here. Each command is an entry point in the
group `tabgrid.commands` and is loaded when it is called, so that a node's container needs
nothing of the server's.
"""

from __future__ import annotations

import importlib.metadata
import os
import signal
import sys
import threading
from collections.abc import Iterator
from typing import NoReturn

import click

GROUP = "tabgrid.commands"
#: Heading -> command -> what it does. Help must not load the commands, so it is said here;
#: a test compares this with each command's own help.
SUMMARIES = {
    "Run a grid": {
        "demo": "Run a whole grid here: chain, coordinator, reference node.",
        "serve": "Run the coordinator: API, pages, scheduler, ledger, payouts.",
        "localnet": "Run a local Solana chain behind JSON-RPC.",
    },
    "Lend a machine": {
        "node": "Run a native node that earns for a wallet.",
    },
    "Operate": {
        "keys": "Make, list and revoke API keys, and add credit.",
        "models": "Export, check and list models.",
        "treasury": "Show what the grid can pay, approve and revoke it, reset the breaker.",
        "report": "Tell what came in, was earned and was paid, day by day.",
        "deposits": "Show what was paid in, assign what is nobody's, give back what is unused.",
        "trust": "Show where nodes stand; clear classes of devices, confirm their bugs.",
        "audit": "Prove that the books balance and the treasury covers what is owed.",
        "bench": "Measure this machine and this build, beside a baseline.",
    },
}
#: The extra that brings what a package imports.
EXTRAS = {"tabgrid_server": "server", "tabgrid_node": "node"}


class Commands(click.Group):
    """A group whose commands are loaded one at a time, when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        known = [name for commands in SUMMARIES.values() for name in commands]
        found = _entry_points()
        others = sorted(set(found) - set(known))
        return [name for name in known if name in found] + others

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = _entry_points().get(cmd_name)
        if entry is None:
            return None
        try:
            command = entry.load()
        except ModuleNotFoundError as missing:
            raise _not_installed(cmd_name, entry, missing) from missing
        assert isinstance(command, click.Command), f"{entry.value} is not a click command"
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for heading, rows in self._sections(ctx):
            with formatter.section(heading):
                formatter.write_dl(rows)

    def _sections(self, ctx: click.Context) -> Iterator[tuple[str, list[tuple[str, str]]]]:
        left = self.list_commands(ctx)
        for heading, summaries in SUMMARIES.items():
            rows = [(name, text) for name, text in summaries.items() if name in left]
            left = [name for name in left if name not in summaries]
            if rows:
                yield heading, rows
        if left:
            yield "Installed beside it", [(name, _entry_points()[name].value) for name in left]


def _entry_points() -> dict[str, importlib.metadata.EntryPoint]:
    return {entry.name: entry for entry in importlib.metadata.entry_points(group=GROUP)}


def _not_installed(
    name: str, entry: importlib.metadata.EntryPoint, missing: ModuleNotFoundError
) -> click.ClickException:
    """A missing third-party package has a remedy; a missing module of ours is a fault."""
    package = (missing.name or "").partition(".")[0]
    extra = EXTRAS.get(entry.value.partition(".")[0])
    if package.startswith("tabgrid") or extra is None:
        raise missing
    return click.ClickException(
        f"`tabgrid {name}` needs the package {package}, which is not installed: "
        f"pip install 'tabgrid[{extra}]'"
    )


def _end_with_standard_input() -> None:
    """Ask this process to stop as soon as standard input ends, in a thread of its own.

    Whoever starts us keeps the other end of that pipe open; if they are killed, the system
    closes it, so that no child outlives its supervisor, on any system.
    """

    def wait() -> None:
        while os.read(sys.stdin.fileno(), 4096):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="standard-input", daemon=True).start()


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 96},
    epilog="`tabgrid COMMAND --help` says more about each.",
)
@click.version_option(package_name="tabgrid", prog_name="tabgrid")
@click.option("--end-with-stdin", is_flag=True, hidden=True, help="Stop when stdin ends.")
def tabgrid(end_with_stdin: bool) -> None:
    """An open compute grid made of browser tabs, on Solana."""
    if end_with_stdin:
        _end_with_standard_input()


def main() -> NoReturn:
    tabgrid(prog_name="tabgrid")
    raise SystemExit(0)
