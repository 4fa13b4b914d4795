"""Variants on one device: real graphs on onnxruntime, some of them wrong on purpose."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tabgrid_models.calibration import Calibration
from tabgrid_models.connectors import connector
from tabgrid_models.manifest import Manifest, Variant
from tabgrid_node.choosing import Choice
from tabgrid_node.hosts import CannotRun, OutOfMemory
from tabgrid_node.keys import KeySigner
from tabgrid_node.loading import Held, Loader, Watch
from tabgrid_node.native_runtime import NativeRuntime
from tabgrid_node.testing import DEVICE, LocalHost
from tests.support.pages import CALIBRATION
from tests.support.variants import WRONG, build


class Empty:
    """All the room there is."""

    async def make_room(self, mib: int) -> None: ...

    async def clear(self) -> bool:
        return False


class Device:
    """A host whose clock moves by what each variant is said to take."""

    def __init__(self, manifest: Manifest, folder: Path, **seconds: float) -> None:
        self.manifest, self.folder, self.seconds = manifest, folder, seconds
        #: Variants that this device has no memory for.
        self.too_large: set[str] = set()
        self.host = LocalHost(KeySigner(), [manifest], runtime=self.runtime)

    def runtime(self, manifest: Manifest, variant: Variant) -> NativeRuntime:
        if variant.id in self.too_large:
            raise OutOfMemory("It does not fit.")
        return Timed(self, manifest, variant)

    async def load(self) -> Held:
        loader = Loader(self.host, connector, Empty(), Watch())
        return await loader.load(self.manifest.digest())

    async def refused(self) -> CannotRun:
        with pytest.raises(CannotRun) as caught:
            await self.load()
        return caught.value

    def tried(self) -> list[str]:
        """Variants in the order in which they were loaded since the last call."""
        tried = [variant for _, variant in self.host.loads if variant != "unloaded"]
        self.host.loads.clear()
        return tried


class Timed(NativeRuntime):
    """onnxruntime, on the device's clock."""

    def __init__(self, device: Device, manifest: Manifest, variant: Variant) -> None:
        super().__init__(manifest, variant, device.folder, threads=1)
        self._device, self._step_s = device, device.seconds.get(variant.id, 1.0)

    async def run(self, graph, feeds):  # type: ignore[no-untyped-def]
        if graph == "step":
            self._device.host.now += self._step_s
        return await super().run(graph, feeds)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("library")


@pytest.fixture(scope="module")
def manifest(folder: Path) -> Manifest:
    """The best on paper is wrong; of the others the second is the faster one."""
    return build(folder, {"wrong": WRONG, "slow": 0, "quick": 0}, id="three")


@pytest.fixture
def device(manifest: Manifest, folder: Path) -> Device:
    return Device(manifest, folder / "three", slow=2.0, quick=0.5)


async def test_the_fastest_right_variant_is_kept(device: Device) -> None:
    held = await device.load()
    assert held.tested.loaded.variant == "quick"
    assert device.tried() == ["wrong", "slow", "quick"], "what is loaded last needs no reload"
    assert held.tested.loaded.units_per_second > 0


async def test_the_next_visit_starts_with_it_at_once(device: Device) -> None:
    await device.load()
    device.tried()
    assert (await device.load()).tested.loaded.variant == "quick"
    assert device.tried() == ["quick"]


@pytest.mark.parametrize("field", ["device_class", "name", "runtime"])
async def test_another_device_or_browser_chooses_anew(device: Device, field: str) -> None:
    await device.load()
    device.tried()
    device.host.device = msgspec.structs.replace(device.host.device, **{field: "another"})
    await device.load()
    assert device.tried() == ["wrong", "slow", "quick"]


async def test_a_choice_that_is_no_longer_right_is_made_anew(device: Device) -> None:
    await device.load()
    device.tried()
    [(name, kept)] = device.host.notes.items()
    choice = msgspec.json.decode(kept, type=Choice)
    assert (choice.variant, set(choice.speeds)) == ("quick", {"slow", "quick"})
    # As if a driver had changed under the same name.
    device.host.notes[name] = msgspec.json.encode(msgspec.structs.replace(choice, variant="wrong"))
    assert (await device.load()).tested.loaded.variant == "quick"
    assert device.tried() == ["wrong", "slow", "quick"]


