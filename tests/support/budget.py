"""How many random schedules are played, and which: ``TABGRID_CHAOS``, a count or FIRST:COUNT."""

from __future__ import annotations

import os


def schedules(usual: int, one_in: int = 1) -> range:
    """Numbers of schedules; each is its seed, so that one that failed can be played again.

    ``one_in``: a kind of which as many more fit one of the others is played so much more seldom.
    """
    first, _, count = os.environ.get("TABGRID_CHAOS", "").rpartition(":")
    start = int(first or 0)
    return range(start, start + max(1, int(count or usual) // one_in))
