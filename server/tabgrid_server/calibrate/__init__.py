"""Where wrong begins: how far honest answers of a model lie apart, and how far cheats do.

``tabgrid models calibrate`` runs the same inputs over every backend that is here, makes the
threshold of each variant from their distances, and tries real cheats against it. What it
finds lies beside the manifest as ``calibration.json``.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

#: What answers first, and what cheats are held against.
REFERENCE = "cpu"
#: Native backends to the settings of the runtime that make each; a wheel of another version
#: or for another processor folds, fuses and shares out the work in other ways still.
NATIVE: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        REFERENCE: {"threads": 1},
        "cpu-threads": {"threads": 0},
        "cpu-unfused": {"threads": 1, "plain": True},
    }
)
TABS = ("wasm", "webgpu")
#: One half makes the threshold, the other tries it: fewer say nothing.
LEAST_JOBS = 20
