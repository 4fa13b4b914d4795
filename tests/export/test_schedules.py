"""Our scalars are diffusers': each step of each schedule from the same latents."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tabgrid_server.library import CHECKOUT

ROOT = CHECKOUT.parents[1]
#: It computes in float32, which loses this much where a schedule ends near pure signal.
FLOAT32 = 2e-4

pytestmark = pytest.mark.export


def test_every_step_is_that_of_diffusers(export_python: Path) -> None:
    done = subprocess.run(
        [str(export_python), str(ROOT / "tests/support/diffusers_steps.py")],
        env={**os.environ, "PYTHONPATH": str(ROOT / "models")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    worst = json.loads(done.stdout)
    assert worst.keys() == {"euler", "ddim", "lcm"}
    assert max(worst.values()) < FLOAT32, worst
