"""How far single steps of honest answers lie apart, which cheats they give away, and the cost."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any, NamedTuple

import msgspec

from tabgrid_models import calibration, trace
from tabgrid_models.calibration import Cheat, Honest, StepCalibration
from tabgrid_models.connectors.base import Thresholds, Traced
from tabgrid_models.manifest import Manifest
from tabgrid_models.runtime import quiet
from tabgrid_models.trace import Claimed, Part, Rechecked

from ..export.native import NativeRuntime
from .forgeries import stretched

SEED = 13
#: Inputs that the cost is measured with.
TIMED = 10


class Answer(NamedTuple):
    """An output, and what lay between the steps to it where there are steps."""

    output: Any
    trace: bytes = b""


class Steps:
    """Runs drawn steps of answers again, on one or several references."""

    def __init__(
        self,
        connector: Traced,
        manifest: Manifest,
        dtype: str,
        references: Mapping[str, NativeRuntime],
    ) -> None:
        self._connector = connector
        self._manifest = manifest
        self._dtype = dtype
        self._references = references
        self._random = Random(SEED)  # noqa: S311 - stands for a draw, no secrets
        self.made_from: dict[tuple[str, str], list[float]] = {}
        self.held_out: dict[tuple[str, str], list[float]] = {}
        self.cheats: dict[str, list[tuple[Part, ...]]] = {}

    async def honest(self, candidate: str, answers: Mapping[int, Answer], inputs: Any) -> None:
        """Every reference looks at every answer; the odd ones are for the test of the rule."""
        for name, runtime in self._references.items():
            if name == candidate:
                continue
            for number, answer in answers.items():
                into = self.held_out if number % 2 else self.made_from
                parts = await self.judge(inputs[number], answer, runtime)
                into.setdefault((name, candidate), []).append(_worst_step(parts))

    async def cheated(self, name: str, input: Any, output: Any, states: Sequence[bytes]) -> None:
        """``states`` are those that the cheat has, however many."""
        count = len(self._connector.kept(input, self._manifest))
        answer = Answer(output, b"".join(stretched(states, count)))
        runtime = next(iter(self._references.values()))
        parts = await self.judge(input, answer, runtime)
        self.cheats.setdefault(name, []).append(parts)

    async def judge(self, input: Any, answer: Answer, runtime: NativeRuntime) -> tuple[Part, ...]:
        """As an audit does, with a draw of its own."""
        claimed = self._claimed(input, answer)
        found = await self._connector.recheck(claimed.asked, self._manifest, runtime, quiet)
        return self._compared(input, claimed, found)

    def _claimed(self, input: Any, answer: Answer) -> Claimed:
        states = self._connector.split_trace(input, self._manifest, answer.trace)
        kept = self._connector.kept(input, self._manifest)
        stretches = len(kept) - 1
        count = trace.drawn(stretches, len(states[0]))
        places = sorted(self._random.sample(range(stretches), count))
        packed = msgspec.msgpack.encode(answer.output)
        return trace.claim(msgspec.msgpack.encode(input), kept, states, places, packed)

    def _compared(self, input: Any, claimed: Claimed, found: Rechecked) -> tuple[Part, ...]:
        return self._connector.compare_steps(
            input, self._manifest, claimed, found, self._dtype, Thresholds()
        )

    async def cost(self, inputs: Sequence[Any]) -> float:
        """Processor seconds of a recheck over those of the whole answer."""
        runtime = next(iter(self._references.values()))
        whole = part = 0.0
        for input in inputs[:TIMED]:
            began = time.process_time()
            made = await self._connector.run_traced(input, self._manifest, runtime, quiet)
            whole += time.process_time() - began
            asked = self._claimed(input, Answer(*made)).asked
            began = time.process_time()
            await self._connector.recheck(asked, self._manifest, runtime, quiet)
            part += time.process_time() - began
        return round(part / whole, 3)

    def found(self, cost: float, output_threshold: float) -> StepCalibration:
        floor = self._connector.step_floor(self._dtype)
        threshold = calibration.threshold(self.made_from.values(), floor)
        rest = [distance for distances in self.held_out.values() for distance in distances]
        return StepCalibration(
            unit=self._connector.step_distance,
            recheck_version=self._connector.recheck_version,
            threshold=threshold,
            floor=floor,
            honest=tuple(
                Honest(*pair, calibration.spread(distances))
                for pair, distances in self.made_from.items()
            ),
            held_out=len(rest),
            refused=sum(distance > threshold for distance in rest),
            cheats=tuple(
                _cheat(name, tried, Thresholds(output_threshold, threshold))
                for name, tried in self.cheats.items()
            ),
            drawn=trace.DRAWN,
            cost=cost,
        )


def _cheat(name: str, tried: Sequence[tuple[Part, ...]], thresholds: Thresholds) -> Cheat:
    told = sum(_is_told(parts, thresholds) for parts in tried)
    distances = [min(_worst_step(parts), 1e308) for parts in tried]
    return Cheat(name, len(tried), told, calibration.spread(distances))


def _is_told(parts: Sequence[Part], thresholds: Thresholds) -> bool:
    noise, *steps, output = parts
    return (
        noise.share > 1
        or any(step.distance > (thresholds.step or 0) for step in steps)
        or output.distance > (thresholds.output or 0)
    )


def _worst_step(parts: Sequence[Part]) -> float:
    _, *steps, _ = parts
    return max(step.distance for step in steps)
