from __future__ import annotations

from tabgrid_server.scheduler.lines import Lines
from tabgrid_server.scheduler.state import Job

TEXT, IMAGES = ("text", "d1"), ("images", "d2")


def job(id: str, key: tuple[str, str] = TEXT, owner: str = "ann") -> Job:
    return Job(id, owner, *key, units=10)


def test_the_longest_line_goes_first_and_only_among_those_asked_for() -> None:
    lines = Lines()
    first, second, picture = job("a"), job("b"), job("p", IMAGES)
    for each in (picture, first, second):
        lines.put(each)
    assert len(lines) == 3
    assert lines.longest_first([IMAGES, TEXT]) is first
    assert lines.longest_first([IMAGES]) is picture
    assert lines.longest_first([IMAGES]) is None
    assert (first.waiting, second.waiting) == (False, True)
    lines.validate_state([second])


def test_what_was_called_off_is_passed_over_and_what_was_served_once_goes_first() -> None:
    lines = Lines()
    gone, waiting, again = job("gone"), job("waiting"), job("again")
    lines.put(gone)
    lines.put(waiting)
    lines.put_back(again)
    lines.remove(gone)
    assert lines.length(TEXT) == 2
    assert lines.longest_first([TEXT]) is again
    assert lines.longest_first([TEXT]) is waiting
    assert lines.longest_first([TEXT]) is None
    lines.validate_state([])
