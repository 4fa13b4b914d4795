"""What ./build/demo understands, and what it becomes."""

from __future__ import annotations

from pathlib import Path

import pytest

from set_up.checkout import Checkout
from set_up.demo import command, options


def test_defaults(tmp_path: Path) -> None:
    line = command(Checkout(tmp_path), options([]))
    assert line[1:] == ["demo", "--port", "8402", "--data", str(tmp_path / ".tabgrid")]


def test_everything(tmp_path: Path) -> None:
    data, ready = tmp_path / "data", tmp_path / "ready.json"
    asked = options(
        ["--port", "0", "--data", str(data), "--no-browser", "--ready-file", str(ready)]
    )
    line = command(Checkout(tmp_path), asked)
    assert line[1:6] == ["demo", "--port", "0", "--data", str(data)]
    assert line[6:] == ["--ready-file", str(ready), "--no-browser"]


def test_port_out_of_range(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        options(["--port", "70000"])
    assert "a port is a number from 0 to 65535" in capsys.readouterr().err
