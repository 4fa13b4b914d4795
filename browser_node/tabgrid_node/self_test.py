"""A model answers its golden inputs on this device: is it right here, and how fast?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec

from tabgrid_models.calibration import Calibration
from tabgrid_models.connectors.base import AnyConnector, InvalidInput, InvalidOutput
from tabgrid_models.manifest import Golden, Manifest, Variant
from tabgrid_models.runtime import Runtime

from .hosts import CannotRun, ConnectionLost, DeviceLost, OutOfMemory, WrongNumbers

#: The first pass warms the device, the second is timed; where the first took longer than
#: this, its own time must do, so that a slow device is not kept from working.
SECOND_PASS_S = 2.0


class Measure(NamedTuple):
    """What a variant's answers are held against."""

    golden: Sequence[Golden]
    #: None: the connector's own.
    threshold: float | None


def measure_of(manifest: Manifest, variant: Variant, calibration: Calibration | None) -> Measure:
    """The threshold that audits judge by: who is let in passes them too.

    A calibration holds for answers of the variant itself. The manifest's golden answers may be
    another one's, so where they lie too far apart it brings the variant's own.
    """
    found = calibration.of(variant) if calibration else None
    if found is None:
        return Measure(manifest.golden, None)
    return Measure(found.golden(manifest), found.threshold)


async def self_test(
    manifest: Manifest,
    variant: Variant,
    connector: AnyConnector,
    runtime: Runtime,
    monotonic: Callable[[], float],
    calibration: Calibration | None = None,
    until: float | None = None,
) -> float:
    """Units per second, after every golden answer was right. Raises CannotRun otherwise.

    ``until``, on the clock, ends a test that is not worth waiting for.
    """
    measure = measure_of(manifest, variant, calibration)
    if not measure.golden:
        raise CannotRun("Its manifest has no golden answers to test this device with.", "bad_model")

    def watch(done: int, total: int, stage: str = "", chunk: bytes = b"") -> None:
        if until is not None and monotonic() > until:
            raise CannotRun("It takes too long here.", "slow")

    test = SelfTest(manifest, variant, connector, runtime, measure, watch)
    started = monotonic()
    units = [await test.answer(golden) for golden in measure.golden]
    elapsed = monotonic() - started
    if elapsed < SECOND_PASS_S:
        started = monotonic()
        units = [await test.answer(golden) for golden in measure.golden]
        elapsed = monotonic() - started
    # A clock may be too coarse to see a small model at all (tabs round to 0.1 ms).
    return max(1e-3, sum(units) / max(elapsed, 1e-4))


class SelfTest:
    """Lets a model answer its golden inputs."""

    def __init__(
        self,
        manifest: Manifest,
        variant: Variant,
        connector: AnyConnector,
        runtime: Runtime,
        measure: Measure,
        watch: Callable[..., None],
    ) -> None:
        self._manifest = manifest
        self._variant = variant
        self._connector = connector
        self._runtime = runtime
        self._threshold = measure.threshold
        self._watch = watch

    async def answer(self, golden: Golden) -> int:
        """Units of work in it. Raises CannotRun if the answer is wrong or none."""
        connector, manifest = self._connector, self._manifest
        try:
            input = msgspec.convert(golden.input, connector.Input)
            reference = msgspec.convert(golden.output, connector.Output)
            candidate = await connector.run(input, manifest, self._runtime, self._watch)
            connector.check(input, candidate, manifest)
            units = connector.usage(input, manifest, self._tokenizer()).units
        except (msgspec.ValidationError, InvalidInput) as error:
            raise CannotRun(
                f"Its golden answers are not this connector's: {error}", "bad_model"
            ) from error
        except InvalidOutput as error:
            raise WrongNumbers(f"This device computes wrong numbers with it: {error}") from error
        except MemoryError as error:
            raise OutOfMemory("It needs more memory than this device has.") from error
        except (CannotRun, ConnectionLost, DeviceLost):
            raise
        except Exception as error:
            # Whatever a device cannot do with a model, the node can still run others.
            raise CannotRun(f"This device fails to compute it: {error}", "fails") from error
        comparison = connector.compare(reference, candidate, self._variant.dtype, self._threshold)
        if not comparison.agrees:
            raise WrongNumbers(
                "This device computes wrong numbers with it: "
                f"{comparison.distance:.3g} away, {comparison.threshold:.3g} is allowed."
            )
        return units

    def _tokenizer(self) -> Any:
        try:
            return self._runtime.tokenizer()
        except LookupError:
            return None
