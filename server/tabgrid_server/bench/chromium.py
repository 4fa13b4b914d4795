"""Headless Chromium on a page of a real coordinator, for the benches of the tab."""

from __future__ import annotations

import json
import runpy
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from playwright.sync_api import BrowserContext, Error, Page, Playwright, Route

from ..library import CHECKOUT
from ..middleware import HEADERS
from ..static_files import DIST

ROOT = CHECKOUT.parents[1]
#: Where the bench's scripts appear beside the coordinator's own files.
SCRIPTS = "/bench/"
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


def build_scripts(folder: Path) -> None:
    """Bundle web/src/bench, with what it compares, into ``folder``."""
    node = shutil.which("node") or str(ROOT / ".venv/bin/node")
    command = [node, str(ROOT / "browser_node/web/bundle/bench.mjs"), str(folder)]
    try:
        subprocess.run(command, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise click.ClickException(
            "The bench's scripts cannot be built; run npm ci --ignore-scripts in browser_node/."
        ) from error
    # The node's own worker, with the loopback before it.
    worker = f'import "{SCRIPTS}loopback.js";\nimport "{assets()["worker.js"]}";\n'
    (folder / "node.js").write_text(worker)


def serve_scripts(context: BrowserContext, folder: Path) -> None:
    """Answer ``/bench/…`` from ``folder`` under the coordinator's own headers."""
    headers = {name.decode(): value.decode() for name, value in HEADERS}

    def answer(route: Route) -> None:
        file = folder / route.request.url.rpartition(SCRIPTS)[2]
        kind = "application/wasm" if file.suffix == ".wasm" else "text/javascript"
        route.fulfill(body=file.read_bytes(), content_type=kind, headers=headers)

    context.route(f"**{SCRIPTS}*", answer)
