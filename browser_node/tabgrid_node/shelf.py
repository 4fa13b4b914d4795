"""The models of one node: in memory as many as fit, the others within reach.

A model that passed its self-test is offered to the grid until somebody asks for another test
(``forget``). Where the next one does not fit beside it, it is put down and taken up again when
a job wants it, without a test; the one that was not wanted for longest goes first, and none
that a job uses.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from tabgrid_wire.messages import LoadedModel, RefusedModel

from .hosts import CannotRun, DeviceLost, Host, OutOfMemory
from .loading import FindConnector, Held, Loader, Tested, Watch
from .runner import fit

log = logging.getLogger(__name__)


class Shelf:
    def __init__(self, host: Host, find: FindConnector, watch: Watch) -> None:
        #: Models that this device cannot run, with the reason.
        self.refused: dict[str, RefusedModel] = {}
        self._host = host
        self._loader = Loader(host, find, self, watch)
        #: One at a time: two downloads share one line, two sessions one memory.
        self._loading = asyncio.Lock()
        #: What is in memory, the least recently used first.
        self._held: dict[str, Held] = {}
        self._tested: dict[str, Tested] = {}
        self._used: Counter[str] = Counter()
        #: Memory was given back once: what is left of it may lie in pieces.
        self._worn = False

    @property
    def loaded(self) -> tuple[LoadedModel, ...]:
        """What jobs can be taken for."""
        return tuple(tested.loaded for tested in self._tested.values())

    async def get(self, digest: str) -> Held | None:
        """The model in memory; None where this device cannot run it.

        Raises ConnectionLost where trying again may help, DeviceLost where only a host with
        fresh memory can hold it again.
        """
        async with self._loading:
            if digest in self.refused:
                return None
            try:
                held = self._held.pop(digest, None) or await self._load(digest)
            except CannotRun as error:
                log.warning("Refused model %s: %s", digest, error)
                self.refused[digest] = RefusedModel(
                    digest, fit(str(error)), error.code, error.dtypes
                )
                self._tested.pop(digest, None)
                return None
            self._held[digest] = held
            return held

    async def forget(self, digest: str) -> None:
        """What was found out about the model; ``get`` then tests it again. No job may use it.

        Its variant is chosen anew too: the one that was chosen may be what is wrong.
        """
        async with self._loading:
            await self._host.remember(digest, b"")
            self.refused.pop(digest, None)
            self._tested.pop(digest, None)
            if digest in self._held:
                await self._put_down(digest)

    @contextmanager
    def used(self, digest: str) -> Iterator[None]:
        """A job has it in hand: it stays in memory."""
        self._used[digest] += 1
        try:
            yield
        finally:
            self._used[digest] -= 1

    async def make_room(self, mib: int) -> None:
        """Put down what was not wanted for longest, until ``mib`` more fit.

        A device that does not know its memory (0) finds out when it has none left.
        """
        limit = self._host.device.memory_mib
        for digest in self._idle():
            if not limit or self._size() + mib <= limit:
                return
            await self._put_down(digest)

    async def clear(self) -> bool:
        """Put everything down that no job uses; whether there was anything."""
        idle = self._idle()
        for digest in idle:
            await self._put_down(digest)
        return bool(idle)

    async def ran_out(self) -> bool:
        """A job found no memory: whether another try may find some.

        Raises DeviceLost where nothing is left to put down, but something has been: 32-bit
        WebAssembly never shrinks, and what was given back may lie in pieces too small.
        """
        if await self.clear():
            return True
        if self._worn:
            raise DeviceLost("Memory that other models gave back cannot be used again.")
        return False

    async def _load(self, digest: str) -> Held:
        before = self._tested.get(digest)
        if before is None:
            held = await self._loader.load(digest)
            self._tested[digest] = held.tested
            return held
        try:
            return await self._loader.again(before)
        except OutOfMemory as error:
            raise DeviceLost(f"{before.manifest.title} no longer fits: {error}") from error

    async def _put_down(self, digest: str) -> None:
        log.info("Model %s makes room", digest)
        del self._held[digest]
        self._worn = True
        await self._host.unload(digest)

    def _idle(self) -> list[str]:
        return [digest for digest in self._held if not self._used[digest]]

    def _size(self) -> int:
        return sum(held.tested.variant.memory_mib for held in self._held.values())
