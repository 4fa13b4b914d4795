"""./build/demo: set up, then become `tabgrid demo`."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from set_up.checkout import Checkout
from set_up.environment import prepare
from set_up.node import prepare_bundles
from set_up.report import say
from set_up.stamps import only_one


def options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="./build/demo",
        description="Set everything up on a fresh machine, then run the whole grid here: "
        "a local chain, the coordinator and a reference node. Ctrl-C stops them all.",
    )
    parser.add_argument("--port", type=int, default=8402, help="where it serves (default 8402)")
    parser.add_argument("--data", type=Path, help="folder for all it keeps (default .tabgrid)")
    parser.add_argument("--no-browser", action="store_true", help="do not open a browser")
    parser.add_argument(
        "--ready-file", type=Path, help="JSON with url, api_key, data, pid; written once it serves"
    )
    parser.add_argument("--set-up-only", action="store_true", help="set up, and start nothing")
    parsed = parser.parse_args(arguments)
    if not 0 <= parsed.port <= 65535:
        parser.error(f"--port {parsed.port}: a port is a number from 0 to 65535")
    return parsed


def main(root: Path, arguments: Sequence[str]) -> int:
    asked = options(arguments)
    started = time.monotonic()
    checkout = Checkout(root)
    if asked.ready_file:
        asked.ready_file.unlink(missing_ok=True)  # nobody must read the last run's
    say("Setting up (what is done already is skipped)")
    with only_one(checkout.state):
        prepare(checkout, "demo")
        prepare_bundles(checkout)
    say(f"Set up in {time.monotonic() - started:.1f} s")
    if not asked.set_up_only:
        become(command(checkout, asked))
    return 0


def command(checkout: Checkout, asked: argparse.Namespace) -> list[str]:
    """The `tabgrid demo` that was asked for, with paths that hold from any folder."""
    data = (asked.data or checkout.root / ".tabgrid").absolute()
    line = [str(checkout.bin("tabgrid")), "demo", "--port", str(asked.port), "--data", str(data)]
    if asked.ready_file:
        line += ["--ready-file", str(asked.ready_file.absolute())]
    if asked.no_browser:
        line.append("--no-browser")
    return line


def become(line: list[str]) -> NoReturn:
    """Go on as that program, under the same process id: whoever started us stops the right one."""
    os.execv(line[0], line)  # noqa: S606 - no shell is wanted
