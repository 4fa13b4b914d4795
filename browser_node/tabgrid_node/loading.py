"""From an offered model to one that this device is known to run right.

Fetch the manifest and check that it is the one offered, then let ``Admission`` find the variant
for this device. Wrong numbers mean "not supported here".
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Protocol, TypeVar

import msgspec

from tabgrid_models.calibration import Calibration
from tabgrid_models.connectors.base import AnyConnector
from tabgrid_models.manifest import Manifest, Variant
from tabgrid_models.runtime import Runtime
from tabgrid_wire.messages import LoadedModel

from .admission import Admission, Model, Test
from .hosts import CannotRun, Host, OutOfMemory

T = TypeVar("T")

#: Algorithm to connector. Raises LookupError for one that this version does not have.
FindConnector = Callable[[str], AnyConnector]


class Tested(msgspec.Struct, frozen=True):
    """A model that passed its self-test on this device, in memory or not."""

    manifest: Manifest
    variant: Variant
    connector: AnyConnector
    loaded: LoadedModel


class Held(msgspec.Struct, frozen=True):
    """… and that is in memory."""

    tested: Tested
    runtime: Runtime


class Room(Protocol):
    """Where models lie; makes room for one more."""

    async def make_room(self, mib: int) -> None: ...

    async def clear(self) -> bool:
        """Put down all that can be; whether there was anything."""


class Watch:
    """Hears how loading goes. The default does nothing."""

    def downloading(self, title: str, done: int, total: int) -> None:
        """Bytes so far and in all."""

    def testing(self, title: str) -> None:
        """The weights are there, the self-test begins."""


class Loader:
    """Loads models on one host."""

    def __init__(self, host: Host, find: FindConnector, room: Room, watch: Watch) -> None:
        self._host = host
        self._find = find
        self._room = room
        self._watch = watch

    async def load(self, digest: str) -> Held:
        """Raises CannotRun with the reason, or ConnectionLost where trying again may help."""
        manifest = await self._host.fetch_manifest(digest)
        if manifest.digest() != digest:
            raise CannotRun("The grid sent another manifest than the one it offered.", "bad_model")
        try:
            connector = self._find(manifest.connector)
        except LookupError as error:
            raise CannotRun(
                f"This node does not know the algorithm “{manifest.connector}”. Update it.",
                "unknown_algorithm",
            ) from error
        model = Model(manifest, connector, await self._calibration(manifest, connector))
        variant, speed, runtime = await Admission(self._host, self, model).run()
        loaded = LoadedModel(digest, variant.id, variant.dtype, speed)
        return Held(Tested(manifest, variant, connector, loaded), runtime)

    async def _calibration(self, manifest: Manifest, connector: AnyConnector) -> Calibration | None:
        """None where there is none of this very model and comparator: built-in limits hold then."""
        found = await self._host.fetch_calibration(manifest.digest())
        fits = found is not None and found.fits(manifest, connector.comparator_version)
        return found if fits else None

    async def try_out(
        self, manifest: Manifest, variant: Variant, test: Test
    ) -> tuple[Runtime, float]:
        """Load a variant and let it be tested. Raises CannotRun, with nothing loaded."""
        attempt = partial(self._load_and_test, manifest, variant, test)
        return await self._with_room(variant, attempt)

    async def again(self, tested: Tested) -> Held:
        """The same variant once more: it was right, so it is not tested again."""
        load = partial(self._load, tested.manifest, tested.variant)
        return Held(tested, await self._with_room(tested.variant, load))

    async def _with_room(self, variant: Variant, load: Callable[[], Awaitable[T]]) -> T:
        """``load`` it, and once more with everything else out of memory if that is what lacks."""
        await self._room.make_room(variant.memory_mib)
        try:
            return await load()
        except OutOfMemory:
            if not await self._room.clear():
                raise
            return await load()

    async def _load_and_test(
        self, manifest: Manifest, variant: Variant, test: Test
    ) -> tuple[Runtime, float]:
        try:
            runtime = await self._load(manifest, variant)
            self._watch.testing(manifest.title)
            return runtime, await test(runtime)
        except CannotRun:
            await self._host.unload(manifest.digest())
            raise

    async def _load(self, manifest: Manifest, variant: Variant) -> Runtime:
        return await self._host.load(manifest, variant, self._progress(manifest))

    def _progress(self, manifest: Manifest) -> Callable[[int, int], None]:
        return lambda done, total: self._watch.downloading(manifest.title, done, total)
