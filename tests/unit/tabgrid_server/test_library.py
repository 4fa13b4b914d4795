"""The folder of models: opened quickly, refused clearly, verified byte by byte."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tabgrid_server.library import CHECKOUT, LibraryError, open_library, sha256, verify
from tests.support.models import library, manifest


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A library with a model of its own to break."""
    shutil.copytree(CHECKOUT / "all-MiniLM-L6-v2", tmp_path / "all-MiniLM-L6-v2")
    return tmp_path


def test_the_checkouts_library_is_intact() -> None:
    for model in library().catalogue:
        assert all(intact for _, intact in verify(library(), model))


def test_files_are_found_by_their_hash() -> None:
    for digest, path in library().files.items():
        assert sha256(path) == digest


def test_a_flipped_bit_is_found_by_verify_alone(copy: Path) -> None:
    path = copy / "all-MiniLM-L6-v2" / "model-q8.onnx"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    opened = open_library(copy)
    (model,) = opened.catalogue
    wrong = [file.path for file, intact in verify(opened, model) if not intact]
    assert wrong == ["model-q8.onnx"]


def test_a_file_of_another_size_is_refused_at_once(copy: Path) -> None:
    (copy / "all-MiniLM-L6-v2" / "tokenizer.json").write_text("{}")
    with pytest.raises(LibraryError, match=r"tokenizer\.json has 2 bytes instead of"):
        open_library(copy)


def test_a_missing_file_is_refused(copy: Path) -> None:
    (copy / "all-MiniLM-L6-v2" / "model-q8.onnx").unlink()
    with pytest.raises(LibraryError, match="cannot be read"):
        open_library(copy)


def test_a_broken_manifest_is_refused_by_its_name(copy: Path) -> None:
    (copy / "all-MiniLM-L6-v2" / "manifest.json").write_text("{")
    with pytest.raises(LibraryError, match=r"manifest\.json: Not a manifest"):
        open_library(copy)


def test_a_folder_is_called_as_its_model(copy: Path) -> None:
    (copy / "all-MiniLM-L6-v2").rename(copy / "other")
    with pytest.raises(LibraryError, match="its folder must be too"):
        open_library(copy)


class TestSharedFiles:
    """minilm-labels names the weights of all-MiniLM-L6-v2 and has them not."""

    @pytest.fixture
    def both(self, copy: Path) -> Path:
        shutil.copytree(CHECKOUT / "minilm-labels", copy / "minilm-labels")
        return copy

    def test_they_are_found_where_they_lie(self, both: Path) -> None:
        opened = open_library(both)
        labels = opened.catalogue.by_id("minilm-labels")
        assert labels is not None
        assert not (both / "minilm-labels" / "model-q8.onnx").exists()
        assert all(intact for _, intact in verify(opened, labels))
        assert opened.tokenizer(labels) is not None

    def test_laid_out_they_have_the_names_that_graphs_know(
        self, both: Path, tmp_path: Path
    ) -> None:
        opened = open_library(both)
        labels = opened.catalogue.by_id("minilm-labels")
        assert labels is not None
        folder = opened.lay_out(labels, tmp_path / "laid-out")
        names = sorted(path.name for path in folder.iterdir())
        assert names == ["classify.onnx", "model-q8.onnx", "tokenizer.json"]

    def test_without_the_model_that_has_them_they_are_missed(self, both: Path) -> None:
        shutil.rmtree(both / "all-MiniLM-L6-v2")
        with pytest.raises(LibraryError, match=r"minilm-labels/tokenizer\.json cannot be read"):
            open_library(both)


def test_no_folder_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(LibraryError, match="There is no model library"):
        open_library(tmp_path / "nothing")


def test_an_empty_library_is_one(tmp_path: Path) -> None:
    assert len(open_library(tmp_path).catalogue) == 0


def test_the_tokenizer_cuts_and_does_not_pad() -> None:
    tokenizer = library().tokenizer(manifest("all-MiniLM-L6-v2"))
    assert tokenizer is not None
    assert tokenizer.encode(["hello", "hello world"], 256) == [
        [101, 7592, 102],
        [101, 7592, 2088, 102],
    ]
    assert tokenizer.encode(["hello world"], 3) == [[101, 7592, 102]]
    assert library().tokenizer(manifest("echo")) is None
