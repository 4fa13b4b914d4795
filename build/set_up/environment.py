"""Python environments from lock files: .venv for everything, .venv-export for torch alone."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from set_up.checkout import Checkout
from set_up.process import run
from set_up.report import Failed, Step, timed
from set_up.stamps import fingerprint

#: The steps that fill an environment: to be done again when it is made anew.
CONTENTS = {".venv": ("lock-demo", "lock-test", "ourselves"), ".venv-export": ("lock-export",)}


def prepare(checkout: Checkout, lock: str) -> None:
    """Make .venv hold the lock's packages and our own, editable.

    `test` holds all that `demo` does (a test compares them), so after `test` there is
    nothing left to do for `demo`.
    """
    _make_environment(checkout, ".venv", sys.executable)
    wanted = fingerprint(checkout.lock(lock))
    if not checkout.stamps.done(f"lock-{lock}", wanted):
        with timed("Installing Python packages") as step:
            install_lock(step, checkout, ".venv", lock)
        checkout.stamps.finish(f"lock-{lock}", wanted)
        if lock == "test":
            checkout.stamps.finish("lock-demo", fingerprint(checkout.lock("demo")))
    _install_ourselves(checkout)


def _make_environment(checkout: Checkout, name: str, python: str) -> None:
    home = checkout.root / name
    if _works(home):
        return
    with timed(f"Making the Python environment {name}") as step:
        shutil.rmtree(home, ignore_errors=True)
        checkout.stamps.forget(*CONTENTS[name])
        command = [python, "-m", "venv", str(home)]
        run(step, command, cwd=checkout.root, log=checkout.log(f"environment{name}"))


def _works(home: Path) -> bool:
    """Whether the environment is whole: its interpreter still there and new enough, pip (made
    last) in it, and the folder not moved since, for scripts name their interpreter."""
    try:
        about = (home / "pyvenv.cfg").read_text()
        pip = (home / "bin" / "pip").read_text()
    except OSError:
        return False
    version = re.search(r"^version\s*=\s*(\d+)\.(\d+)", about, flags=re.MULTILINE)
    recent = version is not None and (int(version[1]), int(version[2])) >= (3, 11)
    return recent and str(home) in pip and (home / "bin" / "python").exists()


def install_lock(
    step: Step, checkout: Checkout, environment: str, lock: str, *, target: Path | None = None
) -> None:
    """pip install of a lock file, every file checked against its hash.

    Into `target`, a folder, if given; else into the environment itself.
    """
    file = checkout.lock(lock)
    total = len(re.findall(r"^[A-Za-z0-9]", file.read_text(), flags=re.MULTILINE))
    seen = 0

    def progress(line: str) -> None:
        nonlocal seen
        if line.startswith(("Collecting ", "Requirement already satisfied: ")):
            seen += 1
            step.detail = f"{seen} of {total}"
        elif line.startswith("Installing collected packages"):
            step.detail = f"{total} of {total}, unpacking"

    pip = [checkout.bin("python", environment), "-m", "pip", "install", "--progress-bar=off"]
    where = ["--target", str(target)] if target else []
    run(
        step,
        [*pip, *where, "--no-deps", "--require-hashes", "-r", str(file)],
        cwd=checkout.root,
        log=checkout.log(f"pip-{lock}"),
        on_line=progress,
    )


def _install_ourselves(checkout: Checkout) -> None:
    """The packages of this checkout, editable: needs no network, so it is told not to try."""
    told = tomllib.loads((checkout.root / "pyproject.toml").read_text())
    inputs = fingerprint(str((told["build-system"], told["project"], told["tool"]["hatch"])))
    if checkout.stamps.done("ourselves", inputs):
        return
    with timed("Installing tabgrid") as step:
        pip = [checkout.bin("python"), "-m", "pip", "install", "--no-deps", "--no-index"]
        command = [*pip, "--no-build-isolation", "-e", "."]
        run(step, command, cwd=checkout.root, log=checkout.log("pip-tabgrid"))
    checkout.stamps.finish("ourselves", inputs)


#: CPU builds of this torch exist for CPython 3.11 only, so the export tools have their
#: own environment and everything else stays free to use a newer Python.
TORCH = "torch==2.13.0"


def prepare_export(checkout: Checkout) -> None:
    """Make .venv-export: torch (CPU) first, then the export tools over it."""
    name = ".venv-export"
    inputs = fingerprint(TORCH, checkout.lock("export"))
    if checkout.stamps.done("lock-export", inputs) and _works(checkout.root / name):
        return
    candidates = (sys.executable, shutil.which("python3.11"), "/usr/bin/python3.11")
    python = next((each for each in candidates if each and _is_3_11(each)), None)
    if python is None:
        raise Failed(
            "The model export tests need CPython 3.11 as python3.11; install it, "
            "or run ./build/test without --export."
        )
    checkout.stamps.forget("lock-export")
    _make_environment(checkout, name, python)
    with timed("Installing torch and the export tools") as step:
        pip = [checkout.bin("python", name), "-m", "pip", "install", "--progress-bar=off"]
        log = checkout.log("pip-torch")
        step.detail = TORCH
        run(step, [*pip, TORCH], cwd=checkout.root, log=log)
        install_lock(step, checkout, name, "export")
    checkout.stamps.finish("lock-export", inputs)


def _is_3_11(python: str) -> bool:
    asked = [python, "-c", "import sys; sys.exit(sys.version_info[:2] != (3, 11))"]
    try:
        return subprocess.run(asked, capture_output=True, check=False).returncode == 0
    except OSError:
        return False
