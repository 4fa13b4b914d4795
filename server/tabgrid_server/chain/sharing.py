"""One answer for all who ask before the question goes out."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Shared(Generic[T]):
    """A question whose answer is the same for everybody, such as the newest blockhash.

    Nobody gets an answer to a question that went out before they asked: who comes while one is
    under way shares the next. Raises what ``ask`` raises, to all who share it.
    """

    def __init__(self, ask: Callable[[], Awaitable[T]]) -> None:
        self._ask = ask
        self._under_way: asyncio.Task[T] | None = None
        self._next: asyncio.Task[T] | None = None

    async def __call__(self) -> T:
        if self._next is None:
            self._next = asyncio.create_task(self._go(self._under_way))
        # Whoever gives up does not take the answer from the others.
        return await asyncio.shield(self._next)

    async def _go(self, before: asyncio.Task[Any] | None) -> T:
        if before is not None and not before.done():
            with suppress(Exception):
                await asyncio.wait({before})
        self._under_way, self._next = self._next, None
        return await self._ask()


class Recent(Shared[T]):
    """``Shared``, for what does not change at once: an answer is also for those who ask within
    ``age`` seconds after its question went out. ``clock`` in seconds."""

    def __init__(
        self, ask: Callable[[], Awaitable[T]], age: float, clock: Callable[[], float]
    ) -> None:
        super().__init__(self._remembering(ask))
        self._age = age
        self._clock = clock
        #: When it was asked for, and what was answered.
        self._known: tuple[float, T] | None = None

    async def __call__(self) -> T:
        if self._known is not None and 0 <= self._clock() - self._known[0] < self._age:
            return self._known[1]
        return await super().__call__()

    def _remembering(self, ask: Callable[[], Awaitable[T]]) -> Callable[[], Awaitable[T]]:
        async def remembering() -> T:
            at = self._clock()
            answer = await ask()
            self._known = (at, answer)
            return answer

        return remembering
