"""From the logical name of a static file to the address that may be cached for ever."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

#: Where the web bundle is served; ``build/web`` writes the same prefix into its style sheet.
PREFIX = "/static/dist/"


class AssetsMissing(Exception):
    """The web bundle was not built; the text says how to build it."""


class Assets:
    """``asset("node.js")`` gives "/static/dist/node.3f2a….js"."""

    def __init__(self, files: Mapping[str, str], prefix: str = PREFIX) -> None:
        self.urls: dict[str, str] = {name: prefix + file for name, file in files.items()}

    @classmethod
    def load(cls, folder: Path) -> Assets:
        """Read the bundle's manifest. Raises ``AssetsMissing`` where there is none."""
        try:
            files = json.loads((folder / "manifest.json").read_text("utf-8"))
        except FileNotFoundError as error:
            raise AssetsMissing(
                f"The web bundle is not in {folder}. Run ./build/web, or ./build/demo once."
            ) from error
        return cls(files)

    def __call__(self, name: str) -> str:
        try:
            return self.urls[name]
        except KeyError as error:
            raise AssetsMissing(
                f"The web bundle has no {name}. Run ./build/web again: it is out of date."
            ) from error

    def fonts(self) -> list[str]:
        """The faces that every page shows at once, to be fetched before the style sheet asks."""
        return [url for name, url in self.urls.items() if name.endswith(".woff2")]
