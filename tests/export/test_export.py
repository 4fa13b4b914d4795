"""The model in git is what its recipe makes: export again, and compare."""

from __future__ import annotations

import math
import os
import struct
import subprocess
from pathlib import Path

import pytest

from tabgrid_models.connectors.embeddings import Embeddings, EmbeddingsInput
from tabgrid_node.native_runtime import NativeRuntime
from tabgrid_server.export import corpus
from tabgrid_server.library import CHECKOUT, Library, open_library
from tests.support.models import Progress, manifest, runtime

ROOT = CHECKOUT.parents[1]
MODEL = manifest("all-MiniLM-L6-v2")

pytestmark = [pytest.mark.export, pytest.mark.timeout(600)]  # on a loaded machine: 2 minutes


@pytest.fixture(scope="module")
def exported(export_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Library:
    """A library with the model exported again, by the command that a person uses."""
    library = tmp_path_factory.mktemp("library")
    committed = CHECKOUT / MODEL.id
    command = [str(export_python), "-m", "tabgrid_server.export", "add"]
    command += [str(committed / "recipe.toml"), "--library", str(library)]
    command += ["--licence-file", str(committed / "LICENSE")]
    paths = os.pathsep.join([str(ROOT / "server"), str(ROOT / "models")])
    done = subprocess.run(
        command,
        env={**os.environ, "PYTHONPATH": paths, "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return open_library(library)


async def test_the_same_vectors_come_out(exported: Library) -> None:
    (again,) = exported.catalogue
    texts = EmbeddingsInput(corpus.texts(256))
    folder = exported.folder_of(again)
    new = NativeRuntime(again, again.variants[0], folder, threads=1)
    old_output = await Embeddings().run(texts, MODEL, runtime(MODEL.id), Progress())
    new_output = await Embeddings().run(texts, again, new, Progress())
    pairs = zip(
        struct.iter_unpack("<384f", old_output.embeddings),
        struct.iter_unpack("<384f", new_output.embeddings),
        strict=True,
    )
    assert min(1 - math.dist(old, new) ** 2 / 2 for old, new in pairs) >= 0.9999


def test_it_is_as_near_to_the_original(exported: Library) -> None:
    (again,) = exported.catalogue
    quality = again.variants[0].quality
    assert quality["cosine_min"] >= 0.995
    assert quality["texts"] == 100
    assert quality["cosine_min"] == pytest.approx(MODEL.variants[0].quality["cosine_min"], abs=1e-3)


def test_it_says_the_same_of_itself(exported: Library) -> None:
    (again,) = exported.catalogue
    assert (again.id, again.licence, again.config) == (MODEL.id, MODEL.licence, MODEL.config)
    assert again.shared == MODEL.shared
    assert sum(path.stat().st_size for path in exported.files.values()) < 30_000_000
    for name in ("LICENSE", "NOTICE"):
        old, new = CHECKOUT / MODEL.id / name, exported.folder_of(again) / name
        assert new.read_text() == old.read_text()
