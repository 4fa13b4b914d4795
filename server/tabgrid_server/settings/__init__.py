"""All settings of a coordinator: one TOML file, then environment, then flags; checked once."""

from __future__ import annotations

from .demo import load_demo
from .loading import SettingsError, load, replace
from .sections import (
    CHECKOUT_LIBRARY,
    Blobs,
    Chain,
    GridSettings,
    Limits,
    Scheduling,
    Secret,
    Section,
    Server,
    Sessions,
    Settings,
    Trust,
)

__all__ = [
    "CHECKOUT_LIBRARY",
    "Blobs",
    "Chain",
    "GridSettings",
    "Limits",
    "Scheduling",
    "Secret",
    "Section",
    "Server",
    "Sessions",
    "Settings",
    "SettingsError",
    "Trust",
    "load",
    "load_demo",
    "replace",
]
