"""Who wants to know what happens: topics, and bounded queues for those who listen.

In this process today. The interface is what a broker could carry between several
coordinators: small messages, named topics, no replay (state is read from the store).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

T = TypeVar("T")

#: A listener this far behind sees gaps rather than holding memory: a page shows the newest
#: state anyway.
QUEUE_LENGTH = 256


class Bus(Generic[T]):
    def __init__(self) -> None:
        self._listeners: dict[str, set[asyncio.Queue[T]]] = {}

    def publish(self, topic: str, make: Callable[[], T]) -> None:
        """Tell all listeners of ``topic``; ``make`` is called only if there is one."""
        listeners = self._listeners.get(topic)
        if not listeners:
            return
        message = make()
        for queue in listeners:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(message)

    @contextmanager
    def listen(self, *topics: str, length: int = QUEUE_LENGTH) -> Iterator[asyncio.Queue[T]]:
        """One queue for all that is said about ``topics``, in order."""
        queue: asyncio.Queue[T] = asyncio.Queue(length)
        for topic in topics:
            self._listeners.setdefault(topic, set()).add(queue)
        try:
            yield queue
        finally:
            for topic in topics:
                self._forget(topic, queue)

    def _forget(self, topic: str, queue: asyncio.Queue[T]) -> None:
        listeners = self._listeners[topic]
        listeners.discard(queue)
        if not listeners:
            del self._listeners[topic]
