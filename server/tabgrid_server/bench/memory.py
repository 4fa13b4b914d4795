"""Memory of processes, those of a browser among them (Linux)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

if TYPE_CHECKING:  # not every bench has a browser
    from playwright.sync_api import BrowserContext


class Peak(NamedTuple):
    """Bytes that were resident at once: in the tab, and in the process that serves its GPU."""

    tab: int
    gpu: int


def peak(context: BrowserContext) -> Peak:
    """Since the browser started, which must have one page: its process is the largest."""
    browser = context.browser
    if browser is None:
        raise click.ClickException("This Playwright does not tell the processes of its browser.")
    session = browser.new_browser_cdp_session()
    processes = session.send("SystemInfo.getProcessInfo")["processInfo"]
    session.detach()
    found = {"renderer": 0, "GPU": 0}
    for process in processes:
        if process["type"] in found:
            found[process["type"]] = max(found[process["type"]], high_water(process["id"]))
    return Peak(found["renderer"], found["GPU"])


def high_water(pid: int) -> int:
    """Bytes that a process had resident at its peak."""
    return _status(pid, "VmHWM")


def resident(pid: int) -> int:
    """Bytes that a process has resident now."""
    return _status(pid, "VmRSS")


def _status(pid: int, line: str) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError as error:
        raise click.ClickException("This bench reads /proc and so needs Linux.") from error
    found = re.search(rf"{line}:\s+(\d+) kB", status)
    return int(found[1]) * 1024 if found else 0
