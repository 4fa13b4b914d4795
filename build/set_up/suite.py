"""./build/test: set up, then every check, then pytest."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from set_up.checkout import Checkout
from set_up.debian import prepare_chromium, prepare_postgres
from set_up.environment import prepare, prepare_export
from set_up.node import prepare_bundles, prepare_packages
from set_up.report import Failed, error, say
from set_up.stamps import only_one


@dataclass(frozen=True)
class Check:
    """A static check: a program that prints what is wrong and exits non-zero."""

    title: str
    command: tuple[str | Path, ...]
    folder: str = "."


def checks(checkout: Checkout) -> list[Check]:
    """Longest first: two run at a time."""
    tool = checkout.bin
    npx = ("npx", "--no-install")
    return [
        Check("mypy --strict", (tool("mypy"),)),
        Check("tsc", (*npx, "tsc", "--noEmit"), "browser_node"),
        Check("eslint", (*npx, "eslint", "web"), "browser_node"),
        Check("lint-imports", (tool("lint-imports"), "--no-cache")),
        Check("generated files", (tool("python"), "build/generate", "--check")),
        Check("ruff check", (tool("ruff"), "check")),
        Check("ruff format", (tool("ruff"), "format", "--check")),
    ]


def options(arguments: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(
        prog="./build/test",
        description="Set everything up on a fresh machine, then run all checks. "
        "Other arguments go to pytest; with paths or -k, only those tests run.",
    )
    parser.add_argument(
        "--export", action="store_true", help="run the model export tests too (fetches torch)"
    )
    parser.add_argument("--set-up-only", action="store_true", help="set up, and check nothing")
    parser.add_argument("--no-checks", action="store_true", help="pytest alone")
    parser.add_argument("--no-tests", action="store_true", help="the static checks alone")
    return parser.parse_known_args(arguments)


def main(root: Path, arguments: Sequence[str]) -> int:
    asked, for_pytest = options(arguments)
    started = time.time()
    checkout = Checkout(root)
    in_ci = bool(os.environ.get("CI"))
    say("Setting up (what is done already is skipped)")
    with only_one(checkout.state):
        env = set_up(checkout, export=asked.export or in_ci, in_ci=in_ci)
    say(f"Set up in {time.time() - started:.1f} s")
    if asked.set_up_only:
        return 0
    failed = [] if asked.no_checks else run_checks(checkout, env)
    if asked.no_tests:
        return int(bool(failed))
    if failed:
        error(f"These checks failed: {', '.join(failed)}. The tests run all the same.")
    code = run_pytest(checkout, for_pytest, {**env, "BUILD_TEST_STARTED": str(started)})
    if failed:
        error(f"These checks failed, see above: {', '.join(failed)}.")
    return code or int(bool(failed))


def set_up(checkout: Checkout, *, export: bool, in_ci: bool) -> dict[str, str]:
    """Everything the checks need; returns the environment that tells them where it is."""
    prepare(checkout, "test")
    env = prepare_packages(checkout, checks=True)
    prepare_bundles(checkout)
    chromium = prepare_chromium(checkout)
    postgres = prepare_postgres(checkout)
    if in_ci and not (chromium and postgres):
        raise Failed(
            "CI must run every test, but Chromium or PostgreSQL is missing and could not be "
            "installed; run as root on Debian, or install both."
        )
    if export and checkout.lock("export").exists():
        prepare_export(checkout)
    env["CHROMIUM_PATH"] = chromium or ""
    env["POSTGRES_BIN"] = str(postgres or "")
    return env


def run_checks(checkout: Checkout, env: Mapping[str, str]) -> list[str]:
    """All static checks, two at a time; shows what the failing ones said, names them."""
    started = time.monotonic()
    say("Static checks")
    failed = []
    with ThreadPoolExecutor(max_workers=2) as pool:
        jobs = [pool.submit(_run_check, checkout, check, env) for check in checks(checkout)]
        for check, job in zip(checks(checkout), jobs, strict=True):
            code, output, seconds = job.result()
            say(f"  {check.title} … {'ok' if code == 0 else 'FAILED'} {seconds:.1f} s")
            if code:
                failed.append(check.title)
                say(output)
    say(f"Static checks took {time.monotonic() - started:.1f} s")
    return failed


def _run_check(checkout: Checkout, check: Check, env: Mapping[str, str]) -> tuple[int, str, float]:
    started = time.monotonic()
    try:
        done = subprocess.run(
            check.command,
            cwd=checkout.root / check.folder,
            env={**os.environ, **env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    except FileNotFoundError as missing:
        return 1, f"cannot start: {missing}", 0.0
    return done.returncode, done.stdout, time.monotonic() - started


def run_pytest(checkout: Checkout, arguments: Sequence[str], env: Mapping[str, str]) -> int:
    """pytest's exit code. Two workers, as many as the smallest machine has cores: more would
    run more than two Chromiums at once, and those measure time-outs, not Tabgrid. A file stays
    with one worker, since its fixtures start whole programs; in the order of tests/conftest.py."""
    say("Tests")
    chosen = any(flag in arguments for flag in ("-n", "--pdb", "--trace", "-p"))
    workers = [] if chosen else ["-n", "2", "--dist", "loadfile", "--no-loadscope-reorder"]
    command = [str(checkout.bin("python")), "-m", "pytest", *workers, *arguments]
    tests = subprocess.Popen(
        command,
        cwd=checkout.root,
        env={**os.environ, **env},
        stdin=None if chosen else subprocess.DEVNULL,
    )
    try:
        return tests.wait()
    finally:
        if tests.poll() is None:  # we were stopped: pytest ends its fixtures on SIGINT alone
            tests.send_signal(signal.SIGINT)
            tests.wait()
