"""Headless Chromium on a page of a real coordinator, for the benches of the tab."""

from __future__ import annotations

import json
import runpy
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from playwright.sync_api import BrowserContext, Error, Page, Playwright

from ..library import CHECKOUT
from ..static_files import DIST

ROOT = CHECKOUT.parents[1]
#: Any page of the coordinator carries its headers; this one loads nothing else.
EMPTY_PAGE = "/healthz"


@contextmanager
def profile(playwright: Playwright, folder: Path) -> Iterator[BrowserContext]:
    """A browser with the profile in ``folder``, kept for the next one."""
    config: dict[str, Any] = runpy.run_path(str(ROOT / "playwright.config.py"))
    found = next((path for path in config["EXECUTABLES"] if Path(path).exists()), None)
    try:
        context = playwright.chromium.launch_persistent_context(
            folder, executable_path=found, args=list(config["ARGUMENTS"])
        )
    except Error as error:
        raise click.ClickException(
            f"Chromium does not start ({error.message.splitlines()[0]})."
        ) from error
    context.set_default_timeout(config["SLOW_TIMEOUT_MS"])
    try:
        yield context
    finally:
        context.close()


def open_page(context: BrowserContext, url: str) -> Page:
    page = context.new_page()
    page.goto(url + EMPTY_PAGE)
    if not page.evaluate("crossOriginIsolated"):
        raise click.ClickException("The coordinator's pages are not isolated: no threads.")
    return page


def assets() -> dict[str, str]:
    """Logical name to URL of what ./build/web made."""
    try:
        names: dict[str, str] = json.loads((DIST / "manifest.json").read_text())
    except FileNotFoundError as error:
        raise click.ClickException("The pages are not built; run ./build/demo once.") from error
    return {logical: f"/static/dist/{name}" for logical, name in names.items()}


@contextmanager
def scripts() -> Iterator[str]:
    """The address of web/src/bench, bundled with what it compares, while the block runs.

    The coordinator itself serves them, from a folder beside its own files: what Playwright
    answers in a server's place never reaches the threads that a worker starts.
    """
    assets()  # says what to do where DIST is not there
    with tempfile.TemporaryDirectory(prefix="bench-", dir=DIST) as folder:
        address = f"/static/dist/{Path(folder).name}/"
        _bundle(folder)
        # The node's own worker, with the loopback before it.
        worker = f'import "{address}loopback.js";\nimport "{assets()["worker.js"]}";\n'
        Path(folder, "node.js").write_text(worker)
        yield address


def _bundle(folder: str) -> None:
    node = shutil.which("node") or str(ROOT / ".set-up/node/bin/node")
    command = [node, str(ROOT / "browser_node/web/bundle/bench.mjs"), folder]
    try:
        subprocess.run(command, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise click.ClickException(
            "The bench's scripts cannot be built; run npm ci --ignore-scripts in browser_node/."
        ) from error
