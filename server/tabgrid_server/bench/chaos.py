"""The kill schedules and the fuzzers of the tests, for as long as there is time.

They are the tests' own, so that there is one set of them; what is different is the budget, and
that each run plays other schedules than the ones before.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import click

from .report import Figure

CHECKOUT = Path(__file__).resolve().parents[3]
#: Claims, payouts that the grid pushes, and three RPCs of which one may do what it likes.
SCHEDULES = (
    "tests/chain/test_chaos.py",
    "tests/chain/test_chaos_pushes.py",
    "tests/chain/test_quorum.py",
)
PLAYED = "any_trouble or go_mad"
FUZZERS = (
    "tests/unit/tabgrid_server/chain/test_batching.py",
    "tests/unit/tabgrid_server/chain/test_transactions.py",
    "tests/unit/tabgrid_server/chain/test_extensions.py",
    "tests/properties/test_agreement.py",
)
#: Schedules of claims in one round, and a fourth as many of pushes. With the fuzzers it takes
#: about a minute of one core, so a budget of a few minutes is kept within one.
ROUND = 120


def run(minutes: float) -> list[Figure]:
    """Rounds until the time is over; the last one is finished. Raises at the first failure."""
    if not (CHECKOUT / SCHEDULES[0]).is_file() or find_spec("pytest") is None:
        raise click.ClickException(
            "This plays the tests of a checkout: run ./build/test there once, and then this."
        )
    end = time.monotonic() + 60 * minutes
    # Other schedules than those of CI, which begin at 0, and than those of any run before.
    first = int(time.time()) * 1_000
    rounds = 0
    while not rounds or time.monotonic() < end:
        budget = f"{first + rounds * ROUND}:{ROUND}"
        _pytest(budget, *SCHEDULES, "-k", PLAYED)
        _pytest(budget, *FUZZERS, "--hypothesis-profile=long")
        rounds += 1
    return [
        _figure("kill schedules of claims", rounds * ROUND, "schedules"),
        _figure("kill schedules of pushed payouts", rounds * (ROUND // 4), "schedules"),
        _figure("rounds of the fuzzers", rounds, "rounds"),
    ]


def _figure(name: str, count: int, unit: str) -> Figure:
    return Figure("chaos", name, count, unit, aim="no failure")


def _pytest(budget: str, *arguments: str) -> None:
    # Their time-out is for the budget of CI.
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-o", "timeout=0", *arguments]
    done = subprocess.run(
        command,
        cwd=CHECKOUT,
        env={**os.environ, "TABGRID_CHAOS": budget},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        click.echo(done.stdout + done.stderr, err=True)
        raise click.ClickException(
            f"A schedule failed. To play it again: TABGRID_CHAOS={budget} pytest "
            f"{' '.join(arguments)}; its number is in the text above, and NUMBER:1 is it alone."
        )
