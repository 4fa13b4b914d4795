"""What runs in a tab may need nothing that a tab does not have."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
#: As in the tab: the standard library, msgspec, and our own three packages.
SCRIPT = """
import importlib.abc, sys
sys.path[:0] = {paths!r}
allowed = set(sys.stdlib_module_names) | {{
    "msgspec", "tabgrid_node", "tabgrid_models", "tabgrid_wire",
}}
class OnlyWhatATabHas(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in allowed:
            raise ImportError(f"{{name}} is not in the tab")
sys.meta_path.insert(0, OnlyWhatATabHas())
import tabgrid_node.node
"""


def test_the_node_program_needs_only_msgspec() -> None:
    paths = [str(ROOT / "models"), str(ROOT / "browser_node")]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(paths=paths)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
