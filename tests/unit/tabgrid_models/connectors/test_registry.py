"""Every connector keeps the contract that the rest of the grid relies on."""

from __future__ import annotations

import compileall
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from tabgrid_models.connectors import CONNECTORS, connector
from tabgrid_models.connectors.base import AnyConnector

ROOT = Path(__file__).resolve().parents[4]


@pytest.mark.parametrize("made", CONNECTORS.values(), ids=CONNECTORS)
def test_connector_can_be_described_and_sent(made: AnyConnector) -> None:
    assert made.comparator_version >= 1
    assert made.unit.replace(" ", "").isalpha()
    for struct in (made.Input, made.Output, made.Config):
        assert msgspec.json.schema(struct)
    assert made.Input.__struct_config__.frozen
    assert made.Input.__struct_config__.forbid_unknown_fields


def test_an_unknown_connector_names_those_that_there_are() -> None:
    with pytest.raises(LookupError, match="classify, echo, embeddings"):
        connector("alchemy")


def test_a_new_file_is_found_where_only_compiled_ones_are(tmp_path: Path) -> None:
    """As in the tab: byte code beside byte code, no source, and nothing that lists it."""
    shutil.copytree(
        ROOT / "models",
        tmp_path,
        ignore=shutil.ignore_patterns("library", "*.pyc"),
        dirs_exist_ok=True,
    )
    folder = tmp_path / "tabgrid_models" / "connectors"
    text = (folder / "echo.py").read_text().replace('"echo"', '"shout"')
    (folder / "shout.py").write_text(text)
    assert compileall.compile_dir(tmp_path, quiet=1, legacy=True)
    for source in tmp_path.rglob("*.py"):
        source.unlink()
    program = "from tabgrid_models.connectors import CONNECTORS; print(*CONNECTORS)"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": str(tmp_path)}, cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.split() == sorted([*CONNECTORS, "shout"])
