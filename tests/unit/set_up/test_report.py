"""Progress that shows life, and errors of the operating system as sentences."""

from __future__ import annotations

import errno
import re

import pytest

from set_up.report import Failed, explain, timed


def test_step_ends_with_its_time(capsys: pytest.CaptureFixture[str]) -> None:
    with timed("Installing") as step:
        step.detail = "3 of 3"
    said = capsys.readouterr().out
    assert re.fullmatch(r"  Installing \(3 of 3\) … ok \d+\.\d s\n", said)


def test_failed_step_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Failed), timed("Installing"):
        raise Failed("no")
    assert re.search(r"Installing … failed after \d+\.\d s", capsys.readouterr().out)


def test_long_step_shows_life(capsys: pytest.CaptureFixture[str]) -> None:
    with timed("Installing") as step:
        step._line("10 s")
    assert "  Installing … 10 s\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        (errno.ENOSPC, "The disk is full"),
        (errno.EACCES, "Permission was refused"),
        (errno.EROFS, "The file system is read-only"),
    ],
)
def test_operating_systems_refusals(code: int, sentence: str) -> None:
    told = explain(OSError(code, "x", "/somewhere"))
    assert told.startswith(sentence)
    assert told.endswith(": /somewhere.")
