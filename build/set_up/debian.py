"""Programs that come from the operating system: Chromium and PostgreSQL, for the tests."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from set_up.checkout import Checkout
from set_up.process import run
from set_up.report import Failed, Step, timed

CHROMIUMS = (
    "chromium",
    "chromium-browser",
    "chromium-headless-shell",
    "google-chrome",
    "google-chrome-stable",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)
#: Package lists older than this name versions that the mirror may have dropped.
LISTS_FRESH_S = 24 * 3600


def find_chromium() -> str | None:
    """CHROMIUM_PATH, else the first Chromium here that starts."""
    for name in (os.environ.get("CHROMIUM_PATH", ""), *CHROMIUMS):
        path = shutil.which(name) if name else None
        if path and _starts(path):
            return path
    return None


def _starts(path: str) -> bool:
    """Ubuntu's chromium-browser is a script that asks for a snap; it does not count."""
    try:
        asked = subprocess.run(
            [path, "--version"], capture_output=True, timeout=30, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return asked.returncode == 0


def find_postgres() -> Path | None:
    """The folder with `postgres` and `initdb`; Debian keeps it off PATH, by version."""
    on_path = shutil.which("initdb")
    if on_path and shutil.which("postgres"):
        return Path(on_path).resolve().parent
    versions = Path("/usr/lib/postgresql")
    found = sorted(versions.glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return found[-1].parent if found else None


def prepare_chromium(checkout: Checkout) -> str | None:
    """Chromium's path; installs Debian's where we may; None where there is none to be had."""
    found = find_chromium()
    if found or not _may_install():
        return found
    with timed("Installing Chromium (for the browser tests)") as step:
        try:
            _apt_install(step, checkout, ["chromium"])
        except Failed:
            step.detail = "not among this system's packages"
    return find_chromium()


def prepare_postgres(checkout: Checkout) -> Path | None:
    """PostgreSQL's folder of programs, likewise."""
    found = find_postgres()
    if found or not _may_install():
        return found
    with timed("Installing PostgreSQL (for the store's tests)") as step:
        _apt_install(step, checkout, ["postgresql"])
    return find_postgres()


def _may_install() -> bool:
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def _apt_install(step: Step, checkout: Checkout, packages: Sequence[str]) -> None:
    env = {"DEBIAN_FRONTEND": "noninteractive"}
    log = checkout.log("apt")

    def progress(line: str) -> None:
        if line.startswith(("Get:", "Unpacking ", "Setting up ")):
            step.detail = " ".join(line.split()[:3])[:50]

    if not _lists_are_fresh():
        update = ["apt-get", "update"]
        run(step, update, cwd=checkout.root, env=env, log=log, on_line=progress)
    install = ["apt-get", "install", "-y", "--no-install-recommends", *packages]
    run(step, install, cwd=checkout.root, env=env, log=log, on_line=progress)


def _lists_are_fresh() -> bool:
    lists = list(Path("/var/lib/apt/lists").glob("*_Packages*"))
    newest = max((path.stat().st_mtime for path in lists), default=0.0)
    return time.time() - newest < LISTS_FRESH_S
