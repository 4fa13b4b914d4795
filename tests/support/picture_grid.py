"""A grid that draws: the tiny model of ``tests/support/pictures.py``, beside the one for text."""

from __future__ import annotations

from pathlib import Path

from tests.support import pictures
from tests.support.grid import Grid
from tests.support.models import link_library

MODEL = pictures.ID
PRICE = 1_000
SETTINGS = """
[server]
library = "{library}"
[limits]
request_s = {request_s}
public_requests_per_minute = 100000
# A test may stop a node for as long as it looks at what the pages say meanwhile.
node_idle_s = 600
[scheduling]
lease_min_s = 300
[grids.text]
title = "Text"
description = "Sentences become vectors."
models = ["all-MiniLM-L6-v2"]
price_per_unit = 1000
release_s = 1
demo_credit = 1000000
[grids.labels]
title = "Labels"
description = "Texts are sorted under labels."
models = ["minilm-labels"]
price_per_unit = 1000
release_s = 1
[grids.images]
title = "Pictures"
description = "Prompts become small pictures."
models = ["{model}"]
price_per_unit = {price}
release_s = 1
"""


def make_grid(folder: Path, model: str = MODEL, request_s: int = 60) -> Grid:
    """Not started yet; its nodes are started with the grid ``pictures``."""
    library = link_library(folder / "library")
    # Guided further, it paints some seeds in one colour: blank, so refused, and its node rests.
    pictures.build(library, default_guidance=1.0)
    settings = SETTINGS.format(library=library, model=model, price=PRICE, request_s=request_s)
    return Grid(folder, settings=settings)
