"""The root command: quick, complete, and helpful where an extra is missing."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from tabgrid_server.cli import main

ROOT = Path(__file__).resolve().parents[4]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
COMMANDS = PYPROJECT["project"]["entry-points"][main.GROUP]


def test_help_names_every_command_under_a_heading() -> None:
    told = CliRunner().invoke(main.tabgrid, ["--help"])
    assert told.exit_code == 0
    for heading, commands in main.SUMMARIES.items():
        assert f"{heading}:" in told.output
        for name, summary in commands.items():
            assert any(
                line.split()[:1] == [name] and summary.split()[0] in line
                for line in told.output.splitlines()
            ), name


def test_every_entry_point_has_a_summary() -> None:
    assert {name for commands in main.SUMMARIES.values() for name in commands} == set(COMMANDS)


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_summary_is_the_first_line_of_the_commands_own_help(name: str) -> None:
    command = main.tabgrid.get_command(click.Context(main.tabgrid), name)
    assert command is not None
    summaries = {**main.SUMMARIES["Run a grid"], **main.SUMMARIES["Lend a machine"]}
    summaries |= main.SUMMARIES["Operate"]
    assert (command.help or "").splitlines()[0] == summaries[name]


def test_version_is_the_distributions() -> None:
    told = CliRunner().invoke(main.tabgrid, ["--version"])
    assert told.output.strip() == f"tabgrid, version {importlib.metadata.version('tabgrid')}"


def test_unknown_command_is_refused() -> None:
    told = CliRunner().invoke(main.tabgrid, ["mine"])
    assert told.exit_code == 2
    assert "No such command 'mine'" in told.output


def test_missing_extra_is_named(tmp_path: Path) -> None:
    """With only click beside our own packages, as after a plain `pip install tabgrid`."""
    told = _without_extras(tmp_path, "serve")
    assert told.returncode == 1
    assert "pip install 'tabgrid[server]'" in told.stderr
    assert "Traceback" not in told.stderr


def test_help_needs_no_extra(tmp_path: Path) -> None:
    told = _without_extras(tmp_path, "--help")
    assert told.returncode == 0
    assert "Run a native node" in told.stdout


def test_help_loads_no_command() -> None:
    script = "import sys, tabgrid_server.cli.main; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert not loaded & {"msgspec", "sqlalchemy", "starlette", "onnxruntime", "solders"}


def _without_extras(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `tabgrid` where nothing but click, msgspec and our own packages can be imported."""
    for name in ("click", "msgspec"):
        (folder / name).symlink_to(Path(sys.modules[name].__file__ or "").parent)
    for source in ("server/tabgrid_server", "browser_node/tabgrid_node"):
        (folder / Path(source).name).symlink_to(ROOT / source)
    for source in ("models/tabgrid_models", "models/tabgrid_wire"):
        (folder / Path(source).name).symlink_to(ROOT / source)
    found = importlib.metadata.distribution("tabgrid")
    info = folder / "tabgrid-0.dist-info"
    info.mkdir()
    for file in ("METADATA", "entry_points.txt"):
        (info / file).write_text(found.read_text(file) or "")
    return subprocess.run(
        [sys.executable, "-S", "-m", "tabgrid_server", *arguments],
        env={"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
