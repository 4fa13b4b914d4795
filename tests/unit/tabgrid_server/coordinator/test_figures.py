from __future__ import annotations

import itertools

from tabgrid_server.api.schemas.grid import Minute
from tabgrid_server.coordinator.figures import MINUTES, Figures, Sums

NOON = 1_800_000_000.0


def test_the_hour_has_sixty_minutes_and_ends_with_this_one() -> None:
    hour = Figures(Sums(), ()).hour(NOON + 59)
    assert len(hour) == MINUTES
    assert hour[-1].at == NOON
    assert all(later.at - earlier.at == 60 for earlier, later in itertools.pairwise(hour))


def test_jobs_are_counted_in_their_minute_with_the_median_latency() -> None:
    figures = Figures(Sums(done=5), ())
    for seconds in (0.1, 0.2, 0.9):
        figures.done(NOON + 1, seconds)
    assert figures.hour(NOON + 60)[-2] == Minute(NOON, 3, 200.0)
    assert figures.sums.done == 8


def test_what_an_earlier_process_measured_is_shown_until_there_is_news() -> None:
    figures = Figures(Sums(), [Minute(NOON, 7, 50.0)])
    assert figures.hour(NOON)[-1] == Minute(NOON, 7, 50.0)
    figures.done(NOON + 5, 0.3)
    assert figures.hour(NOON)[-1] == Minute(NOON, 8, 300.0)


def test_old_minutes_are_forgotten() -> None:
    figures = Figures(Sums(), ())
    for minute in range(3 * MINUTES):
        figures.done(NOON + 60 * minute, 0.1)
    assert len(figures._hour) == MINUTES
