"""How far honest answers of one model lie apart, and where wrong begins.

A model's ``calibration.json`` lies beside its manifest and is no part of it: the manifest's
digest is the model's identity, stands in every receipt and assignment, and must not change
because somebody measured one more backend.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from .manifest import Golden, Manifest, Sha256, Variant

#: Share of the honest answers that must lie within the threshold before the margin.
SHARE = 0.999
#: What real devices may be further apart than those that were measured. All machines of one
#: kind compute alike, so one that was not measured differs by its kind, not by chance.
MARGIN = 10.0

Distance = Annotated[float, Meta(ge=0)]
Count = Annotated[int, Meta(ge=0)]


class Spread(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Many distances, in the unit of the connector's comparator."""

    count: Annotated[int, Meta(ge=1)]
    min: Distance
    p50: Distance
    p90: Distance
    p99: Distance
    p999: Distance
    max: Distance


class Honest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Two backends that answered the same inputs, both as they should."""

    reference: str
    candidate: str
    spread: Spread


class Cheat(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One way to be paid for less, or for nothing, and how often it was told apart."""

    name: str
    count: Annotated[int, Meta(ge=1)]
    told_apart: Count
    #: None where no answer came as far as the comparator: its form gave it away.
    spread: Spread | None


class StepCalibration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of steps that are run again, in place of the whole answer (``connectors.base.Traced``)."""

    #: What the distances are, in words.
    unit: str
    recheck_version: int
    threshold: Distance
    floor: Distance
    honest: Annotated[tuple[Honest, ...], Meta(min_length=1)]
    held_out: Count
    refused: Count
    #: Told apart by any part: the noise, a drawn step, or the output. ``spread`` is of the worst
    #: drawn step.
    cheats: tuple[Cheat, ...]
    #: How many stretches are drawn, and what that costs of running the whole answer again:
    #: seconds of a processor for the one, over seconds for the other.
    drawn: Annotated[int, Meta(ge=1)]
    cost: Distance


class VariantCalibration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    variant: str
    dtype: str
    threshold: Distance
    #: The least that the threshold could have become.
    floor: Distance
    #: The half of the honest answers that the threshold was made from.
    honest: Annotated[tuple[Honest, ...], Meta(min_length=1)]
    #: The other half: how many there were, and how many the threshold would have refused.
    held_out: Count
    refused: Count
    cheats: tuple[Cheat, ...]
    #: None where the answer has no steps.
    steps: StepCalibration | None = None
    #: Its own answers to the manifest's golden inputs, as the connector's JSON, where those of
    #: the manifest are another variant's and further away than honest devices are.
    answers: tuple[dict[str, Any], ...] = ()

    def golden(self, manifest: Manifest) -> tuple[Golden, ...]:
        """Golden inputs with the answers that ``threshold`` is about."""
        if not self.answers:
            return manifest.golden
        pairs = zip(manifest.golden, self.answers, strict=True)
        return tuple(Golden(pair.input, answer) for pair, answer in pairs)


class Calibration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was measured, by which rule, and what came of it."""

    model: str
    digest: Sha256
    connector: str
    comparator_version: int
    #: What the distances are, in words: "1 - cosine of the worst row".
    unit: str
    share: float
    margin: float
    #: Backend to the device that stood for it.
    backends: dict[str, str]
    variants: tuple[VariantCalibration, ...]

    def fits(self, manifest: Manifest, comparator_version: int) -> bool:
        """Whether it is of this very model and of the comparator that is here."""
        same = (self.digest, self.comparator_version) == (manifest.digest(), comparator_version)
        return same and all(len(v.answers) in (0, len(manifest.golden)) for v in self.variants)

    def of(self, variant: Variant) -> VariantCalibration | None:
        """None for a variant that was not measured."""
        return next((one for one in self.variants if one.variant == variant.id), None)

    def threshold(self, variant: Variant) -> float | None:
        found = self.of(variant)
        return found.threshold if found else None

    def thresholds(self) -> dict[str, float]:
        """By dtype, as an audit knows an answer; of two variants in one, the wider."""
        widest: dict[str, float] = {}
        for one in self.variants:
            widest[one.dtype] = max(one.threshold, widest.get(one.dtype, 0.0))
        return widest

    def step_thresholds(self) -> dict[str, float]:
        """The same for steps that are run again; those that were measured."""
        widest: dict[str, float] = {}
        for one in self.variants:
            if one.steps is not None:
                widest[one.dtype] = max(one.steps.threshold, widest.get(one.dtype, 0.0))
        return widest

    def encoded(self) -> bytes:
        """JSON as it lies on disk."""
        return msgspec.json.format(msgspec.json.encode(self), indent=1) + b"\n"


def parse(data: bytes) -> Calibration:
    """Raises ``msgspec.DecodeError`` for what is none."""
    return msgspec.json.decode(data, type=Calibration)


def readable(data: bytes) -> Calibration | None:
    """As ``parse``; None for what a node cannot read: it then goes by the built-in thresholds."""
    try:
        return parse(data)
    except msgspec.DecodeError:
        return None


def quantile(values: Sequence[float], share: float) -> float:
    """The least value that at least ``share`` of ``values`` do not exceed.

    No interpolation: with fewer values than 1/(1 - share) it is the largest one, so a short
    measurement makes a threshold wider, never narrower.
    """
    # Rounded first: 0.9 x 10 is a little more than 9 in binary.
    at = math.ceil(round(share * len(values), 9)) - 1
    return sorted(values)[max(at, 0)]


def spread(distances: Sequence[float]) -> Spread:
    """Raises ``ValueError`` for a distance that is no number: those have no order."""
    if not all(map(math.isfinite, distances)):
        raise ValueError("Answers of two shapes, or with numbers that are none, have no distance.")
    p50, p90, p99, p999 = (quantile(distances, share) for share in (0.5, 0.9, 0.99, 0.999))
    return Spread(len(distances), min(distances), p50, p90, p99, p999, max(distances))


def threshold(pairs: Iterable[Sequence[float]], floor: float) -> float:
    """The stated rule: the worst pair's 99.9th percentile, ten-fold, and at least ``floor``.

    The worst pair's and not that of all together: a backend with few answers must not drown
    among one with many. Rounded up to two digits, so that the same devices, measured again,
    mostly give the same figure.
    """
    worst = max((quantile(distances, SHARE) for distances in pairs if distances), default=0.0)
    return max(floor, _rounded_up(MARGIN * worst))


def _rounded_up(value: float) -> float:
    if value == 0:
        return 0.0
    step = 10.0 ** (math.floor(math.log10(value)) - 1)
    # Through text: 12 x 0.1 is not 1.2.
    return float(f"{math.ceil(round(value / step, 9)) * step:.2g}")
