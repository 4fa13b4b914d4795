"""Several models on a device that does not hold them all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from tabgrid_models.connectors import connector
from tabgrid_models.manifest import Golden, Manifest, Variant
from tabgrid_node.hosts import CannotRun, DeviceLost, OutOfMemory
from tabgrid_node.keys import KeySigner
from tabgrid_node.loading import Watch
from tabgrid_node.shelf import Shelf
from tabgrid_node.testing import DEVICE, LocalHost, NoRuntime


def model(id: str, mib: int) -> Manifest:
    variant = Variant("only", "fp32", {}, (), mib)
    golden = (Golden({"text": id}, {"text": id}),)
    return Manifest(id, "echo", id, "", "Apache-2.0", "here", {}, (variant,), (), golden)


A, B, C = model("a", 400), model("b", 400), model("c", 700)
#: Holds two of the small ones, or the large one with one of them not.
LIMIT = 1000


class Device:
    """A host with a memory limit, and what lies in that memory."""

    def __init__(self, known: bool = True) -> None:
        self.host = LocalHost(
            KeySigner(),
            [A, B, C],
            device=msgspec.structs.replace(DEVICE, memory_mib=LIMIT if known else 0),
            runtime=lambda manifest, variant: self.load(manifest),
        )
        self.shelf = Shelf(self.host, connector, Watch())
        #: Called with each model before it is loaded.
        self.before_load: Callable[[Manifest], None] = lambda manifest: None

    def load(self, manifest: Manifest) -> NoRuntime:
        self.before_load(manifest)
        return NoRuntime()

    async def get(self, *models: Manifest) -> None:
        for one in models:
            held = await self.shelf.get(one.digest())
            assert held is not None
            assert held.tested.manifest.id == one.id

    @property
    def log(self) -> list[str]:
        """Loads by id, unloads with a minus before it."""
        names = {one.digest(): one.id for one in (A, B, C)}
        return [
            f"-{names[first]}" if second == "unloaded" else first
            for first, second in self.host.loads
        ]


async def test_what_fits_stays() -> None:
    device = Device()
    await device.get(A, B, A, B)
    assert device.log == ["a", "b"]


async def test_the_one_not_wanted_for_longest_makes_room() -> None:
    device = Device()
    await device.get(A, B, A, C)
    # C fits beside neither: B went first, then A.
    assert device.log == ["a", "b", "-b", "-a", "c"]
    await device.get(B)
    assert device.log[5:] == ["-c", "b"]


async def test_what_was_put_down_is_offered_all_the_same() -> None:
    device = Device()
    await device.get(A, B, C)
    assert {one.digest for one in device.shelf.loaded} == {one.digest() for one in (A, B, C)}


async def test_what_a_job_uses_stays() -> None:
    device = Device()
    await device.get(A, B)
    with device.shelf.used(A.digest()):
        await device.get(C)
        assert device.log == ["a", "b", "-b", "c"]
    await device.get(B)
    assert device.log[4:] == ["-a", "-c", "b"]


async def test_taken_up_again_it_is_not_tested_again() -> None:
    class Counting:
        tested = 0

        def __getattr__(self, name: str) -> Any:
            if name == "run":
                self.tested += 1
            return getattr(connector("echo"), name)

    counting = Counting()
    device = Device()
    device.shelf = Shelf(device.host, lambda name: counting, Watch())  # type: ignore[arg-type]
    await device.get(A, C)
    tested = counting.tested
    await device.get(A)
    assert device.log == ["a", "-a", "c", "-c", "a"]
    assert counting.tested == tested


async def test_a_device_that_does_not_know_its_memory_finds_out() -> None:
    device = Device(known=False)
    await device.get(A, B)
    full = iter([True])

    def full_at_first(manifest: Manifest) -> None:
        if next(full, False):
            raise OutOfMemory("full")

    device.before_load = full_at_first
    await device.get(C)
    assert device.log == ["a", "b", "c", "-c", "-a", "-b", "c"]


async def test_what_fits_alone_nowhere_is_refused() -> None:
    device = Device(known=False)

    def full(manifest: Manifest) -> None:
        if manifest.id == "c":
            raise OutOfMemory("full")

    device.before_load = full
    await device.get(A)
    assert await device.shelf.get(C.digest()) is None
    assert device.shelf.refused[C.digest()].reason == "full"
    assert await device.shelf.get(C.digest()) is None
    assert device.log.count("c") == 2, "once beside the other, once alone, then no more"


async def test_memory_that_cannot_be_used_again_asks_for_a_fresh_host() -> None:
    device = Device()
    await device.get(A, C)

    def full(manifest: Manifest) -> None:
        raise OutOfMemory("full")

    device.before_load = full
    with pytest.raises(DeviceLost, match="a no longer fits: full"):
        await device.shelf.get(A.digest())


async def test_what_broke_while_it_was_put_down_is_offered_no_more() -> None:
    device = Device()
    await device.get(A, C)

    def broken(manifest: Manifest) -> None:
        raise CannotRun("The grid serves a corrupted file.")

    device.before_load = broken
    assert await device.shelf.get(A.digest()) is None
    assert [one.digest for one in device.shelf.loaded] == [C.digest()]


async def test_a_job_without_memory_may_try_again_where_others_made_room() -> None:
    device = Device()
    await device.get(A, B)
    with device.shelf.used(B.digest()):
        assert await device.shelf.ran_out()
        assert device.log == ["a", "b", "-a"]
        with pytest.raises(DeviceLost):
            await device.shelf.ran_out()


async def test_a_job_without_memory_on_a_fresh_device_just_fails() -> None:
    device = Device()
    await device.get(B)
    with device.shelf.used(B.digest()):
        assert not await device.shelf.ran_out()
    assert device.log == ["b"]