@pytest.mark.parametrize("kept", [b"", b"{", b"[]", b'{"device":1}'])
async def test_a_note_that_is_none_is_passed_over(device: Device, kept: bytes) -> None:
    device.host.notes[device.manifest.digest()] = kept
    assert (await device.load()).tested.loaded.variant == "quick"


async def test_a_slow_device_looks_no_further_than_the_first_right_one(device: Device) -> None:
    device.seconds["slow"] = 30.0
    assert (await device.load()).tested.loaded.variant == "slow"
    assert device.tried() == ["wrong", "slow"]


async def test_a_try_that_takes_too_long_is_given_up(device: Device) -> None:
    device.seconds = {"slow": 0.1, "quick": 100.0}
    assert (await device.load()).tested.loaded.variant == "slow"
    assert device.tried() == ["wrong", "slow", "quick", "slow"]
    assert device.host.now < 120, "after the first step that went over the time"


async def test_none_that_is_right_is_told_with_the_dtypes_that_were_wrong(folder: Path) -> None:
    manifest = build(folder, {"only": WRONG}, id="wrong-only")
    device = Device(manifest, folder / "wrong-only")
    error = await device.refused()
    assert (error.code, error.dtypes) == ("wrong_numbers", ("q4",))
    assert "is allowed" in str(error)
    assert device.host.notes == {}
    await device.refused()
    assert device.tried() == ["only", "only"], "tested again: a browser may have been updated"


async def test_wrong_numbers_are_told_before_other_reasons(device: Device) -> None:
    device.too_large = {"slow", "quick"}
    error = await device.refused()
    assert (error.code, error.dtypes) == ("wrong_numbers", ("q4",))


async def test_a_device_that_no_variant_is_for_is_told_so(device: Device) -> None:
    device.host.device = msgspec.structs.replace(DEVICE, memory_mib=1)
    error = await device.refused()
    assert (error.code, error.dtypes) == ("no_variant", ())
    assert device.tried() == []


def calibrated(manifest: Manifest, threshold: float, **fields: object) -> Calibration:
    [one] = CALIBRATION.variants
    variants = tuple(
        msgspec.structs.replace(one, variant=v.id, dtype=v.dtype, threshold=threshold, **fields)
        for v in manifest.variants
    )
    return msgspec.structs.replace(CALIBRATION, digest=manifest.digest(), variants=variants)


async def test_the_calibrated_threshold_decides(device: Device) -> None:
    """Wide enough, even the wrong one passes; where it is of other files, it says nothing."""
    wide = calibrated(device.manifest, threshold=1e3)
    device.host.calibrations[device.manifest.digest()] = wide
    device.seconds = {"wrong": 0.1, "slow": 9.0, "quick": 9.0}
    assert (await device.load()).tested.loaded.variant == "wrong"
    device.tried()
    for unfit in (
        msgspec.structs.replace(wide, digest="0" * 64),
        msgspec.structs.replace(wide, comparator_version=99),
    ):
        device.host.notes.clear()
        device.host.calibrations[device.manifest.digest()] = unfit
        assert (await device.load()).tested.loaded.variant != "wrong"


async def test_a_variants_own_answers_are_what_it_is_held_against(folder: Path) -> None:
    """As near as honest devices are to each other, though far from the most exact variant."""
    manifest = build(folder, {"coarse": WRONG}, id="coarse")
    device = Device(manifest, folder / "coarse")
    assert (await device.refused()).code == "wrong_numbers"
    algorithm = connector(manifest.connector)
    [golden] = manifest.golden
    own = await algorithm.run(
        msgspec.convert(golden.input, algorithm.Input),
        manifest,
        NativeRuntime(manifest, manifest.variants[0], folder / "coarse"),
        lambda *_: None,
    )
    answers = (msgspec.to_builtins(own),)
    device.host.calibrations[manifest.digest()] = calibrated(manifest, 1.0, answers=answers)
    assert (await device.load()).tested.loaded.variant == "coarse"
    # One answer too many: made for other golden inputs, so it says nothing.
    device.host.calibrations[manifest.digest()] = calibrated(manifest, 1.0, answers=answers * 2)
    assert (await device.refused()).code == "wrong_numbers"
