"""How long a tab takes to `ready`, and what it fetches: a first visit and a second.

The visits are of one browser profile, closed in between. The clock starts when the page makes
the node's worker; the coordinator, the sign-in and the socket are real.
"""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
from playwright.sync_api import BrowserContext, Page, Playwright
from solders.keypair import Keypair

from . import chromium
from .client import sign_in
from .report import Figure

AIM = "≤ 2.5 s"
GRID = "bench"
COOKIE = "tabgrid_session"

#: Makes the worker and keeps what it says, with the milliseconds since then.
BEGIN = """([script, assets]) => {
  const told = window.told = [], began = performance.now();
  const worker = window.worker = new Worker(script, { type: "module" });
  worker.onmessage = ({ data }) => told.push({ at: performance.now() - began, ...data });
  worker.postMessage({ kind: "init", forceBackend: "wasm", assets });
  worker.postMessage({ kind: "identity" });
}"""
SAY = "message => window.worker.postMessage(message)"
IDENTITY = "() => window.told.find(({ kind }) => kind === 'identity')"
END = """() => window.told.some(({ kind, status }) =>
  kind === "fatal" || kind === "duplicate" || ["ready", "stopped"].includes(status?.state))"""
#: Bytes that the worker took from the network, headers included; 0 for what was kept.
RESOURCES = """() => performance.getEntriesByType("resource")
  .map(({ name, transferSize }) => [name, transferSize])"""

#: What is counted together, by its address.
PARTS = {
    "Python": re.compile(r"/(pyodide|tab)\."),
    "ONNX Runtime": re.compile(r"/ort/"),
    "weights": re.compile(r"/weights/"),
}
REST = "scripts and the rest"


def start_up(playwright: Playwright, url: str, folder: Path) -> list[Figure]:
    """Figures of both visits."""
    wallet = Keypair()
    figures = []
    for visit in ("first", "second"):
        with chromium.profile(playwright, folder) as context:
            page = chromium.open_page(context, url)
            told = become_ready(page, context, url, wallet)
            seconds, sizes = _seconds(told), _sizes(page)
        figures += _figures(visit, seconds, sizes)
    return figures


def become_ready(
    page: Page, context: BrowserContext, url: str, wallet: Keypair, threads: int = 0
) -> list[dict[str, Any]]:
    """Sign in unless this profile is, start, wait: what the worker said.

    ``threads`` 0: as many as the tab takes by itself. Raises ClickException where the node
    does not become ready.
    """
    assets = chromium.assets()
    page.evaluate(BEGIN, [assets["worker.js"], assets])
    if not any(cookie.get("name") == COOKIE for cookie in context.cookies(url)):
        identity = page.wait_for_function(IDENTITY).json_value()
        token = _sign_in(url, wallet, identity["workerKey"], identity["deviceId"])
        context.add_cookies([{"name": COOKIE, "value": token, "url": url, "expires": 4e9}])
    start = {"kind": "start", "grids": [GRID], "wallet": str(wallet.pubkey())}
    page.evaluate(SAY, start | ({"settings": {"threads": threads}} if threads else {}))
    page.wait_for_function(END)
    told: list[dict[str, Any]] = page.evaluate("window.told")
    if told[-1].get("status", {}).get("state") != "ready":
        raise click.ClickException(f"The tab did not become ready: {told[-1]}")
    return told


def _sign_in(url: str, wallet: Keypair, worker_key: str, device: str) -> str:
    """In a thread of its own: Playwright's loop runs in this one."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, sign_in(url, wallet, worker_key, device)).result()


def _seconds(told: list[dict[str, Any]]) -> dict[str, float]:
    """Part to the seconds after which it was done, in order."""
    found: dict[str, float] = {}
    for message in told:
        if message["kind"] == "boot" and message["done"]:
            found[message["part"]] = message["at"] / 1000
        elif message["kind"] == "status":
            text, state = message["status"]["message"], message["status"]["state"]
            if text.startswith("Downloading"):
                found["weights"] = message["at"] / 1000
            elif text.startswith("Testing"):
                found["session"] = message["at"] / 1000
            elif state == "ready":
                found.setdefault("ready", message["at"] / 1000)
    return found


def _sizes(page: Page) -> dict[str, int]:
    """Part to bytes on the wire."""
    name = urlsplit(chromium.assets()["worker.js"]).path
    [worker] = [one for one in page.workers if one.url.endswith(name)][:1]
    sizes = dict.fromkeys([*PARTS, REST], 0)
    for address, size in worker.evaluate(RESOURCES):
        part = next((part for part, is_in in PARTS.items() if is_in.search(address)), REST)
        sizes[part] += size
    return sizes


def _figures(visit: str, seconds: dict[str, float], sizes: dict[str, int]) -> list[Figure]:
    steps = ", ".join(f"{part} {at:.2f}" for part, at in seconds.items() if part != "ready")
    parts = ", ".join(f"{part} {size / 1e6:.2f}" for part, size in sizes.items())
    aim = AIM if visit == "second" else ""
    return [
        Figure("tab", f"{visit} visit: to ready", seconds["ready"], "s", aim=aim, note=steps),
        Figure("tab", f"{visit} visit: on the wire", sum(sizes.values()) / 1e6, "MB", note=parts),
    ]
