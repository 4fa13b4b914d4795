"""`tabgrid bench claims` and `chaos`: they run, and what they print can be read. No timings."""

from __future__ import annotations

import json
import subprocess
import sys

import click
import pytest

from tabgrid_server.bench import chaos
from tests.support.budget import schedules


def test_claims_are_measured_beside_litesvm_and_over_a_restart() -> None:
    command = [sys.executable, "-m", "tabgrid_server", "bench", "--json", "claims"]
    done = subprocess.run(
        [*command, "--claims", "8", "--open", "30"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    figures = {each["name"]: each for each in map(json.loads, done.stdout.splitlines())}
    rate = figures["from the press of the button to on chain"]
    assert rate["baseline"].startswith("bare LiteSVM")
    assert rate["ratio"] == pytest.approx(rate["value"] / rate["baseline_value"])
    assert {"… to final and booked", "postings"} <= set(figures)
    assert "restart with 30 open claims: followed again" in figures
    assert all(each["value"] > 0 for each in figures.values())


def test_a_failed_schedule_is_shown_with_how_to_play_it_again(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(click.ClickException, match=r"TABGRID_CHAOS=7:1 pytest tests/no_such"):
        chaos._pytest("7:1", "tests/no_such_file.py")
    assert "no_such_file" in capsys.readouterr().err


def test_a_budget_says_how_many_and_from_where(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TABGRID_CHAOS", raising=False)
    assert schedules(600) == range(600)
    monkeypatch.setenv("TABGRID_CHAOS", "50")
    assert (schedules(600), schedules(600, one_in=20)) == (range(50), range(2))
    monkeypatch.setenv("TABGRID_CHAOS", "9000:1")
    assert (schedules(600), schedules(600, one_in=60)) == (range(9000, 9001), range(9000, 9001))
