"""Runs honest inputs and cheats over the backends, and makes of them a calibration."""

from __future__ import annotations

import asyncio
import platform
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import msgspec

from tabgrid_models import calibration, catalogue
from tabgrid_models.calibration import Calibration, Cheat, Honest, VariantCalibration
from tabgrid_models.connectors.base import AnyConnector, InvalidOutput
from tabgrid_models.manifest import Golden, Manifest, Variant

from ..export.native import NativeRuntime
from ..library import Library
from . import NATIVE, REFERENCE, altered
from .forgeries import FORGERIES, Case, Forge

#: Cheats that are other models in the same files.
OTHER_MODELS: Mapping[str, altered.Change] = {
    "other weights": altered.reshuffle,
    "one layer less": altered.drop_last_layer,
    "weights of 4 bits": altered.fewer_bits,
    "arithmetic in 16 bits": altered.halve,
}
#: A variant that has few bits itself is not cheated at with as many.
HONEST_HERE = {"q4": "weights of 4 bits", "fp16": "arithmetic in 16 bits"}
SEED = 7

Tell = Callable[[str], None]


class Options(NamedTuple):
    backends: tuple[str, ...] = tuple(NATIVE)
    #: How many of the inputs each cheat is tried at.
    cheated: int = 100
    #: What each backend may take for one variant; it answers as many inputs as fit.
    seconds: float = 120
    #: In place of the connector's own.
    floor: float | None = None


class Measured(NamedTuple):
    """Answers of one backend by the number of the input."""

    device: str
    answers: dict[int, Any]


def calibrate(
    library: Library, manifest: Manifest, inputs: Sequence[Any], options: Options, tell: Tell
) -> Calibration:
    """Raises ``ClickException`` where a browser is wanted and is not there."""
    connector = catalogue.connector_of(manifest)
    variants: list[VariantCalibration] = []
    devices: dict[str, str] = {}
    for variant in manifest.variants:
        with tempfile.TemporaryDirectory(prefix="tabgrid-calibrate-") as folder:
            files = library.lay_out(manifest, Path(folder, "files"))
            work = Work(manifest, variant, connector, files, options, tell)
            measured = work.honest(inputs)
            devices |= {name: one.device for name, one in measured.items()}
            variants.append(work.judge(inputs, measured))
    return Calibration(
        model=manifest.id,
        digest=manifest.digest(),
        connector=manifest.connector,
        comparator_version=connector.comparator_version,
        unit=connector.distance,
        share=calibration.SHARE,
        margin=calibration.MARGIN,
        backends=devices,
        variants=tuple(variants),
    )


