"""`tabgrid models`, as an operator types it."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tabgrid_server.cli.models import models
from tabgrid_server.library import CHECKOUT


def tabgrid_models(*arguments: str) -> Result:
    return CliRunner().invoke(models, arguments)


def test_list_shows_each_model_with_licence_and_size() -> None:
    result = tabgrid_models("list")
    assert result.exit_code == 0
    minilm = next(line for line in result.output.splitlines() if "MiniLM" in line)
    assert "embeddings" in minilm
    assert "Apache-2.0" in minilm
    assert "26.1 MB" in minilm


def test_verify_passes_on_the_checkout() -> None:
    result = tabgrid_models("verify")
    assert result.exit_code == 0
    assert "ok       all-MiniLM-L6-v2/model-q8.onnx" in result.output


def test_verify_fails_on_a_changed_file(tmp_path: Path) -> None:
    shutil.copytree(CHECKOUT / "all-MiniLM-L6-v2", tmp_path / "all-MiniLM-L6-v2")
    file = tmp_path / "all-MiniLM-L6-v2" / "tokenizer.json"
    file.write_text(file.read_text().replace("hello", "hullo"))
    result = tabgrid_models("verify", "--library", str(tmp_path))
    assert result.exit_code == 1
    assert "CHANGED  all-MiniLM-L6-v2/tokenizer.json" in result.output
    assert "tabgrid models add" in result.output


def test_a_model_that_is_not_there_is_said_so() -> None:
    result = tabgrid_models("verify", "other")
    assert result.exit_code == 1
    assert "no model 'other'" in result.output


class TestSeal:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        """Labels beside the model whose weights they borrow, as somebody would write them."""
        shutil.copytree(CHECKOUT / "all-MiniLM-L6-v2", tmp_path / "all-MiniLM-L6-v2")
        shutil.copytree(CHECKOUT / "minilm-labels", tmp_path / "mine")
        draft = json.loads((tmp_path / "mine" / "manifest.json").read_text())
        draft["id"] = "mine"
        (variant,) = draft["variants"]
        del variant["memory_mib"]
        for file in (*variant["files"], *draft["shared"]):
            del file["size"]
        for pair in draft["golden"]:
            del pair["output"]
        (tmp_path / "mine" / "manifest.json").write_text(json.dumps(draft))
        return tmp_path / "mine"

    def test_fills_in_what_a_machine_knows_better(self, folder: Path) -> None:
        result = tabgrid_models("seal", str(folder))
        assert result.exit_code == 0, result.output
        sealed, ours = (
            json.loads((at / "manifest.json").read_text())
            for at in (folder, CHECKOUT / "minilm-labels")
        )
        assert sealed["shared"] == ours["shared"]
        assert sealed["variants"][0]["files"] == ours["variants"][0]["files"]
        assert [pair["input"] for pair in sealed["golden"]] == [
            pair["input"] for pair in ours["golden"]
        ]
        assert tabgrid_models("verify", "--library", str(folder.parent)).exit_code == 0

    def test_names_a_file_that_nobody_has_and_leaves_the_draft(self, folder: Path) -> None:
        (folder / "classify.onnx").unlink()
        before = (folder / "manifest.json").read_bytes()
        result = tabgrid_models("seal", str(folder))
        assert result.exit_code == 1
        assert "classify.onnx is not there" in result.output
        assert (folder / "manifest.json").read_bytes() == before

    def test_refuses_a_golden_input_that_the_connector_refuses(self, folder: Path) -> None:
        draft = json.loads((folder / "manifest.json").read_text())
        draft["golden"][0]["input"]["labels"] = ["same", "same"]
        (folder / "manifest.json").write_text(json.dumps(draft))
        result = tabgrid_models("seal", str(folder))
        assert result.exit_code == 1
        assert "Two labels are the same" in result.output


@pytest.mark.skipif(
    importlib.util.find_spec("torch") is not None, reason="this environment can export"
)
def test_add_without_the_tools_says_what_to_install(tmp_path: Path) -> None:
    result = tabgrid_models("add", "some/model", "--library", str(tmp_path))
    assert result.exit_code == 1
    assert "needs torch, optimum" in result.output
    assert "pip install torch==2.13.0" in result.output
    assert "tabgrid[export]" in result.output
    assert list(tmp_path.iterdir()) == []
