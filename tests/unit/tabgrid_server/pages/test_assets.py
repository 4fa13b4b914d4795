from __future__ import annotations

import json
from pathlib import Path

import pytest

from tabgrid_server.pages.assets import Assets, AssetsMissing


def test_names_become_addresses(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(json.dumps({"node.js": "node.3f2a.js"}))
    assert Assets.load(tmp_path)("node.js") == "/static/dist/node.3f2a.js"


def test_a_missing_bundle_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(AssetsMissing, match=r"\./build/web"):
        Assets.load(tmp_path)


def test_a_missing_file_says_what_to_run() -> None:
    with pytest.raises(AssetsMissing, match=r"has no worker\.js.*build/web"):
        Assets({})("worker.js")


def test_fonts_are_fetched_early() -> None:
    assets = Assets({"fonts/a.woff2": "fonts/a.1.woff2", "site.css": "site.1.css"})
    assert assets.fonts() == ["/static/dist/fonts/a.1.woff2"]
