"""The recipe of the scenes runs from end to end, resumes, and leaves a pipeline."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PLACES = os.pathsep.join(
    str(ROOT / folder) for folder in ("models/recipes", "server", "models", "browser_node")
)

pytestmark = [pytest.mark.export, pytest.mark.timeout(600)]  # on a loaded machine: 3 minutes


@pytest.fixture(scope="module")
def run(export_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the smallest run that there can be, and its pipeline in `product`."""
    folder = tmp_path_factory.mktemp("run")
    scenes(export_python, folder, "train-vae", "--steps", "2")
    scenes(export_python, folder, "train-text", "--steps", "2")
    scenes(export_python, folder, "draw", "--shards", "1", "--size", "40")
    scenes(export_python, folder, "train", "--steps", "2", "--product", str(folder / "product"))
    return folder


def scenes(python: Path, folder: Path, *options: str) -> str:
    return run_python(python, "-m", "scenes", "--folder", str(folder), *options)


def run_python(python: Path, *arguments: str) -> str:
    done = subprocess.run(
        [str(python), *arguments],
        cwd=ROOT,
        # Beside other tests: threads of one process wait for one another.
        env={**os.environ, "PYTHONPATH": PLACES, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def logged(folder: Path, part: str) -> list[dict[str, object]]:
    lines = (folder / "log.jsonl").read_text().splitlines()
    return [line for line in map(json.loads, lines) if line["part"] == part]


def test_the_product_is_a_pipeline(run: Path) -> None:
    index = json.loads((run / "product/model_index.json").read_text())
    assert index["_class_name"] == "StableDiffusionPipeline"
    assert index["vae"] == ["diffusers", "AutoencoderKL"]
    assert (run / "product/tokenizer/tokenizer.json").exists()
    coder = json.loads((run / "product/vae/config.json").read_text())
    assert coder["scaling_factor"] != 0.18215, "the latents were not measured"
    (judged,) = logged(run, "judge")
    assert judged["step"] == 2


def test_two_steps_do_not_fool_the_judge(run: Path) -> None:
    (judged,) = logged(run, "judge")
    assert float(str(judged["main"])) < 0.1
    assert float(str(judged["relation"])) < 0.1


def test_training_goes_on_from_its_checkpoint(run: Path, export_python: Path) -> None:
    product = str(run / "product")
    scenes(export_python, run, "train", "--steps", "3", "--product", product)
    assert [line["step"] for line in logged(run, "judge")] == [2, 3]


def test_shards_that_are_there_are_not_drawn_again(run: Path, export_python: Path) -> None:
    scenes(export_python, run, "draw", "--shards", "2", "--size", "40")
    assert [line["shard"] for line in logged(run, "draw")] == [0, 1]


def test_training_can_start_from_the_model_that_ships(export_python: Path, tmp_path: Path) -> None:
    """What is taken out of its graphs computes what they do, and reads words as they did."""
    shipped = ROOT / "models/library/tabgrid-scenes"
    scenes(export_python, tmp_path, "adopt", str(shipped))
    said = run_python(export_python, "tests/export/adopted.py", str(tmp_path), str(shipped))
    words, text, picture = said.split()
    assert words == "same"
    assert float(text) < 1e-3
    assert float(picture) < 0.01


def test_every_process_makes_the_same_tokenizer(export_python: Path) -> None:
    """The shards are drawn in one, and the text encoder is trained in another."""
    code = (
        "from scenes.architecture import make_tokenizer\n"
        "print(make_tokenizer(300).backend_tokenizer.to_str())"
    )
    made = [run_python(export_python, "-c", code) for _ in range(3)]
    assert made[0] == made[1] == made[2]
