"""What the Containerfile would build works, shown without a container engine.

Its COPY and RUN lines are carried out in a folder and an empty virtual environment, so the
file and this test cannot drift apart.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
#: Folders that the Containerfile names by absolute paths.
FOLDERS = ("/src", "/wheels", "/cache")

# Downloads and unpacks about 40 MB of wheels.
pytestmark = pytest.mark.timeout(600)


def instructions() -> list[tuple[str, str]]:
    """The Containerfile's lines as (instruction, rest), continued lines joined."""
    text = (ROOT / "Containerfile").read_text().replace("\\\n", " ")
    lines = [line.strip() for line in text.splitlines()]
    parts = [line.split(maxsplit=1) for line in lines if line and not line.startswith("#")]
    return [(instruction, rest) for instruction, rest in parts]


def only(instruction: str) -> str:
    (found,) = [rest for name, rest in instructions() if name == instruction]
    return found


class Image:
    """The container's file system in a folder, its Python in a virtual environment."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        venv.create(folder / "python", with_pip=True)
        self.env = {
            name: value
            for name, value in os.environ.items()
            if name not in ("PYTHONPATH", "VIRTUAL_ENV", "XDG_CACHE_HOME")
        }
        self.env["PATH"] = f"{folder / 'python' / 'bin'}:{self.env['PATH']}"

    def inside(self, text: str) -> str:
        for name in FOLDERS:
            text = text.replace(name, f"{self.folder}{name}")
        return text

    def build(self) -> None:
        steps = {"COPY": self.copy, "RUN": self.run, "ENV": self.set}
        for instruction, rest in instructions():
            steps.get(instruction, lambda rest: None)(rest)

    def copy(self, rest: str) -> None:
        *sources, target = rest.split()
        if sources[0].startswith("--from="):
            return  # both stages share this folder
        place = self.folder / "src" / target
        for source in sources:
            if (ROOT / source).is_dir():
                ignore = shutil.ignore_patterns("__pycache__", "dist")
                shutil.copytree(ROOT / source, place, ignore=ignore)
            else:
                place.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / source, place)

    def set(self, rest: str) -> None:
        self.env |= dict(word.split("=", 1) for word in shlex.split(self.inside(rest)))

    def run(self, command: str) -> str:
        done = subprocess.run(
            ["sh", "-euc", self.inside(command)],
            cwd=self.folder / "src",
            env=self.env,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    image = Image(tmp_path_factory.mktemp("image"))
    image.build()
    return image


def test_the_entry_point_is_there(image: Image) -> None:
    entry = json.loads(only("ENTRYPOINT"))
    assert "Usage: tabgrid node" in image.run(shlex.join([*entry, "--help"]))


def test_the_real_model_answers_right(image: Image) -> None:
    library = ROOT / "models" / "library" / "all-MiniLM-L6-v2"
    assert ": right, " in image.run(f"tabgrid node --self-test {shlex.quote(str(library))}")


def test_only_what_a_node_needs_is_installed(image: Image) -> None:
    names = {line.split("==")[0].lower() for line in image.run("pip freeze").splitlines()}
    assert {"onnxruntime", "websockets", "solders"} <= names
    assert names.isdisjoint({"starlette", "sqlalchemy", "uvicorn", "torch", "pytest"})


def test_it_does_not_run_as_root_and_stops_politely() -> None:
    assert only("USER").split(":")[0] not in ("root", "0")
    assert only("STOPSIGNAL") == "SIGTERM"
    assert json.loads(only("ENTRYPOINT"))[:2] == ["tabgrid", "node"]
    ready = json.loads(only("ENTRYPOINT"))[3]
    assert json.loads(only("HEALTHCHECK").partition("CMD ")[2]) == ["test", "-f", ready]


def test_bases_are_named_as_any_engine_finds_them() -> None:
    bases = {rest.split()[0] for name, rest in instructions() if name == "FROM"}
    assert bases == {"python:3.12-slim"}
    assert sys.version_info >= (3, 11)
