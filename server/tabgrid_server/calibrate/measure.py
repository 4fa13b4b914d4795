"""Runs honest inputs and cheats over the backends, and makes of them a calibration."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from tabgrid_models import calibration, catalogue
from tabgrid_models.calibration import Calibration, Honest, StepCalibration, VariantCalibration
from tabgrid_models.connectors.base import Traced
from tabgrid_models.manifest import Manifest

from ..library import Library
from . import NATIVE, REFERENCE
from .cheats import Cheats
from .golden import own_golden
from .honest import Measured, measured
from .steps import Steps
from .subject import Options, Subject


def calibrate(
    library: Library,
    manifest: Manifest,
    inputs: Sequence[Any],
    options: Options,
    tell: Callable[[str], None],
) -> Calibration:
    """Raises ``ClickException`` where a browser is wanted and is not there."""
    connector = catalogue.connector_of(manifest)
    variants: list[VariantCalibration] = []
    devices: dict[str, str] = {}
    for variant in manifest.variants:
        with tempfile.TemporaryDirectory(prefix="tabgrid-calibrate-") as folder:
            files = library.lay_out(manifest, Path(folder, "files"))
            subject = Subject(manifest, variant, connector, files, options, tell)
            found = measured(subject, inputs)
            devices |= {name: one.device for name, one in found.items()}
            variants.append(_judge(subject, inputs, found))
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


def _judge(
    subject: Subject, inputs: Sequence[Any], found: Mapping[str, Measured]
) -> VariantCalibration:
    """The threshold from one half of the answers; the other half and the cheats against it."""
    floor = subject.options.floor
    if floor is None:
        floor = subject.connector.floor(subject.variant.dtype)
    made_from, held_out = _distances(subject, found, 0), _distances(subject, found, 1)
    threshold = calibration.threshold(made_from.values(), floor)
    rest = [distance for distances in held_out.values() for distance in distances]
    steps = _steps(subject)
    cheats = Cheats(subject, inputs, found[REFERENCE].answers, steps)
    return VariantCalibration(
        variant=subject.variant.id,
        dtype=subject.variant.dtype,
        threshold=threshold,
        floor=floor,
        honest=tuple(
            Honest(*pair, calibration.spread(distances)) for pair, distances in made_from.items()
        ),
        held_out=len(rest),
        refused=sum(distance > threshold for distance in rest),
        # Before the steps: those look at what the cheats computed.
        cheats=tuple(cheats.found(threshold)),
        steps=asyncio.run(_of_steps(subject, inputs, found, steps, threshold)) if steps else None,
        answers=asyncio.run(
            own_golden(
                subject.manifest, subject.variant, subject.connector, subject.runtime(), threshold
            )
        ),
    )


def _steps(subject: Subject) -> Steps | None:
    """For answers that have steps: run again by every native way to compute."""
    if not isinstance(subject.connector, Traced):
        return None
    natives = [name for name in subject.options.backends if name in NATIVE]
    runtimes = {name: subject.runtime(name) for name in natives}
    return Steps(subject.connector, subject.manifest, subject.variant.dtype, runtimes)


async def _of_steps(
    subject: Subject,
    inputs: Sequence[Any],
    found: Mapping[str, Measured],
    steps: Steps,
    threshold: float,
) -> StepCalibration:
    subject.say("steps")
    for name, one in found.items():
        await steps.honest(name, one.answers, inputs)
    return steps.found(await steps.cost(inputs), threshold)


def _distances(
    subject: Subject, found: Mapping[str, Measured], half: int
) -> dict[tuple[str, str], list[float]]:
    """Of every two backends, over the inputs with even or odd numbers that both answered."""
    distances = {}
    for one, other in combinations(found, 2):
        ours, theirs = found[one].answers, found[other].answers
        both = [number for number in ours if number in theirs and number % 2 == half]
        if both:
            distances[one, other] = [
                subject.distance(ours[at].output, theirs[at].output) for at in both
            ]
    return distances
