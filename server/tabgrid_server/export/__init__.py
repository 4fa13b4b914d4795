"""Making models for the grid: from a trained model to a folder of the library.

Only this package imports torch, optimum and onnx, and only inside functions, so that the
command can say what is missing. It runs in an environment with the extra ``export``.
"""

from __future__ import annotations

import importlib.util

#: Import name to what brings it, in the order in which a person would miss them.
NEEDED = (
    "torch",
    "optimum",
    "onnx",
    "onnxruntime",
    "sentence_transformers",
    "diffusers",
    "tokenizers",
)


class ExportError(Exception):
    """A model cannot be exported; the text says why and what to do."""


def require_tools() -> None:
    """Raise ``ExportError`` unless everything that an export imports is installed."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise ExportError(
            f"Exporting needs {', '.join(missing)}, which this environment lacks. On CPython 3.11 "
            "'pip install torch==2.13.0' and then 'pip install \"tabgrid[export]\"' bring them."
        )
