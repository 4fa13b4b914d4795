"""Run a program for a step: its output kept in a log, its progress shown, its failure explained."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from set_up.report import Failed, Step

#: What pip, npm and apt print, and the sentence that helps. The first that is found counts.
CAUSES: tuple[tuple[str, str], ...] = (
    (r"No space left on device|ENOSPC", "The disk is full; free some space and run it again"),
    (
        r"DO NOT MATCH THE HASHES|EINTEGRITY",
        "A downloaded file is not the one that the lock file names; clear the cache "
        "(pip cache purge, npm cache clean --force) and run it again, and if it stays so, "
        "do not trust that mirror",
    ),
    (
        r"ensurepip is not available|No module named '?ensurepip",
        "Python cannot make virtual environments here; install its venv module "
        "(Debian, Ubuntu: apt install python3-venv)",
    ),
    (
        r"Temporary failure in name resolution|Name or service not known|nodename nor servname"
        r"|Network is unreachable|No route to host|Connection refused|ConnectTimeout"
        r"|Read timed out|Max retries exceeded|ProxyError|ENOTFOUND|ECONNREFUSED|EAI_AGAIN"
        r"|ETIMEDOUT|Temporary failure resolving|Could not resolve host",
        "The package registry cannot be reached; check the network and the proxy, then run it "
        "again: what is done already is kept",
    ),
    (
        r"\(from versions: none\)",
        "The package registry names no build of a package at all: check that it can be reached "
        "(network, proxy, pip's settings), and that this is CPython 3.11 to 3.14",
    ),
    (
        r"No matching distribution found for",
        "There is no build of a package that is needed for this Python on this machine "
        "(CPython 3.11 to 3.14 on x86-64 or arm64 Linux or macOS have them)",
    ),
    (r"EACCES|Permission denied", "Permission was refused; run it as the owner of this checkout"),
)


def explain(title: str, output: str, log: Path) -> str:
    """One sentence on why a program failed, from what it printed."""
    for pattern, sentence in CAUSES:
        if re.search(pattern, output):
            return f"{sentence}. (Step: {title}; its whole output: {log})"
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    said = next((line for line in reversed(lines) if "rror" in line), lines[-1] if lines else "")
    return f"{title} failed: {said[:300]} (its whole output: {log})"


def run(
    step: Step,
    command: Sequence[str | Path],
    *,
    log: Path,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    on_line: Callable[[str], None] | None = None,
) -> None:
    """Run `command`, its output into `log`; raise Failed with a sentence if it fails."""
    log.parent.mkdir(parents=True, exist_ok=True)
    try:
        process = subprocess.Popen(
            [str(part) for part in command],
            cwd=cwd,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
    except FileNotFoundError as missing:
        raise Failed(f"{step.title}: the program {command[0]} is missing.") from missing
    assert process.stdout is not None
    try:
        with process.stdout, log.open("w", encoding="utf-8") as file:
            for line in process.stdout:
                file.write(line)
                file.flush()
                if on_line:
                    on_line(line)
        code = process.wait()
    finally:
        _end(process)
    if code:
        output = log.read_text(encoding="utf-8", errors="replace")
        raise Failed(explain(step.title, output, log))


def _end(process: subprocess.Popen[str]) -> None:
    """Stopped half-way (Ctrl-C, SIGTERM): leave no installer running behind us."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
