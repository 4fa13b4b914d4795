"""What is done stays done until something it depends on changes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from set_up.stamps import Stamps, fingerprint, only_one

ROOT = Path(__file__).resolve().parents[3]


def test_fingerprint_follows_names_and_contents(tmp_path: Path) -> None:
    folder = tmp_path / "web"
    folder.mkdir()
    (folder / "a.ts").write_text("one")
    first = fingerprint(folder)
    (folder / "a.ts").write_text("two")
    second = fingerprint(folder)
    (folder / "a.ts").rename(folder / "b.ts")
    third = fingerprint(folder)
    assert len({first, second, third}) == 3


def test_fingerprint_ignores_what_tools_make_and_when(tmp_path: Path) -> None:
    folder = tmp_path / "web"
    folder.mkdir()
    (folder / "a.ts").write_text("one")
    before = fingerprint(folder)
    for name in ("node_modules", "__pycache__", "dist"):
        (folder / name).mkdir()
        (folder / name / "x").write_text("made")
    os.utime(folder / "a.ts", (0, 0))
    assert fingerprint(folder) == before


def test_fingerprint_of_a_missing_file_differs_from_an_empty_one(tmp_path: Path) -> None:
    missing = fingerprint(tmp_path / "lock")
    (tmp_path / "lock").touch()
    assert fingerprint(tmp_path / "lock") != missing


def test_step_is_done_for_its_inputs_only(tmp_path: Path) -> None:
    stamps = Stamps(tmp_path)
    assert not stamps.done("npm", "a")
    stamps.finish("npm", "a")
    assert Stamps(tmp_path).done("npm", "a")
    assert not stamps.done("npm", "b")
    stamps.forget("npm")
    assert not stamps.done("npm", "a")


def test_torn_stamps_mean_nothing_is_done(tmp_path: Path) -> None:
    (tmp_path / "stamps.json").write_text('{"npm": ')
    assert not Stamps(tmp_path).done("npm", "a")


def test_second_set_up_waits_for_the_first_and_says_so(tmp_path: Path) -> None:
    script = (
        "import sys, pathlib; sys.path.insert(0, sys.argv[1])\n"
        "from set_up.stamps import only_one\n"
        "with only_one(pathlib.Path(sys.argv[2])): print('in', flush=True)\n"
    )
    command = [sys.executable, "-c", script, str(ROOT / "build"), str(tmp_path)]
    with only_one(tmp_path):
        second = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert second.stdout is not None
        assert second.stdout.readline() == (
            f"Waiting for the set-up that process {os.getpid()} runs here …\n"
        )
        assert second.poll() is None
    assert second.communicate(timeout=60)[0] == "in\n"
