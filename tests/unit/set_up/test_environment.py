"""When an environment is whole, and when it has to be made again."""

from __future__ import annotations

from pathlib import Path

import pytest

from set_up.environment import _works


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / ".venv"
    (home / "bin").mkdir(parents=True)
    (home / "pyvenv.cfg").write_text("home = /usr/bin\nversion = 3.12.4\n")
    (home / "bin" / "python").touch()
    (home / "bin" / "pip").write_text(f"#!{home}/bin/python\n")
    return home


def test_whole(home: Path) -> None:
    assert _works(home)


def test_missing(tmp_path: Path) -> None:
    assert not _works(tmp_path / "nowhere")


def test_interrupted_before_pip(home: Path) -> None:
    (home / "bin" / "pip").unlink()
    assert not _works(home)


def test_interpreter_is_gone(home: Path) -> None:
    (home / "bin" / "python").unlink()
    (home / "bin" / "python").symlink_to(home / "no-such-python")
    assert not _works(home)


def test_too_old(home: Path) -> None:
    (home / "pyvenv.cfg").write_text("version = 3.10.12\n")
    assert not _works(home)


def test_moved(home: Path) -> None:
    moved = home.with_name("elsewhere")
    home.rename(moved)
    assert not _works(moved)