class Work:
    """One variant of one model, its files in one folder."""

    def __init__(
        self,
        manifest: Manifest,
        variant: Variant,
        connector: AnyConnector,
        files: Path,
        options: Options,
        tell: Tell,
    ) -> None:
        self._manifest = manifest
        self._variant = variant
        self._connector = connector
        self._files = files
        self._options = options
        self._tell = tell

    def honest(self, inputs: Sequence[Any]) -> dict[str, Measured]:
        """Backend to its answers."""
        measured = {}
        for name in self._options.backends:
            self._tell(f"{self._manifest.id} {self._variant.id}: {name}")
            measured[name] = (
                self._native(name, inputs) if name in NATIVE else self._tab(name, inputs)
            )
            self._tell(f"  {len(measured[name].answers)} of {len(inputs)} inputs answered")
        return measured

    def judge(self, inputs: Sequence[Any], measured: Mapping[str, Measured]) -> VariantCalibration:
        """The threshold from one half of the answers; the other half and the cheats against it."""
        floor = self._options.floor
        if floor is None:
            floor = self._connector.floor(self._variant.dtype)
        made_from, held_out = self._distances(measured, 0), self._distances(measured, 1)
        threshold = calibration.threshold(made_from.values(), floor)
        rest = [distance for distances in held_out.values() for distance in distances]
        honest = measured[REFERENCE].answers
        return VariantCalibration(
            variant=self._variant.id,
            dtype=self._variant.dtype,
            threshold=threshold,
            floor=floor,
            honest=tuple(
                Honest(*pair, calibration.spread(distances))
                for pair, distances in made_from.items()
            ),
            held_out=len(rest),
            refused=sum(distance > threshold for distance in rest),
            cheats=tuple(self._cheats(inputs, honest, threshold)),
        )

    def _native(self, name: str, inputs: Sequence[Any]) -> Measured:
        runtime = NativeRuntime(self._manifest, self._variant, self._files, **NATIVE[name])
        device = f"onnxruntime on {platform.machine()}"
        return Measured(device, asyncio.run(self._answers(runtime, inputs)))

    def _tab(self, name: str, inputs: Sequence[Any]) -> Measured:
        from .tab import answers

        alone = asyncio.run(self._alone())
        device, found = answers(alone, self._files, name, inputs, self._options.seconds)
        return Measured(device, dict(enumerate(found)))

    async def _alone(self) -> Manifest:
        """A model of this one variant, so that a tab has no other to choose.

        Its golden answers are made anew: a picture names the manifest that it was drawn by.
        """
        alone = msgspec.structs.replace(self._manifest, variants=(self._variant,), golden=())
        runtime = NativeRuntime(alone, self._variant, self._files)
        golden = []
        for pair in self._manifest.golden:
            input = msgspec.convert(pair.input, self._connector.Input)
            output = await self._connector.run(input, alone, runtime, _quiet)
            golden.append(Golden(pair.input, msgspec.to_builtins(output)))
        return msgspec.structs.replace(alone, golden=tuple(golden))

    async def _answers(self, runtime: NativeRuntime, inputs: Sequence[Any]) -> dict[int, Any]:
        end, found = time.monotonic() + self._options.seconds, {}
        for number, input in enumerate(inputs):
            if time.monotonic() > end:
                break
            found[number] = await self._run(runtime, input)
        return found

    async def _run(self, runtime: NativeRuntime, input: Any) -> Any:
        output = await self._connector.run(input, self._manifest, runtime, _quiet)
        self._connector.check(input, output, self._manifest)
        return output

    def _distances(
        self, measured: Mapping[str, Measured], half: int
    ) -> dict[tuple[str, str], list[float]]:
        """Of every two backends, over the inputs with even or odd numbers that both answered."""
        found = {}
        for one, other in combinations(measured, 2):
            ours, theirs = measured[one].answers, measured[other].answers
            both = [number for number in ours if number in theirs and number % 2 == half]
            if both:
                found[one, other] = [self._distance(ours[at], theirs[at]) for at in both]
        return found

    def _distance(self, reference: Any, candidate: Any) -> float:
        return self._connector.compare(reference, candidate, self._variant.dtype).distance

    def _cheats(
        self, inputs: Sequence[Any], honest: dict[int, Any], threshold: float
    ) -> Iterator[Cheat]:
        for name, forge, runtime in self._ways():
            self._tell(f"{self._manifest.id} {self._variant.id}: cheat, {name}")
            tried = asyncio.run(self._tried(forge, runtime, inputs, honest))
            if tried:
                distances = [distance for distance in tried if distance is not None]
                told = sum(distance is None or distance > threshold for distance in tried)
                spread = calibration.spread(distances) if distances else None
                yield Cheat(name, len(tried), told, spread)

    def _ways(self) -> Iterator[tuple[str, Forge, NativeRuntime]]:
        for name, change in OTHER_MODELS.items():
            if name == HONEST_HERE.get(self._variant.dtype):
                continue
            with tempfile.TemporaryDirectory(dir=self._files.parent) as scratch:
                model = (self._manifest, self._variant, self._files, Path(scratch))
                if runtime := altered.load(*model, change):
                    yield name, _as_it_is, runtime
        own = NativeRuntime(self._manifest, self._variant, self._files)
        for name, forge in FORGERIES.get(self._manifest.connector, {}).items():
            yield name, forge, own

    async def _tried(
        self, forge: Forge, runtime: NativeRuntime, inputs: Sequence[Any], honest: dict[int, Any]
    ) -> list[float | None]:
        """Distances from what is right; None for a forgery that is refused for its form."""
        found: list[float | None] = []
        random = Random(SEED)  # noqa: S311 - forgeries, no secrets

        async def answer(input: Any) -> Any:
            return await self._connector.run(input, self._manifest, runtime, _quiet)

        for number in list(honest)[: self._options.cheated]:
            other = honest[(number + 1) % len(honest)]
            case = Case(inputs[number], honest[number], other, answer, self._manifest, random)
            forged = await forge(case)
            if forged is not None:
                found.append(self._judged(case, forged))
        return found

    def _judged(self, case: Case, forged: Any) -> float | None:
        try:
            self._connector.check(case.input, forged, self._manifest)
        except InvalidOutput:
            return None
        return self._distance(case.right, forged)


async def _as_it_is(case: Case) -> Any:
    """The model itself is the cheat."""
    return await case.answer(case.input)


def _quiet(done: int, total: int, stage: str = "", chunk: bytes = b"") -> None:
    """Nobody watches a measurement."""
