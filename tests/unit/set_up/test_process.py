"""A program that fails becomes one sentence that says what to do."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from set_up.process import explain, run
from set_up.report import Failed, Step

LOG = Path("pip.log")


@pytest.mark.parametrize(
    ("output", "sentence"),
    [
        ("ERROR: [Errno 28] No space left on device", "The disk is full"),
        ("npm error code ENOSPC", "The disk is full"),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM", "not the one that the lock file"),
        ("npm error code EINTEGRITY", "not the one that the lock file"),
        ("The virtual environment was not created: ensurepip is not available", "python3-venv"),
        ("socket.gaierror: Temporary failure in name resolution", "cannot be reached"),
        ("npm error code ENOTFOUND", "cannot be reached"),
        ("E: Failed to fetch  Temporary failure resolving", "cannot be reached"),
        ("ERROR: No matching distribution found for solders==0.29.0", "no build of a package"),
        ("ERROR: Could not find a version (from versions: none)", "network, proxy, pip's settings"),
        ("npm error EACCES: permission denied", "Permission was refused"),
    ],
)
def test_known_causes(output: str, sentence: str) -> None:
    told = explain("Installing", f"Collecting x\n{output}\n", LOG)
    assert sentence in told
    assert "\n" not in told
    assert str(LOG) in told


def test_network_comes_before_what_follows_from_it() -> None:
    """Without a network pip ends with 'No matching distribution', which would mislead."""
    output = "Name or service not known\nERROR: No matching distribution found for click==8\n"
    assert "cannot be reached" in explain("Installing", output, LOG)


def test_unknown_cause_quotes_the_last_error_line() -> None:
    told = explain("Bundling", "step one\nError: no such loader\n  at main.mjs\n", LOG)
    assert told == "Bundling failed: Error: no such loader (its whole output: pip.log)"


def test_run_keeps_the_output_and_passes_each_line(tmp_path: Path) -> None:
    lines: list[str] = []
    log = tmp_path / "logs" / "x.log"
    command = [sys.executable, "-c", "print('one'); print('two')"]
    run(Step("x"), command, log=log, cwd=tmp_path, on_line=lines.append)
    assert lines == ["one\n", "two\n"]
    assert log.read_text() == "one\ntwo\n"


def test_run_raises_the_sentence(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "raise SystemExit('No space left on device')"]
    with pytest.raises(Failed, match="The disk is full"):
        run(Step("x"), command, log=tmp_path / "x.log", cwd=tmp_path)


def test_missing_program_is_named(tmp_path: Path) -> None:
    with pytest.raises(Failed, match="the program no-such-program is missing"):
        run(Step("x"), ["no-such-program"], log=tmp_path / "x.log", cwd=tmp_path)
