"""Real models on onnxruntime: honest answers pass, and each cheat is told apart."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from tabgrid_models import calibration
from tabgrid_models.calibration import Calibration
from tabgrid_server.calibrate import REFERENCE, inputs, measure, report
from tabgrid_server.calibrate.subject import Options
from tabgrid_server.cli.models import models as command
from tabgrid_server.library import CHECKOUT, Library, open_library
from tests.support import pictures
from tests.support.models import library

#: So near to the right answer that not each job's is beyond what other devices may need.
NEAR = "arithmetic in 16 bits"
OPTIONS = Options(backends=(REFERENCE, "cpu-unfused"), cheated=8)
JOBS = 20


def measured(library: Library, model: str, **options: object) -> Calibration:
    manifest = library.catalogue.by_id(model)
    assert manifest is not None
    work = inputs.honest(manifest, JOBS)
    chosen = OPTIONS._replace(**options)
    return measure.calibrate(library, manifest, work, chosen, lambda text: None)


def told(found: Calibration) -> dict[str, float]:
    return {cheat.name: cheat.told_apart / cheat.count for cheat in found.variants[0].cheats}


@pytest.fixture(scope="module", params=["all-MiniLM-L6-v2", "minilm-labels"])
def found(request: pytest.FixtureRequest) -> Calibration:
    return measured(library(), request.param)


def test_an_honest_rerun_is_never_refused(found: Calibration) -> None:
    (variant,) = found.variants
    assert (variant.refused, variant.held_out) == (0, JOBS // 2)
    (pair,) = variant.honest
    # Two orders of the same sums: not the same to the last bit, or this would prove nothing.
    assert 0 < pair.spread.max < variant.threshold


def test_every_cheat_is_told_apart(found: Calibration) -> None:
    shares = told(found)
    assert {"other weights", "one layer less", "weights of 4 bits"} < set(shares)
    assert shares.pop(NEAR) >= 0.5
    assert {name: share for name, share in shares.items() if share < 1} == {}


def test_a_picture_of_fewer_steps_or_another_seed_is_told_apart(tmp_path: Path) -> None:
    pictures.build(tmp_path)
    found = measured(open_library(tmp_path), pictures.ID)
    shares = told(found)
    # This model reads twelve tokens and their mean: half of a prompt is nearly the whole.
    assert "half of the prompt" in shares
    sure = {"other weights", "half of the steps", "without guidance"}
    sure |= {"another seed", "another job's picture", "random pixels", "right but for 5 levels"}
    assert {name for name, share in shares.items() if share == 1} >= sure
    assert shares["right but for 1 level"] < 1, "such a change is within the floor"

    # Two drawn steps, the noise and the decoder find what the whole picture does.
    steps = found.variants[0].steps
    assert steps is not None
    assert (steps.refused, steps.drawn) == (0, 2)
    # One pair: a backend is not held against itself.
    assert {pair.candidate for pair in steps.honest} == {REFERENCE, "cpu-unfused"}
    assert 0 < max(pair.spread.max for pair in steps.honest) < steps.threshold
    by_steps = {cheat.name: cheat.told_apart / cheat.count for cheat in steps.cheats}
    assert {name for name, share in by_steps.items() if share == 1} >= sure - {"half of the steps"}
    assert by_steps["half of the steps"] >= 0.75, "one of the drawn may be one that it did"
    assert steps.cost < 1
    assert f"costs {100 * steps.cost:.3g} %" in "\n".join(report.table(found))


def test_the_command_writes_what_the_library_then_reads(tmp_path: Path) -> None:
    manifest = pictures.build(tmp_path)
    assert open_library(tmp_path).threshold(manifest, manifest.variants[0]) is None
    arguments = ["calibrate", "--library", str(tmp_path), pictures.ID, "--jobs", "20"]
    arguments += ["--cheated", "4", "--backend", "cpu-threads", "--floor", "0.5"]
    shown = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert shown.exit_code == 0, shown.output
    assert "wrong above 0.5, the floor" in shown.output
    assert "another seed" in shown.output
    file = tmp_path / pictures.ID / "calibration.json"
    assert calibration.parse(file.read_bytes()).variants[0].floor == 0.5
    assert open_library(tmp_path).threshold(manifest, manifest.variants[0]) == 0.5
    # The same file beside another manifest says nothing of that.
    other = msgspec.structs.replace(manifest, golden=())
    (tmp_path / pictures.ID / "manifest.json").write_bytes(other.canonical())
    assert not open_library(tmp_path).calibrations


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: b'{"texts": ["a"]}\n' * 5, "needs 20 inputs at least, not 5"),
        (lambda text: b'{"texts": []}\n', "texts"),
        (lambda text: b"no json", "malformed"),
    ],
)
def test_inputs_that_cannot_be_measured_with_are_refused(
    tmp_path: Path, change: Callable[[bytes], bytes], said: str
) -> None:
    file = tmp_path / "inputs.jsonl"
    file.write_bytes(change(b""))
    arguments = ["calibrate", "--library", str(CHECKOUT), "all-MiniLM-L6-v2"]
    shown = CliRunner().invoke(command, [*arguments, "--inputs", str(file), "--dry-run"])
    assert shown.exit_code == 1
    assert said in shown.output
