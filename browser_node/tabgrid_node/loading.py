"""From an offered model to one that this device is known to run right.

Fetch the manifest and check that it is the one offered, take the best variant that fits,
load it, and let it answer its golden inputs. Wrong numbers mean "not supported here".
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Protocol, TypeVar

import msgspec

from tabgrid_models.connectors.base import AnyConnector, InvalidInput, InvalidOutput
from tabgrid_models.manifest import Golden, Manifest, Variant
from tabgrid_models.runtime import Runtime
from tabgrid_wire.messages import LoadedModel

from .hosts import CannotRun, ConnectionLost, Device, DeviceLost, Host, OutOfMemory

T = TypeVar("T")

#: Algorithm to connector. Raises LookupError for one that this version does not have.
FindConnector = Callable[[str], AnyConnector]
#: The first pass warms the device, the second is timed; where the first took longer than
#: this, its own time must do, so that a slow device is not kept from working.
SECOND_PASS_S = 2.0


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
            raise CannotRun("The grid sent another manifest than the one it offered.")
        try:
            connector = self._find(manifest.connector)
        except LookupError as error:
            raise CannotRun(
                f"This node does not know the algorithm “{manifest.connector}”. Update it."
            ) from error
        return await self._first_that_runs(manifest, digest, connector)

    async def _first_that_runs(
        self, manifest: Manifest, digest: str, connector: AnyConnector
    ) -> Held:
        reason = CannotRun("It needs more memory or other features than this device has.")
        for variant in fitting(manifest, self._host.device):
            try:
                runtime, speed = await self._with_room(
                    variant, partial(self._load_and_test, manifest, variant, connector)
                )
            except CannotRun as error:
                reason = error
            else:
                loaded = LoadedModel(digest, variant.id, variant.dtype, speed)
                return Held(Tested(manifest, variant, connector, loaded), runtime)
        raise reason

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
        self, manifest: Manifest, variant: Variant, connector: AnyConnector
    ) -> tuple[Runtime, float]:
        try:
            runtime = await self._load(manifest, variant)
            self._watch.testing(manifest.title)
            clock = self._host.monotonic
            return runtime, await self_test(manifest, variant, connector, runtime, clock)
        except CannotRun:
            await self._host.unload(manifest.digest())
            raise

    async def _load(self, manifest: Manifest, variant: Variant) -> Runtime:
        return await self._host.load(manifest, variant, self._progress(manifest))

    def _progress(self, manifest: Manifest) -> Callable[[int, int], None]:
        return lambda done, total: self._watch.downloading(manifest.title, done, total)


def fitting(manifest: Manifest, device: Device) -> list[Variant]:
    """The variants that this device can hold, best first, as the manifest orders them.

    A device that does not know its memory (0, most tabs) tries and sees.
    """
    return [
        variant
        for variant in manifest.variants
        if set(variant.needs) <= set(device.features)
        and (not device.memory_mib or variant.memory_mib <= device.memory_mib)
    ]


async def self_test(
    manifest: Manifest,
    variant: Variant,
    connector: AnyConnector,
    runtime: Runtime,
    monotonic: Callable[[], float],
) -> float:
    """Units per second, after every golden answer was right. Raises CannotRun otherwise."""
    if not manifest.golden:
        raise CannotRun("Its manifest has no golden answers to test this device with.")
    test = SelfTest(manifest, variant, connector, runtime)
    started = monotonic()
    units = [await test.answer(golden) for golden in manifest.golden]
    elapsed = monotonic() - started
    if elapsed < SECOND_PASS_S:
        started = monotonic()
        units = [await test.answer(golden) for golden in manifest.golden]
        elapsed = monotonic() - started
    # A clock may be too coarse to see a small model at all (tabs round to 0.1 ms).
    return max(1e-3, sum(units) / max(elapsed, 1e-4))


class SelfTest:
    """Lets a model answer its golden inputs."""

    def __init__(
        self, manifest: Manifest, variant: Variant, connector: AnyConnector, runtime: Runtime
    ) -> None:
        self._manifest = manifest
        self._variant = variant
        self._connector = connector
        self._runtime = runtime

    async def answer(self, golden: Golden) -> int:
        """Units of work in it. Raises CannotRun if the answer is wrong or none."""
        connector, manifest = self._connector, self._manifest
        try:
            input = msgspec.convert(golden.input, connector.Input)
            reference = msgspec.convert(golden.output, connector.Output)
            candidate = await connector.run(input, manifest, self._runtime, _silent)
            connector.check(input, candidate, manifest)
            units = connector.usage(input, manifest, self._tokenizer()).units
        except (msgspec.ValidationError, InvalidInput) as error:
            raise CannotRun(f"Its golden answers are not this connector's: {error}") from error
        except InvalidOutput as error:
            raise CannotRun(f"This device computes wrong numbers with it: {error}") from error
        except MemoryError as error:
            raise OutOfMemory("It needs more memory than this device has.") from error
        except (CannotRun, ConnectionLost, DeviceLost):
            raise
        except Exception as error:
            # Whatever a device cannot do with a model, the node can still run others.
            raise CannotRun(f"This device fails to compute it: {error}") from error
        comparison = connector.compare(reference, candidate, self._variant.dtype)
        if not comparison.agrees:
            raise CannotRun(
                "This device computes wrong numbers with it: "
                f"{comparison.distance:.3g} away, {comparison.threshold:.3g} is allowed."
            )
        return units

    def _tokenizer(self) -> Any:
        try:
            return self._runtime.tokenizer()
        except LookupError:
            return None


def _silent(done: int, total: int, stage: str = "", chunk: bytes = b"") -> None:
    """A self-test reports nothing."""
