"""The variants of one model are tried on this device, and the fastest right one is kept.

The shell around ``choosing``: it loads, tests, measures, puts down, and writes down.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, Protocol

import msgspec

from tabgrid_models.calibration import Calibration
from tabgrid_models.catalogue import files
from tabgrid_models.connectors.base import AnyConnector
from tabgrid_models.manifest import Manifest, Variant
from tabgrid_models.runtime import Runtime

from .choosing import Candidate, Choice, Trial, choose, next_try, time_left
from .hosts import CannotRun, Device, Host
from .self_test import self_test

log = logging.getLogger(__name__)

#: Units per second of a loaded variant. Raises CannotRun where it is not right.
Test = Callable[[Runtime], Awaitable[float]]


class Model(NamedTuple):
    """What is to be tried."""

    manifest: Manifest
    connector: AnyConnector
    #: How far honest answers lie apart; None where nobody has measured it.
    calibration: Calibration | None


class Admitted(NamedTuple):
    """A variant that is right here, in memory."""

    variant: Variant
    speed: float
    runtime: Runtime


class Place(Protocol):
    """Where one variant is loaded at a time."""

    async def try_out(
        self, manifest: Manifest, variant: Variant, test: Test
    ) -> tuple[Runtime, float]:
        """Make room, load, test. Raises CannotRun, with nothing loaded."""


class Admission:
    """One model on one host."""

    def __init__(self, host: Host, place: Place, model: Model) -> None:
        self._host = host
        self._place = place
        self._model = model
        self._variants = {v.id: v for v in fitting(model.manifest, host.device)}
        self._trials: list[Trial] = []
        self._refusals: list[tuple[Variant, CannotRun]] = []
        #: The variant in memory.
        self._loaded: Admitted | None = None

    async def run(self) -> Admitted:
        """Raises CannotRun with what is to be said of the model where no variant is right."""
        manifest = self._model.manifest
        candidates = [await self._candidate(variant) for variant in self._variants.values()]
        remembered = await self._recall()
        while wanted := next_try(candidates, self._trials, remembered):
            await self._try(self._variants[wanted.id], wanted.missing)
        chosen = choose(self._trials)
        if chosen is None:
            raise self._refusal()
        if self._loaded is None or self._loaded.variant.id != chosen.id:
            await self._put_down()
            variant = self._variants[chosen.id]
            runtime, _ = await self._place.try_out(manifest, variant, _as_known(chosen.speed))
            self._loaded = Admitted(variant, chosen.speed, runtime)
        return self._loaded

    async def _candidate(self, variant: Variant) -> Candidate:
        missing = await self._host.missing(files(self._model.manifest, variant))
        return Candidate(variant.id, variant.dtype, missing)

    async def _try(self, variant: Variant, missing: int) -> None:
        await self._put_down()
        started = self._host.monotonic()
        speed, wrong = 0.0, False
        try:
            runtime, speed = await self._place.try_out(
                self._model.manifest, variant, self._test_of(variant)
            )
            self._loaded = Admitted(variant, speed, runtime)
        except CannotRun as error:
            log.warning("%s %s: %s", self._model.manifest.id, variant.id, error)
            self._refusals.append((variant, error))
            wrong = error.code == "wrong_numbers"
        seconds = self._host.monotonic() - started
        self._trials.append(Trial(variant.id, variant.dtype, speed, seconds, missing, wrong))
        await self._remember()

    def _test_of(self, variant: Variant) -> Test:
        left = time_left(self._trials)
        clock = self._host.monotonic
        until = None if left is None else clock() + left
        manifest, connector, calibration = self._model

        async def test(runtime: Runtime) -> float:
            return await self_test(manifest, variant, connector, runtime, clock, calibration, until)

        return test

    async def _put_down(self) -> None:
        if self._loaded is not None:
            self._loaded = None
            await self._host.unload(self._model.manifest.digest())

    async def _recall(self) -> str:
        """The variant that this device chose before; "" where it has not, or has changed since."""
        try:
            kept = await self._host.recall(self._model.manifest.digest())
            choice = msgspec.json.decode(kept, type=Choice) if kept else None
        except msgspec.DecodeError:
            return ""
        same = choice is not None and choice.device == identity(self._host.device)
        return choice.variant if choice is not None and same else ""

    async def _remember(self) -> None:
        """After each try, not at the end: one that takes the device down is not tried again."""
        if chosen := choose(self._trials):
            speeds = {trial.id: trial.speed for trial in self._trials if trial.right}
            choice = Choice(identity(self._host.device), chosen.id, speeds)
            await self._host.remember(self._model.manifest.digest(), msgspec.json.encode(choice))

    def _refusal(self) -> CannotRun:
        """One reason for all: wrong numbers before whatever else there was."""
        if not self._refusals:
            return CannotRun(
                "It needs more memory or other features than this device has.", "no_variant"
            )
        errors: Sequence[CannotRun] = [error for _, error in self._refusals]
        wrong = [error for error in errors if error.code == "wrong_numbers"]
        said = wrong[0] if wrong else errors[-1]
        said.dtypes = tuple(
            sorted({v.dtype for v, error in self._refusals if error.code == "wrong_numbers"})
        )
        return said


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


def identity(device: Device) -> str:
    """What a choice holds for: another browser, driver or number of threads is another device."""
    return " | ".join((device.backend, device.device_class, device.name, device.runtime))


def _as_known(speed: float) -> Test:
    async def known(runtime: Runtime) -> float:
        return speed

    return known
