"""Shows the owner how loading goes, not more often than an eye can follow."""

from __future__ import annotations

from collections.abc import Callable

from .hosts import Host
from .life import Life
from .loading import Watch

#: Downloads report every chunk; ten figures a second look smooth.
SHOW_EVERY_S = 0.1


class ShownLoading(Watch):
    def __init__(self, life: Life, host: Host, report: Callable[[], None]) -> None:
        self._life = life
        self._host = host
        self._report = report
        self._shown_at = float("-inf")

    def downloading(self, title: str, done: int, total: int) -> None:
        now = self._host.monotonic()
        if done >= total or now - self._shown_at >= SHOW_EVERY_S:
            self._shown_at = now
            self._life.downloading(title, done, total)
            self._report()

    def testing(self, title: str) -> None:
        self._life.testing(title)
        self._report()
