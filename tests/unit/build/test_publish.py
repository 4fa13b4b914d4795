"""What a new build of the pages leaves of the ones before."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.programs import missing

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = """
import { publish } from "%s";
const [folder, names] = process.argv.slice(1);
await publish(folder, new Map(Object.entries(JSON.parse(names))));
"""

Build = Callable[..., set[str]]


@pytest.fixture
def build(tmp_path: Path) -> Build:
    """build(logical=name, …) makes a build of these files; returns all that is there after it."""
    node = shutil.which("node") or shutil.which("node", path=str(ROOT / ".set-up/node/bin"))
    if node is None:
        missing("there is no Node here")
    script = SCRIPT % (ROOT / "browser_node/web/bundle/publish.mjs").as_uri()

    def make(**manifest: str) -> set[str]:
        for name in manifest.values():
            for path in (tmp_path / name, tmp_path / f"{name}.br"):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(name)
        command = [str(node), "--input-type=module", "--eval", script]
        subprocess.run([*command, str(tmp_path), json.dumps(manifest)], check=True)
        assert json.loads((tmp_path / "manifest.json").read_text()) == manifest
        there = (path for path in tmp_path.rglob("*") if path.is_file())
        names = {str(path.relative_to(tmp_path)) for path in there}
        return {name for name in names if not name.startswith("manifest.")}

    return make


def files(*names: str) -> set[str]:
    return {*names, *(f"{name}.br" for name in names)}


def test_a_running_server_finds_the_files_that_it_names(build: Build) -> None:
    assert build(page="page.1.js", font="fonts/a.1.woff2") == files("page.1.js", "fonts/a.1.woff2")
    later = build(page="page.2.js", font="fonts/a.1.woff2")
    assert later == files("page.1.js", "page.2.js", "fonts/a.1.woff2")


def test_the_same_build_again_does_not_push_out_the_one_before(build: Build) -> None:
    build(page="page.1.js")
    for _ in range(3):
        assert build(page="page.2.js") == files("page.1.js", "page.2.js")


def test_older_builds_go(build: Build) -> None:
    for number in range(1, 5):
        build(page=f"page.{number}.js")
    assert build(page="page.5.js") == files("page.4.js", "page.5.js")


def test_what_a_broken_build_left_goes(build: Build, tmp_path: Path) -> None:
    build(page="page.1.js")
    (tmp_path / "page.2.js.1234").write_text("half")
    (tmp_path / "manifest.before.json").write_text("{")
    assert build(page="page.1.js") == files("page.1.js")
