from __future__ import annotations

import msgspec
import pytest

from tabgrid_wire.ids import new_id, time_ms
from tabgrid_wire.messages import Identifier


def test_smallest_and_largest() -> None:
    assert new_id("job", 0, bytes(10)) == "job_" + "0" * 26
    assert new_id("lease", 2**48 - 1, b"\xff" * 10) == "lease_7" + "Z" * 25


def test_the_published_example_of_ulid() -> None:
    """01ARYZ6S41… is the time of the specification's own example."""
    assert new_id("job", 1469918176385, bytes(10)).startswith("job_01ARYZ6S41")
    assert time_ms("job_01ARYZ6S41TSV4RRFFQ69G5FAV") == 1469918176385


def test_later_sorts_after_earlier() -> None:
    made = [new_id("job", ms, b"\xff" * 10) for ms in (1, 31, 32, 1_700_000_000_000)]
    assert made == sorted(made)


def test_is_what_the_messages_accept() -> None:
    msgspec.convert(new_id("lease", 1_700_000_000_000, b"0123456789"), Identifier)


@pytest.mark.parametrize(("ms", "random"), [(-1, bytes(10)), (2**48, bytes(10)), (0, bytes(9))])
def test_refuses_what_does_not_fit(ms: int, random: bytes) -> None:
    with pytest.raises(ValueError, match="48 bits"):
        new_id("job", ms, random)


def test_time_of_something_else() -> None:
    with pytest.raises(ValueError, match="26 characters"):
        time_ms("job_1")
