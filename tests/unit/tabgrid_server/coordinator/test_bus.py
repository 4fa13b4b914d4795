from __future__ import annotations

import pytest

from tabgrid_server.coordinator.bus import QUEUE_LENGTH, Bus


async def test_listeners_hear_their_topic_only() -> None:
    bus: Bus[str] = Bus()
    with bus.listen("a") as first, bus.listen("a") as second, bus.listen("b") as other:
        bus.publish("a", lambda: "news")
        assert first.get_nowait() == second.get_nowait() == "news"
        assert other.empty()


async def test_nothing_is_made_where_nobody_listens() -> None:
    bus: Bus[str] = Bus()

    def make() -> str:
        pytest.fail("there is no listener")

    bus.publish("a", make)
    with bus.listen("a"):
        pass
    bus.publish("a", make)


async def test_a_slow_listener_sees_the_newest() -> None:
    bus: Bus[int] = Bus()
    with bus.listen("a") as queue:
        for number in range(QUEUE_LENGTH + 5):
            bus.publish("a", lambda number=number: number)  # type: ignore[misc]
        assert queue.qsize() == QUEUE_LENGTH
        assert queue.get_nowait() == 5
