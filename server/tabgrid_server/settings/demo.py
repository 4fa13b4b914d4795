"""What a grid to try out has instead of the defaults. A settings file is merged over it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from .loading import load
from .sections import CHECKOUT_LIBRARY, GridSettings, Settings

GRIDS: dict[str, Any] = {
    "text": {
        "title": "Text",
        "description": "Sentences become vectors, for search, clustering and comparison.",
        "models": ["all-MiniLM-L6-v2"],
        # 0.001 TGT per token: a paragraph earns a figure that one can see.
        "price_per_unit": 1_000,
        "fee_bps": 500,
        "release_s": 20,
        # 1,000 TGT: a million tokens to play with.
        "demo_credit": 1_000_000_000,
    },
    "images": {
        "title": "Pictures",
        "description": "Prompts become small pictures of simple scenes.",
        "models": ["tabgrid-scenes"],
        # 0.005 TGT per step over 64 x 64 pixels: a picture of 8 steps is 0.04 TGT.
        "price_per_unit": 5_000,
        "fee_bps": 500,
        "release_s": 20,
    },
    "labels": {
        "title": "Labels",
        "description": "Texts are sorted under labels that the asker makes up.",
        "models": ["minilm-labels"],
        "price_per_unit": 1_000,
        "fee_bps": 500,
        "release_s": 20,
    },
}
#: A stranger who tries a demo sees the whole way of the money within a minute.
TRUST: dict[str, Any] = {
    "probation_jobs": 5,
    "release_jobs": 3,
    "release_idle_s": 30,
    "reaudits": 5,
    "appeal_s": 3_600,
    # Several browsers on the machine that the demo runs on.
    "newcomers_per_address": 64,
    "newcomers_network_bps": 10_000,
    "check_within_s": 120,
    # There is one reference, of one kind.
    "other_kind_s": 2,
}
CHAIN: dict[str, Any] = {
    # Lamports: rent of a token account and a few hundred fees.
    "faucet": 50_000_000,
    # Base units: what a few hundred tokens of text earn, and fees that leave most of it.
    "push_minimum": 100_000,
    "push_fee": 10_000,
    "push_account_fee": 20_000,
    # Whoever tries it out sees a root on chain before they leave.
    "epoch_s": 60,
}
DEFAULTS: dict[str, Any] = {"chain": CHAIN, "trust": TRUST, "grids": GRIDS}


def load_demo(
    file: Path | None = None,
    environment: Mapping[str, str] | None = None,
    overrides: Mapping[str, Mapping[str, Any]] | None = None,
) -> Settings:
    """The demo's settings, with all that is given in their stead field by field.

    A grid that nobody changed is left out where the library lacks its models: a checkout may
    lack a large one. Raises ``SettingsError``.
    """
    settings = load(file, environment, overrides, DEFAULTS)
    library = settings.library or CHECKOUT_LIBRARY
    own = msgspec.convert(GRIDS, dict[str, GridSettings])
    offered = {
        id: grid
        for id, grid in settings.grids.items()
        if grid != own.get(id) or _has_models(library, grid)
    }
    return msgspec.structs.replace(settings, grids=offered)


def _has_models(library: Path, grid: GridSettings) -> bool:
    return all((library / model / "manifest.json").is_file() for model in grid.models)
